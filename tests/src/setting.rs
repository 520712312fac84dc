//! How much the scenarios of tier 4 do, from the environment.

use std::env;

use anyhow::{Context as _, Result};

/// Minutes of `soak::`.
pub const SOAK_MINUTES: &str = "RELAY_SOAK_MINUTES";

/// Of the calls that `faults::` can break, it breaks each one of so many.
pub const FAULTS_EVERY: &str = "RELAY_FAULTS_EVERY";

/// The number in an environment variable, or the one without it.
pub fn number(variable: &str, without: u32) -> Result<u32> {
    match env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text}: a number")),
        Err(_) => Ok(without),
    }
}
