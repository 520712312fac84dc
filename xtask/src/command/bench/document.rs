//! The figures of one run, as they are kept.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// Version of the format.
const SCHEMA_VERSION: u32 = 1;

/// Everything that one run measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    /// Version of the format.
    pub(crate) schema_version: u32,
    /// Day, as YYYY-MM-DD.
    pub(crate) date: String,
    /// What was measured, as `git describe` names it.
    pub(crate) commit: String,
    /// Whether corners were cut.
    pub(crate) quick: bool,
    /// The machine.
    pub(crate) host: Host,
    /// Guest instructions a packet.
    pub(crate) instructions: Vec<Instructions>,
    /// Nanoseconds a packet.
    pub(crate) native: Vec<Native>,
    /// Nanoseconds a run of the program.
    pub(crate) alone: Vec<Alone>,
    /// Time and memory of policies.
    pub(crate) memory: Vec<Memory>,
    /// Instructions of commands.
    #[serde(default)]
    pub(crate) commands: Vec<Command>,
    /// Time of one of them on this machine.
    #[serde(default)]
    pub(crate) pace: Vec<Pace>,
    /// What was not measured, and why.
    pub(crate) excuses: Vec<Excuse>,
}

/// The machine that measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Host {
    /// Release of its kernel.
    pub(crate) kernel: String,
    /// Its processor, as that names itself.
    pub(crate) processor: String,
    /// How many of them.
    pub(crate) processors: usize,
    /// Load average over a minute, just before the native figures.
    pub(crate) load: f64,
}

/// Guest instructions from a packet's entry to `wg_xmit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Instructions {
    /// Series of the guest's kernel.
    #[serde(default)]
    pub(crate) kernel: String,
    /// The layer.
    pub(crate) layer: String,
    /// Configured peers.
    pub(crate) peers: u32,
    /// `IPv4` or `IPv6`.
    pub(crate) family: String,
    /// Length of the inner packet, bytes.
    pub(crate) len: u32,
    /// The fewest.
    pub(crate) instructions: u64,
    /// The median.
    pub(crate) median: u64,
    /// Packets seen.
    pub(crate) packets: u32,
}

/// Nanoseconds above the base, at which packets are dropped as they come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Native {
    /// The layer, or `base`.
    pub(crate) layer: String,
    /// Configured peers.
    pub(crate) peers: u32,
    /// Above the base.
    pub(crate) ns: f64,
    /// Base and generator included.
    pub(crate) total_ns: f64,
}

/// Nanoseconds of one run of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alone {
    /// Configured peers.
    pub(crate) peers: u32,
    /// `IPv4` or `IPv6`.
    pub(crate) family: String,
    /// As the kernel tells it.
    pub(crate) ns: u64,
    /// Of a program that does nothing.
    pub(crate) nothing_ns: u64,
}

/// What a policy takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    /// Who may talk to whom.
    pub(crate) shape: String,
    /// Configured peers.
    pub(crate) peers: u32,
    /// From configuration to tables.
    pub(crate) compile_ms: f64,
    /// From tables to programs and maps in the kernel.
    pub(crate) load_ms: f64,
    /// The kernel's memory for the maps.
    pub(crate) map_bytes: u64,
    /// The process's.
    pub(crate) peak_rss_bytes: u64,
}

/// Instructions of a command, from the start of its process to its end, the kernel's included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Command {
    /// Its words.
    pub(crate) verb: String,
    /// Configured peers.
    pub(crate) peers: u32,
    /// How many.
    pub(crate) instructions: u64,
}

/// Time of a command that needs no relay, the least of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pace {
    /// Its words.
    pub(crate) verb: String,
    /// Configured peers.
    pub(crate) peers: u32,
    /// Milliseconds.
    pub(crate) ms: f64,
}

/// A measurement that was not made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Excuse {
    /// `instructions on 6.12`, `native`.
    #[serde(default)]
    pub(crate) subject: String,
    /// The layer.
    pub(crate) layer: String,
    /// Configured peers.
    pub(crate) peers: u32,
    /// Why.
    pub(crate) excuse: String,
}

impl Document {
    /// Without figures yet.
    pub(crate) fn new(date: String, commit: String, quick: bool, host: Host) -> Self {
        Self { schema_version: SCHEMA_VERSION, date, commit, quick, host, ..Self::default() }
    }

    /// Reads a file that [`Self::write`] made.
    ///
    /// # Errors
    /// It is not there, or is of another format.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let document: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no figures of the bench", file.display()))?;
        if document.schema_version != SCHEMA_VERSION {
            bail!(
                "{}: found schemaVersion {}, expected {SCHEMA_VERSION}",
                file.display(),
                document.schema_version
            );
        }
        Ok(document)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Kernels of the instruction counts, in the order measured.
    pub(crate) fn kernels(&self) -> Vec<&str> {
        let mut kernels = Vec::new();
        for row in &self.instructions {
            if !kernels.contains(&row.kernel.as_str()) {
                kernels.push(row.kernel.as_str());
            }
        }
        kernels
    }

    /// Instructions of a layer. A layer that does not know peers costs the same at every size.
    pub(crate) fn instructions(
        &self,
        kernel: &str,
        layer: &str,
        family: &str,
        peers: u32,
    ) -> Option<u64> {
        let rows = || {
            self.instructions.iter().filter(|row| {
                row.kernel == kernel && row.layer == layer && row.family == family && row.len == 84
            })
        };
        let exact = rows().find(|row| row.peers == peers);
        exact.or_else(|| rows().next().filter(|_| ignores_peers(layer))).map(|row| row.instructions)
    }

    /// Nanoseconds of a layer above the base.
    pub(crate) fn native(&self, layer: &str, peers: u32) -> Option<f64> {
        let rows = || self.native.iter().filter(|row| row.layer == layer);
        let exact = rows().find(|row| row.peers == peers);
        exact.or_else(|| rows().next().filter(|_| ignores_peers(layer))).map(|row| row.ns)
    }

    /// Milliseconds that a command would take here, going by the one that was timed.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn estimate_ms(&self, command: &Command) -> Option<f64> {
        let timed = self.pace.iter().find(|pace| pace.peers == command.peers)?;
        let same = |other: &&Command| (&other.verb, other.peers) == (&timed.verb, timed.peers);
        let counted = self.commands.iter().find(same)?;
        Some(timed.ms * command.instructions as f64 / counted.instructions as f64)
    }

    /// Sizes of something, ascending, each once.
    pub(crate) fn sizes(peers: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut sizes: Vec<u32> = peers.collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

fn ignores_peers(layer: &str) -> bool {
    matches!(layer, "redirect" | "redirect-hooked" | "forward")
}
