//! Draws the live table.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Row, Table},
};

use super::{Column, Watch, history::Rates};
use crate::{
    stats::{
        Snapshot,
        snapshot::{Attendance, Peer, Presence},
    },
    units,
};

/// Lines above the table, its header included, and below it.
const ABOVE: u16 = 4;
const BELOW: u16 = 1;
/// Width of the sparkline of the last minute, characters.
const MINUTE: u16 = 20;
/// Widths from which handshake, packets, and the last minute are shown.
const WITH_HANDSHAKE: u16 = 76;
const WITH_PACKETS: u16 = 96;
const WITH_MINUTE: u16 = 110;

/// Rows of peers on a screen of this size.
pub(super) fn rows(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(ABOVE + BELOW)).max(1)
}

pub(super) fn render(watch: &Watch, frame: &mut Frame<'_>) {
    let [head, table, foot] = Layout::vertical([
        Constraint::Length(ABOVE - 1),
        Constraint::Fill(1),
        Constraint::Length(BELOW),
    ])
    .areas(frame.area());
    let lines = match &watch.snapshot {
        Some(snapshot) => vec![relay(watch, snapshot), traffic(watch)],
        None => vec![Line::raw("reading…")],
    };
    frame.render_widget(ratatui::text::Text::from(lines), head);
    frame.render_widget(peers(watch, table), table);
    frame.render_widget(keys(watch), foot);
}

/// The relay, its policy, its peers.
fn relay<'a>(watch: &Watch, snapshot: &'a Snapshot) -> Line<'a> {
    let policy = match snapshot.attached.as_str() {
        "none" => Span::styled("NO POLICY IN FORCE", watch.style(Color::Red)),
        mode => Span::raw(format!("generation {} by {mode}", snapshot.generation)),
    };
    let peers = snapshot.peers.iter().enumerate();
    let attendance = Attendance::of(peers.map(|(at, peer)| watch.presence(peer, at)));
    Line::from(vec![
        Span::styled(&*snapshot.interface, watch.style(Color::Green).add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        policy,
        Span::raw(format!("  {attendance}")),
    ])
}

/// Totals.
fn traffic(watch: &Watch) -> Line<'static> {
    let rates = watch.total.as_ref().and_then(|total| total.rates);
    let Some(Rates { rx_bytes, rx_packets, dropped, .. }) = rates else {
        return Line::raw("rates need a second reading");
    };
    let mut reasons: Vec<_> = watch
        .reasons
        .iter()
        .filter_map(|(reason, history)| Some((history.rates?.dropped, *reason)))
        .filter(|(rate, _)| *rate > 0.0)
        .collect();
    reasons.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    let reasons: Vec<_> = reasons
        .iter()
        .take(3)
        .map(|(rate, reason)| format!("{} {reason}", number(*rate)))
        .collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let style = if dropped > 0.0 { watch.style(Color::Yellow) } else { Style::new() };
    Line::from(vec![
        Span::raw(format!("relayed {}/s, {} packets/s  ", bytes(rx_bytes), number(rx_packets))),
        Span::styled(format!("dropped {}/s{why}", number(dropped)), style),
    ])
}

/// The visible rows.
fn peers<'a>(watch: &'a Watch, area: Rect) -> Table<'a> {
    let shown = Shown::of(area.width);
    let peers = watch.snapshot.iter().flat_map(|snapshot| &snapshot.peers).collect::<Vec<_>>();
    let first = watch.first.min(watch.order.len());
    let rows = watch.order[first..].iter().take(watch.rows).map(|&at| {
        let history = &watch.peers[&watch.identities[at]];
        let presence = watch.presence(peers[at], at);
        row(
            watch,
            (peers[at], presence),
            history.rates,
            || spark(&history.minute(u32::from(MINUTE))),
            shown,
        )
    });
    let mut heads = vec![("PEER", Column::Name, false), ("STATE", Column::State, false)];
    let mut widths = vec![Constraint::Fill(1), Constraint::Length(10)];
    let mut column = |head, by, is_number, width| {
        heads.push((head, by, is_number));
        widths.push(Constraint::Length(width));
    };
    if shown.handshake {
        column("HANDSHAKE", Column::Handshake, true, 10);
    }
    column("RX/s", Column::Rx, true, 11);
    column("TX/s", Column::Tx, true, 11);
    if shown.packets {
        column("PACKETS/s", Column::Packets, true, 10);
    }
    column("DROPPED/s", Column::Dropped, true, 10);
    let mut head: Vec<_> = heads
        .into_iter()
        .map(|(head, by, is_number)| {
            let mark = if watch.sort == by { "▾" } else { "" };
            let head = Line::raw(format!("{head}{mark}"));
            Cell::from(if is_number { head.right_aligned() } else { head })
        })
        .collect();
    if shown.minute {
        head.push(Cell::from("LAST MINUTE"));
        widths.push(Constraint::Length(MINUTE));
    }
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::BOLD));
    Table::new(rows.collect::<Vec<_>>(), widths).header(head)
}

/// Optional columns that fit.
#[derive(Debug, Clone, Copy)]
struct Shown {
    handshake: bool,
    packets: bool,
    minute: bool,
}

impl Shown {
    const fn of(width: u16) -> Self {
        Self {
            handshake: width >= WITH_HANDSHAKE,
            packets: width >= WITH_PACKETS,
            minute: width >= WITH_MINUTE,
        }
    }
}

fn row<'a>(
    watch: &Watch,
    (peer, presence): (&'a Peer, Presence),
    rates: Option<Rates>,
    minute: impl FnOnce() -> String,
    shown: Shown,
) -> Row<'a> {
    let style = match presence {
        Presence::Online => watch.style(Color::Green),
        Presence::Offline => watch.style(Color::Yellow),
        Presence::NeverSeen | Presence::Disabled | Presence::Unknown => {
            Style::new().add_modifier(Modifier::DIM)
        }
    };
    let text = |value: Option<String>| {
        Cell::from(Line::raw(value.unwrap_or_else(|| "-".to_owned())).right_aligned())
    };
    let mut cells =
        vec![Cell::from(peer.name.as_str()), Cell::from(Span::styled(presence.label(), style))];
    if shown.handshake {
        cells.push(text(peer.handshake_age(watch.now).map(|age| short(age.as_secs()))));
    }
    cells.push(text(rates.map(|rates| bytes(rates.rx_bytes))));
    cells.push(text(rates.map(|rates| bytes(rates.tx_bytes))));
    if shown.packets {
        cells.push(text(rates.map(|rates| number(rates.rx_packets + rates.tx_packets))));
    }
    let dropped = rates.map(|rates| rates.dropped);
    let style = if dropped > Some(0.0) { watch.style(Color::Red) } else { Style::new() };
    cells.push(text(dropped.map(number)).style(style));
    if shown.minute {
        cells.push(Cell::from(minute()).style(watch.style(Color::Cyan)));
    }
    Row::new(cells)
}

/// Key help, the filter, or an error.
fn keys(watch: &Watch) -> Line<'_> {
    if let Some(trouble) = &watch.trouble {
        return Line::styled(&**trouble, watch.style(Color::Red));
    }
    if watch.is_typing {
        return Line::raw(format!("/{}▏ Enter keeps, Esc clears", watch.filter));
    }
    let all = watch.snapshot.as_ref().map_or(0, |snapshot| snapshot.peers.len());
    let matching = watch.order.len();
    let last = (watch.first + watch.rows).min(matching);
    let place = match matching {
        0 => "no peer".to_owned(),
        _ => format!("{}-{last} of {matching}", watch.first + 1),
    };
    let filter = match watch.filter.as_str() {
        "" => String::new(),
        filter => format!(" with \"{filter}\" ({all} in all, Esc)"),
    };
    Line::styled(
        format!("{place}{filter}  q quit  s sort: {}  / filter  ↑↓ scroll", watch.sort.label()),
        Style::new().add_modifier(Modifier::DIM),
    )
}

/// A sparkline of the last minute; blank without data.
fn spark(minute: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = minute.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |rate: f64| {
        // The lowest bar means zero, so that any traffic differs from it.
        let level = BARS
            .iter()
            .skip(1)
            .zip(1u8..8)
            .find(|(_, level)| rate <= highest * f64::from(*level) / 7.0);
        match (rate > 0.0, level) {
            (false, _) => BARS[0],
            (true, Some((bar, _))) => *bar,
            (true, None) => BARS[7],
        }
    };
    minute.iter().map(|rate| rate.map_or(' ', bar)).collect()
}

/// An age in its two largest units at most.
fn short(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn bytes(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is not negative, and the fraction of a byte is not shown"
    )]
    units::bytes(rate.round() as u64)
}

fn number(rate: f64) -> String {
    if rate == 0.0 {
        "0".to_owned()
    } else if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

impl Watch {
    fn style(&self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_a_minute_is_a_full_bar() {
        assert_eq!(spark(&[None, Some(0.0), Some(1.0), Some(50.0), Some(100.0)]), " ▁▂▅█");
        assert_eq!(spark(&[Some(0.0), Some(0.0)]), "▁▁");
    }

    #[test]
    fn ages_are_short() {
        assert_eq!([0, 61, 3_660, 90_000].map(short), ["0s", "1m 01s", "1h 01m", "1d 01h"]);
    }
}
