//! Shared libraries of programs: on this machine as listed by `ldd`, elsewhere as the files name them.

use std::collections::BTreeSet;
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

/// The same of programs below `root`, a system for another architecture: their paths in it.
///
/// # Errors
/// `readelf` fails, or a library is not below the root.
pub(crate) fn below(root: &Path, programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut libraries = BTreeSet::new();
    let mut next = programs.to_vec();
    while let Some(file) = next.pop() {
        if !is_elf(&file)? {
            continue;
        }
        let mut command = Command::new("readelf");
        command.args(["--wide", "--dynamic", "--program-headers"]).arg(&file).env("LC_ALL", "C");
        for library in needed(&process::read(&mut command)?) {
            let path = place(root, library).with_context(|| {
                format!("{} needs {library}, which no package has", file.display())
            })?;
            if libraries.insert(Path::new("/").join(&path)) {
                next.push(root.join(&path));
            }
        }
    }
    Ok(libraries.into_iter().collect())
}

/// Parses `(NEEDED) Shared library: [name]` and `[Requesting program interpreter: /path]`.
fn needed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let start = ["(NEEDED)", "[Requesting program interpreter: "]
            .into_iter()
            .find_map(|mark| line.split_once(mark))?;
        let name = start.1.rsplit_once('[').map_or(start.1, |(_, name)| name);
        Some(name.trim_end().trim_end_matches(']'))
    })
}

/// Where a library, or the loader by its path, is below `root`.
fn place(root: &Path, library: &str) -> Option<PathBuf> {
    if let Some(path) = library.strip_prefix('/') {
        return root.join(path).is_file().then(|| path.into());
    }
    ["lib", "usr/lib"].iter().find_map(|directory| {
        let entries = std::fs::read_dir(root.join(directory)).ok()?;
        let mut names = entries.flatten().map(|entry| entry.file_name());
        let triplet = names.find(|name| name.to_string_lossy().ends_with("-linux-gnu"))?;
        let path = Path::new(directory).join(triplet).join(library);
        root.join(&path).is_file().then_some(path)
    })
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
    fn a_file_names_its_libraries_and_its_loader() {
        let text = "  INTERP         0x000238 0x0000000000000238 0x00001b 0x00001b R   0x1\n\
                    \x20     [Requesting program interpreter: /lib/ld-linux-aarch64.so.1]\n\
                    \x200x0000000000000001 (NEEDED)             Shared library: [libmnl.so.0]\n\
                    \x200x000000000000000e (SONAME)             Library soname: [libx.so.1]\n";
        let names: Vec<_> = needed(text).collect();
        assert_eq!(names, ["/lib/ld-linux-aarch64.so.1", "libmnl.so.0"]);
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
