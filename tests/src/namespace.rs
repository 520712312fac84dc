//! Network namespaces.

use std::{
    fs::{self, File},
    io::Write as _,
    os::fd::AsFd as _,
    path::Path,
    process::{self, Command, Output, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::{
    mount::{UnmountFlags, unmount},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// The directory of `ip netns`.
const DIRECTORY: &str = "/run/netns";

/// A network namespace, deleted on drop with everything in it.
///
/// Commands are started by a thread inside the namespace: `ip netns exec` would mount a new /sys,
/// and hide the bpffs in it from relay.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
}

impl Namespace {
    /// A new namespace `lab<process id>-<role>`, with every interface down.
    pub fn create(role: &str) -> Result<Self> {
        let name = Self::name_of(role);
        succeed(Command::new("ip").args(["netns", "add", &name]))?;
        let path = Path::new(DIRECTORY).join(&name);
        let handle = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { name, handle })
    }

    /// The name of a namespace of this process with this role.
    pub fn name_of(role: &str) -> String {
        format!("lab{}-{role}", process::id())
    }

    /// Its name, for `ip -n`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread inside. Sockets that it opens stay inside.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside =
                thread::Builder::new().name(self.name.clone()).spawn_scoped(scope, || {
                    move_into_link_name_space(
                        self.handle.as_fd(),
                        Some(LinkNameSpaceType::Network),
                    )
                    .with_context(|| format!("setns {}", self.name))?;
                    Ok(work())
                })?;
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a command inside, without input; its failure is not an error.
    pub fn output(&self, command: &mut Command) -> Result<Output> {
        command.stdin(Stdio::null());
        self.enter(|| command.output().with_context(|| format!("start {command:?}")))?
    }

    /// Runs a program inside and returns its standard output.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.enter(|| succeed(Command::new(program).args(arguments)))?
    }

    /// Runs a program inside with `input` as standard input: `ip -batch -`, `nft -f -`.
    pub fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Result<()> {
        self.enter(|| feed(Command::new(program).args(arguments), input))?
    }

    /// Runs `ip -batch` with these lines inside.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        self.feed("ip", &["-batch", "-"], lines)
    }

    /// Sets a sysctl of /proc/sys/net, such as `ipv4/ip_forward`.
    pub fn set_sysctl(&self, key: &str, value: impl ToString + Sync) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.enter(|| fs::write(&path, value.to_string()))?
            .with_context(|| format!("write {}", path.display()))
    }

    /// Lets it forward packets of both families.
    pub fn forward(&self) -> Result<()> {
        self.set_sysctl("ipv4/ip_forward", 1)?;
        self.set_sysctl("ipv6/conf/all/forwarding", 1)
    }

    /// Reads a sysctl of /proc/sys/net.
    pub fn sysctl(&self, key: &str) -> Result<String> {
        let path = Path::new("/proc/sys/net").join(key);
        let text = self
            .enter(|| fs::read_to_string(&path))?
            .with_context(|| format!("read {}", path.display()))?;
        Ok(text.trim().to_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // As `ip netns del` does. There is nowhere to report errors.
        let path = Path::new(DIRECTORY).join(&self.name);
        let _unmounted = unmount(&path, UnmountFlags::DETACH);
        let _removed = fs::remove_file(&path);
    }
}

/// Runs `ip -batch` with these lines, outside of the lab's namespaces.
pub fn ip_batch(lines: &str) -> Result<()> {
    feed(Command::new("ip").args(["-batch", "-"]), lines)
}

fn succeed(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    checked(command, &output)
}

fn feed(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    let mut stdin = child.stdin.take().ok_or_else(|| anyhow!("{command:?} has no input"))?;
    let written = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    checked(command, &output)?;
    written.with_context(|| format!("write to {command:?}"))
}

fn checked(command: &Command, output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = std::str::from_utf8(&output.stdout);
    ensure!(text.is_ok(), "{command:?} wrote no UTF-8");
    Ok(text?.to_owned())
}
