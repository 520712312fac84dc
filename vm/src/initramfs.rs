//! The guest's root file system: a cached base per kernel, and an overlay per run.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::archive::{Archive, Entry};
use crate::kernel::Kernel;
use crate::origin::Origin;
use crate::workspace;

/// Programs of the guest, and the packages that provide them.
pub const TOOLS: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("dash", "dash"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ss", "iproute2"),
    ("bridge", "iproute2"),
    ("wg", "wireguard-tools"),
    ("wg-quick", "wireguard-tools"),
    ("wireguard-go", "wireguard-go"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    ("tracepath", "iputils-tracepath"),
    ("iperf3", "iperf3"),
    ("keepalived", "keepalived"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("sysctl", "procps"),
    ("stat", "coreutils"),
    ("sort", "coreutils"),
    ("readlink", "coreutils"),
    ("timeout", "coreutils"),
    ("strace", "strace"),
];

/// Programs copied if the host has them, of packages with these names.
const OPTIONAL_TOOLS: &[&str] = &["tcpdump", "bpftool", "ethtool", "conntrack"];

/// Packages of the guest besides those of programs, where it has another architecture than the host.
const OTHER_PACKAGES: &[&str] = &["busybox-static", "netbase"];

/// Files that the tools read.
const DATA: &[&str] = &["/etc/protocols", "/etc/services"];

/// The base for one kernel: its list of contents, and the archive in the cache.
pub(crate) struct Base {
    origin: Origin,
    plan: Archive,
    pub(crate) file: PathBuf,
}

impl Base {
    /// Writes the base, unless the cache holds one made from the same inputs.
    ///
    /// # Errors
    /// The host lacks a tool, or the cache cannot be written.
    pub(crate) fn prepare(kernel: &Kernel) -> Result<Self> {
        let tools = TOOLS.iter().map(|(_, package)| package);
        let packages: Vec<_> = tools.chain(OPTIONAL_TOOLS).chain(OTHER_PACKAGES).copied().collect();
        let origin = Origin::of(kernel.architecture, &packages)?;
        let plan = plan(kernel, &origin)?;
        let directory = workspace::cache()?.join("initramfs");
        let file = directory.join(format!("{}-{:016x}.cpio", kernel.name(), fingerprint(&plan)?));
        if !file.is_file() {
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            write(&plan, &file)?;
            prune(&directory)?;
        }
        Ok(Self { origin, plan, file })
    }

    /// Writes the archive for QEMU: the base, then the overlay with the libraries that it needs.
    ///
    /// # Errors
    /// A file or library cannot be read, or `out` cannot be written.
    pub(crate) fn extend(&self, overlay: Overlay<'_>, out: &Path) -> Result<()> {
        let mut archive = Archive::default();
        let mut programs = Vec::new();
        for (source, guest) in overlay.files {
            add_tree(&mut archive, source, guest, &mut programs)?;
        }
        for (library, path) in self.origin.libraries(&programs)? {
            if !self.plan.contains(&path) {
                archive.insert(&path, Entry::Copy(library));
            }
        }
        for (path, content) in overlay.texts {
            let content = content.as_bytes().to_vec();
            archive.insert(path, Entry::Text { content, executable: false });
        }
        fs::copy(&self.file, out)
            .with_context(|| format!("cannot copy {} to {}", self.file.display(), out.display()))?;
        let file = fs::OpenOptions::new()
            .append(true)
            .open(out)
            .with_context(|| format!("cannot append to {}", out.display()))?;
        let mut file = BufWriter::new(file);
        archive.write(&mut file)?;
        file.flush().with_context(|| format!("cannot write {}", out.display()))
    }
}

/// Additions of one run.
pub(crate) struct Overlay<'a> {
    /// Files or directories of the host and their paths in the guest.
    pub(crate) files: &'a [(PathBuf, PathBuf)],
    /// Paths in the guest and their contents.
    pub(crate) texts: &'a BTreeMap<String, String>,
}

fn plan(kernel: &Kernel, origin: &Origin) -> Result<Archive> {
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "run", "tmp", "root", "var/tmp", "etc", "mnt"] {
        archive.insert(directory, Entry::Directory);
    }
    for merged in ["lib", "lib64", "sbin"] {
        archive.insert(merged, Entry::Link(format!("usr/{merged}")));
    }
    archive.insert("usr/sbin", Entry::Link("bin".to_owned()));

    let busybox = origin
        .find("busybox")
        .context("busybox is not installed; install it: apt-get install busybox-static")?;
    if !origin.libraries(std::slice::from_ref(&busybox))?.is_empty() {
        bail!("{} is not static; install it: apt-get install busybox-static", busybox.display());
    }
    archive.insert("bin/busybox", Entry::Copy(busybox));

    let mut programs = Vec::new();
    for (tool, package) in TOOLS {
        programs.push(origin.find(tool).with_context(|| {
            format!("{tool} is not installed; install it: apt-get install {package}")
        })?);
    }
    programs.extend(OPTIONAL_TOOLS.iter().filter_map(|tool| origin.find(tool)));
    for program in &programs {
        let name = program.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        archive.insert(&format!("usr/bin/{name}"), Entry::Copy(program.clone()));
    }
    // Scripts use these paths in their first lines.
    archive.insert("bin/bash", Entry::Link("../usr/bin/bash".to_owned()));
    archive.insert("bin/dash", Entry::Link("../usr/bin/dash".to_owned()));
    archive.insert("bin/sh", Entry::Link("../usr/bin/dash".to_owned()));
    archive.insert("usr/bin/env", Entry::Link("../../bin/busybox".to_owned()));
    let mut libraries = origin.libraries(&programs)?;
    // glibc loads this one at run time, when a thread is cancelled.
    libraries.extend(gcc_runtime(&libraries));
    for (library, path) in libraries {
        archive.insert(&path, Entry::Copy(library));
    }

    for path in DATA.iter().map(Path::new) {
        let file = origin.file(path);
        if file.is_file() {
            archive.insert(&path.to_string_lossy(), Entry::Copy(file));
        }
    }
    for path in ["/etc/iproute2", "/usr/share/iproute2"].map(Path::new) {
        let directory = origin.file(path);
        if directory.is_dir() {
            add_tree(&mut archive, &directory, path, &mut Vec::new())?;
        }
    }
    let text = |content: &str| Entry::Text { content: content.into(), executable: false };
    archive.insert("etc/passwd", text("root:x:0:0:root:/root:/bin/bash\n"));
    archive.insert("etc/group", text("root:x:0:\ntty:x:5:\n"));
    archive.insert("etc/hosts", text("127.0.0.1 localhost relay-vm\n::1 localhost\n"));
    archive.insert("etc/nsswitch.conf", text("passwd: files\ngroup: files\nhosts: files\n"));

    for (list, modules) in [("order", kernel.modules()?), ("card", kernel.card_modules()?)] {
        let mut order = String::new();
        for module in modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
            order += &format!("{name}\n");
            archive.insert(&format!("vm/modules/{name}"), Entry::Copy(module));
        }
        archive.insert(&format!("vm/modules/{list}"), text(&order));
    }
    let init = Entry::Text { content: include_bytes!("init.sh").to_vec(), executable: true };
    archive.insert("init", init);
    Ok(archive)
}

/// Adds a file or a directory tree, and appends its files to `programs`.
fn add_tree(
    archive: &mut Archive,
    source: &Path,
    guest: &Path,
    programs: &mut Vec<PathBuf>,
) -> Result<()> {
    if !source.is_dir() {
        archive.insert(&guest.to_string_lossy(), Entry::Copy(source.to_path_buf()));
        programs.push(source.to_path_buf());
        return Ok(());
    }
    archive.insert(&guest.to_string_lossy(), Entry::Directory);
    let entries =
        fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", source.display()))?;
        add_tree(archive, &entry.path(), &guest.join(entry.file_name()), programs)?;
    }
    Ok(())
}

fn gcc_runtime(libraries: &[(PathBuf, String)]) -> Option<(PathBuf, String)> {
    let (libc, path) = libraries.iter().find(|(file, _)| file.ends_with("libc.so.6"))?;
    let name = "libgcc_s.so.1";
    let file = Some(libc.with_file_name(name)).filter(|file| file.is_file())?;
    Some((file, path.replace("libc.so.6", name)))
}

/// Hash of all paths, contents, and sizes and times of host files.
fn fingerprint(plan: &Archive) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for (path, entry) in plan.entries() {
        path.hash(&mut hasher);
        match entry {
            Entry::Directory => {}
            Entry::Link(target) => target.hash(&mut hasher),
            Entry::Text { content, executable } => (content, executable).hash(&mut hasher),
            Entry::Copy(source) => {
                let metadata = fs::metadata(source)
                    .with_context(|| format!("cannot look at {}", source.display()))?;
                (source, metadata.len(), metadata.modified().ok()).hash(&mut hasher);
            }
        }
    }
    Ok(hasher.finish())
}

fn write(plan: &Archive, file: &Path) -> Result<()> {
    let partial = file.with_extension(format!("partial-{}", std::process::id()));
    let created =
        fs::File::create(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    let mut out = BufWriter::new(created);
    plan.write(&mut out)?;
    out.flush().with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, file).with_context(|| format!("cannot make {}", file.display()))
}

/// Removes archives not used for two weeks.
fn prune(directory: &Path) -> Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(directory)?.flatten() {
        let age = entry.metadata()?.accessed().ok().and_then(|t| now.duration_since(t).ok());
        if age.is_some_and(|age| age > Duration::from_secs(14 * 24 * 3600)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
