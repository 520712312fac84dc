//! The policy is swapped while packets pass, on a TUN interface.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use relay::{
    datapath::DatapathError,
    model::{Peer, Relay},
};
use relay_tests::{
    deadline,
    guard::bed::Bed,
    inner::Inner,
    program_run::{address, peer, relay},
    scenario, skip,
    tun_host::TunHost,
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// How often the policy is swapped.
const SWAPS: u32 = 100;

/// Peer 1 reaches peer 4, and of peers 2 and 3 the one that is named; nobody reaches peer 5.
fn to(number: u32) -> Relay {
    let own = |number: u32| [format!("10.3.2.{}", number + 1), format!("fd00::3:2:{}", number + 1)];
    let peers = (1..=5).map(|each| {
        let lists: Vec<String> = match each {
            1 => [own(number), own(4)].concat(),
            2..=4 => own(1).into(),
            _ => Vec::new(),
        };
        let lists = lists.iter().map(|own| address(own).into()).collect();
        let own = own(each);
        Peer { allowed_ips: lists, ..peer(each, &[&own[0], &own[1]], &[], &[]) }
    });
    relay(peers.collect())
}

/// Datagrams of peer 1 to the others with this number in them.
fn round(number: u32) -> [Inner; 4] {
    let is_v4 = number.is_multiple_of(2);
    // Peer 4 comes last: what is behind all others has arrived when its datagram has.
    [2, 3, 5, 4].map(|to: u32| {
        let of = |peer| {
            let prefix = if is_v4 { "10.3.2." } else { "fd00::3:2:" };
            address(&format!("{prefix}{}", peer + 1))
        };
        Inner::datagram([of(1), of(to)], [1024, 7], 4).with_payload(&number.to_be_bytes())
    })
}

/// What of a round has arrived.
fn arrived(host: &TunHost<'_>, number: u32) -> Result<[bool; 4]> {
    let round = round(number);
    for inner in &round {
        host.send(inner)?;
    }
    let relayed = round.map(|inner| inner.with_ttl(63));
    let mut arrived = [false; 4];
    deadline::until("the packet that passes under either policy", || {
        while let Some(packet) = host.sent()? {
            for (arrived, relayed) in arrived.iter_mut().zip(&relayed) {
                *arrived |= packet == relayed.bytes();
            }
        }
        Ok(arrived[3].then_some(()))
    })?;
    Ok(arrived)
}

#[test]
fn each_packet_is_judged_by_one_of_the_policies_and_none_by_a_mixture() {
    scenario(skip::TUN, || {
        let bed = Bed::make("swapped")?;
        let host = TunHost::up(&bed, &to(2))?;
        let policies = [host.compile(&to(3))?, host.compile(&to(2))?];
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let traffic = scope.spawn(|| -> Result<(u32, u32, [u32; 2])> {
                let (mut number, mut torn, mut seen) = (0, 0, [0; 2]);
                while !is_done.load(Relaxed) || number < 2 {
                    let [second, third, fifth, _] = arrived(&host, number)?;
                    ensure!(!fifth, "round {number}: a packet passes that both policies drop");
                    match [second, third] {
                        [true, false] => seen[0] += 1,
                        [false, true] => seen[1] += 1,
                        // The policy was swapped between the two.
                        [true, true] | [false, false] => torn += 1,
                    }
                    number += 1;
                }
                Ok((number, torn, seen))
            });
            let swapped = (0..SWAPS)
                .zip(policies.iter().cycle())
                .try_for_each(|(_, policy)| host.switch_to(policy));
            is_done.store(true, Relaxed);
            let (rounds, torn, seen) = traffic.join().ok().context("the traffic failed")??;
            swapped?;
            ensure!(torn <= SWAPS, "{torn} of {rounds} rounds are of no policy");
            ensure!(seen.iter().all(|rounds| *rounds > 0), "{seen:?}: one policy saw no packet");
            Ok(())
        })
    });
}

#[test]
fn a_policy_whose_maps_the_kernel_refuses_leaves_packets_as_they_were() {
    scenario(skip::TUN, || {
        let bed = Bed::make("swapped-refused")?;
        let host = TunHost::up(&bed, &to(2))?;
        let next = host.compile(&to(3))?;
        let before = host.observe()?;
        let refused = host.enter(|datapath| {
            drop_capabilities();
            let (number, nothing) = (before.next_number(), BTreeMap::new());
            Ok(datapath.switch(&next.0, &next.1, &before, number, &nothing).err())
        })?;
        let refused = refused.context("the kernel takes maps from whoever lacks CAP_BPF")?;
        ensure!(matches!(refused, DatapathError::Load(_)), "{refused}");
        for number in 0..4 {
            ensure!(arrived(&host, number)? == [true, false, false, true], "another policy");
        }
        let after = host.observe()?;
        ensure!(after.generation() == before.generation() && after.repairs().is_empty());
        host.switch_to(&next)?;
        ensure!(arrived(&host, 4)? == [false, true, false, true]);
        Ok(())
    });
}

/// Takes from this thread what creates maps.
fn drop_capabilities() {
    let mut sets = capabilities(None).expect("capabilities");
    sets.effective -= CapabilitySet::BPF | CapabilitySet::SYS_ADMIN;
    set_capabilities(None, sets).expect("fewer capabilities");
}
