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
    /// The guard's mode, or `none`.
    pub(crate) guard: String,
    /// Instructions for each.
    pub(crate) instructions: u64,
}

const ALONE: &str = "\
Guest instructions of one run of relay_guard on a frame (BPF_PROG_TEST_RUN, an average of 10 000; of new
sources the median of 2 000 single runs), above a program that lets every frame pass.";
const FLOODS: &str = "\
Guest instructions of the whole machine for a forged initiation with a spoofed source, from the other end
of a veth until it is dropped, kernel WireGuard behind it; sending is taken off. 2 000 of them, until a
genuine initiation behind them is answered.";

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
        let floods = self.table("flood, guard", &|kernel, name| {
            let mut rows = self.floods.iter().filter(|row| row.kernel == kernel);
            rows.find(|row| row.name() == name).map(|row| row.instructions)
        });
        let text = format!("{ALONE}\n\n{alone}\n{FLOODS}\n\n{floods}");
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
        for row in self.floods.iter().filter(|row| row.guard == "driver") {
            let mut same = self.floods.iter();
            let Some(without) = same.find(|other| {
                (&other.kernel, &other.flood, &*other.guard) == (&row.kernel, &row.flood, "none")
            }) else {
                continue;
            };
            let most = if row.flood == "one source" { 0.1 } else { 0.5 };
            let what = format!(
                "{}: a forged initiation, {}, as a part of one without the guard",
                row.kernel, row.flood
            );
            goals.push(Goal::new(
                what,
                count(row.instructions) / count(without.instructions),
                most,
                "",
            ));
        }
        goals
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
        format!("{}, {}", self.flood, self.guard)
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
        let flood = |flood: &str, guard: &str, instructions| Flood {
            kernel: "6.12".to_owned(),
            flood: flood.to_owned(),
            guard: guard.to_owned(),
            instructions,
        };
        let floods = vec![
            flood("ever new sources", "none", 10_000),
            flood("ever new sources", "driver", 6_000),
            flood("one source", "none", 10_000),
            flood("one source", "driver", 900),
        ];
        let reached: Vec<bool> =
            Guard { alone: vec![], floods }.goals().iter().map(|goal| goal.reached).collect();
        assert_eq!(reached, [false, true]);
    }
}
