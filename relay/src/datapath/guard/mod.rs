//! The guard: an XDP program on the underlay interfaces, independent of the policy.
//!
//! One loaded program serves all interfaces. Where a guard runs, its link is switched to the new
//! program, so that a guard is always attached.

mod attempts;
mod counts;
mod hook;
mod loaded;
mod obstacle;
mod overlay;
mod settings;

pub use attempts::GuardAttempt;
pub use counts::GuardCounts;
pub use hook::{GuardHook, GuardPlace};
pub use loaded::LoadedGuard;
pub use settings::GuardSettings;

use super::{Datapath, DatapathError, pinned::Pins};
use crate::model::XdpProgram;

impl Datapath {
    /// The state of the guard on the named interfaces, in their order, then on all others with a pinned
    /// link of ours. `programs` are the XDP programs of the host's interfaces, as netlink lists them.
    ///
    /// # Errors
    /// There is no BPF file system. A pin cannot be read.
    pub fn guards(
        &self,
        interfaces: &[&str],
        programs: &[XdpProgram],
    ) -> Result<Vec<GuardHook>, DatapathError> {
        self.pins.require_bpffs()?;
        hook::observe(&self.pins, interfaces, programs)
    }

    /// Loads the guard and attaches it. A running guard is switched atomically, unless another mode is
    /// desired, which detaches it for a moment. Counts stay. Returns the interfaces on which it failed,
    /// with the errors.
    ///
    /// # Errors
    /// The program is not loaded, and nothing has changed.
    pub fn guard(
        &self,
        settings: &GuardSettings,
        places: &[GuardPlace<'_>],
        observed: &[GuardHook],
    ) -> Result<Vec<(String, DatapathError)>, DatapathError> {
        self.pins.make()?;
        hook::keep_counts(&self.pins, observed)?;
        let mut loaded = LoadedGuard::load(settings, Some(&self.pins))?;
        let program = loaded.program()?;
        let mut failed = Vec::new();
        for place in places {
            let found = observed.iter().find(|hook| hook.interface == place.interface);
            if let Err(error) = hook::switch(&self.pins, place, found, program) {
                failed.push((place.interface.to_owned(), error));
            }
        }
        Ok(failed)
    }

    /// Detaches the guard from an interface. Whether there was one. With the last one, the tables of
    /// sources and flows are removed; counts stay.
    ///
    /// # Errors
    /// The link cannot be detached, or a pin not removed.
    pub fn unguard(&self, interface: &str) -> Result<bool, DatapathError> {
        hook::take_off(&self.pins, interface)
    }

    /// Initiations that the guard passed and that no session followed, the latest first. If the table is
    /// flooded, only some of them.
    ///
    /// # Errors
    /// The pin cannot be read, or has another shape.
    pub fn guard_attempts(&self) -> Result<Vec<GuardAttempt>, DatapathError> {
        attempts::read(&self.pins)
    }

    /// Messages since the guard was first attached, by [`relay_common::guard::Outcome::index`]; zeros if
    /// it never was.
    ///
    /// # Errors
    /// The pin cannot be read, or has another shape.
    pub fn guard_counts(&self) -> Result<GuardCounts, DatapathError> {
        counts::read(&self.pins)
    }
}

/// Detaches the guard from all interfaces.
pub(super) fn remove_all(pins: &Pins) -> Result<(), DatapathError> {
    hook::take_off_all(pins)
}
