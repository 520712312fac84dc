//! What whole Debian machines and Ansible take.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Missing, Part};
use crate::{apt, process, workspace};

/// Programs of the host, and the packages that bring them.
const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("ssh", "openssh-client"),
    ("python3", "python3"),
];

/// From PyPI, with the releases that the role was tried with.
const ANSIBLE: [&str; 2] = ["ansible-core==2.19.14", "ansible-lint==26.10.1"];

/// A program of Ansible, in the cache.
///
/// # Errors
/// There is no place for a cache.
pub(crate) fn ansible(program: &str) -> Result<PathBuf> {
    Ok(environment()?.join("bin").join(program))
}

/// What is not there.
pub(super) fn missing() -> Vec<Missing> {
    let missing =
        |what: &str, remedy: String| Missing { part: Part::Fleet, what: what.to_owned(), remedy };
    let mut pieces: Vec<_> = absent_packages()
        .map(|(what, package)| missing(what, format!("apt-get install {package}")))
        .collect();
    if !has_ansible() {
        let remedy = format!("python3 -m venv DIR && DIR/bin/pip install {}", ANSIBLE.join(" "));
        pieces.push(missing("Ansible with its linter", remedy));
    }
    pieces
}

/// Installs it.
pub(super) fn install() -> Result<()> {
    let mut packages: Vec<_> = absent_packages().map(|(_, package)| package).collect();
    packages.dedup();
    if !packages.is_empty() {
        super::step(format!("installing {}", packages.join(" ")), || apt::install(&packages))?;
    }
    if has_ansible() {
        return Ok(());
    }
    super::step(format!("installing {}", ANSIBLE.join(" ")), || {
        let environment = environment()?;
        process::read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let mut pip = Command::new(environment.join("bin/pip"));
        process::read(pip.args(["install", "--quiet"]).args(ANSIBLE)).map(drop)
    })
}

fn absent_packages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let key = (apt::KEYRING, "debian-archive-keyring");
    let virtual_environments =
        process::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    TOOLS
        .iter()
        .copied()
        .filter(|(tool, _)| process::find(tool).is_none())
        .chain([key].into_iter().filter(|(file, _)| !Path::new(file).is_file()))
        .chain((!virtual_environments).then_some(("Python's venv", "python3-venv")))
}

/// Its own place, so that neither the system's Python nor a person's is touched. Other releases are
/// another place.
fn environment() -> Result<PathBuf> {
    let name: Vec<_> = ANSIBLE.iter().filter_map(|package| package.rsplit("==").next()).collect();
    Ok(workspace::cache()?.join(format!("ansible-{}", name.join("-"))))
}

fn has_ansible() -> bool {
    ["ansible-playbook", "ansible-lint"].iter().all(|program| {
        ansible(program).is_ok_and(|path| process::succeeds(Command::new(path).arg("--version")))
    })
}
