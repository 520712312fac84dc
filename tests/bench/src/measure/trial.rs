//! A relay beside whose policy an equal candidate is tried.

use std::collections::BTreeMap;

use anyhow::Result;
use relay::{
    datapath::{Datapath, Slots},
    model::Relay,
    policy::{Sources, compile},
};

use super::layer::{INTERFACE, fence};
use relay_tests::{Namespace, bpffs::Bpffs, observed::observe};

/// Brings its programs up and starts the trial. Both last as long as the pins.
pub(super) fn put_up(namespace: &Namespace, relay: &Relay) -> Result<Bpffs> {
    let bpffs = Bpffs::mount()?;
    let datapath = namespace.enter(|| Datapath::open(bpffs.path(), INTERFACE))??;
    let observed = observe(namespace, &datapath, INTERFACE)?;
    let slots = Slots::assign(relay, &observed.slots)?;
    let sources = Sources { relay, host_addresses: &[], slots: slots.as_slice() };
    let compiled = compile(&sources, slots.rules())?;
    let nothing = BTreeMap::new();
    namespace.enter(|| {
        datapath.switch(&compiled, &slots, &observed, observed.next_number(), &nothing)
    })??;
    let observed = observe(namespace, &datapath, INTERFACE)?;
    let slots = Slots::assign(relay, &observed.slots)?;
    let policy = (&compiled, &slots);
    namespace.enter(|| datapath.start_trial(policy, policy, &observed))??;
    fence(namespace, &compiled)?;
    Ok(bpffs)
}
