//! The guard on the underlay: where it is desired, where it is, and what differs.

mod change;
mod plan;
#[cfg(test)]
mod tests;

pub(super) use change::Rekeyed;
pub(super) use plan::{GuardFailure, GuardPlan};

use super::{Result, chain};
use crate::{
    datapath::{Datapath, DatapathError, GuardAttempt, GuardHook, XdpMode},
    model::Relay,
    net::{
        Handle,
        underlay::{self, Chosen},
    },
    stats::{Guarded, Unanswered},
};

/// Where the guard is and where it is desired.
pub(super) struct Guarding {
    /// Where it is desired.
    pub(super) chosen: Chosen,
    /// Those interfaces, then the others that it is still attached to.
    pub(super) hooks: Result<Vec<GuardHook>, DatapathError>,
}

/// Handshakes without a session, in the form that is shown.
pub(super) fn unanswered(attempts: &[GuardAttempt]) -> Vec<Unanswered> {
    let shown = attempts.iter().map(|attempt| Unanswered {
        source: attempt.source,
        initiations: attempt.initiations,
        first_seconds: attempt.first.as_secs(),
        last_seconds: attempt.last.as_secs(),
    });
    shown.collect()
}

impl Guarding {
    /// Reads the underlay.
    ///
    /// # Errors
    /// The kernel does not list links and routes.
    pub(super) async fn observe(
        handle: &Handle,
        relay: &Relay,
        datapath: &Datapath,
    ) -> Result<Self> {
        if relay.guard.is_none() && !datapath.exists() {
            return Ok(Self { chosen: Chosen::default(), hooks: Ok(Vec::new()) });
        }
        let found = underlay::read(handle).await?;
        let chosen = relay.guard.as_ref().map_or_else(Chosen::default, |guard| {
            underlay::choose(&guard.interfaces, &relay.interface, &found)
        });
        let desired: Vec<&str> = chosen.interfaces.iter().map(String::as_str).collect();
        let programs: Vec<_> = found.iter().filter_map(|one| one.xdp.clone()).collect();
        let hooks = datapath.guards(&desired, &programs);
        Ok(Self { chosen, hooks })
    }

    /// What keeps it from where it is desired, each with a remedy.
    pub(super) fn obstacles(&self) -> Vec<String> {
        let unusable = self.chosen.unusable.iter().map(|error| chain(error));
        let desired = self.hooks().iter().filter(|hook| self.wants(hook));
        let obstructed = desired.filter_map(|hook| {
            let (interface, obstacle) = (hook.interface.clone(), hook.obstacle.clone()?);
            Some(DatapathError::Obstructed { interface, obstacle }.to_string())
        });
        let unread = self.hooks.as_ref().err().map(|error| chain(error));
        unusable.chain(obstructed).chain(unread).collect()
    }

    /// Each interface and how the guard is attached to it.
    pub(super) fn shown(&self) -> Vec<Guarded> {
        let shown = self.hooks().iter().map(|hook| Guarded {
            interface: hook.interface.clone(),
            attached: hook.mode.map_or("none", XdpMode::label),
        });
        shown.collect()
    }

    /// Compares what is observed with what the relay asks for. An interface with an obstacle stays as
    /// it is, and so do all of them if they cannot be read.
    pub(super) fn plan(self, relay: &Relay, key: Rekeyed) -> GuardPlan {
        let Self { chosen: Chosen { interfaces, .. }, hooks } = self;
        GuardPlan::new(relay, &key, &interfaces, hooks.unwrap_or_default())
    }

    fn hooks(&self) -> &[GuardHook] {
        self.hooks.as_deref().unwrap_or_default()
    }

    fn wants(&self, hook: &GuardHook) -> bool {
        self.chosen.interfaces.contains(&hook.interface)
    }
}
