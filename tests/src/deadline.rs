//! Waiting, always for something and never for ever. The only place that lets time pass.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long the lab waits for what takes a few milliseconds on hardware: an emulated machine on a
/// busy host is slow, and a test that fails for that proves nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long counters may take to come to what was sent.
pub const SETTLING: Duration = Duration::from_secs(10);

/// Between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Looks until `look` gives something, for at most [`PATIENCE`].
///
/// # Errors
/// `look` failed, or gave nothing in time; the message says `what` was waited for.
pub fn until<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    within(PATIENCE, what, look)
}

/// Looks until `look` gives something, for at most `limit`.
///
/// # Errors
/// `look` failed, or gave nothing in time; the message says `what` was waited for.
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
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        pass(STEP);
    }
}

/// Lets time pass that is itself the subject, such as a NAT's timeout.
pub fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        thread::park_timeout(left);
    }
}
