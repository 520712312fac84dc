//! Builds the eBPF programs with whichever toolchain the machine has, and says what is missing
//! otherwise.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};
use blake2::{Blake2s256, Digest as _};

/// The objects that are built.
const OBJECTS: [&str; 3] = ["relay-ebpf", "relay-guard", "relay-transit"];

/// Crates that may use unstable features: aya-ebpf for its own, the programs for BPF assembly.
/// Naming them, instead of saying `1`, leaves the prebuilt `core` in use.
const UNSTABLE_CRATES: &str = "aya_ebpf,relay_ebpf,relay_guard";

/// A rustup toolchain of this name, when nightly has no library sources:
/// `rustup toolchain link bpf /usr` makes it from Debian's packages.
const LINKED_TOOLCHAIN: &str = "bpf";

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../relay-common/src");
    println!("cargo:rerun-if-env-changed=PATH");
    let toolchain = find_toolchain()?;
    if Command::new("bpf-linker").arg("--version").output().is_err() {
        bail!("bpf-linker is missing from PATH; install it with `cargo xtask setup`");
    }

    let programs = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../relay-ebpf");
    let programs = programs.canonicalize().with_context(|| format!("{}", programs.display()))?;
    env::set_current_dir(&programs)?;
    // SAFETY: a build script has one thread here, before aya-build starts its own.
    unsafe {
        env::set_var("RUSTC_BOOTSTRAP", UNSTABLE_CRATES);
        // aya-build turns every line of progress into a warning.
        env::set_var("CARGO_TERM_QUIET", "true");
    }
    let root_dir = programs.to_str().context("the checkout's path is not UTF-8")?;
    aya_build::build_ebpf(
        [Package { name: "relay-ebpf", root_dir, ..Package::default() }],
        toolchain,
    )?;
    OBJECTS.into_iter().try_for_each(hash)
}

/// Writes the hash of an object beside it: most commands compare it, and none has to compute it.
fn hash(object: &str) -> Result<()> {
    let file = PathBuf::from(env::var("OUT_DIR")?).join(object);
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let hash = file.with_extension("hash");
    fs::write(&hash, Blake2s256::digest(bytes))
        .with_context(|| format!("cannot write {}", hash.display()))
}

fn find_toolchain() -> Result<Toolchain<'static>> {
    if Command::new("rustup").arg("--version").output().is_ok() {
        if has_core_sources("nightly") {
            return Ok(Toolchain::Nightly);
        }
        if has_core(Command::new("rustup").args(["run", LINKED_TOOLCHAIN, "rustc"])) {
            return Ok(Toolchain::Custom(LINKED_TOOLCHAIN));
        }
    } else if has_core(&mut Command::new("rustc")) {
        // aya-build uses the rustc in PATH when there is no rustup.
        return Ok(Toolchain::Custom(LINKED_TOOLCHAIN));
    }
    bail!(
        "no Rust toolchain here builds for BPF: rustup's nightly lacks rust-src, and Debian's \
         libstd-rust-web-dev-bpf is not there or not linked; `cargo xtask setup` installs what is \
         missing, by hand: `rustup toolchain install nightly --component rust-src`, or \
         `apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf` and \
         `rustup toolchain link {LINKED_TOOLCHAIN} /usr`"
    )
}

fn has_core_sources(toolchain: &str) -> bool {
    output(Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]))
        .is_some_and(|sysroot| {
            Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
        })
}

fn has_core(rustc: &mut Command) -> bool {
    output(rustc.args(["--print", "target-libdir", "--target", "bpfel-unknown-none"])).is_some_and(
        |libdir| {
            fs::read_dir(libdir).is_ok_and(|mut files| {
                files.any(|file| {
                    file.is_ok_and(|f| f.file_name().to_string_lossy().starts_with("libcore-"))
                })
            })
        },
    )
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
