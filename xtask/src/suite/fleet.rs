//! The fleet tier: ansible-lint, then the scenarios on whole Debian machines.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use relay_fleet::{Fleet, Packages, Scenario};
use relay_vm::progress::Step;
use relay_vm::{Architecture, apt};

use super::report::{Counts, Report, Row};
use super::{FLEET, Plan, Required};
use crate::release::Contents;
use crate::setup::{self, Missing};

/// Runs the linter and the scenarios; `lacking` is a part of the setup that is missing.
pub(super) fn run(
    report: &mut Report,
    required: &Required,
    plan: &Plan,
    lacking: Option<&Missing>,
) {
    if let Some(piece) = lacking {
        report.push(required.skip(FLEET, "fleet", "fleet", &piece.what));
        return;
    }
    let started = Instant::now();
    let step = Step::start("test: fleet: ansible-lint");
    let outcome = setup::fleet::ansible().and_then(|programs| relay_fleet::lint(&programs));
    step.finish(if outcome.is_ok() { "passed" } else { "failed" });
    report.push(Row {
        tier: FLEET,
        what: "ansible-lint".to_owned(),
        counts: Counts::of(outcome),
        took: started.elapsed(),
    });

    if !apt::is_root().unwrap_or(false) {
        report.push(required.skip(FLEET, "fleet", "root", "user id 0, to make the disk image"));
        return;
    }
    let started = Instant::now();
    let what = "fleet of a Debian 12 and a Debian 13 machine".to_owned();
    let scenarios = relay_fleet::chosen(&plan.filter);
    let fleet = setup::fleet::ansible().and_then(|programs| {
        ensure!(!scenarios.is_empty(), "no scenario is called like {:?}", plan.filter);
        Fleet::start(&programs, build)
    });
    let counts = match fleet {
        Ok(mut fleet) => run_scenarios(&scenarios, &mut fleet, report, &what),
        Err(error) => Counts::of(Err(error.context(what.clone()))),
    };
    report.push(Row { tier: FLEET, what, counts, took: started.elapsed() });
}

/// Builds this release, and the next one, which has other BPF objects.
fn build(directory: &Path) -> Result<Packages> {
    let contents = Contents::build(Architecture::Amd64)?;
    let relay = contents.binary();
    let first = contents.package(1, directory)?;
    relay_fleet::change_objects(&relay)?;
    Ok(Packages { first, second: contents.package(2, directory)?, relay })
}

/// Runs the scenarios. Each starts from the state that the previous one left, so a failure skips
/// the rest.
fn run_scenarios(
    scenarios: &[&Scenario],
    fleet: &mut Fleet,
    report: &mut Report,
    what: &str,
) -> Counts {
    let mut counts = Counts::default();
    for Scenario { name, run } in scenarios {
        if counts.failed > 0 {
            println!("skip: {name}: an earlier scenario failed");
            counts.skipped += 1;
            continue;
        }
        let step = Step::start(format!("test: fleet: {name}"));
        let outcome = run(fleet).and_then(|()| fleet.require_sound_kernels());
        step.finish(if outcome.is_ok() { "passed" } else { "failed" });
        match outcome {
            Ok(()) => counts.passed += 1,
            Err(error) => {
                eprintln!("{name}: {error:#}\nlogs: {}", fleet.logs().display());
                report.name_failures(what, &[(*name).to_owned()]);
                counts.failed += 1;
            }
        }
    }
    counts
}
