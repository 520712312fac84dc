//! A candidate that is tried beside the policy in force, on a TUN interface.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use relay::{
    datapath::{Answer, Datapath, Found, Trial},
    model::{Relay, Rule, Selector, Services, Transport},
};
use relay_common::{Reason, flow::tcp, verdict::Verdict};
use relay_tests::{
    guard::bed::Bed,
    inner::Inner,
    program_run::{address, peer, relay},
    scenario, skip,
    tun_host::TunHost,
};

const RELAY: Answer = Ok(Verdict::Relay);

#[test]
fn what_the_candidate_would_drop_or_let_through_is_counted_and_nothing_else_changes() {
    scenario(skip::TUN, || {
        let bed = Bed::make("trial-pairs")?;
        let host = TunHost::up(&bed, &crate::four())?;
        // 1 and 2 no longer list each other; 1 and 3 do.
        let mut candidate = crate::four();
        candidate.peers[0].allowed_ips =
            ["10.3.2.4/32", "fd00::3:2:4/128"].map(|net| net.parse().expect("a net")).to_vec();
        start(&host, &candidate)?;
        for [one, other, third] in
            [["10.3.2.2", "10.3.2.3", "10.3.2.4"], ["fd00::3:2:2", "fd00::3:2:3", "fd00::3:2:4"]]
        {
            let [one, other, third] = [one, other, third].map(address);
            let passes = Inner::udp(one, other, 40);
            ensure!(host.passes(&passes)? && host.passes(&passes)?);
            ensure!(!host.passes(&Inner::udp(third, one, 40))?, "it was dropped before");
        }
        let found = found(&host)?;
        let seen: BTreeSet<_> = found
            .differences
            .iter()
            .map(|one| {
                let service = one.service.map(|service| service.to_string());
                (one.source, one.destination, service, one.packets)
            })
            .collect();
        let seven = Some("udp/7".to_owned());
        let expected = BTreeSet::from([(1, 2, seven.clone(), 4), (3, 1, seven, 2)]);
        ensure!(seen == expected && found.others == 0, "{found:?}");
        for one in &found.differences {
            let [before, after] = match one.source {
                1 => [RELAY, Err(Reason::NotInSourceList)],
                _ => [Err(Reason::NotInDestinationList), RELAY],
            };
            ensure!((one.in_force, one.candidate) == (before, after), "{one:?}");
            // Both families count as one pair.
            let len = u64::from(20 + 8 + 40_u32) + u64::from(40 + 8 + 40_u32);
            ensure!(one.bytes == len * one.packets / 2, "{one:?}");
            ensure!(one.first_ns <= one.last_ns && one.first_ns > 0, "{one:?}");
            let example = one.example.context("an example")?;
            ensure!(example.protocol == 17 && example.ports == (1024, 7), "{example:?}");
        }
        stop(&host)
    });
}

#[test]
fn a_candidate_judges_the_flows_that_there_are_as_a_reload_would() {
    scenario(skip::TUN, || {
        let bed = Bed::make("trial-flows")?;
        let ends = ["10.3.2.2", "10.3.2.3"].map(address);
        let back = [ends[1], ends[0]];
        let host = TunHost::up(&bed, &ruled(&[22, 80]))?;
        // The service has the higher port, so that the flow alone tells which it is.
        let opened = |from: u16, to: u16| -> Result<()> {
            ensure!(host.passes(&Inner::segment(ends, [from, to], tcp::SYN))?);
            ensure!(host.passes(&Inner::segment(back, [to, from], tcp::SYN | tcp::ACK))?);
            ensure!(host.passes(&Inner::segment(ends, [from, to], tcp::ACK))?);
            Ok(())
        };
        opened(21, 22)?;
        opened(79, 80)?;
        start(&host, &ruled(&[80]))?;
        for (from, to) in [(21, 22), (79, 80)] {
            for _ in 0..3 {
                ensure!(host.passes(&Inner::segment(back, [to, from], tcp::ACK))?);
                ensure!(host.passes(&Inner::segment(ends, [from, to], tcp::ACK))?);
            }
        }
        let found = found(&host)?;
        ensure!(found.differences.len() == 2, "{found:?}");
        for one in found.differences {
            ensure!(one.service.map(|s| s.to_string()).as_deref() == Some("tcp/22"), "{one:?}");
            ensure!(one.packets == 3 && one.candidate == Err(Reason::NoRule), "{one:?}");
        }
        stop(&host)
    });
}

#[test]
fn an_equal_candidate_makes_the_same_of_every_packet() {
    scenario(skip::TUN, || {
        let bed = Bed::make("trial-equal")?;
        let host = TunHost::up(&bed, &ruled(&[22]))?;
        start(&host, &ruled(&[22]))?;
        for ends in [["10.3.2.2", "10.3.2.3"], ["fd00::3:2:2", "fd00::3:2:3"]] {
            let ends = ends.map(address);
            let back = [ends[1], ends[0]];
            ensure!(host.passes(&Inner::segment(ends, [40_000, 22], tcp::SYN))?);
            for _ in 0..3 {
                let answer = Inner::segment(back, [22, 40_000], tcp::SYN | tcp::ACK);
                ensure!(host.passes(&answer)?);
                ensure!(host.passes(&Inner::segment(ends, [40_000, 22], tcp::ACK))?);
            }
            host.send(&Inner::segment(ends, [40_000, 23], tcp::SYN))?;
            host.send(&Inner::echo(ends, true, 7))?;
            let relay = if ends[0].is_ipv4() { "10.3.2.1" } else { "fd00::3:2:1" };
            host.send(&Inner::udp(ends[0], address(relay), 40))?;
            // The first one comes last.
            let whole = Inner::segment(ends, [40_000, 22], tcp::ACK);
            for part in [8..20, 0..8] {
                host.send(&whole.fragment(part, 7))?;
            }
        }
        let found = found(&host)?;
        ensure!(found == Found::default(), "{found:?}");
        stop(&host)
    });
}

#[test]
fn another_policy_ends_a_trial_and_leaves_nothing_of_it() {
    scenario(skip::TUN, || {
        let bed = Bed::make("trial-ends")?;
        let host = TunHost::up(&bed, &ruled(&[22]))?;
        start(&host, &ruled(&[]))?;
        let other = host.observe()?;
        ensure!(other.trial() == Trial::Running && other.repairs().is_empty(), "{other:?}");
        let hooks = &other.hooks;
        ensure!(hooks.iter().all(|hook| hook.foreign.is_empty() && hook.stale.is_empty()));
        host.switch(&ruled(&[80]))?;
        is_clean(&host)
    });
}

/// Peer 1 may begin these with peer 2.
fn ruled(ports: &[u16]) -> Relay {
    let services = ports.iter().map(|&port| Services::Ports {
        transport: Transport::Tcp,
        first: port,
        last: port,
    });
    let rule = Rule {
        from: vec![Selector::Peer(0)],
        to: vec![Selector::Peer(1)],
        services: services.chain([Services::Protocol(132)]).collect(),
        ..Rule::new("opened".parse().expect("a name"))
    };
    let peers = vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &[]),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &[], &[]),
    ];
    Relay { rules: vec![rule], ..relay(peers) }
}

pub(crate) fn start(host: &TunHost<'_>, candidate: &Relay) -> Result<()> {
    let observed = host.observe()?;
    let (compiled, slots) = host.compile(candidate)?;
    let (in_force, assigned) = &host.in_force;
    host.enter(|datapath| {
        datapath.start_trial((in_force, assigned), (&compiled, &slots), &observed)
    })?;
    ensure!(host.observe()?.trial() == Trial::Running);
    Ok(())
}

fn stop(host: &TunHost<'_>) -> Result<()> {
    host.switch_to(&host.in_force)?;
    is_clean(host)
}

fn is_clean(host: &TunHost<'_>) -> Result<()> {
    let observed = host.observe()?;
    ensure!(observed.trial() == Trial::None && !observed.compares(), "{observed:?}");
    ensure!(found(host)? == Found::default());
    Ok(())
}

pub(crate) fn found(host: &TunHost<'_>) -> Result<Found> {
    host.enter(Datapath::differences)
}
