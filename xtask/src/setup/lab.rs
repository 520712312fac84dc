//! Tools of the lab and the virtual machine.

use std::path::Path;

use anyhow::Result;
use relay_vm::initramfs::TOOLS;
use relay_vm::{Architecture, apt, process};

use super::{Missing, Part};

/// Programs and their packages, whatever the architecture.
const TOOLS_OF_ALL: [(&str, &str); 4] =
    [("modprobe", "kmod"), ("depmod", "kmod"), ("xz", "xz-utils"), ("zstd", "zstd")];

/// Programs for a guest of this machine's architecture, in addition to those copied into it.
const OWN_TOOLS: [(&str, &str); 3] =
    [("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static"), ("ldd", "libc-bin")];

/// Programs for a guest of another architecture, for which programs are downloaded.
const OTHER_TOOLS: [(&str, &str); 2] =
    [("qemu-system-aarch64", "qemu-system-arm"), ("readelf", "binutils")];

/// Missing programs and the key of Debian's archive, with their packages.
fn absent(architecture: Architecture) -> impl Iterator<Item = (&'static str, &'static str)> {
    let tools = match architecture {
        Architecture::Amd64 => [&OWN_TOOLS, TOOLS].concat(),
        Architecture::Arm64 => OTHER_TOOLS.to_vec(),
    };
    let key = (apt::KEYRING, "debian-archive-keyring");
    TOOLS_OF_ALL
        .into_iter()
        .chain(tools)
        .filter(|(tool, _)| process::find(tool).is_none())
        .chain([key].into_iter().filter(|(file, _)| !Path::new(file).is_file()))
}

pub(super) fn missing(architecture: Architecture) -> Vec<Missing> {
    let part = Part::Lab(architecture);
    absent(architecture).map(|(what, package)| Missing::packaged(part, what, package)).collect()
}

pub(super) fn install(architecture: Architecture) -> Result<()> {
    super::packages(absent(architecture).map(|(_, package)| package).collect())
}
