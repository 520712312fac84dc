use std::{
    future::Future,
    path::{Path, PathBuf},
};

use super::{
    Classified, ErrorContext as _, HostError, Kind, Lock, Result, Site, Subject, claim,
    require_capabilities,
};
use crate::{
    config::{self, Loaded, Options},
    datapath::Datapath,
    model::{InterfaceName, Relay},
    net::{self, Handle},
};

/// One relay, with all that is needed to look at it or to change it: its configuration, its pins,
/// a netlink socket, and, to change it, its lock.
pub struct Context {
    subject: Subject,
    mark: String,
    state: PathBuf,
    datapath: Datapath,
    handle: Handle,
    lock: Option<Lock>,
}

/// A relay of which only the interface is known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unconfigured(String);

impl Classified for Unconfigured {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// Runs work of the engine to its end on this thread.
///
/// # Errors
/// The work fails.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("start the runtime")?.block_on(work)
}

impl Context {
    /// To look at a relay: that of the configuration, or the one on `interface`. If the
    /// configuration is invalid or describes another interface, only the kernel's side is known.
    ///
    /// # Errors
    /// The configuration is invalid and no interface was brought up from it; the process lacks a
    /// capability.
    pub async fn look(site: Site<'_>, interface: Option<&InterfaceName>) -> Result<Self> {
        Self::of(site, Subject::find(site.config, interface).await?)
    }

    /// To look at a relay that is found already.
    ///
    /// # Errors
    /// The process lacks a capability.
    pub fn of(site: Site<'_>, subject: Subject) -> Result<Self> {
        require_capabilities(site.verb)?;
        Self::new(site, subject, None)
    }

    /// To see what a change would see, without keeping others from changing it.
    ///
    /// # Errors
    /// The configuration is invalid, or the process lacks a capability.
    pub fn preview(site: Site<'_>, options: Options) -> Result<Self> {
        Self::of(site, Subject::Configured(config::load(site.config, options)?))
    }

    /// To change a relay: takes its lock, then reads the configuration.
    ///
    /// # Errors
    /// The configuration is invalid, the process lacks a capability, or the lock cannot be taken.
    pub fn change(site: Site<'_>, options: Options) -> Result<Self> {
        require_capabilities(site.verb)?;
        Self::change_of(site, config::load(site.config, options)?, options)
    }

    /// To change the relay of a configuration that has been read: takes its lock, then reads the files
    /// again.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub(super) fn change_of(site: Site<'_>, loaded: Loaded, options: Options) -> Result<Self> {
        require_capabilities(site.verb)?;
        let (loaded, lock) = Lock::load(site, loaded, options)?;
        Self::new(site, Subject::Configured(loaded), Some(lock))
    }

    /// To change what belongs to a relay as it is in force: that of the configuration, or the one on
    /// `interface`. Takes its lock.
    ///
    /// # Errors
    /// As [`Self::look`], or the lock cannot be taken.
    pub async fn hold(site: Site<'_>, interface: Option<&InterfaceName>) -> Result<Self> {
        require_capabilities(site.verb)?;
        let subject = Subject::find(site.config, interface).await?;
        let lock = Lock::relay(&subject.relay().interface, site.verb, site.notice)?;
        Self::new(site, subject, Some(lock))
    }

    /// The relay.
    pub const fn relay(&self) -> &Relay {
        self.subject.relay()
    }

    /// The relay, and how much of it is known.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The configuration.
    ///
    /// # Errors
    /// It is invalid or describes another relay.
    pub(super) fn loaded(&self) -> Result<&Loaded, Unconfigured> {
        match &self.subject {
            Subject::Configured(loaded) => Ok(loaded),
            Subject::Bare { why, .. } => Err(Unconfigured(why.clone())),
        }
    }

    pub(super) const fn datapath(&self) -> &Datapath {
        &self.datapath
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The alias of the relay's interface.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// The directory of what outlives a reboot.
    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    /// Lets others change the relay from now on.
    pub(super) fn unlock(&mut self) {
        self.lock = None;
    }

    /// Checks that something is pinned for the relay.
    ///
    /// # Errors
    /// Nothing is: it is not up.
    pub(super) fn require_up(&self) -> Result<(), HostError> {
        match self.datapath.exists() {
            true => Ok(()),
            false => Err(HostError::NotUp { interface: self.relay().interface.clone() }),
        }
    }

    fn new(site: Site<'_>, subject: Subject, lock: Option<Lock>) -> Result<Self> {
        let datapath = Datapath::open(site.bpffs, subject.relay().interface.as_str())?;
        Ok(Self {
            subject,
            mark: claim::mark(site.config),
            state: site.state.to_owned(),
            datapath,
            handle: net::connect()?,
            lock,
        })
    }
}
