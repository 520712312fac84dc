//! `cargo xtask test`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use relay_vm::{Architecture, Machine, Series};

use crate::suite::{self, FLEET, Plan, Required};

/// Run the tests, tier by tier
///
/// Tiers: 0 formatting, lints, layers; 1 unit and property tests; 2 eBPF programs and network on
/// this machine's kernel; 3 the lab. On request: 4 the lab's long scenarios; fleet: whole Debian
/// machines with packages and Ansible.
///
/// A skip names what is missing. RELAY_TEST_REQUIRE, a comma-separated list such as bpf,vm or all,
/// makes it a failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run only this tier, 0 to 4 or fleet (repeatable)
    #[arg(long = "tier", value_name = "N", value_parser = parse_tier)]
    tiers: Vec<u8>,
    /// Run the lab in a virtual machine with this kernel only
    #[arg(long)]
    kernel: Option<Series>,
    /// Architecture of the virtual machine, by Debian's name. Another one than amd64 has the lab alone,
    /// tiers 3 and 4
    #[arg(long = "arch", value_name = "NAME", default_value = "amd64")]
    architecture: Architecture,
    /// Add a parameter to the kernel of the virtual machine, such as `lockdown=confidentiality`
    #[arg(long = "parameter", value_name = "PARAMETER")]
    parameters: Vec<String>,
    /// Processors of the virtual machine
    #[arg(long, value_name = "N", default_value_t = Machine::PROCESSORS,
          value_parser = clap::value_parser!(u8).range(1..))]
    processors: u8,
    /// Time limit of the lab on one kernel, in seconds
    #[arg(long, default_value_t = 2100)]
    deadline: u64,
    /// Arguments of the test programs, such as a part of a test's name
    #[arg(last = true)]
    filter: Vec<String>,
}

/// # Errors
/// A tier that the architecture does not have.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let architecture = arguments.architecture;
    let mut tiers = arguments.tiers;
    if tiers.is_empty() {
        tiers = match architecture {
            Architecture::Amd64 => vec![0, 1, 2, 3],
            Architecture::Arm64 => vec![3],
        };
    }
    if architecture != Architecture::Amd64 && !tiers.iter().all(suite::is_lab) {
        bail!("--arch {architecture} is for tiers 3 and 4, the lab in a virtual machine");
    }
    tiers.sort_unstable();
    tiers.dedup();
    let plan = Plan {
        tiers,
        kernel: arguments.kernel,
        architecture,
        parameters: arguments.parameters,
        processors: arguments.processors,
        filter: arguments.filter,
        deadline: Duration::from_secs(arguments.deadline),
    };
    let report = suite::run(&plan, &Required::from_environment());
    print!("\n{}", report.render());
    let is_good = report.total().failed == 0;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse_tier(text: &str) -> Result<u8, String> {
    match (text, text.parse()) {
        ("fleet", _) => Ok(FLEET),
        (_, Ok(tier)) if tier < FLEET => Ok(tier),
        (_, _) => Err("expected 0 to 4, or fleet".to_owned()),
    }
}
