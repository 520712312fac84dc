//! Addresses that the relay's host gains and loses, and its routing: changes take effect without
//! another `up`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;
use relay_tests::{
    Family, Lab, Ledger, Peer, Site, deadline, scenario, skip,
    traffic::{Echo, Udp},
};

use crate::watch::{Watch, ordered};

const PINGS: u64 = 3;

/// Longer than a reply takes on an emulated machine.
const A_MOMENT: Duration = Duration::from_secs(5);

/// An address of each family without an owner.
fn elsewhere() -> Result<[IpAddr; 2]> {
    Ok([IpAddr::from([198, 18, 0, 1]), "2001:db8:77::1".parse()?])
}

#[test]
fn a_peer_gets_the_relays_former_address_at_once() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.site().first()?;
        for name in [&a, &b] {
            lab.widen(lab.peer(name)?)?;
        }
        let old = [lab.relay_address(Family::V4)?, lab.relay_address(Family::V6)?];
        let mut addresses = lab.site().addresses(&b)?.to_vec();
        addresses.extend(old);
        let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        lab.site_mut().set(&b, "address", texts)?;
        lab.site_mut().allow(&a, &old)?;
        let new = vec!["10.3.2.200/24".to_owned(), "fd00::3:2:c8/120".to_owned()];
        lab.site_mut().relay_mut()?.insert("address".to_owned(), new.into());
        ensure!(lab.up()?.changed, "the relay has another address");
        is_sound(&lab)?;
        let report = lab.up()?;
        ensure!(!report.changed, "a second up changes {report:?}");
        for (family, address) in Family::ALL.into_iter().zip(old) {
            let b = lab.peer(&b)?;
            let text = address.to_string();
            b.namespace().run("ip", &["address", "add", &text, "dev", b.name(), "nodad"])?;
            answers(lab.peer(&a)?, address)?;
            answers(lab.peer(&a)?, lab.relay_address(family)?)?;
        }
        Ok(())
    });
}

#[test]
fn addresses_that_the_host_gets_are_reached_and_those_it_loses_are_not_forwarded() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, _b] = lab.first()?;
        let overlay: Vec<_> = lab.model()?.addresses.iter().map(IpNet::trunc).collect();
        let elsewhere = elsewhere()?;
        a.claim(&[&overlay[..], &elsewhere.map(IpNet::from)].concat())?;
        route_v6(&lab)?;
        let host = lab.relay().namespace();
        for forwarding in [0, 1] {
            host.set_sysctl("ipv4/ip_forward", forwarding)?;
            host.set_sysctl("ipv6/conf/all/forwarding", forwarding)?;
            for address in elsewhere {
                host.run("ip", &["address", "add", &address.to_string(), "dev", "lo"])?;
                is_sound(&lab)?;
                answers(a, address)?;
                ensure!(!lab.relay().up()?.changed, "{address} is no part of the policy");
                let length = if address.is_ipv4() { "32" } else { "128" };
                let prefix = format!("{address}/{length}");
                host.run("ip", &["address", "del", &prefix, "dev", "lo"])?;
                is_sound(&lab)?;
            }
        }

        // The internet gets the addresses that the host has lost and will lose.
        for address in elsewhere {
            stays_here(&lab, a, address)?;
        }
        let interface = lab.interface()?;
        for own in &lab.model()?.addresses {
            host.run("ip", &["address", "del", &own.to_string(), "dev", &interface])?;
            stays_here(&lab, a, own.addr())?;
        }
        let checked = lab.relay().relay(&["status", "--check"])?;
        ensure!(checked.code == 1, "the relay's own address is gone: {checked:?}");
        lab.relay().up()?;
        is_sound(&lab)?;
        answers(a, lab.relay_address(Family::V4)?)
    });
}

#[test]
fn an_address_of_the_host_in_a_peers_network_is_a_difference_that_is_named() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [_a, b] = site.first()?;
        site.set(&b, "routes", vec!["198.18.0.0/16".to_owned()])?;
        let lab = Lab::relay_alone(site)?;
        lab.up()?;
        is_sound(&lab)?;
        lab.relay().namespace().run("ip", &["address", "add", "198.18.0.1/32", "dev", "lo"])?;
        let checked = lab.relay().relay(&["status", "--check"])?;
        let named = format!("198.18.0.1 is an address of the host inside 198.18.0.0/16 of {b}");
        ensure!(checked.code == 1 && checked.stderr.contains(&named), "{checked:?}");
        ensure!(lab.relay().up()?.changed, "the address changes who has it");
        is_sound(&lab)
    });
}

#[test]
fn by_the_stack_the_same_pairs_pass_and_are_dropped() {
    scenario(skip::LAB, || {
        let mut site = Site::one_to_many()?;
        site.relay_mut()?.insert("fast_path".to_owned(), false.into());
        let lab = Lab::build(site)?;
        let host = lab.relay().namespace();
        host.forward()?;
        lab.relay().up()?;
        is_sound(&lab)?;
        lab.connect(lab.peers())?;
        let [a, b, c, d] = lab.first()?;
        for node in [b, c, d] {
            lab.widen(node)?;
        }
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            for node in [b, c, d] {
                watch.delivers(a, node, family)?;
                watch.delivers(node, a, family)?;
            }
            for (from, to) in ordered(&[b, c, d]) {
                watch.drops(from, to, family, "not_in_either_list")?;
            }
        }

        // A host that does not forward drops everything, with a reason.
        host.set_sysctl("ipv4/ip_forward", 0)?;
        host.set_sysctl("ipv6/conf/all/forwarding", 0)?;
        for family in Family::ALL {
            watch.drops(a, b, family, "not_routed")?;
        }
        Ok(())
    });
}

#[test]
fn by_the_stack_nothing_to_a_peer_leaves_by_another_interface() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [a, b] = site.first()?;
        let all = ["0.0.0.0/0".to_owned(), "::/0".to_owned()];
        for name in [&a, &b] {
            site.set(name, "allowed_ips", all.to_vec())?;
        }
        site.set(&b, "routes", all.to_vec())?;
        site.relay_mut()?.insert("fast_path".to_owned(), false.into());
        let lab = Lab::build(site)?;
        let host = lab.relay().namespace();
        host.forward()?;
        route_v6(&lab)?;
        lab.relay().up()?;
        is_sound(&lab)?;
        lab.connect(lab.peers())?;
        let a = lab.peer(&a)?;
        let overlay: Vec<_> = lab.model()?.addresses.iter().map(IpNet::trunc).collect();
        // On the relay's LAN, and beyond it.
        let near = [IpAddr::from([192, 0, 2, 254]), "2001:db8::fe".parse()?];
        let targets = [&near[..], &elsewhere()?].concat();
        let networks: Vec<IpNet> = targets.iter().map(|&target| IpNet::from(target)).collect();
        a.claim(&[&overlay[..], &networks].concat())?;
        for target in targets {
            dropped(&lab, a, target, "not_routed")?;
        }
        answers(a, lab.peer(&b)?.address(Family::V4))?;
        answers(a, lab.peer(&b)?.address(Family::V6))
    });
}

/// Adds a default route for IPv6: without one, routing would not forward.
fn route_v6(lab: &Lab) -> Result<()> {
    lab.internet().run("ip", &["address", "add", "2001:db8::fe/64", "dev", "relay", "nodad"])?;
    lab.relay()
        .namespace()
        .ip_batch("address add 2001:db8::1/64 dev eth0 nodad\nroute add ::/0 via 2001:db8::fe\n")
}

/// Checks that packets to an address do not reach the internet, to which it has moved.
fn stays_here(lab: &Lab, from: &Peer, address: IpAddr) -> Result<()> {
    let text = address.to_string();
    lab.internet().run("ip", &["address", "add", &text, "dev", "lo"])?;
    dropped(lab, from, address, "destination_unknown")
}

/// Checks that pings and datagrams are dropped for this reason and do not leave on the underlay.
fn dropped(lab: &Lab, from: &Peer, target: IpAddr, reason: &str) -> Result<()> {
    let source = from.address(Family::of(target));
    let family = if target.is_ipv4() { "ip" } else { "ip6" };
    lab.relay().namespace().feed(
        "nft",
        &["-f", "-"],
        &format!(
            "table inet seen\ndelete table inet seen\ntable inet seen {{
                chain out {{
                    type filter hook postrouting priority 300;
                    {family} daddr {target} counter
                }}
            }}\n"
        ),
    )?;
    let before = lab.relay().ledger()?;
    let mut echo = Echo::open(from.namespace(), source, target)?;
    let pinged = echo.send(PINGS)?;
    Udp::blind(from.namespace(), source, SocketAddr::new(target, 9))?.send(PINGS, 100)?;
    let expected = Ledger::default().dropped(from.name(), reason, pinged.packets + PINGS);
    lab.relay().settled(&before, &expected)?;
    let seen = lab.relay().namespace().run("nft", &["list", "table", "inet", "seen"])?;
    ensure!(seen.contains("packets 0 "), "packets to {target} left the host:\n{seen}");
    Ok(())
}

/// Waits until the address answers every ping of a row.
///
/// All rows are one flow: when the first packets of a flow arrive together, the peer's connection
/// tracking, which `wg-quick` enables for a default route, keeps one and drops the others.
fn answers(from: &Peer, target: IpAddr) -> Result<()> {
    let mut echo = Echo::open(from.namespace(), from.address(Family::of(target)), target)?;
    deadline::until("an answer", || {
        echo.send(PINGS)?;
        Ok((echo.answers(PINGS, A_MOMENT)? == PINGS).then_some(()))
    })
    .with_context(|| format!("{} -> {target}", from.name()))
}

fn is_sound(lab: &Lab) -> Result<()> {
    let checked = lab.relay().relay(&["status", "--check"])?;
    ensure!(checked.code == 0, "status --check: {checked:?}");
    Ok(())
}
