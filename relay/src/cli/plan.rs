//! What `relay up` will do: everything observed, compared and put in order, before anything is
//! touched.

use std::{net::IpAddr, path::PathBuf};

use anyhow::Result;

use super::{
    guard::{GuardFailure, GuardPlan, Rekeyed},
    running::{self, Running},
};
use crate::{
    config::{Loaded, Secrets, create_private_key},
    datapath::{Datapath, Observed, Slots},
    model::{InterfaceName, PeerName, PrivateKey, Relay},
    net::{
        self, Handle,
        address::{self, AddressChange},
        fence::{self, Fence, FenceState},
        link::{self, LinkChange},
        route::{self, RouteChange},
    },
    policy::{self, Compiled, Sources},
    wireguard::{self, Desired, DesiredPeer},
};

/// Everything that differs, in the order of its application:
/// fence → link (down) → narrow WireGuard → counters → policy → stale programs → widen WireGuard →
/// guard → addresses → up → routes.
/// At no moment does a packet pass that neither the old nor the new configuration allows.
pub(super) struct Plan {
    interface: InterfaceName,
    listen_port: u16,
    key_file: Option<(PathBuf, PrivateKey)>,
    fence: Option<FenceChange>,
    link: Vec<LinkChange>,
    creates: bool,
    had_pins: bool,
    wireguard: wireguard::Plan,
    observed: Observed,
    policy: Option<PolicyChange>,
    contested: Vec<Contested>,
    guard: GuardPlan,
    addresses: Vec<AddressChange>,
    desired_addresses: Vec<ipnet::IpNet>,
    routes: Vec<RouteChange>,
    desired_routes: Vec<ipnet::IpNet>,
    datapath: Datapath,
}

enum FenceChange {
    PutUp(Fence),
    TakeDown,
}

/// An address of the host that a peer would own.
struct Contested {
    address: IpAddr,
    network: ipnet::IpNet,
    peer: PeerName,
}

struct PolicyChange {
    compiled: Compiled,
    slots: Slots,
    number: u64,
}

impl Plan {
    /// Compares what is running with the configuration, whose mark the interface gets. Touches
    /// nothing.
    pub(super) async fn make(
        handle: &Handle,
        loaded: &Loaded,
        secrets: &Secrets,
        mark: &str,
        datapath: Datapath,
        running: Running,
    ) -> Result<Self> {
        let relay = &loaded.relay;
        let interface = &relay.interface;
        let Running { link, device, datapath: observed, fence, guard, .. } = running;
        let link_changes = link::plan(interface, relay.mtu, mark, link.as_ref())?;

        let new_key = match secrets.private_key() {
            Some(_) => None,
            None => Some(PrivateKey::generate()?),
        };
        let private_key = new_key.as_ref().or(secrets.private_key());
        let private_key = private_key.ok_or_else(|| anyhow::anyhow!("no private key"))?;
        let wireguard = wireguard::plan(
            &Desired::new(private_key, relay.listen_port, peers(relay, secrets))?,
            device.as_ref(),
        );
        let public_key = private_key.public_key();
        let is_new = device.as_ref().and_then(|device| device.public_key) != Some(public_key);
        let guard = guard.plan(relay, Rekeyed { public_key, is_new });

        let observed = observed?;
        let slots = Slots::assign(&relay.peers, &observed.slots)?;
        let host_addresses = host_addresses(handle, interface).await?;
        let sources = Sources { relay, host_addresses: &host_addresses, slots: slots.as_slice() };
        let contested = contested(&sources);
        let compiled = policy::compile(&sources)?;
        let policy = (!observed.carries_out(&compiled, &slots)).then(|| PolicyChange {
            compiled,
            slots,
            number: observed.next_number(),
        });

        let fence = match (fence, relay.fence) {
            (Ok(FenceState::Intact), true) | (Ok(FenceState::Absent), false) => None,
            (Ok(_), true) => Some(FenceChange::PutUp(running::fence(relay))),
            (Ok(_), false) => Some(FenceChange::TakeDown),
            // Where there is no netfilter there is no fence to take down.
            (Err(net::NetError::NetfilterMissing { .. }), false) => None,
            (Err(error), _) => return Err(error.into()),
        };
        let desired_routes = route::desired(relay);
        Ok(Self {
            interface: interface.clone(),
            listen_port: relay.listen_port,
            key_file: new_key.map(|key| (relay.private_key_file.clone(), key)),
            fence,
            creates: link.is_none(),
            had_pins: datapath.exists(),
            link: link_changes,
            wireguard,
            observed,
            policy,
            contested,
            guard,
            addresses: address::plan(
                interface,
                &relay.addresses,
                link.as_ref().map_or(&[], |link| &link.addresses),
            ),
            desired_addresses: relay.addresses.clone(),
            routes: route::plan(interface, &desired_routes, &route::read(handle).await?)?,
            desired_routes,
            datapath,
        })
    }

    /// Whether WireGuard has yet to take its port.
    pub(super) fn takes_port(&self) -> bool {
        self.link.iter().any(|change| matches!(change, LinkChange::Up { .. }))
    }

    /// The first address or route of IPv6 that is to be added.
    pub(super) fn first_ipv6(&self) -> Option<ipnet::IpNet> {
        let addresses = self.addresses.iter().filter_map(|change| match change {
            AddressChange::Add { address, .. } => Some(*address),
            AddressChange::Remove { .. } => None,
        });
        let routes = self.routes.iter().filter_map(|change| match change {
            RouteChange::Add { destination, .. } => Some(*destination),
            RouteChange::Remove { .. } => None,
        });
        addresses.chain(routes).find(|net| net.addr().is_ipv6())
    }

    /// A line for each change, in order.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let table = fence::table_name(&self.interface);
        match &self.fence {
            Some(FenceChange::PutUp(_)) => lines.push(format!("+ fence inet {table}")),
            Some(FenceChange::TakeDown) | None => {}
        }
        let (up, links): (Vec<_>, Vec<_>) =
            self.link.iter().partition(|change| matches!(change, LinkChange::Up { .. }));
        lines.extend(links.iter().map(ToString::to_string));
        if let Some((path, _)) = &self.key_file {
            lines.push(format!("+ private key file {}", path.display()));
        }
        lines.extend(self.wireguard.narrow.iter().map(ToString::to_string));
        if let Some(policy) = &self.policy {
            let sign = if policy.number == 1 { '+' } else { '~' };
            lines.push(format!("{sign} policy generation {}", policy.number));
        }
        lines.extend(self.observed.repairs().iter().map(ToString::to_string));
        lines.extend(self.wireguard.widen.iter().map(ToString::to_string));
        lines.extend(self.guard.lines());
        lines.extend(self.addresses.iter().map(ToString::to_string));
        lines.extend(up.iter().map(ToString::to_string));
        lines.extend(self.routes.iter().map(ToString::to_string));
        if let Some(FenceChange::TakeDown) = self.fence {
            lines.push(format!("- fence inet {table}"));
        }
        lines
    }

    /// What differs of WireGuard, the guard, addresses, routes and the link, whether or not the
    /// policy and the fence do.
    pub(super) fn drift(&self) -> Vec<String> {
        let wireguard = self.wireguard.narrow.iter().chain(&self.wireguard.widen);
        // Another alias opens and closes nothing.
        let link = self.link.iter().filter(|change| !matches!(change, LinkChange::Alias { .. }));
        let mut lines: Vec<_> = link.map(ToString::to_string).collect();
        lines.extend(wireguard.map(ToString::to_string));
        lines.extend(self.guard.lines());
        lines.extend(self.addresses.iter().map(ToString::to_string));
        lines.extend(self.routes.iter().map(ToString::to_string));
        lines
    }

    /// A sentence for each address of the host inside a peer's network.
    pub(super) fn contested(&self) -> impl Iterator<Item = String> {
        self.contested.iter().map(|Contested { address, network, peer }| {
            format!(
                "{address} is an address of the host inside {network} of {peer}: `relay up` gives it to \
                 the host; remove the address, or narrow the routes of {peer}, to give it to {peer}"
            )
        })
    }

    /// Whether another policy is to be put in force.
    pub(super) fn changes_policy(&self) -> bool {
        self.policy.is_some()
    }

    /// Carries the plan out. An interface that this call created is taken down again when a later
    /// step fails, so that nothing half done is left. The guard, which the relay works without, is no
    /// such step: what of it could not be changed is given back.
    pub(super) async fn apply(self, handle: &Handle) -> Result<Vec<GuardFailure>> {
        let outcome = self.carry_out(handle).await;
        if outcome.is_err() && self.creates {
            let undo = async {
                link::delete(handle, &self.interface).await?;
                // Counters of a relay whose interface somebody deleted are not half done.
                if !self.had_pins {
                    self.datapath.remove()?;
                }
                if matches!(self.fence, Some(FenceChange::PutUp(_))) {
                    fence::take_down(&self.interface)?;
                }
                anyhow::Ok(())
            };
            if let Err(error) = undo.await {
                tracing::warn!("{}: could not be undone: {error:#}", self.interface);
            }
        }
        outcome
    }

    async fn carry_out(&self, handle: &Handle) -> Result<Vec<GuardFailure>> {
        let interface = &self.interface;
        if let Some(FenceChange::PutUp(fence)) = &self.fence {
            fence::put_up(fence)?;
        }
        for change in &self.link {
            match change {
                LinkChange::Create { mtu, alias, .. } => {
                    link::create(handle, interface, *mtu).await?;
                    link::set_alias(handle, interface, alias).await?;
                }
                LinkChange::Alias { alias, .. } => {
                    link::set_alias(handle, interface, alias).await?;
                }
                LinkChange::Mtu { mtu, .. } => link::set_mtu(handle, interface, *mtu).await?,
                LinkChange::Up { .. } => {}
            }
        }
        // After the link, so that a host without WireGuard keeps no key of a relay it cannot run.
        if let Some((path, key)) = &self.key_file {
            create_private_key(path, key)?;
        }
        wireguard::apply(interface, &self.wireguard.narrow)?;
        self.datapath.keep_counters(&self.observed)?;
        if let Some(PolicyChange { compiled, slots, number }) = &self.policy {
            self.datapath.switch(compiled, slots, &self.observed, *number)?;
        }
        self.datapath.detach_twins(&self.observed)?;
        wireguard::apply(interface, &self.wireguard.widen)?;
        // At once, since with another key it drops what the new one makes right.
        let failures = self.guard.apply(&self.datapath);
        if !self.addresses.is_empty() {
            address::apply(handle, interface, &self.desired_addresses).await?;
        }
        if self.takes_port() {
            link::set_up(handle, interface, self.listen_port).await?;
        }
        // Without its last address of a family an interface loses that family's routes too.
        if !self.routes.is_empty() || !self.addresses.is_empty() {
            route::apply(handle, interface, &self.desired_routes).await?;
        }
        if let Some(FenceChange::TakeDown) = self.fence {
            fence::take_down(interface)?;
        }
        Ok(failures)
    }
}

/// The policy of a configuration on this host, with the slots that its peers have or get.
pub(super) async fn policy(
    handle: &Handle,
    relay: &Relay,
    observed: &Observed,
) -> Result<(Compiled, Slots)> {
    let slots = Slots::assign(&relay.peers, &observed.slots)?;
    let host_addresses = host_addresses(handle, &relay.interface).await?;
    let sources = Sources { relay, host_addresses: &host_addresses, slots: slots.as_slice() };
    Ok((policy::compile(&sources)?, slots))
}

/// The host's addresses, less those that are refused whoever has them, and those of the relay's
/// interface: they are what the configuration says, whatever it has at the moment.
pub(super) async fn host_addresses(
    handle: &Handle,
    interface: &InterfaceName,
) -> Result<Vec<IpAddr>> {
    let mut addresses = net::host_addresses_beside(handle, interface).await?;
    addresses.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    });
    Ok(addresses)
}

/// The host's addresses among the peers', each with the network that holds it.
fn contested(sources: &Sources<'_>) -> Vec<Contested> {
    let of_peer = |address: IpAddr| {
        let (_, peer) = sources.relay.owner(address)?;
        let holding = peer.owned().filter(|network| network.contains(&address));
        let network = holding.max_by_key(ipnet::IpNet::prefix_len)?;
        Some(Contested { address, network, peer: peer.name.clone() })
    };
    sources.contested().into_iter().filter_map(of_peer).collect()
}

fn peers(relay: &Relay, secrets: &Secrets) -> Vec<DesiredPeer> {
    let peers = relay.enabled().map(|peer| DesiredPeer {
        name: peer.name.clone(),
        public_key: peer.public_key,
        preshared_key: secrets.preshared_key(peer).cloned(),
        allowed_ips: peer.owned().collect(),
    });
    peers.collect()
}
