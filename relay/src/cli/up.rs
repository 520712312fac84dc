use std::{io::Write, path::Path};

use anyhow::Result;
use clap::Args;

use super::{
    claim,
    exit::HostError,
    facts, host, lock,
    output::{self, Changes},
    plan::Plan,
    running::Running,
    wg_quick,
};
use crate::{
    config::{self, Options, Secrets},
    datapath::Datapath,
    doctor::{self, Ipv6Off},
    model::{InterfaceName, PrivateKey},
    net::{self, Handle},
};

/// `relay up`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  relay up --dry-run          what would be done\n  relay up                    \
                  do it\n  relay up --json             the same for machines: `changed` says whether \
                  anything was"
)]
pub(super) struct Up {
    /// Print the plan and touch nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object with `changed`, `changes` and `warnings`.
    #[arg(long)]
    json: bool,
    /// Accept a configuration without peers.
    #[arg(long)]
    allow_empty: bool,
    /// Take over a WireGuard interface that relay has not made: give it the configuration's key and
    /// peers in the place of its own.
    #[arg(long)]
    adopt: bool,
    /// How many of the warnings were shown before, of a change that comes first; the others are
    /// only counted then.
    #[arg(skip)]
    shown: Option<usize>,
}

impl Up {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        self.bring_about(config, bpffs, false, &mut output::stdout())
    }

    /// What follows a change that was found right already.
    pub(super) const fn after_edit(shown: usize) -> Self {
        Self { dry_run: false, json: false, allow_empty: true, adopt: false, shown: Some(shown) }
    }

    /// Makes the kernel what the configuration says; with `must_run` only where the interface is
    /// there already. Plan and outcome go to `out`.
    pub(super) fn bring_about(
        &self,
        config: &Path,
        bpffs: &Path,
        must_run: bool,
        out: &mut dyn Write,
    ) -> Result<()> {
        let options = Options { allow_empty: self.allow_empty };
        Secrets::read(&config::load(config, options)?)?;
        host::require_kernel()?;
        host::require_capabilities("up")?;
        // Who only looks keeps nobody waiting.
        let (loaded, _lock) = match self.dry_run {
            true => (config::load(config, options)?, None),
            false => {
                let (loaded, lock) =
                    lock::load(config, options, if must_run { "reload" } else { "up" })?;
                (loaded, Some(lock))
            }
        };
        let secrets = Secrets::read(&loaded)?;
        let interface = &loaded.relay.interface;
        let datapath = Datapath::open(bpffs, interface.as_str())?;

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let handle = net::connect()?;
            let running = Running::observe(&handle, &loaded.relay, &datapath).await?;
            if must_run && running.link.is_none() {
                return Err(HostError::NotUp { interface: interface.to_string() }.into());
            }
            if !self.adopt {
                let key = secrets.private_key().map(PrivateKey::public_key);
                let Running { link, device, hooks, .. } = &running;
                claim::require_consent(interface, link.as_ref(), hooks, device.as_ref(), key)?;
            }
            let mut warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
            warnings.extend(wg_quick::warning(interface));
            warnings.extend(others(&handle, config, interface).await?);
            warnings.extend(running.warnings());
            warnings.extend(doctor::unforwarded(facts::forwarding(), &loaded.relay));
            warnings.extend(running.guard_obstacles());
            let mark = claim::mark(config);
            let plan = Plan::make(&handle, &loaded, &secrets, &mark, datapath, running).await?;
            if plan.takes_port() {
                host::require_port(loaded.relay.listen_port)?;
            }
            if let Some(address) = plan.first_ipv6()
                && let Some(Ipv6Off { found, remedy }) = host::ipv6_off(interface)
            {
                let (interface, address) = (interface.to_string(), address.to_string());
                return Err(HostError::NoIpv6 { interface, address, found, remedy }.into());
            }
            let mut changes = plan.lines();
            let told = if self.json { Ok(()) } else { tell(&warnings, self.shown, &changes, out) };
            if self.dry_run || changes.is_empty() {
                told?;
            } else {
                // Whether or not somebody reads of it.
                let failures = plan.apply(&handle).await?;
                let told: Vec<_> = failures.iter().map(|failure| failure.why.clone()).collect();
                changes.retain(|line| !failures.iter().any(|it| it.changes.contains(line)));
                if !self.json {
                    output::warn(&told);
                }
                warnings.extend(told);
            }
            self.close(&loaded, &changes, &warnings, out)
        })
    }

    fn close(
        &self,
        loaded: &config::Loaded,
        changes: &[String],
        warnings: &[String],
        out: &mut dyn Write,
    ) -> Result<()> {
        let interface = &loaded.relay.interface;
        if self.json {
            Changes::new(interface, self.dry_run, changes, warnings).print(out)?;
            return Ok(());
        }
        let peers = loaded.relay.enabled().count();
        match (changes.len(), self.dry_run) {
            (0, _) => writeln!(out, "{interface}: nothing to change")?,
            (count, true) => writeln!(out, "{interface}: {count} changes planned, nothing done")?,
            (_, false) => writeln!(
                out,
                "{interface}: relaying between {peers} peers on UDP port {}; no process needs to run",
                loaded.relay.listen_port
            )?,
        }
        Ok(())
    }
}

/// Warnings, of which some may have been `shown` before, and the plan.
fn tell(
    warnings: &[String],
    shown: Option<usize>,
    changes: &[String],
    out: &mut dyn Write,
) -> Result<()> {
    match shown.map(|shown| warnings.len().saturating_sub(shown)) {
        None => output::warn(warnings),
        Some(0) => {}
        Some(1) => output::say("1 other warning; `relay status` shows it"),
        Some(others) => {
            output::say(format_args!("{others} other warnings; `relay status` shows them"));
        }
    }
    Ok(changes.iter().try_for_each(|change| writeln!(out, "{change}"))?)
}

/// Relays that the same configuration was brought up on before its interface was named otherwise.
async fn others(handle: &Handle, config: &Path, interface: &InterfaceName) -> Result<Vec<String>> {
    let others = claim::of(handle, config).await?.into_iter().filter(|other| other != interface);
    let told = others.map(|other| {
        format!(
            "{other} was brought up from {} too, and relays on; `relay down --interface {other}` \
             takes it down",
            config.display()
        )
    });
    Ok(told.collect())
}
