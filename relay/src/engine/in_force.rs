//! The configuration whose policy the kernel has.

use std::path::Path;

use super::{Result, desired, record};
use crate::{
    config::{self, Loaded, Options},
    datapath::{Observed, Slots},
    model::{InterfaceName, Relay},
    net::Handle,
    policy::Compiled,
};

/// A configuration, its policy, and the numbers of its peers and rules in the kernel.
pub(super) struct InForce {
    pub(super) relay: Relay,
    pub(super) compiled: Compiled,
    pub(super) slots: Slots,
}

impl InForce {
    /// The configuration that was brought up last, or else the one in `file`; `None` if neither gives
    /// the policy that the kernel has.
    ///
    /// # Errors
    /// The kernel does not answer, the record cannot be read, or the file is needed and invalid.
    pub(super) async fn find(
        handle: &Handle,
        interface: &InterfaceName,
        observed: &Observed,
        file: Option<&Path>,
    ) -> Result<Option<Self>> {
        if let Some(recorded) = record::read(interface)?
            && let Some(found) = Self::of(handle, interface, observed, recorded).await?
        {
            return Ok(Some(found));
        }
        let Some(file) = file else { return Ok(None) };
        let loaded = config::load(file, Options { allow_empty: true })?;
        Self::of(handle, interface, observed, loaded).await
    }

    async fn of(
        handle: &Handle,
        interface: &InterfaceName,
        observed: &Observed,
        loaded: Loaded,
    ) -> Result<Option<Self>> {
        let relay = loaded.relay;
        if relay.interface != *interface {
            return Ok(None);
        }
        let (compiled, slots) = desired::policy(handle, &relay, observed).await?;
        let is_in_force = observed.carries_out(&compiled, &slots);
        Ok(is_in_force.then_some(Self { relay, compiled, slots }))
    }
}
