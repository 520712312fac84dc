//! The BPF file system, and whether others than root can create something in it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::StatVfsMountFlags;

use super::super::DatapathError;

/// `f_type` of a BPF file system (`BPF_FS_MAGIC`, include/uapi/linux/magic.h).
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// The mounts that this process sees.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// `S_ISVTX`: only the owner of a file may remove or rename it.
const STICKY: u32 = 0o1000;

/// Whether others than root can create directories in a BPF file system.
///
/// # Errors
/// There is none, it is read-only, or relay's own directory is not root's alone.
pub fn is_open(bpffs: &Path) -> Result<bool, DatapathError> {
    require(bpffs)?;
    require_writable(bpffs)?;
    require_own(bpffs, &directory(bpffs))?;
    let found = fs::metadata(bpffs).map_err(unread(bpffs))?;
    Ok(found.mode() & OTHERS_WRITE != 0)
}

/// The directory with the pins of all relays.
pub(super) fn directory(bpffs: &Path) -> PathBuf {
    bpffs.join("relay")
}

/// Fails unless there is a BPF file system.
pub(super) fn require(bpffs: &Path) -> Result<(), DatapathError> {
    let found = rustix::fs::statfs(bpffs).ok();
    match found.and_then(|found| u64::try_from(found.f_type).ok()) {
        Some(BPF_FS_MAGIC) => Ok(()),
        Some(_) | None => Err(DatapathError::NoBpffs(bpffs.to_owned())),
    }
}

/// Fails if the file system of a directory is read-only, and not only its mount here, as in the sandbox
/// of a service: bpf_obj_do_get() (kernel/bpf/inode.c, 6.12) asks for permission to write, for which a
/// read-only mount does not matter. A directory that does not exist is no error.
pub(super) fn require_writable(bpffs: &Path) -> Result<(), DatapathError> {
    let flags = rustix::fs::statvfs(bpffs).map(|found| found.f_flag);
    if !flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::RDONLY)) {
        return Ok(());
    }
    let device = fs::metadata(bpffs).map_err(unread(bpffs))?.dev();
    let mounts = fs::read_to_string(MOUNTS).map_err(unread(Path::new(MOUNTS)))?;
    if is_read_only(&mounts, device) {
        return Err(DatapathError::ReadOnly(bpffs.to_owned()));
    }
    Ok(())
}

/// Whether the file system of a device is read-only, by the mounts that proc_pid_mountinfo(5) lists.
fn is_read_only(mounts: &str, device: u64) -> bool {
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mut of_it = mounts.lines().filter(|line| line.split(' ').nth(2) == Some(&device));
    let options = of_it.next().and_then(|line| line.rsplit(' ').next());
    options.is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

/// Fails if anybody but root, or the user of this process, can have created something in a directory
/// below `bpffs`. A directory that does not exist is no error.
pub(super) fn require_own(bpffs: &Path, directory: &Path) -> Result<(), DatapathError> {
    let chmod = |path: &Path| format!("run `chmod 0700 {}`", path.display());
    if let Some(found) = unless_absent(fs::metadata(bpffs)).map_err(unread(bpffs))? {
        let is_shared = found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0;
        if let Some(owner) = stranger(&found) {
            let remedy = "name another with --bpffs".to_owned();
            return Err(distrusted(bpffs, format!("a directory of user {owner}"), remedy));
        }
        if is_shared {
            return Err(distrusted(bpffs, mode(&found), chmod(bpffs)));
        }
    }
    let below = directory.strip_prefix(bpffs).unwrap_or(Path::new(""));
    let mut path = bpffs.to_owned();
    for part in below {
        path.push(part);
        let found = unless_absent(fs::symlink_metadata(&path)).map_err(unread(&path))?;
        let Some(found) = found else { return Ok(()) };
        let removal = || {
            format!(
                "relay did not create it: see what it is, remove it with `rm -r {}`, and {}, so that \
                 nobody else can create it",
                path.display(),
                chmod(bpffs)
            )
        };
        if !found.is_dir() {
            let kind = if found.is_symlink() { "a symbolic link" } else { "a file" };
            return Err(distrusted(&path, kind.to_owned(), removal()));
        }
        if let Some(owner) = stranger(&found) {
            return Err(distrusted(&path, format!("a directory of user {owner}"), removal()));
        }
        if found.mode() & OTHERS_WRITE != 0 {
            let look = format!("check with `ls -lnR {}` that root owns all of it", path.display());
            return Err(distrusted(&path, mode(&found), format!("{look}, then {}", chmod(&path))));
        }
    }
    Ok(())
}

/// The owner, if it is neither root nor the user of this process.
fn stranger(found: &fs::Metadata) -> Option<u32> {
    let owner = found.uid();
    (owner != 0 && owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

fn mode(found: &fs::Metadata) -> String {
    format!("mode {:04o}", found.mode() & 0o7777)
}

fn distrusted(path: &Path, found: String, remedy: String) -> DatapathError {
    DatapathError::Distrusted { path: path.to_owned(), found, remedy }
}

fn unread(path: &Path) -> impl FnOnce(io::Error) -> DatapathError {
    move |source| DatapathError::Pin { path: path.to_owned(), action: "read", source }
}

fn unless_absent(found: io::Result<fs::Metadata>) -> io::Result<Option<fs::Metadata>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    fn complaint(bpffs: &Path) -> Option<String> {
        let checked = require_own(bpffs, &bpffs.join("relay/relay0/v1-7"));
        checked.err().map(|error| {
            assert!(error.is_lack(), "{error}");
            error.to_string().replace(&bpffs.display().to_string(), "BPFFS")
        })
    }

    #[test]
    fn a_directory_that_others_own_or_can_write_to_is_not_used() {
        let place = tempfile::tempdir().expect("a directory");
        let bpffs = place.path();
        assert_eq!(complaint(bpffs), None);
        with_mode(bpffs, 0o1777);
        assert_eq!(complaint(bpffs), None, "files belong to their owner");
        with_mode(bpffs, 0o777);
        assert_eq!(
            complaint(bpffs).as_deref(),
            Some(
                "BPFFS: found mode 0777, expected a directory of root's that nobody else can write \
                 to; run `chmod 0700 BPFFS`"
            )
        );
        with_mode(bpffs, 0o1777);

        let relay = bpffs.join("relay");
        fs::create_dir_all(relay.join("relay0")).expect("directories");
        with_mode(&relay, 0o700);
        with_mode(&relay.join("relay0"), 0o755);
        assert_eq!(complaint(bpffs), None);
        with_mode(&relay.join("relay0"), 0o775);
        let said = complaint(bpffs).expect("a complaint");
        assert!(said.starts_with("BPFFS/relay/relay0: found mode 0775, expected"), "{said}");
        assert!(said.ends_with("then run `chmod 0700 BPFFS/relay/relay0`"), "{said}");

        fs::remove_dir_all(&relay).expect("removed");
        symlink("/sys", &relay).expect("a link");
        let said = complaint(bpffs).expect("a complaint");
        assert!(said.starts_with("BPFFS/relay: found a symbolic link, expected"), "{said}");
    }

    #[test]
    fn a_directory_of_another_user_is_not_used_and_its_owner_named() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().expect("a directory");
        let relay = place.path().join("relay");
        fs::create_dir(&relay).expect("a directory");
        std::os::unix::fs::chown(&relay, Some(65534), None).expect("chown");
        let said = complaint(place.path()).expect("a complaint");
        assert_eq!(
            said,
            "BPFFS/relay: found a directory of user 65534, expected a directory of root's that \
             nobody else can write to; relay did not create it: see what it is, remove it with \
             `rm -r BPFFS/relay`, and run `chmod 0700 BPFFS`, so that nobody else can create it"
        );
    }

    #[test]
    fn a_read_only_file_system_counts_and_a_read_only_mount_of_one_does_not() {
        let mounts = "22 1 0:21 / /sys rw,relatime shared:2 - sysfs sysfs ro\n\
                      30 22 0:27 / /sys/fs/bpf ro,nosuid shared:8 - bpf bpf rw,mode=700\n\
                      31 22 0:28 / /run/bpf rw - bpf bpf ro,mode=700\n";
        let read_only = |minor| is_read_only(mounts, rustix::fs::makedev(0, minor));
        assert_eq!([21, 27, 28, 29].map(read_only), [true, false, true, false]);
    }

    #[test]
    fn without_a_bpf_file_system_the_message_has_the_mount_command() {
        let place = tempfile::tempdir().expect("a directory");
        let said = is_open(place.path()).expect_err("no bpffs").to_string();
        let mount = format!("`mount -t bpf -o mode=0700 bpf {}`", place.path().display());
        assert!(said.contains(&mount), "{said}");
    }
}
