//! One peer at full speed beside twenty that send a packet now and then.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use relay_tests::{
    Family, Lab, Site, deadline, scenario, skip,
    traffic::{Echo, Udp},
};

/// Peers that send now and then, and how often each of them does.
const OTHERS: u8 = 20;
const ROUNDS: usize = 10;

/// The relay's line, which holds what waits in a queue of packets; and the limit of the peer that
/// would fill it.
const LINE: [&str; 4] = ["rate", "2mbit", "limit", "40"];
const LIMIT: &str = "1 Mbit/s";

/// How long an answer may take, and what lies between two requests of a peer.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(200);

/// What became of the echo requests of all others.
#[derive(Debug)]
struct Outcome {
    sent: usize,
    lost: usize,
    /// Of those that were answered.
    median: Duration,
}

#[test]
fn a_limited_peer_at_full_speed_takes_nothing_from_twenty_others() {
    scenario(skip::TIMED, || {
        let mut site = Site::node_to_node()?;
        let [a, b] = site.first()?;
        let to_a = ["10.3.2.3", "fd00::3:2:3"].map(|address| address.parse::<IpAddr>());
        let to_a = to_a.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut names = Vec::new();
        for number in 0..OTHERS {
            let name = format!("other-{number}");
            let addresses =
                [format!("10.3.2.{}", number + 20), format!("fd00::3:2:{:x}", number + 20)];
            let addresses: Vec<IpAddr> =
                addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>()?;
            site.add_peer(&name, &addresses)?;
            site.allow(&name, &to_a)?;
            site.allow(&a, &addresses)?;
            names.push(name);
        }
        let mut lab = Lab::start(site)?;
        let tc = ["qdisc", "add", "dev", "eth0", "root", "netem"];
        lab.relay().namespace().run("tc", &[&tc[..], &LINE[..]].concat())?;
        let free = beside_a_flood(&lab, [&b, &a], &names)?;
        lab.site_mut().set(&b, "rate_from", LIMIT)?;
        lab.up()?;
        let limited = beside_a_flood(&lab, [&b, &a], &names)?;
        for (what, outcome) in [("without limits", &free), ("with a limit", &limited)] {
            let Outcome { sent, lost, median } = outcome;
            println!("{what}: {lost} of {sent} lost, the others answered in {median:?}");
        }
        ensure!(free.lost * 10 > free.sent, "the line was not full: {free:?}");
        ensure!(limited.lost * 100 <= limited.sent, "with a limit {limited:?}, without {free:?}");
        let dropped = lab.relay().stats()?;
        let dropped = &dropped.peer(&b).context("a peer")?.dropped;
        ensure!(dropped["rate"] > 100, "{dropped:?}");
        Ok(())
    });
}

/// Echo requests of the others to a peer that gets as much as the first can send.
fn beside_a_flood(lab: &Lab, [from, to]: [&str; 2], others: &[String]) -> Result<Outcome> {
    let (from, to, family) = (lab.peer(from)?, lab.peer(to)?, Family::V4);
    let flood =
        Udp::open(from.namespace(), from.address(family), to.namespace(), to.address(family))?;
    let echoes = others
        .iter()
        .map(|other| Echo::between(lab.peer(other)?, to, family))
        .collect::<Result<Vec<_>>>()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                // A full queue of its own is no error.
                drop(flood.send(2, 1_200));
                deadline::pass(Duration::from_millis(4));
            }
        });
        // Until the line is full.
        deadline::pass(PATIENCE);
        let asked: Vec<_> =
            echoes.into_iter().map(|echo| scope.spawn(|| now_and_then(echo))).collect();
        let times: Result<Vec<_>> = asked
            .into_iter()
            .map(|one| one.join().map_err(|_panic| anyhow!("a peer panicked"))?)
            .collect();
        is_over.store(true, Relaxed);
        let mut times = times?.concat();
        times.sort_unstable();
        let sent = ROUNDS * others.len();
        let median = times.get(times.len() / 2).copied().unwrap_or(PATIENCE);
        Ok(Outcome { sent, lost: sent - times.len(), median })
    })
}

/// How long each answer took that came.
fn now_and_then(mut echo: Echo) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        echo.send(1)?;
        if echo.answers(1, PATIENCE)? > 0 {
            times.push(start.elapsed());
        }
        deadline::pass(PAUSE);
    }
    Ok(times)
}
