//! The chart of a report: a panel for each load, in it a bar for each way and number of pairs. SVG that
//! follows the light or dark scheme of the page.

use std::io::{self, Write};

use super::{
    Load, Measured, Report, Way,
    text::{gigabits, grouped, microseconds},
};

const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.panel { font-weight: 600 }
.small { fill: #57606a; font-size: 11px }
.ground { fill: #ffffff }
.axis { stroke: #d0d7de; stroke-width: 1 }
.tail { stroke: #57606a; stroke-width: 1.5 }
.fast_path { fill: #0969da }
.stack { fill: #8250df }
.nftables { fill: #bf8700 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.ground { fill: #0d1117 }
.axis { stroke: #3d444d }
.tail { stroke: #9198a1 }
.fast_path { fill: #4493f8 }
.stack { fill: #ab7df8 }
.nftables { fill: #d29922 }
}
";

/// Pixels.
const WIDTH: f64 = 940.0;
const HEAD: f64 = 92.0;
const PANEL: f64 = 450.0;
const PANEL_HEAD: f64 = 30.0;
const MARGIN: f64 = 20.0;
/// Of the number of pairs, left of the bars, and of values right of them.
const LABEL: f64 = 58.0;
const VALUE: f64 = 88.0;
const BAR: f64 = 15.0;
const STEP: f64 = 18.0;
const GROUP_GAP: f64 = 10.0;

/// What a bar shows.
struct Bar<'a> {
    run: &'a Measured,
    length: u64,
    /// The end of the thin line behind it.
    tail: Option<u64>,
    value: String,
}

/// Renders the chart.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_chart_into(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut loads: Vec<Load> = Vec::new();
    for run in &report.runs {
        if !loads.contains(&run.load()) {
            loads.push(run.load());
        }
    }
    let panels: Vec<(Load, Vec<Bar<'_>>)> = loads
        .into_iter()
        .map(|load| (load, report.runs.iter().filter(|run| run.load() == load).map(bar).collect()))
        .collect();
    let heights: Vec<f64> = panels
        .chunks(2)
        .map(|row| row.iter().map(|(_, bars)| height(bars)).fold(0.0, f64::max))
        .collect();
    let full = HEAD + heights.iter().sum::<f64>() + MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {full}\" role=\"img\" \
         aria-label=\"What this host relays\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{full}\"/>"
    )?;
    head(out, report)?;
    let mut top = HEAD;
    for (row, height) in panels.chunks(2).zip(&heights) {
        for (column, (load, bars)) in [0.0, 1.0].into_iter().zip(row) {
            panel(out, *load, bars, (MARGIN + column * PANEL, top))?;
        }
        top += height;
    }
    writeln!(out, "</svg>")
}

fn bar(run: &Measured) -> Bar<'_> {
    let bits = run.bits_per_second.unwrap_or(0);
    let packets = run.delivered_packets_per_second.unwrap_or(0);
    let trip = |pick: fn(&super::RoundTrip) -> u64| run.round_trip.as_ref().map_or(0, pick);
    match run.load() {
        Load::Tcp => Bar { run, length: bits, tail: None, value: gigabits(bits) },
        Load::Udp { .. } => Bar { run, length: packets, tail: None, value: grouped(packets) },
        Load::RoundTrip => {
            let [median, tail] = [trip(|trip| trip.p50_ns), trip(|trip| trip.p99_ns)];
            let value = format!("{} / {}", microseconds(median), microseconds(tail));
            Bar { run, length: median, tail: Some(tail), value }
        }
    }
}

/// Of a panel with these bars.
fn height(bars: &[Bar<'_>]) -> f64 {
    let groups = bars.chunk_by(|one, next| one.run.pairs == next.run.pairs);
    groups.fold(PANEL_HEAD + MARGIN, |height, group| {
        group.iter().fold(height + GROUP_GAP, |height, _| height + STEP)
    })
}

fn head(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let host = report.host.describe();
    text(out, (MARGIN, 28.0), "title", "What this host relays between WireGuard peers")?;
    text(out, (MARGIN, 47.0), "small", &format!("{host}; peers and relay on this one host"))?;
    let mut left = MARGIN;
    for way in Way::ALL {
        let class = class(way);
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{left}\" y=\"60\" width=\"11\" height=\"11\"/>"
        )?;
        text(out, (left + 17.0, 70.0), "", way.label())?;
        left += 120.0;
    }
    Ok(())
}

fn panel(
    out: &mut impl Write,
    load: Load,
    bars: &[Bar<'_>],
    (left, top): (f64, f64),
) -> io::Result<()> {
    let what = match load {
        Load::Tcp => "Gbit/s of payload",
        Load::Udp { .. } => "datagrams a second that arrive",
        Load::RoundTrip => "µs, p50 / p99",
    };
    text(out, (left, top + 16.0), "panel", &format!("{load}: {what}"))?;
    let most = bars.iter().map(|bar| bar.tail.unwrap_or(bar.length)).max().unwrap_or(0).max(1);
    let start = left + LABEL;
    let room = PANEL - MARGIN - LABEL - VALUE;
    let mut y = top + PANEL_HEAD;
    for group in bars.chunk_by(|one, next| one.run.pairs == next.run.pairs) {
        let first = y;
        for bar in group {
            let class = class(bar.run.way);
            let length = share(bar.length, most) * room;
            writeln!(
                out,
                "<rect class=\"{class}\" x=\"{start}\" y=\"{y}\" width=\"{length:.1}\" \
                 height=\"{BAR}\"/>"
            )?;
            let mut end = start + length;
            if let Some(tail) = bar.tail {
                let (from, middle) = (end, y + BAR / 2.0);
                end = start + share(tail, most) * room;
                writeln!(
                    out,
                    "<path class=\"tail\" d=\"M{from:.1} {middle}H{end:.1}M{end:.1} {}v8\"/>",
                    middle - 4.0
                )?;
            }
            text(out, (end + 5.0, y + 12.0), "small", &bar.value)?;
            y += STEP;
        }
        let pairs = group.first().map_or(0, |bar| bar.run.pairs);
        let noun = if pairs == 1 { "pair" } else { "pairs" };
        text(out, (left, f64::midpoint(first, y) + 2.0), "small", &format!("{pairs} {noun}"))?;
        writeln!(out, "<path class=\"axis\" d=\"M{start} {}V{}\"/>", first - 3.0, y)?;
        y += GROUP_GAP;
    }
    Ok(())
}

/// The part that one number is of another.
fn share(part: u64, whole: u64) -> f64 {
    let thousandths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 10_000.0
}

const fn class(way: Way) -> &'static str {
    match way {
        Way::FastPath => "fast_path",
        Way::Stack => "stack",
        Way::Nftables => "nftables",
    }
}

fn text(out: &mut impl Write, (x, y): (f64, f64), class: &str, content: &str) -> io::Result<()> {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{content}</text>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::example;

    #[test]
    fn each_run_has_a_bar_and_the_longest_of_a_panel_fills_it() {
        let report = example();
        let svg = drawn(&report);
        let bars = svg.matches("height=\"15\"").count();
        assert_eq!(bars, report.runs.len());
        let full = PANEL - MARGIN - LABEL - VALUE;
        assert!(svg.contains(&format!("width=\"{full:.1}\"")), "{svg}");
    }

    #[test]
    fn nothing_measured_is_a_chart_without_bars() {
        let mut report = example();
        report.runs.clear();
        assert_eq!(drawn(&report).matches("height=\"15\"").count(), 0);
    }

    #[test]
    fn what_the_host_says_of_itself_is_no_markup() {
        let mut report = example();
        report.host.processor = Some("<b>&".to_owned());
        assert!(drawn(&report).contains("(&lt;b>&amp;)"));
    }

    fn drawn(report: &Report) -> String {
        let mut svg = Vec::new();
        render_chart_into(&mut svg, report).expect("a vector takes everything");
        String::from_utf8(svg).expect("text")
    }
}
