use jiff::{ToSpan as _, Zoned, civil::Date, tz::TimeZone};

use super::{
    Classified, Kind,
    instant::{local, now},
};

/// A month or a day in the time zone of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// As it is written: `2026-11` or `2026-11-26`.
    pub(super) name: String,
    /// When it begins, seconds since 1970-01-01T00:00:00Z.
    pub(super) from: u64,
    /// When the next one begins.
    pub(super) to: u64,
}

/// What is asked for is no period with counts.
#[derive(Debug, thiserror::Error)]
pub enum PeriodError {
    /// It is no month.
    #[error("expected a month such as 2026-11")]
    NoMonth,
    /// It is no day.
    #[error("expected a day such as 2026-11-26")]
    NoDay,
    /// It has not begun.
    #[error("it begins at {begins}, and now it is {now}")]
    Future {
        /// When it begins.
        begins: String,
        /// The time now.
        now: String,
    },
}

impl Classified for PeriodError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl Period {
    /// This month.
    ///
    /// # Errors
    /// The host's clock is beyond every calendar.
    pub fn this_month() -> Result<Self, PeriodError> {
        let today = Zoned::now().date();
        Self::of_month(today.first_of_month())
    }

    /// A month such as `2026-11`.
    ///
    /// # Errors
    /// It is none, or has not begun.
    pub fn month(text: &str) -> Result<Self, PeriodError> {
        let is_month = text.len() == "2026-11".len();
        let first = is_month.then(|| format!("{text}-01").parse().ok()).flatten();
        Self::of_month(first.ok_or(PeriodError::NoMonth)?)
    }

    /// A day such as `2026-11-26`.
    ///
    /// # Errors
    /// It is none, or has not begun.
    pub fn day(text: &str) -> Result<Self, PeriodError> {
        let is_day = text.len() == "2026-11-26".len();
        let day: Option<Date> = is_day.then(|| text.parse().ok()).flatten();
        let day = day.ok_or(PeriodError::NoDay)?;
        let next = day.checked_add(1.day()).map_err(|_last| PeriodError::NoDay)?;
        Self::between(day.to_string(), day, next)
    }

    fn of_month(first: Date) -> Result<Self, PeriodError> {
        let next = first.checked_add(1.month()).map_err(|_last| PeriodError::NoMonth)?;
        Self::between(first.strftime("%Y-%m").to_string(), first, next)
    }

    fn between(name: String, first: Date, next: Date) -> Result<Self, PeriodError> {
        let begin = |date: Date| {
            let zoned = date.to_zoned(TimeZone::system()).ok();
            zoned.and_then(|zoned| u64::try_from(zoned.timestamp().as_second()).ok()).unwrap_or(0)
        };
        let (from, to, now) = (begin(first), begin(next), now());
        if from > now {
            return Err(PeriodError::Future { begins: local(from), now: local(now) });
        }
        Ok(Self { name, from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_as_long_as_the_calendar_says() {
        let month = Period::month("2024-02").expect("a month");
        assert_eq!(month.name, "2024-02");
        let days = (month.to - month.from) / 86_400;
        assert_eq!(days, 29);
        let day = Period::day("2024-02-29").expect("a day");
        assert_eq!((day.name.as_str(), day.to), ("2024-02-29", month.to));
        assert!(Period::this_month().is_ok());
    }

    #[test]
    fn what_is_no_period_or_has_not_begun_is_an_error() {
        for text in ["", "2026", "2026-13", "2026-1", "11-2026", "2026-11-01", "2026-+1"] {
            assert!(matches!(Period::month(text), Err(PeriodError::NoMonth)), "{text}");
        }
        for text in ["2026-02-29", "2026-2-3", "today"] {
            assert!(matches!(Period::day(text), Err(PeriodError::NoDay)), "{text}");
        }
        assert!(matches!(Period::month("9998-01"), Err(PeriodError::Future { .. })));
        assert!(matches!(Period::month("9999-12"), Err(PeriodError::NoMonth)));
    }
}
