use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

use super::{
    exit,
    guard::{GuardPlan, Guarding, Rekeyed},
    host,
    lock::{self, Lock},
    plan,
    running::{self, Running},
};
use crate::{
    config::{self, Options, Stamp},
    datapath::{Datapath, policy_hash},
    model::Relay,
    net::{
        self, Handle, NetError, News,
        fence::{self, FenceState},
        link,
    },
    wireguard,
};

/// What others read of it while they wait.
const VERB: &str = "follow";

/// How long changes may come together before they are looked at as one.
const SETTLING: Duration = Duration::from_millis(500);

/// Between two tries of what failed, each twice the one before.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(64);

/// `relay follow`.
#[derive(Debug, Args)]
#[command(
    after_help = "Packets do not depend on it. It puts the fence up again when something removed \
                  or changed it, such as `nft flush ruleset`; attaches the guard to the interface \
                  that the default route moved to, or that appeared; and takes it off where it is no \
                  longer wanted. It does this for the relay that is in force: a file that was \
                  edited and not applied changes nothing, and a relay that is down stays down.\n\n\
                  Examples:\n  relay follow                by hand, until \
                  Ctrl-C; relay-follow.service runs it"
)]
pub(super) struct Follow {}

/// Follows one relay.
struct Follower<'a> {
    config: &'a Path,
    bpffs: &'a Path,
    handle: Handle,
    /// The relay in force, as it was last seen.
    known: Option<Relay>,
    /// The files, where they say the same.
    stamp: Option<Stamp>,
}

impl Follow {
    #[expect(clippy::unused_self, reason = "every verb runs so")]
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        host::require_capabilities("follow")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let news = News::listen()?;
            let handle = net::connect()?;
            let follower = Follower { config, bpffs, handle, known: None, stamp: None };
            let mut terminate = signal(SignalKind::terminate())?;
            let mut hangup = signal(SignalKind::hangup())?;
            tokio::select! {
                outcome = follower.follow(&news) => outcome,
                ended = tokio::signal::ctrl_c() => Ok(ended?),
                _ = terminate.recv() => Ok(()),
                _ = hangup.recv() => Ok(()),
            }
        })
    }
}

impl Follower<'_> {
    async fn follow(mut self, news: &News) -> Result<()> {
        let mut said = None;
        let mut retry = RETRY_FIRST;
        loop {
            match self.look().await {
                Ok(()) => {
                    (said, retry) = (None, RETRY_FIRST);
                    news.wait().await?;
                }
                Err(error) => {
                    let why = exit::describe(&error);
                    if said.as_ref() != Some(&why) {
                        writeln!(io::stderr(), "{why}")?;
                        said = Some(why);
                    }
                    if let Ok(news) = timeout(retry, news.wait()).await {
                        news?;
                    }
                    retry = RETRY_LAST.min(retry * 2);
                }
            }
            sleep(SETTLING).await;
            news.drain()?;
        }
    }

    /// Looks once, and puts right what is not.
    async fn look(&mut self) -> Result<()> {
        let stamp = Stamp::of(self.config);
        if let Some(known) = self.known.as_ref().filter(|_| self.stamp.as_ref() == Some(&stamp)) {
            // Without the lock; what is half done, or cannot be read, is looked at with it.
            let is_right =
                async { anyhow::Ok(self.is_up(known).await? && self.is_right(known).await?) };
            if matches!(is_right.await, Ok(true)) {
                return Ok(());
            }
        }
        let options = Options { allow_empty: true };
        let (files, _lock) = match &self.known {
            // What is in force goes on while somebody edits.
            Some(known) => {
                let lock = Lock::relay(&known.interface, VERB)?;
                (config::load(self.config, options).ok().map(|loaded| loaded.relay), lock)
            }
            None => {
                let (loaded, lock) = lock::load(self.config, options, VERB)?;
                (Some(loaded.relay), lock)
            }
        };
        let Some(relay) = self.known.as_ref().or(files.as_ref()) else { return Ok(()) };
        if !self.is_up(relay).await? {
            self.known = None;
            return Ok(());
        }
        if self.adopt(files.as_ref(), &stamp).await? {
            let Some(known) = &self.known else { return Ok(()) };
            self.fence(known)?;
            return self.guard(known).await;
        }
        match (&self.known, &files) {
            (Some(known), _) => {
                self.fence(known)?;
                self.guard(known).await?;
                // What was in the way of it may be gone now.
                self.adopt(files.as_ref(), &stamp).await.map(drop)
            }
            (None, Some(files)) => self.fence(files),
            (None, None) => Ok(()),
        }
    }

    /// Goes by the files from now on if they say what is in force.
    async fn adopt(&mut self, files: Option<&Relay>, stamp: &Stamp) -> Result<bool> {
        let Some(files) = files else { return Ok(false) };
        if !self.is_in_force(files).await? {
            return Ok(false);
        }
        if self.known.is_none() {
            say(&format!("{}: fence and guard are followed", files.interface))?;
        }
        self.known = Some(files.clone());
        self.stamp = Some(stamp.clone());
        Ok(true)
    }

    /// Whether it was brought up and not taken down, whatever it lost since.
    async fn is_up(&self, relay: &Relay) -> Result<bool> {
        let was_up = self.known.is_some();
        Ok(self.datapath(relay)?.exists()
            || (was_up && link::read(&self.handle, &relay.interface).await?.is_some()))
    }

    /// Whether fence and guard are what `relay` asks for.
    async fn is_right(&self, relay: &Relay) -> Result<bool> {
        let wanted = if relay.fence { FenceState::Intact } else { FenceState::Absent };
        let fence = match fence::observe(&running::fence(relay)) {
            Err(NetError::NetfilterMissing { .. }) if !relay.fence => FenceState::Absent,
            found => found?.0,
        };
        let guard = self.guard_plan(relay).await?;
        Ok(fence == wanted && guard.is_none_or(|guard| guard.lines().next().is_none()))
    }

    /// Whether the files say what is in force.
    async fn is_in_force(&self, files: &Relay) -> Result<bool> {
        if self.known.as_ref().is_some_and(|known| known.interface != files.interface) {
            return Ok(false);
        }
        let running = Running::observe(&self.handle, files, &self.datapath(files)?).await?;
        let observed = running.datapath?;
        let (compiled, _slots) = plan::policy(&self.handle, files, &observed).await?;
        let in_force = observed.generation().map(|generation| generation.policy_hash);
        // Fence and guard are no part of the policy: that they changed in the files alone shows
        // where they are not what the files say.
        let is_known = |known: &Relay| known.fence == files.fence && known.guard == files.guard;
        Ok(in_force == Some(policy_hash(&compiled))
            && (self.known.as_ref().is_none_or(is_known) || self.is_right(files).await?))
    }

    /// Puts the fence up where it is not, and never takes it down.
    fn fence(&self, relay: &Relay) -> Result<()> {
        if !relay.fence {
            return Ok(());
        }
        let fence = running::fence(relay);
        let found = match fence::observe(&fence)?.0 {
            FenceState::Intact => return Ok(()),
            FenceState::Absent => "gone",
            // It may be that of the relay in force.
            FenceState::Different if self.known.is_none() => return Ok(()),
            FenceState::Different => "changed",
        };
        fence::put_up(&fence)?;
        let table = fence::table_name(&relay.interface);
        say(&format!("fence inet {table} was {found}; it is up again"))
    }

    /// Puts the guard where it is wanted now.
    async fn guard(&self, relay: &Relay) -> Result<()> {
        let Some(plan) = self.guard_plan(relay).await? else { return Ok(()) };
        let plan = plan.only_places();
        let failures = plan.apply(&self.datapath(relay)?);
        let is_done = |line: &String| !failures.iter().any(|one| one.changes.contains(line));
        plan.lines().filter(is_done).try_for_each(|line| say(&line))?;
        match failures.first() {
            None => Ok(()),
            Some(_) => {
                let why: Vec<_> = failures.iter().map(|failure| failure.why.as_str()).collect();
                anyhow::bail!("{}", why.join("; "))
            }
        }
    }

    /// What differs of the guard; `None` without an interface to have a key. Where it is to stand on
    /// interfaces that are not there yet, they are waited for.
    async fn guard_plan(&self, relay: &Relay) -> Result<Option<GuardPlan>> {
        if link::read(&self.handle, &relay.interface).await?.is_none() {
            return Ok(None);
        }
        let key = wireguard::read(&relay.interface)?.and_then(|device| device.public_key);
        let Some(public_key) = key else { return Ok(None) };
        let guarding = Guarding::observe(&self.handle, relay, &self.datapath(relay)?).await?;
        Ok(Some(guarding.plan(relay, Rekeyed { public_key, is_new: false })))
    }

    fn datapath(&self, relay: &Relay) -> Result<Datapath> {
        Ok(Datapath::open(self.bpffs, relay.interface.as_str())?)
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
