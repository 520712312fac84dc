//! Traffic of peers to destinations beyond the overlay, routed by the relay's host.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Result, ensure};
use ipnet::IpNet;
use relay_tests::{
    Family, Lab, Ledger, Peer, Site, Tally, deadline, scenario, skip,
    traffic::{Echo, Udp, tcp::Connection},
};

const PINGS: u64 = 5;
const STREAM_LEN: usize = 16 * 1024;

#[test]
fn listed_outside_destinations_answer_and_nothing_else_comes_in() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [a, b] = site.first()?;
        let servers = [IpAddr::from([203, 0, 113, 10]), "2001:db8:99::10".parse()?];
        let gained = [IpAddr::from([198, 18, 0, 1]), "2001:db8:77::1".parse()?];
        site.allow(&a, &servers)?;
        site.allow(&a, &gained)?;
        site.relay_mut()?.insert("egress".to_owned(), "stack".into());
        let mut lab = Lab::build(site)?;
        route_outwards(&lab)?;
        lab.relay().up()?;
        lab.connect(lab.peers())?;
        // B has the same AllowedIPs; only the relay's policy distinguishes the two.
        let networks = servers.map(IpNet::from);
        let overlay: Vec<_> = lab.model()?.addresses.iter().map(IpNet::trunc).collect();
        lab.peer(&b)?.claim(&[&overlay[..], &networks].concat())?;
        is_sound(&lab)?;

        for (family, server) in Family::ALL.into_iter().zip(servers) {
            reaches(&lab, lab.peer(&a)?, server)?;
            is_dropped(&lab, lab.peer(&b)?, server)?;
            let outside = outside(family)?;
            nobody_comes_in(&lab, outside, lab.peer(&a)?, lab.peer(&b)?)?;
            nobody_comes_in(&lab, server, lab.peer(&a)?, lab.peer(&b)?)?;
        }

        // New addresses of the host are its own, although not in the policy.
        let lines = gained.map(|address| format!("address add {address} dev lo\n")).concat();
        lab.relay().namespace().ip_batch(&lines)?;
        for address in gained {
            governs_host_access(&lab, lab.peer(&a)?, address)?;
        }
        is_sound(&lab)?;
        ensure!(!lab.up()?.changed, "the host's addresses are no part of the policy");

        // Without a fence, only the programs drop what no list holds.
        lab.site_mut().relay_mut()?.insert("fence".to_owned(), false.into());
        let report = lab.up()?;
        ensure!(report.changes == ["- fence inet relay_relay0"], "{report:?}");
        is_sound(&lab)?;
        for family in Family::ALL {
            let before = lab.relay().ledger()?;
            nobody_comes_in(&lab, outside(family)?, lab.peer(&a)?, lab.peer(&b)?)?;
            let moved = lab.relay().ledger()?.since(&before)?;
            ensure!(moved.get("unattributed forwarded_in") == PINGS, "moved:\n{moved}");
        }

        lab.site_mut().relay_mut()?.remove("fence");
        lab.site_mut().relay_mut()?.insert("egress".to_owned(), "deny".into());
        let report = lab.up()?;
        ensure!(report.changes.iter().any(|change| change.contains("fence")), "{report:?}");
        is_sound(&lab)?;
        for (family, server) in Family::ALL.into_iter().zip(servers) {
            is_dropped(&lab, lab.peer(&a)?, server)?;
            nobody_comes_in(&lab, outside(family)?, lab.peer(&a)?, lab.peer(&b)?)?;
        }

        // Only the fence changes, with what may return.
        lab.site_mut().relay_mut()?.insert("egress".to_owned(), "stack".into());
        lab.up()?;
        reaches(&lab, lab.peer(&a)?, servers[0])
    });
}

/// Sets up forwarding and masquerading on the relay's host, and servers on the internet.
fn route_outwards(lab: &Lab) -> Result<()> {
    let host = lab.relay().namespace();
    host.forward()?;
    host.ip_batch(
        "address add 2001:db8::1/64 dev eth0 nodad\nroute add default via 2001:db8::fe\n",
    )?;
    host.feed(
        "nft",
        &["-f", "-"],
        "table inet outwards {
            chain out {
                type nat hook postrouting priority srcnat;
                oifname \"eth0\" masquerade
            }
        }\n",
    )?;
    lab.internet().ip_batch(
        "address add 2001:db8::fe/64 dev relay nodad
         address add 203.0.113.10/32 dev lo
         address add 2001:db8:99::10/128 dev lo
         route add 10.3.2.0/24 via 192.0.2.1
         route add fd00::3:2:0/120 via 2001:db8::1\n",
    )
}

/// An address on the internet that no peer lists.
fn outside(family: Family) -> Result<IpAddr> {
    Ok(match family {
        Family::V4 => IpAddr::from([192, 0, 2, 254]),
        Family::V6 => "2001:db8::fe".parse()?,
    })
}

fn is_sound(lab: &Lab) -> Result<()> {
    let checked = lab.relay().relay(&["status", "--check"])?;
    ensure!(checked.code == 0, "status --check: {checked:?}");
    Ok(())
}

/// Pings and a TCP connection, counted as the host's traffic of that peer.
fn reaches(lab: &Lab, peer: &Peer, server: IpAddr) -> Result<()> {
    let address = peer.address(Family::of(server));
    let before = lab.relay().ledger()?;
    let mut echo = Echo::open(peer.namespace(), address, server)?;
    let mut pinged = Tally::default();
    // One after the other: of several simultaneous first packets of a flow, conntrack of 6.1 drops all
    // but one when it translates their source (insert_failed of /proc/net/stat/nf_conntrack).
    for _ in 0..PINGS {
        pinged += echo.send(1)?;
        let answers = echo.answers(1, deadline::PATIENCE)?;
        ensure!(answers == 1, "{} -> {server}: no answer", peer.name());
    }
    let expected = Ledger::default().to_host(peer.name(), pinged).from_host(peer.name(), pinged);
    lab.relay().settled(&before, &expected)?;
    Connection::open(peer.namespace(), address, lab.internet(), server)?.exchange(STREAM_LEN)
}

/// Checks that an address of the host answers pings and nothing else.
fn governs_host_access(lab: &Lab, peer: &Peer, address: IpAddr) -> Result<()> {
    let source = peer.address(Family::of(address));
    let before = lab.relay().ledger()?;
    let mut echo = Echo::open(peer.namespace(), source, address)?;
    let pinged = echo.send(1)?;
    ensure!(echo.answers(1, deadline::PATIENCE)? == 1, "{address} does not answer");
    Udp::blind(peer.namespace(), source, SocketAddr::new(address, 9))?.send(PINGS, 100)?;
    let expected = Ledger::default()
        .to_host(peer.name(), pinged)
        .from_host(peer.name(), pinged)
        .dropped(peer.name(), "host_access", PINGS);
    lab.relay().settled(&before, &expected)?;
    Ok(())
}

fn is_dropped(lab: &Lab, peer: &Peer, server: IpAddr) -> Result<()> {
    let before = lab.relay().ledger()?;
    let mut echo = Echo::open(peer.namespace(), peer.address(Family::of(server)), server)?;
    let pinged = echo.send(PINGS)?;
    let expected = Ledger::default().dropped(peer.name(), "destination_unknown", pinged.packets);
    lab.relay().settled(&before, &expected)?;
    ensure!(echo.answers(1, Duration::ZERO)? == 0, "{} -> {server} was answered", peer.name());
    Ok(())
}

/// Sends unsolicited datagrams from the internet; the peer may talk to `other`.
fn nobody_comes_in(lab: &Lab, source: IpAddr, peer: &Peer, other: &Peer) -> Result<()> {
    let target = peer.address(Family::of(source));
    let before = peer.counts()?;
    let udp = Udp::open(lab.internet(), source, peer.namespace(), target)?;
    let arrived = underlay(lab)?;
    udp.send(PINGS, 100)?;
    deadline::until("the datagrams at the relay", || {
        Ok((underlay(lab)? >= arrived + PINGS).then_some(()))
    })?;
    // A packet that passed would arrive before the reply to a later ping.
    let witness = other.address(Family::of(source));
    let mut echo = Echo::open(peer.namespace(), target, witness)?;
    echo.send(1)?;
    ensure!(echo.answers(1, deadline::PATIENCE)? == 1, "{witness} does not answer {}", peer.name());
    let received = udp.received(1, Duration::ZERO)?;
    ensure!(received == Tally::default(), "{source} -> {}: {received}", peer.name());
    let counted = (peer.counts()?.received - before.received).packets;
    ensure!(counted == 1, "{} packets came to {}", counted, peer.name());
    Ok(())
}

/// Packets that the relay's host received on the underlay.
fn underlay(lab: &Lab) -> Result<u64> {
    Ok(lab.relay().underlay()?.0.packets)
}
