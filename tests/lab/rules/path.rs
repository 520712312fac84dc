use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Ledger, Peer, Site, scenario, skip,
    stats::Stats,
    traffic::{Query, Raw, Udp},
};

use super::{WEB, connect, ruled};

/// MTU of the peers, larger than the relay's.
const PEER_MTU: i64 = 1420;
const RELAY_MTU: i64 = 1280;

/// The first port of tracepath, which takes another for each hop.
const FIRST_HOP: u16 = 44444;

/// Enough for aggregates of many segments that are too big.
const STREAM_LEN: usize = 256 * 1024;

/// Longer than any MTU here.
const LONG: usize = 8192;

const UDP_LEN: usize = 8;

/// What a fragment of such a datagram carries.
const PART_LEN: usize = 1200;

/// Orders in which its fragments are sent.
const ORDERS: [[usize; 7]; 3] =
    [[6, 5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 6, 2, 4], [1, 2, 3, 4, 5, 6, 0]];

#[test]
fn long_questions_and_answers_pass_in_fragments() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["udp/8080"])?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let query = Query::open(a, b, family, WEB)?;
            let before = lab.relay().stats()?;
            for (question, answer) in [(40, LONG), (LONG, 40), (LONG, LONG)] {
                query.ask(question, answer)?;
            }
            let after = lab.relay().stats()?;
            for peer in [a, b] {
                // Two of three in seven fragments each.
                let packets = sent(&after, peer)? - sent(&before, peer)?;
                ensure!(packets == 15, "{} sent {packets}, {}", peer.name(), family.name());
            }
            ensure!(after.totals.dropped == before.totals.dropped, "{:?}", after.totals.dropped);
        }
        Ok(())
    });
}

#[test]
fn answers_arrive_whole_in_any_order_of_their_fragments() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["udp/8080"])?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let before = lab.relay().stats()?;
            let query = Query::open(a, b, family, WEB)?;
            let raw = Raw::open(b.namespace(), a.address(family))?;
            let answer = query.answer(LONG)?;
            for (id, order) in (1..).zip(ORDERS) {
                query.ask(40, 40)?;
                for part in order {
                    let end = (PART_LEN * (part + 1)).min(LONG + UDP_LEN);
                    raw.send(&answer.fragment(PART_LEN * part..end, id))?;
                }
                query.answered(LONG).with_context(|| format!("{order:?}, {}", family.name()))?;
            }
            let after = lab.relay().stats()?;
            let packets = sent(&after, b)? - sent(&before, b)?;
            let expected = (1 + ORDERS[0].len()) * ORDERS.len();
            ensure!(packets == expected as u64, "{packets} were sent, {}", family.name());
            ensure!(after.totals.dropped == before.totals.dropped, "{:?}", after.totals.dropped);
        }
        Ok(())
    });
}

#[test]
fn hops_and_a_smaller_mtu_are_found_through_rules() {
    scenario(skip::LAB, || {
        let lab = Lab::start(narrow(ruled(&["udp/44444-44544"])?)?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let target = b.address(family).to_string();
            let text = a.namespace().run("tracepath", &["-n", &target])?;
            let last = text.lines().last().unwrap_or_default();
            ensure!(last.contains(&format!("pmtu {RELAY_MTU}")), "tracepath says:\n{text}");
            ensure!(last.contains("hops 2"), "tracepath says:\n{text}");

            // The same from the side that may only answer.
            let target = SocketAddr::new(a.address(family), FIRST_HOP);
            let probe = Udp::blind(b.namespace(), b.address(family), target)?;
            let before = lab.relay().ledger()?;
            probe.send(1, 40)?;
            lab.relay().settled(&before, &Ledger::default().dropped(b.name(), "no_rule", 1))?;
        }
        let stats = lab.relay().relay(&["stats"])?.success("stats")?;
        ensure!(stats.contains("2 no_rule"), "{stats}");
        Ok(())
    });
}

#[test]
fn tcp_with_segments_larger_than_the_relays_mtu_gets_through_rules() {
    scenario(skip::LAB, || {
        let lab = Lab::start(narrow(ruled(&["tcp/8080"])?)?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let before = lab.relay().ledger()?;
            connect(a, b, family, WEB)?.exchange(STREAM_LEN)?;
            let moved = lab.relay().ledger()?.since(&before)?;
            for peer in [a, b] {
                let dropped = moved.get(&format!("{} dropped too_big", peer.name()));
                ensure!(dropped > 0, "{} sent nothing too big; moved:\n{moved}", peer.name());
            }
        }
        Ok(())
    });
}

/// Packets that a peer sent to others.
fn sent(stats: &Stats, peer: &Peer) -> Result<u64> {
    Ok(stats.peer(peer.name()).context("a peer")?.relayed.rx_packets)
}

/// With a larger MTU at the peers than at the relay.
fn narrow(mut site: Site) -> Result<Site> {
    site.relay_mut()?.insert("mtu".to_owned(), RELAY_MTU.into());
    for name in site.names()? {
        site.set(&name, "mtu", PEER_MTU)?;
    }
    Ok(site)
}
