//! cpio archives in "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// What an archive has at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Mode 0755.
    Directory,
    /// A symbolic link to this path.
    Link(String),
    Text {
        content: Vec<u8>,
        executable: bool,
    },
    /// A copy of a file of the host, executable if that is.
    Copy(PathBuf),
}

/// Entries by path, without a leading slash. Parents come before children.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Adds or replaces an entry; missing parents become directories.
    pub(crate) fn insert(&mut self, path: &str, entry: Entry) {
        let path = settle(path);
        for (index, _) in path.match_indices('/') {
            self.entries.entry(path[..index].to_owned()).or_insert(Entry::Directory);
        }
        self.entries.insert(path, entry);
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(&settle(path))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Writes the archive with its trailer, padded so that another one can be appended.
    ///
    /// # Errors
    /// A file of the host cannot be read, or `out` cannot be written.
    pub(crate) fn write(&self, out: &mut impl Write) -> Result<()> {
        for (number, (path, entry)) in self.entries.iter().enumerate() {
            let (mode, content) = match entry {
                Entry::Directory => (0o040_755, Vec::new()),
                Entry::Link(target) => (0o120_777, target.clone().into_bytes()),
                Entry::Text { content, executable } => {
                    (if *executable { 0o100_755 } else { 0o100_644 }, content.clone())
                }
                Entry::Copy(source) => {
                    let content = std::fs::read(source).with_context(|| {
                        format!("cannot read {} for the virtual machine", source.display())
                    })?;
                    (if is_executable(source)? { 0o100_755 } else { 0o100_644 }, content)
                }
            };
            write_entry(out, number + 1, path, mode, &content)
                .with_context(|| format!("cannot write {path} into the archive"))?;
        }
        write_entry(out, 0, "TRAILER!!!", 0, &[]).context("cannot end the archive")
    }
}

/// Moves `/lib`, `/lib64` and `/sbin` below `/usr`; `/bin` stays a directory of its own.
fn settle(path: &str) -> String {
    let path = path.trim_start_matches('/');
    for merged in ["lib/", "lib64/", "sbin/"] {
        if path.starts_with(merged) {
            return format!("usr/{path}");
        }
    }
    path.to_owned()
}

fn is_executable(path: &std::path::Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata =
        std::fs::metadata(path).with_context(|| format!("cannot stat {}", path.display()))?;
    Ok(metadata.permissions().mode() & 0o111 != 0)
}

fn write_entry(
    out: &mut impl Write,
    inode: usize,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    let (length, name_length) = (content.len(), path.len() + 1);
    // magic, inode, mode, uid, gid, links, mtime, size, device ×2, special device ×2, name, check
    write!(
        out,
        "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{links:08x}{0:08x}{length:08x}{0:08x}{0:08x}\
         {0:08x}{0:08x}{name_length:08x}{0:08x}",
        0
    )?;
    out.write_all(path.as_bytes())?;
    out.write_all(&ZEROS[..1 + padding(110 + name_length)])?;
    out.write_all(content)?;
    out.write_all(&ZEROS[..padding(length)])
}

const ZEROS: [u8; 4] = [0; 4];

fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str) -> Entry {
        Entry::Text { content: content.into(), executable: false }
    }

    #[test]
    fn parents_come_first_and_merged_directories_move() {
        let mut archive = Archive::default();
        archive.insert("/lib/x86_64-linux-gnu/libc.so.6", text("c"));
        archive.insert("/init", text("i"));
        let paths: Vec<_> = archive.entries().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "init",
                "usr",
                "usr/lib",
                "usr/lib/x86_64-linux-gnu",
                "usr/lib/x86_64-linux-gnu/libc.so.6"
            ]
        );
        assert!(archive.contains("/lib/x86_64-linux-gnu/libc.so.6"));
    }

    #[test]
    fn an_archive_is_aligned_and_ends_with_its_trailer() {
        let mut archive = Archive::default();
        archive.insert("etc/hosts", text("127.0.0.1 localhost\n"));
        archive.insert("sh", Entry::Link("bin/dash".to_owned()));
        let mut bytes = Vec::new();
        archive.write(&mut bytes).expect("writing to memory");
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("070701"));
        assert!(text.contains("127.0.0.1 localhost\n"));
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
        assert_eq!(text.matches("070701").count(), 4);
    }
}
