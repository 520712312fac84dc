//! A virtual machine that boots one of Debian's stock kernels under QEMU's software emulation, runs
//! one command, passes on its output as it comes, and returns its exit code.
//!
//! Nothing is installed and nothing stays: the root is an initramfs, the machine has no disk and no
//! network card. Two serial lines lead out: the kernel's messages and the command's output.

mod archive;
pub(crate) mod console;
pub(crate) mod initramfs;
pub(crate) mod kernel;
mod libraries;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::console::Event;
use self::initramfs::{Base, Overlay};
use self::kernel::Kernel;
use crate::{process, terminal, workspace};

/// The emulated kernel is up after three seconds; a machine shared with a build takes longer.
const BOOT: Duration = Duration::from_secs(120);

/// What the guest's clocks go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The host's time, on two processors that take turns on one of the host's.
    Host,
    /// The instructions of its one processor, 2^shift ns each; waiting takes no time. Then guest
    /// time tells what something costs, whatever else the host does.
    Instructions {
        /// Nanoseconds an instruction, as a power of two.
        shift: u8,
    },
}

/// A virtual machine, described.
pub(crate) struct Vm {
    /// What it boots.
    pub(crate) kernel: Kernel,
    /// Files or directories of the host and where they go in the guest; the libraries that
    /// programs among them need come along.
    pub(crate) files: Vec<(PathBuf, PathBuf)>,
    /// Variables the command finds in its environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// What time is to it.
    pub(crate) clock: Clock,
    /// Memory in MiB.
    pub(crate) memory_mib: u32,
    /// Whether a warning in the kernel's messages is part of what is tested.
    pub(crate) allow_kernel_warnings: bool,
}

impl Vm {
    /// A machine with nothing added.
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            files: Vec::new(),
            environment: BTreeMap::new(),
            clock: Clock::Host,
            memory_mib: 2048,
            allow_kernel_warnings: false,
        }
    }

    /// Boots, runs `command` with a POSIX shell, hands every line of its output (both streams) to
    /// `on_line`, and returns its exit code.
    ///
    /// # Errors
    /// The machine cannot be built or booted, the command is not done at the deadline, the guest
    /// stops without an exit code, or its kernel complains.
    pub(crate) fn run(
        &self,
        command: &str,
        deadline: Duration,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<i32> {
        let mut texts = BTreeMap::new();
        let mut environment = self.environment.clone();
        if !std::io::stdout().is_terminal() {
            for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("WG_COLOR_MODE", "never")] {
                environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        let exports: String = environment
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", process::quote(value)))
            .collect();
        texts.insert("vm/command".to_owned(), format!("{exports}{command}\n"));
        let place = self.assemble(&texts)?;
        let mut qemu = self.qemu(&place);
        qemu.args(["-serial", "stdio"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut machine = Machine::start(&mut qemu)?;
        let output = machine.child.stdout.take().context("QEMU has no standard output")?;
        let events = read_lines(output, place.raw.clone())?;

        // The guest's programs write to a terminal, whatever this end is.
        let is_terminal = std::io::stdout().is_terminal();
        let outcome = watch(&events, deadline, &mut |line| {
            if is_terminal { on_line(line) } else { on_line(&terminal::plain(line)) }
        });
        machine.stop(if outcome.is_ok() { Duration::from_secs(5) } else { Duration::ZERO });
        let log = String::from_utf8_lossy(&fs::read(&place.console).unwrap_or_default())
            .replace('\r', "");
        let logs = format!("kernel messages: {}", place.console.display());
        let alarm = console::alarm(&log).filter(|_| !self.allow_kernel_warnings);
        match (outcome, alarm) {
            (Ok(code), None) => Ok(code),
            (Ok(_), Some(alarm)) => {
                bail!("the guest's {} kernel complained:\n{alarm}\n{logs}", self.kernel.series)
            }
            (Err(error), Some(alarm)) => {
                Err(error.context(format!("the guest's kernel complained:\n{alarm}\n{logs}")))
            }
            (Err(error), None) => {
                let tail: Vec<_> = log.lines().rev().take(15).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                Err(error.context(format!("its last messages:\n{tail}\n{logs}")))
            }
        }
    }

    /// Boots into an interactive shell on this terminal.
    ///
    /// # Errors
    /// The machine cannot be built or booted.
    pub(crate) fn shell(&self) -> Result<()> {
        let mut texts = BTreeMap::new();
        texts.insert("vm/shell".to_owned(), String::new());
        let place = self.assemble(&texts)?;
        let mut qemu = self.qemu(&place);
        // The terminal's interrupt key belongs to the guest's shell.
        qemu.args(["-chardev", "stdio,id=terminal,signal=off", "-serial", "chardev:terminal"]);
        let mut machine = Machine::start(&mut qemu)?;
        machine.child.wait().context("cannot wait for QEMU")?;
        Ok(())
    }

    fn assemble(&self, texts: &BTreeMap<String, String>) -> Result<Place> {
        let base = Base::prepare(&self.kernel)?;
        let place = Place::new(&self.kernel)?;
        base.extend(Overlay { files: &self.files, texts }, &place.initramfs)?;
        Ok(place)
    }

    fn qemu(&self, place: &Place) -> Command {
        // A killed xtask must not leave an emulator behind.
        let mut command = match process::find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
                command
            }
            None => Command::new("qemu-system-x86_64"),
        };
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        match self.clock {
            // With a thread for each processor, one may go on with code that it translated from
            // the breakpoint of a patch (text_poke_bp(), arch/x86/kernel/alternative.c) when the
            // other has already ended the patch: an oops (int3) in the guest.
            Clock::Host => {
                command.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2"])
            }
            Clock::Instructions { shift } => command
                .args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "1"])
                .arg("-icount")
                .arg(format!("shift={shift},sleep=off")),
        };
        command.arg("-m").arg(self.memory_mib.to_string());
        command.arg("-kernel").arg(self.kernel.image());
        command.arg("-initrd").arg(&place.initramfs);
        // Watchdogs measure a shared host here, not the kernel.
        command.arg("-append").arg(
            "console=ttyS0 panic=-1 oops=panic mitigations=off quiet nowatchdog \
             rcupdate.rcu_cpu_stall_suppress=1 rdinit=/init",
        );
        let mut line = std::ffi::OsString::from("file:");
        line.push(&place.console);
        command.arg("-serial").arg(line);
        command
    }
}

/// The files of one run, below the build directory.
struct Place {
    initramfs: PathBuf,
    console: PathBuf,
    raw: PathBuf,
}

impl Place {
    fn new(kernel: &Kernel) -> Result<Self> {
        let directory = workspace::target().join("vm");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let name = format!("{}-{}", kernel.series, std::process::id());
        Ok(Self {
            initramfs: directory.join(format!("{name}.cpio")),
            console: directory.join(format!("{name}.kernel.log")),
            raw: directory.join(format!("{name}.output.log")),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Large, and made again in no time; the logs stay.
        let _ = fs::remove_file(&self.initramfs);
    }
}

/// A running QEMU that does not outlive its owner.
struct Machine {
    child: Child,
}

impl Machine {
    fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| {
            format!(
                "cannot start `{}`; install it: apt-get install qemu-system-x86",
                process::describe(command)
            )
        })?;
        Ok(Self { child })
    }

    /// Gives it time to power off, then ends it.
    fn stop(&mut self, grace: Duration) {
        let end = Instant::now() + grace;
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// Splits the command's line into events on a thread of its own, and keeps what came as it came.
fn read_lines(output: impl Read + Send + 'static, raw: PathBuf) -> Result<Receiver<Event>> {
    let mut copy =
        fs::File::create(&raw).with_context(|| format!("cannot make {}", raw.display()))?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            // The log is a convenience: a full disk must not end the run.
            let _ = copy.write_all(&line);
            for event in console::parse(&line) {
                if sender.send(event).is_err() {
                    return;
                }
            }
            line.clear();
        }
    });
    Ok(receiver)
}

fn watch(
    events: &Receiver<Event>,
    deadline: Duration,
    on_line: &mut dyn FnMut(&str),
) -> Result<i32> {
    let started = Instant::now();
    let mut ready = false;
    loop {
        let limit = if ready { deadline } else { deadline.min(BOOT) };
        let left = limit.saturating_sub(started.elapsed());
        match events.recv_timeout(left) {
            Ok(Event::Ready) => ready = true,
            Ok(Event::Line(line)) => {
                if ready {
                    on_line(&line);
                }
            }
            Ok(Event::Exit(code)) => return Ok(code),
            Err(RecvTimeoutError::Timeout) if ready => bail!(
                "the virtual machine was stopped: its command was not done after {} s",
                deadline.as_secs()
            ),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the virtual machine did not come up within {} s", limit.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the virtual machine stopped without an exit code from its command")
            }
        }
    }
}

/// Where a file of the host goes when the guest is to find it under the same path.
pub(crate) fn same_path(path: &Path) -> (PathBuf, PathBuf) {
    (path.to_path_buf(), path.to_path_buf())
}
