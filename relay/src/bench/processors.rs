/// What all processors of the host have done since it booted, in ticks of the kernel's statistics
/// (proc_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processors {
    /// Processors that are online.
    pub count: u32,
    busy: u64,
    all: u64,
}

/// Places in a line of /proc/stat of the time in which a processor waits. `guest` and `guest_nice`, the
/// last two, are in `user` and `nice` already.
const WAITING: [usize; 2] = [3, 4];
/// `user` to `steal`.
const FIELDS: usize = 8;
/// Another machine had the processor.
const STOLEN: usize = 7;

impl Processors {
    /// Reads the text of /proc/stat; `None` if it is something else.
    pub fn parse(stat: &str) -> Option<Self> {
        let is_one = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let count = u32::try_from(stat.lines().filter(is_one).count()).ok()?;
        let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Option<Vec<u64>> =
            all.split_whitespace().take(FIELDS).map(|word| word.parse().ok()).collect();
        let ticks = ticks.filter(|ticks| ticks.len() == FIELDS && count > 0)?;
        let is_busy = |place: usize| !WAITING.contains(&place) && place != STOLEN;
        let busy = ticks.iter().enumerate().filter(|(place, _)| is_busy(*place));
        Some(Self { count, busy: busy.map(|(_, ticks)| ticks).sum(), all: ticks.iter().sum() })
    }

    /// How many processors were busy on average since `earlier`, thousandths.
    pub fn millicores_since(&self, earlier: &Self) -> u64 {
        let [busy, all] = [(self.busy, earlier.busy), (self.all, earlier.all)]
            .map(|(now, then)| now.saturating_sub(then));
        let millicores = u128::from(busy) * 1000 * u128::from(self.count) / u128::from(all.max(1));
        u64::try_from(millicores).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_and_stolen_time_is_not_busy() {
        let before = parse("100 0 50 1000 10 5 35 20 0 0");
        let after = parse("150 0 80 1150 30 5 55 50 40 0");
        // 50 user, 30 system, 20 softirq of 300 ticks on two processors.
        assert_eq!(after.millicores_since(&before), 2 * 1000 * 100 / 300);
        assert_eq!(after.count, 2);
        assert_eq!(after.millicores_since(&after), 0);
    }

    #[test]
    fn another_text_is_no_statistics() {
        assert_eq!(Processors::parse(""), None);
        assert_eq!(Processors::parse("cpu  1 2 3\ncpu0 1 2 3\n"), None);
        assert_eq!(Processors::parse("cpu  1 2 3 4 5 6 7 8\nintr 5\n"), None);
    }

    fn parse(all: &str) -> Processors {
        let text = format!("cpu  {all}\ncpu0 {all}\ncpu1 {all}\nintr 4711\n");
        Processors::parse(&text).expect("statistics")
    }
}
