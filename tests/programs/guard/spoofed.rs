//! Floods from the addresses and ports of peers (boringtun), which still get their sessions.

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
use relay_tests::guard::{GuardRun, message, settings, to_relay};

use crate::possible;

/// Spoofed messages before each message of a victim.
const FLOOD: u32 = 1_000;

/// A peer, and the relay's side of its tunnel.
struct Victim {
    from: String,
    peer: Tunn,
    relay: Tunn,
}

/// Victims of one relay, and its guard.
struct Victims {
    guard: GuardRun,
    key: PublicKey,
    all: Vec<Victim>,
}

impl Victims {
    /// This number of victims, in both families, and a relay that requires cookies or not.
    fn new(count: usize, under_load: bool) -> Self {
        let secret = || {
            let key = PrivateKey::generate().expect("random bytes");
            x25519::StaticSecret::from(*key.as_bytes())
        };
        let relay_secret = secret();
        let relay_public = x25519::PublicKey::from(&relay_secret);
        let limiter =
            Arc::new(RateLimiter::new(&relay_public, if under_load { 0 } else { 1_000_000 }));
        let all = (0..count).map(|number| {
            let peer_secret = secret();
            let peer_public = x25519::PublicKey::from(&peer_secret);
            let from = match number % 2 {
                0 => format!("198.51.100.{number}:51820"),
                _ => format!("[2001:db8:1:{number}::2]:51820"),
            };
            let index = u32::try_from(number).expect("a few");
            let limits = Some(Arc::clone(&limiter));
            Victim {
                from,
                peer: Tunn::new(peer_secret, relay_public, None, None, 2 * index, None),
                relay: Tunn::new(
                    relay_secret.clone(),
                    peer_public,
                    None,
                    None,
                    2 * index + 1,
                    limits,
                ),
            }
        });
        let key = PublicKey::from_bytes(relay_public.to_bytes());
        let all = all.collect();
        Self { guard: GuardRun::new(&GuardSettings { public_key: key, ..settings(200) }), key, all }
    }

    /// Floods the relay from the address of each victim and lets each connect, until all have a
    /// session; returns the number of attempts.
    fn besieged(&mut self, flood: &[u8], most: u32) -> Vec<u32> {
        let Self { guard, all, .. } = self;
        let tries = all.iter_mut().map(|victim| {
            let frame = to_relay(victim.from.parse().expect("a source"), flood).frame();
            for number in 1..=most {
                guard.run_often(&frame, FLOOD);
                if victim.tries(guard) {
                    return number;
                }
            }
            panic!("{} tried {most} times for nothing", victim.from);
        });
        tries.collect()
    }
}

impl Victim {
    /// Sends an initiation through the guard; returns whether there is a session.
    fn tries(&mut self, guard: &mut GuardRun) -> bool {
        let mut room = [0; 2048];
        let TunnResult::WriteToNetwork(first) =
            self.peer.format_handshake_initiation(&mut room, true)
        else {
            panic!("no initiation");
        };
        if guard.judge(&self.from, first).drops() {
            return false;
        }
        let from: IpAddr = "198.51.100.2".parse().expect("an address");
        let first = first.to_vec();
        let mut room = [0; 2048];
        let answer = self.relay.decapsulate(Some(from), &first, &mut room);
        let TunnResult::WriteToNetwork(answer) = answer else { panic!("no answer") };
        let mut room = [0; 2048];
        // boringtun stores a cookie, and answers a response with a keepalive.
        match self.peer.decapsulate(Some(from), answer, &mut room) {
            TunnResult::WriteToNetwork(keepalive) => {
                assert_eq!(guard.judge(&self.from, keepalive), Outcome::Data);
                true
            }
            TunnResult::Done => false,
            TunnResult::Err(_)
            | TunnResult::WriteToTunnelV4(..)
            | TunnResult::WriteToTunnelV6(..) => panic!("neither a session nor a cookie"),
        }
    }
}

#[test]
fn without_the_relays_key_a_flood_costs_its_victims_nothing() {
    if !possible("guard::spoofed::without_the_key") {
        return;
    }
    for with_mac2 in [false, true] {
        let mut victims = Victims::new(50, false);
        let other = PublicKey::from_bytes([9; 32]);
        let forged = message::initiation(&other, 1);
        let forged = if with_mac2 { message::with_mac2(forged) } else { forged };
        assert_eq!(victims.besieged(&forged, 1), [1; 50]);
        // Again, as confirmed flows.
        assert_eq!(victims.besieged(&forged, 1), [1; 50]);
    }
}

#[test]
fn with_the_relays_key_it_delays_them_until_the_kernels_cookie_is_there() {
    if !possible("guard::spoofed::with_the_key") {
        return;
    }
    for under_load in [false, true] {
        let mut victims = Victims::new(20, under_load);
        let spoofed = message::initiation(&victims.key, 1);
        let tries = victims.besieged(&spoofed, 200);
        let sum: u32 = tries.iter().sum();
        // One in eight passes, and with a cookie the next.
        assert!(sum < 20 * 30, "{tries:?}");
        // After data they have a limit of their own, which the flood exhausts too.
        victims.besieged(&spoofed, 200);
    }
}
