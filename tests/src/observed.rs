//! What the kernel has of a relay in a network namespace.

use anyhow::Result;
use relay::{
    datapath::{Datapath, Observed},
    engine,
    net::{self, classifier, link},
};

use crate::Namespace;

/// Observes the hooks of an interface, filters of a clsact qdisc too, and what is pinned.
pub fn observe(place: &Namespace, datapath: &Datapath, interface: &str) -> Result<Observed> {
    let interface = interface.parse()?;
    let classifiers = place.enter(|| {
        engine::block_on(async {
            let handle = net::connect()?;
            let link = link::read(&handle, &interface).await?;
            let index = link.map_or(0, |link| link.index);
            Ok(classifier::read(&handle, index).await?)
        })
    })??;
    Ok(place.enter(|| datapath.observe(datapath.hooks(&classifiers)?))??)
}
