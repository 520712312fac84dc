//! `cargo xtask test`: everything that is checked, tier by tier.

use std::process::ExitCode;
use std::time::Duration;

use crate::suite::{self, FLEET, Plan, Required};
use crate::vm::kernel::Series;

/// Run the tests: 0 formatting, lints, layers; 1 unit and property tests; 2 programs on the host's
/// kernel; 3 the lab; and on request 4: the lab's long scenarios, hundreds of reloads and kills, and
/// fleet: whole Debian machines, packages and Ansible
///
/// A skip names what is missing. RELAY_TEST_REQUIRE (a list of bpf, wireguard, vm, ebpf, lints, or
/// all) makes it a failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run only this tier, 0 to 4 or fleet (may be given more than once)
    #[arg(long = "tier", value_name = "N", value_parser = parse_tier)]
    tiers: Vec<u8>,
    /// Run the lab in the virtual machine on this kernel only
    #[arg(long)]
    kernel: Option<Series>,
    /// Stop the lab on one kernel after this many seconds
    #[arg(long, default_value_t = 1900)]
    deadline: u64,
    /// Passed to the test programs, such as a part of a test's name
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Runs, prints the table and the closing line; the exit code is 1 if anything failed.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let mut tiers = arguments.tiers;
    if tiers.is_empty() {
        tiers = vec![0, 1, 2, 3];
    }
    tiers.sort_unstable();
    tiers.dedup();
    let plan = Plan {
        tiers,
        kernel: arguments.kernel,
        filter: arguments.filter,
        deadline: Duration::from_secs(arguments.deadline),
    };
    let report = suite::run(&plan, &Required::from_environment());
    print!("\n{}", report.render());
    if report.total().failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse_tier(text: &str) -> Result<u8, String> {
    match (text, text.parse()) {
        ("fleet", _) => Ok(FLEET),
        (_, Ok(tier)) if tier < FLEET => Ok(tier),
        (_, _) => Err("expected 0 to 4, or fleet".to_owned()),
    }
}
