//! Who besides root and this user can change the files of a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    Fault, Loaded,
    problem::{Problem, Problems},
    secrets,
};

/// Bits of a mode that let the group, and everybody, write.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// In a directory with this bit, only the owner of a file replaces it.
const STICKY: u32 = 0o1000;

/// Checks that nobody but root and this user can change the files that a relay is made from, or
/// replace them in any directory above. Who used sudo counts as this user.
///
/// # Errors
/// Somebody else can. There is a problem for each such file and directory.
pub fn require_trusted(loaded: &Loaded) -> Result<(), Problems> {
    let problems = exposed(loaded);
    if problems.is_empty() { Ok(()) } else { Err(Problems::new(problems)) }
}

/// The same as a list.
pub(super) fn exposed(loaded: &Loaded) -> Vec<Problem> {
    let trusted = Trusted::new();
    let texts = loaded.texts.iter().map(|(path, _)| path.as_path());
    let mut directories = BTreeMap::new();
    let mut looked_at = BTreeSet::new();
    let mut problems = Vec::new();
    for file in texts.chain(secrets::key_files(loaded).map(|(path, ..)| path)) {
        let directory = directory_of(file);
        let find = || fs::canonicalize(directory);
        let whole = directories.entry(directory).or_insert_with(find);
        // What is not there, whoever reads it reports.
        let (Ok(directory), Some(name)) = (whole, file.file_name()) else { continue };
        let named = directory.join(name);
        let target = match fs::symlink_metadata(&named) {
            Ok(found) if found.is_symlink() => fs::canonicalize(&named).ok(),
            _ => None,
        };
        // A link may be anybody's, if its directory is not.
        let own = target.as_deref().unwrap_or(&named);
        for path in own.ancestors().chain(directory.ancestors()) {
            if !looked_at.insert(path.to_owned()) {
                continue;
            }
            let fault = fs::metadata(path).ok().and_then(|found| trusted.fault(path, &found));
            problems.extend(fault.map(|fault| problem(file, fault)));
        }
    }
    problems
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

fn problem(file: &Path, Fault { problem, remedy, is_denied }: Fault) -> Problem {
    let file = PathBuf::from(file);
    Problem { file, line: 1, column: 1, key: "file".to_owned(), problem, remedy, is_denied }
}

/// Users whose files count as one's own.
struct Trusted(Vec<u32>);

impl Trusted {
    fn new() -> Self {
        let own = rustix::process::geteuid().as_raw();
        // sudo(8) sets it, and whoever may run this as root may write what they like.
        let caller = env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
        Self([0, own].into_iter().chain(caller.filter(|_| own == 0)).collect())
    }

    fn fault(&self, path: &Path, found: &Metadata) -> Option<Fault> {
        let shown = path.display();
        if !self.0.contains(&found.uid()) {
            let problem = format!("{shown} belongs to user {}, who can change it", found.uid());
            return Some(Fault::new(problem, format!("chown root {shown}")));
        }
        let mode = found.mode() & 0o7777;
        if found.is_dir() && mode & STICKY != 0 {
            return None;
        }
        let (who, remedy) = if mode & OTHERS_WRITE != 0 {
            ("everybody".to_owned(), "go-w")
        } else if mode & GROUP_WRITES != 0 && found.gid() != 0 {
            (format!("group {}", found.gid()), "g-w")
        } else {
            return None;
        };
        let problem = format!("{shown} has mode {mode:04o}, so that {who} can change it");
        Some(Fault::new(problem, format!("chmod {remedy} {shown}")))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::config::{Options, load};

    fn place() -> (TempDir, PathBuf) {
        let there = tempfile::tempdir().expect("a directory");
        let directory = there.path().join("etc");
        fs::create_dir_all(directory.join("relay.d")).expect("made");
        let main = directory.join("relay.toml");
        fs::write(&main, "[relay]\naddress = [\"10.3.2.1/24\"]\n").expect("written");
        fs::write(directory.join("relay.d/a.toml"), "").expect("written");
        (there, main)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// What is wrong, without the directory of the test.
    fn found(there: &TempDir, main: &Path) -> Vec<String> {
        let loaded = load(main, Options { allow_empty: true }).expect("no problems");
        let warned = loaded.warnings.iter().filter(|warning| warning.key == "file").count();
        let problems = require_trusted(&loaded).err().unwrap_or_default();
        assert_eq!(warned, problems.iter().count());
        let place = format!("{}/", there.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&place, "")).collect()
    }

    #[test]
    fn a_file_or_directory_that_others_write_is_named_once() {
        let (there, main) = place();
        assert_eq!(found(&there, &main), [""; 0]);
        let fragment = main.with_file_name("relay.d/a.toml");
        set_mode(&fragment, 0o646);
        assert_eq!(
            found(&there, &main),
            [
                "etc/relay.d/a.toml:1:1: file: etc/relay.d/a.toml has mode 0646, so that everybody can \
              change it; chmod go-w etc/relay.d/a.toml"
            ]
        );
        set_mode(&fragment, 0o644);
        set_mode(&there.path().join("etc"), 0o777);
        assert_eq!(
            found(&there, &main),
            [
                "etc/relay.toml:1:1: file: etc has mode 0777, so that everybody can change it; chmod \
              go-w etc"
            ]
        );
        set_mode(&there.path().join("etc"), 0o1777);
        assert_eq!(found(&there, &main), [""; 0], "only owners replace files there");
    }

    #[test]
    fn the_file_behind_a_link_and_the_directory_of_the_link_both_count() {
        let (there, main) = place();
        let links = there.path().join("links");
        fs::create_dir(&links).expect("made");
        let link = links.join("relay.toml");
        symlink(&main, &link).expect("linked");
        set_mode(&links, 0o777);
        assert_eq!(
            found(&there, &link),
            ["links/relay.toml:1:1: file: links has mode 0777, so that everybody can change it; \
              chmod go-w links"]
        );
        set_mode(&links, 0o755);
        set_mode(&main, 0o666);
        assert_eq!(
            found(&there, &link),
            ["links/relay.toml:1:1: file: etc/relay.toml has mode 0666, so that everybody can \
              change it; chmod go-w etc/relay.toml"]
        );
    }

    #[test]
    fn the_owner_and_the_group_matter() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skip: writers: only root gives files away");
            return;
        }
        let (there, main) = place();
        chown(&main, Some(12_345), None).expect("given away");
        assert_eq!(
            found(&there, &main),
            ["etc/relay.toml:1:1: file: etc/relay.toml belongs to user 12345, who can change it; \
              chown root etc/relay.toml"]
        );
        chown(&main, Some(0), Some(12_345)).expect("taken back");
        set_mode(&main, 0o664);
        assert_eq!(
            found(&there, &main),
            ["etc/relay.toml:1:1: file: etc/relay.toml has mode 0664, so that group 12345 can \
              change it; chmod g-w etc/relay.toml"]
        );
        chown(&main, None, Some(0)).expect("given to root's group");
        assert_eq!(found(&there, &main), [""; 0]);
    }
}
