//! What a scrape of metrics wants, read in one go.

use std::{cmp::Reverse, collections::BTreeMap, time::Instant};

use relay_common::PairCounters;

use super::{
    Context, Result,
    stats::{names_of_slots, rules, snapshot},
};
use crate::{
    model::{Rate, Relay},
    stats::{BusiestPairs, FlowTable, Pairs, QuotaTraffic, RateLimit, Scrape},
};

/// Everything that a scrape wants. At most `most_pairs` pairs are named, those with most bytes; each
/// that was ever counted is read.
///
/// # Errors
/// The relay is not up, or the kernel does not answer.
pub async fn scrape(context: &Context, most_pairs: usize) -> Result<Scrape> {
    let started = Instant::now();
    let relay = context.relay();
    let snapshot = snapshot(context).await?;
    let rules = rules(context)?;
    let pairs = if relay.pair_stats { Some(busiest_pairs(context, most_pairs)?) } else { None };
    let counts = context.datapath().flow_counts()?;
    let flows = counts.map(|counts| FlowTable { live: counts.live, capacity: counts.capacity });
    Ok(Scrape {
        snapshot,
        rules,
        pairs,
        flows,
        rates: rates(relay),
        // Who delivers and answers adds these.
        webhooks: Vec::new(),
        name_questions: BTreeMap::new(),
        took: started.elapsed(),
    })
}

/// The pairs with most bytes, of peers that the relay knows.
fn busiest_pairs(context: &Context, limit: usize) -> Result<BusiestPairs> {
    let (relay, datapath) = (context.relay(), context.datapath());
    let names = names_of_slots(relay, &datapath.slots()?);
    let traffic = datapath.pairs()?;
    let (busiest, omitted) = busiest(
        traffic.pairs.into_iter().filter(|((from, to), counters)| {
            counters.packets > 0 && names.contains_key(from) && names.contains_key(to)
        }),
        limit,
    );
    let named = busiest.into_iter().filter_map(|((from, to), counters)| {
        Some((names.get(&from)?.clone(), names.get(&to)?.clone(), counters))
    });
    let pairs = Pairs::new(relay.interface.as_str(), named, traffic.others);
    Ok(BusiestPairs { pairs, limit, omitted })
}

/// A pair of slots and its traffic.
type Counted = ((u32, u32), PairCounters);

/// Those with most bytes, and how many there are beside them.
fn busiest(pairs: impl Iterator<Item = Counted>, limit: usize) -> (Vec<Counted>, usize) {
    let mut pairs: Vec<Counted> = pairs.collect();
    let omitted = pairs.len().saturating_sub(limit);
    if omitted > 0 {
        // Of equals always the same, or series would come and go.
        pairs.select_nth_unstable_by_key(limit, |(slots, counters)| {
            (Reverse(counters.bytes), *slots)
        });
        pairs.truncate(limit);
    }
    (pairs, omitted)
}

/// The rates that the configuration sets.
fn rates(relay: &Relay) -> Vec<RateLimit> {
    let rates = relay.peers.iter().flat_map(|peer| {
        let limit = |traffic, rate: Option<Rate>| {
            let bits_per_second = rate?.bits_per_second();
            Some(RateLimit { peer: peer.name.to_string(), traffic, bits_per_second })
        };
        let from = limit(QuotaTraffic::From, peer.limits.rate_from);
        from.into_iter().chain(limit(QuotaTraffic::To, peer.limits.rate_to))
    });
    rates.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_with_most_bytes_are_kept_and_equals_by_their_slots() {
        let pair = |from, to, bytes| ((from, to), PairCounters { packets: 1, bytes });
        let all = [pair(1, 2, 10), pair(2, 1, 500), pair(3, 1, 10), pair(1, 3, 10)];
        let (mut kept, omitted) = busiest(all.into_iter(), 2);
        kept.sort_by_key(|(slots, _)| *slots);
        assert_eq!((kept, omitted), (vec![pair(1, 2, 10), pair(2, 1, 500)], 2));
        assert_eq!(busiest(all.into_iter(), 4).1, 0);
        assert_eq!(busiest(all.into_iter(), 0), (Vec::new(), 4));
    }
}
