//! One scenario.

use anyhow::Result;

use crate::Fleet;

/// A scenario.
pub struct Scenario {
    /// What it shows.
    pub name: &'static str,
    pub run: fn(&mut Fleet) -> Result<()>,
}

pub(super) const fn scenario(name: &'static str, run: fn(&mut Fleet) -> Result<()>) -> Scenario {
    Scenario { name, run }
}
