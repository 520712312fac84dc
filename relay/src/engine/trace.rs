//! `relay trace`: switches to a generation that logs every packet, and back.

use std::{collections::BTreeMap, time::Duration};

use relay_common::Generation;
use tokio::time::sleep;

use super::{
    Classified, Context, HostError, Kind, Lock, Result, Site, desired,
    error::Error,
    observe::{self, hex},
    trial,
};
use crate::{
    config::{self, Options},
    datapath::{self, Hook, Slots, Trial, policy_hash, traced},
    model::InterfaceName,
    policy::Compiled,
};

/// Between two checks whether the generation that logs is still in force.
const BETWEEN_CHECKS: Duration = Duration::from_secs(1);

const OPTIONS: Options = Options { allow_empty: true };

/// The log of a generation.
pub type Log = datapath::Trace;

/// A generation that logs, put in force by this process.
pub struct Tracing<'a> {
    site: Site<'a>,
    context: Context,
    compiled: Compiled,
    slots: Slots,
    /// What was in force before.
    before: Generation,
    number: u64,
    hash: [u8; 16],
}

#[derive(Debug, thiserror::Error)]
enum TraceError {
    #[error(
        "{interface}: policy generation {number} ({hash}) is in force, but the configuration gives \
         another, which `relay trace` does not put in force; run `relay up` first"
    )]
    NotInForce { interface: InterfaceName, number: u64, hash: String },
    #[error(
        "{interface}: another `relay trace` is running, or was killed before it switched back; end \
         it, or run `relay up`, which switches back"
    )]
    Traced { interface: InterfaceName },
    #[error("{interface}: every packet is still logged, at a cost; `relay up` ends that")]
    StillTraced { interface: InterfaceName, source: Error },
    #[error("ingress and egress run different generations")]
    Apart,
}

impl Classified for TraceError {
    fn kind(&self) -> Kind {
        Kind::Failed
    }
}

impl<'a> Tracing<'a> {
    /// Puts the policy in force in force again, with a log: each packet is a line to `write`.
    ///
    /// # Errors
    /// The relay is not up, is traced already, or has another policy in force than the configuration
    /// gives.
    pub async fn start(
        site: Site<'a>,
        write: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<(Self, Log)> {
        let context = Context::change_of(site, config::load(site.config, OPTIONS)?, OPTIONS)?;
        let (relay, handle, datapath) = (context.relay(), context.handle(), context.datapath());
        let interface = relay.interface.clone();
        let observed = observe::datapath(handle, &interface, datapath).await?;
        let Some(before) = observed.generation() else {
            return Err(HostError::NotUp { interface }.into());
        };
        let (compiled, slots) = desired::policy(handle, relay, &observed).await?;
        let hash = policy_hash(&traced(&compiled));
        if before.policy_hash == hash {
            return Err(TraceError::Traced { interface }.into());
        }
        if !observed.carries_out(&compiled, &slots) {
            let (number, hash) = (before.number, hex(&before.policy_hash));
            return Err(TraceError::NotInForce { interface, number, hash }.into());
        }
        let number = observed.next_number();
        let mut tracing = Self { site, context, compiled, slots, before, number, hash };
        let datapath = tracing.context.datapath();
        match datapath.trace(&tracing.compiled, &tracing.slots, &observed, write) {
            Ok(trace) => {
                if observed.trial() != Trial::None {
                    trial::forget(tracing.interface())?;
                    (site.notice)("the trial of a candidate ends");
                }
                tracing.context.unlock();
                Ok((tracing, trace))
            }
            Err(error) => {
                // One hook may have been switched.
                tracing.take_back().await?;
                Err(error.into())
            }
        }
    }

    /// Switches back. A generation that somebody else has put in force stays.
    ///
    /// # Errors
    /// It cannot: every packet is still logged.
    pub async fn stop(&self) -> Result<()> {
        let lock = Lock::relay(self.interface(), self.site.verb, self.site.notice);
        let lock = lock.map_err(|error| self.still(error))?;
        self.take_back().await?;
        drop(lock);
        Ok(())
    }

    /// Returns when its generation is no longer in force.
    pub async fn until_replaced(&self) {
        loop {
            sleep(BETWEEN_CHECKS).await;
            let hooks = self.hooks().await;
            if hooks.is_ok_and(|hooks| !hooks.iter().any(|hook| self.is_on(hook))) {
                return;
            }
        }
    }

    /// The interface that is traced.
    pub const fn interface(&self) -> &InterfaceName {
        &self.context.relay().interface
    }

    async fn take_back(&self) -> Result<()> {
        let datapath = self.context.datapath();
        let switched = async {
            let hooks = self.hooks().await?;
            if !hooks.iter().any(|hook| self.is_on(hook)) {
                return Ok(());
            }
            let is_before = |hook: &Hook| hook.generation == Some(self.before);
            if !hooks.iter().all(|hook| self.is_on(hook) || is_before(hook)) {
                return Err(TraceError::Apart.into());
            }
            let observed = datapath.observe(hooks)?;
            let number = observed.next_number();
            datapath.switch(&self.compiled, &self.slots, &observed, number, &BTreeMap::new())?;
            Ok::<_, Error>(())
        };
        Ok(switched.await.map_err(|error| self.still(error))?)
    }

    async fn hooks(&self) -> Result<[Hook; 2]> {
        observe::hooks(self.context.handle(), self.interface(), self.context.datapath()).await
    }

    fn is_on(&self, hook: &Hook) -> bool {
        hook.generation.is_some_and(|generation| {
            (generation.number, generation.policy_hash) == (self.number, self.hash)
        })
    }

    fn still(&self, source: Error) -> TraceError {
        TraceError::StillTraced { interface: self.interface().clone(), source }
    }
}
