use std::io;

use ipnet::IpNet;

use crate::model::InterfaceName;

/// Why the host's network was not read or not changed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No netlink socket.
    #[error("a netlink socket for {protocol} could not be opened")]
    Connect {
        /// The netlink protocol.
        protocol: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// EPERM.
    #[error(
        "{request} for {object} was not permitted; run as root or with CAP_NET_ADMIN in this network \
         namespace"
    )]
    Permission {
        /// The netlink request.
        request: &'static str,
        /// What it was for.
        object: String,
    },
    /// The link kind is not registered and could not be loaded.
    #[error(
        "interface {interface} cannot be created: this kernel has no WireGuard; load the module \
         with `modprobe wireguard`, or boot a kernel that has it (5.6 or newer, CONFIG_WIREGUARD; \
         on Debian and Ubuntu linux-image-amd64 or linux-image-generic)"
    )]
    WireguardMissing {
        /// The interface that was wanted.
        interface: InterfaceName,
    },
    /// Something else has the name.
    #[error(
        "interface {interface} exists and is {kind}, not wireguard; rename or remove it, or choose \
         another name"
    )]
    NameTaken {
        /// The name.
        interface: InterfaceName,
        /// What has it, as `ip -d link` calls it.
        kind: String,
    },
    /// Nothing has that name.
    #[error("there is no interface {interface}; it has to be created first")]
    NoInterface {
        /// The name.
        interface: InterfaceName,
    },
    /// EADDRINUSE. The kernel opens WireGuard's sockets when the link is set up, not when the port
    /// is set.
    #[error(
        "interface {interface} cannot be set up: UDP port {port} is in use by another socket; stop \
         what holds it (`ss -ulpn sport = :{port}`) or choose another listen_port"
    )]
    PortInUse {
        /// The interface.
        interface: InterfaceName,
        /// Its port.
        port: u16,
    },
    /// Another route has exactly that destination.
    #[error(
        "route {destination} to {interface} cannot be added: the main table has that destination \
         through {through}; remove that route or the peer's"
    )]
    RouteConflict {
        /// What both want.
        destination: IpNet,
        /// The interface that was to have it.
        interface: InterfaceName,
        /// What has it.
        through: String,
    },
    /// An interface to guard has no such name.
    #[error(
        "guard.interfaces: found no interface {interface}, expected one of {there}; correct the \
         name, or run `relay up` again when the interface is there"
    )]
    NoUnderlay {
        /// The name.
        interface: String,
        /// All names there are.
        there: String,
    },
    /// An interface to guard has no link-layer header, or another.
    #[error(
        "guard.interfaces: interface {interface} has no Ethernet frames, which the guard reads; \
         write another"
    )]
    NotEthernet {
        /// Its name.
        interface: String,
    },
    /// nf_tables or its inet family is not there.
    #[error(
        "table {table} cannot be used: this kernel has no nf_tables for the inet family, or no \
         nft_ct for `egress = \"stack\"`; load them with `modprobe -a nf_tables nft_ct`, or set \
         `fence = false` and accept that nothing but the policy's own programs fails closed"
    )]
    NetfilterMissing {
        /// The table.
        table: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel's tables changed during each read.
    #[error("{request} was interrupted by other changes {tries} times; run again")]
    Interrupted {
        /// The netlink request.
        request: &'static str,
        /// Reads that were made.
        tries: usize,
    },
    /// An answer that is none, or none that could be decoded.
    #[error("the answer to {request} for {object} was not understood: {reason}")]
    Answer {
        /// The netlink request.
        request: &'static str,
        /// What it was for.
        object: String,
        /// What was wrong with it.
        reason: String,
    },
    /// Any other error of the kernel.
    #[error("{request} for {object} failed")]
    Request {
        /// The netlink request.
        request: &'static str,
        /// What it was for.
        object: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl NetError {
    /// Whether the host lacks something that its operator can give: exit code 3.
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
