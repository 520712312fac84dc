//! Starts and ends the trial of a candidate policy.

use std::collections::BTreeMap;

use super::{
    Datapath, DatapathError, Observed, attach, counters,
    differences::{self, Found},
    generation::Loaded,
    role::Role,
    slots::Slots,
};
use crate::policy::Compiled;

impl Datapath {
    /// Tries a candidate: its program decides in front of ours and does nothing, and ours compares and
    /// counts what differs. Both policies come with their slots. The one in force must be that of
    /// `observed`; it is put in force again under the next number.
    ///
    /// # Errors
    /// Any step fails. What is left of the trial is taken off by [`Datapath::end_trial`].
    pub fn start_trial(
        &self,
        (in_force, slots): (&Compiled, &Slots),
        (candidate, assigned): (&Compiled, &Slots),
        observed: &Observed,
    ) -> Result<(), DatapathError> {
        self.end_trial(observed)?;
        let number = observed.next_number();
        let epoch = counters::ensure(&self.pins, slots.capacity())?;
        // A number that no flow has been judged in.
        let pins = Some((&self.pins, epoch));
        let mut trial =
            Loaded::load_as(Role::Trial, candidate, number + 1, pins, assigned.capacity())?;
        attach::attach_trial(&self.pins, &self.interface, &mut trial, &observed.hooks[0])?;
        self.switch_to(Role::Comparing, in_force, slots, observed, number, &BTreeMap::new())
            .map(drop)
    }

    /// Takes off the programs of a trial and what it has counted. Our own program, which compares,
    /// goes with the next [`Datapath::switch`].
    ///
    /// # Errors
    /// A program cannot be detached, or a pin not removed.
    pub fn end_trial(&self, observed: &Observed) -> Result<(), DatapathError> {
        attach::detach_trials(&self.pins, &self.interface, &observed.hooks[0])?;
        differences::forget(&self.pins)
    }

    /// What the trial has found so far; nothing if none runs.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn differences(&self) -> Result<Found, DatapathError> {
        differences::read(&self.pins)
    }
}
