//! The test runner: runs tiers and reports what passed, failed and was skipped.

mod browser;
mod dependencies;
mod fleet;
mod lab;
mod libtest;
mod lints;
mod programs;
mod report;
mod require;

use std::time::{Duration, Instant};

use relay_vm::Series;
use relay_vm::progress::Step;

use self::report::{Report, Row};
pub(crate) use self::require::Required;
use crate::build::Build;
use crate::setup::{self, Part};

/// The tier of whole machines.
pub(crate) const FLEET: u8 = 5;

/// What to run.
pub(crate) struct Plan {
    /// In ascending order: 0 (formatting, lints, layers, dependencies) to 4 (long scenarios), and [`FLEET`].
    pub(crate) tiers: Vec<u8>,
    /// Kernel of the virtual machine for the lab. None: this machine's kernel if it has WireGuard,
    /// otherwise each series in a virtual machine.
    pub(crate) kernel: Option<Series>,
    /// Processors of the virtual machine.
    pub(crate) processors: u8,
    /// Arguments for the test programs, such as a part of a test's name.
    pub(crate) filter: Vec<String>,
    /// Time limit of the lab on one kernel.
    pub(crate) deadline: Duration,
}

/// Runs the tiers in order; a failure does not stop later ones.
pub(crate) fn run(plan: &Plan, required: &Required) -> Report {
    let mut report = Report::default();
    let mut parts = vec![Part::Ebpf];
    if plan.tiers.contains(&0) {
        parts.push(Part::Lints);
    }
    if plan.tiers.contains(&2) {
        parts.push(Part::Prometheus);
    }
    if plan.tiers.iter().any(is_lab) {
        parts.push(Part::Lab);
    }
    if plan.tiers.contains(&3) {
        parts.push(Part::Browser);
    }
    if plan.tiers.contains(&FLEET) {
        parts.extend([Part::Dist, Part::Fleet]);
    }
    let missing = setup::ensure(&parts);
    let lacks = |part: Part| missing.iter().find(|piece| piece.part == part);

    if plan.tiers.contains(&0) {
        lints::run(&mut report, required);
        dependencies::run(&mut report, required);
    }
    if plan.tiers.iter().any(|tier| *tier > 0 && *tier != FLEET) {
        if let Some(piece) = lacks(Part::Ebpf) {
            for tier in plan.tiers.iter().filter(|tier| **tier > 0) {
                report.push(required.skip(*tier, "tests", "ebpf", &piece.what));
            }
            return report;
        }
        let Some(build) = build(&mut report) else { return report };
        if plan.tiers.contains(&1) {
            programs::unit(&mut report, &build, plan);
        }
        if plan.tiers.contains(&2) {
            programs::on_host(&mut report, required, &build, plan);
        }
        for tier in plan.tiers.iter().filter(|tier| is_lab(tier)) {
            lab::run(*tier, &mut report, required, &build, plan, lacks(Part::Lab));
        }
        if plan.tiers.contains(&3) {
            let lacking = lacks(Part::Lab).or(lacks(Part::Browser));
            browser::run(&mut report, required, &build, plan, lacking);
        }
    }
    if plan.tiers.contains(&FLEET) {
        let lacking = [Part::Ebpf, Part::Dist, Part::Fleet].into_iter().find_map(lacks);
        fleet::run(&mut report, required, plan, lacking);
    }
    report
}

fn is_lab(tier: &u8) -> bool {
    (3..FLEET).contains(tier)
}

/// Builds all test programs; reports a failure as a row.
fn build(report: &mut Report) -> Option<Build> {
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
