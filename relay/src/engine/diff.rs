//! What one configuration lets through that another does not.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    Classified, Kind, Result, Site, claim, desired,
    flows::{self, Allowed},
    in_force::InForce,
    instant::{self, rfc3339},
    limit_changes::LimitChange,
    observe::{self, hex},
    require_capabilities,
};
use crate::{
    config::{self, Loaded, Options},
    datapath::Datapath,
    model::{InterfaceName, Relay},
    net::{self, link},
    policy::{self, Concerned, Difference, End, Family, Ground, Line, Sign, Sources},
    stats::{Flow, Flows},
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
         brought up from, gives another, and no record tells what it was; compare two files: \
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
    /// The datapath, if the old one is in force.
    running: Option<Datapath>,
}

/// The JSON of `relay diff`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diffed {
    schema_version: u32,
    before: String,
    after: String,
    /// Whether something is gained or lost, or a limit is another one.
    pub differs: bool,
    pairs: Pairs,
    changes: Vec<DiffedLine>,
    limits: Vec<LimitChange>,
    /// With `--flows`: live flows that would end.
    #[serde(skip_serializing_if = "Option::is_none")]
    flows: Option<Vec<Flow>>,
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
        Ok(Self {
            before: load(before)?,
            after: load(after)?,
            host_addresses: Vec::new(),
            running: None,
        })
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
        let datapath = Datapath::open(site.bpffs, interface.as_str())?;
        let observed = observe::datapath(&handle, &interface, &datapath).await?;
        let Some(generation) = observed.generation() else {
            return Err(DiffError::NothingInForce { interface }.into());
        };
        let before = InForce::find(&handle, &interface, &observed, Some(&file)).await?;
        let number = generation.number;
        let Some(InForce { relay, slots, .. }) = before else {
            let hash = hex(&generation.policy_hash);
            return Err(DiffError::NotOfFile { interface, number, hash, file }.into());
        };
        let before = Compared {
            name: format!("generation {number} in force on {interface} ({})", file.display()),
            relay,
            slots: slots.as_slice().to_vec(),
        };
        let host_addresses = desired::host_addresses(&handle, &before.relay).await?;
        let after = Compared::of(after, new);
        Ok(Self { before, after, host_addresses, running: Some(datapath) })
    }

    /// Compares both, now.
    pub fn difference(&self) -> Difference<'_> {
        let now = instant::now();
        let sources = |compared| self.sources(compared);
        Difference::between(sources(&self.before), sources(&self.after), now)
    }

    /// Limits that the new configuration sets otherwise.
    pub fn limits(&self) -> Vec<LimitChange> {
        LimitChange::all(&self.before.relay, &self.after.relay)
    }

    /// Live flows that the new configuration ends, most bytes first; none if the old one is not in
    /// force.
    ///
    /// # Errors
    /// A pin cannot be read, or the new configuration needs more room than there is.
    pub fn ending(&self) -> Result<Vec<Flow>> {
        let Some(datapath) = &self.running else { return Ok(Vec::new()) };
        let rules = &self.after.relay.rules;
        let numbers: Vec<u32> = (1..).take(rules.len()).collect();
        let compiled = policy::compile(&self.sources(&self.after), &numbers)?;
        let allowed = Allowed::by(&compiled, &numbers, rules);
        let mut flows = flows::named(&self.before.relay, datapath)?;
        flows.retain(|flow| !allowed.goes_on(flow));
        Ok(Flows::most_first(flows.into_iter().map(|named| named.flow).collect()))
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
    /// The lines of a difference, and the flows that would end if that was asked.
    pub fn new(
        comparison: &Comparison,
        concerned: Concerned,
        lines: impl Iterator<Item = Line>,
        flows: Option<Vec<Flow>>,
    ) -> Self {
        let Concerned { gained, lost, kept } = concerned;
        let limits = comparison.limits();
        Self {
            schema_version: 1,
            before: comparison.before.name.clone(),
            after: comparison.after.name.clone(),
            differs: concerned.differs() || !limits.is_empty(),
            pairs: Pairs { gained, lost, kept },
            changes: lines.map(|line| DiffedLine::of(&line)).collect(),
            limits,
            flows,
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
