//! What builds static binaries for an architecture: Rust's standard library for musl, a C compiler,
//! strip.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use relay_vm::apt::Archive;
use relay_vm::{Architecture, process, workspace};

use super::{Missing, Part};

/// Programs and their packages. The compiler is for SQLite, zstd and ring.
fn tools(architecture: Architecture) -> [(&'static str, &'static str); 2] {
    match architecture {
        Architecture::Amd64 => [("musl-gcc", "musl-tools"), (strip(architecture), "binutils")],
        Architecture::Arm64 => [
            (CROSS_COMPILER, "gcc-aarch64-linux-gnu"),
            (strip(architecture), "binutils-aarch64-linux-gnu"),
        ],
    }
}

/// Debian's C compiler for arm64, which is for glibc unless told where musl's headers are.
const CROSS_COMPILER: &str = "aarch64-linux-gnu-gcc";

/// What rustc runs as the linker for arm64.
const CROSS_LINKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/setup/static-pie.sh");

/// The package with musl's headers.
const HEADERS: &str = "musl-dev";

/// The program that removes symbols from binaries.
pub(crate) fn strip(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "strip",
        Architecture::Arm64 => "aarch64-linux-gnu-strip",
    }
}

/// Variables that tell cargo and build scripts how to compile and link for the architecture. None
/// for amd64: there the compiler is found by its name.
///
/// # Errors
/// The compiler does not run, or there is no directory for a cache.
pub(crate) fn environment(architecture: Architecture) -> Result<Vec<(String, String)>> {
    if architecture == Architecture::Amd64 {
        return Ok(Vec::new());
    }
    let own = process::read(Command::new(CROSS_COMPILER).arg("-print-file-name=include"))?;
    let headers = headers(architecture)?.to_string_lossy().into_owned();
    Ok(variables(&architecture.target(), &[&headers, own.trim()]).to_vec())
}

/// For [`CROSS_COMPILER`], with headers from these directories alone: those of musl and the compiler's
/// own, in place of glibc's, as musl-gcc has it by its specs.
fn variables(target: &str, directories: &[&str]) -> [(String, String); 4] {
    let target = target.replace('-', "_");
    let headers = directories.iter().map(|it| format!(" -isystem {}", process::quote(it)));
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase());
    [
        (format!("CC_{target}"), CROSS_COMPILER.to_owned()),
        (format!("CFLAGS_{target}"), format!("-nostdinc{}", headers.collect::<String>())),
        // The flags have quotes.
        ("CC_SHELL_ESCAPED_FLAGS".to_owned(), "1".to_owned()),
        // It links what rustc brings along: musl, its start files and the unwinder.
        (linker, CROSS_LINKER.to_owned()),
    ]
}

pub(super) fn missing(architecture: Architecture) -> Vec<Missing> {
    let part = Part::Target(architecture);
    let missing = |what: String, remedy| Missing { part, what, remedy };
    let mut pieces: Vec<_> = absent_tools(architecture)
        .map(|(tool, package)| Missing::packaged(part, tool, package))
        .collect();
    if !has_headers(architecture) {
        let place = sysroot(architecture).unwrap_or_else(|_| PathBuf::from("DIR"));
        let remedy = format!("dpkg-deb -x {HEADERS}_*_{architecture}.deb {}", place.display());
        pieces.push(missing(format!("{HEADERS} of {architecture}"), remedy));
    }
    if !has_library(architecture) {
        let target = architecture.target();
        let what = format!("Rust's standard library for {target}");
        pieces.push(missing(what, format!("rustup target add {target}")));
    }
    pieces
}

pub(super) fn install(architecture: Architecture) -> Result<()> {
    super::packages(absent_tools(architecture).map(|(_, package)| package).collect())?;
    if !has_headers(architecture) {
        super::step(format!("unpacking {HEADERS} for {architecture}"), || {
            Archive::bookworm(architecture)?.unpack(&[HEADERS], &sysroot(architecture)?)
        })?;
    }
    if !has_library(architecture) {
        let target = architecture.target();
        super::step(format!("adding rustup's {target}"), || {
            process::read(Command::new("rustup").args(["target", "add", &target]))
                .map(drop)
                .context("only rustup provides the musl standard library")
        })?;
    }
    Ok(())
}

fn absent_tools(architecture: Architecture) -> impl Iterator<Item = (&'static str, &'static str)> {
    tools(architecture).into_iter().filter(|(tool, _)| process::find(tool).is_none())
}

/// Whether musl's headers are in the cache, where the compiler does not bring them along.
fn has_headers(architecture: Architecture) -> bool {
    architecture == Architecture::Amd64
        || headers(architecture).is_ok_and(|directory| directory.is_dir())
}

fn headers(architecture: Architecture) -> Result<PathBuf> {
    let place = format!("usr/include/{}-linux-musl", architecture.processor());
    Ok(sysroot(architecture)?.join(place))
}

/// Where the package is unpacked. It is not installed: dpkg would have to know the architecture.
fn sysroot(architecture: Architecture) -> Result<PathBuf> {
    Ok(workspace::cache()?.join(format!("{HEADERS}-{architecture}")))
}

/// Whether the compiler has the target's standard library.
fn has_library(architecture: Architecture) -> bool {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", &architecture.target()]);
    process::read(command.current_dir(workspace::root()))
        .is_ok_and(|directory| PathBuf::from(directory.trim()).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_knows_each_target_and_the_rules_for_crates_hold_for_it() {
        let known = process::read(Command::new("rustc").args(["--print", "target-list"]));
        let known = known.expect("a list");
        let rules = std::fs::read_to_string(workspace::root().join("deny.toml")).expect("rules");
        for architecture in Architecture::ALL {
            let target = architecture.target();
            assert!(known.lines().any(|line| line == target), "{target}");
            assert!(rules.contains(&format!("\"{target}\",\n")), "{target}");
        }
    }

    #[test]
    fn the_cross_compiler_sees_the_headers_of_musl_alone() {
        let variables = variables("aarch64-unknown-linux-musl", &["/a b/musl", "/gcc"]);
        let value = |name: &str| {
            let found = variables.iter().find(|(variable, _)| variable == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(
            value("CFLAGS_aarch64_unknown_linux_musl"),
            Some("-nostdinc -isystem '/a b/musl' -isystem /gcc")
        );
        assert_eq!(value("CC_aarch64_unknown_linux_musl"), Some(CROSS_COMPILER));
        let linker = value("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER");
        assert!(linker.is_some_and(|path| std::path::Path::new(path).is_file()), "{linker:?}");
    }
}
