//! The live table of `stats --watch`.
//!
//! A [`Watch`] takes snapshots and keys, and draws itself. It reads neither clock nor terminal.

mod column;
mod history;
mod view;

use std::{
    cmp::Reverse,
    collections::HashMap,
    ops::ControlFlow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use column::Column;
use history::{Counts, History};
use ratatui::Frame;

use super::{
    Snapshot,
    snapshot::{Peer, Presence},
};

/// Identifies a peer across snapshots: its key, and its number among peers with hidden keys.
type Identity = (String, String, usize);

/// The state of the live table.
#[derive(Debug)]
pub struct Watch {
    snapshot: Option<Snapshot>,
    now: SystemTime,
    peers: HashMap<Identity, History>,
    /// The history of each peer of the snapshot, in its order.
    identities: Vec<Identity>,
    total: Option<History>,
    reasons: HashMap<&'static str, History>,
    sort: Column,
    filter: String,
    is_typing: bool,
    /// Indices of the peers to show.
    order: Vec<usize>,
    /// The first row on the screen.
    first: usize,
    /// Rows of the screen when last drawn.
    rows: usize,
    trouble: Option<String>,
    color: bool,
}

/// A key press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first row.
    Home,
    /// The last row.
    End,
}

impl Watch {
    /// A table without a snapshot.
    pub fn new(sort: Column, filter: String, color: bool) -> Self {
        Self {
            snapshot: None,
            now: UNIX_EPOCH,
            peers: HashMap::new(),
            identities: Vec::new(),
            total: None,
            reasons: HashMap::new(),
            sort,
            filter,
            is_typing: false,
            order: Vec::new(),
            first: 0,
            rows: 1,
            trouble: None,
            color,
        }
    }

    /// Takes a snapshot read at `now`, `at` after the start of the watch.
    pub fn feed(&mut self, snapshot: Snapshot, at: Duration, now: SystemTime) {
        self.identities = identities(&snapshot.peers);
        let mut before = std::mem::take(&mut self.peers);
        for (identity, peer) in self.identities.iter().zip(&snapshot.peers) {
            let history = History::after(before.remove(identity), Counts::of(peer), at);
            self.peers.insert(identity.clone(), history);
        }
        let total = Counts::of_all(&snapshot);
        self.total = Some(History::after(self.total.take(), total, at));
        let mut before = std::mem::take(&mut self.reasons);
        for (reason, dropped) in snapshot.totals.dropped.iter() {
            let counts = Counts { dropped, ..Counts::default() };
            self.reasons.insert(reason, History::after(before.remove(reason), counts, at));
        }
        self.snapshot = Some(snapshot);
        self.now = now;
        self.trouble = None;
        self.arrange();
    }

    /// Shows why there is no newer snapshot, and keeps the latest.
    pub fn trouble(&mut self, what: String) {
        self.trouble = Some(what);
    }

    /// Takes a key; breaks if it ends the watch.
    pub fn press(&mut self, key: Key) -> ControlFlow<()> {
        if self.is_typing {
            self.edit(key);
            return ControlFlow::Continue(());
        }
        match key {
            Key::Char('q') => return ControlFlow::Break(()),
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('/') => self.is_typing = true,
            Key::Escape => self.filter.clear(),
            Key::Up | Key::Char('k') => self.first = self.first.saturating_sub(1),
            Key::Down | Key::Char('j') => self.first += 1,
            Key::PageUp => self.first = self.first.saturating_sub(self.rows),
            Key::PageDown | Key::Char(' ') => self.first += self.rows,
            Key::Home => self.first = 0,
            Key::End => self.first = self.order.len(),
            Key::Enter | Key::Backspace | Key::Char(_) => {}
        }
        self.arrange();
        ControlFlow::Continue(())
    }

    /// Draws it.
    pub fn render(&mut self, frame: &mut Frame<'_>) {
        self.rows = view::rows(frame.area());
        self.clamp();
        view::render(self, frame);
    }

    fn edit(&mut self, key: Key) {
        match key {
            Key::Char(c) => self.filter.push(c),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => {}
        }
        self.arrange();
    }

    /// The presence of peer number `at` of the snapshot. Packets that the programs counted came
    /// through a live session, whatever this host's clock says of its handshake.
    fn presence(&self, peer: &Peer, at: usize) -> Presence {
        let is_heard = self.peers[&self.identities[at]].is_heard();
        let presence = peer.presence(self.now);
        let is_doubtful = matches!(presence, Presence::Offline | Presence::Unknown);
        if is_doubtful && is_heard { Presence::Online } else { presence }
    }

    /// Filters and sorts; ties stay in the configuration's order.
    fn arrange(&mut self) {
        let peers = self.snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.peers);
        let wanted = self.filter.to_lowercase();
        let mut order: Vec<usize> =
            (0..peers.len()).filter(|&at| matches(&peers[at], &wanted)).collect();
        let rates = |at: &usize| self.peers[&self.identities[*at]].rates.unwrap_or_default();
        let descending = |value: f64| Reverse(value.to_bits());
        match self.sort {
            Column::Config => {}
            Column::Name => order.sort_by_key(|at| &peers[*at].name),
            Column::State => order.sort_by_key(|at| match self.presence(&peers[*at], *at) {
                Presence::Online => 0,
                Presence::Offline => 1,
                Presence::NeverSeen => 2,
                Presence::Unknown => 3,
                Presence::Disabled => 4,
            }),
            Column::Handshake => order.sort_by_key(|at| Reverse(peers[*at].latest_handshake)),
            Column::Rx => order.sort_by_key(|at| descending(rates(at).rx_bytes)),
            Column::Tx => order.sort_by_key(|at| descending(rates(at).tx_bytes)),
            Column::Packets => {
                order.sort_by_key(|at| descending(rates(at).rx_packets + rates(at).tx_packets));
            }
            Column::Dropped => order.sort_by_key(|at| descending(rates(at).dropped)),
        }
        self.order = order;
        self.clamp();
    }

    fn clamp(&mut self) {
        self.first = self.first.min(self.order.len().saturating_sub(self.rows));
    }
}

fn matches(peer: &Peer, lower_case: &str) -> bool {
    let Peer { name, public_key, endpoint, allowed_ips, .. } = peer;
    let holds = |text: &String| text.to_lowercase().contains(lower_case);
    holds(name) || holds(public_key) || holds(endpoint) || allowed_ips.iter().any(holds)
}

fn identities(peers: &[Peer]) -> Vec<Identity> {
    let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
    peers
        .iter()
        .map(|Peer { name, public_key, .. }| {
            let nth = seen.entry((name, public_key)).and_modify(|nth| *nth += 1).or_default();
            (name.clone(), public_key.clone(), *nth)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use relay_common::Reason;

    use super::*;
    use crate::stats::{Dropped, sample};

    #[test]
    fn rates_are_differences_over_time() {
        let mut watch = watch();
        feed(&mut watch, 0, |_| {});
        assert!(screen(&mut watch, 110, 8).contains("rates need a second reading"));
        feed(&mut watch, 2, |snapshot| {
            let a = &mut snapshot.peers[0];
            a.relayed.rx_bytes += 4096;
            a.relayed.rx_packets += 8;
            a.relayed.tx_packets += 2;
            a.host.tx_bytes += 100;
            let mut more = [0; Reason::COUNT];
            more[Reason::Hairpin.index() as usize] = 3;
            a.dropped.add(&Dropped::new(more));
            snapshot.totals.dropped.add(&Dropped::new(more));
        });
        insta::assert_snapshot!(screen(&mut watch, 110, 9));
    }

    #[test]
    fn restarted_counters_give_rates_since_the_restart() {
        let mut watch = watch();
        feed(&mut watch, 0, |_| {});
        feed(&mut watch, 1, |snapshot| {
            snapshot.peers[0].relayed.rx_bytes = 512;
            snapshot.peers[0].relayed.rx_packets = 1;
            snapshot.peers[0].host = Default::default();
        });
        let rates = watch.peers[&watch.identities[0]].rates.expect("rates");
        assert_eq!(rates.rx_bytes, 512.0, "not a negative or a huge number");
    }

    #[test]
    fn a_peer_that_sends_is_online_whatever_the_age_of_its_handshake() {
        let mut watch = watch();
        let hour = Duration::from_secs(3600);
        for (second, now, packets, expected) in [
            (0, sample::now() + hour, 0, "0 online, 1 offline, 1 never seen"),
            (1, sample::now() + hour, 1, "1 online, 0 offline, 1 never seen"),
            (2, sample::now() - hour, 1, "1 online, 0 offline, 1 never seen"),
            (61, sample::now() - hour, 1, "1 online, 0 offline, 1 never seen"),
            (62, sample::now() - hour, 1, "0 online, 0 offline, 1 never seen, 1 unknown"),
        ] {
            let mut snapshot = sample::snapshot();
            snapshot.peers[0].relayed.rx_packets += packets;
            watch.feed(snapshot, Duration::from_secs(second), now);
            let text = screen(&mut watch, 110, 8);
            assert!(text.contains(expected), "after {second} s: {text}");
        }
    }

    #[test]
    fn a_new_peer_has_no_rate_and_a_removed_one_is_forgotten() {
        let mut watch = watch();
        feed(&mut watch, 0, |snapshot| drop(snapshot.peers.remove(0)));
        feed(&mut watch, 1, |snapshot| drop(snapshot.peers.remove(1)));
        assert_eq!(watch.peers.len(), 1);
        assert_eq!(watch.peers[&watch.identities[0]].rates, None);
    }

    #[test]
    fn keys_sort_filter_scroll_and_quit() {
        let mut watch = watch();
        feed(&mut watch, 0, |snapshot| {
            let c = Peer { name: "alpha".to_owned(), ..snapshot.peers[1].clone() };
            snapshot.peers.push(c);
        });
        assert_eq!(watch.order, [0, 1, 2]);
        assert_eq!(watch.press(Key::Char('s')), ControlFlow::Continue(()));
        assert_eq!((watch.sort, &watch.order[..]), (Column::Name, &[2, 0, 1][..]));
        for key in "/NODE-q".chars().map(Key::Char) {
            assert_eq!(watch.press(key), ControlFlow::Continue(()), "q is typed here");
        }
        assert!(watch.order.is_empty());
        let _ = watch.press(Key::Backspace);
        assert_eq!(watch.order, [0, 1]);
        let _ = watch.press(Key::Enter);
        screen(&mut watch, 80, 6);
        let _ = watch.press(Key::Down);
        assert_eq!(watch.first, 1);
        let _ = watch.press(Key::Down);
        assert_eq!(watch.first, 1, "the last row stays on the screen");
        let _ = watch.press(Key::Escape);
        assert_eq!(watch.order.len(), 3);
        assert_eq!(watch.press(Key::Char('q')), ControlFlow::Break(()));
    }

    #[test]
    fn an_error_is_shown_and_the_latest_snapshot_stays() {
        let mut watch = watch();
        feed(&mut watch, 0, |_| {});
        watch.trouble("interface relay0 is not there; run `relay up`".to_owned());
        insta::assert_snapshot!(screen(&mut watch, 72, 8));
    }

    #[test]
    fn a_screen_that_is_too_small_is_no_panic() {
        let mut watch = watch();
        feed(&mut watch, 0, |_| {});
        for (width, height) in [(1, 1), (10, 2), (20, 3), (5, 40), (200, 1)] {
            screen(&mut watch, width, height);
        }
    }

    fn watch() -> Watch {
        Watch::new(Column::Config, String::new(), false)
    }

    fn feed(watch: &mut Watch, second: u64, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = sample::snapshot();
        change(&mut snapshot);
        watch.feed(snapshot, Duration::from_secs(second), sample::now());
    }

    fn screen(watch: &mut Watch, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| watch.render(frame)).expect("memory does not fail");
        terminal.backend().to_string()
    }
}
