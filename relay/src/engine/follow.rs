//! `relay follow`: keeps fence and guard of the relay in force where they belong, and looks peers that
//! the relay dials up again.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::{
    Classified, Error, Lock, Result, Site, desired, endpoints,
    guard::{GuardPlan, Guarding, Rekeyed},
    mesh,
    observe::Running,
    require_capabilities,
};
use crate::{
    config::{self, Options, Stamp},
    datapath::{Datapath, policy_hash},
    model::Relay,
    net::{
        self, Handle, News,
        fence::{self, FenceState},
        link,
    },
    wireguard,
};

/// Follows one relay.
pub struct Follower<'a> {
    site: Site<'a>,
    handle: Handle,
    news: News,
    /// The relay in force, as last seen.
    known: Option<Relay>,
    /// The files, when they described the relay in force.
    stamp: Option<Stamp>,
    /// What was said last about endpoints that are not found.
    unknown: Vec<String>,
}

/// Between two looks at the handshakes of peers that the relay dials.
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);

const OPTIONS: Options = Options { allow_empty: true };

impl<'a> Follower<'a> {
    /// Listens for changes of the host.
    ///
    /// # Errors
    /// The process lacks a capability, or the kernel gives no socket.
    pub fn listen(site: Site<'a>) -> Result<Self> {
        require_capabilities(site.verb)?;
        let news = News::listen()?;
        let unknown = Vec::new();
        Ok(Self { site, handle: net::connect()?, news, known: None, stamp: None, unknown })
    }

    /// Waits until something changes, or peers are to be looked up again.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn wait(&self) -> Result<()> {
        let has_dialled = |relay: &Relay| endpoints::dialled(relay).next().is_some();
        tokio::select! {
            news = self.news.wait() => Ok(news?),
            () = sleep(BETWEEN_LOOKS), if self.known.as_ref().is_some_and(has_dialled) => Ok(()),
        }
    }

    /// Forgets the changes that have come so far.
    ///
    /// # Errors
    /// The socket fails.
    pub fn drain(&self) -> Result<()> {
        Ok(self.news.drain()?)
    }

    /// Checks fence and guard, and restores them. A line for each thing done goes to `done`, also
    /// when something fails after it.
    ///
    /// # Errors
    /// Something cannot be read or restored.
    pub async fn check(&mut self, done: &mut Vec<String>) -> Result<()> {
        self.check_places(done).await?;
        self.dial(done).await
    }

    async fn check_places(&mut self, done: &mut Vec<String>) -> Result<()> {
        let stamp = Stamp::of(self.site.config);
        if let Some(known) = self.known.as_ref().filter(|_| self.stamp.as_ref() == Some(&stamp)) {
            // Without the lock. What is half done or cannot be read is checked again with it.
            let is_intact =
                async { Ok::<_, Error>(self.is_up(known).await? && self.is_intact(known).await?) };
            if matches!(is_intact.await, Ok(true)) {
                return Ok(());
            }
        }
        let (files, _lock) = self.lock()?;
        let Some(relay) = self.known.as_ref().or(files.as_ref()) else { return Ok(()) };
        if !self.is_up(relay).await? {
            self.known = None;
            return Ok(());
        }
        if self.adopt(files.as_ref(), &stamp, done).await? {
            let Some(known) = &self.known else { return Ok(()) };
            self.restore_fence(known, done)?;
            return self.restore_guard(known, done).await;
        }
        match (&self.known, &files) {
            (Some(known), _) => {
                self.restore_fence(known, done)?;
                self.restore_guard(known, done).await?;
                // What kept the files from being adopted may be restored now.
                self.adopt(files.as_ref(), &stamp, done).await.map(drop)
            }
            (None, Some(files)) => self.restore_fence(files, done),
            (None, None) => Ok(()),
        }
    }

    /// Looks up peers whose latest handshake is old, and sets where they are reached now.
    async fn dial(&mut self, done: &mut Vec<String>) -> Result<()> {
        let Some(known) = &self.known else { return Ok(()) };
        if endpoints::dialled(known).next().is_none() {
            return Ok(());
        }
        let Some(device) = wireguard::read(&known.interface)? else { return Ok(()) };
        // Those that are at home at other relays are dialled there.
        let away = mesh::away(&self.datapath(known)?)?;
        let mut stale = endpoints::stale(known, &device, SystemTime::now());
        stale.retain(|(peer, _)| !away.contains(&peer.public_key));
        let (found, unknown) = endpoints::look_up(endpoints::wanted(&stale)).await;
        if self.unknown != unknown {
            done.extend(unknown.iter().cloned());
            self.unknown = unknown;
        }
        if found.is_empty() {
            return Ok(());
        }
        let _lock = Lock::relay(&known.interface, self.site.verb, self.site.notice)?;
        // One that was heard of meanwhile, or that is gone, stays as it is.
        let Some(device) = wireguard::read(&known.interface)? else { return Ok(()) };
        let stale = endpoints::stale(known, &device, SystemTime::now());
        let changes = endpoints::changes(&stale, &device, &found);
        wireguard::apply(&known.interface, &changes)?;
        done.extend(changes.iter().map(ToString::to_string));
        Ok(())
    }

    /// Takes the relay's lock and reads the files. While a relay is known, its files may be invalid:
    /// somebody may be editing them.
    fn lock(&self) -> Result<(Option<Relay>, Lock)> {
        let Site { config, verb, notice, .. } = self.site;
        if let Some(known) = &self.known {
            let lock = Lock::relay(&known.interface, verb, notice)?;
            let loaded = config::load(config, OPTIONS).ok();
            let trusted = loaded.filter(|loaded| config::require_trusted(loaded).is_ok());
            return Ok((trusted.map(|loaded| loaded.relay), lock));
        }
        let (loaded, lock) = Lock::load(self.site, config::load(config, OPTIONS)?, OPTIONS)?;
        Ok((Some(loaded.relay), lock))
    }

    /// Follows the files from now on if they describe the relay in force.
    async fn adopt(
        &mut self,
        files: Option<&Relay>,
        stamp: &Stamp,
        done: &mut Vec<String>,
    ) -> Result<bool> {
        let Some(files) = files else { return Ok(false) };
        if !self.is_in_force(files).await? {
            return Ok(false);
        }
        if self.known.is_none() {
            done.push(format!("{}: following fence and guard", files.interface));
        }
        self.known = Some(files.clone());
        self.stamp = Some(stamp.clone());
        Ok(true)
    }

    /// Whether it was brought up and not taken down, whatever it has lost since.
    async fn is_up(&self, relay: &Relay) -> Result<bool> {
        let was_up = self.known.is_some();
        Ok(self.datapath(relay)?.exists()
            || (was_up && link::read(&self.handle, &relay.interface).await?.is_some()))
    }

    /// Whether fence and guard are what `relay` asks for.
    async fn is_intact(&self, relay: &Relay) -> Result<bool> {
        let fence = fence::observe(&desired::fence(relay)).map(|(state, _)| state);
        let is_fenced = desired::is_fence_desired(fence, relay)?;
        let guard = self.guard_plan(relay).await?;
        Ok(is_fenced && guard.is_none_or(|guard| guard.is_empty()))
    }

    /// Whether the files describe the relay in force.
    async fn is_in_force(&self, files: &Relay) -> Result<bool> {
        if self.known.as_ref().is_some_and(|known| known.interface != files.interface) {
            return Ok(false);
        }
        let running = Running::observe(&self.handle, files, &self.datapath(files)?).await?;
        let observed = running.datapath?;
        let (compiled, _slots) = desired::policy(&self.handle, files, &observed).await?;
        let in_force = observed.generation().map(|generation| generation.policy_hash);
        // Fence and guard are not part of the policy. If the files change them, those are in force
        // only once `up` has changed them too.
        let is_known = |known: &Relay| known.fence == files.fence && known.guard == files.guard;
        Ok(in_force == Some(policy_hash(&compiled))
            && (self.known.as_ref().is_none_or(is_known) || self.is_intact(files).await?))
    }

    /// Puts the fence up if it is missing or changed. It never takes it down.
    fn restore_fence(&self, relay: &Relay, done: &mut Vec<String>) -> Result<()> {
        if !relay.fence {
            return Ok(());
        }
        let fence = desired::fence(relay);
        let was = match fence::observe(&fence)?.0 {
            FenceState::Intact => return Ok(()),
            FenceState::Absent => "gone",
            // It may be the fence of the relay in force.
            FenceState::Different if self.known.is_none() => return Ok(()),
            FenceState::Different => "changed",
        };
        fence::put_up(&fence)?;
        let table = fence::table_name(&relay.interface);
        done.push(format!("fence inet {table} was {was}; it is up again"));
        Ok(())
    }

    /// Attaches and detaches the guard. It never switches it.
    async fn restore_guard(&self, relay: &Relay, done: &mut Vec<String>) -> Result<()> {
        let Some(plan) = self.guard_plan(relay).await? else { return Ok(()) };
        let plan = plan.only_places();
        let failures = plan.apply(&self.datapath(relay)?);
        let is_done = |line: &String| !failures.iter().any(|one| one.changes.contains(line));
        done.extend(plan.lines().filter(is_done));
        if failures.is_empty() {
            return Ok(());
        }
        let why: Vec<_> = failures.into_iter().map(|failure| failure.why).collect();
        Err(Unguarded(why.join("; ")).into())
    }

    /// What differs of the guard; `None` if there is no interface to have a key. An interface that is
    /// to be guarded and does not exist yet is waited for.
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
        Ok(Datapath::open(self.site.bpffs, relay.interface.as_str())?)
    }
}

/// Interfaces that the guard could not be attached to or detached from.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unguarded(String);

impl Classified for Unguarded {}
