use std::time::Duration;

/// When a try that failed is repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// After the first failure, at most.
    pub(super) first: Duration,
    /// After any number of them, at most.
    pub(super) most: Duration,
}

/// The longest wait that a receiver can ask for.
const ASKED_MAX: Duration = Duration::from_secs(3600);

impl Pace {
    /// For everyday use.
    pub(super) const DEFAULT: Self =
        Self { first: Duration::from_secs(1), most: Duration::from_secs(300) };

    /// The wait after this many failures in a row: twice as long each time, of which half is by
    /// `random`, so that receivers are not tried all at once; longer if the receiver `asked` for it.
    pub(super) fn delay(&self, failures: u32, random: u32, asked: Option<Duration>) -> Duration {
        let doublings = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.first.saturating_mul(doublings).min(self.most);
        let half = longest / 2;
        let delay = half + half.mul_f64(f64::from(random) / f64::from(u32::MAX));
        delay.max(asked.unwrap_or_default().min(ASKED_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let of = |failures, random| Pace::DEFAULT.delay(failures, random, None).as_millis();
        let most: Vec<_> = (1..12).map(|failures| of(failures, u32::MAX)).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        assert_eq!(most, seconds.map(|seconds| seconds * 1000));
        for failures in [0, 32, 33, u32::MAX] {
            assert!(of(failures, u32::MAX) <= 300_000, "{failures}");
        }
        assert_eq!((of(3, 0), of(3, u32::MAX / 2)), (2000, 3000));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_up_to_a_bound() {
        let of = |asked| Pace::DEFAULT.delay(2, 0, Some(Duration::from_secs(asked))).as_secs();
        assert_eq!((of(0), of(90), of(1_000_000)), (1, 90, 3600));
    }
}
