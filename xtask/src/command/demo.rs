//! `cargo xtask demo`

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, bail};
use relay_vm::progress::Step;
use relay_vm::{Architecture, Kernel, Machine, Series, process, same_path, workspace};

use crate::build::Build;
use crate::host;
use crate::setup::{self, Part};

/// Show a relay and its peers at work (examples/one-to-many.toml, kernel WireGuard)
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Use a virtual machine with this kernel, even if this machine has WireGuard
    #[arg(long)]
    kernel: Option<Series>,
    /// Arguments of the demonstration
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds only what the demonstration runs.
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

/// Far more than it takes.
const DEADLINE: Duration = Duration::from_secs(300);

/// # Errors
/// A part of the setup could not be installed, the build or the boot failed, or the demonstration
/// missed its deadline.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let missing = setup::ensure(&[Part::Ebpf, Part::Lab(Architecture::Amd64)]);
    if let Some(piece) = missing.first() {
        bail!("{piece}");
    }
    let on_host = arguments.kernel.is_none() && host::has_wireguard();
    // Download the kernel during the build.
    let series = arguments.kernel.unwrap_or(Series::V6_12);
    let kernel = (!on_host).then(|| std::thread::spawn(move || Kernel::fetch(series)));
    let step = Step::start("demo: building relay and the lab");
    let build = Build::with(&BUILD)?;
    step.finish("done");
    let (demo, relay) = (build.binary("demo")?, build.binary("relay")?);
    let package = workspace::root().join("tests");
    let kernel = kernel
        .map(|thread| {
            thread.join().unwrap_or_else(|_panic| bail!("the download of the kernel panicked"))
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
            let mut machine = Machine::new(kernel);
            machine.files.push((demo.to_path_buf(), PathBuf::from("/bin/demo")));
            machine.files.push((relay.to_path_buf(), PathBuf::from("/bin/relay")));
            machine.files.push(same_path(&workspace::root().join("examples")));
            machine.environment.insert("RELAY_BIN".to_owned(), "/bin/relay".to_owned());
            let words: Vec<_> =
                arguments.arguments.iter().map(|word| process::quote(word)).collect();
            machine.run(&format!("exec /bin/demo {}", words.join(" ")), DEADLINE, &mut on_line)?
        }
        None => {
            let mut command = Command::new(demo);
            command.args(&arguments.arguments).env("RELAY_BIN", relay).current_dir(&package);
            process::follow(&mut command, DEADLINE, &mut on_line)?
        }
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
