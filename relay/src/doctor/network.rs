//! The host's network around the relay.

use std::collections::HashSet;

use ipnet::IpNet;

use super::{
    Finding,
    facts::{Facts, Firewall, Forwarding, Ipv6Off, MarkWriter, Route, Underlay},
};
use crate::model::{Egress, HostAccess, Relay};

/// WireGuard's overhead for a packet, bytes: header and tag 32, UDP 8, IP 20 or 40.
const AROUND_V4: u32 = 60;
const AROUND_V6: u32 = 80;
/// `rp_filter`: packets are dropped whose answers would leave by another interface.
const STRICT: u32 = 1;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let Some(relay) = &facts.relay else { return Vec::new() };
    let mut findings = overlay(facts, relay);
    findings.push(ipv6(facts, relay));
    findings.push(mtu(facts, relay));
    findings.push(forwarding(facts.forwarding, relay));
    findings.push(rp_filter(facts, relay));
    findings.push(docker(facts, relay));
    findings.push(firewall(facts, relay));
    findings.extend(marks(facts, relay));
    findings.push(ufw(facts, relay));
    findings.push(threaded(facts, relay));
    findings
}

/// Whether packets between peers, or beyond the overlay, go through the host's stack.
fn uses_stack(relay: &Relay) -> bool {
    !relay.fast_path || relay.egress == Egress::Stack
}

/// The setting that sends packets through the stack.
fn setting(relay: &Relay) -> &'static str {
    if relay.fast_path { "egress = \"stack\"" } else { "fast_path = false" }
}

fn overlay(facts: &Facts, relay: &Relay) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own: Vec<_> = relay.addresses.iter().map(IpNet::addr).collect();
    for address in facts.host_addresses.iter().filter(|address| !own.contains(address)) {
        let owner = relay.peers.iter().find(|peer| peer.addresses.contains(address));
        if let Some(peer) = owner {
            findings.push(Finding::problem(
                "overlay",
                format!("{address} belongs to peer {} and to this host", peer.name),
                "give one of them another address: packets for it stay on the host",
            ));
        }
    }
    let routes = relay.peers.iter().flat_map(|peer| &peer.routes);
    let routes: HashSet<&IpNet> = routes.filter(|net| net.prefix_len() > 0).collect();
    let elsewhere = |route: &&Route| {
        route.destination.prefix_len() > 0
            && route.interface.as_deref() != Some(relay.interface.as_str())
    };
    for Route { destination, interface } in facts.routes.iter().filter(elsewhere) {
        let through = interface.as_deref().unwrap_or("no single interface");
        let overlays = relay.addresses.iter().map(IpNet::trunc);
        if overlays.clone().any(|net| net == *destination) {
            findings.push(Finding::problem(
                "overlay",
                format!("{destination}, the overlay, also has a route through {through}"),
                "choose another network for the overlay, or remove that route or address",
            ));
        } else if overlays.clone().any(|net| net.contains(destination)) {
            findings.push(Finding::warning(
                "overlay",
                format!("{destination}, part of the overlay, has a route through {through}"),
                "the host itself cannot reach peers there; remove that route, or choose another \
                 network",
            ));
        } else if routes.contains(destination) {
            findings.push(Finding::problem(
                "overlay",
                format!("{destination}, a peer's route, also has a route through {through}"),
                "remove that route or the peer's; with both, `relay up` fails",
            ));
        }
    }
    if findings.is_empty() {
        let networks: Vec<_> = relay.addresses.iter().map(|net| net.trunc().to_string()).collect();
        let found = format!("nothing else on this host uses {}", networks.join(", "));
        findings.push(Finding::ok("overlay", found));
    }
    findings
}

fn ipv6(facts: &Facts, relay: &Relay) -> Finding {
    let wanted = relay.addresses.iter().find(|net| net.addr().is_ipv6());
    match (&facts.ipv6_off, wanted) {
        (None, _) => Finding::ok("ipv6", "on"),
        (Some(_), None) => Finding::ok("ipv6", "off, and not needed"),
        (Some(Ipv6Off { found, remedy }), Some(address)) => Finding::problem(
            "ipv6",
            format!("off ({found}), but relay.address has {address}"),
            remedy,
        ),
    }
}

fn mtu(facts: &Facts, relay: &Relay) -> Finding {
    let mtu = u32::from(relay.mtu);
    let (over_v4, over_v6) = (mtu + AROUND_V4, mtu + AROUND_V6);
    let Some(Underlay { interface, mtu: underlay }) =
        facts.underlays.iter().min_by_key(|underlay| underlay.mtu)
    else {
        return Finding::ok(
            "mtu",
            format!("no default route; {mtu} needs {over_v4} over IPv4 and {over_v6} over IPv6"),
        );
    };
    let remedy = || {
        let fits = underlay.saturating_sub(AROUND_V6);
        match fits >= 1280 {
            true => format!("write mtu = {fits} into [relay]"),
            false => {
                format!("raise the MTU of {interface}: IPv6 needs at least 1280 in the tunnel")
            }
        }
    };
    if *underlay < over_v4 {
        let found = format!(
            "{mtu} needs {over_v4} over IPv4 and {over_v6} over IPv6, {interface} has {underlay}: \
             large packets are fragmented or lost"
        );
        Finding::warning("mtu", found, remedy())
    } else if *underlay < over_v6 {
        let found = format!(
            "{mtu} needs {over_v6} over IPv6, {interface} has {underlay}: large packets to peers \
             that dial over IPv6 are fragmented"
        );
        Finding::warning("mtu", found, remedy())
    } else {
        Finding::ok("mtu", format!("{mtu} fits into the {underlay} of {interface}, over IPv6 too"))
    }
}

/// Whether the host forwards, where the relay needs it.
pub(super) fn forwarding(forwarding: Forwarding, relay: &Relay) -> Finding {
    if !uses_stack(relay) {
        return Finding::ok("forwarding", "not needed: relayed packets never reach the IP stack");
    }
    let has = |v4: bool| relay.addresses.iter().any(|net| net.addr().is_ipv4() == v4);
    let families = [
        (has(true), forwarding.v4, "net.ipv4.ip_forward"),
        (has(false), forwarding.v6, "net.ipv6.conf.all.forwarding"),
    ];
    let off: Vec<_> = families
        .iter()
        .filter(|(needed, on, _)| *needed && *on != Some(true))
        .map(|(_, _, key)| *key)
        .collect();
    match off.as_slice() {
        [] => Finding::ok("forwarding", format!("on, as {} requires", setting(relay))),
        off => Finding::problem(
            "forwarding",
            format!("{} needs {} = 1, found 0", setting(relay), off.join(" and ")),
            off.iter().map(|key| format!("sysctl -w {key}=1")).collect::<Vec<_>>().join("; "),
        ),
    }
}

fn rp_filter(facts: &Facts, relay: &Relay) -> Finding {
    let default =
        relay.peers.iter().find(|peer| peer.routes.iter().any(|net| net.prefix_len() == 0));
    match (facts.rp_filter, default) {
        (Some(STRICT), _) if !uses_stack(relay) => Finding::ok("rp-filter", "strict"),
        _ if !uses_stack(relay) && (relay.fence || relay.guard.is_some()) => Finding::ok(
            "rp-filter",
            "off or loose; fence or guard drop messages from overlay addresses",
        ),
        _ if !uses_stack(relay) => Finding::warning(
            "rp-filter",
            "off or loose, and fence = false: a message from an overlay address moves its peer's \
             endpoint into the tunnel, and nothing reaches that peer until its next message",
            "set fence = true, or sysctl -w net.ipv4.conf.all.rp_filter=1",
        ),
        (Some(STRICT), Some(peer)) => Finding::warning(
            "rp-filter",
            format!(
                "strict, and peer {} has a default route that the host has elsewhere: packets \
                 from there are dropped",
                peer.name
            ),
            format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", relay.interface),
        ),
        (Some(STRICT), None) => {
            Finding::ok("rp-filter", "strict; the host has a route back to each peer")
        }
        (Some(_) | None, _) => Finding::ok("rp-filter", "off or loose"),
    }
}

fn docker(facts: &Facts, relay: &Relay) -> Finding {
    let name = &relay.interface;
    match (facts.docker, uses_stack(relay)) {
        (false, _) => Finding::ok("docker", "not installed"),
        (true, false) => {
            Finding::ok("docker", "installed; relayed packets do not pass its FORWARD chain")
        }
        (true, true) => Finding::warning(
            "docker",
            format!("its FORWARD policy drops relayed packets, because of {}", setting(relay)),
            format!(
                "iptables -I DOCKER-USER -i {name} -j ACCEPT; iptables -I DOCKER-USER -o {name} -j \
                 ACCEPT (and ip6tables); relay's policy has already decided"
            ),
        ),
    }
}

fn firewall(facts: &Facts, relay: &Relay) -> Finding {
    let port = relay.listen_port;
    match &facts.firewall {
        Firewall::Open => {
            Finding::ok("firewall", format!("no chain of nf_tables drops UDP {port}"))
        }
        Firewall::Barred(why) => Finding::warning(
            "firewall",
            format!("{why}: peers cannot reach the relay"),
            format!("accept `udp dport {port}` in that chain"),
        ),
        Firewall::Unknown(why) => Finding::warning(
            "firewall",
            format!("its rules cannot be read: {why}"),
            format!("check that they accept UDP {port}"),
        ),
    }
}

/// A bit that the host sets opens the fence. One that it clears closes the fence to packets that pass
/// it again behind the host's rules.
fn marks(facts: &Facts, relay: &Relay) -> Vec<Finding> {
    let is_passed_again =
        uses_stack(relay) || matches!(relay.host_access, HostAccess::Ports(_) | HostAccess::All);
    let finding = |MarkWriter { chain, set, lost }: &MarkWriter| {
        let (found, how) = match (set, lost) {
            (0, _) if !is_passed_again => return None,
            (0, lost) => (
                format!(
                    "chain {chain} clears bits {lost:#x} of packet marks: the fence drops packets \
                     that relay has passed to a peer"
                ),
                format!("write marks there with a mask that excludes {lost:#x}"),
            ),
            (set, _) => (
                format!(
                    "chain {chain} sets bits {set:#x} of packet marks, by which the fence knows what \
                     relay has passed"
                ),
                format!("use bits other than {set:#x} there"),
            ),
        };
        Some(Finding::warning("marks", found, how))
    };
    if let Firewall::Unknown(why) = &facts.firewall {
        return vec![Finding::warning(
            "marks",
            format!("the host's rules cannot be read: {why}"),
            "check that every rule that writes marks has a mask for its own bits",
        )];
    }
    let findings: Vec<_> = facts.mark_writers.iter().filter_map(finding).collect();
    match findings.is_empty() {
        true => {
            vec![Finding::ok("marks", "no chain of nf_tables writes relay's bits of packet marks")]
        }
        false => findings,
    }
}

fn ufw(facts: &Facts, relay: &Relay) -> Finding {
    let (name, port) = (&relay.interface, relay.listen_port);
    let Some(ufw) = facts.ufw else { return Finding::ok("ufw", "not enabled") };
    match (ufw.lets_port_in, uses_stack(relay)) {
        (Some(false), _) => Finding::problem(
            "ufw",
            format!("enabled, and no rule allows UDP {port}: peers cannot reach the relay"),
            format!("ufw allow {port}/udp"),
        ),
        (None, _) => Finding::warning(
            "ufw",
            "enabled, but its rules cannot be read",
            format!("check that `ufw allow {port}/udp` is in effect"),
        ),
        (Some(true), true) => Finding::warning(
            "ufw",
            format!("its FORWARD policy drops relayed packets, because of {}", setting(relay)),
            format!("ufw route allow in on {name}; ufw route allow out on {name}"),
        ),
        (Some(true), false) => Finding::ok(
            "ufw",
            format!("enabled, and allows UDP {port}; relayed packets do not pass it"),
        ),
    }
}

/// CVE-2026-52945: kernels 6.16 and newer, and some of their backports, made WireGuard's NAPI
/// threaded; later stable kernels reverted that.
fn threaded(facts: &Facts, relay: &Relay) -> Finding {
    let name = &relay.interface;
    match facts.threaded {
        false => Finding::ok("threaded-napi", "off, or no interface yet"),
        true => Finding::warning(
            "threaded-napi",
            format!("on for {name}: packets from a peer can stall for good (CVE-2026-52945)"),
            format!(
                "echo 0 > /sys/class/net/{name}/threaded, or boot a kernel without that change"
            ),
        ),
    }
}
