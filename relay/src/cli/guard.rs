//! The guard on the underlay: where it is wanted, what there is of it, and what differs.

use std::fmt;

use anyhow::Result;
use ipnet::IpNet;

use super::exit::{self, chain};
use crate::{
    datapath::{
        Datapath, DatapathError, GuardAttempt, GuardHook, GuardPlace, GuardSettings, XdpMode,
        XdpProgram,
    },
    model::{Guard, GuardMode, PublicKey, Relay},
    net::{
        Handle,
        underlay::{self, Chosen, Interface},
    },
    stats::{Guarded, Unanswered},
};

/// The guard as it is, and where it is to be.
pub(super) struct Guarding {
    /// Where it is wanted.
    pub(super) chosen: Chosen,
    /// Those interfaces, then all others that it is left over on.
    pub(super) hooks: Result<Vec<GuardHook>, DatapathError>,
}

/// Handshakes without a session, as they are shown.
pub(super) fn unanswered(attempts: &[GuardAttempt]) -> Vec<Unanswered> {
    let shown = attempts.iter().map(|attempt| Unanswered {
        source: attempt.source,
        initiations: attempt.initiations,
        first_seconds: attempt.first.as_secs(),
        last_seconds: attempt.last.as_secs(),
    });
    shown.collect()
}

/// What turns one into the other.
pub(super) struct GuardPlan {
    settings: Option<GuardSettings>,
    hooks: Vec<GuardHook>,
    changes: Vec<GuardChange>,
}

/// One change. Its text is a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GuardChange {
    /// It is attached where there is none; `None` leaves the mode to the driver.
    Attach { interface: String, mode: Option<XdpMode>, is_orphaned: bool },
    /// It is switched to other settings.
    Switch { interface: String, mode: Option<XdpMode>, to: &'static str },
    /// It is taken off and attached in another mode.
    Mode { interface: String, from: XdpMode, to: XdpMode },
    /// It is taken off.
    Remove { interface: String },
}

impl Guarding {
    /// Looks at the underlay. Touches nothing.
    ///
    /// # Errors
    /// The kernel does not tell of links and routes.
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
        let wanted: Vec<&str> = chosen.interfaces.iter().map(String::as_str).collect();
        let programs: Vec<_> = found.iter().filter_map(program).collect();
        let hooks = datapath.guards(&wanted, &programs);
        Ok(Self { chosen, hooks })
    }

    /// What keeps it from where it is wanted, each with what to do about it.
    pub(super) fn obstacles(&self) -> Vec<String> {
        let refused = self.chosen.refused.iter().map(|error| exit::chain(error));
        let wanted = self.hooks().iter().filter(|hook| self.wants(hook));
        let obstructed = wanted.filter_map(|hook| {
            let (interface, obstacle) = (hook.interface.clone(), hook.obstacle.clone()?);
            Some(DatapathError::Obstructed { interface, obstacle }.to_string())
        });
        let unread = self.hooks.as_ref().err().map(|error| exit::chain(error));
        refused.chain(obstructed).chain(unread).collect()
    }

    /// Each interface with what is there, for people.
    pub(super) fn shown(&self) -> Vec<Guarded> {
        let shown = self.hooks().iter().map(|hook| Guarded {
            interface: hook.interface.clone(),
            attached: hook.mode.map_or("none", XdpMode::label),
        });
        shown.collect()
    }

    /// Compares what is there with what `guard` asks for. What is in its way is left alone, and so
    /// is everything where it could not be read.
    pub(super) fn plan(self, relay: &Relay, key: Rekeyed) -> GuardPlan {
        let Self { chosen: Chosen { interfaces, .. }, hooks } = self;
        let hooks = hooks.unwrap_or_default();
        let settings = relay.guard.as_ref().map(|guard| settings(guard, relay, &key.public_key));
        let mode = relay.guard.as_ref().and_then(|guard| asked(guard.mode));
        let change = |hook: &GuardHook| match &settings {
            Some(settings) if interfaces.contains(&hook.interface) => {
                difference(hook, settings, mode, &key)
            }
            Some(_) | None => Some(GuardChange::Remove { interface: hook.interface.clone() }),
        };
        let changes = hooks.iter().filter_map(change).collect();
        GuardPlan { settings, hooks, changes }
    }

    fn hooks(&self) -> &[GuardHook] {
        self.hooks.as_deref().unwrap_or_default()
    }

    fn wants(&self, hook: &GuardHook) -> bool {
        self.chosen.interfaces.contains(&hook.interface)
    }
}

/// The relay's key, and whether it is another than WireGuard has.
pub(super) struct Rekeyed {
    pub(super) public_key: PublicKey,
    pub(super) is_new: bool,
}

impl GuardPlan {
    /// Only what follows from where the guard is wanted: nothing that runs is switched.
    pub(super) fn only_places(mut self) -> Self {
        self.changes.retain(|change| match change {
            GuardChange::Attach { .. } | GuardChange::Remove { .. } => true,
            GuardChange::Switch { .. } | GuardChange::Mode { .. } => false,
        });
        self
    }

    /// A line for each change.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.changes.iter().map(ToString::to_string)
    }

    /// Carries out what can be, and gives what cannot. A guard that cannot be switched is taken off:
    /// with another key than the relay's it would drop all handshakes, and without it all works.
    pub(super) fn apply(&self, datapath: &Datapath) -> Vec<GuardFailure> {
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
            let refused = match datapath.guard(settings, &places, &self.hooks) {
                Ok(refused) => refused.iter().map(|(i, error)| (i.clone(), chain(error))).collect(),
                Err(error) => {
                    let why = chain(&error);
                    places.iter().map(|place| (place.interface.to_owned(), why.clone())).collect()
                }
            };
            let refused: Vec<_> = refused;
            failed.extend(refused.into_iter().map(|(interface, why)| {
                let then = self.take_off(datapath, settings, &interface);
                (interface, format!("{why}{then}"))
            }));
        }
        let failures = failed.into_iter().map(|(interface, why)| self.failure(&interface, &why));
        failures.collect()
    }

    /// Takes off what carries out other settings than these; tells of it.
    fn take_off(&self, datapath: &Datapath, settings: &GuardSettings, interface: &str) -> String {
        let is_stale = |hook: &&GuardHook| {
            hook.interface == interface
                && hook.mode.is_some()
                && hook.settings_hash != Some(settings.hash())
        };
        match self.hooks.iter().find(is_stale).map(|_| datapath.unguard(interface)) {
            None => String::new(),
            Some(Ok(_)) => "; the guard that was there is taken off".to_owned(),
            Some(Err(error)) => format!("; the guard that was there stays: {}", chain(&error)),
        }
    }

    fn failure(&self, interface: &str, why: &str) -> GuardFailure {
        let changes = self.changes.iter().filter(|change| change.interface() == interface);
        GuardFailure {
            changes: changes.map(ToString::to_string).collect(),
            why: format!("no guard on {interface}: {why}"),
        }
    }
}

/// What could not be changed.
pub(super) struct GuardFailure {
    /// Its lines of the plan.
    pub(super) changes: Vec<String>,
    /// Why.
    pub(super) why: String,
}

impl GuardChange {
    fn interface(&self) -> &str {
        match self {
            Self::Attach { interface, .. }
            | Self::Switch { interface, .. }
            | Self::Mode { interface, .. }
            | Self::Remove { interface } => interface,
        }
    }
}

fn difference(
    hook: &GuardHook,
    settings: &GuardSettings,
    mode: Option<XdpMode>,
    key: &Rekeyed,
) -> Option<GuardChange> {
    let interface = hook.interface.clone();
    match (hook.mode, mode) {
        _ if hook.obstacle.is_some() => None,
        (None, mode) => {
            Some(GuardChange::Attach { interface, mode, is_orphaned: hook.is_orphaned })
        }
        (Some(from), Some(to)) if from != to => Some(GuardChange::Mode { interface, from, to }),
        (Some(_), _) if hook.carries_out(settings) => None,
        (Some(_), mode) => {
            let to = if hook.settings_hash == Some(settings.hash()) {
                "counts are pinned again"
            } else if key.is_new {
                "the new key"
            } else if hook.settings_hash.is_none() {
                "this version's"
            } else {
                "new settings"
            };
            Some(GuardChange::Switch { interface, mode, to })
        }
    }
}

fn settings(guard: &Guard, relay: &Relay, public_key: &PublicKey) -> GuardSettings {
    GuardSettings {
        port: relay.listen_port,
        public_key: *public_key,
        initiations_per_second: guard.initiations_per_second,
        burst: guard.burst,
        sources: guard.sources,
        overlay: relay.addresses.iter().map(IpNet::trunc).collect(),
    }
}

fn asked(mode: GuardMode) -> Option<XdpMode> {
    match mode {
        GuardMode::Auto => None,
        GuardMode::Driver => Some(XdpMode::Driver),
        GuardMode::Generic => Some(XdpMode::Generic),
    }
}

fn program(interface: &Interface) -> Option<XdpProgram> {
    let xdp = interface.xdp?;
    Some(XdpProgram {
        interface: interface.name.clone(),
        mode: match xdp.mode {
            underlay::XdpMode::Driver => XdpMode::Driver,
            underlay::XdpMode::Generic => XdpMode::Generic,
            underlay::XdpMode::Hardware => XdpMode::Hardware,
        },
        program_id: xdp.program_id,
    })
}

impl fmt::Display for GuardChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach { interface, mode, is_orphaned } => {
                let mode = mode.map_or(GuardMode::Auto.label(), XdpMode::label);
                let again = if *is_orphaned { ", which was made again" } else { "" };
                write!(f, "+ guard on {interface}{again} (mode {mode})")
            }
            Self::Switch { interface, to, .. } => write!(f, "~ guard on {interface}: {to}"),
            Self::Mode { interface, from, to } => {
                write!(f, "~ guard on {interface}: mode {} → {}", from.label(), to.label())
            }
            Self::Remove { interface } => write!(f, "- guard on {interface}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::Obstacle;
    use crate::model::{Egress, HostAccess, Underlay};

    #[test]
    fn it_is_put_where_it_is_wanted_and_taken_off_elsewhere() {
        let hooks = vec![GuardHook::absent("eth0"), attached("eth1", XdpMode::Driver)];
        assert_eq!(
            lines(&relay(GuardMode::Auto), &["eth0"], hooks.clone(), false),
            ["+ guard on eth0 (mode auto)", "- guard on eth1",]
        );
        let off = Relay { guard: None, ..relay(GuardMode::Auto) };
        assert_eq!(lines(&off, &[], hooks[1..].to_vec(), false), ["- guard on eth1"]);
    }

    #[test]
    fn what_carries_out_the_settings_in_the_mode_asked_for_is_left_alone() {
        for mode in [GuardMode::Auto, GuardMode::Generic] {
            let hooks = vec![attached("eth0", XdpMode::Generic)];
            assert_eq!(lines(&relay(mode), &["eth0"], hooks, true), [""; 0]);
        }
        let hooks = vec![attached("eth0", XdpMode::Generic)];
        assert_eq!(
            lines(&relay(GuardMode::Driver), &["eth0"], hooks, false),
            ["~ guard on eth0: mode generic → driver"]
        );
    }

    #[test]
    fn a_switch_says_what_for() {
        let other =
            with(attached("eth0", XdpMode::Driver), |hook| hook.settings_hash = Some([0; 16]));
        let lost = with(attached("eth0", XdpMode::Driver), |hook| hook.is_counted = false);
        let older = with(attached("eth0", XdpMode::Driver), |hook| hook.settings_hash = None);
        let gone = with(GuardHook::absent("eth0"), |hook| hook.is_orphaned = true);
        let line = |hook: &GuardHook, is_new| {
            lines(&relay(GuardMode::Auto), &["eth0"], vec![hook.clone()], is_new).concat()
        };
        assert_eq!(line(&other, true), "~ guard on eth0: the new key");
        assert_eq!(line(&other, false), "~ guard on eth0: new settings");
        assert_eq!(line(&older, false), "~ guard on eth0: this version's");
        assert_eq!(line(&lost, false), "~ guard on eth0: counts are pinned again");
        assert_eq!(line(&gone, false), "+ guard on eth0, which was made again (mode auto)");
    }

    #[test]
    fn a_program_of_others_is_left_alone_and_named() {
        let program = || {
            Some(Obstacle {
                found: "XDP program xdp_filter (id 7)".to_owned(),
                remedy: "remove it with `bpftool link detach id 9`".to_owned(),
            })
        };
        let taken = |name: &str| with(GuardHook::absent(name), |hook| hook.obstacle = program());
        assert_eq!(lines(&relay(GuardMode::Auto), &["eth0"], vec![taken("eth0")], false), [""; 0]);
        let guarding = guarding(&["eth0"], vec![taken("eth0"), taken("eth1")]);
        assert_eq!(
            guarding.obstacles(),
            [
                "interface eth0: found XDP program xdp_filter (id 7), expected no XDP program; relay \
             leaves it alone: remove it with `bpftool link detach id 9`, or take eth0 out of \
             guard.interfaces"
            ]
        );
    }

    #[test]
    fn what_cannot_be_guarded_or_read_is_told_and_hinders_nothing() {
        let hooks = vec![GuardHook::absent("eth0")];
        let mut guarding = guarding(&["eth0"], hooks);
        let there = "lo".to_owned();
        guarding.chosen.refused =
            vec![crate::net::NetError::NoUnderlay { interface: "eth7".to_owned(), there }];
        assert_eq!(guarding.obstacles().len(), 1);
        assert!(guarding.obstacles()[0].contains("no interface eth7"));
        let plan = guarding.plan(&relay(GuardMode::Auto), key(false));
        assert_eq!(plan.lines().collect::<Vec<_>>(), ["+ guard on eth0 (mode auto)"]);

        let unread = DatapathError::NoBpffs("/nowhere".into());
        let guarding = Guarding { chosen: Chosen::default(), hooks: Err(unread) };
        assert!(guarding.obstacles()[0].contains("/nowhere"));
        assert_eq!(guarding.plan(&relay(GuardMode::Auto), key(false)).lines().count(), 0);
    }

    fn lines(relay: &Relay, wanted: &[&str], hooks: Vec<GuardHook>, is_new: bool) -> Vec<String> {
        guarding(wanted, hooks).plan(relay, key(is_new)).lines().collect()
    }

    fn guarding(wanted: &[&str], hooks: Vec<GuardHook>) -> Guarding {
        let interfaces = wanted.iter().map(|name| (*name).to_owned()).collect();
        Guarding { chosen: Chosen { interfaces, ..Chosen::default() }, hooks: Ok(hooks) }
    }

    /// With the settings of [`relay`].
    fn attached(interface: &str, mode: XdpMode) -> GuardHook {
        let relay = relay(GuardMode::Auto);
        let guard = relay.guard.as_ref().expect("a guard");
        let hash = settings(guard, &relay, &key(false).public_key).hash();
        with(GuardHook::absent(interface), |hook| {
            hook.mode = Some(mode);
            hook.settings_hash = Some(hash);
            hook.is_counted = true;
        })
    }

    fn with(mut hook: GuardHook, change: impl FnOnce(&mut GuardHook)) -> GuardHook {
        change(&mut hook);
        hook
    }

    fn key(is_new: bool) -> Rekeyed {
        Rekeyed { public_key: PublicKey::from_bytes([2; 32]), is_new }
    }

    fn relay(mode: GuardMode) -> Relay {
        Relay {
            interface: "relay0".parse().expect("a name"),
            addresses: Vec::new(),
            listen_port: 51820,
            endpoint: None,
            private_key_file: "/etc/relay/private.key".into(),
            mtu: 1420,
            fast_path: true,
            host_access: HostAccess::Ping,
            egress: Egress::Deny,
            fence: true,
            pair_stats: false,
            guard: Some(Guard {
                interfaces: Underlay::Auto,
                mode,
                initiations_per_second: 50,
                burst: 200,
                sources: 65536,
            }),
            peers: Vec::new(),
        }
    }
}
