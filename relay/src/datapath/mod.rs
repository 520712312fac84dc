//! The kernel side: generations of programs and maps, their hooks, and the counters that outlive
//! them.
//!
//! A policy is never edited in place. [`Datapath::switch`] loads a new generation beside the old
//! one, fills its maps and only then points the hooks at it; whatever fails before leaves
//! everything as it was.

mod bpffs;
mod counters;
mod error;
mod events;
mod generation;
mod guard;
mod held;
mod heritage;
mod hook;
mod link;
mod mapped;
mod object;
mod pairs;
mod pins;
mod probe;
mod shape;
mod slots;
mod tcx;
mod test_run;
mod trace;

use std::{collections::BTreeMap, fmt, path::Path};

use counters::Keeping;
use relay_common::Generation;

pub use bpffs::is_open as is_bpffs_open;
pub use counters::{Counters, Epoch, RefusedCounts};
pub use error::DatapathError;
pub use events::{Inner, Recorded, Recorder, Refusal};
pub use generation::{Loaded, policy_hash};
pub use guard::{
    GuardAttempt, GuardCounts, GuardHook, GuardPlace, GuardSettings, LoadedGuard, Obstacle,
    XdpMode, XdpProgram,
};
pub use heritage::Heritage;
pub use hook::{Classifier, Direction, Hook, Mode, Twin};
pub use pairs::PairTraffic;
pub use pins::Pins;
pub use probe::{Answer, SHORTEST as SHORTEST_PROBE, echo};
pub use slots::Slots;
pub use test_run::{Packet, Run};
pub use trace::{Trace, traced};

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
    /// Where our programs run, ingress first.
    pub hooks: [Hook; 2],
    /// Slot of each key.
    pub slots: BTreeMap<PublicKey, u32>,
    /// What other versions of relay have pinned.
    pub heritage: Vec<Heritage>,
    keeping: Keeping,
}

/// What is put right beside the policy. Its text is a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// What another version has pinned is taken over.
    TakeOver(Heritage),
    /// What the programs count in is pinned again.
    Counters,
    /// A copy of a program is taken off.
    Detach(Twin),
}

impl Observed {
    /// The policy in force, if both hooks run the same.
    pub fn generation(&self) -> Option<Generation> {
        let [ingress, egress] = &self.hooks;
        ingress.generation.filter(|generation| Some(*generation) == egress.generation)
    }

    /// Whether this policy is in force on both hooks, with these slots, counting where it is to.
    pub fn carries_out(&self, compiled: &Compiled, slots: &Slots) -> bool {
        let in_force = self.generation().map(|generation| generation.policy_hash);
        in_force == Some(policy_hash(compiled)) && !slots.changed() && !self.counts_elsewhere()
    }

    /// The number of the generation after all that are attached.
    pub fn next_number(&self) -> u64 {
        let numbers = self.hooks.iter().filter_map(|hook| hook.generation);
        numbers.map(|generation| generation.number).max().unwrap_or(0) + 1
    }

    /// Whether the programs count elsewhere than in what is pinned, so that only another
    /// generation brings the two together.
    pub fn counts_elsewhere(&self) -> bool {
        self.keeping == Keeping::Elsewhere
    }

    /// Whether what the programs count in is not pinned.
    pub fn counters_are_lost(&self) -> bool {
        matches!(self.keeping, Keeping::Lost { .. })
    }

    /// What is to be put right whether or not the policy changes.
    pub fn repairs(&self) -> Vec<Repair> {
        let heritage = self.heritage.iter().cloned().map(Repair::TakeOver);
        let counters = self.counters_are_lost().then_some(Repair::Counters);
        let twins = self.hooks.iter().flat_map(|hook| &hook.twins).cloned().map(Repair::Detach);
        heritage.chain(counters).chain(twins).collect()
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeOver(heritage) => heritage.fmt(f),
            Self::Counters => f.write_str("~ counters: pinned again"),
            Self::Detach(twin) => write!(f, "- stale program {twin}"),
        }
    }
}

impl Datapath {
    /// The datapath of an interface in the network namespace of this thread, whether or not there is
    /// anything of it yet. `bpffs` is the BPF file system that it is kept in.
    ///
    /// # Errors
    /// Others than root can have put something there.
    pub fn open(bpffs: &Path, interface: &str) -> Result<Self, DatapathError> {
        Ok(Self::new(Pins::open(bpffs, interface)?, interface))
    }

    /// The datapath that is pinned there.
    pub fn new(pins: Pins, interface: &str) -> Self {
        Self { interface: interface.to_owned(), pins }
    }

    /// Where programs run. `classifiers` are the filters on the interface's clsact qdisc, for
    /// kernels without TCX.
    ///
    /// # Errors
    /// A hook or the pin of a link cannot be read.
    pub fn hooks(&self, classifiers: &[Classifier]) -> Result<[Hook; 2], DatapathError> {
        hook::observe(&self.pins, &self.interface, classifiers)
    }

    /// What the kernel holds, beside the hooks.
    ///
    /// # Errors
    /// There is no BPF file system. A pin cannot be read, or is of another shape. What is pinned
    /// runs on another interface.
    pub fn observe(&self, hooks: [Hook; 2]) -> Result<Observed, DatapathError> {
        self.pins.require_bpffs()?;
        if let Some(place) = hooks.iter().find_map(|hook| hook.elsewhere.clone()) {
            return Err(DatapathError::Elsewhere { interface: self.interface.clone(), place });
        }
        let counting: Vec<_> = hooks.iter().filter_map(|hook| hook.counting).collect();
        Ok(Observed {
            keeping: counters::observe(&self.pins, &counting)?,
            slots: slots::read(&self.pins)?,
            heritage: self.pins.heritage()?,
            hooks,
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
        self.switch_to(compiled, slots, observed, number).map(drop)
    }

    /// Switches to a generation that logs every packet, each as a line to `write`. It goes on
    /// logging, at a cost, until the next switch.
    ///
    /// # Errors
    /// Anything the kernel refuses.
    pub fn trace(
        &self,
        compiled: &Compiled,
        slots: &Slots,
        observed: &Observed,
        write: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Trace, DatapathError> {
        let mut loaded =
            self.switch_to(&traced(compiled), slots, observed, observed.next_number())?;
        Trace::of(&mut loaded, write)
    }

    fn switch_to(
        &self,
        compiled: &Compiled,
        slots: &Slots,
        observed: &Observed,
        number: u64,
    ) -> Result<Loaded, DatapathError> {
        self.pins.make()?;
        let epoch = counters::ensure(&self.pins, slots.capacity())?;
        events::check(&self.pins)?;
        pairs::check(&self.pins)?;
        slots::claim(&self.pins, slots)?;
        let mut loaded =
            Loaded::load(compiled, number, Some((&self.pins, epoch)), slots.capacity())?;
        hook::switch(&self.pins, &self.interface, &mut loaded, &observed.hooks)?;
        slots::release(&self.pins, slots)?;
        Ok(loaded)
    }

    /// Takes over what other versions have pinned, and pins what the programs count in again, if that
    /// was lost: before a switch, so that the next generation goes on counting there.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn keep_counters(&self, observed: &Observed) -> Result<(), DatapathError> {
        if !observed.heritage.is_empty() {
            self.pins.make()?;
        }
        match observed.keeping {
            Keeping::Lost { epoch, counting } => {
                self.pins.make()?;
                counters::keep(&self.pins, epoch, counting)
            }
            Keeping::Pinned | Keeping::Elsewhere => Ok(()),
        }
    }

    /// Takes copies of our programs off: after a switch, so that there is no moment without any.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn detach_twins(&self, observed: &Observed) -> Result<(), DatapathError> {
        let mut twins = observed.hooks.iter().flat_map(|hook| &hook.twins);
        twins.try_for_each(|twin| hook::detach(&self.interface, twin))
    }

    /// Counters of all peers and reasons.
    ///
    /// # Errors
    /// A pin cannot be read, or is of another shape.
    pub fn counters(&self) -> Result<Counters, DatapathError> {
        self.pins.require_bpffs()?;
        counters::read(&self.pins)
    }

    /// Slot of each key; none when nothing is pinned.
    ///
    /// # Errors
    /// The pin cannot be read, or is of another shape.
    pub fn slots(&self) -> Result<BTreeMap<PublicKey, u32>, DatapathError> {
        slots::read(&self.pins)
    }

    /// What pairs of peers have exchanged; nothing where `pair_stats` was never on.
    ///
    /// # Errors
    /// A pin cannot be read, or is of another shape.
    pub fn pairs(&self) -> Result<PairTraffic, DatapathError> {
        self.pins.require_bpffs()?;
        pairs::read(&self.pins)
    }

    /// Refused packets as they are written down, the `last` of those that were first.
    ///
    /// # Errors
    /// The pins cannot be read, or are of another shape.
    pub fn recorder(&self, last: u64) -> Result<Recorder, DatapathError> {
        self.pins.require_bpffs()?;
        Recorder::open(&self.pins, last)
    }

    /// Asks the attached program for its verdict on a packet from a peer, of at least
    /// [`SHORTEST_PROBE`] bytes. Nothing is counted or sent.
    ///
    /// # Errors
    /// No program is attached, or it does not answer.
    pub fn probe(&self, hooks: &[Hook; 2], packet: &[u8]) -> Result<Answer, DatapathError> {
        let missing = || DatapathError::NotAttached { interface: self.interface.clone() };
        let program = hook::program(&hooks[0])?.ok_or_else(missing)?;
        let index = tcx::index(&self.interface)
            .map_err(DatapathError::hook(Direction::Ingress.program(), "find"))?;
        probe::run(&program, index.ok_or_else(missing)?, packet)
    }

    /// Removes every pin. The hooks go with them on TCX, and with the interface otherwise; the
    /// guard is taken off before.
    ///
    /// # Errors
    /// A pin cannot be removed, or the guard not be taken off.
    pub fn remove(&self) -> Result<bool, DatapathError> {
        guard::remove_all(&self.pins)?;
        self.pins.remove()
    }

    /// Whether anything is pinned.
    pub fn exists(&self) -> bool {
        self.pins.exists()
    }
}
