//! All figures of one run, as JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::rows::{
    Alone, Command, Excuse, Flow, Guard, Host, Instructions, Memory, Mesh, Native, Pace, Processors,
};

/// Version of the format.
const SCHEMA_VERSION: u32 = 1;

/// The figures of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    pub schema_version: u32,
    /// YYYY-MM-DD.
    pub date: String,
    /// `git describe` of what was measured.
    pub commit: String,
    /// Whether it was a quick run, with fewer sizes and rounds.
    pub quick: bool,
    pub host: Host,
    /// Guest instructions per packet.
    pub instructions: Vec<Instructions>,
    /// Guest instructions per packet of a flow.
    #[serde(default)]
    pub flows: Vec<Flow>,
    /// Nanoseconds per packet.
    pub native: Vec<Native>,
    /// Nanoseconds per run of the program.
    pub alone: Vec<Alone>,
    /// Nanoseconds per run of the program on one and on two processors.
    #[serde(default)]
    pub processors: Vec<Processors>,
    /// Time and memory of policies.
    pub memory: Vec<Memory>,
    /// Instructions of commands.
    #[serde(default)]
    pub commands: Vec<Command>,
    /// Time of one command on this machine.
    #[serde(default)]
    pub pace: Vec<Pace>,
    /// Instructions of the guard.
    #[serde(default)]
    pub guard: Guard,
    /// Gossip between relays.
    #[serde(default)]
    pub mesh: Vec<Mesh>,

    pub excuses: Vec<Excuse>,
}

impl Document {
    pub fn new(date: String, commit: String, quick: bool, host: Host) -> Self {
        Self { schema_version: SCHEMA_VERSION, date, commit, quick, host, ..Self::default() }
    }

    /// Reads a file written by [`Self::write`].
    ///
    /// # Errors
    /// It cannot be read, or has another format.
    pub fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let document: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a file of the bench", file.display()))?;
        if document.schema_version != SCHEMA_VERSION {
            bail!(
                "{}: found schemaVersion {}, expected {SCHEMA_VERSION}",
                file.display(),
                document.schema_version
            );
        }
        Ok(document)
    }

    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Kernel series with instruction counts, in the order measured.
    pub fn kernels(&self) -> Vec<&str> {
        let mut kernels = Vec::new();
        for row in &self.instructions {
            if !kernels.contains(&row.kernel.as_str()) {
                kernels.push(row.kernel.as_str());
            }
        }
        kernels
    }

    /// Instructions of a layer. A layer without a policy costs the same at every size.
    pub fn instructions(&self, kernel: &str, layer: &str, family: &str, peers: u32) -> Option<u64> {
        let rows = || {
            self.instructions.iter().filter(|row| {
                row.kernel == kernel && row.layer == layer && row.family == family && row.len == 84
            })
        };
        let exact = rows().find(|row| row.peers == peers);
        exact.or_else(|| rows().next().filter(|_| has_no_policy(layer))).map(|row| row.instructions)
    }

    /// Nanoseconds of a layer, minus the base.
    pub fn native(&self, layer: &str, peers: u32) -> Option<f64> {
        let rows = || self.native.iter().filter(|row| row.layer == layer);
        let exact = rows().find(|row| row.peers == peers);
        exact.or_else(|| rows().next().filter(|_| has_no_policy(layer))).map(|row| row.ns)
    }

    /// Estimated milliseconds of a command on this machine, in proportion to the one timed.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn estimate_ms(&self, command: &Command) -> Option<f64> {
        let timed = self.pace.iter().find(|pace| pace.peers == command.peers)?;
        let same = |other: &&Command| (&other.verb, other.peers) == (&timed.verb, timed.peers);
        let counted = self.commands.iter().find(same)?;
        Some(timed.ms * command.instructions as f64 / counted.instructions as f64)
    }

    /// Distinct numbers of peers, ascending.
    pub fn sizes(peers: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut sizes: Vec<u32> = peers.collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

fn has_no_policy(layer: &str) -> bool {
    matches!(layer, "redirect" | "redirect-hooked" | "forward")
}
