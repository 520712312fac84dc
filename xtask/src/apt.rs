//! Debian's package manager: what it offers, downloads and installs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Where packages come from.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Options that keep apt away from the system's own lists; none for the system's.
    options: Vec<OsString>,
}

/// Debian 12, which has both kernels.
const BOOKWORM: [(&str, &str); 2] = [
    ("http://deb.debian.org/debian", "bookworm"),
    ("http://deb.debian.org/debian-security", "bookworm-security"),
];

/// The key that Debian's archive is signed with; a package of the same name on Ubuntu too.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Archive {
    /// What the system's apt is set up to use.
    pub(crate) fn system() -> Self {
        Self { options: Vec::new() }
    }

    /// Debian 12's, on a system that is set up for another release or distribution; its lists are
    /// kept in `directory`, and the system's stay as they are.
    ///
    /// # Errors
    /// The archive's key is not there, or the archive cannot be reached.
    pub(crate) fn bookworm(directory: &Path) -> Result<Self> {
        if !Path::new(KEYRING).is_file() {
            bail!("{KEYRING} is not there; install it: apt-get install debian-archive-keyring");
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = directory.join(part);
            std::fs::create_dir_all(&part)
                .with_context(|| format!("cannot make {}", part.display()))?;
        }
        let sources: String = BOOKWORM
            .iter()
            .map(|(place, suite)| format!("deb [signed-by={KEYRING}] {place} {suite} main\n"))
            .collect();
        let list = directory.join("sources.list");
        std::fs::write(&list, sources)
            .with_context(|| format!("cannot write {}", list.display()))?;
        let mut options = Vec::new();
        let settings = [
            ("Dir::Etc::SourceList", list),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::Etc::Preferences", "/dev/null".into()),
            ("Dir::Etc::PreferencesParts", "/dev/null".into()),
            ("Dir::State::Lists", directory.join("lists")),
            ("Dir::Cache", directory.join("cache")),
            ("APT::Architecture", "amd64".into()),
        ];
        for (name, value) in settings {
            let mut setting = OsString::from(format!("{name}="));
            setting.push(value);
            options.extend([OsString::from("-o"), setting]);
        }
        let archive = Self { options };
        process::read(archive.apt("apt-get").args(["-q", "update"]))?;
        Ok(archive)
    }

    /// The record of the version that would be installed.
    ///
    /// # Errors
    /// apt is not there, or does not know the package.
    pub(crate) fn record(&self, package: &str) -> Result<String> {
        process::read(self.apt("apt-cache").args(["show", "--no-all-versions", package]))
    }

    /// Downloads a package file into `directory`, bringing the package lists up to date if they
    /// turn out to be stale.
    ///
    /// # Errors
    /// The archive cannot be reached or does not have the package.
    pub(crate) fn download(&self, package: &str, directory: &Path) -> Result<PathBuf> {
        let fetch = || {
            let mut command = self.apt("apt-get");
            process::read(command.args(["-q", "download", package]).current_dir(directory))
        };
        if fetch().is_err() {
            if self.options.is_empty() {
                update()?;
            }
            fetch()?;
        }
        let mut files = std::fs::read_dir(directory)
            .with_context(|| format!("cannot read {}", directory.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
        match files.next() {
            Some(file) => Ok(file),
            None => bail!("`apt-get download {package}` succeeded and left no package"),
        }
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options);
        command
    }
}

/// The version that would be installed, if apt is there and offers one.
pub(crate) fn candidate(package: &str) -> Option<String> {
    let text = process::read(Command::new("apt-cache").args(["policy", package])).ok()?;
    let version = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Installs packages, bringing the package lists up to date first if apt does not know them or
/// their files have moved on.
///
/// # Errors
/// Not root and no sudo, a package nobody offers, or apt's own complaint.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["-q", "-y", "--no-install-recommends", "install"];
    arguments.extend(packages);
    let mut fresh = false;
    if packages.iter().any(|package| candidate(package).is_none()) {
        update()?;
        fresh = true;
    }
    match process::read(&mut privileged("apt-get", &arguments)?) {
        Err(_) if !fresh => {
            update()?;
            process::read(&mut privileged("apt-get", &arguments)?).map(drop)
        }
        outcome => outcome.map(drop),
    }
}

/// Brings the package lists up to date.
///
/// # Errors
/// Not root and no sudo, or the archive cannot be reached.
pub(crate) fn update() -> Result<()> {
    process::read(&mut privileged("apt-get", &["-q", "update"])?).map(drop)
}

/// A command that runs as root: directly, or through sudo.
pub(crate) fn privileged(program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = if is_root()? {
        Command::new(program)
    } else if process::find("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    } else {
        bail!("`{program} {}` needs root, and sudo is not installed", arguments.join(" "));
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// Whether this is root.
///
/// # Errors
/// There is no /proc.
pub(crate) fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata("/proc/self").context("cannot look at /proc/self")?;
    Ok(own.uid() == 0)
}
