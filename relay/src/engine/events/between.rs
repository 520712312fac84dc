use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use relay_common::guard::Outcome;

use super::{Happening, Look};
use crate::stats::{Peer, Presence};

/// What peers were named that the files no longer name, by what tells them apart: their keys, which
/// they are shown by then. Somebody has edited the files, and `up` has yet to remove the peers.
#[derive(Debug, Default)]
pub(super) struct FormerNames(HashMap<String, String>);

impl FormerNames {
    /// Remembers the names that were lost between two looks.
    pub(super) fn follow(&mut self, last: &Look, look: &Look) {
        let is_nameless = |peer: &&Peer| peer.name == peer.public_key;
        let mut nameless: HashMap<&str, Option<String>> = HashMap::new();
        for peer in look.snapshot.peers.iter().filter(is_nameless) {
            nameless.insert(peer.identity(), self.0.remove(peer.identity()));
        }
        if !nameless.is_empty() {
            for peer in last.snapshot.peers.iter().filter(|peer| !is_nameless(peer)) {
                if let Some(name) = nameless.get_mut(peer.identity()) {
                    *name = Some(peer.name.clone());
                }
            }
        }
        // Those that are gone since are still told by their names.
        let has = |at: &Look, key: &String| at.snapshot.peers.iter().any(|it| it.identity() == key);
        self.0.retain(|key, _| has(last, key) && !has(look, key));
        let named = nameless.into_iter().filter_map(|(key, name)| Some((key.to_owned(), name?)));
        self.0.extend(named);
    }

    fn of(&self, peer: &Peer) -> String {
        self.0.get(peer.identity()).unwrap_or(&peer.name).clone()
    }
}

/// Tells what differs between two looks at a relay.
pub(super) fn changes(
    last: &Look,
    look: &Look,
    former: &FormerNames,
    tell: &mut impl FnMut(Happening),
) {
    let (Look { at: then, snapshot: before }, Look { at: now, snapshot: after }) = (last, look);
    if (before.generation, &before.policy_hash) != (after.generation, &after.policy_hash) {
        tell(Happening::PolicyChanged {
            generation: after.generation,
            hash: after.policy_hash.clone(),
            was: before.policy_hash.clone(),
        });
    }
    let mut there: HashMap<_, &Peer> =
        before.peers.iter().map(|peer| (peer.identity(), peer)).collect();
    for peer in &after.peers {
        let name = || former.of(peer);
        let was = there.remove(peer.identity());
        if was.is_none() {
            tell(Happening::PeerNew { peer: name() });
        }
        let presence = was.map_or(Presence::NeverSeen, |was| was.presence(*then));
        match (presence == Presence::Online, peer.presence(*now) == Presence::Online) {
            (false, true) => {
                tell(Happening::PeerOnline { peer: name(), endpoint: peer.endpoint.clone() });
            }
            (true, false) => tell(Happening::PeerOffline { peer: name() }),
            (true, true) | (false, false) => {}
        }
        let was = was.map_or("", |was| &was.endpoint);
        if !was.is_empty() && !peer.endpoint.is_empty() && was != peer.endpoint {
            let endpoint = peer.endpoint.clone();
            tell(Happening::PeerRoamed { peer: name(), endpoint, was: was.to_owned() });
        }
    }
    let mut gone: Vec<_> = there.into_values().map(|peer| former.of(peer)).collect();
    gone.sort_unstable();
    gone.into_iter().for_each(|peer| tell(Happening::PeerGone { peer }));
}

/// What the guard has dropped and was not told of yet.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeMap<&'static str, Alarm>);

#[derive(Debug, Default)]
struct Alarm {
    told: Option<SystemTime>,
    count: u64,
}

/// Between two alarms of one outcome. Under attack, each second would be one.
const QUIET: Duration = Duration::from_secs(60);

impl Alarms {
    /// Tells of messages that were dropped between two counts.
    pub(super) fn of(
        &mut self,
        before: &BTreeMap<&'static str, u64>,
        after: &BTreeMap<&'static str, u64>,
        now: SystemTime,
        tell: &mut impl FnMut(Happening),
    ) {
        for outcome in Outcome::ALL.iter().filter(|outcome| outcome.drops()) {
            let outcome = outcome.label();
            let of =
                |counts: &BTreeMap<&'static str, u64>| counts.get(outcome).copied().unwrap_or(0);
            let alarm = self.0.entry(outcome).or_default();
            // Counts begin anew with the guard.
            alarm.count += of(after).checked_sub(of(before)).unwrap_or(of(after));
            let is_quiet = alarm.told.is_none_or(|told| {
                // A clock that was set back is no reason to be silent.
                now.duration_since(told).map_or(true, |since| since >= QUIET)
            });
            if alarm.count > 0 && is_quiet {
                tell(Happening::GuardAlarm { outcome, count: alarm.count });
                *alarm = Alarm { told: Some(now), count: 0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{HIDDEN, Snapshot, sample};

    fn told(before: &Snapshot, after: &Snapshot, now: SystemTime) -> Vec<String> {
        let look = |snapshot: &Snapshot, at| Look { at, snapshot: snapshot.clone() };
        let mut told = Vec::new();
        let former = FormerNames::default();
        changes(&look(before, sample::now()), &look(after, now), &former, &mut |happening| {
            told.push(serde_json::to_string(&happening).expect("JSON"));
        });
        told
    }

    #[test]
    fn what_stays_is_not_told() {
        let snapshot = sample::snapshot();
        assert!(told(&snapshot, &snapshot, sample::now()).is_empty());
        let mut busy = snapshot.clone();
        busy.peers[0].relayed.rx_packets += 1;
        assert!(told(&snapshot, &busy, sample::now()).is_empty());
    }

    #[test]
    fn a_peer_comes_goes_and_roams() {
        let before = sample::snapshot();
        // Its handshake was a minute ago.
        let later = sample::now() + Duration::from_secs(121);
        let gone = r#"{"type":"peer_offline","peer":"node-a"}"#;
        assert_eq!(told(&before, &before, later), [gone]);

        let mut after = before.clone();
        after.peers[0].endpoint = "198.51.100.9:7".to_owned();
        let roamed = r#"{"type":"peer_roamed","peer":"node-a","endpoint":"198.51.100.9:7","was":"198.51.100.2:40000"}"#;
        assert_eq!(told(&before, &after, sample::now()), [roamed]);

        let mut after = before.clone();
        after.peers[1].latest_handshake = 1_700_000_059;
        after.peers[1].endpoint = "198.51.100.3:1".to_owned();
        let online = r#"{"type":"peer_online","peer":"node-b","endpoint":"198.51.100.3:1"}"#;
        assert_eq!(told(&before, &after, sample::now()), [online]);
    }

    #[test]
    fn a_name_with_another_key_is_another_peer() {
        let before = sample::snapshot();
        let mut after = before.clone();
        after.peers[1].public_key = before.public_key.clone();
        after.policy_hash = "ff".to_owned();
        after.generation += 1;
        let told = told(&before, &after, sample::now());
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains(r#""type":"policy_changed""#), "{told:?}");
        assert_eq!(told[1], r#"{"type":"peer_new","peer":"node-b"}"#);
        assert_eq!(told[2], r#"{"type":"peer_gone","peer":"node-b"}"#);
    }

    #[test]
    fn a_peer_that_the_files_name_otherwise_is_the_same() {
        let before = sample::snapshot();
        let mut after = before.clone();
        after.peers[1].name = after.peers[1].public_key.clone();
        assert_eq!(told(&before, &after, sample::now()), [""; 0]);
        // Without keys, names tell peers apart.
        let hidden = |snapshot: &Snapshot| {
            let mut snapshot = snapshot.clone();
            snapshot.peers.iter_mut().for_each(|peer| peer.public_key = HIDDEN.to_owned());
            snapshot
        };
        assert_eq!(told(&hidden(&before), &hidden(&before), sample::now()), [""; 0]);
        assert_eq!(told(&hidden(&before), &hidden(&after), sample::now()).len(), 2);
    }

    #[test]
    fn a_peer_that_leaves_the_files_before_the_relay_goes_by_its_name() {
        let look = |snapshot: &Snapshot| Look { at: sample::now(), snapshot: snapshot.clone() };
        let named = sample::snapshot();
        let mut nameless = named.clone();
        nameless.peers[1].name = nameless.peers[1].public_key.clone();
        let mut gone = nameless.clone();
        gone.peers.remove(1);
        let mut former = FormerNames::default();
        let mut told = Vec::new();
        // Taken back once; then before `up`, after it, and once more.
        let looks = [&named, &nameless, &named, &nameless, &nameless, &gone, &gone].map(look);
        for pair in looks.windows(2) {
            former.follow(&pair[0], &pair[1]);
            changes(&pair[0], &pair[1], &former, &mut |happening| {
                told.push(serde_json::to_string(&happening).expect("JSON"));
            });
        }
        assert_eq!(told, [r#"{"type":"peer_gone","peer":"node-b"}"#]);
        assert!(former.0.is_empty(), "{former:?}");
    }

    #[test]
    fn without_keys_no_peer_gets_the_name_of_another() {
        let mut named = sample::snapshot();
        named.peers.iter_mut().for_each(|peer| peer.public_key = HIDDEN.to_owned());
        let mut nameless = named.clone();
        nameless.peers[1].name = HIDDEN.to_owned();
        let [named, nameless] =
            [named, nameless].map(|it| Look { at: sample::now(), snapshot: it });
        let mut former = FormerNames::default();
        former.follow(&named, &nameless);
        for peer in &nameless.snapshot.peers {
            assert_eq!(former.of(peer), peer.name);
        }
    }

    #[test]
    fn an_attack_is_an_alarm_a_minute() {
        let outcome = Outcome::ALL.iter().find(|outcome| outcome.drops()).expect("one that drops");
        let counts = |count| BTreeMap::from([(outcome.label(), count)]);
        let mut alarms = Alarms::default();
        let mut of = |before, after, seconds| {
            let now = sample::now() + Duration::from_secs(seconds);
            let mut told = Vec::new();
            alarms.of(&counts(before), &counts(after), now, &mut |happening| {
                let Happening::GuardAlarm { count, .. } = happening else {
                    panic!("{happening:?}")
                };
                told.push(count);
            });
            told
        };
        assert_eq!(of(5, 5, 0), [0; 0]);
        assert_eq!(of(5, 8, 1), [3]);
        assert_eq!(of(8, 9, 2), [0; 0]);
        assert_eq!(of(9, 9, 30), [0; 0]);
        assert_eq!(of(9, 11, 61), [3]);
        // The guard was attached anew.
        assert_eq!(of(11, 2, 130), [2]);
    }
}
