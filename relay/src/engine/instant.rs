use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time as seconds since 1970-01-01T00:00:00Z, as text: `2030-12-31T18:00:00Z`.
pub fn rfc3339(seconds: u64) -> String {
    // 9999-12-31T23:59:59Z, the last time that the format has.
    const LAST: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The time now, seconds since 1970-01-01T00:00:00Z.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
