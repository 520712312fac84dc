//! Points in time, as TOML writes them.

use toml::value::{Date, Datetime, Offset, Time};

use super::{fault::Fault, shown::shown};

/// A point in time, as `until` of a rule has it: seconds since 1970-01-01T00:00:00Z.
///
/// # Errors
/// It is none.
pub fn instant(text: &str) -> Result<u64, Fault> {
    const EXAMPLE: &str = "a time such as 2030-12-31T18:00:00Z";
    match text.parse() {
        Ok(time) => seconds(&time, EXAMPLE),
        Err(_not_a_time) => {
            let problem = format!("{} is not a date and time", shown(text));
            Err(Fault::new(problem, format!("write {EXAMPLE}")))
        }
    }
}

/// Seconds since 1970-01-01T00:00:00Z. `example` is what to write instead of a time that is none.
pub(super) fn seconds(time: &Datetime, example: &str) -> Result<u64, Fault> {
    let (Some(date), Some(clock)) = (time.date, time.time) else {
        let what = if time.date.is_some() { "is a date without a time" } else { "has no date" };
        return Err(Fault::new(what, format!("write {example}")));
    };
    let offset_minutes = match time.offset {
        Some(Offset::Z) => 0,
        Some(Offset::Custom { minutes }) => i64::from(minutes),
        None => {
            let remedy = format!("write {time}Z for UTC, or {time}+01:00 for one hour ahead of it");
            return Err(Fault::new("has no offset from UTC", remedy));
        }
    };
    if clock.nanosecond.is_some_and(|part| part > 0) {
        return Err(Fault::new("has fractions of a second", format!("write {example}")));
    }
    let seconds = days(date) * 86_400 + of_day(clock) - offset_minutes * 60;
    u64::try_from(seconds).map_err(|_before| {
        Fault::new("is before 1970", "write when the rule ends, or leave until out")
    })
}

fn of_day(Time { hour, minute, second, .. }: Time) -> i64 {
    i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.unwrap_or(0))
}

/// Days since 1970-01-01. Years begin in March, so that a leap day is the last of its year.
fn days(Date { year, month, day }: Date) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = i64::from(year) - i64::from(month < 3);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<u64, String> {
        let time = text.parse().expect("a time");
        seconds(&time, "until = 2030-12-31T18:00:00Z").map_err(|fault| fault.to_string())
    }

    #[test]
    fn times_are_seconds_as_date_counts_them() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2026-12-31T18:00:00Z", 1_798_740_000),
            ("2026-12-31T18:00:00+01:00", 1_798_736_400),
            ("2026-12-31 18:00:00-05:30", 1_798_759_800),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(read(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_point_in_time_has_its_message() {
        let texts = [
            "2026-12-31T18:00:00",
            "2026-12-31",
            "18:00:00",
            "1969-12-31T23:59:59Z",
            "2026-12-31T18:00:00.5Z",
        ];
        let messages = texts.map(|text| format!("{text}: {}\n", read(text).expect_err("a fault")));
        insta::assert_snapshot!(messages.concat());
    }
}
