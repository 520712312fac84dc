//! What the agent works on, which changes with the policy in force.

use std::collections::{BTreeMap, HashMap, HashSet};

use relay_common::mesh as kernel;

use super::{
    super::{Context, Result, instant::seconds, observe, record},
    homes::Roster,
    site::Site,
};
use crate::{
    config::Loaded,
    datapath::Homes,
    mesh::{Action, Ledger, Sight},
    model::{InterfaceName, Mesh, PeerName, PublicKey, Relay},
    net::link,
    wireguard::Device,
};

/// What an agent works on, of the policy in force.
pub(super) struct View {
    pub(super) generation: Option<u64>,
    pub(super) names: HashMap<PublicKey, PeerName>,
    pub(super) roster: Roster,
    pub(super) homes: Homes,
}

impl View {
    /// Of the configuration in force.
    pub(super) async fn open(
        context: &Context,
        relay: &Relay,
        mesh: &Mesh,
        own: usize,
    ) -> Result<Self> {
        let (datapath, interface) = (context.datapath(), &relay.interface);
        let generation = generation(context, interface).await?;
        let homes = datapath.homes()?.ok_or_else(|| Site::not_applied(interface))?;
        let slots = datapath.slots()?;
        let names: HashMap<_, _> =
            relay.enabled().map(|peer| (peer.public_key, peer.name.clone())).collect();
        let ways = ways(context, interface, mesh, own, Some(&slots)).await?;
        let roster = Roster::new(names.keys().copied(), slots, ways);
        Ok(Self { generation, names, roster, homes })
    }

    pub(super) fn peers(&self) -> HashSet<PublicKey> {
        self.names.keys().copied().collect()
    }

    /// What the kernel has of the peers: WireGuard's part was read before the homes.
    pub(super) fn sights(&self, device: &Device, ledger: &mut Ledger) -> Vec<Action> {
        let sights = device.peers.iter().filter_map(|peer| {
            let slot = self.roster.slot(&peer.public_key)?;
            Some(Sight {
                peer: peer.public_key,
                home: self.roster.home(self.homes.home(slot)),
                handshake: peer.latest_handshake.map_or(0, seconds),
                endpoint: peer.endpoint,
            })
        });
        ledger.look(sights)
    }
}

/// The number of the generation that decides.
pub(super) async fn generation(
    context: &Context,
    interface: &InterfaceName,
) -> Result<Option<u64>> {
    let hooks = observe::hooks(context.handle(), interface, context.datapath()).await?;
    Ok(hooks[0].generation.map(|generation| generation.number))
}

/// The configuration that was brought up, or else the one in the files.
pub(super) fn in_force(context: &Context, interface: &InterfaceName) -> Result<Relay> {
    let recorded = record::read(interface)?;
    Ok(match recorded {
        Some(Loaded { relay, .. }) => relay,
        None => context.loaded()?.relay.clone(),
    })
}

/// The ways to the relays of the site: the indices of the transit interfaces, and slots.
pub(super) async fn ways(
    context: &Context,
    interface: &InterfaceName,
    mesh: &Mesh,
    own: usize,
    slots: Option<&BTreeMap<PublicKey, u32>>,
) -> Result<Vec<kernel::Home>> {
    let mut ways = Vec::with_capacity(mesh.relays.len());
    for (place, (relay, transit)) in mesh.interfaces(interface).enumerate() {
        let link = match place == own {
            true => None,
            false => link::read(context.handle(), &transit).await?,
        };
        let slot = slots.and_then(|slots| slots.get(&relay.public_key).copied());
        ways.push(kernel::Home {
            interface: link.map_or(0, |link| link.index),
            slot: slot.unwrap_or(0),
        });
    }
    Ok(ways)
}
