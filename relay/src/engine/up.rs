//! `relay up` and `relay reload`: what differs, and its application.

use std::{path::Path, time::SystemTime};

use relay_common::period::DAY_S;

use super::{
    Context, HostError, Result, Site, Subject, claim, compile,
    desired::Desired,
    endpoints,
    expectations::judge,
    facts,
    host::{ipv6_off, require_kernel, require_port},
    instant::now,
    mesh::{
        self,
        transit::{self, SeenTransit},
    },
    observe::Running,
    plan::Plan,
    record, wg_quick,
};
use crate::{
    config::{self, Options, Secrets},
    doctor::{self, Ipv6Off},
    model::{InterfaceName, PrivateKey, Relay},
    net::{Handle, route},
};

/// How to bring a relay up.
#[derive(Debug, Clone, Copy)]
pub struct UpOptions {
    /// Change nothing, and keep nobody from changing the relay.
    pub dry_run: bool,
    /// Accept a configuration without peers.
    pub allow_empty: bool,
    /// Take over a WireGuard interface that relay has not created.
    pub adopt: bool,
    /// Fail if the interface does not exist.
    pub must_run: bool,
}

/// A relay that is about to be brought up.
pub struct Up {
    context: Context,
    plan: Plan,
    warnings: Vec<String>,
}

/// What could not be applied of the guard, without which the relay works.
pub struct Shortfall {
    /// Its lines of the plan.
    pub changes: Vec<String>,
    /// Why.
    pub why: String,
}

impl Up {
    /// Reads configuration, keys and kernel, and plans. Unless this is a dry run, the relay stays
    /// locked until this value is dropped.
    ///
    /// # Errors
    /// The configuration or a key file is invalid, the host lacks something, the interface belongs
    /// to something else.
    pub async fn prepare(site: Site<'_>, options: UpOptions) -> Result<Self> {
        let UpOptions { dry_run, allow_empty, adopt, must_run } = options;
        let options = Options { allow_empty };
        let loaded = config::load(site.config, options)?;
        config::require_trusted(&loaded)?;
        judge(&loaded)?;
        Secrets::read(&loaded)?;
        require_kernel()?;
        let context = match dry_run {
            true => Context::of(site, Subject::Configured(loaded))?,
            false => Context::change_of(site, loaded, options)?,
        };
        let loaded = context.loaded()?;
        let secrets = Secrets::read(loaded)?;
        let (relay, handle) = (&loaded.relay, context.handle());
        let interface = &relay.interface;
        let ended = judge(loaded)?;
        let mut warnings: Vec<_> =
            loaded.warnings.iter().chain(&ended).map(ToString::to_string).collect();
        let running = Running::observe(handle, relay, context.datapath()).await?;
        let transits = SeenTransit::all(handle, relay, context.datapath()).await?;
        if must_run && running.link.is_none() {
            return Err(HostError::NotUp { interface: interface.clone() }.into());
        }
        if !adopt {
            let key = secrets.private_key().map(PrivateKey::public_key);
            let Running { link, device, hooks, .. } = &running;
            let (link, device) = (link.as_ref(), device.as_ref());
            claim::require_consent(interface, link, hooks, device, key)?;
            claim::require_consent_for_transits(relay, secrets.mesh(), &transits)?;
        }
        warnings.extend(wg_quick::warning(interface));
        warnings.extend(others(handle, site.config, interface).await?);
        warnings.extend(running.warnings());
        warnings.extend(doctor::unforwarded(facts::forwarding(), relay));
        warnings.extend(running.guard_obstacles());
        // Those that are at home at other relays are dialled there.
        let away = mesh::away(context.datapath())?;
        let mut silent = endpoints::silent(relay, running.device.as_ref());
        silent.retain(|(peer, _)| !away.contains(&peer.public_key));
        let mut wanted = endpoints::wanted(&silent);
        let now = SystemTime::now();
        wanted.extend(transit::silent(relay, secrets.mesh(), &transits, now));
        let (endpoints, unknown) = endpoints::look_up(wanted).await;
        warnings.extend(unknown);
        let desired = Desired::of(handle, loaded, &secrets, context.mark()).await?;
        let desired = desired.with_endpoints(endpoints);
        let plan = Plan::new(&desired, running, &transits, &route::read(handle).await?);
        // What does not compile has a place in the files, which the plan does not know.
        let plan = plan.or_else(|error| compile(loaded).and(Err(error)))?;
        if plan.opens_port() {
            require_port(relay.listen_port)?;
        }
        if let Some(address) = plan.first_ipv6()
            && let Some(Ipv6Off { found, remedy }) = ipv6_off(interface)
        {
            let (interface, address) = (interface.to_string(), address.to_string());
            return Err(HostError::NoIpv6 { interface, address, found, remedy }.into());
        }
        Ok(Self { context, plan, warnings })
    }

    /// The relay.
    pub const fn relay(&self) -> &Relay {
        self.context.relay()
    }

    /// What the operator should know before.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A line for each change, in the order of application.
    pub fn lines(&self) -> Vec<String> {
        self.plan.lines()
    }

    /// Applies the plan.
    ///
    /// # Errors
    /// A step fails. If the interface did not exist before, it does not exist afterwards.
    pub async fn apply(&self) -> Result<Vec<Shortfall>> {
        let context = &self.context;
        let failures =
            self.plan.apply(context.handle(), context.datapath(), context.state()).await?;
        self.context.datapath().mend_days(now() / DAY_S)?;
        // The relay works without it.
        if let Err(error) = record::write(self.context.loaded()?) {
            tracing::warn!("{}: {}", self.relay().interface, error.chain());
        }
        let failures = failures.into_iter();
        Ok(failures
            .map(|failure| Shortfall { changes: failure.changes, why: failure.why })
            .collect())
    }
}

/// Warnings about relays that the same configuration was brought up on under another interface name.
async fn others(handle: &Handle, config: &Path, interface: &InterfaceName) -> Result<Vec<String>> {
    let others = claim::of(handle, config).await?.into_iter().filter(|other| other != interface);
    let warnings = others.map(|other| {
        format!(
            "{other} was brought up from {} too and still relays; `relay down --interface {other}` \
             takes it down",
            config.display()
        )
    });
    Ok(warnings.collect())
}
