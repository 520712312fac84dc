/// A table, by the length of its steps. A step begins at a multiple of its length and is known by the
/// quotient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Seconds,
    Minutes,
    Hours,
}

/// Up to this time between two samples their difference belongs to the step of the later one.
const PAUSE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::Seconds, Self::Minutes, Self::Hours];

    /// Seconds of a step.
    pub(super) const fn step_s(self) -> u64 {
        match self {
            Self::Seconds => 10,
            Self::Minutes => 120,
            Self::Hours => HOUR_S,
        }
    }

    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
        }
    }

    /// The step of a time.
    pub(super) const fn step(self, time: u64) -> u64 {
        time / self.step_s()
    }

    /// The first step that begins at a time or later.
    pub(super) const fn step_from(self, time: u64) -> u64 {
        time.div_ceil(self.step_s())
    }

    /// The one that shows so many seconds in a few hundred to a few thousand steps.
    pub(super) const fn showing(span_s: u64, minutes_kept_s: u64) -> Self {
        if span_s <= HOUR_S {
            Self::Seconds
        } else if span_s <= minutes_kept_s {
            Self::Minutes
        } else {
            Self::Hours
        }
    }

    /// Where to file what was counted since `last`: in the latest step; after a pause, in equal parts
    /// in the steps that it touched, longer ones the longer it was, so that there are few.
    pub(super) fn spread(last: Option<u64>, time: u64) -> (Self, Vec<u64>) {
        let pause = last.and_then(|last| time.checked_sub(last)).unwrap_or(0);
        let (level, stride) = match pause {
            _ if pause <= PAUSE_S => return (Self::Seconds, vec![Self::Seconds.step(time)]),
            _ if pause <= HOUR_S => (Self::Minutes, 1),
            _ if pause <= 2 * DAY_S => (Self::Hours, 1),
            _ => (Self::Hours, 24),
        };
        let end = level.step(time);
        let begin = level.step(time.saturating_sub(pause.min(400 * DAY_S)));
        (level, (begin..=end).rev().step_by(stride).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pause_counted_is_spread_over_it_in_few_steps() {
        let at = 1_700_000_000;
        let of = |pause| Level::spread(Some(at - pause), at);
        assert_eq!(Level::spread(None, at), (Level::Seconds, vec![at / 10]));
        assert_eq!(Level::spread(Some(at + 5), at), (Level::Seconds, vec![at / 10]));
        assert_eq!(of(60), (Level::Seconds, vec![at / 10]));
        assert_eq!(of(240), (Level::Minutes, vec![at / 120, at / 120 - 1, at / 120 - 2]));
        assert_eq!(of(3 * HOUR_S).1, vec![at / 3600, at / 3600 - 1, at / 3600 - 2, at / 3600 - 3]);
        let (level, days) = of(10 * DAY_S);
        assert_eq!((level, days.len(), days[0] - days[1]), (Level::Hours, 11, 24));
        assert_eq!(Level::spread(Some(0), at).1.len(), 401);
    }
}
