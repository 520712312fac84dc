//! Initiations that the guard passed and that no session followed: the relay does not answer them, or
//! the answer does not arrive.

use std::{
    cmp::Reverse,
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use aya::maps::{HashMap, Map};
use relay_common::{
    guard::{Attempt, FlowKey},
    names,
};
use rustix::time::{ClockId, clock_gettime};

use super::super::{
    DatapathError,
    pinned::{GUARD_ATTEMPTS, Pins},
};

/// An address and port whose initiations passed, and that has sent no data since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardAttempt {
    /// Address and port.
    pub source: SocketAddr,
    /// Number of initiations.
    pub initiations: u64,
    /// Time since the first.
    pub first: Duration,
    /// Time since the last.
    pub last: Duration,
}

/// Largest number of entries read: whoever knows the relay's key can fill the table.
const MOST: usize = 1024;

/// Reads the attempts that a session should have followed by now, the latest first.
pub(super) fn read(pins: &Pins) -> Result<Vec<GuardAttempt>, DatapathError> {
    let Some(map) = pins.map(&GUARD_ATTEMPTS).open()? else { return Ok(Vec::new()) };
    let failed = || DatapathError::map(names::GUARD_ATTEMPTS, "read");
    let map = Map::LruHashMap(map);
    let map = HashMap::<_, [u64; 3], [u64; 4]>::try_from(&map).map_err(failed())?;
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    // An entry that is added or removed meanwhile is no error.
    let entries = map.iter().take(MOST).filter_map(Result::ok);
    let mut attempts: Vec<_> = entries
        .filter_map(|(key, attempt)| {
            let attempt: Attempt = bytemuck::cast(attempt);
            let last = Duration::from_nanos(attempt.unanswered(now_ns)?);
            let first = Duration::from_nanos(now_ns.saturating_sub(attempt.first_ns));
            let source = source(&bytemuck::cast(key));
            Some(GuardAttempt { source, initiations: attempt.initiations, first, last })
        })
        .collect();
    attempts.sort_by_key(|attempt| (attempt.last, Reverse(attempt.initiations), attempt.source));
    Ok(attempts)
}

fn source(key: &FlowKey) -> SocketAddr {
    let [high, low] = key.address();
    let address = Ipv6Addr::from(u128::from(high) << 64 | u128::from(low)).to_canonical();
    SocketAddr::new(address, u16::try_from(key.port()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_both_families_are_shown() {
        let text = |address, port| source(&FlowKey::new(address, port)).to_string();
        assert_eq!(text(FlowKey::mapped(0xc633_6402), 4500), "198.51.100.2:4500");
        assert_eq!(text([0x2001_0db8_0001_0000, 2], 9), "[2001:db8:1::2]:9");
    }
}
