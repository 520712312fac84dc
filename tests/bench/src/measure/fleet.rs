//! Policies of any number of peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use relay::{
    model::{Peer, PublicKey, Relay},
    policy::{Compiled, Sources, compile},
};

use super::groups;
use relay_tests::Family;

/// First address of the overlay, 10.64.0.0/12.
pub(super) const V4_BASE: u32 = 0x0a40_0000;
/// First address of the overlay, fd00:6472::/108.
const V6_BASE: u128 = 0xfd00_6472 << 96;

/// Host part of the first peer.
pub(super) const FIRST_HOST: u32 = 2;

/// Which peers list each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Peers in pairs: 0 and 1, 2 and 3, …
    Pairs,
    /// Peer 0 and each other peer, by address.
    OneToMany,
    /// All peers, by one prefix.
    Mesh,
    /// As [`Self::OneToMany`], with 1 000 rules between 200 groups.
    Rules,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pairs, Self::OneToMany, Self::Mesh, Self::Rules];

    /// Its name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::OneToMany => "one-to-many",
            Self::Mesh => "mesh",
            Self::Rules => "rules",
        }
    }
}

/// Peers numbered from 0, with one address of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// How many.
    pub peers: u32,
    /// Which peers list each other.
    pub shape: Shape,
}

impl Fleet {
    /// A peer's IPv4 address.
    pub fn v4(peer: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(V4_BASE + FIRST_HOST + peer)
    }

    /// A peer's IPv6 address.
    pub fn v6(peer: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(V6_BASE + u128::from(FIRST_HOST + peer))
    }

    /// A peer's address of a family.
    pub fn address(peer: u32, family: Family) -> IpAddr {
        match family {
            Family::V4 => Self::v4(peer).into(),
            Family::V6 => Self::v6(peer).into(),
        }
    }

    /// Both networks of the overlay.
    pub fn overlay() -> [IpNet; 2] {
        [
            net(IpAddr::V4(Ipv4Addr::from_bits(V4_BASE)), 12),
            net(Ipv6Addr::from_bits(V6_BASE).into(), 108),
        ]
    }

    /// The relay's own addresses, with the overlay's prefix lengths.
    pub fn relay_addresses() -> [IpNet; 2] {
        [
            net(Ipv4Addr::from_bits(V4_BASE + 1).into(), 12),
            net(Ipv6Addr::from_bits(V6_BASE + 1).into(), 108),
        ]
    }

    /// The other peer of a pair.
    pub const fn partner(peer: u32) -> u32 {
        peer ^ 1
    }

    /// The relay's model.
    pub fn relay(&self, fast_path: bool) -> Relay {
        let (groups, rules) = match self.shape {
            Shape::Rules => (groups::groups(self.peers as usize), groups::rules()),
            Shape::Pairs | Shape::OneToMany | Shape::Mesh => (Vec::new(), Vec::new()),
        };
        Relay {
            addresses: Self::relay_addresses().to_vec(),
            private_key_file: "private.key".into(),
            fast_path,
            peers: (0..self.peers).map(|number| self.peer(number)).collect(),
            groups,
            rules,
            ..Relay::new("relay0".parse().expect("a name"))
        }
    }

    /// The compiled policy, and the number of slots for its counters.
    pub fn compile(&self, fast_path: bool) -> Result<(Compiled, u32)> {
        compiled(&self.relay(fast_path))
    }

    fn peer(&self, number: u32) -> Peer {
        let mut key = [1; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        Peer {
            addresses: vec![Self::v4(number).into(), Self::v6(number).into()],
            allowed_ips: self.allowed_ips(number),
            ..Peer::new(format!("p{number}").parse().expect("a name"), PublicKey::from_bytes(key))
        }
    }

    fn allowed_ips(&self, number: u32) -> Vec<IpNet> {
        let hosts = |peer| {
            [IpNet::from(IpAddr::V4(Self::v4(peer))), IpNet::from(IpAddr::V6(Self::v6(peer)))]
        };
        match self.shape {
            Shape::Pairs => hosts(Self::partner(number)).to_vec(),
            Shape::OneToMany | Shape::Rules if number == 0 => {
                (1..self.peers).flat_map(hosts).collect()
            }
            Shape::OneToMany | Shape::Rules => hosts(0).to_vec(),
            Shape::Mesh => Self::overlay().to_vec(),
        }
    }
}

/// The compiled policy of a relay, and the number of slots for its counters.
pub(super) fn compiled(relay: &Relay) -> Result<(Compiled, u32)> {
    let numbers = |count: usize| (1..).take(count).collect::<Vec<u32>>();
    let slots = numbers(relay.peers.len());
    let sources = Sources { relay, host_addresses: &[], slots: &slots };
    let compiled = compile(&sources, &numbers(relay.rules.len())).context("compile the policy")?;
    Ok((compiled, u32::try_from(slots.len())? + 1))
}

fn net(address: IpAddr, prefix_len: u8) -> IpNet {
    IpNet::new_assert(address, prefix_len)
}
