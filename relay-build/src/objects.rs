//! The build of the objects. Neither the checkout's directory, nor cargo's, nor the build directory
//! is in them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::Toolchain;

/// What the programs are compiled for.
pub const TARGET: &str = "bpfel-unknown-none";

/// The objects that are built.
pub const OBJECTS: [&str; 3] = ["relay-ebpf", "relay-guard", "relay-transit"];

/// Crates that may use unstable features: aya-ebpf for its own, the programs for BPF assembly.
/// Naming them, instead of saying `1`, leaves everything else to the stable language.
const UNSTABLE_CRATES: &str = "aya_ebpf,relay_ebpf,relay_guard";

/// What cargo runs in place of rustc.
const WRAPPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rustc.sh");

/// The programs of a checkout, and what builds them.
#[derive(Debug, Clone)]
pub struct Programs {
    pub toolchain: Toolchain,
    /// The root of the checkout, absolute and without links.
    pub checkout: PathBuf,
    /// The kernel's architecture, as in `target_arch`.
    pub architecture: String,
    /// Where cargo keeps the sources of crates.
    pub cargo_home: PathBuf,
}

impl Programs {
    /// Those of this checkout, for this architecture, with this machine's toolchain.
    ///
    /// # Errors
    /// The checkout or cargo's directory is not found.
    pub fn of(toolchain: Toolchain, checkout: &Path, architecture: &str) -> Result<Self> {
        let checkout = checkout
            .canonicalize()
            .with_context(|| format!("cannot find the checkout {}", checkout.display()))?;
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let cargo_home = variable("CARGO_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cargo")))
            .context("neither CARGO_HOME nor HOME is set; set one, for the sources of crates")?;
        Ok(Self { toolchain, checkout, architecture: architecture.to_owned(), cargo_home })
    }

    /// Builds them in `target` and copies the objects to `output`.
    ///
    /// # Errors
    /// The build failed, then with cargo's messages, or a file cannot be written.
    pub fn build(&self, target: &Path, output: &Path) -> Result<()> {
        let mut command = self.cargo("build")?;
        command.args(["--package", "relay-ebpf", "--bins", "--target-dir"]).arg(target);
        let built = command.stdin(Stdio::null()).output().context("cannot start cargo")?;
        if !built.status.success() {
            let messages = String::from_utf8_lossy(&built.stderr);
            bail!("{}\nthe build of the eBPF programs failed", messages.trim_end());
        }
        for object in OBJECTS {
            let from = target.join(TARGET).join("release").join(object);
            let to = output.join(object);
            fs::copy(&from, &to)
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }

    /// A command of cargo for the programs, with the flags that they are compiled with.
    ///
    /// # Errors
    /// rustc does not say where its sources are.
    pub fn cargo(&self, subcommand: &str) -> Result<Command> {
        let mut command = self.toolchain.command("cargo");
        command.current_dir(self.checkout.join("relay-ebpf"));
        command.args([subcommand, "--quiet", "--locked", "--release", "--target", TARGET]);
        if self.toolchain == Toolchain::Nightly {
            command.args(["-Z", "build-std=core"]);
        }
        // In a build script they are those of the compiler that compiled it.
        for variable in ["RUSTC", "RUSTC_WORKSPACE_WRAPPER"] {
            command.env_remove(variable);
        }
        command.env("CARGO_HOME", &self.cargo_home);
        command.env("RUSTC_BOOTSTRAP", UNSTABLE_CRATES).env("RUSTC_WRAPPER", WRAPPER);
        command.env("CARGO_ENCODED_RUSTFLAGS", self.flags()?);
        Ok(command)
    }

    fn flags(&self) -> Result<OsString> {
        const SEPARATOR: &str = "\u{1f}";
        let architecture = &self.architecture;
        let mut flags = OsString::from(format!("--cfg=bpf_target_arch=\"{architecture}\""));
        for flag in ["-Cdebuginfo=2", "-Clink-arg=--btf"] {
            flags.push(SEPARATOR);
            flags.push(flag);
        }
        for (from, to) in [
            (self.checkout.clone(), "/relay"),
            (self.cargo_home.join("registry/src"), "/crates"),
            (self.toolchain.sysroot()?.join("lib/rustlib/src/rust"), "/rust"),
        ] {
            flags.push(SEPARATOR);
            flags.push("--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
        Ok(flags)
    }
}
