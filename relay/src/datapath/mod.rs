//! Everything that speaks BPF: generations of programs and maps, their hooks, the counters that outlive
//! them, and the guard.
//!
//! A policy is never edited in place. [`Datapath::switch`] loads a new generation beside the old
//! one, fills its maps, and only then switches the hooks to it. A failure before the switch changes
//! nothing for packets.

mod attach;
mod clock;
mod constants;
mod counters;
mod differences;
mod direction;
mod entries;
mod error;
mod events;
mod flows;
mod frozen;
mod generation;
mod guard;
mod hash;
mod held;
mod homes;
mod link;
mod lives;
mod load;
mod meters;
mod object;
mod observed;
mod pairs;
mod pinned;
mod probe;
mod role;
mod rules;
mod service;
mod slots;
mod tables;
mod tcx;
mod test_run;
mod trace;
mod transit;
mod trial;
mod usage;

use std::{collections::BTreeMap, path::Path};

use counters::Keeping;
use pinned::{EVENT_COUNT, EVENTS, FLOWS, FRAGMENTS, HELD, HOLDERS, PAIRS, RULE_COUNTERS, USES};
use relay_common::{counters::RuleCounters, meter::Used, names};
use role::Role;

pub use attach::{Hook, Mode, StaleProgram, Trial};
pub use clock::Retimed;
pub use counters::{Counters, DroppedCounts, Epoch};
pub use differences::{Differing, Found};
pub use error::{DatapathError, Obstacle};
pub use events::{DroppedPacket, Inner, Recorded, Recorder};
pub use flows::{FlowCounts, LiveFlow};
pub use generation::Loaded;
pub use guard::{GuardAttempt, GuardCounts, GuardHook, GuardPlace, GuardSettings, LoadedGuard};
pub use hash::{policy_hash, tables_hash};
pub use homes::{Homes, Moves};
pub use lives::Lives;
pub use observed::{Observed, Repair};
pub use pairs::PairTraffic;
pub use pinned::{Heritage, Pins, is_bpffs_open};
pub use probe::{Answer, SHORTEST as SHORTEST_PROBE, opening};
pub use service::service;
pub use slots::{Slots, Taken};
pub use test_run::{Packet, Run};
pub use trace::{Trace, traced};
pub use transit::{LoadedTransit, TransitHook, TransitSettings};
pub use usage::Usage;

pub use crate::model::{Classifier, Direction, XdpMode, XdpProgram};
use crate::{
    model::{PublicKey, RuleName},
    policy::Compiled,
};

/// Oldest kernel relay runs on.
pub const MINIMUM_KERNEL: (u32, u32) = (6, 1);

/// The datapath of one interface.
#[derive(Debug)]
pub struct Datapath {
    interface: String,
    pins: Pins,
}

impl Datapath {
    /// The datapath of an interface in the network namespace of this thread, whether or not it exists
    /// yet. `bpffs` is the BPF file system with its pins.
    ///
    /// # Errors
    /// A directory of pins is not root's alone.
    pub fn open(bpffs: &Path, interface: &str) -> Result<Self, DatapathError> {
        Ok(Self::new(Pins::open(bpffs, interface)?, interface))
    }

    /// The datapath of these pins.
    pub fn new(pins: Pins, interface: &str) -> Self {
        Self { interface: interface.to_owned(), pins }
    }

    /// The hooks. `classifiers` are the filters on the interface's clsact qdisc, for kernels without
    /// TCX.
    ///
    /// # Errors
    /// A hook or the pin of a link cannot be read.
    pub fn hooks(&self, classifiers: &[Classifier]) -> Result<[Hook; 2], DatapathError> {
        attach::observe(&self.pins, &self.interface, classifiers)
    }

    /// Observes everything, with these hooks.
    ///
    /// # Errors
    /// There is no BPF file system. A pin cannot be read, or has another shape. The pinned programs run
    /// on another interface.
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
            tai_offset_s: clock::tai_offset_s(),
            hooks,
        })
    }

    /// Loads a generation and switches the hooks to it, in this order: slots of new peers, maps,
    /// programs, hooks, slots of peers that are gone. If use is learnt, it goes on. `saved` is what
    /// peers have used of their quotas if nothing is pinned that tells.
    ///
    /// # Errors
    /// Any step fails. Before the switch nothing has changed for packets.
    pub fn switch(
        &self,
        compiled: &Compiled,
        slots: &Slots,
        observed: &Observed,
        number: u64,
        saved: &BTreeMap<PublicKey, Used>,
    ) -> Result<(), DatapathError> {
        let role = observed.role();
        self.switch_to(role, compiled, slots, observed, number, saved).map(drop)
    }

    /// Switches to a generation that logs every packet as a line to `write`. It logs, which costs time,
    /// until the next switch.
    ///
    /// # Errors
    /// Any step fails.
    pub fn trace(
        &self,
        compiled: &Compiled,
        slots: &Slots,
        observed: &Observed,
        write: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Trace, DatapathError> {
        let (number, nothing) = (observed.next_number(), BTreeMap::new());
        let (role, policy) = (observed.role(), traced(compiled));
        let mut loaded = self.switch_to(role, &policy, slots, observed, number, &nothing)?;
        Trace::of(&mut loaded, write)
    }

    fn switch_to(
        &self,
        role: Role,
        compiled: &Compiled,
        slots: &Slots,
        observed: &Observed,
        number: u64,
        saved: &BTreeMap<PublicKey, Used>,
    ) -> Result<Loaded, DatapathError> {
        self.pins.make()?;
        let epoch = counters::ensure(&self.pins, slots.capacity())?;
        for map in [
            &EVENTS,
            &EVENT_COUNT,
            &PAIRS,
            &RULE_COUNTERS,
            &FLOWS,
            &FRAGMENTS,
            &HELD,
            &USES,
            &HOLDERS,
        ] {
            self.pins.map(map).check()?;
        }
        let new_slots = slots.new_slots();
        counters::clear(&self.pins, &new_slots)?;
        flows::forget(&self.pins, &new_slots)?;
        held::forget(&self.pins, &new_slots)?;
        pairs::forget(&self.pins, &new_slots)?;
        meters::clear(&self.pins, &new_slots)?;
        homes::clear(&self.pins, &new_slots)?;
        usage::forget(&self.pins, &new_slots)?;
        rules::clear(&self.pins, &slots.new_rules())?;
        if compiled.features & names::LIMITED != 0 {
            meters::prepare(&self.pins, epoch, &slots.of_new(saved))?;
        }
        if compiled.features & names::MESH != 0 {
            homes::prepare(&self.pins, epoch)?;
        }
        slots::claim(&self.pins, slots)?;
        let pins = Some((&self.pins, epoch));
        let mut loaded = Loaded::load_as(role, compiled, number, pins, slots.capacity())?;
        attach::switch(&self.pins, &self.interface, &mut loaded, &observed.hooks)?;
        slots::release(&self.pins, slots)?;
        if role != Role::Comparing {
            // It was a trial beside another policy, and what compared is gone.
            self.end_trial(observed)?;
        }
        Ok(loaded)
    }

    /// Takes over the pins of other versions, and pins lost counters again: before a switch, so that
    /// the next generation counts there.
    ///
    /// # Errors
    /// A pin cannot be moved or created.
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

    /// Detaches stale programs: after a switch, so that a program is always attached.
    ///
    /// # Errors
    /// A program cannot be detached.
    pub fn detach_stale(&self, observed: &Observed) -> Result<(), DatapathError> {
        let mut stale = observed.hooks.iter().flat_map(|hook| &hook.stale);
        stale.try_for_each(|stale| attach::detach_stale(&self.interface, stale))?;
        if observed.trial() == Trial::Broken { self.end_trial(observed) } else { Ok(()) }
    }

    /// Counters of these slots, by peer and reason.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn counters(&self, slots: &BTreeMap<PublicKey, u32>) -> Result<Counters, DatapathError> {
        self.pins.require_bpffs()?;
        counters::read(&self.pins, slots)
    }

    /// Which maps are counted in.
    ///
    /// # Errors
    /// The pins cannot be listed.
    pub fn lives(&self) -> Result<Lives, DatapathError> {
        lives::read(&self.pins)
    }

    /// Slot of each key; none if nothing is pinned.
    ///
    /// # Errors
    /// The pin cannot be read, or has another shape.
    pub fn slots(&self) -> Result<BTreeMap<PublicKey, u32>, DatapathError> {
        slots::of_peers(&self.pins)
    }

    /// Slots of keys and numbers of rules; none if nothing is pinned.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn taken(&self) -> Result<Taken, DatapathError> {
        slots::read(&self.pins)
    }

    /// Traffic by pair of peers; none if `pair_stats` was never on.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn pairs(&self) -> Result<PairTraffic, DatapathError> {
        self.pins.require_bpffs()?;
        pairs::read(&self.pins)
    }

    /// Traffic of each rule; none if nothing is pinned.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn rule_counts(&self) -> Result<BTreeMap<RuleName, RuleCounters>, DatapathError> {
        rules::read(&self.pins, slots::of_rules(&self.pins)?)
    }

    /// What the peers with these slots have used of their limits; nothing if nothing is pinned.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn used(
        &self,
        slots: &BTreeMap<PublicKey, u32>,
    ) -> Result<BTreeMap<PublicKey, Used>, DatapathError> {
        meters::read(&self.pins, slots)
    }

    /// Sets what a peer has used of its quotas to nothing.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn reset_used(&self, peer: &PublicKey) -> Result<(), DatapathError> {
        match self.slots()?.get(peer) {
            Some(&slot) => meters::reset(&self.pins, slot),
            None => Ok(()),
        }
    }

    /// Lets no quota be reset later than it would by a clock that says that it is today, a day since
    /// 1970-01-01.
    ///
    /// # Errors
    /// The pin cannot be read, or has another shape.
    pub fn mend_days(&self, today: u64) -> Result<(), DatapathError> {
        meters::mend_days(&self.pins, today)
    }

    /// The flows that are live; none if nothing is pinned.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn flows(&self) -> Result<Vec<LiveFlow>, DatapathError> {
        flows::read(&self.pins)
    }

    /// How many flows are live, without their counts and names; `None` if nothing is pinned.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn flow_counts(&self) -> Result<Option<FlowCounts>, DatapathError> {
        flows::count(&self.pins)
    }

    /// Dropped packets, beginning with the latest `last`.
    ///
    /// # Errors
    /// The pins cannot be read, or have another shape.
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
        let program = attach::program(&hooks[0])?.ok_or_else(missing)?;
        let index = tcx::index(&self.interface)
            .map_err(DatapathError::hook(Direction::Ingress.program(), "find"))?;
        probe::run(&program, index.ok_or_else(missing)?, packet)
    }

    /// Detaches the guard and removes every pin. This detaches the programs from TCX; clsact filters go
    /// with the interface. Whether anything was pinned.
    ///
    /// # Errors
    /// The guard cannot be detached, or a pin not removed.
    pub fn remove(&self) -> Result<bool, DatapathError> {
        guard::remove_all(&self.pins)?;
        self.pins.remove()
    }

    /// Whether anything is pinned.
    pub fn exists(&self) -> bool {
        self.pins.exists()
    }
}
