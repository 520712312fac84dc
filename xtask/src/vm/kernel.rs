//! Debian's stock cloud kernels, fetched as packages and unpacked into the cache, not installed.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::Archive;
use crate::progress::Step;
use crate::{process, workspace};

/// A line of kernels the lab runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Series {
    /// Attaches by TCX.
    #[value(name = "6.12")]
    V6_12,
    /// The oldest supported; attaches by clsact.
    #[value(name = "6.1")]
    V6_1,
}

impl Series {
    /// All of them, newest first.
    pub(crate) const ALL: [Self; 2] = [Self::V6_12, Self::V6_1];

    /// Meta-packages that may stand for this series, depending on the distribution's release.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::V6_12 => &["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"],
            Self::V6_1 => &["linux-image-cloud-amd64"],
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

/// What the lab needs as modules; a kernel that has one built in, or not at all, does without.
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
    // What other ways of filtering cost is measured beside the relay.
    "iptable_filter",
    "ip6table_filter",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
];

/// One kernel in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// The series it stands for.
    pub(crate) series: Series,
    directory: PathBuf,
}

impl Kernel {
    /// The kernel of the series that apt offers now, from the cache or downloaded into it. Where
    /// apt offers none, the newest one in the cache, or else Debian 12's.
    ///
    /// # Errors
    /// Neither apt nor the cache has one.
    pub(crate) fn fetch(series: Series) -> Result<Self> {
        let cache = workspace::cache()?.join("kernels");
        let system = Archive::system();
        let (archive, offered) = match Offer::find(series, &system) {
            Some(offer) => (system, offer),
            None => {
                if let Ok(kernel) = Self::newest(series, &cache) {
                    return Ok(kernel);
                }
                Offer::of_bookworm(series)?
            }
        };
        let directory = cache.join(offered.directory(series));
        if !directory.is_dir() {
            let step = Step::start(format!("vm: fetching {} {}", offered.package, offered.version));
            match offered.unpack_into(&archive, &directory) {
                Ok(()) => step.finish("ready"),
                Err(reason) => {
                    step.finish("failed");
                    return Self::newest(series, &cache).context(format!("{reason:#}"));
                }
            }
        }
        Ok(Self { series, directory })
    }

    /// The compressed kernel image that QEMU boots.
    pub(crate) fn image(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// Modules in the order in which they can be loaded.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub(crate) fn modules(&self) -> Result<Vec<PathBuf>> {
        let list = self.directory.join("modules");
        let names =
            fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        Ok(names.lines().map(|name| self.directory.join(name)).collect())
    }

    /// The name of the cached kernel: series, package version, modules asked for.
    pub(crate) fn name(&self) -> String {
        self.directory.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }

    fn newest(series: Series, cache: &Path) -> Result<Self> {
        let prefix = format!("{series}-");
        let mut found: Vec<_> = fs::read_dir(cache)
            .with_context(|| format!("cannot read {}", cache.display()))?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        found.sort();
        match found.pop() {
            Some((_, directory)) => Ok(Self { series, directory }),
            None => bail!("{} holds no {series} kernel", cache.display()),
        }
    }
}

/// A kernel package that apt can download.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    package: String,
    version: String,
}

impl Offer {
    fn of_bookworm(series: Series) -> Result<(Archive, Self)> {
        let step = Step::start(format!("vm: looking for Linux {series} in Debian 12's archive"));
        let bookworm = Archive::bookworm(&workspace::cache()?.join("bookworm"))?;
        step.finish("done");
        let offer = Self::find(series, &bookworm).with_context(|| {
            format!("no archive has a {series} kernel as {}", series.packages().join(" or "))
        })?;
        Ok((bookworm, offer))
    }

    fn find(series: Series, archive: &Archive) -> Option<Self> {
        let records = series.packages().iter().filter_map(|meta| archive.record(meta).ok());
        records.filter_map(|record| Self::parse(&record, series)).next()
    }

    /// Reads `Version:` and the one real image in `Depends:` of a meta-package's record.
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
        MODULES.hash(&mut hasher);
        format!("{series}-{}-{:08x}", self.version, hasher.finish() & 0xffff_ffff)
    }

    /// Downloads, unpacks, keeps the image and the modules, and only then appears in the cache.
    fn unpack_into(&self, archive: &Archive, directory: &Path) -> Result<()> {
        let cache = directory.parent().context("the cache has no parent directory")?;
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let work = Scratch::new(cache.join(format!(".unpacking-{}", std::process::id())))?;
        let package = archive.download(&self.package, &work.0)?;
        let tree = work.0.join("tree");
        process::read(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&tree))?;
        let release = self.package.trim_start_matches("linux-image-");
        // The package keeps modules in /lib; a merged-usr modprobe may look in /usr/lib.
        process::read(Command::new(program("depmod")).arg("-b").arg(&tree).arg(release))?;

        let ready = work.0.join("ready");
        fs::create_dir_all(&ready)?;
        let image = tree.join("boot").join(format!("vmlinuz-{release}"));
        fs::rename(&image, ready.join("vmlinuz"))
            .with_context(|| format!("{} holds no {}", self.package, image.display()))?;
        let mut names = Vec::new();
        for module in self.load_order(&tree, release) {
            let name = keep_module(&module, &ready)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !names.iter().any(|name| name == "wireguard.ko") {
            bail!("{} has no WireGuard module", self.package);
        }
        fs::write(ready.join("modules"), names.join("\n") + "\n")?;
        match fs::rename(&ready, directory) {
            // Another run was quicker: its result is as good.
            Err(_) if directory.is_dir() => Ok(()),
            outcome => outcome.with_context(|| format!("cannot make {}", directory.display())),
        }
    }

    /// Every module with what it depends on, dependencies first.
    fn load_order(&self, tree: &Path, release: &str) -> Vec<PathBuf> {
        let mut order = Vec::new();
        for module in MODULES {
            let mut command = Command::new(program("modprobe"));
            command.args(["--show-depends", "--ignore-install", "-S", release, "-d"]);
            command.arg(tree).arg(module);
            // A module this kernel does not have is left out; the lab names what it misses.
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

/// Reads `insmod PATH [options]` lines; `builtin NAME` needs no loading.
fn parse_depends(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("insmod "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(PathBuf::from)
        .collect()
}

/// Moves a module, decompressed here because the guest is slow at it, and returns its name.
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

/// A directory that goes away however the work ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing useful can be done about a directory that does not go; the next run has its own.
        let _ = fs::remove_dir_all(&self.0);
    }
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
    fn another_series_is_not_taken_for_ours() {
        assert_eq!(Offer::parse(RECORD, Series::V6_1), None);
    }

    #[test]
    fn reads_what_modprobe_would_load() {
        let text = "builtin udp_tunnel\ninsmod /t/lib/a.ko.xz \ninsmod /t/lib/b.ko x=1\n";
        assert_eq!(parse_depends(text), ["/t/lib/a.ko.xz", "/t/lib/b.ko"].map(PathBuf::from));
    }
}
