/// For how long, and how much at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Seconds for which steps of ten seconds are kept.
    pub seconds_kept_s: u64,
    /// Seconds for which steps of two minutes are kept.
    pub minutes_kept_s: u64,
    /// Seconds for which hours are kept.
    pub hours_kept_s: u64,
    /// Bytes of the file from which the oldest is thinned early, and then removed.
    pub bytes: u64,
    /// Pairs of peers with a history, by direction: those that had traffic first.
    pub pairs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let day_s = 24 * 3600;
        Self {
            seconds_kept_s: 3600,
            minutes_kept_s: 2 * day_s,
            hours_kept_s: 400 * day_s,
            bytes: 1 << 30,
            pairs: 20_000,
        }
    }
}
