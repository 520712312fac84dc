//! `cargo xtask vm`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use relay_vm::progress::Step;
use relay_vm::{Architecture, Clock, Kernel, Machine, Series, process};

/// Run a command or a shell in a virtual machine
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Kernel to boot
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Architecture of the guest, by Debian's name
    #[arg(long = "arch", value_name = "NAME", default_value = "amd64")]
    architecture: Architecture,
    /// Start an interactive shell instead of a command
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// Copy a file or directory into the guest
    #[arg(long = "file", value_name = "HOST[:GUEST]", value_parser = parse_file)]
    files: Vec<(PathBuf, PathBuf)>,
    /// Set an environment variable of the command
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// Processors of the guest
    #[arg(long, value_name = "N", default_value_t = Machine::PROCESSORS,
          value_parser = clap::value_parser!(u8).range(1..))]
    processors: u8,
    /// Memory of the guest, MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..))]
    memory: Option<u32>,
    /// Add a kernel parameter, such as `ipv6.disable=1`
    #[arg(long = "parameter", value_name = "PARAMETER")]
    parameters: Vec<String>,
    /// Forward a TCP port of 127.0.0.1 to one of the guest's 10.0.2.15, which `eth0` has to get
    #[arg(long = "forward", value_name = "HOST:GUEST", value_parser = parse_ports)]
    forwarded: Vec<(u16, u16)>,
    /// Drive the guest's clock by its instructions, 2^SHIFT ns each, on one processor
    #[arg(long, value_name = "SHIFT")]
    icount: Option<u8>,
    /// Time limit in seconds
    #[arg(long, default_value_t = 600)]
    deadline: u64,
    /// Do not fail when the guest's kernel logs a warning
    #[arg(long)]
    allow_kernel_warnings: bool,
    /// Command with its arguments; a single argument is a shell script
    #[arg(last = true)]
    command: Vec<String>,
}

/// Exits with the command's exit code.
///
/// # Errors
/// As [`Machine::run`].
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut machine = Machine::new(Kernel::fetch_for(arguments.kernel, arguments.architecture)?);
    machine.files = arguments.files;
    machine.environment = arguments.environment.into_iter().collect();
    machine.processors = arguments.processors;
    machine.forwarded = arguments.forwarded;
    machine.parameters = arguments.parameters;
    if let Some(mib) = arguments.memory {
        machine.memory_mib = mib;
    }
    if let Some(shift) = arguments.icount {
        machine.clock = Clock::Instructions { shift };
    }
    machine.allow_kernel_warnings = arguments.allow_kernel_warnings;
    if arguments.shell {
        machine.shell()?;
        return Ok(ExitCode::SUCCESS);
    }
    let script = match arguments.command.as_slice() {
        [] => "uname -srvm; wg --version".to_owned(),
        [script] => script.clone(),
        words => words.iter().map(|word| process::quote(word)).collect::<Vec<_>>().join(" "),
    };
    let step = Step::start(format!("vm: booting {}", arguments.kernel));
    let mut step = Some(step);
    let code =
        machine.run(&script, Duration::from_secs(arguments.deadline), &mut |line: &str| {
            if let Some(step) = step.take() {
                step.vanish();
            }
            println!("{line}");
        })?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn parse_file(text: &str) -> Result<(PathBuf, PathBuf)> {
    let (host, guest) = text.split_once(':').unwrap_or((text, text));
    let host = std::path::absolute(host).with_context(|| format!("{host} is not a path"))?;
    let guest = if text.contains(':') { PathBuf::from(guest) } else { host.clone() };
    Ok((host, guest))
}

fn parse_variable(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_ports(text: &str) -> Result<(u16, u16)> {
    let (host, guest) = text.split_once(':').context("expected HOST:GUEST")?;
    Ok((host.parse()?, guest.parse()?))
}
