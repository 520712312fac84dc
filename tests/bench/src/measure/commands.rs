//! The cost of commands: instructions where the clock counts them, and for comparison the time of one
//! command on this machine.

use std::{
    ffi::CStr,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use relay_tests::memory;
use rustix::mount::{MountFlags, mount};

use super::{fleet::Fleet, takeover};
use crate::rows::{DOWN, FIRST_UP, ONE_MORE, SETCONF};

/// The command that is timed: it needs no kernel support.
pub const PACE: &str = "check";

/// The commands. All read the configuration, and all but [`PACE`] the kernel.
const VERBS: [&[&str]; 5] = [&[PACE], &["stats"], &["stats", "--json"], &["status"], &["up"]];

/// What reads the same interface, for comparison.
const WG: [&str; 4] = ["wg", "show", INTERFACE, "dump"];

/// What a server of metrics answers.
const SCRAPE: &str = "serve: GET /metrics";

/// The interface of a configuration that names none.
const INTERFACE: &str = "relay0";

/// That of wg(8) alone.
const OTHER: &str = "other0";

/// What calls the peers of another relay.
const TAKEOVER: &str = "takeover";

/// Number of runs; the minimum counts.
const TIMES: u32 = 10;

/// What a command took.
#[derive(Debug)]
pub struct Cost {
    /// Its words, without `relay`.
    pub verb: String,
    /// Instructions.
    pub instructions: u64,
    /// Most memory that was resident, KiB, of a process that goes on.
    pub resident_kib: Option<u64>,
}

/// A relay's configuration in a directory of its own.
#[derive(Debug)]
pub struct Commands {
    relay: PathBuf,
    peers: u32,
    directory: tempfile::TempDir,
}

impl Commands {
    /// A configuration in which peer 0 and all others list each other, for the binary `relay`.
    pub fn new(relay: PathBuf, peers: u32) -> Result<Self> {
        let directory = tempfile::tempdir().context("a directory for the configuration")?;
        let mut text =
            "[relay]\naddress = [\"10.64.0.1/12\"]\nprivate_key_file = \"key\"\n".to_owned();
        text.extend((0..peers).map(peer));
        let commands = Self { relay, peers, directory };
        fs::write(commands.config(), text)?;
        Ok(commands)
    }

    /// Brings the relay up and counts the instructions of each command and of wg(8), from the start of
    /// its process, and those of an answer of `relay serve`; an instruction takes 2^shift ns.
    pub fn count(&self, shift: u32) -> Result<Vec<Cost>> {
        self.up()?;
        let verbs = VERBS.iter().map(|words| (words.join(" "), self.relay(words)));
        let mut wg = Command::new(WG[0]);
        wg.args(&WG[1..]);
        let instructions =
            |took: Duration| Ok::<_, anyhow::Error>(u64::try_from(took.as_nanos())? >> shift);
        let mut costs = Vec::new();
        for (verb, mut command) in verbs.chain([(WG.join(" "), wg)]) {
            // Warm-up: reads files from disk.
            timed(&mut command)?;
            let took = timed(&mut command)?;
            costs.push(Cost { verb, instructions: instructions(took)?, resident_kib: None });
        }
        let (took, resident) = self.scrape()?;
        costs.push(Cost {
            verb: SCRAPE.to_owned(),
            instructions: instructions(took)?,
            resident_kib: Some(resident),
        });
        Ok(costs)
    }

    /// The time of an answer of `relay serve` with all metrics, from the request to its last byte, and
    /// the most memory that the server had resident, KiB.
    fn scrape(&self) -> Result<(Duration, u64)> {
        let words = ["serve", "--listen", "127.0.0.1:0", "--no-history"];
        let mut server =
            self.relay(&words).stdout(Stdio::piped()).spawn().context("start `relay serve`")?;
        let mut line = String::new();
        BufReader::new(server.stdout.take().context("its output")?).read_line(&mut line)?;
        let address = line.trim().rsplit('/').next().context("an address")?;
        let mut took = Duration::MAX;
        // The first one also reads the configuration.
        for _ in 0..3 {
            let started = Instant::now();
            let mut stream = TcpStream::connect(address).with_context(|| line.clone())?;
            let head =
                format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            took = took.min(started.elapsed());
            ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        let most = memory::field(&format!("/proc/{}/status", server.id()), "VmHWM")?;
        server.kill().context("end `relay serve`")?;
        server.wait()?;
        Ok((took, most))
    }

    /// The instructions of `relay takeover` of all peers by a relay of a site that is not up yet, the
    /// kernel's part included. They are called and do not answer; after five seconds they would be
    /// called again.
    pub fn take_over(&self, shift: u32) -> Result<Cost> {
        takeover::join_site(&self.config())?;
        self.up()?;
        takeover::all_elsewhere(&self.bpffs(), INTERFACE)?;
        let before = takeover::idle()?;
        let took = self.run(&[TAKEOVER])?;
        let busy = took.saturating_sub(takeover::idle()? - before);
        let instructions = u64::try_from(busy.as_nanos())? >> shift;
        Ok(Cost { verb: TAKEOVER.to_owned(), instructions, resident_kib: None })
    }

    /// What changes take: the instructions of the first `up`, of a reload that adds a peer, of `down`,
    /// and of `wg setconf` with the same peers. Times in which the processor waits count as if it
    /// computed.
    pub fn change(&self, shift: u32) -> Result<Vec<Cost>> {
        let mut costs = Vec::new();
        let mut add = |verb: &str, took: Duration| -> Result<()> {
            let instructions = u64::try_from(took.as_nanos())? >> shift;
            costs.push(Cost { verb: verb.to_owned(), instructions, resident_kib: None });
            Ok(())
        };
        // Warm-up: reads files from disk.
        self.run(&[PACE])?;
        add(SETCONF, self.set_conf()?)?;
        self.make_bpffs()?;
        add(FIRST_UP, self.run(&["up"])?)?;
        let mut text = fs::read_to_string(self.config())?;
        text += &peer(self.peers);
        fs::write(self.config(), text)?;
        add(ONE_MORE, self.run(&["reload"])?)?;
        add(DOWN, self.run(&[DOWN])?)?;
        Ok(costs)
    }

    /// The time of `wg setconf` with these peers, on an interface that goes again.
    fn set_conf(&self) -> Result<Duration> {
        let file = self.directory.path().join("wg.conf");
        // With a key: only then does the kernel compute what it has in common with each peer.
        let mut text =
            format!("[Interface]\nPrivateKey = {}\nListenPort = 51821\n", key(self.peers));
        for peer in 0..self.peers {
            writeln!(
                text,
                "[Peer]\nPublicKey = {}\nAllowedIPs = {}/32",
                key(peer),
                Fleet::v4(peer)
            )?;
        }
        fs::write(&file, text)?;
        let ip = |words: &[&str]| timed(Command::new("ip").args(words));
        ip(&["link", "add", OTHER, "type", "wireguard"])?;
        let set = || timed(Command::new("wg").args(["setconf", OTHER]).arg(&file));
        let took = set()?;
        // Without its peers it goes at once.
        fs::write(&file, "[Interface]\n")?;
        set()?;
        ip(&["link", "del", OTHER])?;
        Ok(took)
    }

    /// Minimum time of [`PACE`].
    pub fn pace(&self) -> Result<Duration> {
        let mut least = Duration::MAX;
        for _ in 0..TIMES {
            least = least.min(self.run(&[PACE])?);
        }
        Ok(least)
    }

    fn up(&self) -> Result<()> {
        self.make_bpffs()?;
        self.run(&["up"]).map(drop)
    }

    fn make_bpffs(&self) -> Result<()> {
        let bpffs = self.bpffs();
        fs::create_dir(&bpffs)?;
        mount("bpf", &bpffs, "bpf", MountFlags::empty(), None::<&CStr>).context("mount a bpffs")
    }

    /// Takes the relay down.
    pub fn down(&self) -> Result<()> {
        self.run(&[DOWN]).map(drop)
    }

    fn bpffs(&self) -> PathBuf {
        self.directory.path().join("bpf")
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("relay.toml")
    }

    fn run(&self, words: &[&str]) -> Result<Duration> {
        timed(&mut self.relay(words))
    }

    fn relay(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.relay);
        command
            .args([Path::new("--config"), &self.config()])
            .args([Path::new("--bpffs"), &self.bpffs()])
            .args(words);
        command
    }
}

/// The table of a peer. Peer 0 lists all, and all list it.
fn peer(number: u32) -> String {
    let lists =
        if number == 0 { "10.64.0.0/12".to_owned() } else { format!("{}/32", Fleet::v4(0)) };
    format!(
        "[[peer]]\nname = \"peer-{number}\"\npublic_key = \"{}\"\naddress = [\"{}\"]\n\
         allowed_ips = [\"{lists}\"]\n",
        key(number),
        Fleet::v4(number)
    )
}

/// The public key of a peer, in Base64.
fn key(number: u32) -> String {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&(number + 1).to_be_bytes());
    BASE64_STANDARD.encode(key)
}

fn timed(command: &mut Command) -> Result<Duration> {
    // Progress on the machine's console would stand in front of the figures.
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let output = command.output();
    let took = started.elapsed();
    let output = output.with_context(|| format!("run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, said.trim_end());
    Ok(took)
}
