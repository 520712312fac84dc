//! What tests need from the machine. A test without its needs skips, or fails if they are required.

use std::{
    env, fs,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use relay_vm::{browser, process, prometheus};

use crate::{Namespace, relay_host};

/// Environment variable: a comma-separated list of required needs, or `all`.
pub const REQUIRE: &str = "RELAY_TEST_REQUIRE";

/// Programs that the lab runs.
const TOOLS: [&str; 5] = ["ip", "wg", "wg-quick", "nft", "tc"];

/// What the virtual machine calls its clock.
const CLOCK: &str = "RELAY_VM_CLOCK";

/// What the virtual machine calls itself.
const MACHINE: &str = "relay-vm";

/// Something that a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// User id 0, for namespaces.
    Root,
    /// `ip`, `wg`, `wg-quick`, `nft` and `tc`.
    Tools,
    /// The `relay` binary.
    Relay,
    /// A kernel that loads BPF programs for this process.
    Bpf,
    /// `/dev/net/tun`.
    Tun,
    /// WireGuard in the kernel.
    WireGuard,
    /// `wireguard-go`.
    WireGuardGo,
    /// A kernel that has no WireGuard.
    NoWireGuard,
    /// The virtual machine of `xtask vm`, which nobody else uses.
    OwnMachine,
    /// Prometheus and promtool, which `cargo xtask setup` puts into the cache.
    Prometheus,
    /// A virtual machine whose clock skips the time in which it waits.
    SkippingClock,
    /// QEMU, in which a test starts a machine.
    VirtualMachine,
    /// Chromium with its driver, and what `cargo xtask setup` puts into the cache for it.
    Browser,
}

/// The needs of every scenario of the lab.
pub const LAB: &[Need] = &[Need::Root, Need::Tools, Need::Relay, Need::WireGuard];

/// The needs of those that measure time, or let much of it pass.
pub const TIMED: &[Need] =
    &[Need::Root, Need::Tools, Need::Relay, Need::WireGuard, Need::SkippingClock];

/// The needs of those that attach programs to a TUN interface.
pub const TUN: &[Need] = &[Need::Root, Need::Tools, Need::Bpf, Need::Tun];

impl Need {
    /// Its name in [`REQUIRE`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Tools => "tools",
            Self::Relay => "relay",
            Self::Bpf => "bpf",
            Self::Tun => "tun",
            Self::WireGuard => "wireguard",
            Self::WireGuardGo => "wireguard-go",
            Self::NoWireGuard => "no-wireguard",
            Self::OwnMachine => "own-machine",
            Self::Prometheus => "prometheus",
            Self::SkippingClock => "skipping-clock",
            Self::VirtualMachine => "vm",
            Self::Browser => "browser",
        }
    }

    /// What this machine lacks of it, if anything.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Root => (!rustix::process::geteuid().is_root()).then(|| "user id 0".to_owned()),
            Self::Tools => {
                let absent: Vec<&str> = TOOLS.into_iter().filter(|tool| !on_path(tool)).collect();
                (!absent.is_empty()).then(|| format!("the programs {}", absent.join(", ")))
            }
            Self::Relay => relay_host::binary().err().map(|error| format!("{error:#}")),
            Self::Bpf => {
                let supported =
                    aya::sys::is_program_supported(aya::programs::ProgramType::SchedClassifier);
                (!supported.unwrap_or(false)).then(|| "BPF programs for traffic control".to_owned())
            }
            Self::Tun => (!Path::new("/dev/net/tun").exists()).then(|| "/dev/net/tun".to_owned()),
            Self::WireGuardGo => {
                (!on_path("wireguard-go")).then(|| "wireguard-go on PATH".to_owned())
            }
            Self::WireGuard => {
                (!kernel_has_wireguard()).then(|| "WireGuard in the kernel".to_owned())
            }
            Self::NoWireGuard => {
                kernel_has_wireguard().then(|| "a kernel without WireGuard".to_owned())
            }
            Self::OwnMachine => {
                let is_own = fs::read_to_string("/proc/sys/kernel/hostname")
                    .is_ok_and(|name| name.trim() == MACHINE)
                    && Path::new("/vm/modules/order").is_file();
                (!is_own).then(|| "a machine of the lab's own (cargo xtask vm)".to_owned())
            }
            Self::Prometheus => {
                let absent: Vec<&str> = prometheus::PROGRAMS
                    .into_iter()
                    .filter(|program| prometheus::program(program).is_none())
                    .collect();
                (!absent.is_empty())
                    .then(|| format!("{} (cargo xtask setup)", absent.join(" and ")))
            }
            Self::VirtualMachine => {
                let has_qemu = process::find("qemu-system-x86_64").is_some();
                (!has_qemu).then(|| "qemu-system-x86_64 (cargo xtask setup)".to_owned())
            }
            Self::Browser => {
                let missing = browser::missing();
                (!missing.is_empty())
                    .then(|| format!("{} (cargo xtask setup)", missing.join(" and ")))
            }
            Self::SkippingClock => {
                let skips = env::var(CLOCK).is_ok_and(|clock| clock == "instructions");
                (!skips)
                    .then(|| "a clock that skips idle time (cargo xtask vm --icount 1)".to_owned())
            }
        }
    }
}

/// Whether `test` can run here; otherwise prints what is missing, and panics if [`REQUIRE`] names
/// it.
pub fn possible(test: &str, needs: &[Need]) -> bool {
    // No machine has both WireGuard and no WireGuard.
    check(test, needs, |need| need != Need::NoWireGuard)
}

/// The same for tests that also run in the virtual machine, so that `all` requires nothing here.
pub fn possible_here(test: &str, needs: &[Need]) -> bool {
    check(test, needs, |_| false)
}

fn check(test: &str, needs: &[Need], in_all: impl Fn(Need) -> bool) -> bool {
    let required = env::var(REQUIRE).unwrap_or_default();
    for need in needs {
        let Some(missing) = need.missing() else { continue };
        let required_here = required
            .split(',')
            .map(str::trim)
            .any(|piece| piece == need.name() || (piece == "all" && in_all(*need)));
        assert!(!required_here, "{test}: missing {missing}, required by {REQUIRE}");
        // Directly, as the test harness captures what `eprintln!` writes.
        let said = writeln!(io::stderr().lock(), "SKIP {test}: missing {missing}");
        assert!(said.is_ok(), "standard error is closed");
        return false;
    }
    true
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn kernel_has_wireguard() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let Ok(namespace) = Namespace::create("probe") else { return false };
        let mut command = Command::new("ip");
        command.args(["link", "add", "probe", "type", "wireguard"]).stderr(Stdio::null());
        namespace.output(&mut command).is_ok_and(|output| output.status.success())
    })
}
