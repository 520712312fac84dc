//! A site that never was: its relays, its peers, and what is claimed of them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use relay::{
    mesh::Claim,
    model::{PublicKey, RelayName},
};

/// Names of relays, and where they gossip: on free ports of this host, or anywhere.
pub(super) fn addresses(relays: usize, real: bool) -> Result<Vec<(RelayName, SocketAddr)>> {
    let mut held = Vec::new();
    let mut addresses = Vec::new();
    for place in 0..u16::try_from(relays).context("count the relays")? {
        let address = if real {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("find a port")?;
            let address = socket.local_addr().context("find a port")?;
            held.push(socket);
            address
        } else {
            SocketAddr::from((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, place + 1), 7946))
        };
        addresses.push((format!("relay{place}").parse()?, address));
    }
    Ok(addresses)
}

/// A key that does not compress.
pub(super) fn peer(number: u32) -> PublicKey {
    let mut key = [0; 32];
    for (word, chunk) in (1_u64..).zip(key.chunks_exact_mut(8)) {
        let seed = u64::from(number) << 8 | word;
        chunk.copy_from_slice(&mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
    }
    PublicKey::from_bytes(key)
}

/// What is claimed of a peer.
pub(super) fn claim(number: u32, version: u32) -> Claim {
    let [_, a, b, c] = number.to_be_bytes();
    let port = 1_024 + (mix(u64::from(number)) % 60_000) as u16;
    let endpoint = SocketAddr::from((Ipv4Addr::new(198, a, b, c), port));
    Claim::new(version, 1_764_250_000 + u64::from(number % 120), Some(endpoint))
}

/// The last step of SplitMix64: numbers that look random.
pub(super) fn mix(seed: u64) -> u64 {
    let seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ seed >> 31
}
