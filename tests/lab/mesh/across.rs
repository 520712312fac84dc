//! Packets between peers that are at home at different relays.

use anyhow::{Result, ensure};
use relay_tests::{Family, Site, deadline, scenario, skip};

use super::spread;
use crate::watch::Watch;

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
