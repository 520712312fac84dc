//! The fence: a netfilter table that fails closed if the policy's own programs are missing, and keeps
//! WireGuard's messages out of the tunnel that they carry.
//!
//! `inet relay_<interface>` drops packets from the interface, and packets forwarded to it, that lack the
//! mark of the programs; of the transit interfaces of a site, too. It matches interfaces by name, so it
//! works before the interface exists and after it was created again. It covers IPv4 and IPv6. The table
//! has no owner: it outlives the process that created it.

mod fenced;
mod rules;

use std::io;

pub use fenced::fenced;
use ipnet::IpNet;

use super::{
    NetError,
    nftables::{INET, Ruleset, Scope, delete_table, requests, tables, transact},
};
use crate::model::{Egress, HostAccess, InterfaceName, Relay};

/// Marks of packets that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Bits that the programs set on packets that they pass up.
    pub passed: u32,
    /// Bits that the fence sets on answers from published ports, including those of `passed`.
    pub answer: u32,
}

/// A desired fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Interface.
    pub interface: InterfaceName,
    /// Transit interfaces of a site of relays.
    pub transit: Vec<InterfaceName>,
    /// WireGuard's UDP port.
    pub port: u16,
    /// Networks of the overlay: a message to WireGuard from there has left a tunnel.
    pub overlay: Vec<IpNet>,
    /// Marks of packets that pass.
    pub marks: Marks,
    /// Whether peers can reach published ports of the host. Answers from these pass by connection
    /// tracking. Without open ports no request passes the programs, and the host needs no tracking.
    pub publishes: bool,
    /// Whether answers from beyond the overlay may be forwarded to the interface. They enter by another
    /// interface, so that no program marks them.
    pub replies: bool,
}

/// Why the fence drops a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// From a peer, and no program passed it.
    FromPeers,
    /// From another interface, to a peer.
    ToPeers,
    /// To WireGuard's port, from an address of the overlay: the answer would enter the tunnel.
    OverlaySource,
    /// WireGuard's own message, routed into the tunnel.
    OwnTunnel,
}

/// Packets that the fence has dropped since it was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; Dropped::ALL.len()]);

/// State of the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceState {
    /// There is no table of that name.
    Absent,
    /// The table is as [`put_up`] creates it.
    Intact,
    /// The table has other contents, or is dormant.
    Different,
}

impl Fence {
    /// The fence of a relay.
    pub fn of(relay: &Relay, marks: Marks) -> Self {
        // One of them is no interface of this host.
        let transit = relay.mesh.iter().flat_map(|mesh| mesh.interfaces(&relay.interface));
        Self {
            interface: relay.interface.clone(),
            transit: transit.map(|(_, interface)| interface).collect(),
            port: relay.listen_port,
            overlay: relay.addresses.iter().map(IpNet::trunc).collect(),
            marks,
            publishes: matches!(relay.host_access, HostAccess::Ports(_) | HostAccess::All),
            replies: relay.egress == Egress::Stack,
        }
    }
}

impl Dropped {
    /// All reasons.
    pub const ALL: [Self; 4] =
        [Self::FromPeers, Self::ToPeers, Self::OverlaySource, Self::OwnTunnel];

    /// Spelling in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::FromPeers => "from_peers",
            Self::ToPeers => "to_peers",
            Self::OverlaySource => "overlay_source",
            Self::OwnTunnel => "own_tunnel",
        }
    }
}

impl Drops {
    /// Each reason with its packets.
    pub fn iter(&self) -> impl Iterator<Item = (Dropped, u64)> {
        Dropped::ALL.into_iter().zip(self.0)
    }
}

/// Name of the table of an interface, in the family `inet`.
pub fn table_name(interface: &InterfaceName) -> String {
    format!("relay_{interface}")
}

/// Compares the table in the kernel with the one that [`put_up`] creates, except counters, and reads
/// how many packets its rules have dropped.
///
/// # Errors
/// The kernel has no nf_tables, or the caller lacks permission.
pub fn observe(fence: &Fence) -> Result<(FenceState, Drops), NetError> {
    let table = table_name(&fence.interface);
    let scope = Scope { family: INET, table: Some(&table) };
    let tables = tables(scope).map_err(lacking(&table))?;
    let Some(found) = tables.first() else {
        return Ok((FenceState::Absent, Drops::default()));
    };
    let chains = Ruleset::read(scope).map_err(lacking(&table))?.chains;
    let drops = Drops(Dropped::ALL.map(|why| rules::packets(fence, &chains, why)));
    let is_dormant = found.flags != 0;
    let state = match !is_dormant && rules::plain(chains) == rules::chains(fence) {
        true => FenceState::Intact,
        false => FenceState::Different,
    };
    Ok((state, drops))
}

/// Creates the fence in one transaction, replacing any table of that name; packets meet the old table
/// or the new one. Counters start at zero.
///
/// # Errors
/// The kernel lacks nf_tables or a part that the fence needs, or the caller lacks permission.
pub fn put_up(fence: &Fence) -> Result<(), NetError> {
    let table = table_name(&fence.interface);
    transact(&table, &requests(&table, &rules::chains(fence))).map_err(lacking(&table))
}

/// Removes the fence. Whether there was one.
///
/// # Errors
/// The kernel has no nf_tables, or the caller lacks permission.
pub fn take_down(interface: &InterfaceName) -> Result<bool, NetError> {
    let table = table_name(interface);
    match transact(&table, &[delete_table(&table)]).map_err(lacking(&table)) {
        Err(error) if error.os_error() == Some(libc::ENOENT) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// Tells the errors of a kernel that lacks what the fence needs from all others.
fn lacking(table: &str) -> impl Fn(NetError) -> NetError {
    let missing = |source| NetError::NetfilterMissing { table: table.to_owned(), source };
    move |error| match error {
        NetError::Connect { source, .. } if is_unsupported(&source) => missing(source),
        NetError::Request { request, source, .. }
            if is_unsupported(&source) || is_missing(request, &source) =>
        {
            missing(source)
        }
        other => other,
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
    )
}

/// EINVAL means that nothing answers for nf_tables; ENOENT for a chain or a rule is a module that cannot
/// be loaded.
fn is_missing(request: &str, error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(libc::EINVAL) => matches!(request, "NFT_MSG_GETTABLE" | "NFT_MSG_GETCHAIN"),
        Some(libc::ENOENT) => matches!(request, "NFT_MSG_NEWCHAIN" | "NFT_MSG_NEWRULE"),
        _ => false,
    }
}
