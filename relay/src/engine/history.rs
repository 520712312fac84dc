//! What the history says of a relay, for everything that shows it.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use relay_common::Reason;

use super::{
    Classified, Kind, Period, Result, Site, Subject,
    explain::did_you_mean,
    instant::{local, now, rfc3339},
};
use crate::{
    history::{self, Amounts, HistoryError, Reader},
    model::{InterfaceName, PublicKey, Relay},
    stats::{
        CountSeries, Dropped, History, Since, SincePeer, Totals, Traffic, Usage, UsedPair,
        UsedPeer, UsedRule,
    },
};

/// The history has no counts in what is asked about.
#[derive(Debug, thiserror::Error)]
#[error("nothing was counted in {asked}: the history of {interface} is from {first} to {latest}")]
struct NotRecorded {
    asked: String,
    interface: InterfaceName,
    first: String,
    latest: String,
}

/// A peer that the history does not have.
#[derive(Debug, thiserror::Error)]
#[error("the history of {interface} has no peer {peer}{hint}")]
struct UnknownPeer {
    peer: String,
    interface: InterfaceName,
    hint: String,
}

impl Classified for NotRecorded {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl Classified for UnknownPeer {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// Where the history of a relay is, in the directory of what outlives a reboot.
pub fn history_path(state: &Path, interface: &InterfaceName) -> PathBuf {
    // A directory of its own: `relay-serve.service` runs as a user of its own.
    state.join("history").join(format!("{interface}.db"))
}

/// What was counted in a period, of all peers or of one. The relay need not be up.
///
/// # Errors
/// There is no history, or none of that period or that peer; or it cannot be read.
pub fn usage(
    site: Site<'_>,
    subject: &Subject,
    period: &Period,
    only: Option<&str>,
) -> Result<Usage> {
    let relay = subject.relay();
    let counted = read(site, relay, &period.name, period.from, period.to)?;
    let names = Names::of(&counted);
    let mut usage = Usage {
        interface: relay.interface.to_string(),
        period: period.name.clone(),
        from: rfc3339(period.from),
        to: rfc3339(period.to),
        counted_from: rfc3339(counted.recorded.first.max(period.from)),
        counted_to: rfc3339(counted.recorded.latest.min(period.to)),
        counted: [
            local(counted.recorded.first.max(period.from)),
            local(counted.recorded.latest.min(period.to)),
        ],
        peers: counted.peers.iter().map(|peer| used_peer(&names, peer)).collect(),
        pairs: counted.pairs.iter().map(|pair| used_pair(&names, pair)).collect(),
        rules: counted.rules.iter().map(used_rule).collect(),
    };
    if let Some(only) = only {
        if !usage.peers.iter().any(|peer| peer.peer == only) {
            let known = usage.peers.iter().map(|peer| peer.peer.as_str());
            let hint = did_you_mean(only, known);
            let (peer, interface) = (only.to_owned(), relay.interface.clone());
            return Err(UnknownPeer { peer, interface, hint }.into());
        }
        usage.peers.retain(|peer| peer.peer == only);
        usage.pairs.retain(|pair| pair.from == only || pair.to == only);
    }
    usage.sort();
    Ok(usage)
}

/// What was counted since so long ago. The relay need not be up.
///
/// # Errors
/// There is no history, or none of that time; or it cannot be read.
pub fn since(site: Site<'_>, subject: &Subject, age: Duration) -> Result<Since> {
    let relay = subject.relay();
    let now = now();
    let from = now.saturating_sub(age.as_secs());
    let counted = read(site, relay, &format!("the time since {}", local(from)), from, u64::MAX)?;
    let names = Names::of(&counted);
    let mut dropped: BTreeMap<Option<PublicKey>, Dropped> = BTreeMap::new();
    for used in &counted.dropped {
        if let Some(reason) = Reason::from_label(&used.name) {
            dropped.entry(used.key).or_default().count(reason, used.amounts.dropped);
        }
    }
    let peers = relay.peers.iter().enumerate();
    let places: HashMap<_, _> = peers.map(|(place, peer)| (peer.public_key, place)).collect();
    let mut peers: Vec<_> = counted.peers.iter().collect();
    peers.sort_by_key(|peer| {
        (places.get(&peer.key).copied().unwrap_or(usize::MAX), names.of_key(&peer.key))
    });
    let shown = peers.into_iter().map(|peer| SincePeer {
        name: names.of_key(&peer.key),
        public_key: show(&peer.key),
        relayed: Traffic::relayed(&peer.amounts.traffic),
        host: Traffic::host(&peer.amounts.traffic),
        dropped: dropped.get(&Some(peer.key)).copied().unwrap_or_default(),
    });
    let begin = counted.recorded.first.max(from);
    let latest = counted.recorded.latest;
    let shown = shown.collect();
    let mut all = Dropped::default();
    dropped.values().for_each(|of| all.add(of));
    Ok(Since {
        schema_version: 1,
        interface: relay.interface.to_string(),
        since: rfc3339(begin),
        until: rfc3339(latest),
        local: [local(begin), local(latest)],
        totals: Totals {
            relayed: Traffic::relayed(&counted.relay.traffic),
            host: Traffic::host(&counted.relay.traffic),
            dropped: all,
        },
        unattributed: dropped.remove(&None).unwrap_or_default(),
        peers: shown,
    })
}

/// What a peer, a pair, a rule or the whole relay counted in the last `span`, step by step. The relay
/// need not be up. Nothing is recorded of what is configured and in no sample yet.
///
/// # Errors
/// There is no history, or nothing of that name in it or in the configuration; or it cannot be read.
pub fn history(
    state: &Path,
    relay: &Relay,
    of: history::Subject<'_>,
    span: Duration,
) -> Result<History> {
    let interface = &relay.interface;
    let reader = Reader::open(&history_path(state, interface))?;
    let now = now();
    let series = match reader.series(of, span.as_secs(), now) {
        Err(HistoryError::Unknown { .. }) if has_all(relay, of) => {
            let mut series = reader.series(history::Subject::Relay, span.as_secs(), now)?;
            series.steps.fill(None);
            series
        }
        series => series?,
    };
    let each = |count: fn(&Amounts) -> u64| -> Vec<Option<u64>> {
        series.steps.iter().map(|step| step.as_ref().map(count)).collect()
    };
    let (name, is_rule) = match of {
        history::Subject::Relay => (String::new(), false),
        history::Subject::Peer(name) => (name.to_owned(), false),
        history::Subject::Pair(from, to) => (format!("{from} → {to}"), false),
        history::Subject::Rule(name) => (name.to_owned(), true),
    };
    let counts = CountSeries {
        name,
        rx_bytes: each(Amounts::rx_bytes),
        tx_bytes: each(Amounts::tx_bytes),
        rx_packets: each(Amounts::rx_packets),
        tx_packets: each(Amounts::tx_packets),
        dropped: each(|step| step.dropped),
        flows: is_rule.then(|| each(|step| step.flows)),
    };
    let history::Series { step_s, from, to, .. } = series;
    Ok(History::new(interface.as_str(), step_s, [from, to], vec![counts]))
}

/// Whether the configuration has what a history is asked of.
fn has_all(relay: &Relay, of: history::Subject<'_>) -> bool {
    match of {
        history::Subject::Relay => true,
        history::Subject::Peer(name) => relay.named(name).is_some(),
        history::Subject::Pair(from, to) => {
            relay.named(from).is_some() && relay.named(to).is_some()
        }
        history::Subject::Rule(name) => relay.rules.iter().any(|rule| rule.name.as_str() == name),
    }
}

fn read(site: Site<'_>, relay: &Relay, asked: &str, from: u64, to: u64) -> Result<history::Usage> {
    let reader = Reader::open(&history_path(site.state, &relay.interface))?;
    let counted = reader.usage(from, to)?;
    let history::Recorded { first, latest } = counted.recorded;
    if first >= to || latest < from {
        return Err(NotRecorded {
            asked: asked.to_owned(),
            interface: relay.interface.clone(),
            first: local(first),
            latest: local(latest),
        }
        .into());
    }
    Ok(counted)
}

/// What peers are called. Where two keys had the same name, the earlier goes by its key, too.
struct Names(HashMap<PublicKey, String>);

impl Names {
    fn of(counted: &history::Usage) -> Self {
        let mut last: HashMap<&str, PublicKey> = HashMap::new();
        for peer in &counted.peers {
            last.insert(&peer.name, peer.key);
        }
        let name = |peer: &history::Used<PublicKey>| match peer.name.as_str() {
            "" => show(&peer.key),
            name if last.get(name) == Some(&peer.key) => name.to_owned(),
            name => format!("{name} {}", show(&peer.key)),
        };
        Self(counted.peers.iter().map(|peer| (peer.key, name(peer))).collect())
    }

    fn of_key(&self, key: &PublicKey) -> String {
        self.0.get(key).cloned().unwrap_or_else(|| show(key))
    }
}

fn used_peer(names: &Names, peer: &history::Used<PublicKey>) -> UsedPeer {
    UsedPeer {
        peer: names.of_key(&peer.key),
        public_key: show(&peer.key),
        relayed: Traffic::relayed(&peer.amounts.traffic),
        host: Traffic::host(&peer.amounts.traffic),
        dropped: peer.amounts.dropped,
    }
}

fn used_pair(names: &Names, pair: &history::Used<(PublicKey, PublicKey)>) -> UsedPair {
    let (from, to) = pair.key;
    UsedPair {
        from: names.of_key(&from),
        to: names.of_key(&to),
        packets: pair.amounts.rx_packets(),
        bytes: pair.amounts.rx_bytes(),
    }
}

fn used_rule(rule: &history::Used<()>) -> UsedRule {
    UsedRule {
        rule: rule.name.clone(),
        flows: rule.amounts.flows,
        packets: rule.amounts.rx_packets(),
        bytes: rule.amounts.rx_bytes(),
    }
}

/// A key, unless the caller wants keys hidden, as `wg(8)` does.
fn show(key: &PublicKey) -> String {
    let hide = env::var("WG_HIDE_KEYS").is_ok_and(|value| value == "always");
    if hide { "(hidden)".to_owned() } else { key.to_string() }
}
