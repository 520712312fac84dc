//! wg-quick's systemd unit for an interface.

use std::{fs, path::Path};

use crate::model::InterfaceName;

/// Where units are enabled.
const ENABLED: &str = "/etc/systemd/system";

/// Where systemd links the invocation of each active unit (src/core/unit.c,
/// `unit_export_invocation_id`, version 252).
const ACTIVE: &str = "/run/systemd/units";

/// A warning if wg-quick's unit for this interface is active or enabled.
pub fn warning(interface: &InterfaceName) -> Option<String> {
    warning_in(Path::new(ENABLED), Path::new(ACTIVE), interface)
}

fn warning_in(enabled: &Path, active: &Path, interface: &InterfaceName) -> Option<String> {
    let unit = format!("wg-quick@{interface}");
    let file = format!("{unit}.service");
    // Links, which dangle when the package is removed.
    let wanted = |directory: &Path| {
        let name = directory.to_string_lossy();
        (name.ends_with(".wants") || name.ends_with(".requires"))
            && fs::symlink_metadata(directory.join(&file)).is_ok()
    };
    let directories = fs::read_dir(enabled).into_iter().flatten().flatten();
    let is_enabled = directories.map(|entry| entry.path()).any(|path| wanted(&path));
    let is_active = fs::symlink_metadata(active.join(format!("invocation:{file}"))).is_ok();
    let disable = format!("`systemctl disable {unit}`, without --now");
    match (is_enabled, is_active) {
        (true, true) => Some(format!(
            "{unit} is active and enabled: stopping it deletes {interface}, and at boot it creates \
             {interface} again. Run {disable}, and do not stop the unit before the next boot"
        )),
        (true, false) => {
            Some(format!("{unit} is enabled: at boot it creates {interface} too. Run {disable}"))
        }
        (false, true) => Some(format!(
            "{unit} is active: stopping it deletes {interface}. Do not stop it before the next boot"
        )),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_active_or_enabled_unit_is_a_warning() {
        let there = tempfile::tempdir().expect("a directory");
        let (enabled, active) = (there.path().join("system"), there.path().join("units"));
        let wants = enabled.join("multi-user.target.wants");
        fs::create_dir_all(&wants).expect("a directory");
        fs::create_dir(&active).expect("a directory");
        let interface = "wg0".parse().expect("a name");
        let found = || warning_in(&enabled, &active, &interface);
        assert_eq!(found(), None);
        symlink("nowhere", active.join("invocation:wg-quick@wg0.service")).expect("a link");
        assert!(found().expect("a warning").starts_with("wg-quick@wg0 is active: "));
        symlink("nowhere", wants.join("wg-quick@wg0.service")).expect("a link");
        let both = found().expect("a warning");
        assert!(both.contains("`systemctl disable wg-quick@wg0`, without --now"), "{both}");
        fs::remove_file(active.join("invocation:wg-quick@wg0.service")).expect("removed");
        assert!(found().expect("a warning").starts_with("wg-quick@wg0 is enabled: "));
    }
}
