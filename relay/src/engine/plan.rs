//! What `relay up` does: the steps from what is observed to what is desired, in order.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Result,
    desired::{self, Desired},
    guard::Rekeyed,
    observe::Running,
    step::Step,
};
use crate::{
    datapath::{Observed, Repair, Slots},
    model::{InterfaceName, PeerName},
    net::{
        NetError,
        address::{self, AddressChange},
        fence::{self, FenceState},
        link::{self, LinkChange},
        route::{self, Route, RouteChange},
    },
    policy::{self, Sources},
    wireguard,
};

/// One ordered list of steps: what is printed is what is applied. Every prefix of it is a state from
/// which `up` goes on, and between any two steps no packet passes that neither the old nor the new
/// configuration allows.
pub(super) struct Plan {
    pub(super) interface: InterfaceName,
    pub(super) listen_port: u16,
    pub(super) observed: Observed,
    pub(super) steps: Vec<Step>,
    contested: Vec<Contested>,
}

/// An address of the host that a peer would own.
struct Contested {
    address: IpAddr,
    network: IpNet,
    peer: PeerName,
}

impl Plan {
    /// Compares what is running, and the routes of the main table, with what is desired.
    ///
    /// # Errors
    /// Something that has to be known could not be observed; the configuration is invalid on this
    /// host.
    pub(super) fn new(desired: &Desired<'_>, running: Running, routes: &[Route]) -> Result<Self> {
        let relay = desired.relay;
        let interface = &relay.interface;
        let Running { link, device, datapath: observed, fence, guard, has_pins, .. } = running;
        let link_changes = link::plan(interface, relay.mtu, desired.mark, link.as_ref())?;
        let (up, link_changes): (Vec<_>, Vec<_>) =
            link_changes.into_iter().partition(|change| matches!(change, LinkChange::Up { .. }));

        let (private_key, is_new) = desired.private_key();
        let wireguard::Plan { narrow, widen } =
            wireguard::plan(&desired.wireguard(private_key)?, device.as_ref());
        let public_key = private_key.public_key();
        let is_other = device.as_ref().and_then(|device| device.public_key) != Some(public_key);
        let guard = guard.plan(relay, Rekeyed { public_key, is_new: is_other });

        let observed = observed?;
        let (stale, kept): (Vec<_>, Vec<_>) =
            observed.repairs().into_iter().partition(|repair| matches!(repair, Repair::Detach(_)));
        let slots = Slots::assign(&relay.peers, &observed.slots)?;
        let host_addresses = &desired.host_addresses;
        let sources = Sources { relay, host_addresses, slots: slots.as_slice() };
        let contested = contested(&sources);
        let compiled = policy::compile(&sources)?;
        let switch = !observed.carries_out(&compiled, &slots);

        let is_fence_wrong = match (fence, relay.fence) {
            (Ok(FenceState::Intact), true) | (Ok(FenceState::Absent), false) => false,
            (Ok(_), _) => true,
            // Without netfilter there is no fence to take down.
            (Err(NetError::NetfilterMissing { .. }), false) => false,
            (Err(error), _) => return Err(error.into()),
        };
        let table = fence::table_name(interface);
        let observed_addresses = link.as_ref().map_or(&[][..], |link| &link.addresses);
        let addresses = address::plan(interface, &relay.addresses, observed_addresses);
        let desired_routes = route::desired(relay);
        let routes = route::plan(interface, &desired_routes, routes)?;

        let mut steps = Vec::new();
        // Before the interface, so that it never exists without.
        if is_fence_wrong && relay.fence {
            steps.push(Step::PutUpFence { table: table.clone(), fence: desired::fence(relay) });
        }
        steps.extend(link_changes.into_iter().map(Step::Link));
        // After the link, so that a host without WireGuard keeps no key of a relay it cannot run.
        if is_new {
            let path = relay.private_key_file.clone();
            steps.push(Step::WritePrivateKey { path, key: private_key.clone() });
        }
        if !narrow.is_empty() {
            steps.push(Step::Narrow(narrow));
        }
        // Before the policy, so that the next generation goes on counting there.
        if !kept.is_empty() {
            steps.push(Step::KeepCounters(kept));
        }
        if switch {
            let number = observed.next_number();
            steps.push(Step::Policy { compiled: Box::new(compiled), slots, number, has_pins });
        }
        // After the policy, so that there is no moment without any program.
        if !stale.is_empty() {
            steps.push(Step::Detach(stale));
        }
        if !widen.is_empty() {
            steps.push(Step::Widen(widen));
        }
        // Right after the key: with the old one the guard drops every handshake for the new one.
        if guard.lines().next().is_some() {
            steps.push(Step::Guard(guard));
        }
        // With its last address of a family an interface loses that family's routes.
        let loses_routes = !addresses.is_empty();
        if !addresses.is_empty() {
            let desired = relay.addresses.clone();
            steps.push(Step::Addresses { changes: addresses, desired });
        }
        steps.extend(up.into_iter().map(Step::Link));
        if !routes.is_empty() || loses_routes {
            steps.push(Step::Routes { changes: routes, desired: desired_routes });
        }
        if is_fence_wrong && !relay.fence {
            steps.push(Step::TakeDownFence { table });
        }
        let (interface, listen_port) = (interface.clone(), relay.listen_port);
        Ok(Self { interface, listen_port, observed, steps, contested })
    }

    /// A line for each change, in the order of application.
    pub(super) fn lines(&self) -> Vec<String> {
        self.steps.iter().flat_map(Step::lines).collect()
    }

    /// The lines of what differs without anybody having edited the policy.
    pub(super) fn drift(&self) -> Vec<String> {
        self.steps.iter().filter(|step| step.is_drift()).flat_map(Step::lines).collect()
    }

    /// Whether WireGuard is yet to open its port.
    pub(super) fn opens_port(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Link(LinkChange::Up { .. })))
    }

    /// Whether it creates the interface.
    pub(super) fn creates_interface(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Link(LinkChange::Create { .. })))
    }

    /// Whether it puts another policy in force.
    pub(super) fn changes_policy(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Policy { .. }))
    }

    /// The first IPv6 address or route that it adds.
    pub(super) fn first_ipv6(&self) -> Option<IpNet> {
        let added = self.steps.iter().flat_map(|step| match step {
            Step::Addresses { changes, .. } => changes.iter().filter_map(added_address).collect(),
            Step::Routes { changes, .. } => changes.iter().filter_map(added_route).collect(),
            _ => Vec::new(),
        });
        added.into_iter().find(|network| network.addr().is_ipv6())
    }

    /// A sentence for each address of the host inside a peer's network.
    pub(super) fn contested(&self) -> impl Iterator<Item = String> {
        self.contested.iter().map(|Contested { address, network, peer }| {
            format!(
                "{address} is an address of the host inside {network} of {peer}: `relay up` gives it to \
                 the host; to give it to {peer}, remove it from the host or narrow the routes of {peer}"
            )
        })
    }
}

fn added_address(change: &AddressChange) -> Option<IpNet> {
    match change {
        AddressChange::Add { address, .. } => Some(*address),
        AddressChange::Remove { .. } => None,
    }
}

fn added_route(change: &RouteChange) -> Option<IpNet> {
    match change {
        RouteChange::Add { destination, .. } => Some(*destination),
        RouteChange::Remove { .. } => None,
    }
}

/// The host's addresses among the peers', each with the network that holds it.
fn contested(sources: &Sources<'_>) -> Vec<Contested> {
    let of_peer = |address: IpAddr| {
        let (_, peer) = sources.relay.owner(address)?;
        let holding = peer.owned().filter(|network| network.contains(&address));
        let network = holding.max_by_key(IpNet::prefix_len)?;
        Some(Contested { address, network, peer: peer.name.clone() })
    };
    sources.contested().into_iter().filter_map(of_peer).collect()
}
