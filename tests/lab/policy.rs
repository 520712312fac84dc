//! Peers that try what the policy does not allow.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;
use relay_tests::{
    Family, Lab, Ledger, Peer, Site, deadline, scenario, skip,
    traffic::{Echo, Udp, tcp},
};

use crate::watch::Watch;

#[test]
fn a_peer_that_edits_its_own_config_gets_nothing_through() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::one_to_many()?)?;
        let [a, b, c, d] = lab.first()?;
        // Only B: the others keep their client files.
        let overlay: Vec<_> = lab.model()?.addresses.iter().map(IpNet::trunc).collect();
        b.edit_config(&overlay)?;
        lab.await_handshake(b)?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            watch.drops(b, c, family, "not_in_either_list")?;
            watch.drops(b, d, family, "not_in_either_list")?;
            watch.delivers(b, a, family)?;
        }
        Ok(())
    });
}

#[test]
fn a_one_sided_pair_is_dropped_and_the_reason_names_the_list() {
    scenario(skip::LAB, || {
        let mut site = Site::one_to_many()?;
        let [_a, b, c, _d] = site.first()?;
        let wanted = site.addresses(&c)?;
        site.allow(&b, &wanted)?;
        let lab = Lab::start_with(site, &[b, c])?;
        let [b, c] = lab.first()?;
        lab.widen(c)?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            watch.drops(b, c, family, "not_in_destination_list")?;
            watch.drops(c, b, family, "not_in_source_list")?;
        }
        Ok(())
    });
}

#[test]
fn an_address_that_wg_set_gives_to_another_peer_is_reported_and_given_back() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::one_to_many()?)?;
        let [a, b, c] = lab.first()?;
        let (interface, host) = (lab.interface()?, lab.relay().namespace());
        let key = |peer: &Peer| -> Result<String> {
            Ok(lab.site().private_key(peer.name())?.public_key().to_string())
        };
        let allowed = |of: &str| -> Result<BTreeSet<String>> {
            let ips = lab.relay().wg(&interface, "allowed-ips")?;
            let ips = ips.get(of).context("a peer's allowed IPs")?;
            Ok(ips.split_whitespace().map(str::to_owned).collect())
        };
        let before = [allowed(&key(a)?)?, allowed(&key(b)?)?];
        // The kernel takes it from the other without a word.
        let taken = a.address(Family::V4).to_string();
        let mut both = before[1].clone();
        both.insert(format!("{taken}/32"));
        let list = both.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        host.run("wg", &["set", &interface, "peer", &key(b)?, "allowed-ips", &list])?;
        ensure!(allowed(&key(b)?)? == both, "{b:?} has not got the address");
        ensure!(!allowed(&key(a)?)?.contains(&format!("{taken}/32")), "{a:?} still has it");
        let checked = lab.relay().relay(&["status", "--check"])?;
        ensure!(checked.code == 1, "{checked:?}");
        for word in [a.name(), b.name(), &taken] {
            ensure!(checked.stderr.contains(word), "no {word} in {checked:?}");
        }
        lab.relay().up()?;
        ensure!([allowed(&key(a)?)?, allowed(&key(b)?)?] == before, "up did not give it back");
        lab.relay().require_sound()?;
        let mut watch = Watch::start(&lab)?;
        watch.delivers(a, b, Family::V4)?;
        lab.widen(b)?;
        watch.drops(b, c, Family::V4, "not_in_either_list")
    });
}

#[test]
fn a_peer_that_sends_with_the_address_of_another_gets_nothing_through() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a, b, _c, d] = site.first()?;
        let lab = Lab::start_with(site, &[a, b, d])?;
        let [a, b, d] = lab.first()?;
        lab.widen(b)?;
        let interface = &lab.interface()?;
        let mut watch = Watch::start(&lab)?;
        // A may reach D, so the policy would pass a packet with A's address.
        for (family, nobody) in
            [(Family::V4, IpAddr::from([10, 3, 2, 99])), (Family::V6, "fd00::3:2:63".parse()?)]
        {
            for borrowed in [a.address(family), nobody] {
                let errors = lab.relay().rx_errors(interface)?;
                let address = borrowed.to_string();
                b.namespace().run("ip", &["address", "add", &address, "dev", b.name(), "nodad"])?;

                let mut echo = Echo::open(b.namespace(), borrowed, d.address(family))?;
                echo.send(5)?;
                let udp = Udp::open(b.namespace(), borrowed, d.namespace(), d.address(family))?;
                udp.send(5, 100)?;
                deadline::until("WireGuard's count of forged sources", || {
                    Ok((lab.relay().rx_errors(interface)? >= errors + 10).then_some(()))
                })?;

                ensure!(watch.moved(b)?.sent.packets == 10, "{borrowed}: not all were sent");
                watch.settle(&Ledger::default())?;
                let arrived = watch.moved(d)?.received;
                ensure!(arrived.packets == 0, "{borrowed}: {arrived} arrived at {}", d.name());
                b.namespace().run("ip", &["address", "del", &address, "dev", b.name()])?;
            }
        }
        Ok(())
    });
}

#[test]
fn packets_to_unowned_addresses_and_closed_ports_of_the_relay_are_dropped() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [_a, b] = site.first()?;
        let lab = Lab::start_with(site, &[b])?;
        let [b] = lab.first()?;
        lab.widen(b)?;
        let mut watch = Watch::start(&lab)?;
        for (family, nobody) in
            [(Family::V4, IpAddr::from([10, 3, 2, 99])), (Family::V6, "fd00::3:2:63".parse()?)]
        {
            only_dropped(&mut watch, b, nobody, "destination_unknown")?;
            let relay = lab.relay_address(family)?;
            only_dropped(&mut watch, b, relay, "host_access")?;

            // host_access = "ping" allows pings to the relay.
            let mut echo = Echo::open(b.namespace(), b.address(family), relay)?;
            let pinged = echo.send(4)?;
            ensure!(echo.answers(4, deadline::PATIENCE)? == 4, "{relay} does not answer pings");
            let expected = Ledger::default().to_host(b.name(), pinged).from_host(b.name(), pinged);
            watch.moved(b)?;
            watch.settle(&expected)?;
        }
        Ok(())
    });
}

/// Checks that datagrams and a SYN from a peer to an address are dropped for `reason`.
fn only_dropped(watch: &mut Watch<'_>, from: &Peer, target: IpAddr, reason: &str) -> Result<()> {
    let source = from.address(Family::of(target));
    let port = SocketAddr::new(target, 9);
    Udp::blind(from.namespace(), source, port)?.send(5, 100)?;
    // With its socket closed, the SYN is sent only once.
    drop(tcp::dial(from.namespace(), source, port)?);
    let sent = watch.moved(from)?.sent;
    ensure!(sent.packets == 6, "{sent} were sent to {target}");
    watch
        .settle(&Ledger::default().dropped(from.name(), reason, sent.packets))
        .with_context(|| format!("to {target}"))
}
