//! The netfilter table that fails closed where the policy's own programs are gone, and keeps
//! WireGuard's messages out of the tunnel that they are for.
//!
//! `inet relay_<interface>` drops what comes in from the interface, or is forwarded to it, without the
//! mark that the programs set. It matches the interface by name, so it holds before the interface
//! exists and after it was created anew, and it covers IPv4 and IPv6 alike. The table has no owner: it
//! outlives whoever made it.

mod fenced;
mod nfnetlink;
mod rules;

pub use fenced::fenced;
use ipnet::IpNet;

use super::NetError;
use crate::model::{Egress, HostAccess, InterfaceName, Relay};

/// Marks of packets that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Bits that the programs set on what they pass up.
    pub passed: u32,
    /// Bits that the fence sets on answers of published ports, those of `passed` among them.
    pub answer: u32,
}

/// What the fence is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The interface it belongs to.
    pub interface: InterfaceName,
    /// WireGuard's UDP port.
    pub port: u16,
    /// The overlay: what WireGuard gets from there comes out of a tunnel, not to one.
    pub overlay: Vec<IpNet>,
    /// Marks of packets that may pass.
    pub marks: Marks,
    /// Whether peers can reach ports of the host that are published from elsewhere: answers come
    /// in then, as connection tracking knows them. Without open ports no question passes the
    /// programs, and the host is spared the tracking.
    pub publishes: bool,
    /// Whether what comes back from beyond the overlay may be forwarded to the interface. No
    /// program sets a mark on it: it enters by another interface.
    pub replies: bool,
}

/// Why the fence drops a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It came from a peer, and no program passed it.
    FromPeers,
    /// Another interface's, on its way to a peer.
    ToPeers,
    /// To WireGuard's port, from an address of the overlay: the answer would enter the tunnel.
    OverlaySource,
    /// WireGuard's own message, on its way into the tunnel.
    OwnTunnel,
}

/// Packets that the fence has dropped since it was put up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; Dropped::ALL.len()]);

/// How the fence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceState {
    /// There is no such table.
    Absent,
    /// It is what [`put_up`] makes.
    Intact,
    /// There is a table of that name with other contents, or a dormant one.
    Different,
}

impl Fence {
    /// The fence of a relay.
    pub fn of(relay: &Relay, marks: Marks) -> Self {
        Self {
            interface: relay.interface.clone(),
            port: relay.listen_port,
            overlay: relay.addresses.iter().map(IpNet::trunc).collect(),
            marks,
            publishes: matches!(relay.host_access, HostAccess::Ports(_) | HostAccess::All),
            replies: relay.egress == Egress::Stack,
        }
    }
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::FromPeers, Self::ToPeers, Self::OverlaySource, Self::OwnTunnel];

    /// Its word in every output.
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

/// Compares the table in the kernel with the one that [`put_up`] makes, and reads what those of its
/// rules that are there have dropped. Counters are no difference.
///
/// # Errors
/// The kernel has no nf_tables, the caller may not.
pub fn observe(fence: &Fence) -> Result<(FenceState, Drops), NetError> {
    let table = table_name(&fence.interface);
    let Some(attributes) = nfnetlink::table(&table)? else {
        return Ok((FenceState::Absent, Drops::default()));
    };
    let read: Vec<_> = nfnetlink::rules(&table)?.into_iter().map(rules::rule).collect();
    let drops = Drops(Dropped::ALL.map(|why| rules::packets(fence, &read, why)));
    let found = nfnetlink::chains(&table)?.into_iter().map(rules::chain).collect();
    let found = rules::filled(found, read);
    let state = match rules::is_plain(&attributes) && found == rules::chains(fence) {
        true => FenceState::Intact,
        false => FenceState::Different,
    };
    Ok((state, drops))
}

/// Puts up the fence in one transaction, in the place of any table of that name; packets see the
/// old one or the new one. Counters begin at zero.
///
/// # Errors
/// The kernel lacks nf_tables or a part of it that the fence needs; the caller may not.
pub fn put_up(fence: &Fence) -> Result<(), NetError> {
    let table = table_name(&fence.interface);
    nfnetlink::transact(&table, rules::requests(&table, rules::chains(fence)))
}

/// Takes the fence down. Whether there was one.
///
/// # Errors
/// The kernel has no nf_tables, the caller may not.
pub fn take_down(interface: &InterfaceName) -> Result<bool, NetError> {
    let table = table_name(interface);
    match nfnetlink::transact(&table, vec![rules::delete_table(&table)]) {
        Err(error) if error.os_error() == Some(libc::ENOENT) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}
