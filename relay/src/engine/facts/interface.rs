use std::{net::IpAddr, path::Path};

use relay_common::names::ANSWER;

use super::super::{Result, chain, observe::Running};
use crate::{
    datapath::{Datapath, Observed},
    doctor::{Firewall, MarkWriter, Occupant, Programs},
    model::{InterfaceName, Relay},
    net::{
        Handle, NetError,
        fence::{self, FenceState},
        inbound,
        link::{self, LinkKind},
        marks,
    },
};

/// The interface of a relay.
pub(super) struct Interface {
    /// What has its name.
    pub(super) occupant: Occupant,
    /// What is attached to it besides relay's programs.
    pub(super) programs: Programs,
    /// Whether it has the relay's port.
    pub(super) has_port: bool,
    /// What a running relay has lost.
    pub(super) lost: Vec<String>,
    /// Why rules of a running relay do not end when they should.
    pub(super) retimed: Option<String>,
}

impl Interface {
    /// One without programs.
    pub(super) fn nobody(occupant: Occupant) -> Self {
        let programs = Programs::NoInterface;
        Self { occupant, programs, has_port: false, lost: Vec::new(), retimed: None }
    }
}

/// Observes the interface of a relay.
pub(super) async fn interface(handle: &Handle, relay: &Relay, bpffs: &Path) -> Interface {
    look(handle, relay, bpffs).await.unwrap_or_else(|error| {
        let why = error.chain();
        let programs = Programs::Unknown(why.clone());
        Interface { programs, ..Interface::nobody(Occupant::Unknown(why)) }
    })
}

async fn look(handle: &Handle, relay: &Relay, bpffs: &Path) -> Result<Interface> {
    let Some(link) = link::read(handle, &relay.interface).await? else {
        return Ok(Interface::nobody(Occupant::Nobody));
    };
    if let LinkKind::Other(kind) = link.kind {
        return Ok(Interface::nobody(Occupant::Other(kind)));
    }
    let interface = relay.interface.as_str();
    let datapath = Datapath::open(bpffs, interface)?;
    let running = Running::observe(handle, relay, &datapath).await?;
    let of_hooks = running.hooks.iter().flat_map(|hook| {
        let program = hook.direction.program();
        let foreign = hook.foreign.iter().map(move |other| format!("{other} before {program}"));
        foreign.chain(hook.stale.iter().map(|stale| format!("{stale}, a stale program of relay")))
    });
    let xdp = link.xdp.map(|id| format!("XDP program {id}"));
    let programs = Programs::Found(of_hooks.chain(xdp).collect());
    let is_ours = running.hooks.iter().any(|hook| hook.mode.is_some()) || datapath.exists();
    let occupant = if is_ours { Occupant::Relay } else { Occupant::Wireguard };
    let lost = if is_ours { lost(relay, &running) } else { Vec::new() };
    let observed = running.datapath.as_ref().ok().filter(|_| relay.has_ends());
    let retimed = observed.and_then(Observed::retimed).map(|why| why.to_string());
    let port = running.device.map(|device| device.listen_port);
    let has_port = link.up && port == Some(relay.listen_port);
    Ok(Interface { occupant, programs, has_port, lost, retimed })
}

/// What enforces the policy and is gone.
fn lost(relay: &Relay, running: &Running) -> Vec<String> {
    let hooks = running.hooks.iter().filter(|hook| hook.mode.is_none()).map(|hook| {
        format!("program {} is not attached to {}", hook.direction.program(), relay.interface)
    });
    let fence = match &running.fence {
        _ if !relay.fence => None,
        Ok(FenceState::Absent) => Some("is gone"),
        Ok(FenceState::Different) => Some("was changed"),
        Ok(FenceState::Intact) | Err(_) => None,
    };
    let table = fence::table_name(&relay.interface);
    hooks.chain(fence.map(|how| format!("fence inet {table} {how}"))).collect()
}

/// Whether the host's own rules let messages in to the port.
pub(super) fn firewall(relay: &Relay, host_addresses: &[IpAddr]) -> Firewall {
    let has_v6 = reaches_v6(relay, host_addresses);
    match inbound::read(relay.listen_port) {
        Ok(found) => {
            found.describe(relay.listen_port, has_v6).map_or(Firewall::Open, Firewall::Barred)
        }
        // Without nf_tables nothing is dropped.
        Err(NetError::NetfilterMissing { .. }) => Firewall::Open,
        Err(error) => Firewall::Unknown(chain(&error)),
    }
}

/// Chains that write relay's bits of marks. If they cannot be read, [`firewall`] reports it.
pub(super) fn mark_writers(interface: &InterfaceName) -> Vec<MarkWriter> {
    let writers = marks::writers(interface, ANSWER).unwrap_or_default().into_iter();
    writers.map(|marks::MarkWriter { chain, set, lost }| MarkWriter { chain, set, lost }).collect()
}

/// Whether peers can reach the host over IPv6.
pub(in crate::engine) fn reaches_v6(relay: &Relay, host_addresses: &[IpAddr]) -> bool {
    host_addresses.iter().any(|address| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => {
            let is_own = relay.addresses.iter().any(|own| own.addr() == *address);
            !is_own && !v6.is_loopback() && !v6.is_unicast_link_local()
        }
    })
}
