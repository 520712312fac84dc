//! What the history takes of the kernel's counters.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

use relay_common::Reason;

use super::{Context, ErrorContext as _, Result, instant::now};
use crate::{
    datapath::{Datapath, DroppedCounts},
    history::{Family, PairSample, PeerSample, RuleSample, Sample},
    model::PublicKey,
};

/// Changes while the kernel runs never.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The totals of all counters of a relay, and which life of them it is.
///
/// # Errors
/// The relay is not up, or a pin cannot be read.
pub fn sample(context: &Context) -> Result<Sample> {
    context.require_up()?;
    let peers = &context.relay().peers;
    let names: HashMap<_, _> = peers.iter().map(|peer| (peer.public_key, &peer.name)).collect();
    read(context.datapath(), |key| names.get(key).map(ToString::to_string))
}

/// The same, where names are known otherwise.
///
/// # Errors
/// A pin cannot be read.
pub(super) fn read(
    datapath: &Datapath,
    name: impl Fn(&PublicKey) -> Option<String>,
) -> Result<Sample> {
    let boot = fs::read_to_string(BOOT).with_context(|| format!("read {BOOT}"))?;
    loop {
        let lives = datapath.lives()?;
        let life = |map: u32| format!("{} {map}", boot.trim());
        let slots = datapath.slots()?;
        let counters = datapath.counters(&slots)?;
        let peers = slots.iter().map(|(key, &slot)| PeerSample {
            public_key: *key,
            name: name(key),
            traffic: counters.of(slot).0,
        });
        let peers = Family::of(lives.traffic.map(life), peers);
        let of_peers = slots.iter().map(|(key, &slot)| (Some(*key), counters.of(slot).1));
        let senders = of_peers.chain([(None, counters.unattributed())]);
        let dropped = Family::of(lives.dropped.map(life), senders.flat_map(by_reason));
        let keys: BTreeMap<u32, PublicKey> =
            slots.iter().map(|(key, &slot)| (slot, *key)).collect();
        let pairs = datapath.pairs()?.pairs.into_iter().filter_map(|((from, to), traffic)| {
            Some(PairSample { from: *keys.get(&from)?, to: *keys.get(&to)?, traffic })
        });
        let pairs = Family::of(lives.pairs.map(life), pairs);
        let rules = datapath.rule_counts()?.into_iter();
        let rules = rules.map(|(name, traffic)| RuleSample { name: name.to_string(), traffic });
        let rules = Family::of(lives.rules.map(life), rules);
        // `down` and `up` may have come between.
        if datapath.lives()? == lives {
            return Ok(Sample { time: now(), peers, dropped, pairs, rules });
        }
    }
}

fn by_reason(
    (sender, counts): (Option<PublicKey>, DroppedCounts),
) -> impl Iterator<Item = (Option<PublicKey>, &'static str, u64)> {
    let counts = Reason::ALL.iter().map(|reason| reason.label()).zip(counts);
    counts.filter(|(_, packets)| *packets > 0).map(move |(label, packets)| (sender, label, packets))
}
