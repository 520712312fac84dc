//! Time in a history: for flows it is taken from what they have left, for rules it has to pass.

use std::time::Duration;

use anyhow::Result;
use relay_tests::deadline;

use super::{formula::Moment, history::History};

/// How exactly a rule's end is known: it was converted from one clock to another.
const ABOUT: Duration = Duration::from_millis(20);

impl History {
    /// Lets this many ticks pass.
    pub(super) fn wait(&mut self, by: u32) -> Result<()> {
        self.programs.age(by, self.sets.iter().copied())?;
        self.model.age(by, &Moment::last_jiffy());
        if let Some(cut) = &mut self.cut {
            cut.expires = cut.expires.saturating_sub(by);
        }
        Ok(())
    }

    /// Waits until the next rule ends, if one does, and looks what becomes of its flows.
    pub(super) fn end(&mut self) -> Result<()> {
        let date = Moment::now().date;
        let ends = self.ends().filter(|end| *end > date).min();
        let Some(end) = ends else { return Ok(()) };
        let is_over = || Ok((Moment::now().date > end + ABOUT).then_some(()));
        deadline::until("the end of a rule", is_over)?;
        self.touch()
    }

    /// Waits until no rule is just ending.
    pub(super) fn wait_for_ends(&self) -> Result<()> {
        let is_far = |end: Duration| Moment::now().date.abs_diff(end) > ABOUT;
        if self.ends().all(is_far) {
            return Ok(());
        }
        deadline::until("the end of a rule", || Ok(self.ends().all(is_far).then_some(())))
    }

    fn ends(&self) -> impl Iterator<Item = Duration> + '_ {
        self.programs.relay().rules.iter().filter_map(|rule| rule.until).map(Duration::from_secs)
    }
}
