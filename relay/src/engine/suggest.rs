//! `relay suggest`: rules for what was learnt.

use std::{net::IpAddr, time::Duration};

use super::{
    Classified, Context, Kind, Result, desired,
    instant::{now, rfc3339},
    learning::learnt,
};
use crate::{
    config::NewRules,
    learnt::{Learnt, LearntRule, Suggestion, Wanted},
    model::{End, Expectation, Group, InterfaceName, Relay, Service},
    policy::{Difference, Family, Line, Sign, Sources},
    stats::{
        ClosedUse, LostAccess, Suggested, SuggestedGroup, SuggestedPair, SuggestedRule,
        SuggestedTest,
    },
};

#[derive(Debug, thiserror::Error)]
#[error(
    "{interface}: nothing was learnt yet; run `relay learn on`, and ask again when the peers have \
     done what they usually do"
)]
struct NothingLearnt {
    interface: InterfaceName,
}

impl Classified for NothingLearnt {
    fn kind(&self) -> Kind {
        Kind::Failed
    }
}

/// Rules for what was learnt of the peers of the configuration: of uses with at least so many
/// packets, and not older than this.
///
/// # Errors
/// The configuration is invalid, the relay is not up, nothing was learnt, or a pin cannot be read.
pub async fn suggest(
    context: &Context,
    min_packets: u64,
    age: Option<Duration>,
) -> Result<Suggested> {
    let relay = &context.loaded()?.relay;
    let interface = &relay.interface;
    let Some(learnt) = learnt(context).await? else {
        return Err(NothingLearnt { interface: interface.clone() }.into());
    };
    let host_addresses = desired::host_addresses(context.handle(), relay).await?;
    let now = now();
    let since = age.map_or(0, |age| now.saturating_sub(age.as_secs()));
    Ok(shown(relay, &host_addresses, &learnt, Wanted { min_packets, since }, now))
}

fn shown(
    relay: &Relay,
    host_addresses: &[IpAddr],
    learnt: &Learnt,
    wanted: Wanted,
    now: u64,
) -> Suggested {
    let suggestion = Suggestion::of(relay, learnt, wanted);
    let Suggestion { groups, rules, tests, relay: after, .. } = &suggestion;
    let remarked = rules.iter().map(|LearntRule { rule, packets, last, .. }| {
        (rule, format!("{packets} packets, the last at {}", rfc3339(*last)))
    });
    let new = NewRules { relay: after, groups, rules: remarked.collect(), tests };
    let name = |peer: usize| relay.peers[peer].name.to_string();
    let pair = |&[from, to]: &[usize; 2]| SuggestedPair { from: name(from), to: name(to) };
    let group = |group: &Group| SuggestedGroup {
        name: group.name.to_string(),
        members: group.members.iter().map(|&peer| name(peer)).collect(),
    };
    let closed = suggestion.closed.iter().map(|one| ClosedUse {
        from: name(one.from),
        to: name(one.to),
        service: one.service.map(|service| service.to_string()),
        packets: one.packets,
        bytes: one.bytes,
        last: rfc3339(one.last),
    });
    let (since, until) = (rfc3339(learnt.since), learnt.until.map(rfc3339));
    let mut shown = Suggested::nothing(relay.interface.as_str(), since, until);
    shown.groups = groups.iter().map(group).collect();
    shown.rules = rules.iter().map(|rule| shown_rule(&new, rule)).collect();
    shown.tests = tests.iter().map(|test| shown_test(relay, test)).collect();
    shown.fragment = new.text();
    shown.lost = lost(relay, after, host_addresses, now);
    shown.unknown = suggestion.unknown.iter().map(pair).collect();
    shown.closed = closed.collect();
    shown.left_out = suggestion.left_out;
    shown.lost_packets = learnt.lost;
    shown
}

fn shown_rule(new: &NewRules<'_>, found: &LearntRule) -> SuggestedRule {
    let LearntRule { rule, packets, bytes, last } = found;
    let side = |side: &[_]| side.iter().map(|one| new.named(*one).to_string()).collect();
    SuggestedRule {
        name: rule.name.to_string(),
        from: side(&rule.from),
        to: side(&rule.to),
        ports: rule.services.iter().map(ToString::to_string).collect(),
        both_ways: rule.both_ways,
        packets: *packets,
        bytes: *bytes,
        last: rfc3339(*last),
    }
}

fn shown_test(relay: &Relay, test: &Expectation) -> SuggestedTest {
    let end = |end| match end {
        End::Peer(peer) => relay.peers[peer].name.to_string(),
        End::Address(address) => address.to_string(),
    };
    let services = |of: &[Service]| of.iter().map(ToString::to_string).collect();
    SuggestedTest {
        from: end(test.from),
        to: end(test.to),
        allow: services(&test.allow),
        deny: services(&test.deny),
    }
}

/// What is lost with the lists.
fn lost(before: &Relay, after: &Relay, host_addresses: &[IpAddr], now: u64) -> Vec<LostAccess> {
    let slots: Vec<u32> = (1..).take(before.peers.len()).collect();
    let sources = |relay| Sources { relay, host_addresses, slots: &slots };
    let difference = Difference::between(sources(before), sources(after), now);
    let lost = difference.lines().filter(|line| line.change.sign() == Sign::Lost);
    let shown = |Line { from, to, both_ways, family, but_kept, .. }: Line| LostAccess {
        from: from.to_string(),
        to: to.to_string(),
        both_ways,
        family: family.map(|family| match family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }),
        but_kept,
    };
    lost.map(shown).collect()
}
