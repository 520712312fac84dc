//! The disk image of a Debian machine with systemd and sshd, kept in the cache.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use relay_vm::progress::Step;
use relay_vm::{apt, process, workspace};

/// Packages besides Debian's minimal base: to boot, for Ansible, and for the peers, which run on the
/// same machine.
const PACKAGES: &[&str] = &[
    "systemd-sysv",
    "dbus",
    "initramfs-tools",
    "linux-image-cloud-amd64",
    "ifupdown",
    "isc-dhcp-client",
    "openssh-server",
    "python3",
    "python3-apt",
    "iproute2",
    "iputils-ping",
    "keepalived",
    "nftables",
    "wireguard-tools",
    "man-db",
];

/// Files added to the image.
const FILES: &[(&str, &str)] = &[
    ("etc/hostname", "debian\n"),
    ("etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n"),
    ("etc/machine-id", ""),
    (
        "etc/network/interfaces",
        "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n",
    ),
];

/// Size of the image, a sparse file.
const SIZE: &str = "2G";

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// 12, with kernel 6.1: programs are clsact filters.
    Bookworm,
    /// 13, with kernel 6.12: programs are attached by TCX.
    Trixie,
}

impl Release {
    const fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// A disk image with its kernel and SSH key.
#[derive(Debug, Clone)]
pub(super) struct Image {
    directory: PathBuf,
}

impl Image {
    /// Takes the image from the cache, or makes it.
    ///
    /// # Errors
    /// Debian's archive cannot be reached, or a tool failed.
    pub(super) fn fetch(release: Release) -> Result<Self> {
        let release = release.name();
        let mut hasher = DefaultHasher::new();
        (PACKAGES, FILES, SIZE).hash(&mut hasher);
        let name = format!("{release}-{:08x}", hasher.finish() & 0xffff_ffff);
        let directory = workspace::cache()?.join("fleet").join(name);
        if !directory.is_dir() {
            let step = Step::start(format!("fleet: making a Debian system ({release})"));
            let outcome = build(release, &directory);
            step.finish(if outcome.is_ok() { "done" } else { "failed" });
            outcome?;
        }
        Ok(Self { directory })
    }

    /// The disk, which machines do not write to: each keeps its changes in a snapshot.
    pub(super) fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    pub(super) fn initramfs(&self) -> PathBuf {
        self.directory.join("initrd")
    }

    /// The private key for SSH as root.
    pub(super) fn key(&self) -> PathBuf {
        self.directory.join("key")
    }
}

/// Makes everything in a temporary directory, then moves it into place.
fn build(release: &str, directory: &Path) -> Result<()> {
    let above = directory.parent().context("the cache has no parent directory")?;
    let work = above.join(format!(".making-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let outcome = fill(release, &work).and_then(|()| {
        fs::remove_dir_all(work.join("tree"))?;
        fs::rename(&work, directory).with_context(|| format!("cannot make {}", directory.display()))
    });
    if outcome.is_err() {
        // The first error matters more.
        let _ = fs::remove_dir_all(&work);
    }
    outcome
}

fn fill(release: &str, work: &Path) -> Result<()> {
    let tree = work.join("tree");
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--mode=root", "--keyring", apt::KEYRING]);
    command.arg(format!("--include={}", PACKAGES.join(","))).arg(release).arg(&tree);
    process::read(command.arg("http://deb.debian.org/debian"))?;

    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f"]).arg(work.join("key"));
    process::read(&mut keygen)?;
    let ssh = tree.join("root/.ssh");
    fs::create_dir_all(&ssh)?;
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700))?;
    fs::copy(work.join("key.pub"), ssh.join("authorized_keys"))?;
    for (name, text) in FILES {
        let path = tree.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for (start, name) in [("vmlinuz-", "vmlinuz"), ("initrd.img-", "initrd")] {
        let boot = fs::read_dir(tree.join("boot")).context("the system has no /boot")?;
        let file = boot
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
            .with_context(|| format!("the system has no /boot/{start}*"))?;
        fs::copy(file.path(), work.join(name))?;
    }
    let mke2fs = process::find("mke2fs").unwrap_or_else(|| PathBuf::from("mke2fs"));
    let mut command = Command::new(mke2fs);
    command.args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(work.join("disk")).arg(SIZE);
    process::read(&mut command)?;
    Ok(())
}
