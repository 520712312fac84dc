use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use super::super::{chain, observe::Running};
use crate::{
    datapath::{Observed, Trial},
    model::{Peer, Relay},
    net::{
        NetError,
        fence::{self, FenceState},
    },
};

/// Problems of the interface and the datapath, causes before consequences.
pub(super) fn problems(running: &Running, relay: &Relay) -> Vec<String> {
    let interface = &relay.interface;
    let mut problems = Vec::new();
    match &running.link {
        None => {
            problems.push(format!("interface {interface} does not exist; `relay up` creates it"))
        }
        Some(link) if !link.up => {
            problems.push(format!("interface {interface} is down; `relay up` sets it up"));
        }
        Some(_) => {}
    }
    if let Err(error) = &running.datapath {
        problems.push(chain(error));
    }
    let attached = running.link.iter().flat_map(|_| &running.hooks);
    for hook in attached.filter(|hook| hook.mode.is_none()) {
        let (direction, program) = (hook.direction.label(), hook.direction.program());
        let why = match hook.is_orphaned {
            true => "something deleted and recreated the interface",
            false => "something detached it",
        };
        problems.push(format!(
            "{direction}: program {program} is not attached to {interface}: {why}; `relay up` \
             attaches it"
        ));
    }
    if let [Some(ingress), Some(egress)] = running.hooks.each_ref().map(|hook| hook.generation)
        && ingress != egress
    {
        problems.push(format!(
            "ingress runs policy generation {} and egress {}; `relay up` puts one in force on both",
            ingress.number, egress.number
        ));
    }
    if running.datapath.as_ref().is_ok_and(Observed::counters_are_lost) {
        problems.push(
            "the counters in use are not pinned and end with the programs; `relay up` pins them \
             again"
                .to_owned(),
        );
    }
    for hook in running.hooks.iter().filter(|h| h.mode.is_some() && h.generation.is_none()) {
        problems.push(format!(
            "{}: program {} is of another version of relay; `relay up` replaces it",
            hook.direction.label(),
            hook.direction.program()
        ));
    }
    let heritage = running.datapath.iter().flat_map(|observed| &observed.heritage);
    problems.extend(heritage.map(|left| {
        let dir = left.dir().display();
        format!("{dir}: found pins of another version of relay; `relay up` takes them over")
    }));
    if running.datapath.as_ref().is_ok_and(|observed| observed.trial() == Trial::Broken) {
        problems.push(
            "a trial was started or stopped only in part; `relay up` or `relay try --stop` ends it"
                .to_owned(),
        );
    }
    for stale in running.hooks.iter().flat_map(|hook| &hook.stale) {
        problems
            .push(format!("{stale} is attached, a stale program of relay; `relay up` detaches it"));
    }
    problems
}

/// The problem of the fence.
pub(super) fn fence_problem(running: &Running, relay: &Relay) -> Option<String> {
    let table = fence::table_name(&relay.interface);
    match (&running.fence, relay.fence) {
        (Ok(FenceState::Intact), true) | (Ok(FenceState::Absent), false) => None,
        (Ok(FenceState::Absent), true) => {
            Some(format!("fence inet {table} does not exist; `relay up` puts it up"))
        }
        (Ok(FenceState::Different), true) => {
            Some(format!("fence inet {table} was changed; `relay up` restores it"))
        }
        (Ok(FenceState::Intact | FenceState::Different), false) => {
            Some(format!("fence inet {table} exists; `relay up` takes it down"))
        }
        (Err(NetError::NetfilterMissing { .. }), false) => None,
        (Err(error), _) => Some(chain(error)),
    }
}

/// Peers that nothing reaches, because their endpoint is an address of the overlay.
pub(super) fn misplaced(running: &Running, relay: &Relay) -> Vec<String> {
    let names: HashMap<_, _> = relay.peers.iter().map(|peer| (peer.public_key, peer)).collect();
    let owned: HashSet<_> = relay.peers.iter().flat_map(|peer| &peer.addresses).collect();
    let is_inside = |address: &IpAddr| {
        owned.contains(address) || relay.addresses.iter().any(|net| net.trunc().contains(address))
    };
    let peers = running.device.iter().flat_map(|device| &device.peers);
    let inside = peers.filter_map(|peer| {
        let endpoint = peer.endpoint.filter(|endpoint| is_inside(&endpoint.ip()))?;
        Some((names.get(&peer.public_key)?, endpoint))
    });
    let problem = |(peer, endpoint): (&&Peer, SocketAddr)| {
        format!(
            "peer {}: endpoint {endpoint} is inside the overlay, so what the relay sends there is \
             dropped until the peer sends from an address outside",
            peer.name
        )
    };
    inside.map(problem).collect()
}
