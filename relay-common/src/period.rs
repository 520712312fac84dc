//! Periods of quotas: days, weeks and months of UTC, by the number of a day since 1970-01-01.

/// After which time a quota is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Period {
    /// At midnight.
    Day = 1,
    /// On Monday (ISO 8601).
    Week,
    /// On the first of a month.
    Month,
}

/// Seconds of a day.
pub const DAY_S: u64 = 86_400;

impl Period {
    /// In the order of their lengths.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// Its number in the ABI. 0 stands for none.
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The first day of the next period.
    pub fn next(self, day: u64) -> u64 {
        let current = number(self.index(), day);
        (day + 1..).find(|&day| number(self.index(), day) != current).unwrap_or(day)
    }
}

/// The number of the period in which a day lies, by [`Period::index`]; later ones have higher numbers.
#[inline(always)]
pub const fn number(period: u32, day: u64) -> u64 {
    const DAY: u32 = Period::Day as u32;
    const WEEK: u32 = Period::Week as u32;
    match period {
        DAY => day,
        // 1970-01-01 was a Thursday.
        WEEK => (day + 3) / 7,
        _ => month(day),
    }
}

/// Months since March of year 0. Years begin in March, so that a leap day is the last of its year.
#[inline(always)]
const fn month(day: u64) -> u64 {
    /// Days of 400 years, 100 years, 4 years and one year, without the last leap day of each.
    const DAYS: [u64; 4] = [146_097, 36_524, 1_460, 365];
    let day = day + 719_468;
    let of_era = day % DAYS[0];
    let year = (of_era - of_era / DAYS[2] + of_era / DAYS[1] - of_era / (DAYS[0] - 1)) / DAYS[3];
    let of_year = of_era - (DAYS[3] * year + year / 4 - year / 100);
    (day / DAYS[0] * 400 + year) * 12 + (5 * of_year + 2) / 153
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// Every day from 1970 to 2400, with year, month and day of the month.
    fn days() -> impl Iterator<Item = (u64, [u64; 3])> {
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let len = move |year, month| match month {
            2 => 28 + u64::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let of_month = move |year, month| (1..=len(year, month)).map(move |day| [year, month, day]);
        let months = (1970..2400).flat_map(|year| (1..13).map(move |month| (year, month)));
        (0..).zip(months.flat_map(move |(year, month)| of_month(year, month)))
    }

    #[test]
    fn months_begin_on_their_first_day() {
        let mut before = month(0) - 1;
        for (number, [year, of_year, day]) in days() {
            let expected = before + u64::from(day == 1);
            assert_eq!(month(number), expected, "{year}-{of_year}-{day}");
            before = expected;
        }
        assert_eq!(before + 1 - month(0), 430 * 12);
    }

    #[test]
    fn weeks_begin_on_monday() {
        let week = |day| number(Period::Week.index(), day);
        // 2026-11-30 is a Monday.
        let (monday, _) = days().find(|(_, date)| *date == [2026, 11, 30]).expect("a date");
        assert_eq!(week(monday), week(monday + 6));
        assert_eq!((week(monday - 1) + 1, week(monday) + 1), (week(monday), week(monday + 7)));
    }

    #[test]
    fn the_next_period_begins_on_a_day_of_another_number() {
        for (day, [year, month, _]) in days().skip(20_000).take(800) {
            assert_eq!(Period::Day.next(day), day + 1);
            let next = Period::Week.next(day);
            assert!(next - day <= 7 && (next + 3).is_multiple_of(7));
            let next = Period::Month.next(day);
            let (_, date) = days().find(|(number, _)| *number == next).expect("a date");
            let expected = if month == 12 { [year + 1, 1, 1] } else { [year, month + 1, 1] };
            assert_eq!(date, expected);
        }
    }
}
