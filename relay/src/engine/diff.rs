//! What one configuration lets through that another does not.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    Classified, Context, Kind, Result, Site, Subject, claim, desired,
    instant::{self, rfc3339},
    observe::{self, hex},
    require_capabilities,
};
use crate::{
    config::{self, Loaded, Options},
    model::{InterfaceName, Relay},
    net::{self, link},
    policy::{Concerned, Difference, End, Family, Ground, Line, Sign, Sources},
};

const OPTIONS: Options = Options { allow_empty: true };

/// What is in force is not known as a configuration. The exit code 1 stands for a difference.
#[derive(Debug, thiserror::Error)]
enum DiffError {
    #[error(
        "{interface}: no policy is in force; run `relay up`, or compare two files: `relay diff OLD \
         NEW`"
    )]
    NothingInForce { interface: InterfaceName },
    #[error(
        "{interface} was brought up without the name of a configuration; name it: `relay diff OLD \
         NEW`"
    )]
    Nameless { interface: InterfaceName },
    #[error(
        "{interface}: policy generation {number} ({hash}) is in force, but {file}, which it was \
         brought up from, gives another, so that nothing tells what is in force; compare two files: \
         `relay diff OLD NEW`"
    )]
    NotOfFile { interface: InterfaceName, number: u64, hash: String, file: PathBuf },
}

impl Classified for DiffError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// A configuration to compare.
pub struct Compared {
    /// What to call it.
    pub name: String,
    relay: Relay,
    slots: Vec<u32>,
}

/// Two configurations to compare.
pub struct Comparison {
    /// The old one, or what is in force.
    pub before: Compared,
    /// The new one.
    pub after: Compared,
    host_addresses: Vec<IpAddr>,
}

/// The JSON of `relay diff`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diffed {
    schema_version: u32,
    before: String,
    after: String,
    /// Whether something is gained or lost.
    pub differs: bool,
    pairs: Pairs,
    changes: Vec<DiffedLine>,
}

#[derive(Debug, Serialize)]
struct Pairs {
    gained: usize,
    lost: usize,
    kept: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DiffedLine {
    change: &'static str,
    from: Vec<String>,
    to: Vec<String>,
    both_ways: bool,
    family: Option<&'static str>,
    /// None: everything but `except`.
    services: Option<Vec<String>>,
    except: Vec<String>,
    except_kept: bool,
    before: Option<DiffedGround>,
    after: Option<DiffedGround>,
}

#[derive(Debug, Serialize)]
struct DiffedGround {
    by: &'static str,
    rule: Option<String>,
    until: Option<String>,
}

impl Comparison {
    /// Of two files.
    ///
    /// # Errors
    /// One is invalid.
    pub fn of_files(before: &Path, after: &Path) -> Result<Self> {
        let load =
            |path: &Path| Ok::<_, super::Error>(Compared::of(path, config::load(path, OPTIONS)?));
        Ok(Self { before: load(before)?, after: load(after)?, host_addresses: Vec::new() })
    }

    /// Of what is in force on the interface that a file names, and that file.
    ///
    /// # Errors
    /// The file is invalid; no policy is in force; the configuration that the interface was brought up
    /// from is invalid or gives another policy; the process lacks a capability.
    pub async fn with_running(site: Site<'_>, after: &Path) -> Result<Self> {
        let new = config::load(after, OPTIONS)?;
        require_capabilities(site.verb)?;
        let interface = new.relay.interface.clone();
        let handle = net::connect()?;
        let Some(link) = link::read(&handle, &interface).await? else {
            return Err(DiffError::NothingInForce { interface }.into());
        };
        let Some(file) = link.alias.as_deref().and_then(claim::named) else {
            return Err(DiffError::Nameless { interface }.into());
        };
        let context = Context::of(site, Subject::Configured(config::load(&file, OPTIONS)?))?;
        let (relay, datapath) = (context.relay(), context.datapath());
        let observed =
            datapath.observe(observe::hooks(&handle, &relay.interface, datapath).await?)?;
        let Some(generation) = observed.generation() else {
            return Err(DiffError::NothingInForce { interface }.into());
        };
        let (compiled, slots) = desired::policy(&handle, relay, &observed).await?;
        let (number, hash) = (generation.number, hex(&generation.policy_hash));
        if relay.interface != interface || !observed.carries_out(&compiled, &slots) {
            return Err(DiffError::NotOfFile { interface, number, hash, file }.into());
        }
        let before = Compared {
            name: format!("generation {number} in force on {interface} ({})", file.display()),
            relay: relay.clone(),
            slots: slots.as_slice().to_vec(),
        };
        let host_addresses = desired::host_addresses(&handle, &interface).await?;
        Ok(Self { before, after: Compared::of(after, new), host_addresses })
    }

    /// Compares both, now.
    pub fn difference(&self) -> Difference<'_> {
        let now = instant::now();
        let sources = |compared| self.sources(compared);
        Difference::between(sources(&self.before), sources(&self.after), now)
    }

    fn sources<'a>(&'a self, compared: &'a Compared) -> Sources<'a> {
        let Compared { relay, slots, .. } = compared;
        Sources { relay, host_addresses: &self.host_addresses, slots }
    }
}

impl Compared {
    fn of(path: &Path, loaded: Loaded) -> Self {
        let slots = (1..).take(loaded.relay.peers.len()).collect();
        Self { name: path.display().to_string(), relay: loaded.relay, slots }
    }
}

impl Diffed {
    /// The lines of a difference.
    pub fn new(
        comparison: &Comparison,
        concerned: Concerned,
        lines: impl Iterator<Item = Line>,
    ) -> Self {
        let Concerned { gained, lost, kept } = concerned;
        Self {
            schema_version: 1,
            before: comparison.before.name.clone(),
            after: comparison.after.name.clone(),
            differs: concerned.differs(),
            pairs: Pairs { gained, lost, kept },
            changes: lines.map(|line| DiffedLine::of(&line)).collect(),
        }
    }
}

impl DiffedLine {
    fn of(line: &Line) -> Self {
        let names = |end: &End| end.names.iter().map(ToString::to_string).collect();
        let (entries, is_except) = line.change.services.entries();
        let (services, except) =
            if is_except { (None, entries) } else { (Some(entries), Vec::new()) };
        Self {
            change: match line.change.sign() {
                Sign::Gained => "gained",
                Sign::Lost => "lost",
                Sign::Kept => "kept",
            },
            from: names(&line.from),
            to: names(&line.to),
            both_ways: line.both_ways,
            family: line.family.map(|family| match family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            }),
            services,
            except,
            except_kept: line.but_kept,
            before: line.change.before.as_ref().map(DiffedGround::of),
            after: line.change.after.as_ref().map(DiffedGround::of),
        }
    }
}

impl DiffedGround {
    fn of(ground: &Ground) -> Self {
        match ground {
            Ground::Lists => Self { by: "lists", rule: None, until: None },
            Ground::HostAccess => Self { by: "host_access", rule: None, until: None },
            Ground::Rule { name, until } => {
                Self { by: "rule", rule: Some(name.as_str().to_owned()), until: until.map(rfc3339) }
            }
        }
    }
}
