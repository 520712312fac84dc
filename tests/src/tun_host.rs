//! A relay on a TUN interface: its programs are attached, and packets are written to them.

use std::collections::BTreeMap;

use anyhow::Result;
use relay::{
    datapath::{Datapath, DatapathError, Observed, Slots},
    model::Relay,
    policy::{self, Compiled, Sources},
};

use crate::{Namespace, deadline, guard::bed::Bed, inner::Inner, observed::observe, tun::Tun};

/// Its interface.
const INTERFACE: &str = "relay0";

/// A relay on a TUN interface.
pub struct TunHost<'a> {
    place: &'a Namespace,
    datapath: &'a Datapath,
    tun: Tun,
    /// The policy that it began with.
    pub in_force: (Compiled, Slots),
}

impl<'a> TunHost<'a> {
    /// Brings a policy up.
    pub fn up(bed: &'a Bed, policy: &Relay) -> Result<Self> {
        let (place, datapath) = (&bed.relay, &bed.datapath);
        let tun = Tun::create(place, INTERFACE)?;
        // The host sends nothing of its own.
        place.set_sysctl(&format!("ipv6/conf/{INTERFACE}/disable_ipv6"), 1)?;
        place.ip_batch(&format!("link set {INTERFACE} mtu 1420 up\n"))?;
        let in_force = compile(policy, &observe(place, datapath, INTERFACE)?)?;
        let mut host = Self { place, datapath, tun, in_force };
        host.switch_to(&host.in_force)?;
        // From now on no slot of it is new.
        host.in_force = host.compile(policy)?;
        Ok(host)
    }

    /// What is attached and pinned.
    pub fn observe(&self) -> Result<Observed> {
        observe(self.place, self.datapath, INTERFACE)
    }

    /// Does something with its datapath, in its namespace.
    pub fn enter<T: Send>(
        &self,
        work: impl FnOnce(&Datapath) -> Result<T, DatapathError> + Send,
    ) -> Result<T> {
        Ok(self.place.enter(|| work(self.datapath))??)
    }

    /// A policy with the slots that its peers would have.
    pub fn compile(&self, policy: &Relay) -> Result<(Compiled, Slots)> {
        compile(policy, &self.observe()?)
    }

    /// Puts a policy in force.
    pub fn switch(&self, policy: &Relay) -> Result<()> {
        self.switch_to(&self.compile(policy)?)
    }

    /// The same of a compiled one.
    pub fn switch_to(&self, (policy, slots): &(Compiled, Slots)) -> Result<()> {
        let observed = self.observe()?;
        let (number, nothing) = (observed.next_number(), BTreeMap::new());
        self.enter(|datapath| datapath.switch(policy, slots, &observed, number, &nothing))
    }

    /// Writes a packet to the interface, as from a peer.
    pub fn send(&self, inner: &Inner) -> Result<()> {
        self.tun.write(inner.bytes())
    }

    /// The next packet that it has sent, if any.
    pub fn sent(&self) -> Result<Option<Vec<u8>>> {
        self.tun.read()
    }

    /// Whether the packet leaves again. One that does not is counted as dropped.
    pub fn passes(&self, inner: &Inner) -> Result<bool> {
        let dropped = || -> Result<u64> {
            let (slots, counters) = self.enter(|datapath| {
                let slots = datapath.slots()?;
                let counters = datapath.counters(&slots)?;
                Ok((slots, counters))
            })?;
            Ok(slots.values().flat_map(|slot| counters.of(*slot).1).sum())
        };
        let before = dropped()?;
        while self.tun.read()?.is_some() {}
        self.send(inner)?;
        let relayed = inner.clone().with_ttl(63);
        deadline::until("the packet", || {
            if let Some(packet) = self.tun.read()? {
                // Of a dropped one an ICMP error leaves.
                return Ok(Some(packet == relayed.bytes()));
            }
            Ok((dropped()? > before).then_some(false))
        })
    }
}

fn compile(relay: &Relay, observed: &Observed) -> Result<(Compiled, Slots)> {
    let slots = Slots::assign(relay, &observed.slots)?;
    let sources = Sources { relay, host_addresses: &[], slots: slots.as_slice() };
    let compiled = policy::compile(&sources, slots.rules())?;
    Ok((compiled, slots))
}
