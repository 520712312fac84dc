//! Chromium with its driver, schemathesis and axe, for the tests of the page and the API.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use relay_vm::browser::{self, AXE, DRIVER, PROGRAM, SCHEMATHESIS};
use relay_vm::process;

use super::{Missing, Part, python};

/// Programs and their packages.
const TOOLS: [(&str, &str); 2] = [(PROGRAM, "chromium"), (DRIVER, "chromium-driver")];

pub(super) fn missing() -> Vec<Missing> {
    let mut pieces: Vec<_> = absent_packages()
        .map(|(what, package)| Missing::packaged(Part::Browser, what, package))
        .collect();
    if !has_environment() {
        pieces.push(Missing {
            part: Part::Browser,
            what: "schemathesis and axe".to_owned(),
            remedy: format!("cargo xtask setup, which puts {SCHEMATHESIS} and axe into the cache"),
        });
    }
    pieces
}

pub(super) fn install() -> Result<()> {
    super::packages(absent_packages().map(|(_, package)| package).collect())?;
    if has_environment() {
        return Ok(());
    }
    let environment = browser::environment()?;
    super::step(format!("installing {SCHEMATHESIS} and axe"), || {
        python::install(&environment, &[SCHEMATHESIS])?;
        let requirements = environment.join("axe.txt");
        fs::write(&requirements, AXE)
            .with_context(|| format!("cannot write {}", requirements.display()))?;
        // Only the script in it is used.
        let mut pip = Command::new(environment.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-deps", "--require-hashes", "--requirement"]);
        process::read(pip.arg(&requirements)).map(drop)
    })
}

fn absent_packages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tools = TOOLS.into_iter().filter(|(tool, _)| process::find(tool).is_none());
    tools.chain(python::absent())
}

fn has_environment() -> bool {
    browser::schemathesis().is_some() && browser::axe().is_some()
}
