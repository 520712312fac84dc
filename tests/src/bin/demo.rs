//! The demonstration of `cargo xtask demo`: `examples/one-to-many.toml` on kernel WireGuard.
//!
//! `relay check`, `relay up`; the peers connect from behind their NATs; the administrator and the
//! nodes reach each other, the nodes do not.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use relay_tests::{
    Family, Lab, Peer, Site, deadline,
    relay_host::UNDERLAY,
    skip,
    traffic::{Echo, Udp, tcp::Connection},
};

/// Packets of each kind from one peer to another.
const COUNT: u64 = 3;

/// Bytes each way over TCP.
const STREAM_LEN: usize = 16 * 1024;

fn main() -> ExitCode {
    let color = io::stdout().is_terminal() || env::args().any(|argument| argument == "--color");
    match demo(&Screen { color }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(screen: &Screen) -> Result<()> {
    ensure!(skip::possible("demo", skip::LAB), "this machine lacks what is named above");
    let lab = Lab::build(Site::one_to_many()?)?;
    screen.title("One administrator and three nodes, each behind its own NAT")?;
    picture(screen, &lab)?;

    screen.title("relay check")?;
    screen.quote(&lab.relay().relay(&["check"])?.success("relay check")?)?;

    screen.title("relay up")?;
    screen.quote(&lab.relay().relay(&["up"])?.success("relay up")?)?;

    screen.title("The peers connect, with wg-quick and the files that relay renders for them")?;
    lab.connect(lab.peers())?;
    for (peer, shown) in lab.peers().iter().zip(lab.relay().stats()?.peers) {
        let [v4, v6] = Family::ALL.map(|family| peer.address(family).to_string());
        screen.line(&format!("{:<8} {v4:<10} {v6:<13} from {}", peer.name(), shown.endpoint))?;
    }

    screen.title("The administrator and the nodes reach each other")?;
    let [administrator, nodes @ ..] = lab.peers() else { bail!("the example has no peers") };
    screen.line(&format!("{:<19} {:<22} {}", "", "IPv4", "IPv6"))?;
    for node in nodes {
        for (from, to) in [(administrator, node), (node, administrator)] {
            let row = reach(screen, from, to)?;
            screen.line(&format!("{:<8} → {:<8} {row}", from.name(), to.name()))?;
        }
    }

    screen.title("The nodes do not, even if they claim the whole overlay in their own configs")?;
    for node in nodes {
        lab.widen(node)?;
    }
    for from in nodes {
        for to in nodes.iter().filter(|to| to.name() != from.name()) {
            let row = dropped(screen, &lab, from, to)?;
            screen.line(&format!("{:<8} → {:<8} {row}", from.name(), to.name()))?;
        }
    }

    screen.title("relay stats")?;
    screen.quote(&lab.relay().relay(&["stats"])?.success("relay stats")?)?;
    let stats = lab.relay().stats()?;
    let dropped: u64 = stats.totals.dropped.values().sum();
    screen.title(&format!(
        "{} packets relayed and {dropped} dropped, all in the kernel: no process in the data path.",
        stats.totals.relayed.rx_packets
    ))
}

/// Draws the lab.
fn picture(screen: &Screen, lab: &Lab) -> Result<()> {
    let interface = lab.interface()?;
    let [v4, v6] = Family::ALL.map(|family| lab.relay_address(family).map(|a| a.to_string()));
    let hub = format!("{UNDERLAY} relay: {interface} {} {}", v4?, v6?);
    let middle = lab.peers().len() / 2;
    for (row, peer) in lab.peers().iter().enumerate() {
        let left = format!(
            "{:<8} {:<10} ── NAT {:<13}",
            peer.name(),
            peer.address(Family::V4).to_string(),
            peer.public_address().to_string()
        );
        let bracket = if row == 0 {
            "──┐"
        } else if row + 1 == lab.peers().len() {
            "──┘"
        } else if row == middle {
            "──┼── internet ── "
        } else {
            "──┤"
        };
        let right = if row == middle { hub.as_str() } else { "" };
        screen.line(format!("{left} {bracket}{right}").trim_end())?;
    }
    Ok(())
}

/// A table row: ping, UDP and TCP, in both families.
fn reach(screen: &Screen, from: &Peer, to: &Peer) -> Result<String> {
    let mut cells = Vec::new();
    for family in Family::ALL {
        let (source, target) = (from.address(family), to.address(family));
        let mut echo = Echo::open(from.namespace(), source, target)?;
        echo.send(COUNT)?;
        let pinged = echo.answers(COUNT, deadline::PATIENCE)? == COUNT;
        let udp = Udp::open(from.namespace(), source, to.namespace(), target)?;
        let sent = udp.send(COUNT, 100)?;
        let delivered = udp.received(COUNT, deadline::PATIENCE)? == sent;
        let streamed = Connection::open(from.namespace(), source, to.namespace(), target)
            .and_then(|connection| connection.exchange(STREAM_LEN));
        for (what, works) in [("ping", pinged), ("UDP", delivered), ("TCP", streamed.is_ok())] {
            ensure!(works, "{} does not reach {} by {what}", from.name(), to.name());
            cells.push(screen.good(&format!("{what} ok")));
        }
    }
    Ok(cells.join(" "))
}

/// A table row: what was sent, and why it was dropped.
fn dropped(screen: &Screen, lab: &Lab, from: &Peer, to: &Peer) -> Result<String> {
    let counts = || -> Result<Vec<(String, u64)>> {
        let stats = lab.relay().stats()?;
        let peer = stats.peer(from.name()).context("a peer without statistics")?;
        Ok(peer.dropped.iter().map(|(reason, count)| (reason.clone(), *count)).collect())
    };
    let before = counts()?;
    let mut echoes = Vec::new();
    for family in Family::ALL {
        let mut echo = Echo::between(from, to, family)?;
        echo.send(COUNT)?;
        echoes.push(echo);
    }
    let sent = COUNT * Family::ALL.len() as u64;
    let reasons = deadline::until("the dropped packets", || {
        let moved: Vec<(String, u64)> = counts()?
            .into_iter()
            .zip(&before)
            .map(|((reason, now), (_reason, then))| (reason, now - then))
            .filter(|(_reason, packets)| *packets > 0)
            .collect();
        let total: u64 = moved.iter().map(|(_reason, packets)| packets).sum();
        Ok((total >= sent).then_some(moved))
    })?;
    for mut echo in echoes {
        ensure!(echo.answers(1, Duration::ZERO)? == 0, "{} answered", to.name());
    }
    let reasons: Vec<String> =
        reasons.into_iter().map(|(reason, packets)| format!("{packets} × {reason}")).collect();
    Ok(format!("{} {}", screen.bad("dropped"), reasons.join(", ")))
}

/// Standard output.
struct Screen {
    color: bool,
}

impl Screen {
    fn title(&self, text: &str) -> Result<()> {
        self.put(&format!("\n{}\n", self.paint("1", text)))
    }

    fn line(&self, text: &str) -> Result<()> {
        self.put(&format!("  {text}\n"))
    }

    /// Quotes the output of a command.
    fn quote(&self, text: &str) -> Result<()> {
        text.trim_end().lines().try_for_each(|line| self.line(line))
    }

    fn good(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Flushes, as the next step takes a while.
    fn put(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}
