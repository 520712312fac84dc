//! The relay's host and the `relay` command on it.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail, ensure};
use relay::datapath::Pins;
use relay_common::names::ABI_VERSION;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::{
    Ledger, Namespace, Tally, deadline, namespace, schema,
    stats::{Stats, UpReport},
};

/// Environment variable with the path of `relay`; by default it is next to the test executables.
pub const BINARY: &str = "RELAY_BIN";

/// Environment variable with the ABI version that a debug build of `relay` takes for its own.
const VERSION: &str = "RELAY_ABI_VERSION";

/// The relay's address on the underlay.
pub const UNDERLAY: &str = "192.0.2.1";

/// Where relays have their locks and what agents write.
const RUN: &str = "/run/relay";

/// Files beside the configuration whose content must never be printed.
const SECRETS: [&str; 2] = ["private.key", "mesh.key"];

/// The relay's host: a namespace, a directory with the configuration, and a bpffs.
#[derive(Debug)]
pub struct RelayHost {
    namespace: Namespace,
    binary: PathBuf,
    version: u32,
    config: PathBuf,
    bpffs: PathBuf,
    /// What its processes have at [`RUN`]; `None`: this machine's.
    run: Option<PathBuf>,
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The `relay` binary.
pub fn binary() -> Result<PathBuf> {
    let path = if let Some(path) = env::var_os(BINARY) {
        PathBuf::from(path)
    } else {
        let this = env::current_exe().context("the path of this executable")?;
        let directory = this.parent().context("the directory of this executable")?;
        let directory =
            if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
        directory.context("the target directory")?.join("relay")
    };
    ensure!(path.is_file(), "the relay binary at {} (cargo build -p relay)", path.display());
    Ok(path)
}

impl RelayHost {
    /// A host connected to `internet`, with forwarding off. Configuration and bpffs are in
    /// `directory`.
    pub fn create(internet: &Namespace, directory: &Path) -> Result<Self> {
        let namespace = Namespace::create("relay")?;
        let inside = namespace.name();
        let outside = internet.name();
        namespace::ip_batch(&format!(
            "link add relay netns {outside} type veth peer name eth0 netns {inside}\n"
        ))?;
        internet.ip_batch("link set relay addrgenmode none\nlink set relay up\naddress add 192.0.2.254/24 dev relay\n",
        )?;
        namespace.ip_batch(&format!(
            "link set eth0 addrgenmode none\n\
                 link set eth0 up\n\
                 address add {UNDERLAY}/24 dev eth0\n\
                 route add default via 192.0.2.254\n"
        ))?;
        // Routes need the carrier, which comes a moment later.
        deadline::until("the relay's underlay", || {
            let link = namespace.run("ip", &["-j", "link", "show", "dev", "eth0"])?;
            Ok(link.contains("\"operstate\":\"UP\"").then_some(()))
        })?;
        Self::on(namespace, directory, None)
    }

    /// One of several hosts: its processes have a /run/relay of their own, in `directory`.
    pub fn apart(namespace: Namespace, directory: &Path) -> Result<Self> {
        let run = directory.join("run");
        fs::create_dir(&run)?;
        fs::create_dir_all(RUN).with_context(|| format!("create {RUN}"))?;
        Self::on(namespace, directory, Some(run))
    }

    fn on(namespace: Namespace, directory: &Path, run: Option<PathBuf>) -> Result<Self> {
        // Do not inherit settings of this machine.
        namespace.set_sysctl("ipv4/ip_forward", 0)?;
        namespace.set_sysctl("ipv6/conf/all/forwarding", 0)?;
        let bpffs = directory.join("bpf");
        fs::create_dir(&bpffs)?;
        mount("bpf", &bpffs, "bpf", MountFlags::empty(), c"mode=0700")
            .with_context(|| format!("mount a bpffs on {}", bpffs.display()))?;
        let config = directory.join("relay.toml");
        let binary = binary()?;
        Ok(Self { namespace, binary, version: ABI_VERSION, config, bpffs, run })
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Runs a `relay` of another ABI version from now on.
    pub fn set_version(&mut self, version: u32) {
        self.version = version;
    }

    /// The file system of its pins.
    pub fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// The directory of an interface's pins.
    pub fn pins(&self, interface: &str) -> Result<PathBuf> {
        let pins = self.namespace.enter(|| Pins::open(&self.bpffs, interface))??;
        Ok(pins.dir().to_owned())
    }

    pub fn write_config(&self, text: &str) -> Result<()> {
        fs::write(&self.config, text).with_context(|| format!("write {}", self.config.display()))
    }

    /// The `relay` command with configuration, bpffs and state set, for [`Namespace::output`].
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&self.binary);
        command.args(arguments);
        command
    }

    /// Any program as [`Self::command`] runs `relay`: with the same files, which `relay` finds when
    /// that program starts it.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match &self.run {
            None => Command::new(program),
            Some(run) => {
                let mut command = Command::new("unshare");
                command.args([
                    "--mount",
                    "sh",
                    "-c",
                    "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"",
                ]);
                command.arg(run).arg(RUN).arg(program);
                command
            }
        };
        command
            .env("RELAY_CONFIG", &self.config)
            .env("RELAY_BPFFS", &self.bpffs)
            .env("RELAY_STATE", self.config.with_file_name("state"))
            .env(VERSION, self.version.to_string())
            .env("NO_COLOR", "1");
        command
    }

    /// The `relay` binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Runs the `relay` command on this host.
    pub fn relay(&self, arguments: &[&str]) -> Result<Outcome> {
        let outcome = Outcome::of(&self.namespace.output(&mut self.command(arguments))?)?;
        for secret in SECRETS {
            let Ok(key) = fs::read_to_string(self.config.with_file_name(secret)) else { continue };
            let said =
                [&outcome.stdout, &outcome.stderr].iter().any(|text| text.contains(key.trim()));
            ensure!(!said, "relay {arguments:?} printed {secret}");
        }
        Ok(outcome)
    }

    /// `relay up --json`.
    pub fn up(&self) -> Result<UpReport> {
        let text = self.relay(&["up", "--json"])?.success("relay up --json")?;
        Ok(serde_json::from_value(schema::parse("up", &text)?)?)
    }

    /// `relay status --check`.
    pub fn require_sound(&self) -> Result<()> {
        self.relay(&["status", "--check"])?.success("status --check").map(drop)
    }

    /// `relay down --json`.
    pub fn down(&self) -> Result<UpReport> {
        let text = self.relay(&["down", "--json"])?.success("relay down --json")?;
        Ok(serde_json::from_value(schema::parse("up", &text)?)?)
    }

    /// `relay stats --json`.
    pub fn stats(&self) -> Result<Stats> {
        let text = self.relay(&["stats", "--json"])?.success("relay stats --json")?;
        Ok(serde_json::from_value(schema::parse("stats", &text)?)?)
    }

    pub fn ledger(&self) -> Result<Ledger> {
        Ok(Ledger::of(&self.stats()?))
    }

    /// Waits until the counters have moved by exactly `expected` since `before`, and returns them.
    pub fn settled(&self, before: &Ledger, expected: &Ledger) -> Result<Ledger> {
        settled(&[self], before, expected)
    }

    /// The output of `wg show INTERFACE KEYWORD` for each peer, by public key.
    pub fn wg(&self, interface: &str, keyword: &str) -> Result<BTreeMap<String, String>> {
        let text = self.namespace.run("wg", &["show", interface, keyword])?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect())
    }

    /// Packets that WireGuard dropped on arrival, such as those with a source address that is not
    /// their sender's.
    pub fn rx_errors(&self, interface: &str) -> Result<u64> {
        let text = self.namespace.run("ip", &["-j", "-s", "link", "show", "dev", interface])?;
        let links: serde_json::Value = serde_json::from_str(&text)?;
        links[0]["stats64"]["rx"]["errors"]
            .as_u64()
            .with_context(|| format!("no error count in {text}"))
    }

    /// Received and sent packets on the underlay, as counted by the interface.
    pub fn underlay(&self) -> Result<(Tally, Tally)> {
        let text = self.namespace.run("ip", &["-j", "-s", "link", "show", "dev", "eth0"])?;
        let links: serde_json::Value = serde_json::from_str(&text)?;
        let read = |direction: &str| {
            let counted = &links[0]["stats64"][direction];
            Some(Tally { packets: counted["packets"].as_u64()?, bytes: counted["bytes"].as_u64()? })
        };
        read("rx").zip(read("tx")).with_context(|| format!("no counters in {text}"))
    }
}

/// The counters of several relays, added up.
pub fn ledger(relays: &[&RelayHost]) -> Result<Ledger> {
    relays.iter().try_fold(Ledger::default(), |sum, relay| Ok(sum.with(relay.ledger()?)))
}

/// Waits until the counters of several relays have moved by exactly `expected` since `before`, and
/// returns them.
pub fn settled(relays: &[&RelayHost], before: &Ledger, expected: &Ledger) -> Result<Ledger> {
    let mut moved = Ledger::default();
    deadline::within(deadline::SETTLING, "the counters", || {
        let now = ledger(relays)?;
        moved = now.since(before)?;
        Ok((moved == *expected).then_some(now))
    })
    .with_context(|| format!("counters moved:\n{moved}expected:\n{expected}"))
}

impl Drop for RelayHost {
    fn drop(&mut self) {
        // Removes the pins, and with them programs and maps.
        let _unmounted = unmount(&self.bpffs, UnmountFlags::DETACH);
    }
}

impl Outcome {
    /// From the output of a command.
    pub fn of(output: &Output) -> Result<Self> {
        let Some(code) = output.status.code() else { bail!("killed: {}", output.status) };
        Ok(Self {
            code,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The standard output of a command that exited with 0.
    pub fn success(self, what: &str) -> Result<String> {
        if self.code != 0 {
            bail!("{what}: exit code {}\n{}{}", self.code, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }

    /// The standard error, a single line, of a command that failed with this exit code.
    pub fn failure(&self, code: i32) -> Result<&str> {
        let said = self.stderr.trim_end();
        if self.code != code || said.is_empty() || said.lines().count() > 1 {
            bail!(
                "expected exit code {code} and one line, found exit code {}:\n{}{}",
                self.code,
                self.stdout,
                self.stderr
            );
        }
        Ok(said)
    }
}
