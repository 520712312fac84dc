use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, BorrowedFd},
    panic, thread,
};

use rustix::{
    mount::{MountPropagationFlags, mount_change},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};

use super::super::{ErrorContext as _, Result};

/// A network namespace without a name. It goes with the last descriptor, thread and socket in it.
pub(super) struct Namespace {
    network: File,
    /// With a mount namespace of its own.
    mounts: Option<File>,
}

impl Namespace {
    /// A new network namespace, with every interface down.
    ///
    /// # Errors
    /// The kernel makes none.
    pub(super) fn create() -> Result<Self> {
        Ok(Self { network: on_a_thread(|| unshared(UnshareFlags::NEWNET, "net"))?, mounts: None })
    }

    /// The same with a mount namespace, in which `prepare` has mounted what it wants. Nothing of it
    /// is seen outside.
    ///
    /// # Errors
    /// The kernel makes none, or as `prepare`.
    pub(super) fn with_mounts(prepare: impl FnOnce() -> Result<()> + Send) -> Result<Self> {
        on_a_thread(|| {
            let mounts = unshared(UnshareFlags::NEWNS, "mnt")?;
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).map_err(io::Error::from).context("make mounts private")?;
            prepare()?;
            let network = unshared(UnshareFlags::NEWNET, "net")?;
            Ok(Self { network, mounts: Some(mounts) })
        })
    }

    /// Runs `work` on a thread inside. Sockets that it opens stay inside.
    ///
    /// # Errors
    /// As `work`.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_a_thread(|| {
            if let Some(mounts) = &self.mounts {
                unshare(UnshareFlags::FS)?;
                into(mounts, LinkNameSpaceType::Mount)?;
            }
            into(&self.network, LinkNameSpaceType::Network)?;
            work()
        })
    }

    /// The network namespace, for requests that move something there.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }
}

/// Moves this thread into a new namespace, and opens it.
fn unshared(which: UnshareFlags, name: &str) -> Result<File> {
    unshare(which)?;
    let path = format!("/proc/thread-self/ns/{name}");
    File::open(&path).with_context(|| format!("open {path}"))
}

fn unshare(which: UnshareFlags) -> Result<()> {
    // SAFETY: no caller passes UnshareFlags::FILES, so all threads go on with the same descriptors.
    let done = unsafe { unshare_unsafe(which) };
    done.map_err(io::Error::from).context("make a namespace (unshare)")
}

fn into(namespace: &File, kind: LinkNameSpaceType) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(kind))
        .map_err(io::Error::from)
        .context("enter a namespace (setns)")
}

/// Runs `work` on a thread of its own, which may change its namespaces.
fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("bench".to_owned()).spawn_scoped(scope, work);
        let ended = thread.context("start a thread")?.join();
        ended.unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}
