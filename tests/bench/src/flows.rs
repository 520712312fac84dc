//! The cost of a flow's packets as a table.

use crate::{
    document::Document,
    grid::{grid, number},
    rows::Flow,
};

const FLOWS: &str = "\
Guest instructions as above, of the packets of one flow each: 100 round trips of TCP segments with 100 and
101 bytes, and of UDP datagrams, the least of 100 in each direction; > is sent by the side that began the
flow, < is the answer. 10 000 peers; each rule allows one peer a TCP and a UDP port of another. The set of
nftables has source, destination, protocol and port, and comes after `ct state established,related accept`.";

/// Ways in the order of the table.
const WAYS: [(&str, &str); 11] = [
    ("lists", "relay, pair by lists"),
    ("lists-learnt", "relay, pair by lists while it learns"),
    ("lists-meshed", "relay of a site, pair by lists at home there"),
    ("lists-beside-limits", "relay, pair by lists beside limited peers"),
    ("lists-rates", "relay, pair by lists with rates"),
    ("lists-quotas", "relay, pair by lists with rates and quotas"),
    ("lists-tried", "relay, pair by lists while a candidate is tried"),
    ("rule", "relay, pair by a rule"),
    ("rule-rates", "relay, pair by a rule with rates"),
    ("rule-tried", "relay, pair by a rule while a candidate is tried"),
    ("nftables", "nftables with conntrack"),
];

/// Title and text for each kernel.
pub(crate) fn sections(document: &Document) -> Vec<(String, String)> {
    let kernels = kernels(document).into_iter();
    let section = |kernel| {
        let title = format!("Instructions a packet of a flow, Linux {kernel}");
        (title, format!("{FLOWS}\n\n{}", table(document, kernel)))
    };
    kernels.map(section).collect()
}

/// Kernel series, in the order measured.
pub(crate) fn kernels(document: &Document) -> Vec<&str> {
    let mut kernels: Vec<&str> = document.flows.iter().map(|row| &*row.kernel).collect();
    kernels.dedup();
    kernels
}

/// The same packets another way or beside another number of rules.
pub(crate) fn same<'d>(
    document: &'d Document,
    row: &Flow,
    way: &str,
    rules: u32,
) -> Option<&'d Flow> {
    let wanted = (&*row.kernel, &*row.family, &*row.transport, &*row.side, way, rules);
    document.flows.iter().find(|other| {
        (&*other.kernel, &*other.family, &*other.transport, &*other.side, &*other.way, other.rules)
            == wanted
    })
}

fn table(document: &Document, kernel: &str) -> String {
    let of_kernel = || document.flows.iter().filter(|row| row.kernel == kernel);
    let mut ways: Vec<(&str, u32)> = of_kernel().map(|row| (&*row.way, row.rules)).collect();
    ways.sort_by_key(|&(way, rules)| (order(way), rules));
    ways.dedup();
    let Some(&(way, rules)) = ways.first() else { return String::new() };
    let columns: Vec<&Flow> =
        of_kernel().filter(|row| (&*row.way, row.rules) == (way, rules)).collect();
    let head = columns.iter().map(|row| {
        let arrow = if row.side == "beginner" { '>' } else { '<' };
        format!("{} {} {arrow}", row.family, row.transport.to_uppercase())
    });
    let head = ["way".to_owned()].into_iter().chain(head).collect();
    let rows = ways.into_iter().map(|(way, rules)| {
        let cells = columns.iter().map(|column| {
            let row = same(document, column, way, rules);
            row.map_or("–".to_owned(), |row| number(row.instructions))
        });
        [name(way, rules)].into_iter().chain(cells).collect()
    });
    grid(head, rows)
}

fn order(way: &str) -> usize {
    WAYS.iter().position(|(known, _)| *known == way).unwrap_or(usize::MAX)
}

fn name(way: &str, rules: u32) -> String {
    let count = match rules {
        0 => "no rule".to_owned(),
        1 => "1 rule".to_owned(),
        rules => format!("{} rules", number(rules.into())),
    };
    let known = WAYS.iter().find(|(known, _)| *known == way);
    format!("{}, {count}", known.map_or(way, |(_, name)| name))
}
