//! Userspace implementations of WireGuard talk through the guard; all their messages pass. The lab
//! tests that of the kernel.

use std::{net::IpAddr, sync::Arc};

use boringtun::{
    noise::{Tunn, TunnResult, rate_limiter::RateLimiter},
    x25519,
};
use relay::{
    datapath::GuardSettings,
    model::{PrivateKey, PublicKey},
};
use relay_common::guard::Outcome;
use relay_tests::{
    guard::{
        GuardRun,
        bed::{Bed, NEEDS},
        settings,
        tunnel::{self, Tunnel},
    },
    scenario,
    skip::Need,
};

use crate::possible;

/// Two ends of boringtun, with the guard in front of the relay's.
struct Boring {
    guard: GuardRun,
    peer: Tunn,
    relay: Tunn,
}

impl Boring {
    /// With rate limiters that answer all initiations with a cookie, or none.
    fn new(under_load: bool) -> Self {
        let keys: [PrivateKey; 2] =
            std::array::from_fn(|_| PrivateKey::generate().expect("random bytes"));
        let secrets = keys.each_ref().map(|key| x25519::StaticSecret::from(*key.as_bytes()));
        let publics = secrets.each_ref().map(x25519::PublicKey::from);
        let [peer_secret, relay_secret] = secrets;
        let [peer_public, relay_public] = publics;
        let limiter =
            |public| Arc::new(RateLimiter::new(public, if under_load { 0 } else { 1000 }));
        let relay_key = PublicKey::from_bytes(relay_public.to_bytes());
        let limits = [limiter(&peer_public), limiter(&relay_public)].map(Some);
        let [peer_limits, relay_limits] = limits;
        Self {
            guard: GuardRun::new(&GuardSettings { public_key: relay_key, ..settings(100) }),
            peer: Tunn::new(peer_secret, relay_public, None, None, 1, peer_limits),
            relay: Tunn::new(relay_secret, peer_public, None, None, 2, relay_limits),
        }
    }

    /// Delivers a message and all answers; returns the outcomes of messages to the relay.
    fn talk(&mut self, mut to_the_relay: bool, first: Vec<u8>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut message = Some(first);
        while let Some(current) = message.take() {
            if to_the_relay {
                outcomes.push(self.guard.judge("198.51.100.2:4500", &current));
            }
            let receiver = if to_the_relay { &mut self.relay } else { &mut self.peer };
            let from: IpAddr = "198.51.100.2".parse().expect("an address");
            let mut room = [0; 2048];
            if let TunnResult::WriteToNetwork(answer) =
                receiver.decapsulate(Some(from), &current, &mut room)
            {
                message = Some(answer.to_vec());
                to_the_relay = !to_the_relay;
            }
        }
        outcomes
    }
}

fn initiation(by: &mut Tunn) -> Vec<u8> {
    let mut room = [0; 2048];
    let TunnResult::WriteToNetwork(message) = by.format_handshake_initiation(&mut room, true)
    else {
        panic!("no initiation");
    };
    message.to_vec()
}

#[test]
fn boringtuns_handshakes_and_data_pass_from_either_side() {
    if !possible("guard::implementations::boringtun") {
        return;
    }
    let mut boring = Boring::new(false);
    let first = initiation(&mut boring.peer);
    // The response does not pass the guard; a keepalive confirms it.
    assert_eq!(boring.talk(true, first), [Outcome::Initiation, Outcome::Data]);
    for len in [20, 84, 1420] {
        let mut packet = vec![0; len];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&u16::try_from(len).expect("short").to_be_bytes());
        let mut room = [0; 2048];
        let TunnResult::WriteToNetwork(data) = boring.peer.encapsulate(&packet, &mut room) else {
            panic!("no session");
        };
        assert_eq!(boring.guard.judge("198.51.100.2:4500", data), Outcome::Data);
    }
    let first = initiation(&mut boring.relay);
    assert_eq!(boring.talk(false, first), [Outcome::Response]);
}

#[test]
fn boringtuns_cookies_and_their_answers_pass() {
    if !possible("guard::implementations::cookies") {
        return;
    }
    let mut boring = Boring::new(true);
    let first = initiation(&mut boring.peer);
    assert_eq!(boring.talk(true, first), [Outcome::Initiation]);
    // With the cookie.
    let second = initiation(&mut boring.peer);
    let outcomes = boring.talk(true, second);
    assert_eq!(outcomes[0], Outcome::InitiationWithMac2);
    // An initiation of the relay, which the peer answers with a cookie.
    let mut boring = Boring::new(true);
    let first = initiation(&mut boring.relay);
    assert_eq!(boring.talk(false, first), [Outcome::CookieReply]);
}

#[test]
fn wireguard_go_connects_through_the_guard() {
    scenario(&[NEEDS, &[Need::Tun, Need::WireGuardGo]].concat(), || {
        let bed = Bed::make("guard-go")?;
        let relay = Tunnel::go(&bed.relay, "rg")?;
        let peer = Tunnel::go(&bed.other, "pg")?;
        tunnel::talk(&bed, &relay, &peer)
    });
}
