//! What the lab and its virtual machine run.

use std::path::Path;

use anyhow::Result;

use super::{Missing, Part};
use crate::vm::initramfs::TOOLS;
use crate::{apt, process};

/// Programs of the host, beyond what goes into the guest, and the packages that bring them.
const HOST_TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("wireguard-go", "wireguard-go"),
    ("modprobe", "kmod"),
    ("depmod", "kmod"),
    ("ldd", "libc-bin"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// What is not there, and the packages that bring it.
fn absent() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tools = HOST_TOOLS.iter().chain(TOOLS).copied();
    let key = (apt::KEYRING, "debian-archive-keyring");
    tools
        .filter(|(tool, _)| process::find(tool).is_none())
        .chain([key].into_iter().filter(|(file, _)| !Path::new(file).is_file()))
}

/// Programs that are not there, and the key of the archive that the kernels come from.
pub(super) fn missing() -> Vec<Missing> {
    absent()
        .map(|(what, package)| Missing {
            part: Part::Lab,
            what: what.to_owned(),
            remedy: format!("apt-get install {package}"),
        })
        .collect()
}

/// Installs their packages.
pub(super) fn install() -> Result<()> {
    let mut packages: Vec<_> = absent().map(|(_, package)| package).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    super::step(format!("installing {}", packages.join(" ")), || apt::install(&packages))
}
