use std::io;

use wireguard_control::InvalidInterfaceName;

use crate::model::{InterfaceName, PeerName};

/// Why WireGuard was not read or not changed. No variant holds a key that is secret, nor the
/// netlink crate's own message, which may quote one.
#[derive(Debug, thiserror::Error)]
pub enum WireguardError {
    /// The generic netlink family is not registered and could not be loaded.
    #[error(
        "this kernel has no WireGuard (generic netlink family \"wireguard\" not found); \
         load it with `modprobe wireguard`, or boot a kernel that has it (5.6 or newer)"
    )]
    Unsupported,
    /// Nothing has that name, or what has it is not WireGuard.
    #[error("there is no WireGuard interface {interface}; it has to be created first")]
    NoInterface {
        /// The name asked for.
        interface: InterfaceName,
    },
    /// EPERM.
    #[error(
        "{request} on {interface} was not permitted; run as root or with CAP_NET_ADMIN in this \
         network namespace"
    )]
    Permission {
        /// The netlink request.
        request: &'static str,
        /// The interface it was for.
        interface: InterfaceName,
    },
    /// EADDRINUSE on a running interface. On one that is down the kernel takes any port, and says
    /// so only when the link is set up.
    #[error(
        "UDP port {port} for {interface} is in use by another socket; stop what holds it (`ss -ulpn \
         sport = :{port}`) or choose another listen_port"
    )]
    PortInUse {
        /// The interface that wanted it.
        interface: InterfaceName,
        /// The port.
        port: u16,
    },
    /// The kernel drops such a peer without a word.
    #[error(
        "peer {peer} has the relay's own public key, and WireGuard refuses to be its own peer; give \
         the peer a key pair of its own"
    )]
    OwnKey {
        /// The peer.
        peer: PeerName,
    },
    /// Something else is reconfiguring the interface.
    #[error(
        "the peers of {interface} changed during each of {reads} reads; stop what else configures \
         it and run again"
    )]
    Unstable {
        /// The interface.
        interface: InterfaceName,
        /// Reads that were made.
        reads: usize,
    },
    /// An answer that the netlink crate could not decode.
    #[error("the answer to {request} on {interface} was not understood ({kind})")]
    Answer {
        /// The netlink request.
        request: &'static str,
        /// The interface it was for.
        interface: InterfaceName,
        /// What kind of fault it was.
        kind: io::ErrorKind,
    },
    /// Any other error of the kernel.
    #[error("{request} on {interface} failed")]
    Request {
        /// The netlink request.
        request: &'static str,
        /// The interface it was for.
        interface: InterfaceName,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A name that this project takes and the netlink crate does not.
    #[error("interface name {interface} was refused: {reason}")]
    Name {
        /// The name.
        interface: InterfaceName,
        /// What the netlink crate says of it.
        reason: InvalidInterfaceName,
    },
}

impl WireguardError {
    /// Whether the host lacks something that its operator can give: exit code 3.
    pub const fn is_lack(&self) -> bool {
        matches!(self, Self::Unsupported | Self::Permission { .. } | Self::PortInUse { .. })
    }

    /// The error of a request, from its number alone: the text may quote the message that was sent.
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
