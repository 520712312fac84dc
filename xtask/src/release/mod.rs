//! A release: Debian package, tarball, bill of materials and checksums.

mod bundled;
mod deb;
mod licences;
mod linked;
mod sbom;
mod tarball;
mod toolchains;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use relay_vm::progress::Step;
use relay_vm::{Architecture, process, workspace};

use self::toolchains::Toolchains;
use crate::build::Build;
use crate::setup::target;

/// The files of a release.
pub(crate) struct Release {
    /// Package, tarball and bill of materials of each architecture, and SHA256SUMS.
    pub(crate) files: Vec<PathBuf>,
    /// Errors and warnings of lintian about the packages.
    pub(crate) complaints: String,
}

/// Builds a release for these architectures into `output`, with the toolchains that the repository
/// names unless `any` will do.
///
/// # Errors
/// A toolchain has another version, a build or a tool failed, or a file cannot be written.
pub(crate) fn make(
    output: &Path,
    architectures: &[Architecture],
    revision: u32,
    any: bool,
) -> Result<Release> {
    let toolchains = Toolchains::find()?;
    if !any {
        toolchains.require_pinned()?;
    }
    let (mut files, mut complaints) = (Vec::new(), String::new());
    for &architecture in architectures {
        let contents = Contents::build(architecture)?;
        let step = Step::start(format!("dist: packing for {architecture}"));
        let package = contents.package(revision, output)?;
        let tarball = tarball::pack(&contents, output)?;
        let bill = output.join(format!("{}.cdx.json", name(architecture)));
        fs::write(&bill, sbom::render(&contents, &toolchains)?)
            .with_context(|| format!("cannot write {}", bill.display()))?;
        complaints += &deb::complaints(&package)?;
        files.extend([package, tarball, bill]);
        step.finish("done");
    }
    files.push(write_sums(output, &files)?);
    Ok(Release { files, complaints })
}

/// The name of what is not a package: `relay-VERSION-TARGET`.
fn name(architecture: Architecture) -> String {
    format!("relay-{}-{}", env!("CARGO_PKG_VERSION"), architecture.target())
}

/// The contents of package and tarball, in a directory inside the build directory.
pub(crate) struct Contents {
    architecture: Architecture,
    /// Binary, manual pages, completions and licence notices.
    directory: PathBuf,
}

impl Contents {
    /// Builds the static binary, which runs on every distribution, and has it write its manual
    /// pages and completions. Where this machine cannot run it, a build for this machine of the same
    /// source does.
    ///
    /// # Errors
    /// The build failed, the binary is not static, or it does not run.
    pub(crate) fn build(architecture: Architecture) -> Result<Self> {
        let step = Step::start(format!("dist: building relay for {architecture}"));
        let build = Build::of_target(architecture, &["--release", "--package", "relay"])?;
        step.finish("done");
        let built = build.binary("relay")?;
        // cargo-deb looks for its assets next to the binary that cargo built.
        let directory = built.parent().context("the binary has no directory")?.join("dist");
        if directory.is_dir() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        let contents = Self { architecture, directory };
        let binary = contents.binary();
        let pages = contents.directory.join("man");
        fs::create_dir_all(&pages).with_context(|| format!("cannot make {}", pages.display()))?;
        let strip = target::strip(architecture);
        process::read(Command::new(strip).arg("-o").arg(&binary).arg(built))?;
        let linked = process::read(Command::new("file").args(["-b"]).arg(&binary))?;
        if !linked.contains("static-pie") {
            bail!("{} is not static, or not at any address: {}", binary.display(), linked.trim());
        }
        let author = if architecture.is_own() {
            binary
        } else {
            let build = Build::with(&["--profile", "quick", "--package", "relay"])?;
            build.binary("relay")?.to_owned()
        };
        process::read(Command::new(&author).args(["man", "--output"]).arg(&pages))?;
        for shell in ["bash", "zsh", "fish"] {
            let script = process::read(Command::new(&author).args(["completions", shell]))?;
            contents.write(&format!("relay.{shell}"), &script)?;
        }
        contents.write("THIRD-PARTY", &licences::notices(architecture)?)?;
        Ok(contents)
    }

    /// The stripped binary.
    pub(crate) fn binary(&self) -> PathBuf {
        self.directory.join("relay")
    }

    /// Writes the Debian package into `output`.
    ///
    /// # Errors
    /// cargo-deb failed.
    pub(crate) fn package(&self, revision: u32, output: &Path) -> Result<PathBuf> {
        let version = format!("{}-{revision}", env!("CARGO_PKG_VERSION"));
        let date = process::read(
            Command::new("date").args(["-R", "-u", "-d"]).arg(format!("@{}", released_at()?)),
        )?;
        let changes = format!(
            "relay ({version}) unstable; urgency=medium\n\n  * What changed is in changelog.gz.\n\n \
             -- {}  {date}",
            deb::MAINTAINER
        );
        // Debian policy 12.7: changelogs are compressed.
        self.write("changelog.Debian", &changes)?;
        self.compress("changelog.Debian")?;
        let what_changed = workspace::root().join("CHANGELOG.md");
        fs::copy(&what_changed, self.directory.join("changelog"))
            .with_context(|| format!("cannot copy {}", what_changed.display()))?;
        self.compress("changelog")?;
        self.compress("THIRD-PARTY")?;
        for page in self.pages()? {
            self.compress(&format!("man/{page}"))?;
        }
        deb::pack(&version, self.architecture, output)
    }

    /// File names of the manual pages.
    fn pages(&self) -> Result<Vec<String>> {
        let directory = self.directory.join("man");
        let entries = fs::read_dir(&directory)
            .with_context(|| format!("cannot read {}", directory.display()))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut pages: Vec<_> = names.filter(|name| name.ends_with(".1")).collect();
        pages.sort();
        Ok(pages)
    }

    fn compress(&self, name: &str) -> Result<()> {
        let mut gzip = Command::new("gzip");
        process::read(gzip.args(["-9", "-n", "-k", "-f"]).arg(self.directory.join(name)))?;
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The time stamp of a reproducible release, in seconds since 1970: SOURCE_DATE_EPOCH, or that of
/// the last commit.
fn released_at() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => process::read(
            Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace::root()),
        )
        .context("no date for the release; set SOURCE_DATE_EPOCH to seconds since 1970")?,
    };
    text.trim().parse().with_context(|| {
        format!("date of the release: found {text:?}, expected seconds since 1970")
    })
}

/// Writes SHA256SUMS, for `sha256sum --check`.
fn write_sums(directory: &Path, files: &[PathBuf]) -> Result<PathBuf> {
    let names = files.iter().filter_map(|file| file.file_name());
    let sums = process::read(Command::new("sha256sum").args(names).current_dir(directory))?;
    let path = directory.join("SHA256SUMS");
    fs::write(&path, sums).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
