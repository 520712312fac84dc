use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, tz::TimeZone};
use rustix::time::{ClockId, clock_gettime};

/// A time as seconds since 1970-01-01T00:00:00Z, as text: `2030-12-31T18:00:00Z`.
pub fn rfc3339(seconds: u64) -> String {
    // 9999-12-31T23:59:59Z, the last time that the format has.
    const LAST: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The same in the time zone of this host: `2030-12-31 19:00:00 CET`.
pub(super) fn local(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let zoned = time.unwrap_or(Timestamp::MAX).to_zoned(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// When this host was booted: time 0 of what the programs count.
pub(super) fn booted() -> SystemTime {
    let up = clock_gettime(ClockId::Boottime);
    let whole = u64::try_from(up.tv_sec).unwrap_or(0);
    let up = Duration::new(whole, u32::try_from(up.tv_nsec).unwrap_or(0));
    SystemTime::now().checked_sub(up).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A time as seconds since 1970-01-01T00:00:00Z.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time as milliseconds since 1970-01-01T00:00:00Z.
pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time now, seconds since 1970-01-01T00:00:00Z.
pub fn now() -> u64 {
    seconds(SystemTime::now())
}
