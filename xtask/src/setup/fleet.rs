//! Tools of the fleet tier: QEMU, mmdebstrap, ssh, Ansible.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use relay_vm::{apt, process, workspace};

use super::{Missing, Part, python};

/// Programs and their packages.
const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("ssh", "openssh-client"),
];

/// From PyPI, in versions that the role is tested with.
const ANSIBLE: [&str; 2] = ["ansible-core==2.19.14", "ansible-lint==26.10.1"];

/// The directory of Ansible's programs, in the cache.
///
/// # Errors
/// There is no directory for a cache.
pub(crate) fn ansible() -> Result<PathBuf> {
    Ok(environment()?.join("bin"))
}

pub(super) fn missing() -> Vec<Missing> {
    let mut pieces: Vec<_> = absent_packages()
        .map(|(what, package)| Missing::packaged(Part::Fleet, what, package))
        .collect();
    if !has_ansible() {
        let remedy = format!("python3 -m venv DIR && DIR/bin/pip install {}", ANSIBLE.join(" "));
        let what = "Ansible with its linter".to_owned();
        pieces.push(Missing { part: Part::Fleet, what, remedy });
    }
    pieces
}

pub(super) fn install() -> Result<()> {
    super::packages(absent_packages().map(|(_, package)| package).collect())?;
    if has_ansible() {
        return Ok(());
    }
    super::step(format!("installing {}", ANSIBLE.join(" ")), || {
        python::install(&environment()?, &ANSIBLE)
    })
}

fn absent_packages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let key = (apt::KEYRING, "debian-archive-keyring");
    TOOLS
        .iter()
        .copied()
        .filter(|(tool, _)| process::find(tool).is_none())
        .chain([key].into_iter().filter(|(file, _)| !Path::new(file).is_file()))
        .chain(python::absent())
}

/// Ansible's virtual environment, one for each combination of versions.
fn environment() -> Result<PathBuf> {
    let name: Vec<_> = ANSIBLE.iter().filter_map(|package| package.rsplit("==").next()).collect();
    Ok(workspace::cache()?.join(format!("ansible-{}", name.join("-"))))
}

fn has_ansible() -> bool {
    ["ansible-playbook", "ansible-lint"].iter().all(|program| {
        ansible().is_ok_and(|programs| {
            process::succeeds(Command::new(programs.join(program)).arg("--version"))
        })
    })
}
