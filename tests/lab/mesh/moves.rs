//! Peers that move between relays, as stock clients do whose endpoint changes.

use std::time::{Duration, Instant};

use anyhow::ensure;
use relay_tests::{
    Family, Site, deadline, scenario, skip,
    traffic::{Pings, Stream, Transfer},
};

use super::{KNOWN, spread};

/// Longest time after a peer's first packet until others reach it.
const SOON: Duration = Duration::from_secs(1);

/// Where the second node goes, and how many peers each relay then has.
const WAY: [(usize, [usize; 3]); 4] =
    [(2, [2, 0, 2]), (0, [3, 0, 1]), (1, [2, 1, 1]), (2, [2, 0, 2])];

#[test]
fn a_peer_that_calls_another_relay_is_at_home_there_within_a_second() {
    scenario(skip::TIMED, || {
        let (mesh, _agents) = spread(Site::one_to_many()?)?;
        let [a, b, c] = mesh.lab().first()?;
        mesh.lab().widen(c)?;
        let denied = Stream::start(c, b, Family::V4)?;
        let pings = Pings::start(a.namespace(), a.address(Family::V6), b.address(Family::V6))?;
        let transfer = Transfer::start(a, b, Family::V4)?;
        for (place, homes) in WAY {
            mesh.move_to(b, place)?;
            let began = Instant::now();
            // What it answered to its relay before has arrived.
            let before = pings.answers();
            deadline::until("an answer", || Ok((pings.answers() > before).then_some(())))?;
            let took = began.elapsed();
            println!("mesh: known after {} ms", took.as_millis());
            ensure!(took < SOON, "{took:?} until the first relay knew");
            mesh.await_homes(KNOWN, homes)?;
            let before = transfer.arrived();
            deadline::until("the connection to go on", || {
                Ok((transfer.arrived() > before).then_some(()))
            })?;
        }
        let denied = denied.stop()?;
        let silences = (pings.stop()?.silence, transfer.stop()?.silence);
        println!("mesh: longest silences of moves, pings and TCP: {silences:?}");
        ensure!(denied.sent > 100 && denied.received == 0, "what is denied passed: {denied:?}");
        Ok(())
    });
}

#[test]
fn a_flow_goes_on_when_either_end_moves() {
    scenario(skip::TIMED, || {
        let mut site = Site::one_to_many()?;
        site.without_lists()?;
        let [a, b] = site.first()?;
        site.add_rule("opened", &a, &b, &["tcp"])?;
        let (mesh, _agents) = spread(site)?;
        let [a, b, ..] = mesh.lab().first::<4>()?;
        for peer in [a, b] {
            mesh.lab().widen(peer)?;
        }
        // The other direction has no rule.
        let denied = Stream::start(b, a, Family::V4)?;
        let transfers = Family::ALL.map(|family| Transfer::start(a, b, family));
        for (peer, place, homes) in
            [(b, 0, [3, 0, 1]), (a, 2, [2, 0, 2]), (b, 2, [1, 0, 3]), (a, 1, [1, 1, 2])]
        {
            mesh.move_to(peer, place)?;
            mesh.await_homes(KNOWN, homes)?;
        }
        for transfer in transfers {
            let transfer = transfer?;
            let before = transfer.arrived();
            deadline::until("the connection to go on", || {
                Ok((transfer.arrived() > before).then_some(()))
            })?;
            transfer.stop()?;
        }
        let denied = denied.stop()?;
        ensure!(denied.received == 0, "what no rule allows passed: {denied:?}");
        Ok(())
    });
}
