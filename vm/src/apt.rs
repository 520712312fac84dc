//! apt: looking up, downloading and installing packages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::scratch::Scratch;
use crate::{Architecture, process, workspace};

/// A source of packages.
#[derive(Debug)]
pub struct Archive {
    /// Options that point apt at other lists than the system's; empty for the system's.
    options: Vec<OsString>,
}

/// Debian 12 has both kernels.
const BOOKWORM: [(&str, &str); 2] = [
    ("http://deb.debian.org/debian", "bookworm"),
    ("http://deb.debian.org/debian-security", "bookworm-security"),
];

/// The key that signs Debian's archive, from the package debian-archive-keyring (also in Ubuntu).
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Archive {
    /// The system's own sources.
    pub fn system() -> Self {
        Self { options: Vec::new() }
    }

    /// Debian 12, for systems of another release, distribution or architecture. Its lists are kept
    /// in the cache; those of the system are not touched.
    ///
    /// # Errors
    /// The key is not installed, or the archive cannot be reached.
    pub fn bookworm(architecture: Architecture) -> Result<Self> {
        let directory = workspace::cache()?.join(match architecture {
            Architecture::Amd64 => "bookworm".to_owned(),
            Architecture::Arm64 => format!("bookworm-{architecture}"),
        });
        if !Path::new(KEYRING).is_file() {
            bail!("{KEYRING} does not exist; install it: apt-get install debian-archive-keyring");
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
        // Nothing is installed, so that packages come with all that they depend on.
        let status = directory.join("status");
        for (file, text) in [(&list, sources.as_str()), (&status, "")] {
            std::fs::write(file, text)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let mut options = Vec::new();
        let settings = [
            ("Dir::Etc::SourceList", list),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::Etc::Preferences", "/dev/null".into()),
            ("Dir::Etc::PreferencesParts", "/dev/null".into()),
            ("Dir::State::Lists", directory.join("lists")),
            ("Dir::State::status", status),
            ("Dir::Cache", directory.join("cache")),
            ("APT::Architecture", architecture.debian().into()),
            ("APT::Architectures", architecture.debian().into()),
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

    /// The records of all versions, newest first.
    ///
    /// # Errors
    /// There is no apt, or it does not know the package.
    pub fn records(&self, package: &str) -> Result<Vec<String>> {
        let text = process::read(self.apt("apt-cache").args(["show", package]))?;
        Ok(text.split("\n\n").map(str::to_owned).collect())
    }

    /// Downloads a package into `directory`, after `apt-get update` if the lists are stale.
    ///
    /// # Errors
    /// The archive cannot be reached or lacks the package.
    pub fn download(&self, package: &str, directory: &Path) -> Result<PathBuf> {
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
        match packages_in(directory)?.pop() {
            Some(file) => Ok(file),
            None => bail!("`apt-get download {package}` succeeded and left no package"),
        }
    }

    /// Unpacks packages and all that they depend on into a new directory. None of their scripts
    /// runs.
    ///
    /// # Errors
    /// The archive cannot be reached or lacks a package, or the directory cannot be written.
    pub fn unpack(&self, packages: &[&str], directory: &Path) -> Result<()> {
        let work = Scratch::of(directory)?;
        let (files, tree) = (work.path().join("files"), work.path().join("tree"));
        for part in [&files.join("partial"), &tree] {
            std::fs::create_dir_all(part)
                .with_context(|| format!("cannot make {}", part.display()))?;
        }
        let mut command = self.apt("apt-get");
        let mut place = OsString::from("Dir::Cache::Archives=");
        place.push(&files);
        command.arg("-o").arg(place).args(["-q", "-y", "--no-install-recommends"]);
        process::read(command.args(["--download-only", "install"]).args(packages))?;
        for file in packages_in(&files)? {
            process::read(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&tree))?;
        }
        work.finish("tree")
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options);
        command
    }
}

/// The files of packages in a directory.
fn packages_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|it| it == "deb")).collect())
}

/// The version that apt would install, if any.
pub fn candidate(package: &str) -> Option<String> {
    let text = process::read(Command::new("apt-cache").args(["policy", package])).ok()?;
    let version = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Installs packages, after `apt-get update` if apt does not know them or cannot download them.
///
/// # Errors
/// Neither root nor sudo, an unknown package, or an error of apt.
pub fn install(packages: &[&str]) -> Result<()> {
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

/// Runs `apt-get update`.
///
/// # Errors
/// Neither root nor sudo, or the archive cannot be reached.
pub fn update() -> Result<()> {
    process::read(&mut privileged("apt-get", &["-q", "update"])?).map(drop)
}

/// A command run as root, through sudo if necessary.
pub fn privileged(program: &str, arguments: &[&str]) -> Result<Command> {
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

/// # Errors
/// /proc is not mounted.
pub fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata("/proc/self").context("cannot stat /proc/self")?;
    Ok(own.uid() == 0)
}
