//! The section about gossip between relays.

use crate::{
    document::Document,
    grid::{grid, number},
    rows::{Mesh, Phase},
};

const MESH: &str = "\
What one relay of a site does, on average, all of them in one process. Over UDP: loopback addresses and
real time, with the ledger of each relay. Over channels: each way takes 10 ms, and the clock stands while
something is computed, so times are those of the protocol. Bytes are what a relay sends without headers,
which are 48 bytes a datagram (IPv6, UDP) and 60 a packet (WireGuard over IPv4). 1 % of all peers move a minute. \"Known\" is the time
until the last relay has heard of a move. At last a relay is gone and another claims its peers, all at once.";

/// Title and text; `None` if gossip was not measured.
pub(crate) fn section(document: &Document) -> Option<(String, String)> {
    if document.mesh.is_empty() {
        return None;
    }
    let head = document.mesh.iter().map(site);
    let head = ["relays, peers, way".to_owned()].into_iter().chain(head).collect();
    let row = |name: &str, figure: &dyn Fn(&Mesh) -> String| {
        [name.to_owned()].into_iter().chain(document.mesh.iter().map(figure)).collect()
    };
    let seconds = |ms: f64| format!("{:.2} s", ms / 1e3);
    let kib = |bytes: u64| format!("{} KiB", number(bytes.div_ceil(1024)));
    let ms = |ms: f64| format!("{ms:.1} ms");
    let of = |phase: &Phase| format!("{}, {}", kib(phase.bytes), ms(phase.processor_ms));
    let known = |place: usize| move |row: &Mesh| format!("{:.0} ms", row.known_ms[place]);
    let rows = [
        row("memory", &|row| kib(row.memory_bytes)),
        row("start: all know all", &|row| seconds(row.start.ms)),
        row("start: sent, processor", &|row| of(&row.start)),
        row("at rest: sent, processor a second", &|row| of(&row.rest)),
        row("moving: sent, processor a second", &|row| of(&row.moving)),
        row("moves", &|row| number(row.moves.into())),
        row("move known, median", &known(0)),
        row("move known, 99 %", &known(1)),
        row("move known, worst", &known(2)),
        row("loss: all know", &|row| seconds(row.loss.ms)),
        row("loss: sent, processor", &|row| of(&row.loss)),
    ];
    let excuses = document.excuses.iter().filter(|excuse| excuse.subject == "mesh");
    let excuses = excuses.map(|it| {
        format!("\nGiven up: {} with {} peers, {}.\n", it.layer, number(it.peers.into()), it.excuse)
    });
    let host = &document.host;
    let title = format!("Gossip between relays, Linux {}", host.kernel);
    let table = grid(head, rows) + &excuses.collect::<String>();
    let machine = format!("{} ({} processors).", host.processor, host.processors);
    Some((title, format!("{MESH} {machine}\n\n{table}")))
}

fn site(row: &Mesh) -> String {
    let way = match row.lost {
        None => "UDP".to_owned(),
        Some(0) => "channels".to_owned(),
        Some(lost) => format!("channels, {}.{} % lost", lost / 10, lost % 10),
    };
    format!("{}, {}, {way}", row.relays, number(row.peers.into()))
}
