//! A virtual machine that boots a Debian kernel in QEMU (software emulation, no KVM), runs one
//! command, streams its output and returns its exit code.
//!
//! The root is an initramfs; the machine has no disk, and leaves only its logs. Two serial lines lead
//! out: one for kernel messages, one for the output of the command. It has a network card only if
//! ports of the host are forwarded to it; nothing that begins inside leaves by that.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::console::{self, Event};
use crate::initramfs::{Base, Overlay};
use crate::kernel::Kernel;
use crate::{Architecture, process, terminal, workspace};

/// An emulated kernel boots in three seconds, and in more on a busy host.
const BOOT: Duration = Duration::from_secs(120);

/// What drives the guest's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The host's time.
    Host,
    /// The number of instructions executed, 2^shift ns each; idle time is skipped. Guest time then
    /// measures cost, independent of the load on the host. Needs a single processor.
    Instructions {
        /// Nanoseconds per instruction, as a power of two.
        shift: u8,
    },
}

/// Description of a virtual machine.
pub struct Machine {
    pub kernel: Kernel,
    /// Files or directories of the host and their paths in the guest. Shared libraries that
    /// programs among them need are added.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Environment of the command.
    pub environment: BTreeMap<String, String>,
    pub clock: Clock,
    /// Processors of the guest; they take turns on one processor of the host.
    pub processors: u8,
    pub memory_mib: u32,
    /// TCP ports on the host's 127.0.0.1, each with the port of [`Self::ADDRESS`] that it leads to.
    /// With any, the machine has a network card, down and without addresses, named `eth0`.
    pub forwarded: Vec<(u16, u16)>,
    /// Kernel parameters besides the machine's own.
    pub parameters: Vec<String>,
    /// Do not fail when the guest's kernel logs a warning.
    pub allow_kernel_warnings: bool,
}

impl Machine {
    /// Processors unless the caller sets another number.
    pub const PROCESSORS: u8 = 2;

    /// The address to which ports are forwarded, in a network of 24 bits.
    pub const ADDRESS: &str = "10.0.2.15";

    /// A machine that holds nothing but the tools of the lab.
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            files: Vec::new(),
            environment: BTreeMap::new(),
            clock: Clock::Host,
            processors: Self::PROCESSORS,
            memory_mib: 2048,
            forwarded: Vec::new(),
            parameters: Vec::new(),
            allow_kernel_warnings: false,
        }
    }

    /// Boots, runs `command` in a POSIX shell, passes each line of output (both streams) to
    /// `on_line`, and returns the exit code.
    ///
    /// # Errors
    /// The machine does not boot, the command misses its deadline, the guest stops without an exit
    /// code, or its kernel logs a warning.
    pub fn run(
        &self,
        command: &str,
        deadline: Duration,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<i32> {
        let mut texts = BTreeMap::new();
        let mut environment = self.environment.clone();
        if matches!(self.clock, Clock::Instructions { .. }) {
            environment.insert("RELAY_VM_CLOCK".to_owned(), "instructions".to_owned());
        }
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
        let place = self.assemble(texts)?;
        let mut qemu = self.qemu(&place);
        self.connect(&mut qemu, "stdio,id=line");
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut emulator = Emulator::start(&mut qemu)?;
        let output = emulator.child.stdout.take().context("QEMU has no standard output")?;
        let events = read_lines(output, place.raw.clone())?;

        // The guest's serial line is a terminal, so its programs may write escape sequences.
        let is_terminal = std::io::stdout().is_terminal();
        let outcome = watch(&events, deadline, &mut |line| {
            if is_terminal { on_line(line) } else { on_line(&terminal::plain(line)) }
        });
        emulator.stop(if outcome.is_ok() { Duration::from_secs(5) } else { Duration::ZERO });
        let log = String::from_utf8_lossy(&fs::read(&place.console).unwrap_or_default())
            .replace('\r', "");
        let logs = format!("kernel messages: {}", place.console.display());
        let alarm = console::alarm(&log).filter(|_| !self.allow_kernel_warnings);
        match (outcome, alarm) {
            (Ok(code), None) => Ok(code),
            (Ok(_), Some(alarm)) => {
                bail!("the guest's kernel {} logged:\n{alarm}\n{logs}", self.kernel.label())
            }
            (Err(error), Some(alarm)) => {
                Err(error.context(format!("the guest's kernel logged:\n{alarm}\n{logs}")))
            }
            (Err(error), None) => {
                let tail: Vec<_> = log.lines().rev().take(15).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                Err(error.context(format!("last kernel messages:\n{tail}\n{logs}")))
            }
        }
    }

    /// Boots into an interactive shell on this terminal.
    ///
    /// # Errors
    /// The machine does not boot.
    pub fn shell(&self) -> Result<()> {
        let mut texts = BTreeMap::new();
        texts.insert("vm/shell".to_owned(), String::new());
        let place = self.assemble(texts)?;
        let mut qemu = self.qemu(&place);
        // Ctrl-C goes to the guest's shell.
        self.connect(&mut qemu, "stdio,id=line,signal=off");
        let mut emulator = Emulator::start(&mut qemu)?;
        emulator.child.wait().context("cannot wait for QEMU")?;
        Ok(())
    }

    fn assemble(&self, mut texts: BTreeMap<String, String>) -> Result<Place> {
        let base = Base::prepare(&self.kernel)?;
        let place = Place::new(&self.kernel, self.clock)?;
        if !self.forwarded.is_empty() {
            texts.insert("vm/forwarded".to_owned(), String::new());
        }
        base.extend(Overlay { files: &self.files, texts: &texts }, &place.initramfs)?;
        Ok(place)
    }

    fn qemu(&self, place: &Place) -> Command {
        let emulator = format!("qemu-system-{}", self.kernel.architecture.processor());
        // The emulator ends with its parent, however that ends.
        let mut command = match process::find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", &emulator]);
                command
            }
            None => Command::new(&emulator),
        };
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        // With a thread per processor, one may run code that it translated from the breakpoint of a
        // patch (text_poke_bp(), arch/x86/kernel/alternative.c) after the other has completed the
        // patch: an oops (int3) in the guest.
        command.args(["-accel", "tcg,thread=single"]);
        let console = match self.kernel.architecture {
            Architecture::Amd64 => {
                command.args(["-cpu", "max"]);
                "console=ttyS0 line=ttyS1 no_timer_check"
            }
            Architecture::Arm64 => {
                // The kernel signs the address of each return, by default with a cipher that takes
                // most of the emulator's time.
                command.args(["-machine", "virt", "-cpu", "max,pauth-impdef=on"]);
                "console=ttyAMA0 line=ttyS0"
            }
        };
        let processors = match self.clock {
            Clock::Host => self.processors,
            Clock::Instructions { shift } => {
                command.arg("-icount").arg(format!("shift={shift},sleep=off"));
                1
            }
        };
        command.arg("-smp").arg(processors.to_string());
        command.arg("-m").arg(self.memory_mib.to_string());
        if !self.forwarded.is_empty() {
            let mut network = "user,id=network,restrict=on".to_owned();
            for (host, guest) in &self.forwarded {
                network += &format!(",hostfwd=tcp:127.0.0.1:{host}-{}:{guest}", Self::ADDRESS);
            }
            command.arg("-netdev").arg(network);
            command.args(["-device", "virtio-net-pci,netdev=network,romfile="]);
        }
        command.arg("-kernel").arg(self.kernel.image());
        command.arg("-initrd").arg(&place.initramfs);
        // On a shared host, watchdogs would report the host's load, and so would x86's check at boot
        // that timer interrupts arrive while the guest counts instructions.
        let own = "panic=-1 oops=panic mitigations=off quiet nowatchdog \
                   rcupdate.rcu_cpu_stall_suppress=1 rdinit=/init";
        command.arg("-append").arg(format!("{console} {own} {}", self.parameters.join(" ")));
        let mut line = std::ffi::OsString::from("file:");
        line.push(&place.console);
        command.arg("-serial").arg(line);
        command
    }

    /// Connects the line of the command, which init.sh knows as `line`.
    fn connect(&self, qemu: &mut Command, character_device: &str) {
        qemu.args(["-chardev", character_device]);
        qemu.args(match self.kernel.architecture {
            Architecture::Amd64 => ["-serial", "chardev:line"],
            // The board has one line of its own.
            Architecture::Arm64 => ["-device", "pci-serial,chardev=line"],
        });
    }
}

/// Files of one run, in the build directory.
struct Place {
    initramfs: PathBuf,
    console: PathBuf,
    raw: PathBuf,
}

impl Place {
    fn new(kernel: &Kernel, clock: Clock) -> Result<Self> {
        let directory = workspace::target().join("vm");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let clock = match clock {
            Clock::Host => "",
            Clock::Instructions { .. } => "icount-",
        };
        let name = format!("{}-{clock}{}", kernel.label(), std::process::id());
        Ok(Self {
            initramfs: directory.join(format!("{name}.cpio")),
            console: directory.join(format!("{name}.kernel.log")),
            raw: directory.join(format!("{name}.output.log")),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Large and quickly rebuilt; the logs stay.
        let _ = fs::remove_file(&self.initramfs);
    }
}

/// A running QEMU, stopped on drop.
struct Emulator {
    child: Child,
}

impl Emulator {
    fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| {
            format!(
                "cannot start `{}`; install it: apt-get install qemu-system-x86 qemu-system-arm",
                process::describe(command)
            )
        })?;
        Ok(Self { child })
    }

    /// Waits for the guest to power off, then kills QEMU.
    fn stop(&mut self, grace: Duration) {
        let end = Instant::now() + grace;
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Both fail only if it has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// Parses the command's serial line into events on a thread of its own, and logs it to `raw`.
fn read_lines(output: impl Read + Send + 'static, raw: PathBuf) -> Result<Receiver<Event>> {
    let mut copy =
        fs::File::create(&raw).with_context(|| format!("cannot make {}", raw.display()))?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            // A full disk must not end the run.
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
                "stopped the virtual machine: its command did not finish within {} s",
                deadline.as_secs()
            ),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the virtual machine did not boot within {} s", limit.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the virtual machine stopped without an exit code from its command")
            }
        }
    }
}

/// Maps a file of the host to the same path in the guest.
pub fn same_path(path: &Path) -> (PathBuf, PathBuf) {
    (path.to_path_buf(), path.to_path_buf())
}
