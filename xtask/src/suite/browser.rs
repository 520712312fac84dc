//! Tier 3, beside the lab: the page and the API of `relay serve`, from a browser on this host.

use relay_vm::{Series, process};

use super::lab::{FLAGS, streamed};
use super::report::Report;
use super::{Plan, Required, programs};
use crate::build::Build;
use crate::setup::Missing;

/// Runs the tests unless the plan asks for another kernel; `lacking` is a part of the setup that is
/// missing. Alone, as they are about the time that an update takes.
pub(super) fn run(
    report: &mut Report,
    required: &Required,
    build: &Build,
    plan: &Plan,
    lacking: Option<&Missing>,
) {
    if plan.kernel.is_some_and(|series| series != Series::V6_12) {
        return;
    }
    let what = format!("browser, relay on Linux {}", Series::V6_12);
    if let Some(piece) = lacking {
        report.push(required.skip(3, &what, "browser", &piece.what));
        return;
    }
    let Some(program) = programs::find(build, "browser") else {
        report.push(required.skip(3, &what, "browser", "the test target `browser`"));
        return;
    };
    let outcome = streamed(3, what, "", |on_line| {
        let mut command = programs::command(program, build);
        command.args(&plan.filter).args(FLAGS);
        process::follow(&mut command, plan.deadline, on_line)
    });
    outcome.push_to(report);
}
