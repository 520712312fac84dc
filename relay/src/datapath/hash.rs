//! The names of a policy.

use blake2::{Blake2s256, Digest as _};
use relay_common::Leaf;

use super::{object::OBJECT_HASH, pinned::abi_version};
use crate::policy::Compiled;

/// Hash of a compiled policy and the programs that enforce it: equal hashes behave alike.
pub fn policy_hash(compiled: &Compiled) -> [u8; 16] {
    let mut hash = Blake2s256::new();
    hash.update(abi_version().to_le_bytes());
    hash.update(OBJECT_HASH.as_slice());
    tables_into(&mut hash, compiled);
    name(hash)
}

/// Hash of a compiled policy by itself, whichever programs enforce it.
pub fn tables_hash(compiled: &Compiled) -> [u8; 16] {
    let mut hash = Blake2s256::new();
    tables_into(&mut hash, compiled);
    name(hash)
}

fn tables_into(hash: &mut Blake2s256, compiled: &Compiled) {
    for range in [&compiled.range_v4, &compiled.range_v6] {
        hash.update(range.base().to_le_bytes());
        hash.update(range.size().to_le_bytes());
    }
    for number in [compiled.mtu, compiled.features, compiled.host_policy as u32] {
        hash.update(number.to_le_bytes());
    }
    hash.update(compiled.listen_port.to_le_bytes());
    hash.update(compiled.relay_v4.map_or([0; 4], |address| address.octets()));
    hash.update(compiled.relay_v6.map_or([0; 16], |address| address.octets()));
    hash.update(bytemuck::cast_slice::<Leaf, u8>(&compiled.leaves_v4));
    hash.update(bytemuck::cast_slice::<Leaf, u8>(&compiled.leaves_v6));
    hash.update(compiled.transit.map_or([0; 16], |network| network.addr().octets()));
    hash.update(bytemuck::cast_slice::<_, u8>(&compiled.cells));
    hash.update(bytemuck::cast_slice::<_, u8>(&compiled.directions));
    hash.update(bytemuck::cast_slice::<_, u8>(&compiled.rule_sets));
    hash.update(bytemuck::cast_slice::<_, u8>(&compiled.grants));
    hash.update(bytemuck::cast_slice::<_, u8>(&compiled.services));
    hash.update(bytemuck::cast_slice::<_, u8>(&compiled.limits));
    for (rule, end) in &compiled.rule_ends {
        hash.update(rule.to_le_bytes());
        hash.update(end.unwrap_or(u64::MAX).to_le_bytes());
    }
    for (prefix, leaf) in &compiled.prefixes {
        hash.update(prefix.to_string());
        hash.update(bytemuck::bytes_of(leaf));
    }
    for port in &compiled.host_ports {
        hash.update(port.to_le_bytes());
    }
}

fn name(hash: Blake2s256) -> [u8; 16] {
    let mut name = [0; 16];
    name.copy_from_slice(&hash.finalize()[..16]);
    name
}
