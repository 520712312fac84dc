use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

use super::{Place, exit};
use crate::engine::{self, Follower, Result};

/// Changes within this time are handled together.
const SETTLING: Duration = Duration::from_millis(500);

/// Delay before a failed change is tried again; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(64);

/// `relay follow`.
#[derive(Debug, Args)]
#[command(after_help = "Packets pass without it. It restores the fence when something removes or \
                  changes it, such as `nft flush ruleset`; attaches the guard to an interface that \
                  appears or that the default route moves to, and detaches it where it is no longer \
                  configured. It looks up the own_endpoint of peers again whose latest handshake \
                  is older than 135 seconds. It follows the relay in force: an edited file has no effect until it \
                  is applied, and a relay that is down stays down.\n\nExamples:\n  \
                  relay follow                by hand, until Ctrl-C; relay-follow.service runs it")]
pub(super) struct Follow {}

impl Follow {
    #[expect(clippy::unused_self, reason = "every verb is called like this")]
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let follower = Follower::listen(place.site("follow"))?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut hangup = signal(SignalKind::hangup())?;
            tokio::select! {
                outcome = follow(follower) => outcome,
                ended = tokio::signal::ctrl_c() => Ok(ended?),
                _ = terminate.recv() => Ok(()),
                _ = hangup.recv() => Ok(()),
            }
        })
    }
}

async fn follow(mut follower: Follower<'_>) -> Result<()> {
    let mut printed = None;
    let mut retry = RETRY_FIRST;
    loop {
        let mut done = Vec::new();
        let outcome = follower.check(&mut done).await;
        done.iter().try_for_each(|line| say(line))?;
        match outcome {
            Ok(()) => {
                (printed, retry) = (None, RETRY_FIRST);
                follower.wait().await?;
            }
            Err(error) => {
                let why = exit::describe(&error);
                if printed.as_ref() != Some(&why) {
                    writeln!(io::stderr(), "{why}")?;
                    printed = Some(why);
                }
                if let Ok(news) = timeout(retry, follower.wait()).await {
                    news?;
                }
                retry = RETRY_LAST.min(retry * 2);
            }
        }
        sleep(SETTLING).await;
        follower.drain()?;
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
