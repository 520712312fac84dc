//! The figures, one type for each kind of row.

use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Release of the kernel.
    pub kernel: String,
    /// Model name of the processor.
    pub processor: String,
    /// Number of processors.
    pub processors: usize,
    /// Load average over one minute, before the native measurement.
    pub load: f64,
}

/// Guest instructions from a packet's entry to `wg_xmit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instructions {
    /// Kernel series of the guest.
    #[serde(default)]
    pub kernel: String,
    pub layer: String,
    pub peers: u32,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Length of the inner packet, bytes.
    pub len: u32,
    /// Minimum.
    pub instructions: u64,
    pub median: u64,
    /// Number of packets.
    pub packets: u32,
}

/// Guest instructions from the entry of a flow's packet to `wg_xmit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Kernel series of the guest.
    #[serde(default)]
    pub kernel: String,
    /// What lets the two peers talk: `lists`, `rule` or `nftables`, with what limits, or tried.
    pub way: String,
    /// Number of rules in force, or of pairs in the nftables set.
    pub rules: u32,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// `tcp` or `udp`.
    pub transport: String,
    /// Sender: `beginner` or `answerer`.
    pub side: String,
    /// Minimum.
    pub instructions: u64,
    pub median: u64,
    /// Number of packets.
    pub packets: u32,
}

/// Nanoseconds per packet. The base drops every packet on ingress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Native {
    /// The layer, or `base`.
    pub layer: String,
    pub peers: u32,
    /// Minus the base.
    pub ns: f64,
    /// Including base and generator.
    pub total_ns: f64,
}

/// Nanoseconds of a run of the program alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alone {
    pub peers: u32,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// As reported by the kernel.
    pub ns: u64,
    /// Of an empty program.
    pub nothing_ns: u64,
}

/// Nanoseconds of a run of the program on one of two processors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processors {
    /// Between which peers each relays.
    pub case: String,
    /// While the other does nothing.
    pub alone_ns: f64,
    /// While the other relays, too.
    pub together_ns: f64,
}

impl Processors {
    /// What both relay together, in that of one.
    pub fn speedup(&self) -> f64 {
        2.0 * self.alone_ns / self.together_ns
    }
}

/// Time and memory of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Which peers talk to each other.
    pub shape: String,
    pub peers: u32,
    /// Compiles the configuration to tables.
    pub compile_ms: f64,
    /// Loads programs and maps into the kernel.
    pub load_ms: f64,
    /// Kernel memory of the maps.
    pub map_bytes: u64,
    /// Peak memory of the process.
    pub peak_rss_bytes: u64,
}

/// The verb of a row: what sets the same peers of another interface, for comparison.
pub(crate) const SETCONF: &str = "wg setconf";

/// What makes a relay of nothing, adds a peer to it, and takes it down.
pub(crate) const FIRST_UP: &str = "up, the first";
pub(crate) const ONE_MORE: &str = "reload, one peer more";
pub(crate) const DOWN: &str = "down";

/// Instructions of a command, from start to exit of its process, including the kernel's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Command line without `relay`, or that of wg(8), or an answer of `relay serve`.
    pub verb: String,
    pub peers: u32,
    pub instructions: u64,
    /// Most memory that was resident, KiB, of a process that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_kib: Option<u64>,
}

/// Minimum time of a command that needs no running relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// Command line without `relay`.
    pub verb: String,
    pub peers: u32,
    pub ms: f64,
}

/// What gossip costs one relay of a site, on average, and how fast it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mesh {
    /// Relays of the site.
    pub relays: u32,
    /// Peers of the site.
    pub peers: u32,
    /// Datagrams of a thousand that a channel lost; `None` over UDP.
    pub lost: Option<u32>,
    /// Resident memory when all know all.
    pub memory_bytes: u64,
    /// From the beginning of all relays until all know all.
    pub start: Phase,
    /// A second in which nothing happens.
    pub rest: Phase,
    /// A second in which peers move.
    pub moving: Phase,
    /// Moves that were measured.
    pub moves: u32,
    /// Until all know a move: median, 99th percentile, worst.
    pub known_ms: [f64; 3],
    /// From the loss of a relay until all know that its peers are at home at another.
    pub loss: Phase,
}

/// What one relay did in a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// The time.
    pub ms: f64,
    /// Payload that it sent.
    pub bytes: u64,
    /// Processor time.
    pub processor_ms: f64,
}

/// A figure that was not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Excuse {
    /// The measurement: `instructions on 6.12`, `native`.
    #[serde(default)]
    pub subject: String,
    pub layer: String,
    pub peers: u32,
    /// The reason.
    pub excuse: String,
}

/// Guest instructions of the guard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// The program alone, minus a program that passes every frame.
    pub alone: Vec<Frame>,
    /// The whole machine, per forged initiation received.
    pub floods: Vec<Flood>,
    /// Genuine peers during a flood.
    pub sieges: Vec<Siege>,
}

/// Cost of one kind of frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// Kernel series of the guest.
    #[serde(default)]
    pub kernel: String,
    pub frame: String,
    /// Per run.
    pub instructions: u64,
}

/// Cost of one kind of flood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flood {
    /// Kernel series of the guest.
    #[serde(default)]
    pub kernel: String,
    /// Source addresses.
    pub flood: String,
    pub guarded: bool,
    /// Per initiation.
    pub instructions: u64,
}

/// Genuine peers during a flood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Siege {
    /// Kernel series of the guest.
    #[serde(default)]
    pub kernel: String,
    /// Number of forged initiations.
    pub siege: u64,
    /// Their source addresses.
    #[serde(default)]
    pub names: String,
    pub guarded: bool,
    /// Peers that connect.
    pub peers: u64,
    /// Their initiations.
    pub calls: u64,
    /// Their sessions.
    pub connected: u64,
    /// Time to a session.
    pub median_ms: Option<u64>,
    pub worst_ms: Option<u64>,
    /// Packets sent between two connected peers.
    pub packets_sent: u64,
    pub packets_received: u64,
}
