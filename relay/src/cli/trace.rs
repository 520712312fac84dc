use std::{
    future,
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use relay_common::Generation;
use tokio::{
    io::Interest,
    net::unix::pipe::Sender,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::{
    exit::HostError,
    host,
    lock::{self, Lock},
    plan,
    running::{self, hex},
};
use crate::{
    config::{self, Options},
    datapath::{self, Datapath, Hook, Slots, policy_hash, traced},
    model::{InterfaceName, Relay},
    net::{self, Handle},
    policy::Compiled,
};

/// What people take for live.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Between two looks at whether the generation that logs is still in force.
const BETWEEN_CHECKS: Duration = Duration::from_secs(1);

const OPTIONS: Options = Options { allow_empty: true };

/// `relay trace`: switches to a generation that logs, and back when it ends.
#[derive(Debug, Args)]
#[command(
    after_help = "Who may talk to whom stays as it is: where the configuration is not what is in \
                  force, nothing is traced. Every packet costs more while it runs; for refused \
                  packets alone, `relay observe` costs nothing.\n\nExamples:\n  \
                  relay trace                 until Ctrl-C\n  \
                  relay trace --seconds 5 | grep 10.3.2.3"
)]
pub(super) struct Trace {
    /// End after so many seconds instead of on Ctrl-C.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
enum TraceError {
    #[error(
        "{interface}: policy generation {number} ({hash}) is in force, not the one that the \
         configuration makes now, and `relay trace` puts no policy in force; run `relay up` first"
    )]
    NotInForce { interface: InterfaceName, number: u64, hash: String },
    #[error(
        "{interface}: another `relay trace` is running, or was killed before it switched back; end \
         it, or run `relay up`, which switches back"
    )]
    Traced { interface: InterfaceName },
    #[error("{interface}: every packet is still logged, at a cost; `relay up` ends that")]
    StillTraced { interface: InterfaceName, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("ingress and egress carry out different generations")]
    Apart,
}

impl Trace {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        config::load(config, OPTIONS)?;
        host::require_capabilities("trace")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let handle = net::connect()?;
            // Before anything is switched: a signal must not fall between.
            let mut ends = Ends::listen()?;
            let lines = Lines::default();
            let (tracing, mut trace) = {
                let (loaded, _lock) = lock::load(config, OPTIONS, "trace")?;
                Tracing::start(&handle, &loaded.relay, bpffs, lines.clone()).await?
            };
            let followed = tokio::select! {
                () = ends.come(self.seconds) => Ok(()),
                outcome = lines.follow(&mut trace) => outcome,
                () = tracing.until_replaced(&handle) => Ok(()),
            };
            tracing.stop(&handle).await?;
            trace.flush();
            Ok(followed?)
        })
    }
}

/// A generation that logs, put in force by this process, and what was in force before.
struct Tracing {
    interface: InterfaceName,
    datapath: Datapath,
    compiled: Compiled,
    slots: Slots,
    before: Generation,
    number: u64,
    hash: [u8; 16],
}

impl Tracing {
    /// Puts what is in force in force again, with a log. Wants the lock.
    async fn start(
        handle: &Handle,
        relay: &Relay,
        bpffs: &Path,
        lines: Lines,
    ) -> Result<(Self, datapath::Trace)> {
        let interface = relay.interface.clone();
        let datapath = Datapath::open(bpffs, interface.as_str())?;
        let observed = datapath.observe(running::hooks(handle, &interface, &datapath).await?)?;
        let Some(before) = observed.generation() else {
            return Err(HostError::NotUp { interface: interface.to_string() }.into());
        };
        let (compiled, slots) = plan::policy(handle, relay, &observed).await?;
        let hash = policy_hash(&traced(&compiled));
        if before.policy_hash == hash {
            return Err(TraceError::Traced { interface }.into());
        }
        if !observed.carries_out(&compiled, &slots) {
            let (number, hash) = (before.number, hex(&before.policy_hash));
            return Err(TraceError::NotInForce { interface, number, hash }.into());
        }
        let number = observed.next_number();
        let tracing = Self { interface, datapath, compiled, slots, before, number, hash };
        let write = move |line: &str| lines.write(line);
        let trace = tracing.datapath.trace(&tracing.compiled, &tracing.slots, &observed, write);
        match trace {
            Ok(trace) => Ok((tracing, trace)),
            Err(error) => {
                // One hook may have been switched.
                tracing.take_back(handle).await?;
                Err(error.into())
            }
        }
    }

    /// Takes its generation back, under the lock. What somebody else has put in force stays.
    async fn stop(&self, handle: &Handle) -> Result<()> {
        let lock = Lock::relay(&self.interface, "trace").map_err(|error| self.still(error))?;
        self.take_back(handle).await?;
        drop(lock);
        Ok(())
    }

    async fn take_back(&self, handle: &Handle) -> Result<()> {
        let switched = async {
            let hooks = running::hooks(handle, &self.interface, &self.datapath).await?;
            if !hooks.iter().any(|hook| self.is_on(hook)) {
                return Ok(());
            }
            let is_before = |hook: &Hook| hook.generation == Some(self.before);
            if !hooks.iter().all(|hook| self.is_on(hook) || is_before(hook)) {
                return Err(TraceError::Apart.into());
            }
            let observed = self.datapath.observe(hooks)?;
            let number = observed.next_number();
            self.datapath.switch(&self.compiled, &self.slots, &observed, number)?;
            anyhow::Ok(())
        };
        Ok(switched.await.map_err(|error| self.still(error))?)
    }

    /// Ends when its generation is no longer in force, and says so.
    async fn until_replaced(&self, handle: &Handle) {
        loop {
            sleep(BETWEEN_CHECKS).await;
            let hooks = running::hooks(handle, &self.interface, &self.datapath).await;
            if hooks.is_ok_and(|hooks| !hooks.iter().any(|hook| self.is_on(hook))) {
                let interface = &self.interface;
                // Nobody may be there to read it.
                drop(writeln!(
                    io::stderr(),
                    "{interface}: another command has changed what is in force; that ends the trace"
                ));
                return;
            }
        }
    }

    fn is_on(&self, hook: &Hook) -> bool {
        hook.generation.is_some_and(|generation| {
            (generation.number, generation.policy_hash) == (self.number, self.hash)
        })
    }

    fn still(&self, source: anyhow::Error) -> TraceError {
        TraceError::StillTraced { interface: self.interface.clone(), source: source.into() }
    }
}

/// What ends a trace from outside.
struct Ends([Signal; 3]);

impl Ends {
    fn listen() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// A signal, the time, or that nobody reads any more.
    async fn come(&mut self, seconds: Option<u64>) {
        let time = async {
            match seconds {
                Some(seconds) => sleep(Duration::from_secs(seconds)).await,
                None => future::pending().await,
            }
        };
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = time => {}
            () = unread() => {}
        }
    }
}

/// Ends when standard output is a pipe that its reader has closed.
async fn unread() {
    // Of a copy, and the mode of the file that both share is left alone. A regular file cannot be
    // watched, and need not be.
    let copy = io::stdout().as_fd().try_clone_to_owned();
    if let Ok(output) = copy.and_then(Sender::from_owned_fd_unchecked)
        && output.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    future::pending().await
}

/// Lines on standard output, and what came in the way of one.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Option<io::Error>>>);

impl Lines {
    fn write(&self, line: &str) {
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Writes what is logged, until that fails.
    async fn follow(&self, trace: &mut datapath::Trace) -> io::Result<()> {
        loop {
            sleep(BETWEEN_LOOKS).await;
            trace.flush();
            let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }
}
