use std::io;

use wireguard_control::InvalidInterfaceName;

use crate::model::{InterfaceName, PeerName};

/// Why WireGuard was not read or not changed. No variant contains a secret key, nor a message of the
/// netlink crate, which may quote one.
#[derive(Debug, thiserror::Error)]
pub enum WireguardError {
    /// The generic netlink family does not exist, and its module cannot be loaded.
    #[error(
        "this kernel has no WireGuard (generic netlink family \"wireguard\" not found); \
         load it with `modprobe wireguard`, or boot a kernel that has it (5.6 or newer)"
    )]
    Unsupported,
    /// There is no link of that name, or one of another kind.
    #[error("WireGuard interface {interface}: not found; run `relay up`, which creates it")]
    NoInterface {
        /// Name of the interface.
        interface: InterfaceName,
    },
    /// EPERM.
    #[error(
        "{request} on {interface}: permission denied; run as root or with CAP_NET_ADMIN in this network \
         namespace"
    )]
    Permission {
        /// The netlink request.
        request: &'static str,
        /// Name of the interface.
        interface: InterfaceName,
    },
    /// EADDRINUSE on an interface that is up. On one that is down the kernel accepts any port, and fails
    /// when the link is set up.
    #[error(
        "interface {interface}: UDP port {port} is in use by another socket; stop its owner (`ss -ulpn \
         sport = :{port}`) or choose another listen_port"
    )]
    PortInUse {
        /// Name of the interface.
        interface: InterfaceName,
        /// The port.
        port: u16,
    },
    /// The kernel silently ignores such a peer.
    #[error(
        "peer {peer} has the relay's own public key, and WireGuard cannot be its own peer; give the peer \
         a key pair of its own"
    )]
    OwnKey {
        /// The peer.
        peer: PeerName,
    },
    /// Another process keeps changing the interface.
    #[error(
        "the peers of {interface} changed during each of {reads} reads; stop other programs that \
         configure it, and run the command again"
    )]
    Unstable {
        /// The interface.
        interface: InterfaceName,
        /// Number of reads.
        reads: usize,
    },
    /// The netlink crate cannot decode an answer.
    #[error("{request} on {interface}: cannot decode the kernel's answer ({kind})")]
    Answer {
        /// The netlink request.
        request: &'static str,
        /// Name of the interface.
        interface: InterfaceName,
        /// Kind of error.
        kind: io::ErrorKind,
    },
    /// Any other error of the kernel.
    #[error("{request} on {interface} failed")]
    Request {
        /// The netlink request.
        request: &'static str,
        /// Name of the interface.
        interface: InterfaceName,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// A name that relay accepts and the netlink crate does not.
    #[error("interface name {interface} is not valid: {reason}")]
    Name {
        /// The name.
        interface: InterfaceName,
        /// Error of the netlink crate.
        reason: InvalidInterfaceName,
    },
}

impl WireguardError {
    /// Whether the host lacks something that its operator can provide: exit code 3.
    pub const fn is_lack(&self) -> bool {
        matches!(self, Self::Unsupported | Self::Permission { .. } | Self::PortInUse { .. })
    }

    /// The error of a request, by its number alone: its text may quote the message, with its keys.
    pub(super) fn of_request(
        request: &'static str,
        interface: &InterfaceName,
        error: &io::Error,
    ) -> Self {
        let interface = interface.clone();
        match error.raw_os_error() {
            // WG_CMD_GET_DEVICE answers ENODEV for no interface and EOPNOTSUPP for another kind;
            // ENOENT is the controller's answer for a family it does not know.
            Some(libc::ENOENT) => Self::Unsupported,
            Some(libc::ENODEV | libc::EOPNOTSUPP) => Self::NoInterface { interface },
            Some(libc::EPERM | libc::EACCES) => Self::Permission { request, interface },
            Some(number) => {
                Self::Request { request, interface, source: io::Error::from_raw_os_error(number) }
            }
            None if error.kind() == io::ErrorKind::NotFound => Self::Unsupported,
            None => Self::Answer { request, interface, kind: error.kind() },
        }
    }
}
