//! Debian's cloud kernels, downloaded as packages and unpacked into the cache, not installed.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::Archive;
use crate::progress::Step;
use crate::scratch::Scratch;
use crate::{Architecture, process, workspace};

/// A kernel series that the lab runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Series {
    /// Has TCX.
    #[value(name = "6.12")]
    V6_12,
    /// The oldest supported, without TCX.
    #[value(name = "6.1")]
    V6_1,
}

impl Series {
    /// Newest first.
    pub const ALL: [Self; 2] = [Self::V6_12, Self::V6_1];

    /// Meta-packages of this series, which depend on the distribution's release.
    fn packages(self, architecture: Architecture) -> Vec<String> {
        let release = format!("linux-image-cloud-{architecture}");
        match self {
            Self::V6_12 => vec![format!("linux-image-6.12-cloud-{architecture}"), release],
            Self::V6_1 => vec![release],
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_12 => "6.12",
            Self::V6_1 => "6.1",
        })
    }
}

/// Modules that the lab needs, unless the kernel has them built in. Missing ones are skipped.
const MODULES: &[&str] = &[
    "wireguard",
    "veth",
    "bridge",
    "dummy",
    "ifb",
    "tun",
    "netkit",
    "sch_ingress",
    "sch_netem",
    "sch_tbf",
    "cls_bpf",
    "act_bpf",
    "nf_tables",
    "nft_masq",
    "nft_nat",
    "nft_chain_nat",
    "nft_ct",
    "nft_reject_inet",
    "nft_limit",
    "nft_log",
    "nf_log_syslog",
    "nft_fib_inet",
    "nf_conntrack_netlink",
    "vrf",
    // For the bench, which compares with other ways of filtering.
    "iptable_filter",
    "ip6table_filter",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
];

/// Modules of the network card that a machine may have.
const CARD_MODULES: &[&str] = &["virtio_pci", "virtio_net"];

/// A kernel in the cache.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub series: Series,
    pub architecture: Architecture,
    directory: PathBuf,
}

impl Kernel {
    /// That of [`Self::fetch_for`] amd64.
    ///
    /// # Errors
    /// Neither apt nor the cache has one.
    pub fn fetch(series: Series) -> Result<Self> {
        Self::fetch_for(series, Architecture::Amd64)
    }

    /// The oldest kernel that apt offers for this series, downloaded into the cache unless it is there.
    /// If apt offers none: the newest one in the cache, or that of Debian 12.
    ///
    /// # Errors
    /// Neither apt nor the cache has one.
    pub fn fetch_for(series: Series, architecture: Architecture) -> Result<Self> {
        let cache = workspace::cache()?.join(match architecture {
            Architecture::Amd64 => "kernels".to_owned(),
            Architecture::Arm64 => format!("kernels-{architecture}"),
        });
        let system = Archive::system();
        let (archive, offered) = match Offer::find(series, architecture, &system) {
            Some(offer) => (system, offer),
            None => {
                if let Ok(kernel) = Self::newest(series, architecture, &cache) {
                    return Ok(kernel);
                }
                Offer::of_bookworm(series, architecture)?
            }
        };
        let directory = cache.join(offered.directory(series));
        if !directory.is_dir() {
            let step = Step::start(format!("vm: fetching {} {}", offered.package, offered.version));
            match offered.unpack_into(&archive, &directory) {
                Ok(()) => step.finish("ready"),
                Err(reason) => {
                    step.finish("failed");
                    let kept = Self::newest(series, architecture, &cache);
                    return kept.context(format!("{reason:#}"));
                }
            }
        }
        Ok(Self { series, architecture, directory })
    }

    /// The compressed kernel image that QEMU boots.
    pub fn image(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// Modules, in load order.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        self.listed("modules")
    }

    /// Modules of the network card, in load order.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn card_modules(&self) -> Result<Vec<PathBuf>> {
        self.listed("card-modules")
    }

    fn listed(&self, name: &str) -> Result<Vec<PathBuf>> {
        let list = self.directory.join(name);
        let names =
            fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        Ok(names.lines().map(|name| self.directory.join(name)).collect())
    }

    /// Its series, with the architecture if that is not amd64.
    pub fn label(&self) -> String {
        match self.architecture {
            Architecture::Amd64 => self.series.to_string(),
            Architecture::Arm64 => format!("{}-{}", self.series, self.architecture),
        }
    }

    /// Its name in the cache: series, package version, hash of the modules.
    pub fn name(&self) -> String {
        self.directory.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }

    fn newest(series: Series, architecture: Architecture, cache: &Path) -> Result<Self> {
        let prefix = format!("{series}-");
        let mut found: Vec<_> = fs::read_dir(cache)
            .with_context(|| format!("cannot read {}", cache.display()))?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        found.sort();
        match found.pop() {
            Some((_, directory)) => Ok(Self { series, architecture, directory }),
            None => bail!("{} holds no {series} kernel", cache.display()),
        }
    }
}

/// A kernel package offered by apt.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    package: String,
    version: String,
}

impl Offer {
    fn of_bookworm(series: Series, architecture: Architecture) -> Result<(Archive, Self)> {
        let step = Step::start(format!("vm: looking for Linux {series} in Debian 12's archive"));
        let bookworm = Archive::bookworm(architecture)?;
        step.finish("done");
        let offer = Self::find(series, architecture, &bookworm).with_context(|| {
            let packages = series.packages(architecture).join(" or ");
            format!("no archive has a {series} kernel as {packages}")
        })?;
        Ok((bookworm, offer))
    }

    /// The oldest version of the series, which has the strictest verifier: later ones of 6.1 accept
    /// programs that read stack which was never written, and Debian 12's own release does not.
    fn find(series: Series, architecture: Architecture, archive: &Archive) -> Option<Self> {
        let packages = series.packages(architecture);
        let records = packages.iter().filter_map(|meta| archive.records(meta).ok());
        Self::oldest(&records.flatten().collect::<Vec<_>>(), series)
    }

    fn oldest(records: &[String], series: Series) -> Option<Self> {
        records.iter().rev().find_map(|record| Self::parse(record, series))
    }

    /// Parses `Version:` and the kernel image in `Depends:` of a meta-package's record.
    fn parse(record: &str, series: Series) -> Option<Self> {
        let field = |name: &str| {
            record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let version = field("Version")?;
        if !version.starts_with(&format!("{series}.")) {
            return None;
        }
        let package = field("Depends")?
            .split(',')
            .filter_map(|dependency| dependency.split_whitespace().next())
            .find(|name| name.starts_with("linux-image-"))?;
        Some(Self { package: package.to_owned(), version: version.to_owned() })
    }

    fn directory(&self, series: Series) -> String {
        let mut hasher = DefaultHasher::new();
        (MODULES, CARD_MODULES).hash(&mut hasher);
        format!("{series}-{}-{:08x}", self.version, hasher.finish() & 0xffff_ffff)
    }

    /// Downloads and unpacks the package, and moves image and modules into the cache when complete.
    fn unpack_into(&self, archive: &Archive, directory: &Path) -> Result<()> {
        let work = Scratch::of(directory)?;
        let package = archive.download(&self.package, work.path())?;
        let tree = work.path().join("tree");
        process::read(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&tree))?;
        let release = self.package.trim_start_matches("linux-image-");
        // Modules are in /lib; modprobe of a merged-/usr system may search /usr/lib.
        process::read(Command::new(program("depmod")).arg("-b").arg(&tree).arg(release))?;

        let ready = work.path().join("ready");
        fs::create_dir_all(&ready)?;
        let image = tree.join("boot").join(format!("vmlinuz-{release}"));
        fs::rename(&image, ready.join("vmlinuz"))
            .with_context(|| format!("{} holds no {}", self.package, image.display()))?;
        for (list, modules) in [("modules", MODULES), ("card-modules", CARD_MODULES)] {
            let mut names = Vec::new();
            for module in self.load_order(&tree, release, modules) {
                let name = keep_module(&module, &ready)?;
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            fs::write(
                ready.join(list),
                names.iter().map(|name| format!("{name}\n")).collect::<String>(),
            )?;
        }
        if !ready.join("wireguard.ko").is_file() {
            bail!("{} has no WireGuard module", self.package);
        }
        work.finish("ready")
    }

    /// Modules and their dependencies, in load order.
    fn load_order(&self, tree: &Path, release: &str, modules: &[&str]) -> Vec<PathBuf> {
        let mut order = Vec::new();
        for module in modules {
            let mut command = Command::new(program("modprobe"));
            command.args(["--show-depends", "--ignore-install", "-S", release, "-d"]);
            command.arg(tree).arg(module);
            // Tests that need a missing module skip.
            let Ok(text) = process::read(&mut command) else { continue };
            for file in parse_depends(&text) {
                if !order.contains(&file) {
                    order.push(file);
                }
            }
        }
        order
    }
}

/// Parses `insmod PATH [options]`; skips `builtin NAME`.
fn parse_depends(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("insmod "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(PathBuf::from)
        .collect()
}

/// Copies a module, decompressed since the guest is slow, and returns its name.
fn keep_module(module: &Path, ready: &Path) -> Result<String> {
    let name = module.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let (name, unpacker) = match name.rsplit_once('.') {
        Some((stem, "xz")) => (stem.to_owned(), Some("xz")),
        Some((stem, "zst")) => (stem.to_owned(), Some("zstd")),
        Some((stem, "gz")) => (stem.to_owned(), Some("gzip")),
        _ => (name, None),
    };
    let target = ready.join(&name);
    match unpacker {
        None => fs::copy(module, &target)
            .map(drop)
            .with_context(|| format!("cannot copy {}", module.display()))?,
        Some(unpacker) => {
            let output = Command::new(unpacker)
                .arg("-dc")
                .arg(module)
                .output()
                .with_context(|| format!("cannot start `{unpacker}` to unpack a module"))?;
            if !output.status.success() {
                bail!("`{unpacker} -dc {}` failed", module.display());
            }
            fs::write(&target, output.stdout)?;
        }
    }
    Ok(name)
}

fn program(name: &str) -> PathBuf {
    process::find(name).unwrap_or_else(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "Package: linux-image-6.12-cloud-amd64\nVersion: 6.12.117-1~deb12u1\n\
        Depends: linux-image-6.12.117+deb12-cloud-amd64 (= 6.12.117-1~deb12u1)\n";

    #[test]
    fn a_meta_package_names_the_real_one() {
        assert_eq!(
            Offer::parse(RECORD, Series::V6_12),
            Some(Offer {
                package: "linux-image-6.12.117+deb12-cloud-amd64".to_owned(),
                version: "6.12.117-1~deb12u1".to_owned()
            })
        );
    }

    #[test]
    fn the_oldest_version_is_taken() {
        let older = RECORD.replace("6.12.117", "6.12.94");
        let records = [RECORD, &older, "Package: other\nVersion: 6.12.1\n"].map(str::to_owned);
        let offer = Offer::oldest(&records, Series::V6_12);
        assert_eq!(offer.map(|offer| offer.version).as_deref(), Some("6.12.94-1~deb12u1"));
    }

    #[test]
    fn another_series_is_not_taken_for_ours() {
        assert_eq!(Offer::parse(RECORD, Series::V6_1), None);
    }

    #[test]
    fn reads_what_modprobe_would_load() {
        let text = "builtin udp_tunnel\ninsmod /t/lib/a.ko.xz \ninsmod /t/lib/b.ko x=1\n";
        assert_eq!(parse_depends(text), ["/t/lib/a.ko.xz", "/t/lib/b.ko"].map(PathBuf::from));
    }
}
