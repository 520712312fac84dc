//! The test runner: tiers of steps, what they found, and how that is told.

mod fleet;
mod libtest;
mod lints;
mod programs;
mod report;
mod require;
mod scenarios;

use std::time::{Duration, Instant};

use anyhow::Result;

pub(crate) use self::programs::Build;
use self::report::{Counts, Report, Row};
pub(crate) use self::require::Required;
pub(crate) use self::scenarios::host_has_wireguard;
use crate::progress::Step;
use crate::setup::{self, Part};
use crate::vm::kernel::Series;

/// The tier of whole machines.
pub(crate) const FLEET: u8 = 5;

/// What is to be run.
pub(crate) struct Plan {
    /// Tiers in order, from 0 (formatting, lints, layers) to 4 (the lab's long scenarios) and
    /// [`FLEET`].
    pub(crate) tiers: Vec<u8>,
    /// The lab's kernel; none means the host's own if it has WireGuard, else every series.
    pub(crate) kernel: Option<Series>,
    /// Arguments for the test programs, such as a name.
    pub(crate) filter: Vec<String>,
    /// How long the lab may take on one kernel.
    pub(crate) deadline: Duration,
}

/// Runs the tiers one after the other, the later ones too when an earlier one failed.
pub(crate) fn run(plan: &Plan, required: &Required) -> Report {
    let mut report = Report::default();
    let mut parts = vec![Part::Ebpf];
    if plan.tiers.contains(&0) {
        parts.push(Part::Lints);
    }
    if plan.tiers.iter().any(is_lab) {
        parts.push(Part::Lab);
    }
    if plan.tiers.contains(&FLEET) {
        parts.extend([Part::Dist, Part::Fleet]);
    }
    let missing = setup::ensure(&parts);
    let lacks = |part: Part| missing.iter().find(|piece| piece.part == part);

    if plan.tiers.contains(&0) {
        lints::run(&mut report, required);
    }
    if plan.tiers.iter().any(|tier| *tier > 0 && *tier != FLEET) {
        if let Some(piece) = lacks(Part::Ebpf) {
            for tier in plan.tiers.iter().filter(|tier| **tier > 0) {
                report.push(required.skip(*tier, "tests", "ebpf", &piece.what));
            }
            return report;
        }
        let build = match build_step(&mut report) {
            Some(build) => build,
            None => return report,
        };
        if plan.tiers.contains(&1) {
            programs::unit(&mut report, &build, plan);
        }
        if plan.tiers.contains(&2) {
            programs::on_host(&mut report, required, &build, plan);
        }
        for tier in plan.tiers.iter().filter(|tier| is_lab(tier)) {
            scenarios::run(*tier, &mut report, required, &build, plan, lacks(Part::Lab));
        }
    }
    if plan.tiers.contains(&FLEET) {
        let lacking = [Part::Ebpf, Part::Dist, Part::Fleet].into_iter().find_map(lacks);
        fleet::run(&mut report, required, lacking);
    }
    report
}

/// Whether the lab is in it.
fn is_lab(tier: &u8) -> bool {
    (3..FLEET).contains(tier)
}

/// Builds everything once; a failure is a row of its own.
fn build_step(report: &mut Report) -> Option<Build> {
    let step = Step::start("test: building");
    let started = Instant::now();
    match Build::all() {
        Ok(build) => {
            step.finish("done");
            Some(build)
        }
        Err(error) => {
            step.finish("failed");
            eprintln!("{error:#}");
            report.push(Row::failure(1, "build", started.elapsed()));
            None
        }
    }
}

/// Runs a step that is one check, shows all it said if it failed, and records it.
fn check(report: &mut Report, what: &str, work: impl FnOnce() -> Result<Option<String>>) {
    let step = Step::start(format!("test: tier 0: {what}"));
    let started = Instant::now();
    let complaint = match work() {
        Ok(complaint) => complaint,
        Err(error) => Some(format!("{error:#}")),
    };
    step.finish(if complaint.is_none() { "passed" } else { "failed" });
    let counts = match &complaint {
        None => Counts { passed: 1, ..Counts::default() },
        Some(text) => {
            eprintln!("{}", text.trim_end());
            Counts { failed: 1, ..Counts::default() }
        }
    };
    report.push(Row { tier: 0, what: what.to_owned(), counts, took: started.elapsed() });
}
