//! Tools of the lab and the virtual machine.

use std::path::Path;

use anyhow::Result;
use relay_vm::initramfs::TOOLS;
use relay_vm::{apt, process};

use super::{Missing, Part};

/// Programs and their packages, in addition to those copied into the guest.
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

/// Missing programs and the key of Debian's archive, with their packages.
fn absent() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tools = HOST_TOOLS.iter().chain(TOOLS).copied();
    let key = (apt::KEYRING, "debian-archive-keyring");
    tools
        .filter(|(tool, _)| process::find(tool).is_none())
        .chain([key].into_iter().filter(|(file, _)| !Path::new(file).is_file()))
}

pub(super) fn missing() -> Vec<Missing> {
    absent().map(|(what, package)| Missing::packaged(Part::Lab, what, package)).collect()
}

pub(super) fn install() -> Result<()> {
    super::packages(absent().map(|(_, package)| package).collect())
}
