//! What people monitor a relay with: the metrics, the alerts and the dashboard of `deploy/`, held
//! against each other and against Prometheus itself.

mod alerts;
mod dashboard;
mod exposition;
mod expression;
mod promtool;
mod reading;
mod scraped;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use relay_vm::workspace;

/// A file of the checkout.
fn path(name: &str) -> PathBuf {
    workspace::root().join(name)
}

/// Its text.
fn text(name: &str) -> Result<String> {
    fs::read_to_string(path(name)).with_context(|| format!("cannot read {name}"))
}
