//! Files that somebody else can change make no relay.

use std::fs;

use super::site::Site;

#[test]
fn check_warns_and_up_does_not_begin() {
    let site = Site::new();
    let main = site.path("relay.toml");
    let mode = |mode| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&main, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let named = format!(
        "{main}:1:1: file: {main} has mode 0666, so that everybody can change it; chmod go-w {main}",
        main = main.display()
    );
    mode(0o666);
    let check = site.relay("check");
    assert_eq!(check.code, 0, "{}", check.err);
    assert!(check.err.contains(&named), "{}", check.err);
    let before = site.tree();
    for verb in ["up", "up --dry-run", "reload"] {
        let run = site.relay(verb);
        // A verb that needs root says so first.
        if run.code != 3 {
            assert_eq!(run.code, 2, "{verb}: {}", run.err);
            assert!(run.err.contains(&named), "{verb}: {}", run.err);
        }
    }
    assert_eq!(site.tree(), before);
    mode(0o644);
    let check = site.relay("check");
    assert!(!check.err.contains("can change it"), "{}", check.err);
}
