//! The guard: an XDP program on the underlay interfaces, beside the policy and independent of it.
//!
//! One load serves every interface. Where it runs already, its link is pointed at the new program,
//! so that there is no moment without.

mod attempts;
mod counts;
mod hook;
mod loaded;
mod obstacle;
mod overlay;

pub use attempts::GuardAttempt;
pub use counts::GuardCounts;
pub use hook::{GuardHook, GuardPlace, XdpMode, XdpProgram};
pub use loaded::LoadedGuard;
pub use obstacle::Obstacle;

pub(super) use counts::shape as counts_shape;

use ipnet::IpNet;

use super::{Datapath, DatapathError, Pins};
use crate::model::PublicKey;

/// What a guard does: equal settings behave alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSettings {
    /// The relay's UDP port.
    pub port: u16,
    /// The relay's public key, against which MAC1 is checked.
    pub public_key: PublicKey,
    /// Handshake initiations that a source (an IPv4 address, a /64 of IPv6) may go on sending.
    pub initiations_per_second: u32,
    /// Handshake initiations that it may send at once.
    pub burst: u32,
    /// Sources and flows there is room for.
    pub sources: u32,
    /// Networks of the overlay, from which no message comes.
    pub overlay: Vec<IpNet>,
}

impl Datapath {
    /// What there is of the guard: on the interfaces named, in their order, then on all others
    /// that a link of ours is pinned for. `programs` are the XDP programs of this host's
    /// interfaces, as netlink lists them.
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

    /// Loads the guard and puts it where it is wanted: by one step of its link where it runs
    /// already, unless another mode is asked for, which takes it off in between. What was counted
    /// stays. Gives the interfaces that it could not be put on, each with the reason.
    ///
    /// # Errors
    /// The kernel refuses the program, and nothing has changed.
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
        let mut refused = Vec::new();
        for place in places {
            let found = observed.iter().find(|hook| hook.interface == place.interface);
            if let Err(error) = hook::switch(&self.pins, place, found, program) {
                refused.push((place.interface.to_owned(), error));
            }
        }
        Ok(refused)
    }

    /// Takes the guard off an interface; whether there was one. With the last one goes what is
    /// known of sources and flows; counts stay.
    ///
    /// # Errors
    /// The kernel refuses it, or a pin cannot be removed.
    pub fn unguard(&self, interface: &str) -> Result<bool, DatapathError> {
        hook::take_off(&self.pins, interface)
    }

    /// Initiations that the guard let through and that no session followed, the latest first; of
    /// a table that was filled from outside, some of them.
    ///
    /// # Errors
    /// The pin cannot be read, or is of another shape.
    pub fn guard_attempts(&self) -> Result<Vec<GuardAttempt>, DatapathError> {
        attempts::read(&self.pins)
    }

    /// What became of messages since the guard was first put up, by
    /// [`relay_common::guard::Outcome::index`]; zeros where it never was.
    ///
    /// # Errors
    /// The pin cannot be read, or is of another shape.
    pub fn guard_counts(&self) -> Result<GuardCounts, DatapathError> {
        counts::read(&self.pins)
    }
}

/// Takes the guard off all interfaces.
pub(super) fn remove_all(pins: &Pins) -> Result<(), DatapathError> {
    hook::take_off_all(pins)
}
