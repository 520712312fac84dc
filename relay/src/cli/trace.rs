use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::Result;
use clap::Args;

use super::{exit::HostError, host, plan, running::Running};
use crate::{
    config::{self, Options},
    datapath::{self, Datapath, policy_hash},
    model::Relay,
    net::{self, Handle},
};

/// What people take for live.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// `relay trace`: switches to a generation that logs, and back when it ends.
#[derive(Debug, Args)]
#[command(
    after_help = "Every packet costs more while it runs. For refused packets alone, `relay observe` \
                  costs nothing.\n\nExamples:\n  relay trace                 until Ctrl-C\n  \
                  relay trace --seconds 5 | grep 10.3.2.3"
)]
pub(super) struct Trace {
    /// End after so many seconds instead of on Ctrl-C.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

impl Trace {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let relay = config::load(config, Options { allow_empty: true })?.relay;
        host::require_capabilities("trace")?;
        let interface = relay.interface.as_str();
        let datapath = Datapath::open(bpffs, interface)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let handle = net::connect()?;
            let trace = {
                let _lock = host::lock(config)?;
                start(&handle, &relay, &datapath).await?
            };
            let followed = self.follow(trace).await;
            let _lock = host::lock(config)?;
            stop(&handle, &relay, &datapath).await?;
            followed
        })
    }

    async fn follow(&self, mut trace: datapath::Trace) -> Result<()> {
        let end = async {
            match self.seconds {
                Some(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    Ok(())
                }
                None => tokio::signal::ctrl_c().await,
            }
        };
        tokio::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => return Ok(ended?),
                () = tokio::time::sleep(BETWEEN_LOOKS) => trace.flush(),
            }
        }
    }
}

async fn start(handle: &Handle, relay: &Relay, datapath: &Datapath) -> Result<datapath::Trace> {
    let observed = Running::observe(handle, relay, datapath).await?.datapath?;
    if observed.generation().is_none() {
        return Err(HostError::NotUp { interface: relay.interface.to_string() }.into());
    }
    let (compiled, slots) = plan::policy(handle, relay, &observed).await?;
    let trace = datapath.trace(&compiled, &slots, &observed, |line| {
        // Whoever closed the pipe has seen enough, and ends it with Ctrl-C.
        drop(writeln!(io::stdout(), "{line}"));
    })?;
    Ok(trace)
}

/// Back to a generation that does not log, unless something else has switched meanwhile.
async fn stop(handle: &Handle, relay: &Relay, datapath: &Datapath) -> Result<()> {
    let observed = Running::observe(handle, relay, datapath).await?.datapath?;
    let (compiled, slots) = plan::policy(handle, relay, &observed).await?;
    let in_force = observed.generation().map(|generation| generation.policy_hash);
    if in_force != Some(policy_hash(&compiled)) {
        datapath.switch(&compiled, &slots, &observed, observed.next_number())?;
    }
    Ok(())
}
