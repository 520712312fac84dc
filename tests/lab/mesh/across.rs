//! Packets between peers that are at home at different relays.

use anyhow::{Result, ensure};
use relay_tests::{
    Family, Ledger, Site, deadline,
    inner::Inner,
    relay_host::{ledger, settled},
    scenario, skip,
    traffic::{Raw, Udp, tcp::Connection},
};

use super::spread;
use crate::{
    path::{PEER_MTU, RELAY_MTU, narrowed, ping},
    watch::Watch,
};

/// Enough for aggregates of many segments.
const STREAM_LEN: usize = 256 * 1024;

/// A datagram in three fragments.
const LONG: usize = 3000;

#[test]
fn peers_at_home_at_different_relays_reach_whom_they_may_and_nobody_else() {
    scenario(skip::LAB, || {
        let (mesh, _agents) = spread(Site::one_to_many()?)?;
        let [a, b, c, d] = mesh.lab().first()?;
        for node in [b, c, d] {
            mesh.lab().widen(node)?;
        }
        let transit = |from: usize, to: usize| -> Result<(u64, u64)> {
            let (sent, received) = (mesh.status(from)?, mesh.status(to)?);
            Ok((sent.relays[to].tx_packets, received.relays[from].rx_packets))
        };
        let mut watch = Watch::over(&mesh)?;
        for family in Family::ALL {
            watch.delivers_to_the_byte(a, b, family)?;
            watch.delivers_to_the_byte(a, c, family)?;
            watch.delivers_to_the_byte(c, a, family)?;
            // Both at the first relay.
            let before = transit(0, 1)?;
            watch.delivers_to_the_byte(a, d, family)?;
            ensure!(transit(0, 1)? == before, "a packet between two peers of one relay left it");
            for (from, to) in [(b, c), (c, b), (d, b), (b, d)] {
                watch.drops(from, to, family, "not_in_either_list")?;
            }
        }
        for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0)] {
            deadline::until("what one relay sent to be what the other got", || {
                let (sent, received) = transit(from, to)?;
                Ok((sent > 0 && sent == received).then_some(()))
            })?;
        }
        ensure!(transit(1, 2)? == (0, 0), "a denied packet went to another relay");
        Ok(())
    });
}

#[test]
fn hops_and_the_mtu_are_right_across_two_relays() {
    scenario(skip::LAB, || {
        let (mesh, _agents) = spread(narrowed(Site::one_to_many()?)?)?;
        let [a, b] = mesh.lab().first()?;
        let relays: Vec<_> = mesh.relays().collect();
        for family in Family::ALL {
            let (found, expired) = match family {
                Family::V4 => (format!("mtu = {RELAY_MTU}"), "Time to live exceeded"),
                Family::V6 => (format!("mtu={RELAY_MTU}"), "Time exceeded: Hop limit"),
            };
            let (text, answered) = ping(a, b, family, PEER_MTU, &["-M", "do"])?;
            ensure!(!answered && text.contains(&found), "no \"{found}\" in:\n{text}");
            let (text, answered) = ping(a, b, family, RELAY_MTU, &["-M", "do"])?;
            ensure!(answered, "what fits the MTU is lost:\n{text}");
            // Each relay is a hop, and the second one's error comes back through the first.
            for (place, ttl) in [(0, "1"), (1, "2")] {
                let before = relays[place].ledger()?;
                let (text, answered) = ping(a, b, family, 84, &["-t", ttl])?;
                ensure!(!answered && text.contains(expired), "no \"{expired}\" in:\n{text}");
                let moved = relays[place].ledger()?.since(&before)?;
                let name = format!("{} dropped ttl_exceeded", a.name());
                ensure!(moved.get(&name) == 1, "at relay {place} moved:\n{moved}");
            }
            let (text, answered) = ping(a, b, family, 84, &["-t", "3"])?;
            ensure!(answered, "three hops do not reach:\n{text}");

            let ends = (a.address(family), b.address(family));
            Connection::open(a.namespace(), ends.0, b.namespace(), ends.1)?.exchange(STREAM_LEN)?;
            for (from, to) in [(a, b), (b, a)] {
                let udp = Udp::between(from, to, family)?;
                udp.send(1, LONG)?;
                let received = udp.received(1, deadline::PATIENCE)?;
                ensure!(received.packets == 1, "a datagram in fragments was lost");
            }
        }
        Ok(())
    });
}

#[test]
fn what_another_relay_sends_reaches_neither_the_host_nor_a_peer_that_is_not_there() {
    scenario(skip::LAB, || {
        let mut site = Site::one_to_many()?;
        site.relay_mut()?.insert("host_access".to_owned(), "all".into());
        let (mesh, _agents) = spread(site)?;
        let [a, b, c] = mesh.lab().first()?;
        let relays: Vec<_> = mesh.relays().collect();
        let [a4, b4, c4] = [a, b, c].map(|peer| peer.address(Family::V4));
        let own = mesh.lab().relay_address(Family::V4)?;
        let underlay = "192.0.2.12".parse()?;
        // From the first relay to the second: A is at home there, B here, C at the third.
        let cases = [
            (a4, own, Ledger::default().dropped(a.name(), "not_here", 1)),
            (a4, underlay, Ledger::default().dropped(a.name(), "not_here", 1)),
            (a4, c4, Ledger::default().dropped(a.name(), "not_here", 1)),
            (c4, b4, Ledger::default().dropped(c.name(), "wrong_home", 1)),
            (b4, b4, Ledger::default().dropped(b.name(), "wrong_home", 1)),
        ];
        for (source, target, expected) in cases {
            let before = ledger(&relays[1..2])?;
            let received = b.counts()?.received;
            let raw = Raw::through(mesh.relay(0)?.namespace(), "relay0-r2", target)?;
            raw.send(&Inner::udp(source, target, 100))?;
            settled(&relays[1..2], &before, &expected)?;
            ensure!(b.counts()?.received == received, "{} got it", b.name());
        }
        mesh.await_homes(super::KNOWN, [2, 1, 1])
    });
}
