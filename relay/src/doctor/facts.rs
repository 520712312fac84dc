use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::Ufw;
use crate::model::Relay;

/// Facts about a host. `None` is what could not be read or does not exist.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Release of the kernel, as `uname -r` prints it.
    pub kernel: String,
    /// Its version.
    pub version: Option<(u32, u32)>,
    /// The oldest supported version.
    pub minimum: (u32, u32),
    /// `net.core.bpf_jit_enable`.
    pub jit: Option<u32>,
    /// Whether the kernel has BTF.
    pub btf: bool,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// Capabilities that this process lacks.
    pub missing_capabilities: Vec<&'static str>,
    /// Where a BPF file system is expected.
    pub bpffs: PathBuf,
    /// Who can write there.
    pub pin_place: PinPlace,
    /// The module `wireguard`.
    pub wireguard: Module,
    /// The module `nf_tables`.
    pub nf_tables: Module,
    /// The clock.
    pub clock: Clock,
    /// Findings about the configuration.
    pub configured: Configured,
    /// The configured relay. Checks that depend on it are skipped without one.
    pub relay: Option<Relay>,
    /// The link with the interface's name.
    pub occupant: Occupant,
    /// Files of other programs that configure the interface.
    pub claims: Vec<PathBuf>,
    /// Whether another socket has the UDP port.
    pub is_port_taken: bool,
    /// Routes of the main table.
    pub routes: Vec<Route>,
    /// All addresses of the host.
    pub host_addresses: Vec<IpAddr>,
    /// Interfaces with a default route.
    pub underlays: Vec<Underlay>,
    /// The interfaces of the guard.
    pub guard: GuardPlaces,
    /// Whether Docker is installed.
    pub docker: bool,
    /// Whether the host's input chains accept peers' packets.
    pub firewall: Firewall,
    /// Chains that write relay's bits of packet marks.
    pub mark_writers: Vec<MarkWriter>,
    /// Why IPv6 is off.
    pub ipv6_off: Option<Ipv6Off>,
    /// Parts that a running relay has lost.
    pub lost: Vec<String>,
    /// Why rules of a running relay do not end when they should.
    pub retimed: Option<String>,
    /// What is wrong with the other relays of the site.
    pub mesh: Vec<String>,
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

/// Who can write to the directory of the pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinPlace {
    /// There is no BPF file system.
    Missing,
    /// It is mounted read-only.
    ReadOnly,
    /// Users other than root may have put files there: what was found, and the remedy.
    Distrusted(String, String),
    /// Users other than root can create directories there.
    Open,
    /// Only root can.
    Closed,
}

/// A kernel module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Built in or loaded.
    Present,
    /// The kernel loads it on demand.
    Loadable,
    /// Neither built in nor on disk.
    Missing,
    /// On disk, but the kernel loads no more modules.
    Barred,
    /// This process lacks the permission to find out.
    Unknown,
}

/// The host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// A time service reports it as synchronised.
    Synchronized,
    /// This time service runs.
    Served(&'static str),
    /// No known time service runs.
    Unserved,
    /// Its time is before this program was written.
    Past,
}

/// Findings about the configuration, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// The main file.
    pub path: PathBuf,
    /// Errors, because of which there is no relay.
    pub problems: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Key files that cannot be used.
    pub key_problems: Vec<String>,
    /// Key files that others can use.
    pub key_warnings: Vec<String>,
}

/// The link with the interface's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// None.
    Nobody,
    /// A relay's WireGuard interface.
    Relay,
    /// A WireGuard interface without relay's programs and alias.
    Wireguard,
    /// A link of another kind, as `ip -d link` calls it.
    Other(String),
    /// It could not be read.
    Unknown(String),
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination.
    pub destination: IpNet,
    /// Outgoing interface, if there is exactly one.
    pub interface: Option<String>,
}

/// An interface with a default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Underlay {
    /// Name.
    pub interface: String,
    /// MTU, bytes.
    pub mtu: u32,
}

/// Programs of others on the interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programs {
    /// The interface does not exist.
    NoInterface,
    /// A description of each.
    Found(Vec<String>),
    /// They could not be read.
    Unknown(String),
}

/// Whether the host's input chains accept the first packet of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firewall {
    /// They may accept it.
    Open,
    /// They drop it: which chain does.
    Barred(String),
    /// They could not be read.
    Unknown(String),
}

/// A chain of the host that writes relay's bits of packet marks, on packets that are forwarded from or
/// to peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkWriter {
    /// Family, table and chain.
    pub chain: String,
    /// Bits that it sets.
    pub set: u32,
    /// Bits that it may clear.
    pub lost: u32,
}

/// Why IPv6 is off, and how to turn it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6Off {
    /// What was found.
    pub found: String,
    /// How to turn it on.
    pub remedy: String,
}

/// Interfaces of the guard, and its obstacles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardPlaces {
    /// The configuration has no guard.
    Off,
    /// They could not be read.
    Unknown(String),
    /// They were read.
    Found {
        /// Interfaces that have the guard or can have it.
        free: Vec<String>,
        /// Interfaces with a program of others: the interface, the program, the remedy.
        taken: Vec<(String, String, String)>,
        /// Why configured interfaces cannot have the guard, each with a remedy.
        unusable: Vec<String>,
        /// Warnings.
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
