//! What a host must have before `up` touches anything.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
};

use super::{Classified, Kind, Result};
use crate::{datapath::MINIMUM_KERNEL, doctor::Ipv6Off, model::InterfaceName};

/// Something that the host lacks and that no module's own error says.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A capability of this process.
    #[error(
        "this process lacks {missing}; run `relay {verb}` as root, or give it CAP_NET_ADMIN, \
         CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN"
    )]
    Capability {
        /// Names, comma-separated.
        missing: String,
        /// The verb that needs them.
        verb: &'static str,
    },
    /// The kernel is too old.
    #[error("found kernel {found}, expected {}.{} or newer; boot a newer kernel", expected.0, expected.1)]
    Kernel {
        /// Its release.
        found: String,
        /// The oldest version that works.
        expected: (u32, u32),
    },
    /// The UDP port of the underlay is in use.
    #[error(
        "UDP port {port} is in use by another socket; stop its owner (`ss -ulpn sport = \
         :{port}`) or choose another listen_port"
    )]
    Port {
        /// The port.
        port: u16,
    },
    /// IPv6 is disabled.
    #[error("IPv6 is off ({found}), but {address} is configured for {interface}; {remedy}")]
    NoIpv6 {
        /// The interface.
        interface: String,
        /// The address or route that cannot be added.
        address: String,
        /// What disables it.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// The relay is not up.
    #[error("interface {interface} does not exist; run `relay up`")]
    NotUp {
        /// The interface.
        interface: InterfaceName,
    },
}

impl Classified for HostError {
    fn kind(&self) -> Kind {
        Kind::Lacking
    }
}

/// Capability numbers (include/uapi/linux/capability.h). Attached programs are found by id, and
/// BPF_PROG_GET_FD_BY_ID needs CAP_SYS_ADMIN (kernel/bpf/syscall.c, 6.12).
const CAPABILITIES: [(u32, &str); 4] =
    [(12, "CAP_NET_ADMIN"), (39, "CAP_BPF"), (38, "CAP_PERFMON"), (CAP_SYS_ADMIN, "CAP_SYS_ADMIN")];
/// Implies CAP_BPF and CAP_PERFMON (include/linux/capability.h, `bpf_capable()`).
const CAP_SYS_ADMIN: u32 = 21;

/// Checks that this process has the capabilities that `verb` needs.
///
/// # Errors
/// It lacks one.
pub fn require_capabilities(verb: &'static str) -> Result<()> {
    let missing = missing_capabilities();
    if missing.is_empty() {
        return Ok(());
    }
    Err(HostError::Capability { missing: missing.join(", "), verb }.into())
}

/// The capabilities that this process lacks.
pub(super) fn missing_capabilities() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let has = |number: u32| effective & (1 << number) != 0;
    let granted = |number, name| has(number) || (name != "CAP_NET_ADMIN" && has(CAP_SYS_ADMIN));
    CAPABILITIES
        .iter()
        .filter(|&&(number, name)| !granted(number, name))
        .map(|&(_, name)| name)
        .collect()
}

/// Checks that the kernel is new enough.
///
/// # Errors
/// It is older.
pub fn require_kernel() -> Result<()> {
    let (release, found) = kernel();
    if found.is_some_and(|found| found >= MINIMUM_KERNEL) {
        return Ok(());
    }
    Err(HostError::Kernel { found: release, expected: MINIMUM_KERNEL }.into())
}

/// The kernel's release, and its version.
pub(super) fn kernel() -> (String, Option<(u32, u32)>) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let version = version(&release);
    (release, version)
}

/// Checks that WireGuard can open its port, which the kernel does only when the link goes up.
///
/// # Errors
/// Another socket has it.
pub(super) fn require_port(port: u16) -> Result<()> {
    if is_port_taken(port) { Err(HostError::Port { port }.into()) } else { Ok(()) }
}

/// Whether a socket has that UDP port.
pub(super) fn is_port_taken(port: u16) -> bool {
    let addresses: [SocketAddr; 2] =
        [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
    // A kernel without IPv6 fails otherwise, and has no socket there.
    addresses.into_iter().any(|address| {
        UdpSocket::bind(address).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    })
}

/// What disables IPv6 on an interface; `None` if it is enabled.
pub(super) fn ipv6_off(interface: &InterfaceName) -> Option<Ipv6Off> {
    let all = Path::new("/proc/sys/net/ipv6/conf");
    if !all.exists() {
        return Some(Ipv6Off {
            found: "this kernel runs without IPv6".to_owned(),
            remedy: "boot without ipv6.disable=1, or take the IPv6 addresses out of the \
                     configuration"
                .to_owned(),
        });
    }
    // A new interface starts with `default`; a write to `all` sets both.
    let of = [interface.as_str(), "default"].into_iter().find(|name| all.join(name).exists())?;
    let value = fs::read_to_string(all.join(of).join("disable_ipv6")).ok()?;
    let key = format!("net.ipv6.conf.{of}.disable_ipv6");
    (value.trim() != "0").then(|| Ipv6Off {
        found: format!("{key} = {}", value.trim()),
        remedy: format!(
            "sysctl -w {key}=0, there and in what sets it at boot, or take the IPv6 addresses out \
             of the configuration"
        ),
    })
}

/// `6.12.117-cloud` → (6, 12).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_its_version_in_front() {
        assert_eq!(version("6.12.117+deb12-cloud-amd64"), Some((6, 12)));
        assert_eq!(version("5.15.0-91-generic"), Some((5, 15)));
        assert!(version("5.15.0").expect("a version") < MINIMUM_KERNEL);
        assert_eq!(version("unknown"), None);
    }
}
