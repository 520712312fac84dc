use super::{
    super::chain,
    change::{GuardChange, Rekeyed, desired_mode, settings},
};
#[cfg(test)]
use crate::datapath::XdpMode;
use crate::{
    datapath::{Datapath, GuardHook, GuardPlace, GuardSettings},
    model::Relay,
};

/// What differs of the guard.
pub(in crate::engine) struct GuardPlan {
    settings: Option<GuardSettings>,
    hooks: Vec<GuardHook>,
    changes: Vec<GuardChange>,
}

/// What could not be changed.
pub(in crate::engine) struct GuardFailure {
    /// Its lines of the plan.
    pub(in crate::engine) changes: Vec<String>,
    /// Why.
    pub(in crate::engine) why: String,
}

impl GuardPlan {
    /// What turns the guard on `hooks` into the one that `relay` asks for on `interfaces`.
    pub(super) fn new(
        relay: &Relay,
        key: &Rekeyed,
        interfaces: &[String],
        hooks: Vec<GuardHook>,
    ) -> Self {
        let settings = relay.guard.as_ref().map(|guard| settings(guard, relay, &key.public_key));
        let mode = relay.guard.as_ref().and_then(|guard| desired_mode(guard.mode));
        let change = |hook: &GuardHook| match &settings {
            Some(settings) if interfaces.contains(&hook.interface) => {
                GuardChange::of(hook, settings, mode, key)
            }
            Some(_) | None => Some(GuardChange::Remove { interface: hook.interface.clone() }),
        };
        let changes = hooks.iter().filter_map(change).collect();
        Self { settings, hooks, changes }
    }

    /// Attaches and detaches alone: nothing that runs is switched.
    pub(in crate::engine) fn only_places(mut self) -> Self {
        self.changes.retain(|change| match change {
            GuardChange::Attach { .. } | GuardChange::Remove { .. } => true,
            GuardChange::Switch { .. } | GuardChange::Mode { .. } => false,
        });
        self
    }

    /// Whether nothing differs.
    pub(in crate::engine) const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// A line for each change.
    pub(in crate::engine) fn lines(&self) -> impl Iterator<Item = String> {
        self.changes.iter().map(ToString::to_string)
    }

    /// Applies what it can, and returns what it cannot. A guard that cannot be switched is detached:
    /// with another key than the relay's it drops every handshake, and the relay works without it.
    pub(in crate::engine) fn apply(&self, datapath: &Datapath) -> Vec<GuardFailure> {
        let (mut places, mut failed) = (Vec::new(), Vec::new());
        for change in &self.changes {
            match change {
                GuardChange::Remove { interface } => {
                    let removed = datapath.unguard(interface).map(drop);
                    failed.extend(removed.err().map(|error| (interface.clone(), chain(&error))));
                }
                GuardChange::Attach { interface, mode, .. }
                | GuardChange::Switch { interface, mode, .. } => {
                    places.push(GuardPlace { interface, mode: *mode });
                }
                GuardChange::Mode { interface, to, .. } => {
                    places.push(GuardPlace { interface, mode: Some(*to) });
                }
            }
        }
        if let Some(settings) = self.settings.as_ref().filter(|_| !places.is_empty()) {
            let unattached: Vec<_> = match datapath.guard(settings, &places, &self.hooks) {
                Ok(errors) => errors.iter().map(|(i, error)| (i.clone(), chain(error))).collect(),
                Err(error) => {
                    let why = chain(&error);
                    places.iter().map(|place| (place.interface.to_owned(), why.clone())).collect()
                }
            };
            failed.extend(unattached.into_iter().map(|(interface, why)| {
                let then = self.take_off(datapath, settings, &interface);
                (interface, format!("{why}{then}"))
            }));
        }
        let failures = failed.into_iter().map(|(interface, why)| self.failure(&interface, &why));
        failures.collect()
    }

    /// Detaches a guard with other settings than these, and says so.
    fn take_off(&self, datapath: &Datapath, settings: &GuardSettings, interface: &str) -> String {
        let is_stale = |hook: &&GuardHook| {
            hook.interface == interface
                && hook.mode.is_some()
                && hook.settings_hash != Some(settings.hash())
        };
        match self.hooks.iter().find(is_stale).map(|_| datapath.unguard(interface)) {
            None => String::new(),
            Some(Ok(_)) => "; the previous guard is detached".to_owned(),
            Some(Err(error)) => format!("; the previous guard stays: {}", chain(&error)),
        }
    }

    /// The hooks after everything was applied.
    #[cfg(test)]
    pub(in crate::engine) fn applied(&self) -> Vec<GuardHook> {
        let mut hooks = self.hooks.clone();
        for hook in &mut hooks {
            let of = |change: &&GuardChange| change.interface() == hook.interface;
            let mode = match self.changes.iter().find(of) {
                None => continue,
                Some(GuardChange::Remove { interface }) => {
                    *hook = GuardHook::absent(interface);
                    continue;
                }
                Some(GuardChange::Mode { to, .. }) => *to,
                Some(GuardChange::Attach { mode, .. } | GuardChange::Switch { mode, .. }) => {
                    mode.or(hook.mode).unwrap_or(XdpMode::Driver)
                }
            };
            hook.mode = Some(mode);
            hook.settings_hash = self.settings.as_ref().map(GuardSettings::hash);
            hook.is_counted = true;
        }
        hooks
    }

    fn failure(&self, interface: &str, why: &str) -> GuardFailure {
        let changes = self.changes.iter().filter(|change| change.interface() == interface);
        GuardFailure {
            changes: changes.map(ToString::to_string).collect(),
            why: format!("no guard on {interface}: {why}"),
        }
    }
}
