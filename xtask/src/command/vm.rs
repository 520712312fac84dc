//! `cargo xtask vm`: one command, or a shell, in the virtual machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process;
use crate::progress::Step;
use crate::vm::kernel::{Kernel, Series};
use crate::vm::{Clock, Vm};

/// Run a command in the virtual machine
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Kernel to boot
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Start an interactive shell instead of a command
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// Put a file or directory of the host into the guest
    #[arg(long = "file", value_name = "HOST[:GUEST]", value_parser = parse_file)]
    files: Vec<(PathBuf, PathBuf)>,
    /// Set a variable for the command
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// Let the guest's clock count instructions, of 2^SHIFT ns each
    #[arg(long, value_name = "SHIFT")]
    icount: Option<u8>,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 600)]
    deadline: u64,
    /// Do not fail when the guest's kernel complains
    #[arg(long)]
    allow_kernel_warnings: bool,
    /// Command and its arguments; a single word is a shell script
    #[arg(last = true)]
    command: Vec<String>,
}

/// Boots and runs; the exit code is the command's.
///
/// # Errors
/// What [`Vm::run`] says.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut vm = Vm::new(Kernel::fetch(arguments.kernel)?);
    vm.files = arguments.files;
    vm.environment = arguments.environment.into_iter().collect();
    if let Some(shift) = arguments.icount {
        vm.clock = Clock::Instructions { shift };
    }
    vm.allow_kernel_warnings = arguments.allow_kernel_warnings;
    if arguments.shell {
        vm.shell()?;
        return Ok(ExitCode::SUCCESS);
    }
    let script = match arguments.command.as_slice() {
        [] => "uname -srvm; wg --version".to_owned(),
        [script] => script.clone(),
        words => words.iter().map(|word| process::quote(word)).collect::<Vec<_>>().join(" "),
    };
    let step = Step::start(format!("vm: booting {}", arguments.kernel));
    let mut step = Some(step);
    let code = vm.run(&script, Duration::from_secs(arguments.deadline), &mut |line: &str| {
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
