//! The section about the guard.

use crate::grid::{grid, number};
use crate::rows::{Flood, Guard};

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

/// Title and text; `None` if the guard was not measured.
pub(crate) fn section(guard: &Guard) -> Option<(String, String)> {
    if guard.alone.is_empty() {
        return None;
    }
    let alone = table(guard, "frame", &|kernel, name| {
        let mut rows = guard.alone.iter().filter(|row| row.kernel == kernel);
        rows.find(|row| row.frame == name).map(|row| row.instructions)
    });
    let floods = table(guard, "forged initiations", &|kernel, name| {
        let mut rows = guard.floods.iter().filter(|row| row.kernel == kernel);
        rows.find(|row| flood_name(row) == name).map(|row| row.instructions)
    });
    let sieges = sieges(guard);
    let text = format!("{ALONE}\n\n{alone}\n{FLOODS}\n\n{floods}\n{SIEGES}\n\n{sieges}");
    Some(("Instructions of the guard".to_owned(), text))
}

fn sieges(guard: &Guard) -> String {
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
    let rows = guard.sieges.iter().map(|row| {
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

/// A column per kernel; a row per name for which `found` has a value.
fn table(guard: &Guard, head: &str, found: &dyn Fn(&str, &str) -> Option<u64>) -> String {
    let mut kernels: Vec<&str> = guard.alone.iter().map(|row| &*row.kernel).collect();
    kernels.dedup();
    let mut names: Vec<String> = Vec::new();
    let frames = guard.alone.iter().map(|row| row.frame.clone());
    for name in frames.chain(guard.floods.iter().map(flood_name)) {
        if !names.contains(&name) && kernels.iter().any(|kernel| found(kernel, &name).is_some()) {
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

fn flood_name(flood: &Flood) -> String {
    let guard = if flood.guarded { "with the guard" } else { "without" };
    format!("{}, {guard}", flood.flood)
}
