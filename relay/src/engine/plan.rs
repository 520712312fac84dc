//! What `relay up` does: the steps from what is observed to what is desired, in order.

use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::{
    Result,
    desired::{self, Desired},
    guard::{GuardPlan, Rekeyed},
    mesh::transit::{SeenTransit, TransitPlan},
    observe::Running,
    step::Step,
};
use crate::{
    datapath::{Observed, Repair, Retimed, Slots, Trial},
    model::{InterfaceName, Mesh, PeerName, PrivateKey},
    net::{
        address::{self, AddressChange},
        fence::{self, Fence},
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

/// What differs, part by part.
struct Differences {
    /// Name of the fence's table.
    table: String,
    /// The fence that is to be put up.
    fence: Option<Fence>,
    takes_down_fence: bool,
    link: Vec<LinkChange>,
    /// The private key that is to be written, and where.
    key_file: Option<(PathBuf, PrivateKey)>,
    wireguard: wireguard::Plan,
    repairs: Vec<Repair>,
    policy: Option<Step>,
    guard: GuardPlan,
    /// Changes, and the addresses that are desired.
    addresses: (Vec<AddressChange>, Vec<IpNet>),
    /// Changes, and the destinations that are desired.
    routes: (Vec<RouteChange>, Vec<IpNet>),
    transits: TransitPlan,
    mesh: Option<Mesh>,
}

/// An address of the host that a peer would own.
struct Contested {
    address: IpAddr,
    network: IpNet,
    peer: PeerName,
}

impl Plan {
    /// Compares what is running, the tunnels to other relays, and the routes of the main table with what
    /// is desired.
    ///
    /// # Errors
    /// Something that has to be known could not be observed; the configuration is invalid on this
    /// host.
    pub(super) fn new(
        desired: &Desired<'_>,
        running: Running,
        transits: &[SeenTransit],
        routes: &[Route],
    ) -> Result<Self> {
        let relay = desired.relay;
        let interface = &relay.interface;
        let Running { link, device, datapath: observed, fence, guard, has_pins, .. } = running;
        let link_changes = link::plan(interface, relay.mtu, desired.mark, link.as_ref())?;

        let (private_key, is_new) = desired.private_key();
        let wireguard = wireguard::plan(&desired.wireguard(private_key)?, device.as_ref());
        let public_key = private_key.public_key();
        let is_other = device.as_ref().and_then(|device| device.public_key) != Some(public_key);
        let guard = guard.plan(relay, Rekeyed { public_key, is_new: is_other });

        let observed = observed?;
        let slots = Slots::assign(relay, &observed.slots)?;
        let host_addresses = &desired.host_addresses;
        let sources = Sources { relay, host_addresses, slots: slots.as_slice() };
        let contested = contested(&sources);
        let compiled = policy::compile(&sources, slots.rules())?;
        let is_in_force = observed.carries_out(&compiled, &slots);
        let ends_trial = observed.trial() == Trial::Running;
        let is_unpaired = observed.trial() == Trial::Broken && observed.compares() && is_in_force;
        let retimed = observed.retimed().filter(|_| is_in_force && relay.has_ends());

        let is_fence_wrong = !desired::is_fence_desired(fence, relay)?;
        let observed_addresses = link.as_ref().map_or(&[][..], |link| &link.addresses);
        let addresses = address::plan(interface, &relay.addresses, observed_addresses);
        let transits = TransitPlan::new(&desired.transits(), transits, link.as_ref(), routes)?;
        let desired_routes = route::desired(relay);
        let routes = route::plan(interface, &desired_routes, routes)?;

        let differences = Differences {
            table: fence::table_name(interface),
            fence: (is_fence_wrong && relay.fence).then(|| desired::fence(relay)),
            takes_down_fence: is_fence_wrong && !relay.fence,
            link: link_changes,
            key_file: is_new.then(|| (relay.private_key_file.clone(), private_key.clone())),
            wireguard,
            repairs: observed.repairs(),
            policy: (!is_in_force || retimed.is_some() || is_unpaired).then(|| Step::Policy {
                compiled: Box::new(compiled),
                slots,
                number: observed.next_number(),
                has_pins,
                retimed,
                is_unpaired,
                ends_trial,
            }),
            guard,
            addresses: (addresses, relay.addresses.clone()),
            routes: (routes, desired_routes),
            transits,
            mesh: relay.mesh.clone(),
        };
        let (interface, listen_port) = (interface.clone(), relay.listen_port);
        Ok(Self { interface, listen_port, observed, steps: differences.in_order(), contested })
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
        let changes =
            |step: &Step| matches!(step, Step::Policy { retimed: None, is_unpaired: false, .. });
        self.steps.iter().any(changes)
    }

    /// Why rules do not end when `until` says, if it puts the policy in force again only for that.
    pub(super) fn retimed(&self) -> Option<Retimed> {
        self.steps
            .iter()
            .find_map(|step| if let Step::Policy { retimed, .. } = step { *retimed } else { None })
    }

    /// The first IPv6 address or route that it adds.
    pub(super) fn first_ipv6(&self) -> Option<IpNet> {
        let added = self.steps.iter().flat_map(|step| -> Vec<IpNet> {
            if let Step::Addresses { changes, .. } = step {
                changes.iter().filter_map(added_address).collect()
            } else if let Step::Routes { changes, .. } = step {
                changes.iter().filter_map(added_route).collect()
            } else {
                Vec::new()
            }
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

impl Differences {
    /// The steps in the order of application.
    fn in_order(self) -> Vec<Step> {
        let is_up = |change: &LinkChange| matches!(change, LinkChange::Up { .. });
        let (up, link): (Vec<_>, Vec<_>) = self.link.into_iter().partition(is_up);
        let is_stale = |repair: &Repair| matches!(repair, Repair::Detach(_) | Repair::Trial);
        let (stale, kept): (Vec<_>, Vec<_>) = self.repairs.into_iter().partition(is_stale);
        let wireguard::Plan { narrow, widen } = self.wireguard;
        let mut steps = Vec::new();
        // Before the interface, so that it never exists without.
        steps.extend(self.fence.map(|fence| Step::PutUpFence { table: self.table.clone(), fence }));
        steps.extend(link.into_iter().map(Step::Link));
        // After the link, so that a host without WireGuard keeps no key of a relay it cannot run.
        steps.extend(self.key_file.map(|(path, key)| Step::WritePrivateKey { path, key }));
        steps.extend((!narrow.is_empty()).then_some(Step::Narrow(narrow)));
        let TransitPlan { gone, tunnels } = self.transits;
        // Before the policy, which does not know what comes from there any more.
        steps.extend((!gone.is_empty()).then_some(Step::RemoveTransits(gone)));
        // Before the policy, so that the next generation goes on counting there.
        steps.extend((!kept.is_empty()).then_some(Step::KeepCounters(kept)));
        steps.extend(self.policy);
        // After the policy, so that there is no moment without any program.
        steps.extend((!stale.is_empty()).then_some(Step::Detach(stale)));
        steps.extend((!widen.is_empty()).then_some(Step::Widen(widen)));
        // Right after the key: with the old one the guard drops every handshake for the new one.
        steps.extend((!self.guard.is_empty()).then_some(Step::Guard(self.guard)));
        let (changes, desired) = self.addresses;
        // With its last address of a family an interface loses that family's routes.
        let loses_routes = !changes.is_empty();
        steps.extend((!changes.is_empty()).then_some(Step::Addresses { changes, desired }));
        steps.extend(up.into_iter().map(Step::Link));
        let (changes, desired) = self.routes;
        let has_routes = loses_routes || !changes.is_empty();
        steps.extend(has_routes.then_some(Step::Routes { changes, desired }));
        // After the policy that knows what comes from there, and the interface that it goes on to.
        let mesh = self.mesh.filter(|_| !tunnels.is_empty());
        steps.extend(mesh.map(|mesh| Step::Transits { mesh, tunnels }));
        steps.extend(self.takes_down_fence.then_some(Step::TakeDownFence { table: self.table }));
        steps
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

#[cfg(test)]
mod tests;
