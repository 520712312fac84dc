//! The tarball, for distributions without dpkg.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use relay_vm::{process, workspace};

use super::{Contents, name, released_at};

/// Files of the checkout and their paths in the tarball.
const SOURCES: &[(&str, &str)] = &[
    ("README.md", "README.md"),
    ("ARCHITECTURE.md", "ARCHITECTURE.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("CONTRIBUTING.md", "CONTRIBUTING.md"),
    ("SECURITY.md", "SECURITY.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("deploy/LICENSE-LGPL-2.1", "LICENSE-LGPL-2.1"),
    ("deploy/systemd/relay.service", "systemd/relay.service"),
    ("deploy/systemd/relay@.service", "systemd/relay@.service"),
    ("deploy/systemd/relay-follow.service", "systemd/relay-follow.service"),
    ("deploy/systemd/relay-follow@.service", "systemd/relay-follow@.service"),
    ("deploy/systemd/relay-mesh.service", "systemd/relay-mesh.service"),
    ("deploy/systemd/relay-mesh@.service", "systemd/relay-mesh@.service"),
    ("deploy/systemd/relay-quota.service", "systemd/relay-quota.service"),
    ("deploy/systemd/relay-quota@.service", "systemd/relay-quota@.service"),
    ("deploy/systemd/relay-quota.timer", "systemd/relay-quota.timer"),
    ("deploy/systemd/relay-quota@.timer", "systemd/relay-quota@.timer"),
    ("deploy/systemd/relay-serve.service", "systemd/relay-serve.service"),
    ("deploy/systemd/relay-serve@.service", "systemd/relay-serve@.service"),
    ("deploy/prometheus/relay.rules.yml", "prometheus/relay.rules.yml"),
    ("deploy/prometheus/relay.rules.test.yml", "prometheus/relay.rules.test.yml"),
    ("deploy/grafana/relay.json", "grafana/relay.json"),
    ("deploy/keepalived/relay.conf", "keepalived/relay.conf"),
    ("examples/full.toml", "examples/full.toml"),
    ("examples/node-to-node.toml", "examples/node-to-node.toml"),
    ("examples/one-to-many.toml", "examples/one-to-many.toml"),
    ("examples/rules.toml", "examples/rules.toml"),
];

/// Directories of pages that the README links to.
const DOCS: &[&str] = &["docs", "docs/guides", "docs/internals", "docs/reference"];

/// Generated files and their paths in the tarball.
const GENERATED: &[(&str, &str)] = &[
    ("relay", "relay"),
    ("THIRD-PARTY", "THIRD-PARTY"),
    ("relay.bash", "completions/relay"),
    ("relay.zsh", "completions/_relay"),
    ("relay.fish", "completions/relay.fish"),
];

/// Writes `NAME.tar.gz` into `output`, reproducibly.
pub(super) fn pack(contents: &Contents, output: &Path) -> Result<PathBuf> {
    let name = name(contents.architecture);
    let above = contents.directory.join("tarball");
    let root = above.join(&name);
    for (from, to) in SOURCES {
        copy(&workspace::root().join(from), &root.join(to))?;
    }
    for directory in DOCS {
        for entry in fs::read_dir(workspace::root().join(directory))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                copy(&entry.path(), &root.join(directory).join(entry.file_name()))?;
            }
        }
    }
    for (from, to) in GENERATED {
        copy(&contents.directory.join(from), &root.join(to))?;
    }
    for page in contents.pages()? {
        let page = Path::new("man").join(page);
        copy(&contents.directory.join(&page), &root.join(&page))?;
    }
    let file = std::path::absolute(output.join(format!("{name}.tar.gz")))?;
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rwX,go=rX"]);
    tar.arg(format!("--mtime=@{}", released_at()?)).args(["-I", "gzip -9n", "-cf"]).arg(&file);
    process::read(tar.arg("-C").arg(&above).arg(&name))?;
    Ok(file)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().context("a file is in a directory")?;
    fs::create_dir_all(directory)
        .and_then(|()| fs::copy(from, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
