//! Hops and path MTU, as stock tools find them on a client whose AllowedIPs hold only the other peer.

use std::process::Command;

use anyhow::{Result, ensure};
use relay_tests::{Family, Lab, Peer, Site, scenario, skip, traffic::tcp::Connection};

/// MTU of the peers, larger than the relay's.
pub(crate) const PEER_MTU: usize = 1420;
pub(crate) const RELAY_MTU: usize = 1280;

/// Enough for aggregates of many segments that are too big.
const STREAM_LEN: usize = 256 * 1024;

/// Header of an echo request.
const ICMP_LEN: usize = 8;

#[test]
fn a_smaller_mtu_at_the_relay_is_found_by_ping_tracepath_and_tcp() {
    scenario(skip::LAB, || {
        let lab = Lab::start(narrow()?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let before = lab.relay().ledger()?;
            let (text, answered) = ping(a, b, family, PEER_MTU, &["-M", "do"])?;
            let found = match family {
                Family::V4 => format!("mtu = {RELAY_MTU}"),
                Family::V6 => format!("mtu={RELAY_MTU}"),
            };
            ensure!(!answered && text.contains(&found), "no \"{found}\" in:\n{text}");
            let moved = lab.relay().ledger()?.since(&before)?;
            ensure!(moved.get(&format!("{} dropped too_big", a.name())) == 1, "moved:\n{moved}");
            let route =
                a.namespace().run("ip", &["route", "get", &b.address(family).to_string()])?;
            ensure!(
                route.contains(&format!("mtu {RELAY_MTU}")),
                "{} has learnt: {route}",
                a.name()
            );
            let (text, answered) = ping(a, b, family, RELAY_MTU, &["-M", "do"])?;
            ensure!(answered, "what fits the MTU is lost:\n{text}");

            // From the other side, which has not learnt the MTU.
            let text = b.namespace().run("tracepath", &["-n", &a.address(family).to_string()])?;
            let last = text.lines().last().unwrap_or_default();
            ensure!(
                last.contains(&format!("pmtu {RELAY_MTU}")),
                "tracepath ends with {last:?}:\n{text}"
            );
            ensure!(last.contains("hops 2"), "tracepath ends with {last:?}:\n{text}");
        }
        Ok(())
    });
}

#[test]
fn tcp_with_segments_larger_than_the_relays_mtu_gets_through() {
    scenario(skip::LAB, || {
        let lab = Lab::start(narrow()?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let before = lab.relay().ledger()?;
            let (from, to) = (a.address(family), b.address(family));
            Connection::open(a.namespace(), from, b.namespace(), to)?.exchange(STREAM_LEN)?;
            let moved = lab.relay().ledger()?.since(&before)?;
            for peer in [a, b] {
                let dropped = moved.get(&format!("{} dropped too_big", peer.name()));
                ensure!(dropped > 0, "{} sent nothing too big; moved:\n{moved}", peer.name());
            }
        }
        Ok(())
    });
}

#[test]
fn time_exceeded_comes_from_an_address_that_the_sender_accepts() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let before = lab.relay().ledger()?;
            let (text, answered) = ping(a, b, family, 84, &["-t", "1"])?;
            let (error, from) = match family {
                Family::V4 => ("Time to live exceeded", b.address(family)),
                Family::V6 => ("Time exceeded: Hop limit", b.address(family)),
            };
            ensure!(!answered && text.contains(error), "no \"{error}\" in:\n{text}");
            ensure!(text.contains(&format!("From {from}")), "not from {from}:\n{text}");
            let moved = lab.relay().ledger()?.since(&before)?;
            ensure!(
                moved.get(&format!("{} dropped ttl_exceeded", a.name())) == 1,
                "moved:\n{moved}"
            );
            let (text, answered) = ping(a, b, family, 84, &["-t", "2"])?;
            ensure!(answered, "two hops do not reach:\n{text}");
        }
        Ok(())
    });
}

/// Two peers with a larger MTU than the relay.
fn narrow() -> Result<Site> {
    narrowed(Site::node_to_node()?)
}

/// A site whose peers have a larger MTU than the relay.
pub(crate) fn narrowed(mut site: Site) -> Result<Site> {
    site.relay_mut()?.insert("mtu".to_owned(), i64::try_from(RELAY_MTU)?.into());
    for name in site.names()? {
        site.set(&name, "mtu", i64::try_from(PEER_MTU)?)?;
    }
    Ok(site)
}

/// Pings once with `len` bytes, IP header included: the output of `ping`, and whether there was a
/// reply.
pub(crate) fn ping(
    from: &Peer,
    to: &Peer,
    family: Family,
    len: usize,
    options: &[&str],
) -> Result<(String, bool)> {
    let payload = len - usize::try_from(family.header_len())? - ICMP_LEN;
    let mut command = Command::new("ping");
    command.args(["-n", "-c", "1", "-W", "10", "-s", &payload.to_string()]);
    command.args(options).arg(to.address(family).to_string());
    let output = from.namespace().output(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ok((text.into_owned(), output.status.success()))
}
