//! Peers behind a NAT with a short time-out.

use std::time::Duration;

use anyhow::{Result, ensure};
use relay_tests::{
    Family, Lab, Peer, Site, deadline, nat::UdpTimeout, scenario, skip, traffic::Echo,
};

/// Time-out of the NATs.
const NAT_TIMEOUT: UdpTimeout = UdpTimeout(4);

/// Longer than the time-out, with a margin for a slow machine, but less than KEEPALIVE_TIMEOUT, the
/// 10 s after which WireGuard sends a keepalive by itself.
const IDLE: Duration = Duration::from_secs(7);

const PINGS: u64 = 3;

#[test]
fn a_keepalive_keeps_a_peer_reachable_behind_its_nat_and_nothing_else_does() {
    scenario(skip::LAB, || {
        let mut site = Site::one_to_many()?;
        let [_a, b, c] = site.first()?;
        site.set(&b, "persistent_keepalive", 2)?;
        site.set(&c, "persistent_keepalive", 0)?;
        let lab = Lab::build(site)?;
        let [a, b, c] = lab.first()?;
        for peer in [b, c] {
            peer.nat().forget_udp_after(NAT_TIMEOUT)?;
        }
        lab.relay().up()?;
        lab.connect([a, b, c])?;
        // Without a keepalive, C does not start by itself.
        ensure!(c.latest_handshake()? == 0, "{} spoke without being asked to", c.name());
        ensure!(reaches(c, a)?, "{} does not reach {}", c.name(), a.name());
        for node in [b, c] {
            ensure!(reaches(a, node)?, "{} is unreachable from the start", node.name());
        }

        deadline::pass(IDLE);
        let unsolicited = c.nat().unsolicited()?;
        let received = c.counts()?.received;
        let mut echo = Echo::between(a, c, Family::V4)?;
        echo.send(PINGS)?;
        deadline::until("pings at a NAT that knows no flow for them", || {
            let dropped = c.nat().unsolicited()?.packets - unsolicited.packets;
            Ok((dropped >= PINGS).then_some(()))
        })?;
        ensure!(c.counts()?.received == received, "{} got something through its NAT", c.name());
        ensure!(echo.answers(1, Duration::ZERO)? == 0, "{} answered", c.name());
        ensure!(reaches(a, b)?, "{} became unreachable in spite of its keepalive", b.name());

        // Only the NAT was in the way.
        ensure!(reaches(c, a)?, "{} does not reach {} again", c.name(), a.name());
        ensure!(reaches(a, c)?, "{} is unreachable though it has spoken", c.name());
        Ok(())
    });
}

fn reaches(from: &Peer, to: &Peer) -> Result<bool> {
    let mut echo = Echo::between(from, to, Family::V4)?;
    echo.send(PINGS)?;
    Ok(echo.answers(PINGS, deadline::PATIENCE)? == PINGS)
}
