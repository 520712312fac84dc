//! The fleet: two whole Debian machines, on which a real `ansible-playbook` makes relays.

mod ansible;
mod image;
mod machine;
mod peers;
mod scenarios;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use self::ansible::{Ansible, Play};
use self::image::Image;
use self::machine::Machine;
use self::peers::{ENDPOINT, Peer, key_pair};
use self::scenarios::SCENARIOS;
use super::{Counts, FLEET, Report, Required, Row};
use crate::command::dist::Contents;
use crate::progress::Step;
use crate::setup::{Missing, fleet};
use crate::{apt, process, workspace};

/// Lints the role and plays it through.
pub(super) fn run(report: &mut Report, required: &Required, lacking: Option<&Missing>) {
    if let Some(piece) = lacking {
        report.push(required.skip(FLEET, "fleet", "fleet", &piece.what));
        return;
    }
    let started = Instant::now();
    let step = Step::start("test: fleet: ansible-lint");
    let counts = match lint() {
        Ok(()) => Counts { passed: 1, ..Counts::default() },
        Err(error) => {
            eprintln!("{error:#}");
            Counts { failed: 1, ..Counts::default() }
        }
    };
    step.finish(if counts.failed == 0 { "passed" } else { "failed" });
    report.push(Row {
        tier: FLEET,
        what: "ansible-lint".to_owned(),
        counts,
        took: started.elapsed(),
    });

    if !apt::is_root().unwrap_or(false) {
        report.push(required.skip(FLEET, "fleet", "root", "user id 0, which makes the disk"));
        return;
    }
    let started = Instant::now();
    let what = "fleet of two Debian machines".to_owned();
    let counts = match Fleet::start() {
        Ok(mut fleet) => fleet.play_through(report, &what),
        Err(error) => {
            eprintln!("{what}: {error:#}");
            Counts { failed: 1, ..Counts::default() }
        }
    };
    report.push(Row { tier: FLEET, what, counts, took: started.elapsed() });
}

fn lint() -> Result<()> {
    const DEADLINE: Duration = Duration::from_secs(300);
    let mut said = String::new();
    let program = fleet::ansible("ansible-lint")?;
    // It looks for ansible-playbook in PATH.
    let mut path = vec![program.parent().context("a program is in a directory")?.to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = std::process::Command::new(program);
    command.args(["--offline", "--nocolor"]).env("PATH", std::env::join_paths(path)?);
    command.current_dir(workspace::root().join("deploy/ansible"));
    let code = process::follow(&mut command, DEADLINE, |line| {
        said += line;
        said.push('\n');
    })?;
    match code {
        0 => Ok(()),
        _ => bail!("{}", said.trim_end()),
    }
}

/// Machines, packages and peers, and what the role is told.
struct Fleet {
    one: Machine,
    two: Machine,
    ansible: Ansible,
    /// Where everything of this run is.
    directory: PathBuf,
    /// This release, and the same with other programs in it, as the next one has.
    packages: [PathBuf; 2],
    /// An administrator, who lists the others, and nodes, who list the administrator.
    peers: [Peer; 3],
    /// Between the administrator and the relay.
    preshared_key: String,
    /// The private and public key of the second machine, which come out of a vault.
    vaulted: (String, String),
}

impl Fleet {
    /// Builds, boots, and waits until both machines let in.
    fn start() -> Result<Self> {
        let directory = workspace::target().join("fleet").join(std::process::id().to_string());
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let image = Image::fetch()?;
        // They boot while the processors that are left build.
        let mut one = Machine::start("one", &image, &directory)?;
        let mut two = Machine::start("two", &image, &directory)?;
        let contents = Contents::build()?;
        let relay = contents.binary();
        let peers = [
            Peer::new("node-a", 1, &relay)?,
            Peer::new("node-b", 2, &relay)?,
            Peer::new("node-c", 3, &relay)?,
        ];
        // A preshared key is 32 bytes of any kind.
        let (preshared_key, _) = key_pair(&relay)?;
        let vaulted = key_pair(&relay)?;
        let first = contents.package(1, &directory)?;
        give_other_programs(&relay)?;
        let packages = [first, contents.package(2, &directory)?];

        let step = Step::start("fleet: waiting for the machines");
        let up = one.wait().and_then(|()| two.wait());
        step.finish(if up.is_ok() { "both are up" } else { "failed" });
        up?;
        let ansible = Ansible::new(&directory, &[&one, &two])?;
        ansible.put_into_vault("two", &json!({ "relay_private_key": vaulted.0 }))?;
        for machine in [&one, &two] {
            for peer in &peers {
                peer.plug_in(machine)?;
            }
        }
        Ok(Self { one, two, ansible, directory, packages, peers, preshared_key, vaulted })
    }

    /// Plays every scenario; each begins where the one before it ended, so the first that fails is
    /// the last.
    fn play_through(&mut self, report: &mut Report, what: &str) -> Counts {
        let mut counts = Counts::default();
        for (name, scenario) in SCENARIOS {
            if counts.failed > 0 {
                println!("skip: {name}: an earlier scenario failed");
                counts.skipped += 1;
                continue;
            }
            let step = Step::start(format!("test: fleet: {name}"));
            let outcome = scenario(self).and_then(|()| {
                self.one.require_sound_kernel()?;
                self.two.require_sound_kernel()
            });
            step.finish(if outcome.is_ok() { "passed" } else { "failed" });
            match outcome {
                Ok(()) => counts.passed += 1,
                Err(error) => {
                    eprintln!("{name}: {error:#}\nlogs: {}", self.directory.display());
                    report.name_failures(what, &[(*name).to_owned()]);
                    counts.failed += 1;
                }
            }
        }
        counts
    }

    /// What the role is told: the administrator, and these nodes.
    fn variables(&self, nodes: &[&Peer]) -> Value {
        let [administrator, ..] = &self.peers;
        let list = |peers: &[&Peer]| -> Vec<String> {
            peers.iter().map(|peer| format!("{}/32", peer.address())).collect()
        };
        let mut peers = serde_json::Map::new();
        let mut add = |peer: &Peer, allowed_ips: Vec<String>| {
            let table = json!({
                "public_key": peer.public_key,
                "address": [peer.address()],
                "allowed_ips": allowed_ips,
            });
            peers.insert(peer.name.to_owned(), table);
        };
        add(administrator, list(nodes));
        for node in nodes {
            add(node, list(&[administrator]));
        }
        json!({
            "relay_deb": self.packages[0],
            "relay_settings": { "address": ["10.3.2.1/24"], "endpoint": ENDPOINT },
            "relay_guard": { "enabled": true },
            "relay_defaults": { "persistent_keepalive": 25 },
            "relay_peers": peers,
            "relay_preshared_keys": { administrator.name: self.preshared_key },
            "relay_clients_dir": self.clients(),
            "relay_gate_retries": 1,
            "relay_gate_delay": 1,
        })
    }

    /// Where the role puts the clients' configurations.
    fn clients(&self) -> PathBuf {
        self.directory.join("clients")
    }

    /// A play, in whose output no key may be.
    fn play(&mut self, variables: &Value, arguments: &[&str]) -> Result<Play> {
        let play = self.ansible.play(variables, arguments)?;
        let secrets = self.peers.iter().map(Peer::secret);
        let secrets = secrets.chain([self.preshared_key.as_str(), self.vaulted.0.as_str()]);
        for secret in secrets {
            if play.text.contains(secret) {
                bail!("a play wrote a private or preshared key");
            }
        }
        Ok(play)
    }
}

/// Makes the programs in the binary other objects with the same code, as those of the next release
/// are: one byte of the padding in their ELF headers, which nothing reads but a policy's hash and a
/// guard's.
fn give_other_programs(relay: &Path) -> Result<()> {
    let mut bytes = fs::read(relay).with_context(|| format!("cannot read {}", relay.display()))?;
    let objects = programs(&bytes);
    if objects.len() != OBJECTS {
        bail!("found {} objects for BPF in the binary, expected {OBJECTS}", objects.len());
    }
    for at in objects {
        bytes[at + PADDING] ^= 1;
    }
    fs::write(relay, bytes).with_context(|| format!("cannot write {}", relay.display()))
}

/// The relay's and the guard's.
const OBJECTS: usize = 2;

/// The last byte of `e_ident`, and where `e_machine` is, in an ELF header (ELF-64 Object File
/// Format, version 1.5, figures 3 and 4).
const PADDING: usize = 15;
const MACHINE: usize = 18;

/// EM_BPF (include/uapi/linux/elf-em.h), little-endian.
const BPF: [u8; 2] = [247, 0];

/// Where the objects for BPF begin.
fn programs(bytes: &[u8]) -> Vec<usize> {
    bytes
        .windows(MACHINE + BPF.len())
        .enumerate()
        .filter(|(_, header)| header.starts_with(b"\x7fELF") && header.ends_with(&BPF))
        .map(|(at, _)| at)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_told_from_the_binary_around_them() {
        let header = |machine: u8| {
            let mut header = b"\x7fELF".to_vec();
            header.resize(MACHINE, 0);
            header.extend([machine, 0]);
            header
        };
        let binary = [header(62), vec![0; 100], header(247), vec![0; 40], header(247)].concat();
        assert_eq!(programs(&binary), [120, 180]);
        assert!(programs(&header(62)).is_empty());
    }
}
