//! Waiting with a deadline. The only place that sleeps.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Time limit for what takes milliseconds on hardware: an emulated machine on a busy host is slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Time limit for counters to settle.
pub const SETTLING: Duration = Duration::from_secs(10);

/// Polling interval.
const STEP: Duration = Duration::from_millis(20);

/// Polls until `look` returns a value, up to [`PATIENCE`].
pub fn until<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    within(PATIENCE, what, look)
}

/// Polls until `look` returns a value, up to `limit`.
pub fn within<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("{what}: not seen within {} s", limit.as_secs());
        }
        pass(STEP);
    }
}

/// Sleeps, for tests about time, such as a NAT's time-out.
pub fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        thread::park_timeout(left);
    }
}
