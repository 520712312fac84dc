//! The configuration whose policy the kernel has.

use std::path::Path;

use super::{Classified, Context, Kind, Result, desired, record};
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

/// The policy in force is that of no known configuration.
#[derive(Debug, thiserror::Error)]
#[error(
    "{interface}: the policy in force is that of no known configuration, so that it cannot be \
     loaded again {purpose}; run `relay up` first"
)]
struct Unknown {
    interface: InterfaceName,
    purpose: &'static str,
}

impl Classified for Unknown {
    fn kind(&self) -> Kind {
        Kind::Failed
    }
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

    /// The same where it has to be known, to load the policy again for a purpose, such as `to learn`.
    ///
    /// # Errors
    /// As [`Self::find`], or neither gives the policy.
    pub(super) async fn require(
        context: &Context,
        observed: &Observed,
        file: &Path,
        purpose: &'static str,
    ) -> Result<Self> {
        let interface = &context.relay().interface;
        let found = Self::find(context.handle(), interface, observed, Some(file)).await?;
        Ok(found.ok_or_else(|| Unknown { interface: interface.clone(), purpose })?)
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
