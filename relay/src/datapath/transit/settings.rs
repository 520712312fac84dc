use blake2::{Blake2s256, Digest as _};
use ipnet::Ipv6Net;
use relay_common::mesh::Identity;

use super::super::pinned::abi_version;

/// The object file that the build script built.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay-transit"));

/// Hash of the object file, by the build script.
static OBJECT_HASH: &[u8; 32] = include_bytes!(concat!(env!("OUT_DIR"), "/relay-transit.hash"));

/// What `relay_transit` is loaded with: with equal settings it behaves alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransitSettings {
    /// Index of the relay's WireGuard interface.
    pub own_interface: u32,
    /// Network of the relays' addresses on transit interfaces, a /64.
    pub network: Ipv6Net,
}

impl TransitSettings {
    /// Hash of these settings and the program.
    pub fn hash(&self) -> [u8; 16] {
        let mut hash = Blake2s256::new();
        hash.update(abi_version().to_le_bytes());
        hash.update(OBJECT_HASH.as_slice());
        hash.update(self.own_interface.to_le_bytes());
        hash.update(self.transit_high().to_le_bytes());
        let mut name = [0; 16];
        name.copy_from_slice(&hash.finalize()[..16]);
        name
    }

    /// Upper half of the relays' addresses.
    pub(super) fn transit_high(&self) -> u64 {
        (self.network.network().to_bits() >> 64) as u64
    }

    pub(super) fn identity(&self, abi_version: u32) -> Identity {
        Identity { abi_version, reserved: 0, settings_hash: self.hash() }
    }
}
