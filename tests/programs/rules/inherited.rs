//! An address that goes to another key while its flows are live, on a TUN interface.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use relay::model::{Peer, PublicKey, Relay, Rule, Selector, Services, Transport};
use relay_common::flow::tcp;
use relay_tests::{
    deadline, guard::bed::Bed, inner::Inner, program_run::relay, scenario, skip, tun_host::TunHost,
};

use super::{back, families};

/// Keys of the peer that has the first address at first, and of the one that has it then.
const FORMER: u8 = 1;
const NEXT: u8 = 9;

/// Whoever has the first address may begin ssh and DNS with the server. Nobody has it without a key.
fn owned_by(key: Option<u8>) -> Relay {
    let peer = |key: u8, name: &str, at: usize| Peer {
        addresses: families().map(|ends| ends[at]).to_vec(),
        ..Peer::new(name.parse().expect("a name"), PublicKey::from_bytes([key; 32]))
    };
    let port = |transport, port| Services::Ports { transport, first: port, last: port };
    let owner = key.map(|key| peer(key, "owner", 0));
    let rule = Rule {
        from: families().map(|ends| Selector::Prefix(ends[0].into())).to_vec(),
        to: vec![Selector::Peer(0)],
        services: vec![port(Transport::Tcp, 22), port(Transport::Udp, 53)],
        ..Rule::new("admin".parse().expect("a name"))
    };
    Relay {
        rules: vec![rule],
        ..relay([Some(peer(2, "server", 1)), owner].into_iter().flatten().collect())
    }
}

fn syn(ends: [IpAddr; 2]) -> Inner {
    Inner::segment(ends, [40_000, 22], tcp::SYN)
}

fn answer(ends: [IpAddr; 2], flags: u8) -> Inner {
    Inner::segment(back(ends), [22, 40_000], flags)
}

/// A datagram whose first fragment the former owner sends, and the next one the rest.
fn datagram(ends: [IpAddr; 2]) -> [Inner; 2] {
    let whole = Inner::datagram(ends, [40_000, 53], 56);
    [whole.fragment(0..48, 7), whole.fragment(48..64, 7)]
}

fn begin(host: &TunHost<'_>) -> Result<()> {
    for ends in families() {
        for inner in [syn(ends), answer(ends, tcp::SYN | tcp::ACK), answer(ends, tcp::ACK)] {
            ensure!(host.passes(&inner)?, "{inner:?}");
        }
        ensure!(host.passes(&datagram(ends)[0])?);
    }
    Ok(())
}

/// Nothing that the former owner began goes on, and the next one begins as anybody does.
fn is_a_stranger(host: &TunHost<'_>) -> Result<()> {
    for ends in families() {
        ensure!(!host.passes(&answer(ends, tcp::ACK))?, "an answer to the former owner passes");
        // A fragment that does not pass waits, and what comes behind it passes before it.
        host.send(&datagram(ends)[1])?;
        host.send(&syn(ends))?;
        let [fragment, behind] = [&datagram(ends)[1], &syn(ends)].map(|it| it.clone().with_ttl(63));
        deadline::until("the packet behind the fragment", || {
            while let Some(packet) = host.sent()? {
                ensure!(packet != fragment.bytes(), "the fragment has passed");
                if packet == behind.bytes() {
                    return Ok(Some(()));
                }
            }
            Ok(None)
        })?;
        ensure!(host.passes(&answer(ends, tcp::SYN | tcp::ACK))?);
    }
    Ok(())
}

fn slot_of(host: &TunHost<'_>, key: u8) -> Result<u32> {
    let slots = host.enter(|datapath| datapath.slots())?;
    slots.get(&PublicKey::from_bytes([key; 32])).copied().context("it has no slot")
}

/// Packets that are counted for a slot.
fn counted(host: &TunHost<'_>, slot: u32) -> Result<u64> {
    let counters = host.enter(|datapath| datapath.counters(&datapath.slots()?))?;
    let (traffic, dropped) = counters.of(slot);
    Ok(traffic.rx_packets + traffic.tx_packets + dropped.iter().sum::<u64>())
}

#[test]
fn a_key_that_gets_the_address_of_another_inherits_no_flow_and_no_count() {
    scenario(skip::TUN, || {
        let bed = Bed::make("inherited-at-once")?;
        let host = TunHost::up(&bed, &owned_by(Some(FORMER)))?;
        begin(&host)?;
        host.switch(&owned_by(Some(NEXT)))?;
        ensure!(counted(&host, slot_of(&host, NEXT)?)? == 0);
        is_a_stranger(&host)
    });
}

#[test]
fn nor_does_one_that_gets_its_slot_too() {
    scenario(skip::TUN, || {
        let bed = Bed::make("inherited-slot")?;
        let host = TunHost::up(&bed, &owned_by(Some(FORMER)))?;
        let slot = slot_of(&host, FORMER)?;
        begin(&host)?;
        host.switch(&owned_by(None))?;
        host.switch(&owned_by(Some(NEXT)))?;
        ensure!(slot_of(&host, NEXT)? == slot, "another slot");
        ensure!(counted(&host, slot)? == 0);
        is_a_stranger(&host)
    });
}
