use std::{
    future,
    io::{self, Write as _},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use tokio::{
    io::Interest,
    net::unix::pipe::Sender,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::{Place, output};
use crate::engine::{self, Log, Result, Tracing};

/// Between two reads of the log.
const BETWEEN_READS: Duration = Duration::from_millis(50);

/// `relay trace`: switches to a generation that logs, and back at the end.
#[derive(Debug, Args)]
#[command(
    after_help = "It fails unless the configuration is in force, and never changes the policy. \
                  Every packet costs more while it runs; `relay observe` shows dropped packets at \
                  no cost.\n\nExamples:\n  \
                  relay trace                 until Ctrl-C\n  \
                  relay trace --seconds 5 | grep 10.3.2.3"
)]
pub(super) struct Trace {
    /// End after N seconds instead of on Ctrl-C.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

impl Trace {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            // Before anything is switched, so that no signal ends this process in between.
            let mut ends = Ends::listen()?;
            let lines = Lines::default();
            let sink = lines.clone();
            let write = move |line: &str| sink.write(line);
            let (tracing, mut trace) = Tracing::start(place.site("trace"), write).await?;
            let followed = tokio::select! {
                () = ends.come(self.seconds) => Ok(()),
                outcome = lines.follow(&mut trace) => outcome,
                () = tracing.until_replaced() => {
                    output::say(format_args!(
                        "{}: another command changed the policy in force; trace ended",
                        tracing.interface()
                    ));
                    Ok(())
                }
            };
            tracing.stop().await?;
            trace.flush();
            Ok(followed?)
        })
    }
}

/// Events that end a trace.
struct Ends([Signal; 3]);

impl Ends {
    fn listen() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// Waits for a signal, the end of the time, or a reader that closes standard output.
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

/// Waits until standard output is a pipe whose reader has closed it.
async fn unread() {
    // The open file stays in blocking mode, since others share it. A regular file is never closed by
    // a reader.
    let copy = io::stdout().as_fd().try_clone_to_owned();
    if let Ok(output) = copy.and_then(Sender::from_owned_fd_unchecked)
        && output.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    future::pending().await
}

/// Lines on standard output, and the first error of writing one.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Option<io::Error>>>);

impl Lines {
    fn write(&self, line: &str) {
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Writes what is logged, until that fails.
    async fn follow(&self, trace: &mut Log) -> io::Result<()> {
        loop {
            sleep(BETWEEN_READS).await;
            trace.flush();
            let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }
}
