//! `rate_…` and `quota…`: a number with its unit, or `"unlimited"`.

use super::{fault::Fault, shown::shown};
use crate::model::{Period, Quota, RATE_UNITS, Rate, SIZE_UNITS};

/// No limit, also where `[defaults]` have one.
pub(super) const UNLIMITED: &str = "unlimited";

/// A rate, such as `10 Mbit/s`; `None` for `unlimited`.
pub(super) fn rate(text: &str) -> Result<Option<Rate>, Fault> {
    const EXAMPLE: &str = "write one such as \"10 Mbit/s\" (bit/s, kbit/s, Mbit/s, Gbit/s), or \
                           \"unlimited\"";
    if text == UNLIMITED {
        return Ok(None);
    }
    let number = amount(text, &RATE_UNITS)
        .ok_or_else(|| Fault::new(format!("{} is no rate", shown(text)), EXAMPLE))?;
    let rate = u64::try_from(number).ok().and_then(Rate::new);
    rate.map(Some).ok_or_else(|| {
        let problem = format!("{} is outside {} to {}", shown(text), Rate::MIN, Rate::MAX);
        Fault::new(problem, EXAMPLE)
    })
}

/// A quota, such as `500 GB/month`; `None` for `unlimited`.
pub(super) fn quota(text: &str) -> Result<Option<Quota>, Fault> {
    const EXAMPLE: &str = "write one such as \"500 GB/month\" (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB; \
                           a day, week or month), or \"unlimited\"";
    if text == UNLIMITED {
        return Ok(None);
    }
    let wrong = |problem: &str| Fault::new(format!("{} {problem}", shown(text)), EXAMPLE);
    let (size, period) = text.split_once('/').ok_or_else(|| wrong("has no period"))?;
    let period = Period::ALL.into_iter().find(|known| known.name() == period.trim());
    let period = period.ok_or_else(|| wrong("is for no day, week or month"))?;
    let bytes = amount(size, &SIZE_UNITS).ok_or_else(|| wrong("is no quota"))?;
    if bytes < Quota::LEAST.into() {
        return Err(wrong("is less than one aggregate of packets, 64 KiB"));
    }
    let bytes = u64::try_from(bytes).ok().filter(|bytes| *bytes <= Quota::MOST);
    let bytes = bytes.ok_or_else(|| wrong("is more than 1000000 TB"))?;
    Ok(Some(Quota { bytes, period }))
}

/// A number, possibly with digits behind a point, times its unit; `None` if it is none, or no whole
/// multiple of the smallest unit.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u128> {
    /// Longest number that is read, digits.
    const MOST: usize = 20;
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let (_, size) = units.iter().find(|(known, _)| *known == unit.trim())?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if part.is_empty() || whole.len() + part.len() > MOST {
        return None;
    }
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    let parts = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let smallest = digits * u128::from(*size);
    (!whole.is_empty() && smallest.is_multiple_of(parts)).then(|| smallest / parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_times_its_unit() {
        for (text, bits) in [
            ("10 Mbit/s", 10_000_000),
            ("10Mbit/s", 10_000_000),
            ("1.5 Gbit/s", 1_500_000_000),
            ("8000 bit/s", 8_000),
            ("1 Tbit/s", 1_000_000_000_000),
        ] {
            let rate = rate(text).expect("a rate").expect("a limit");
            assert_eq!(rate.bits_per_second(), bits, "{text}");
        }
        for (text, bytes, period) in [
            ("500 GB/month", 500_000_000_000, Period::Month),
            ("64KiB/day", 65_536, Period::Day),
            ("0.5 TiB / week", 1 << 39, Period::Week),
        ] {
            assert_eq!(quota(text), Ok(Some(Quota { bytes, period })), "{text}");
        }
        assert_eq!((rate(UNLIMITED), quota(UNLIMITED)), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_is_no_limit_has_its_message() {
        let rates = [
            "",
            "10",
            "10 MBit/s",
            "10 MB/s",
            "10 Mbps",
            "ten Mbit/s",
            "-1 Mbit/s",
            "1. Mbit/s",
            ".5 Mbit/s",
            "0 bit/s",
            "7999 bit/s",
            "1.1 bit/s",
            "1.001 Tbit/s",
            "99999999999999999999 Tbit/s",
            "999999999999999999999 bit/s",
        ];
        let quotas = [
            "",
            "500 GB",
            "500 GB/year",
            "500 Gb/month",
            "/day",
            "0 B/day",
            "65535 B/day",
            "1000001 TB/month",
            "1e3 GB/day",
        ];
        let rates = rates.map(|text| format!("{text}: {}\n", rate(text).expect_err("a fault")));
        let quotas = quotas.map(|text| format!("{text}: {}\n", quota(text).expect_err("a fault")));
        insta::assert_snapshot!(rates.concat() + &quotas.concat());
    }
}
