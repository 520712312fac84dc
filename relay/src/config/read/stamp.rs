use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::source;

/// Identity and change times of the files of a configuration: equal stamps mean equal content. Reads
/// no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<File>);

/// Device, inode, length in bytes, and time of the last change, seconds and nanoseconds. `None` if
/// there is no such file.
type File = Option<(u64, u64, u64, i64, i64)>;

impl Stamp {
    /// The stamp of the main file at `path` and its fragments.
    pub fn of(path: &Path) -> Self {
        let fragments = source::fragments(&path.with_extension("d")).unwrap_or_default();
        Self([path.to_owned()].iter().chain(&fragments).map(|path| file(path)).collect())
    }
}

fn file(path: &Path) -> File {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_in_a_file_or_beside_it_is_seen() {
        let there = tempfile::tempdir().expect("a directory");
        let main = there.path().join("relay.toml");
        let fragment = there.path().join("relay.d").join("a.toml");
        let mut seen = vec![Stamp::of(&main)];
        let mut differs = |what: &str| {
            let stamp = Stamp::of(&main);
            assert_eq!(stamp, Stamp::of(&main), "{what}");
            assert!(!seen.contains(&stamp), "{what}");
            seen.push(stamp);
        };
        fs::write(&main, "a").expect("written");
        differs("a main file");
        fs::write(&main, "ab").expect("written");
        differs("longer");
        fs::write(there.path().join("new"), "ab").expect("written");
        fs::rename(there.path().join("new"), &main).expect("renamed");
        differs("another file in its place");
        fs::create_dir(there.path().join("relay.d")).expect("made");
        fs::write(&fragment, "c").expect("written");
        differs("a fragment");
    }
}
