use std::io;

use ipnet::IpNet;

use crate::model::InterfaceName;

/// Why the host's network was not read or not changed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A netlink socket cannot be opened or read.
    #[error("cannot use a netlink socket for {protocol}")]
    Connect {
        /// The netlink protocol.
        protocol: &'static str,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// EPERM.
    #[error(
        "{request} for {object}: permission denied; run as root or with CAP_NET_ADMIN in this network \
         namespace"
    )]
    Permission {
        /// The netlink request.
        request: &'static str,
        /// Its object.
        object: String,
    },
    /// The kernel has no WireGuard, and its module cannot be loaded.
    #[error(
        "interface {interface} cannot be created: this kernel has no WireGuard; load the module \
         with `modprobe wireguard`, or boot a kernel that has it (5.6 or newer, CONFIG_WIREGUARD; \
         on Debian and Ubuntu linux-image-amd64 or linux-image-generic)"
    )]
    WireguardMissing {
        /// Name of the interface.
        interface: InterfaceName,
    },
    /// A link of another kind has the name.
    #[error(
        "interface {interface}: found a link of kind {kind}, expected wireguard; rename or remove it, or \
         choose another name"
    )]
    NameTaken {
        /// Name.
        interface: InterfaceName,
        /// Kind of that link, as `ip -d link` shows it.
        kind: String,
    },
    /// There is no link of that name.
    #[error("interface {interface}: not found; run `relay up`, which creates it")]
    NoInterface {
        /// Name.
        interface: InterfaceName,
    },
    /// EADDRINUSE. The kernel opens WireGuard's sockets when the link is set up, not when the port is
    /// set.
    #[error(
        "interface {interface}: UDP port {port} is in use by another socket; stop its owner (`ss -ulpn \
         sport = :{port}`) or choose another listen_port"
    )]
    PortInUse {
        /// Name of the interface.
        interface: InterfaceName,
        /// Port.
        port: u16,
    },
    /// A foreign route has exactly that destination.
    #[error(
        "route {destination}: found in the main table through {through}, expected {interface}; remove \
         that route, or {destination} from the peer's routes"
    )]
    RouteConflict {
        /// Destination.
        destination: IpNet,
        /// Interface of the desired route.
        interface: InterfaceName,
        /// Interface of the found route.
        through: String,
    },
    /// An interface of guard.interfaces does not exist.
    #[error(
        "guard.interfaces: found no interface {interface}, expected one of {there}; correct the name, or \
         run `relay up` again when the interface exists"
    )]
    NoUnderlay {
        /// Name.
        interface: String,
        /// All names of interfaces.
        there: String,
    },
    /// An interface of guard.interfaces has no Ethernet header.
    #[error(
        "guard.interfaces: interface {interface} has no Ethernet frames, which the guard needs; choose \
         another"
    )]
    NotEthernet {
        /// Name.
        interface: String,
    },
    /// The kernel has no nf_tables for the inet family.
    #[error(
        "table {table} cannot be used: this kernel has no nf_tables for the inet family, or no \
         nft_ct for `egress = \"stack\"`; load them with `modprobe -a nf_tables nft_ct`, or set \
         `fence = false` and accept that only the policy's own programs fail closed"
    )]
    NetfilterMissing {
        /// Name of the table.
        table: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// The kernel's tables changed during each dump.
    #[error("{request}: interrupted by other changes {tries} times; run the command again")]
    Interrupted {
        /// The netlink request.
        request: &'static str,
        /// Number of dumps.
        tries: usize,
    },
    /// An answer is missing or cannot be decoded.
    #[error("{request} for {object}: cannot decode the kernel's answer: {reason}")]
    Answer {
        /// The netlink request.
        request: &'static str,
        /// Its object.
        object: String,
        /// Why.
        reason: String,
    },
    /// Any other error of the kernel.
    #[error("{request} for {object} failed")]
    Request {
        /// The netlink request.
        request: &'static str,
        /// Its object.
        object: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
}

impl NetError {
    /// Whether the host lacks something that its operator can provide: exit code 3.
    pub const fn is_lack(&self) -> bool {
        matches!(
            self,
            Self::Permission { .. }
                | Self::WireguardMissing { .. }
                | Self::NameTaken { .. }
                | Self::PortInUse { .. }
                | Self::RouteConflict { .. }
                | Self::NoUnderlay { .. }
                | Self::NotEthernet { .. }
                | Self::NetfilterMissing { .. }
        )
    }

    pub(super) fn of_request(request: &'static str, object: String, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission { request, object },
            _ => Self::Request { request, object, source },
        }
    }

    /// The kernel's error number, where it gave one.
    pub(super) fn os_error(&self) -> Option<i32> {
        let Self::Request { source, .. } = self else { return None };
        source.raw_os_error()
    }
}
