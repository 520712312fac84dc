//! The kernel side: generations of programs and maps, their hooks, and the counters that outlive
//! them.
//!
//! A policy is never edited in place. [`Datapath::switch`] loads a new generation beside the old
//! one, fills its maps and only then points the hooks at it; whatever fails before leaves
//! everything as it was.

mod counters;
mod error;
mod generation;
mod hook;
mod mapped;
mod pins;
mod slots;

use std::collections::BTreeMap;

use relay_common::Generation;

pub use counters::{Counters, RefusedCounts};
pub use error::DatapathError;
pub use generation::{Loaded, Packet, Run, policy_hash};
pub use hook::{Classifier, Direction, Mode};
pub use pins::Pins;
pub use slots::Slots;

use crate::{model::PublicKey, policy::Compiled};

/// Oldest kernel relay runs on.
pub const MINIMUM_KERNEL: (u32, u32) = (6, 1);

/// The datapath of one interface.
#[derive(Debug)]
pub struct Datapath {
    interface: String,
    pins: Pins,
}

/// What the kernel holds of a datapath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// How the hooks are attached; `None` when one is missing or not ours.
    pub mode: Option<Mode>,
    /// The policy in force, if both hooks run the same.
    pub generation: Option<Generation>,
    /// Slot of each key.
    pub slots: BTreeMap<PublicKey, u32>,
    /// Programs of others on the interface, that run before ours.
    pub foreign: Vec<String>,
}

impl Datapath {
    /// The datapath of an interface, whether or not there is anything of it yet.
    pub fn new(pins: Pins, interface: &str) -> Self {
        Self { interface: interface.to_owned(), pins }
    }

    /// What the kernel holds. `classifiers` are the filters on the interface's clsact qdisc, for
    /// kernels without TCX.
    ///
    /// # Errors
    /// A pin cannot be read, or is of another shape.
    pub fn observe(&self, classifiers: &[Classifier]) -> Result<Observed, DatapathError> {
        let attached = hook::observe(&self.pins, &self.interface, classifiers)?;
        let generation = match attached.programs {
            Some(programs) => generation::in_force(programs)?,
            None => None,
        };
        Ok(Observed {
            mode: attached.mode,
            generation,
            slots: slots::read(&self.pins)?,
            foreign: attached.foreign,
        })
    }

    /// Loads a generation and switches the hooks to it, in this order: slots of new peers, maps,
    /// programs, hooks, slots of peers that are gone.
    ///
    /// # Errors
    /// Anything the kernel refuses. Before the switch nothing has changed for packets.
    pub fn switch(
        &self,
        compiled: &Compiled,
        slots: &Slots,
        observed: &Observed,
        number: u64,
    ) -> Result<(), DatapathError> {
        self.pins.make()?;
        let epoch = counters::ensure(&self.pins, slots.capacity())?;
        slots::claim(&self.pins, slots)?;
        let mut loaded =
            Loaded::load(compiled, number, Some((&self.pins, epoch)), slots.capacity())?;
        hook::switch(&self.pins, &self.interface, &mut loaded, observed.mode)?;
        slots::release(&self.pins, slots)
    }

    /// Counters of all peers and reasons.
    ///
    /// # Errors
    /// A pin cannot be read, or is of another shape.
    pub fn counters(&self) -> Result<Counters, DatapathError> {
        counters::read(&self.pins)
    }

    /// Removes every pin. The hooks go with them on TCX, and with the interface otherwise.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn remove(&self) -> Result<bool, DatapathError> {
        self.pins.remove()
    }

    /// Whether anything is pinned.
    pub fn exists(&self) -> bool {
        self.pins.dir().exists()
    }
}
