//! The cost of commands: instructions where the clock counts them, and for comparison the time of one
//! command on this machine.

use std::{
    ffi::CStr,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustix::mount::{MountFlags, mount};

use super::fleet::Fleet;

/// The command that is timed: it needs no kernel support.
pub const PACE: &str = "check";

/// The commands. All read the configuration, and all but [`PACE`] the kernel.
const VERBS: [&[&str]; 5] = [&[PACE], &["stats"], &["stats", "--json"], &["status"], &["up"]];

/// What reads the same interface, for comparison.
const WG: [&str; 4] = ["wg", "show", INTERFACE, "dump"];

/// The interface of a configuration that names none.
const INTERFACE: &str = "relay0";

/// Number of runs; the minimum counts.
const TIMES: u32 = 10;

/// A relay's configuration in a directory of its own.
#[derive(Debug)]
pub struct Commands {
    relay: PathBuf,
    directory: tempfile::TempDir,
}

impl Commands {
    /// A configuration in which peer 0 and all others list each other, for the binary `relay`.
    pub fn new(relay: PathBuf, peers: u32) -> Result<Self> {
        let directory = tempfile::tempdir().context("a directory for the configuration")?;
        let mut text =
            "[relay]\naddress = [\"10.64.0.1/12\"]\nprivate_key_file = \"key\"\n".to_owned();
        for peer in 0..peers {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&(peer + 1).to_be_bytes());
            let lists =
                if peer == 0 { "10.64.0.0/12".to_owned() } else { format!("{}/32", Fleet::v4(0)) };
            write!(
                text,
                "[[peer]]\nname = \"peer-{peer}\"\npublic_key = \"{}\"\naddress = [\"{}\"]\n\
                 allowed_ips = [\"{lists}\"]\n",
                BASE64_STANDARD.encode(key),
                Fleet::v4(peer)
            )?;
        }
        fs::write(directory.path().join("relay.toml"), text)?;
        Ok(Self { relay, directory })
    }

    /// Brings the relay up and counts the instructions of each command and of wg(8), from the start of
    /// its process; an instruction takes 2^shift ns.
    pub fn count(&self, shift: u32) -> Result<Vec<(String, u64)>> {
        let bpffs = self.bpffs();
        fs::create_dir(&bpffs)?;
        mount("bpf", &bpffs, "bpf", MountFlags::empty(), None::<&CStr>).context("mount a bpffs")?;
        self.run(&["up"])?;
        let verbs = VERBS.iter().map(|words| (words.join(" "), self.relay(words)));
        let mut wg = Command::new(WG[0]);
        wg.args(&WG[1..]);
        verbs
            .chain([(WG.join(" "), wg)])
            .map(|(name, mut command)| {
                // Warm-up: reads files from disk.
                timed(&mut command)?;
                let took = u64::try_from(timed(&mut command)?.as_nanos())?;
                Ok((name, took >> shift))
            })
            .collect()
    }

    /// Minimum time of [`PACE`].
    pub fn pace(&self) -> Result<Duration> {
        let mut least = Duration::MAX;
        for _ in 0..TIMES {
            least = least.min(self.run(&[PACE])?);
        }
        Ok(least)
    }

    /// Takes the relay down, which is slow with many peers.
    pub fn down(&self) -> Result<()> {
        self.run(&["down"]).map(drop)
    }

    fn bpffs(&self) -> PathBuf {
        self.directory.path().join("bpf")
    }

    fn run(&self, words: &[&str]) -> Result<Duration> {
        timed(&mut self.relay(words))
    }

    fn relay(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.relay);
        command
            .args([Path::new("--config"), &self.directory.path().join("relay.toml")])
            .args([Path::new("--bpffs"), &self.bpffs()])
            .args(words);
        command
    }
}

fn timed(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).status();
    let took = started.elapsed();
    let status = status.with_context(|| format!("run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}
