//! The figures as tables.

use crate::document::Document;
use crate::grid::{grid, number};
use crate::{flows, goals, guard, layers, mesh, rows};

/// How the figures were measured.
const INSTRUCTIONS: &str = "\
Guest instructions from netif_receive_skb on the relay's WireGuard interface to wg_xmit for the same
packet; ICMP echo of 84 bytes over kernel WireGuard in QEMU (-icount shift=5, one processor), 100 round
trips, the least of 200. Trace events read the time-stamp counter, which there counts instructions.";
const NATIVE: &str = "\
Nanoseconds above the base, at which packets are dropped as they come in: live frames of 84 bytes of
IPv4, random pairs of peers, every packet seen to arrive; the least of all runs.";
const ALONE: &str = "\
One run of relay_ingress on a packet that it relays (BPF_PROG_TEST_RUN, 4 000 times 250 repeats, the
least average), with what a run of an empty program takes.";
const PROCESSORS: &str = "\
One run of relay_ingress on a packet that it relays (BPF_PROG_TEST_RUN, 800 times 250 repeats, the least
average of 25), while the other processor does nothing, and while it runs the program between these
peers; every run found in the counters. Between two calls the other processor is alone for a moment.";
const MEMORY: &str = "\
A policy of peers with an IPv4 and an IPv6 address each: compiled, and loaded into the kernel; the least
of 5. \"rules\" is one-to-many with 1 000 rules between 200 groups. Maps as /proc/self/fdinfo tells
them; RSS is the process's peak, configuration included.";

const COMMANDS: &str = "\
Guest instructions of the optimised binary on kernel WireGuard, from the start of its process to its end,
the kernel's included; of `relay takeover`, without its pauses. Time here: that of `relay check` on this
machine, the least of 10, in proportion.";

pub fn render(document: &Document) -> String {
    let mut out = String::new();
    for (title, text) in sections(document) {
        out += &format!("\n{title}\n\n{text}");
    }
    out
}

/// Titles and texts, with tables in Markdown.
pub(crate) fn sections(document: &Document) -> Vec<(String, String)> {
    let mut sections = Vec::new();
    for kernel in document.kernels() {
        let title = format!("Instructions a relayed packet, Linux {kernel}");
        sections.push((title, format!("{INSTRUCTIONS}\n\n{}", instructions(document, kernel))));
    }
    sections.extend(flows::sections(document));
    if !document.native.is_empty() {
        let host = &document.host;
        let title = format!("Nanoseconds a relayed packet, Linux {}", host.kernel);
        let load = format!(
            "{} ({} processors), load average {:.1} when it began.",
            host.processor, host.processors, host.load
        );
        sections.push((title, format!("{NATIVE} {load}\n\n{}", native(document))));
    }
    if !document.alone.is_empty() {
        sections.push(("The program alone".to_owned(), format!("{ALONE}\n\n{}", alone(document))));
    }
    if !document.processors.is_empty() {
        let title = "On two processors".to_owned();
        sections.push((title, format!("{PROCESSORS}\n\n{}", processors(document))));
    }
    if !document.memory.is_empty() {
        let title = "Time and memory of a policy".to_owned();
        sections.push((title, format!("{MEMORY}\n\n{}", memory(document))));
    }
    if !document.commands.is_empty() {
        let title = "Commands of a running relay".to_owned();
        sections.push((title, format!("{COMMANDS}\n\n{}", commands(document))));
    }
    sections.extend(guard::section(&document.guard));
    sections.extend(mesh::section(document));
    let goals = goals::judge(document);
    if !goals.is_empty() {
        let rows = goals.iter().map(|goal| {
            let how = if goal.reached { "reached" } else { "missed" };
            vec![goal.what.clone(), goal.found.clone(), goal.most.clone(), how.to_owned()]
        });
        let head = ["goal", "found", "at most", ""].map(str::to_owned).to_vec();
        sections.push(("Goals".to_owned(), grid(head, rows)));
    }
    sections
}

/// Differences above the noise: 1 % of instructions and bytes, 15 % of times.
pub fn render_changes(before: &Document, now: &Document) -> String {
    let mut rows = Vec::new();
    let mut compare = |what: String, then: f64, now: f64, noise: f64| {
        let change = (now / then - 1.0) * 100.0;
        if change.abs() > noise {
            rows.push(vec![
                what,
                format!("{then:.0}"),
                format!("{now:.0}"),
                format!("{change:+.1} %"),
            ]);
        }
    };
    for row in &now.instructions {
        let same = |old: &&rows::Instructions| {
            (&old.kernel, &old.layer, old.peers, &old.family, old.len)
                == (&row.kernel, &row.layer, row.peers, &row.family, row.len)
        };
        if let Some(old) = before.instructions.iter().find(same) {
            let what = format!(
                "instructions on {}, {}, {} peers, {}, {} bytes",
                row.kernel, row.layer, row.peers, row.family, row.len
            );
            compare(what, float(old.instructions), float(row.instructions), 1.0);
        }
    }
    for row in &now.flows {
        if let Some(old) = flows::same(before, row, &row.way, row.rules) {
            let what = format!(
                "instructions on {}, {} of {} rules, {} {}, {}",
                row.kernel, row.way, row.rules, row.family, row.transport, row.side
            );
            compare(what, float(old.instructions), float(row.instructions), 1.0);
        }
    }
    for row in &now.native {
        let same = |old: &&rows::Native| {
            (&old.layer, old.peers) == (&row.layer, row.peers) && row.layer != "base"
        };
        if let Some(old) = before.native.iter().find(same) {
            compare(format!("native ns, {}, {} peers", row.layer, row.peers), old.ns, row.ns, 15.0);
        }
    }
    for row in &now.alone {
        let same = |old: &&rows::Alone| (&old.family, old.peers) == (&row.family, row.peers);
        if let Some(old) = before.alone.iter().find(same) {
            let what = format!("program alone ns, {}, {} peers", row.family, row.peers);
            compare(what, float(old.ns), float(row.ns), 15.0);
        }
    }
    for row in &now.memory {
        let same = |old: &&rows::Memory| (&old.shape, old.peers) == (&row.shape, row.peers);
        if let Some(old) = before.memory.iter().find(same) {
            let at = format!("{}, {} peers", row.shape, row.peers);
            compare(format!("compile ms, {at}"), old.compile_ms, row.compile_ms, 15.0);
            compare(format!("load ms, {at}"), old.load_ms, row.load_ms, 15.0);
            compare(format!("map bytes, {at}"), float(old.map_bytes), float(row.map_bytes), 1.0);
        }
    }
    let title = format!("\nSince {} ({})\n\n", before.date, before.commit);
    if rows.is_empty() {
        return title
            + "Nothing changed by more than 1 % of instructions and bytes, or 15 % of times.\n";
    }
    title + &grid(["figure", "then", "now", ""].map(str::to_owned).to_vec(), rows)
}

fn instructions(document: &Document, kernel: &str) -> String {
    let of_kernel = || document.instructions.iter().filter(|row| row.kernel == kernel);
    let sizes = Document::sizes(of_kernel().map(|row| row.peers));
    let mut head = vec!["peers".to_owned()];
    for family in ["IPv4", "IPv6"] {
        head.extend(sizes.iter().map(|&peers| format!("{family}: {}", number(u64::from(peers)))));
    }
    let rows = layers::LAYERS.iter().map(|(layer, name)| {
        let mut row = vec![(*name).to_owned()];
        for family in ["IPv4", "IPv6"] {
            row.extend(sizes.iter().map(|&peers| {
                let count = document.instructions(kernel, layer, family, peers);
                count.map_or("–".to_owned(), number)
            }));
        }
        row
    });
    let differences = of_kernel().filter(|row| row.len != 84).filter_map(|row| {
        let short = of_kernel().find(|short| {
            (&short.layer, short.peers, &short.family, short.len)
                == (&row.layer, row.peers, &row.family, 84)
        });
        Some(short?.instructions.abs_diff(row.instructions))
    });
    let most = differences.max().unwrap_or(0);
    let mut out = grid(head, rows);
    out += &format!("\nPackets of 1 400 bytes: the same, within {most} instructions.\n");
    out += &excuses(document, &format!("instructions on {kernel}"));
    out
}

fn native(document: &Document) -> String {
    let sizes = Document::sizes(document.native.iter().map(|row| row.peers));
    let mut head = vec!["peers".to_owned()];
    head.extend(sizes.iter().map(|&peers| number(u64::from(peers))));
    let rows = layers::LAYERS.iter().filter(|(layer, _)| *layer != "redirect-hooked").map(
        |(layer, name)| {
            let cells = sizes.iter().map(|&peers| {
                let ns = document.native(layer, peers);
                ns.map_or("–".to_owned(), |ns| format!("{ns:.0}"))
            });
            [(*name).to_owned()].into_iter().chain(cells).collect()
        },
    );
    let mut out = grid(head, rows);
    out += &excuses(document, "native");
    out
}

fn alone(document: &Document) -> String {
    let rows = document.alone.iter().map(|row| {
        vec![
            format!("{}, {} peers", row.family, number(u64::from(row.peers))),
            format!("{} ns", row.ns),
            format!("{} ns", row.nothing_ns),
        ]
    });
    grid(["", "relay_ingress", "empty program"].map(str::to_owned).to_vec(), rows)
}

fn processors(document: &Document) -> String {
    let rows = document.processors.iter().map(|row| {
        vec![
            row.case.clone(),
            format!("{:.1} ns", row.alone_ns),
            format!("{:.1} ns", row.together_ns),
            format!("{:.2}", row.speedup()),
        ]
    });
    let head = ["", "alone", "both at once", "both, in one"];
    grid(head.map(str::to_owned).to_vec(), rows)
}

fn memory(document: &Document) -> String {
    let rows = document.memory.iter().map(|row| {
        vec![
            row.shape.clone(),
            number(u64::from(row.peers)),
            format!("{:.1} ms", row.compile_ms),
            format!("{:.1} ms", row.load_ms),
            mib(row.map_bytes),
            mib(row.peak_rss_bytes),
        ]
    });
    let head = ["shape", "peers", "compile", "load", "maps", "peak RSS"];
    grid(head.map(str::to_owned).to_vec(), rows)
}

fn commands(document: &Document) -> String {
    let rows = document.commands.iter().map(|row| {
        let ms = document.estimate_ms(row).map_or_else(String::new, |ms| format!("{ms:.0} ms"));
        vec![
            if row.verb.starts_with("wg ") {
                row.verb.clone()
            } else {
                format!("relay {}", row.verb)
            },
            number(u64::from(row.peers)),
            format!("{:.1} million", float(row.instructions) / 1e6),
            ms,
            row.resident_kib.map_or_else(String::new, |kib| mib(kib << 10)),
        ]
    });
    let head = ["command", "peers", "instructions", "time here", "resident"];
    grid(head.map(str::to_owned).to_vec(), rows)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", float(bytes) / f64::from(1 << 20))
}

/// The reasons for empty cells.
fn excuses(document: &Document, subject: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (layer, name) in layers::LAYERS {
        let found = document.excuses.iter().filter(|e| e.subject == subject && e.layer == *layer);
        for excuse in found.filter(|excuse| excuse.excuse != "does not know peers") {
            let peers = number(u64::from(excuse.peers));
            lines.push(format!("Not measured: {name} at {peers} peers ({}).", excuse.excuse));
        }
    }
    if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join("\n")) }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn float(value: u64) -> f64 {
    value as f64
}
