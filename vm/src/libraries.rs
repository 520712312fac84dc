//! Shared libraries of programs, as listed by `ldd`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// The libraries that the programs load, and the loader. Scripts and static programs have none.
///
/// # Errors
/// `ldd` fails, or a library is not installed.
pub(crate) fn of(programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for program in programs {
        if !is_elf(program)? {
            continue;
        }
        let mut command = Command::new("ldd");
        let output = command
            .arg(program)
            .env("LC_ALL", "C")
            .output()
            .context("cannot start `ldd`; install it: apt-get install libc-bin")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            libraries.extend(
                parse(&text)
                    .with_context(|| format!("in the output of `ldd {}`", program.display()))?,
            );
        } else if !String::from_utf8_lossy(&output.stderr).contains("not a dynamic executable") {
            bail!(
                "`{}` failed: {}",
                process::describe(&command),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
    }
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

/// Parses `name => /path (0x…)` and `/loader (0x…)`; skips lines without a path.
fn parse(text: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in text.lines().map(str::trim) {
        let place = match line.split_once(" => ") {
            Some((name, "not found")) => bail!("the library {name} is not installed"),
            Some((_, place)) => place,
            None => line,
        };
        if place.starts_with('/') {
            libraries.push(PathBuf::from(place.split(" (0x").next().unwrap_or(place)));
        }
    }
    Ok(libraries)
}

fn is_elf(path: &Path) -> Result<bool> {
    let mut magic = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(magic == b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_libraries_and_the_loader() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f1)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f3)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libmnl.so.0",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ]
        .map(PathBuf::from);
        assert_eq!(parse(text).expect("all are there"), expected);
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibmnl.so.0 => not found\n").expect_err("not there");
        assert_eq!(error.to_string(), "the library libmnl.so.0 is not installed");
    }

    #[test]
    fn a_static_program_needs_nothing() {
        assert!(parse("\tstatically linked\n").expect("no libraries").is_empty());
    }
}
