//! `cargo xtask dist`: what is given to others: a Debian package and a tarball, with checksums.

mod deb;
mod licences;
mod tarball;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::progress::Step;
use crate::setup::dist::TARGET;
use crate::setup::{self, Part};
use crate::suite::Build;
use crate::{process, workspace};

/// Build the Debian package and the static tarball, with SHA256SUMS
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where they go [default: dist in the build directory]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Revision of the Debian package
    #[arg(long, default_value_t = 1)]
    revision: u32,
}

/// Builds, packs, and has lintian look at the package; the exit code is 1 if it complains.
///
/// # Errors
/// Something needed could not be installed, built or written.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let missing = setup::ensure(&[Part::Ebpf, Part::Dist]);
    if let Some(piece) = missing.first() {
        bail!("a release needs what could not be installed: {piece}");
    }
    let output = arguments.output.clone().unwrap_or_else(|| workspace::target().join("dist"));
    let contents = Contents::build()?;
    let step = Step::start("dist: packing");
    let package = contents.package(arguments.revision, &output)?;
    let tarball = tarball::pack(&contents, &output)?;
    let sums = write_sums(&output, &[&package, &tarball])?;
    step.finish("done");
    let complaints = deb::complaints(&package)?;
    for file in [&package, &tarball, &sums] {
        println!("{}", file.display());
    }
    if complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}", complaints.trim_end());
    Ok(ExitCode::FAILURE)
}

/// Everything that goes into a release, in a directory of its own below the build's.
pub(crate) struct Contents {
    /// Binary, manual pages, completions, and the notices of what is linked.
    directory: PathBuf,
}

impl Contents {
    /// Builds the binary without shared libraries, so that one file runs on every distribution, and
    /// has it write its manual pages and completions.
    ///
    /// # Errors
    /// What cargo, the linker or the binary itself said.
    pub(crate) fn build() -> Result<Self> {
        let step = Step::start("dist: building relay");
        let build = Build::with(&["--release", "--package", "relay", "--target", TARGET])?;
        step.finish("done");
        let built = build.binary("relay")?;
        // cargo-deb looks for what it packs beside what cargo built.
        let directory = built.parent().context("the binary is in no directory")?.join("dist");
        if directory.is_dir() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        let contents = Self { directory };
        let binary = contents.binary();
        let pages = contents.directory.join("man");
        fs::create_dir_all(&pages).with_context(|| format!("cannot make {}", pages.display()))?;
        process::read(Command::new("strip").arg("-o").arg(&binary).arg(built))?;
        let linked = process::read(Command::new("file").args(["-b"]).arg(&binary))?;
        if !linked.contains("static") {
            bail!("{} is not linked statically: {}", binary.display(), linked.trim());
        }
        process::read(Command::new(&binary).args(["man", "--output"]).arg(&pages))?;
        for shell in ["bash", "zsh", "fish"] {
            let script = process::read(Command::new(&binary).args(["completions", shell]))?;
            contents.write(&format!("relay.{shell}"), &script)?;
        }
        contents.write("THIRD-PARTY", &licences::notices()?)?;
        Ok(contents)
    }

    /// The binary, stripped.
    pub(crate) fn binary(&self) -> PathBuf {
        self.directory.join("relay")
    }

    /// The Debian package of this revision, written into `output`.
    ///
    /// # Errors
    /// What cargo-deb said.
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
        // As Debian's policy has long texts.
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
        deb::pack(&version, output)
    }

    /// Names of the manual pages.
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

/// Seconds since 1970 that stand for the release: SOURCE_DATE_EPOCH, or the last commit's, so that
/// the same sources give the same files.
fn released_at() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => process::read(
            Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace::root()),
        )
        .context("no date for the release; set SOURCE_DATE_EPOCH, seconds since 1970")?,
    };
    text.trim().parse().with_context(|| format!("found the date {text:?}, expected seconds"))
}

/// Writes SHA256SUMS beside the files, for `sha256sum --check`.
fn write_sums(directory: &Path, files: &[&PathBuf]) -> Result<PathBuf> {
    let names = files.iter().filter_map(|file| file.file_name());
    let sums = process::read(Command::new("sha256sum").args(names).current_dir(directory))?;
    let path = directory.join("SHA256SUMS");
    fs::write(&path, sums).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
