//! What the lab and its virtual machine run.

use anyhow::Result;

use super::{Missing, Part};
use crate::vm::initramfs::TOOLS;
use crate::{apt, process};

/// Programs of the host, beyond what goes into the guest, and the packages that bring them.
const HOST_TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("modprobe", "kmod"),
    ("depmod", "kmod"),
    ("ldd", "libc-bin"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// Programs that are not there.
pub(super) fn missing() -> Vec<Missing> {
    HOST_TOOLS
        .iter()
        .chain(TOOLS)
        .filter(|(tool, _)| process::find(tool).is_none())
        .map(|(tool, package)| Missing {
            part: Part::Lab,
            what: (*tool).to_owned(),
            remedy: format!("apt-get install {package}"),
        })
        .collect()
}

/// Installs their packages.
pub(super) fn install() -> Result<()> {
    let mut packages: Vec<_> = HOST_TOOLS
        .iter()
        .chain(TOOLS)
        .filter(|(tool, _)| process::find(tool).is_none())
        .map(|(_, package)| *package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    super::step(format!("installing {}", packages.join(" ")), || apt::install(&packages))
}
