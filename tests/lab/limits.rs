//! Rates and quotas on kernel WireGuard.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use relay_tests::{
    Family, Lab, Peer, Site, deadline, scenario, schema, skip,
    traffic::{Udp, tcp::Connection},
};

/// Rates, and bits a second of each: with the least depth of a bucket, and with more.
const RATES: [(&str, u64); 2] = [("1 Mbit/s", 1_000_000), ("10 Mbit/s", 10_000_000)];

/// How long a connection is measured at a time, and until it has to reach its rate.
const SPAN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// A packet, and an aggregate of packets, bytes.
const PACKET: u64 = 1_420;
const AGGREGATE: u64 = 1 << 16;

#[test]
fn tcp_reaches_nine_tenths_of_the_rate_of_a_peer_and_never_more_than_it() {
    scenario(skip::TIMED, || {
        let site = Site::node_to_node()?;
        let [a, b] = site.first()?;
        for (limited, key) in [(&a, "rate_from"), (&b, "rate_to")] {
            for (text, rate) in RATES {
                let mut site = Site::node_to_node()?;
                site.set(limited, key, text)?;
                let lab = Lab::start(site)?;
                let [from, to] = [lab.peer(&a)?, lab.peer(&b)?];
                for family in Family::ALL {
                    transfer(&lab, [from, to], family, rate)
                        .with_context(|| format!("{key} {text}, {}", family.name()))?;
                }
                let dropped = lab.relay().stats()?.totals.dropped["rate"];
                ensure!(dropped > 0, "nothing was dropped at {text}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_quota_ends_what_passes_and_outlives_a_reload() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [a, b] = site.first()?;
        site.set(&a, "quota_from", "64 KiB/month")?;
        let mut lab = Lab::start(site)?;
        let send = |lab: &Lab, bytes: usize| -> Result<bool> {
            let ([from, to], family) = ([lab.peer(&a)?, lab.peer(&b)?], Family::V4);
            let udp = Udp::open(
                from.namespace(),
                from.address(family),
                to.namespace(),
                to.address(family),
            )?;
            udp.send(1, bytes)?;
            Ok(udp.received(1, Duration::from_secs(2))?.packets == 1)
        };
        let mut sent = 0;
        while send(&lab, 1_000)? {
            sent += 1;
            ensure!(sent < 66, "{sent} packets of 1028 bytes passed");
        }
        ensure!(sent > 50, "{sent} packets of 1028 bytes passed");
        lab.site_mut().set(&b, "rate_from", "1 Gbit/s")?;
        lab.up()?;
        ensure!(!send(&lab, 1_000)?, "a reload gave a quota anew");
        let dropped = lab.relay().stats()?;
        ensure!(dropped.peer(&a).context("a peer")?.dropped["quota"] >= 2, "{dropped:?}");
        lab.site_mut().set(&a, "quota_from", "1 GB/month")?;
        lab.up()?;
        ensure!(send(&lab, 1_000)?, "a larger quota does not hold");
        Ok(())
    });
}

#[test]
fn what_was_used_of_a_quota_outlives_down_and_a_crash_and_can_be_reset() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [a, _b] = site.first()?;
        site.set(&a, "quota", "1 GB/month")?;
        let lab = Lab::start(site)?;
        let used = || -> Result<u64> {
            let text = lab.relay().relay(&["quota", &a, "--json"])?.success("quota")?;
            let shown = schema::parse("quota", &text)?;
            let quota = &shown["quotas"][0];
            ensure!(
                quota["traffic"] == "both" && quota["limitBytes"] == 1_000_000_000_u64,
                "{quota}"
            );
            quota["usedBytes"].as_u64().context("a number")
        };
        let stats = lab.relay().stats()?;
        let [from, to] = lab.first()?;
        let (passed, family) = (stats.peer(&a).context("a peer")?.relayed, Family::V6);
        let udp =
            Udp::open(from.namespace(), from.address(family), to.namespace(), to.address(family))?;
        udp.send(3, 1_000)?;
        ensure!(udp.received(3, deadline::PATIENCE)?.packets == 3, "datagrams are lost");
        let whole = used()?;
        let relayed = lab.relay().stats()?.peer(&a).context("a peer")?.relayed;
        ensure!(whole >= 3 * 1_048 && relayed.rx_bytes >= passed.rx_bytes + 3 * 1_048, "{whole}");
        lab.relay().down()?;
        lab.relay().up()?;
        ensure!(used()? >= whole, "down and up gave a quota anew");
        // As after a crash: the pins are gone, and nobody saved anything in the end.
        lab.relay().relay(&["quota", "--save"])?.success("quota --save")?;
        lab.relay().namespace().run("ip", &["link", "del", &lab.interface()?])?;
        fs::remove_dir_all(lab.relay().bpffs().join("relay"))?;
        lab.relay().up()?;
        ensure!(used()? >= whole, "a crash gave a quota anew");
        lab.relay().relay(&["quota", "--reset", &a])?.success("quota --reset")?;
        ensure!(used()? < whole, "it was not reset");
        let unknown = lab.relay().relay(&["quota", "--reset", "nobody"])?;
        ensure!(unknown.code == 2 && unknown.stderr.contains("nobody"), "{unknown:?}");
        Ok(())
    });
}

/// Sends as much as one connection can, until the relay has counted nine tenths of the rate in one
/// span, and never more than the whole of it.
fn transfer(lab: &Lab, [from, to]: [&Peer; 2], family: Family, rate: u64) -> Result<()> {
    let connection = Connection::between(from, to, family)?;
    let Connection { mut client, mut server } = connection;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<()> {
            let data = vec![0; 1 << 16];
            while !is_over.load(Relaxed) {
                client.write_all(&data)?;
            }
            Ok(client.shutdown(Shutdown::Both)?)
        });
        let receiver = scope.spawn(|| -> Result<()> {
            let mut data = vec![0; 1 << 16];
            while server.read(&mut data)? > 0 {}
            Ok(())
        });
        let counted = || -> Result<(u64, Instant)> {
            let before = Instant::now();
            let stats = lab.relay().stats()?;
            let peer = stats.peer(to.name()).context("a peer")?;
            Ok((peer.relayed.tx_bytes, before))
        };
        let mut last = counted();
        let reached = deadline::within(PATIENCE, "nine tenths of the rate", || {
            let (bytes, since) = *last.as_ref().map_err(|error| anyhow!("{error:#}"))?;
            deadline::pass(SPAN);
            let (now_bytes, now) = counted()?;
            let (bytes, elapsed) = (u128::from(now_bytes - bytes), now - since);
            let whole = u128::from(rate) * elapsed.as_nanos() / 8_000_000_000;
            let at_once = u128::from(PACKET + AGGREGATE + rate / 32);
            // What passed while it was being counted may be of the span after it.
            let counting = u128::from(rate) * since.elapsed().as_nanos() / 8_000_000_000 - whole;
            ensure!(bytes <= whole + counting + at_once, "{bytes} bytes in {elapsed:?}");
            last = Ok((now_bytes, now));
            Ok((bytes * 10 >= whole * 9).then_some(()))
        });
        is_over.store(true, Relaxed);
        for worker in [sender, receiver] {
            // The connection is cut while it sends.
            let _ended = worker.join();
        }
        reached
    })
}
