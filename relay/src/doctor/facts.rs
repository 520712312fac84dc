use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::Ufw;
use crate::model::Relay;

/// What was observed of a host. `None` is what could not be read or is not there.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Release of the kernel, as `uname -r` prints it.
    pub kernel: String,
    /// Its version.
    pub version: Option<(u32, u32)>,
    /// The oldest version that serves.
    pub minimum: (u32, u32),
    /// `net.core.bpf_jit_enable`.
    pub jit: Option<u32>,
    /// Whether the kernel describes its own types.
    pub btf: bool,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// Capabilities that this process lacks.
    pub missing_capabilities: Vec<&'static str>,
    /// Where the BPF file system is to be.
    pub bpffs: PathBuf,
    /// How it is kept.
    pub pin_place: PinPlace,
    /// WireGuard.
    pub wireguard: Module,
    /// nf_tables.
    pub nf_tables: Module,
    /// The clock.
    pub clock: Clock,
    /// What the configuration's reader said.
    pub configured: Configured,
    /// The relay it describes; without one, nothing is checked that depends on it.
    pub relay: Option<Relay>,
    /// What has the interface's name.
    pub occupant: Occupant,
    /// Files of other programs that name the interface.
    pub claims: Vec<PathBuf>,
    /// Whether another socket has the UDP port.
    pub is_port_taken: bool,
    /// The main table.
    pub routes: Vec<Route>,
    /// All addresses of the host.
    pub host_addresses: Vec<IpAddr>,
    /// Interfaces with a default route.
    pub underlays: Vec<Underlay>,
    /// Where a guard is wanted.
    pub guard: GuardPlaces,
    /// Whether Docker is there.
    pub docker: bool,
    /// What the host's firewall lets in.
    pub firewall: Firewall,
    /// Chains that write bits of marks that are relay's.
    pub mark_writers: Vec<MarkWriter>,
    /// What IPv6 is switched off by.
    pub ipv6_off: Option<Ipv6Off>,
    /// What a relay that runs has lost.
    pub lost: Vec<String>,
    /// UFW, where it is enabled.
    pub ufw: Option<Ufw>,
    /// What else is attached to the interface.
    pub programs: Programs,
    /// The stricter of `rp_filter` of all interfaces and of this one.
    pub rp_filter: Option<u32>,
    /// Whether the host forwards.
    pub forwarding: Forwarding,
    /// Whether the interface's NAPI is threaded.
    pub threaded: bool,
}

/// Where relay keeps what outlives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinPlace {
    /// There is no BPF file system.
    Missing,
    /// Others than root can have put something there: what was found, and what to do.
    Distrusted(String, String),
    /// Others than root can make directories beside relay's.
    Open,
    /// Only root can.
    Closed,
}

/// A part of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Built in or loaded.
    Present,
    /// A file that the kernel loads when it is asked for.
    Loadable,
    /// Neither.
    Missing,
    /// A file, but this kernel loads no more modules.
    Barred,
    /// This process may not ask.
    Unknown,
}

/// The host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// A service says that it is synchronised.
    Synchronized,
    /// A service that sets it runs.
    Served(&'static str),
    /// No known service runs.
    Unserved,
    /// It shows a time before this program was written.
    Past,
}

/// What was found in the configuration, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// The main file.
    pub path: PathBuf,
    /// Why there is no relay.
    pub problems: Vec<String>,
    /// What looks wrong.
    pub warnings: Vec<String>,
    /// Key files that cannot be used.
    pub key_problems: Vec<String>,
    /// Key files that others can use.
    pub key_warnings: Vec<String>,
}

/// What has the name of the interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// Nothing.
    Nobody,
    /// A relay's WireGuard interface.
    Relay,
    /// A WireGuard interface without anything of a relay.
    Wireguard,
    /// A link of another kind, as `ip -d link` calls it.
    Other(String),
    /// It could not be read.
    Unknown(String),
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: IpNet,
    /// Through what.
    pub interface: Option<String>,
}

/// An interface that leads to peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Underlay {
    /// Its name.
    pub interface: String,
    /// Its MTU, bytes.
    pub mtu: u32,
}

/// Programs on the interface that are not the relay's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programs {
    /// There is no interface to have any.
    NoInterface,
    /// These.
    Found(Vec<String>),
    /// They could not be read.
    Unknown(String),
}

/// What the host's chains of hook input do with the first packet of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firewall {
    /// It may come in.
    Open,
    /// None does, and why.
    Barred(String),
    /// They could not be read.
    Unknown(String),
}

/// A chain of the host that writes bits of marks by which relay knows what it has passed, on packets
/// that are forwarded from or to peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkWriter {
    /// Family, table and chain.
    pub chain: String,
    /// Bits that become 1.
    pub set: u32,
    /// Bits that do not stay what they were.
    pub lost: u32,
}

/// What switches IPv6 off, and what switches it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6Off {
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

/// Where the guard is wanted, and what is in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardPlaces {
    /// The configuration wants none.
    Off,
    /// It could not be found out.
    Unknown(String),
    /// Found out.
    Found {
        /// Interfaces that have it or can.
        free: Vec<String>,
        /// Interfaces where something else is, what it is, and what to do.
        taken: Vec<(String, String, String)>,
        /// Why interfaces that are named cannot have it, with what to do.
        unusable: Vec<String>,
        /// What should be known besides.
        warnings: Vec<String>,
    },
}

/// Forwarding of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarding {
    /// `net.ipv4.ip_forward`.
    pub v4: Option<bool>,
    /// `net.ipv6.conf.all.forwarding`.
    pub v6: Option<bool>,
}
