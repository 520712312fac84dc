use std::io::{self, Write};

use super::{Load, Measured, Report};
use crate::stats::columns::columns;

/// Renders the tables of throughput and of round trips.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_bench_into(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{}", report.host.describe())?;
    writeln!(out, "{:.2} of them busy before the first run", report.host.idle_cores)?;
    if report.rounds > 1 {
        writeln!(
            out,
            "medians of {} rounds; spread: from the slowest to the fastest",
            report.rounds
        )?;
    }
    for skipped in &report.skipped {
        writeln!(out, "skipped: {}: {}", skipped.way.label(), skipped.why)?;
    }
    let is_trip = |run: &&Measured| run.load() == Load::RoundTrip;
    let (trips, streams): (Vec<_>, Vec<_>) = report.runs.iter().partition(is_trip);
    if !streams.is_empty() {
        let head =
            ["pairs", "load", "way", "Gbit/s", "packets/s", "lost", "cores", "ns/packet", "spread"];
        table(out, head, &streams, 3, |run| {
            [
                run.pairs.to_string(),
                run.load().to_string(),
                run.way.label().to_owned(),
                run.bits_per_second.map_or("-".to_owned(), gigabits),
                grouped(run.relayed_packets_per_second),
                run.lost.map_or("-".to_owned(), percent),
                format!("{:.2}", run.cores),
                run.nanoseconds_per_packet.map_or("-".to_owned(), grouped),
                percent(run.spread),
            ]
        })?;
    }
    if !trips.is_empty() {
        let head =
            ["pairs", "load", "way", "p50 µs", "p90 µs", "p99 µs", "max µs", "samples", "spread"];
        table(out, head, &trips, 3, |run| {
            let trip = run.round_trip;
            let micro = |ns: Option<u64>| ns.map_or("-".to_owned(), microseconds);
            [
                run.pairs.to_string(),
                run.load().to_string(),
                run.way.label().to_owned(),
                micro(trip.map(|trip| trip.p50_ns)),
                micro(trip.map(|trip| trip.p90_ns)),
                micro(trip.map(|trip| trip.p99_ns)),
                micro(trip.map(|trip| trip.max_ns)),
                trip.map_or("-".to_owned(), |trip| grouped(trip.samples)),
                percent(run.spread),
            ]
        })?;
    }
    Ok(())
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Bits as thousandths of a gigabit.
pub(super) fn gigabits(bits: u64) -> String {
    let thousandths = bits / 1_000_000;
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// Nanoseconds as tenths of a microsecond.
pub(super) fn microseconds(ns: u64) -> String {
    format!("{}.{}", ns / 1000, ns % 1000 / 100)
}

/// A share of 1.
fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn table<const N: usize>(
    out: &mut impl Write,
    head: [&str; N],
    runs: &[&Measured],
    right: usize,
    row: impl Fn(&Measured) -> [String; N],
) -> io::Result<()> {
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(runs.iter().map(|run| row(run)));
    writeln!(out)?;
    columns(out, &rows, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::example;

    #[test]
    fn a_report_is_two_tables_and_what_was_skipped() {
        let mut text = Vec::new();
        render_bench_into(&mut text, &example()).expect("a vector takes everything");
        insta::assert_snapshot!(String::from_utf8(text).expect("text"));
    }

    #[test]
    fn numbers_keep_their_thousands_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!(gigabits(12_345_678_901), "12.345");
        assert_eq!(microseconds(98_765), "98.7");
    }
}
