//! What the guard costs: the rows, their tables, and what was hoped for.

use serde::{Deserialize, Serialize};

use super::goals::Goal;
use super::table::{grid, number};

/// Guest instructions of the guard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Guard {
    /// Of its program alone, above those of a program that lets everything pass.
    pub(crate) alone: Vec<Alone>,
    /// Of the whole machine, for a forged initiation that comes in.
    pub(crate) floods: Vec<Flood>,
    /// How genuine peers fare in one.
    pub(crate) sieges: Vec<Siege>,
}

/// One kind of frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alone {
    /// Series of the guest's kernel.
    #[serde(default)]
    pub(crate) kernel: String,
    /// What the frame is.
    pub(crate) frame: String,
    /// Instructions a run.
    pub(crate) instructions: u64,
}

/// One kind of flood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Flood {
    /// Series of the guest's kernel.
    #[serde(default)]
    pub(crate) kernel: String,
    /// Where they come from.
    pub(crate) flood: String,
    /// Whether the guard was there.
    pub(crate) guarded: bool,
    /// Instructions for each.
    pub(crate) instructions: u64,
}

/// Genuine peers beside a flood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Siege {
    /// Series of the guest's kernel.
    #[serde(default)]
    pub(crate) kernel: String,
    /// Forged initiations that were sent.
    pub(crate) siege: u64,
    /// In whose names.
    #[serde(default)]
    pub(crate) names: String,
    /// Whether the guard was there.
    pub(crate) guarded: bool,
    /// Peers that called.
    pub(crate) peers: u64,
    /// Initiations that they sent.
    pub(crate) calls: u64,
    /// Those that got a session.
    pub(crate) connected: u64,
    /// How long they waited for it, milliseconds.
    pub(crate) median_ms: Option<u64>,
    /// How long the last waited, milliseconds.
    pub(crate) worst_ms: Option<u64>,
    /// Packets sent from one connected peer to another.
    pub(crate) packets_sent: u64,
    /// Those that arrived.
    pub(crate) packets_received: u64,
}

const ALONE: &str = "\
Guest instructions of one run of relay_guard on a frame (BPF_PROG_TEST_RUN, an average of 10 000; of new
sources the median of 2 000 single runs), above a program that lets every frame pass.";
const FLOODS: &str = "\
Guest instructions of the whole machine for a forged initiation with a spoofed source, from the hook of the
driver until it is dropped, kernel threads included: an average of 2 000, sent as frames without a socket
buffer, as a network card receives them. What the same takes where a program in the driver drops them for
their source alone is taken off.";
const SIEGES: &str = "\
25 seconds of up to 35 000 forged initiations a second, in five salvoes, from ever new sources or from the
addresses and ports of the genuine peers, on one processor of
250 million instructions a second; receiving them comes before all threads of the kernel, as interrupts do.
Meanwhile 20 peers (boringtun) connect one after the other, and two connected ones talk through the relay.";

impl Guard {
    /// Title and text of its part of the document; `None` where it was not measured.
    pub(crate) fn section(&self) -> Option<(String, String)> {
        if self.alone.is_empty() {
            return None;
        }
        let alone = self.table("frame", &|kernel, name| {
            let mut rows = self.alone.iter().filter(|row| row.kernel == kernel);
            rows.find(|row| row.frame == name).map(|row| row.instructions)
        });
        let floods = self.table("forged initiations", &|kernel, name| {
            let mut rows = self.floods.iter().filter(|row| row.kernel == kernel);
            rows.find(|row| row.name() == name).map(|row| row.instructions)
        });
        let sieges = self.sieges();
        let text = format!("{ALONE}\n\n{alone}\n{FLOODS}\n\n{floods}\n{SIEGES}\n\n{sieges}");
        Some(("Instructions of the guard".to_owned(), text))
    }

    /// How it stands.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for row in
            self.alone.iter().filter(|row| ["data, IPv4", "data, IPv6"].contains(&&*row.frame))
        {
            let what = format!("{}: guard, {}", row.kernel, row.frame);
            goals.push(Goal::new(what, count(row.instructions), 60.0, "instructions"));
        }
        for row in self.floods.iter().filter(|row| row.guarded) {
            let mut same = self.floods.iter();
            let Some(without) = same.find(|other| {
                (&other.kernel, &other.flood, other.guarded) == (&row.kernel, &row.flood, false)
            }) else {
                continue;
            };
            let most = if row.flood == "one source" { 0.1 } else { 0.5 };
            let what = format!(
                "{}: a forged initiation, {}, as a part of one without the guard",
                row.kernel, row.flood
            );
            let part = count(row.instructions) / count(without.instructions);
            goals.push(Goal::new(what, part, most, ""));
        }
        for row in self.sieges.iter().filter(|row| row.guarded) {
            let what = format!(
                "{}: genuine handshakes that fail in a flood from {}",
                row.kernel, row.names
            );
            let failed = row.calls.saturating_sub(row.connected);
            goals.push(Goal::new(what, count(failed), 0.0, "handshakes"));
        }
        goals
    }

    fn sieges(&self) -> String {
        let head = [
            "kernel, guard",
            "in the names of",
            "forged sent",
            "initiations",
            "sessions",
            "median",
            "worst",
            "packets relayed",
        ];
        let rows = self.sieges.iter().map(|row| {
            let guard = if row.guarded { "with" } else { "without" };
            let seconds = |ms: Option<u64>| {
                ms.map_or("–".to_owned(), |ms| format!("{}.{:02} s", ms / 1000, ms % 1000 / 10))
            };
            vec![
                format!("{}, {guard}", row.kernel),
                row.names.clone(),
                number(row.siege),
                row.calls.to_string(),
                format!("{} of {}", row.connected, row.peers),
                seconds(row.median_ms),
                seconds(row.worst_ms),
                format!("{} of {}", row.packets_received, row.packets_sent),
            ]
        });
        grid(head.map(str::to_owned).to_vec(), rows)
    }

    /// A column for each kernel, a row for each name that `found` is asked for.
    fn table(&self, head: &str, found: &dyn Fn(&str, &str) -> Option<u64>) -> String {
        let mut kernels: Vec<&str> = self.alone.iter().map(|row| &*row.kernel).collect();
        kernels.dedup();
        let mut names: Vec<String> = Vec::new();
        let frames = self.alone.iter().map(|row| row.frame.clone());
        for name in frames.chain(self.floods.iter().map(Flood::name)) {
            if !names.contains(&name) && kernels.iter().any(|kernel| found(kernel, &name).is_some())
            {
                names.push(name);
            }
        }
        let head = [head].into_iter().chain(kernels.iter().copied()).map(str::to_owned).collect();
        let rows = names.into_iter().map(|name| {
            let cells =
                kernels.iter().map(|kernel| found(kernel, &name).map_or("–".to_owned(), number));
            let cells: Vec<String> = cells.collect();
            [name].into_iter().chain(cells).collect()
        });
        grid(head, rows)
    }
}

impl Flood {
    fn name(&self) -> String {
        let guard = if self.guarded { "with the guard" } else { "without" };
        format!("{}, {guard}", self.flood)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
const fn count(instructions: u64) -> f64 {
    instructions as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floods_are_set_against_those_without_the_guard() {
        let flood = |flood: &str, guarded, instructions| Flood {
            kernel: "6.12".to_owned(),
            flood: flood.to_owned(),
            guarded,
            instructions,
        };
        let floods = vec![
            flood("ever new sources", false, 10_000),
            flood("ever new sources", true, 6_000),
            flood("one source", false, 10_000),
            flood("one source", true, 900),
        ];
        let guard = Guard { floods, ..Guard::default() };
        let reached: Vec<bool> = guard.goals().iter().map(|goal| goal.reached).collect();
        assert_eq!(reached, [false, true]);
    }
}
