//! `cargo xtask demo`: the main job, shown to a person.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::progress::Step;
use crate::setup::{self, Part};
use crate::suite::{Build, host_has_wireguard};
use crate::vm::kernel::{Kernel, Series};
use crate::vm::{Vm, same_path};
use crate::{process, workspace};

/// Show the main job on examples/one-to-many.toml: relay and peers on real kernel WireGuard
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Use the virtual machine with this kernel, even where the host has WireGuard
    #[arg(long)]
    kernel: Option<Series>,
    /// Passed to the demonstration
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// What the demonstration runs, without what only tests and the bench need.
const BUILD: [&str; 9] = [
    "--profile",
    "quick",
    "--package",
    "relay",
    "--package",
    "relay-tests",
    "--no-default-features",
    "--bin=relay",
    "--bin=demo",
];

/// Much longer than it takes.
const DEADLINE: Duration = Duration::from_secs(300);

/// Sets up, builds, boots if it must, and shows.
///
/// # Errors
/// Something needed could not be installed or built, or the demonstration did not end well.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let missing = setup::ensure(&[Part::Ebpf, Part::Lab]);
    if let Some(piece) = missing.first() {
        bail!("the demonstration needs what could not be installed: {piece}");
    }
    let on_host = arguments.kernel.is_none() && host_has_wireguard();
    // The kernel comes over the network while the processors build.
    let series = arguments.kernel.unwrap_or(Series::V6_12);
    let kernel = (!on_host).then(|| std::thread::spawn(move || Kernel::fetch(series)));
    let step = Step::start("demo: building relay and the lab");
    let build = Build::with(&BUILD)?;
    step.finish("done");
    let (demo, relay) = (build.binary("demo")?, build.binary("relay")?);
    let package = workspace::root().join("tests");
    let kernel = kernel
        .map(|thread| {
            thread.join().unwrap_or_else(|_panic| bail!("the kernel's download ended early"))
        })
        .transpose()?;

    let what = match &kernel {
        Some(_) => format!("demo: booting Linux {series} in a virtual machine"),
        None => "demo: starting".to_owned(),
    };
    let mut step = Some(Step::start(what));
    let mut on_line = |line: &str| {
        if let Some(step) = step.take() {
            step.vanish();
        }
        println!("{line}");
    };
    let code = match kernel {
        Some(kernel) => {
            let mut vm = Vm::new(kernel);
            vm.files.push((demo.to_path_buf(), PathBuf::from("/bin/demo")));
            vm.files.push((relay.to_path_buf(), PathBuf::from("/bin/relay")));
            vm.files.push(same_path(&workspace::root().join("examples")));
            vm.environment.insert("RELAY_BIN".to_owned(), "/bin/relay".to_owned());
            let words: Vec<_> =
                arguments.arguments.iter().map(|word| process::quote(word)).collect();
            vm.run(&format!("exec /bin/demo {}", words.join(" ")), DEADLINE, &mut on_line)?
        }
        None => {
            let mut command = Command::new(demo);
            command.args(&arguments.arguments).env("RELAY_BIN", relay).current_dir(&package);
            process::follow(&mut command, DEADLINE, &mut on_line)
                .context("the demonstration did not run")?
        }
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
