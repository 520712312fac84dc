use blake2::{Blake2s256, Digest as _};
use ipnet::IpNet;
use relay_common::guard::{Identity, keyed};

use super::super::pinned::abi_version;
use crate::model::PublicKey;

/// The object file that the build script built.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay-guard"));

/// Hash of the object file, by the build script.
static OBJECT_HASH: &[u8; 32] = include_bytes!(concat!(env!("OUT_DIR"), "/relay-guard.hash"));

/// Prefix of the public key in the key of MAC1 (WireGuard paper, section 5.4.4).
const MAC1_LABEL: &[u8] = b"mac1----";

/// Settings of a guard: equal ones behave alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSettings {
    /// The relay's UDP port.
    pub port: u16,
    /// The relay's public key, by which MAC1 is checked.
    pub public_key: PublicKey,
    /// Handshake initiations that a source (an IPv4 address, an IPv6 /64) may send in a second.
    pub initiations_per_second: u32,
    /// Handshake initiations that it may send in a burst.
    pub burst: u32,
    /// Capacity of the tables of sources and flows.
    pub sources: u32,
    /// Networks of the overlay, from which no message may come.
    pub overlay: Vec<IpNet>,
}

impl GuardSettings {
    /// Hash of these settings and the program that enforces them.
    pub fn hash(&self) -> [u8; 16] {
        let mut hash = Blake2s256::new();
        hash.update(abi_version().to_le_bytes());
        hash.update(OBJECT_HASH.as_slice());
        hash.update(self.port.to_le_bytes());
        hash.update(self.public_key.as_bytes());
        for number in [self.initiations_per_second, self.burst, self.sources] {
            hash.update(number.to_le_bytes());
        }
        for net in &self.overlay {
            hash.update(net.to_string());
        }
        let mut name = [0; 16];
        name.copy_from_slice(&hash.finalize()[..16]);
        name
    }

    pub(super) fn identity(&self, abi_version: u32) -> Identity {
        let key = Blake2s256::new().chain_update(MAC1_LABEL);
        let key = key.chain_update(self.public_key.as_bytes()).finalize();
        Identity {
            abi_version,
            reserved: 0,
            settings_hash: self.hash(),
            mac1_state: keyed(&key.into()),
        }
    }
}
