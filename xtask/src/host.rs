//! The kernel that this machine runs.

use std::process::Command;

use relay_vm::process;

/// Whether the kernel has WireGuard: tries to create an interface in a new network namespace.
pub(crate) fn has_wireguard() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--net", "ip", "link", "add", "probe", "type", "wireguard"]);
    process::succeeds(&mut command)
}

/// Its release, as `uname -r` prints it.
pub(crate) fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "(unknown)".to_owned(), |text| text.trim().to_owned())
}
