//! The fleet: two whole machines, one with Debian 12 and one with 13, set up as relays by a real
//! `ansible-playbook`.
#![forbid(unsafe_code)]

mod ansible;
mod image;
mod machine;
mod objects;
mod peers;
mod scenario;
mod scenarios;
mod site;
mod trace;
mod traffic;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relay_vm::progress::Step;
use relay_vm::{process, workspace};
use serde_json::{Value, json};

use self::ansible::{Ansible, Play};
use self::image::{Image, Release};
use self::machine::{Machine, udp_ports};
pub use self::objects::change_objects;
use self::peers::{ENDPOINT, Peer, key_pair};
pub use self::scenario::Scenario;
pub use self::scenarios::chosen;

/// Runs ansible-lint on the role; `programs` is the directory of Ansible's programs.
///
/// # Errors
/// The linter does not run, or has complaints.
pub fn lint(programs: &Path) -> Result<()> {
    const DEADLINE: Duration = Duration::from_secs(300);
    let mut text = String::new();
    // It looks for ansible-playbook in PATH.
    let mut path = vec![programs.to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = std::process::Command::new(programs.join("ansible-lint"));
    command.args(["--offline", "--nocolor"]).env("PATH", std::env::join_paths(path)?);
    command.current_dir(workspace::root().join("deploy/ansible"));
    let code = process::follow(&mut command, DEADLINE, |line| {
        text += line;
        text.push('\n');
    })?;
    match code {
        0 => Ok(()),
        _ => bail!("{}", text.trim_end()),
    }
}

/// What the fleet installs.
pub struct Packages {
    /// This release.
    pub first: PathBuf,
    /// The next release: the same with other BPF objects.
    pub second: PathBuf,
    /// The `relay` binary, which runs on this host too.
    pub relay: PathBuf,
}

/// Two machines with their peers, and the variables of the role.
pub struct Fleet {
    one: Machine,
    two: Machine,
    ansible: Ansible,
    /// Files of this run.
    directory: PathBuf,
    packages: Packages,
    /// An administrator, who lists the nodes, and two nodes, which list the administrator.
    peers: [Peer; 3],
    /// Between the administrator and the relay.
    preshared_key: String,
    /// Private and public key of the second machine, from a vault; in a site, of both.
    vaulted: (String, String),
    /// Private and public keys of both machines in the tunnel between them.
    transit: [(String, String); 2],
}

impl Fleet {
    /// Boots both machines and waits until they accept SSH. `programs` is the directory of
    /// Ansible's programs; `build` writes packages into a directory while the machines boot.
    ///
    /// # Errors
    /// A build failed, or a machine did not boot in time.
    pub fn start(programs: &Path, build: impl FnOnce(&Path) -> Result<Packages>) -> Result<Self> {
        let directory = workspace::target().join("fleet").join(std::process::id().to_string());
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let images = [Image::fetch(Release::Bookworm)?, Image::fetch(Release::Trixie)?];
        let [first, second] = udp_ports()?;
        let mut one = Machine::start("one", &images[0], &directory, [first, second])?;
        let mut two = Machine::start("two", &images[1], &directory, [second, first])?;
        let packages = build(&directory)?;
        let peers = [
            Peer::new("node-a", 1, &packages.relay)?,
            Peer::new("node-b", 2, &packages.relay)?,
            Peer::new("node-c", 3, &packages.relay)?,
        ];
        // Any 32 bytes are a preshared key.
        let (preshared_key, _) = key_pair(&packages.relay)?;
        let vaulted = key_pair(&packages.relay)?;
        let transit = [key_pair(&packages.relay)?, key_pair(&packages.relay)?];

        let step = Step::start("fleet: waiting for the machines");
        let up = one.wait().and_then(|()| two.wait());
        step.finish(if up.is_ok() { "both are up" } else { "failed" });
        up?;
        let ansible = Ansible::new(programs, &directory, &[&one, &two])?;
        ansible.put_into_vault("two", &json!({ "relay_private_key": vaulted.0 }))?;
        for machine in [&one, &two] {
            for peer in &peers {
                peer.plug_in(machine)?;
            }
        }
        Ok(Self { one, two, ansible, directory, packages, peers, preshared_key, vaulted, transit })
    }

    /// # Errors
    /// The kernel of a machine logged a warning.
    pub fn require_sound_kernels(&self) -> Result<()> {
        self.one.require_sound_kernel()?;
        self.two.require_sound_kernel()
    }

    /// The directory with the logs of plays and consoles.
    pub fn logs(&self) -> &Path {
        &self.directory
    }

    /// Variables of the role for the administrator and these nodes.
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
            "relay_deb": self.packages.first,
            "relay_settings": { "address": ["10.3.2.1/24"], "endpoint": ENDPOINT },
            "relay_guard": { "enabled": true },
            "relay_defaults": { "persistent_keepalive": 25 },
            "relay_peers": peers,
            "relay_preshared_keys": { administrator.name: self.preshared_key },
            "relay_clients_dir": self.clients(),
            "relay_serve": true,
            "relay_serve_options": ["--compat"],
            "relay_gate_retries": 1,
            "relay_gate_delay": 1,
        })
    }

    /// Where the role puts the configurations of clients.
    fn clients(&self) -> PathBuf {
        self.directory.join("clients")
    }

    /// Runs a play and checks that its output contains no secret key.
    fn play(&mut self, variables: &Value, arguments: &[&str]) -> Result<Play> {
        let play = self.ansible.play(variables, arguments)?;
        let secrets = self.peers.iter().map(Peer::secret);
        let secrets = secrets.chain([self.preshared_key.as_str(), self.vaulted.0.as_str()]);
        let secrets = secrets.chain(self.transit.iter().map(|(private, _)| private.as_str()));
        for secret in secrets {
            if play.text.contains(secret) {
                bail!("a play wrote a private or preshared key");
            }
        }
        Ok(play)
    }
}
