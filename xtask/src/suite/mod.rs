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

use relay_vm::progress::Step;
use relay_vm::{Architecture, Series};

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
    /// Architecture of the virtual machine. Not amd64: the tiers are of the lab, which runs there.
    pub(crate) architecture: Architecture,
    /// Further parameters of its kernel.
    pub(crate) parameters: Vec<String>,
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
        parts.push(Part::Lab(plan.architecture));
    }
    let is_cross = plan.architecture != Architecture::Amd64;
    if is_cross {
        parts.push(Part::Target(plan.architecture));
    }
    let has_browser = plan.tiers.contains(&3) && !is_cross;
    if has_browser {
        parts.push(Part::Browser);
    }
    if plan.tiers.contains(&FLEET) {
        parts.extend([Part::Target(Architecture::Amd64), Part::Dist, Part::Fleet]);
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
        let Some(build) = build(&mut report, plan.architecture) else { return report };
        if plan.tiers.contains(&1) {
            programs::unit(&mut report, &build, plan);
        }
        if plan.tiers.contains(&2) {
            programs::on_host(&mut report, required, &build, plan);
        }
        for tier in plan.tiers.iter().filter(|tier| is_lab(tier)) {
            let lacking = lacks(Part::Lab(plan.architecture));
            let lacking = lacking.or(lacks(Part::Target(plan.architecture)));
            lab::run(*tier, &mut report, required, &build, plan, lacking);
        }
        if has_browser {
            let lacking = lacks(Part::Lab(plan.architecture)).or(lacks(Part::Browser));
            browser::run(&mut report, required, &build, plan, lacking);
        }
    }
    if plan.tiers.contains(&FLEET) {
        let needed = [Part::Ebpf, Part::Target(Architecture::Amd64), Part::Dist, Part::Fleet];
        let lacking = needed.into_iter().find_map(lacks);
        fleet::run(&mut report, required, plan, lacking);
    }
    report
}

pub(crate) fn is_lab(tier: &u8) -> bool {
    (3..FLEET).contains(tier)
}

/// What of the workspace runs in a virtual machine of another architecture than this machine's.
const OF_LAB: [&str; 9] = [
    "--package",
    "relay",
    "--package",
    "relay-tests",
    "--bins",
    "--test",
    "lab",
    "--test",
    "network",
];

/// Builds the test programs; reports a failure as a row.
fn build(report: &mut Report, architecture: Architecture) -> Option<Build> {
    let step = Step::start("test: building");
    let started = Instant::now();
    let build = match architecture {
        Architecture::Amd64 => Build::all(),
        Architecture::Arm64 => Build::of_target(architecture, &OF_LAB),
    };
    match build {
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
