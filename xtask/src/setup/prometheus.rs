//! Prometheus and promtool, for the tests of what it reads.

use anyhow::Result;
use relay_vm::prometheus::{self, PACKAGE, PROGRAMS};

use super::{Missing, Part};

pub(super) fn missing() -> Vec<Missing> {
    let absent = absent().map(|program| Missing {
        part: Part::Prometheus,
        what: program.to_owned(),
        remedy: format!("cargo xtask setup, which unpacks the package {PACKAGE} into the cache"),
    });
    absent.collect()
}

pub(super) fn install() -> Result<()> {
    if absent().next().is_none() {
        return Ok(());
    }
    super::step(format!("downloading {PACKAGE}"), prometheus::download)
}

fn absent() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().filter(|program| prometheus::program(program).is_none())
}
