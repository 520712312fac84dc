//! Builds the eBPF programs with whichever toolchain the machine has, and says what is missing
//! otherwise.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use blake2::{Blake2s256, Digest as _};
use relay_build::{LINKED, NIGHTLY, OBJECTS, Programs, Toolchain};

fn main() -> Result<()> {
    for path in ["build.rs", "../relay-build/rustc.sh", "../relay-common", "../relay-ebpf"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-env-changed=PATH");
    let Some(toolchain) = Toolchain::find() else {
        bail!(
            "no Rust toolchain here builds for BPF: rustup's {NIGHTLY} lacks rust-src, and \
             Debian's libstd-rust-web-dev-bpf is not there or not linked; `cargo xtask setup` \
             installs what is missing, by hand: `rustup toolchain install {NIGHTLY} --component \
             rust-src`, or `apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf` and \
             `rustup toolchain link {LINKED} /usr`"
        )
    };
    if Command::new("bpf-linker").arg("--version").output().is_err() {
        bail!("bpf-linker is missing from PATH; install it with `cargo xtask setup`");
    }
    if env::var("CARGO_CFG_TARGET_ENDIAN")? != "little" {
        bail!("relay is for processors with little-endian words");
    }
    let checkout = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let output = PathBuf::from(env::var("OUT_DIR")?);
    let programs = Programs::of(toolchain, &checkout, &env::var("CARGO_CFG_TARGET_ARCH")?)?;
    programs.build(&output.join("target"), &output)?;
    OBJECTS.into_iter().try_for_each(|object| hash(&output.join(object)))
}

/// Writes the hash of an object beside it: most commands compare it, and none has to compute it.
fn hash(object: &Path) -> Result<()> {
    let bytes = fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
    let hash = object.with_extension("hash");
    fs::write(&hash, Blake2s256::digest(bytes))
        .with_context(|| format!("cannot write {}", hash.display()))
}
