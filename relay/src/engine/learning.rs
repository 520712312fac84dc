//! `relay learn`: what peers use of each other is counted, and what that is.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use relay_common::usage::{OTHERS, Use, UseKey};

use super::{
    Classified, Context, HostError, Kind, Result, Site,
    in_force::InForce,
    instant::{booted, rfc3339, seconds},
    observe,
};
use crate::{
    config::Options,
    datapath::{Observed, Trial, Usage, service},
    learnt::{self, Learnt},
    model::InterfaceName,
    stats::{LearningReport, Share},
};

const OPTIONS: Options = Options { allow_empty: true };

#[derive(Debug, thiserror::Error)]
#[error(
    "{interface}: a candidate is tried, and one program cannot do both; run `relay try --stop` first"
)]
struct Tried {
    interface: InterfaceName,
}

impl Classified for Tried {
    fn kind(&self) -> Kind {
        Kind::Failed
    }
}

/// Counts from now on what peers use of each other. What was learnt before is kept unless it starts
/// afresh. Whether anything changed.
///
/// # Errors
/// The relay is not up, the configuration of its policy is not known, or a candidate is tried.
pub async fn start_learning(site: Site<'_>, afresh: bool) -> Result<bool> {
    let context = Context::change(site, OPTIONS)?;
    let observed = observed(&context).await?;
    let (interface, datapath) = (&context.relay().interface, context.datapath());
    if observed.trial() != Trial::None {
        return Err(Tried { interface: interface.clone() }.into());
    }
    if observed.learns() && !afresh && datapath.usage()?.is_some() {
        return Ok(false);
    }
    let in_force = InForce::require(&context, &observed, site.config, "to learn").await?;
    datapath.start_learning((&in_force.compiled, &in_force.slots), &observed, afresh)?;
    Ok(true)
}

/// Counts that no more; what was learnt is kept. Whether anything changed.
///
/// # Errors
/// The relay is not up, or the configuration of its policy is not known.
pub async fn stop_learning(site: Site<'_>) -> Result<bool> {
    let context = Context::change(site, OPTIONS)?;
    let observed = observed(&context).await?;
    if !observed.learns() {
        return Ok(false);
    }
    let in_force = InForce::require(&context, &observed, site.config, "to learn").await?;
    context.datapath().stop_learning((&in_force.compiled, &in_force.slots), &observed)?;
    Ok(true)
}

/// Whether use is learnt, and how much.
///
/// # Errors
/// The relay is not up, or a pin cannot be read.
pub async fn learning(context: &Context) -> Result<LearningReport> {
    let interface = context.relay().interface.as_str();
    let Some(learnt) = learnt(context).await? else {
        return Ok(LearningReport::none(interface));
    };
    let (services, others): (Vec<&learnt::Use>, Vec<_>) =
        learnt.uses.iter().partition(|found| found.service.is_some());
    let name = |&peer: &usize| context.relay().peers[peer].name.to_string();
    Ok(LearningReport::new(
        interface,
        rfc3339(learnt.since),
        learnt.until.map(rfc3339),
        Share {
            services: services.len(),
            pairs: others.len(),
            packets_of_pairs: others.iter().map(|found| found.packets).sum(),
            lost_packets: learnt.lost,
        },
        learnt.at_limit.iter().map(name).collect(),
    ))
}

/// What was learnt of the peers of the configuration; `None` if nothing ever was since the relay came
/// up.
///
/// # Errors
/// The relay is not up, or a pin cannot be read.
pub(super) async fn learnt(context: &Context) -> Result<Option<Learnt>> {
    let observed = observed(context).await?;
    let Some(usage) = context.datapath().usage()? else { return Ok(None) };
    let peers = context.relay().peers.iter().enumerate();
    let slots = &observed.slots.peers;
    let places = peers.filter_map(|(place, peer)| Some((*slots.get(&peer.public_key)?, place)));
    Ok(Some(named(&usage, &places.collect(), observed.learns(), booted())))
}

/// The same with peers by their place, and times of day.
fn named(usage: &Usage, places: &BTreeMap<u32, usize>, is_on: bool, booted: SystemTime) -> Learnt {
    let time = |ns| seconds(booted + Duration::from_nanos(ns));
    let latest = usage.uses.values().map(|found| found.last_ns).max();
    // Without an end something has taken the program off, after the latest packet.
    let ended = usage.until_ns.or(latest).unwrap_or(usage.since_ns);
    let used = |(key, found): (&UseKey, &Use)| {
        Some(learnt::Use {
            from: *places.get(&key.beginner)?,
            to: *places.get(&key.other)?,
            service: (key.service != OTHERS).then(|| service(key.service)).flatten(),
            packets: found.packets,
            bytes: found.bytes,
            first: time(found.first_ns),
            last: time(found.last_ns),
        })
    };
    Learnt {
        since: time(usage.since_ns),
        until: (!is_on).then(|| time(ended)),
        uses: usage.uses.iter().filter_map(used).collect(),
        at_limit: usage.at_limit.iter().filter_map(|slot| places.get(slot).copied()).collect(),
        lost: usage.lost,
    }
}

async fn observed(context: &Context) -> Result<Observed> {
    let (handle, datapath) = (context.handle(), context.datapath());
    let interface = &context.relay().interface;
    context.require_up()?;
    let observed = observe::datapath(handle, interface, datapath).await?;
    match observed.generation() {
        Some(_) => Ok(observed),
        None => Err(HostError::NotUp { interface: interface.clone() }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Service, Transport};

    #[test]
    fn slots_become_peers_and_those_of_no_peer_are_left_out() {
        let key = |beginner, other, service| UseKey { beginner, other, service };
        let found =
            Use { packets: 2, bytes: 100, first_ns: 5, last_ns: 3_000_000_000, ..Use::default() };
        let usage = Usage {
            since_ns: 1_000_000_000,
            uses: BTreeMap::from([
                (key(7, 3, 22), found),
                (key(3, 7, OTHERS), found),
                (key(7, 9, 22), found),
            ]),
            at_limit: [3, 9].into(),
            lost: 4,
            ..Usage::default()
        };
        let places = BTreeMap::from([(3, 0), (7, 1)]);
        let learnt = named(&usage, &places, true, SystemTime::UNIX_EPOCH);
        assert_eq!((learnt.since, learnt.until, learnt.lost), (1, None, 4));
        let uses: Vec<_> = learnt.uses.iter().map(|one| (one.from, one.to, one.service)).collect();
        let ssh = Service::Port(Transport::Tcp, 22);
        assert_eq!(uses, [(0, 1, None), (1, 0, Some(ssh))]);
        assert_eq!((learnt.uses[0].first, learnt.uses[0].last), (0, 3));
        assert_eq!(learnt.at_limit, [0]);
        // It was taken off by something, which noted no end.
        let ended = named(&usage, &places, false, SystemTime::UNIX_EPOCH);
        assert_eq!(ended.until, Some(3));
    }
}
