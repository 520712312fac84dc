//! The constants of a generation's programs. The verifier knows them, and removes what they rule out.

use std::net::{Ipv4Addr, Ipv6Addr};

use aya::EbpfLoader;
use relay_common::names;

use super::{counters::Epoch, tables::Tables};
use crate::policy::Compiled;

/// Values by the names of the programs' globals.
pub(super) struct Constants {
    narrow: [(&'static str, u32); 17],
    wide: [(&'static str, u64); 6],
}

impl Constants {
    /// The constants of a policy and its tables, as a generation with this number and these features.
    pub(super) fn of(
        compiled: &Compiled,
        tables: &Tables<'_>,
        (number, features): (u64, u32),
        (tai_offset_s, flow_seed): (i32, u64),
        epoch: Epoch,
    ) -> Self {
        let decisive = names::FAST_PATH | names::TRACE | names::PAIR_STATS;
        let is_direct = features & decisive == names::FAST_PATH;
        let meshed = if features & names::MESH != 0 { names::MESHED } else { 0 };
        let v6_base = compiled.range_v6.base();
        let relay_v6 = compiled.relay_v6.map_or(0, Ipv6Addr::to_bits);
        Self {
            narrow: [
                (names::V4_BASE, u32::try_from(compiled.range_v4.base()).unwrap_or(u32::MAX)),
                (names::V4_HOST_MASK, compiled.range_v4.size() - 1),
                (names::V6_HOST_MASK, compiled.range_v6.size() - 1),
                (names::LAST_CELL, last(&tables.cells)),
                (names::LAST_SET, last(&tables.rule_sets)),
                (names::LAST_GRANT, last(&tables.grants)),
                (names::LAST_RULE, last(&tables.rule_ends)),
                (names::LAST_SLOT, last(&tables.limits)),
                (names::LAST_GROUP, epoch.groups - 1),
                (names::SLOT_BITS, epoch.capacity.ilog2()),
                (names::GENERATION_NUMBER, lower_half(number)),
                (names::RELAY_V4, compiled.relay_v4.map_or(0, Ipv4Addr::to_bits)),
                (names::LISTEN_PORT, compiled.listen_port.into()),
                (names::MTU, compiled.mtu),
                (names::DIRECT_MTU, if is_direct { compiled.mtu + meshed } else { 0 }),
                (names::FEATURES, features),
                (names::HOST_POLICY, compiled.host_policy as u32),
            ],
            wide: [
                (names::V6_BASE_HIGH, low_half(v6_base >> 64)),
                (names::V6_BASE_LOW, low_half(v6_base)),
                (names::TAI_OFFSET_S, i64::from(tai_offset_s).cast_unsigned()),
                (names::FLOW_SEED, flow_seed),
                (names::RELAY_V6_HIGH, low_half(relay_v6 >> 64)),
                (names::RELAY_V6_LOW, low_half(relay_v6)),
            ],
        }
    }

    /// Gives them to the programs that the loader will load.
    pub(super) fn set<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in &self.narrow {
            loader.override_global(name, value, true);
        }
        for (name, value) in &self.wide {
            loader.override_global(name, value, true);
        }
    }
}

/// Index of the last entry.
fn last<T>(table: &[T]) -> u32 {
    u32::try_from(table.len()).unwrap_or(u32::MAX).saturating_sub(1)
}

/// The lower 64 bits of an IPv6 address as a number.
#[expect(clippy::cast_possible_truncation, reason = "takes the lower half")]
const fn low_half(address: u128) -> u64 {
    address as u64
}

/// The lower half of a number.
#[expect(clippy::cast_possible_truncation, reason = "takes the lower half")]
const fn lower_half(number: u64) -> u32 {
    number as u32
}
