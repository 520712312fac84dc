use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    doctor::{Clock, Forwarding, Module, Route, Ufw, Underlay, networkd_file},
    model::InterfaceName,
};

/// 2026-01-01T00:00:00Z, before which no clock of a running relay is right.
const RELEASED: Duration = Duration::from_secs(1_767_225_600);

/// Whether the host forwards.
pub(in crate::engine) fn forwarding() -> Forwarding {
    let is_on = |key: &str| number(&Path::new("/proc/sys").join(key)).map(|value| value != 0);
    Forwarding { v4: is_on("net/ipv4/ip_forward"), v6: is_on("net/ipv6/conf/all/forwarding") }
}

/// Whether the kernel has a module, found out without a request that would load it.
pub(super) fn module(name: &str, release: &str) -> Module {
    let modules = Path::new("/lib/modules").join(release);
    let file = format!("/{name}.ko");
    let names = |list: &str| {
        let text = fs::read_to_string(modules.join(list)).unwrap_or_default();
        // Its dependencies follow the colon.
        text.lines().any(|line| line.split(':').next().is_some_and(|path| path.contains(&file)))
    };
    if Path::new("/sys/module").join(name).exists() || names("modules.builtin") {
        return Module::Present;
    }
    match (names("modules.dep"), number(Path::new("/proc/sys/kernel/modules_disabled"))) {
        (true, Some(1)) => Module::Barred,
        (true, _) => Module::Loadable,
        (false, _) => Module::Missing,
    }
}

pub(in crate::engine) fn clock() -> Clock {
    const SERVICES: [(&str, &str); 5] = [
        ("/run/chrony/chronyd.pid", "chronyd"),
        ("/run/chronyd.pid", "chronyd"),
        ("/run/ntpd.pid", "ntpd"),
        ("/run/ntpsec.pid", "ntpsec"),
        ("/run/systemd/timesync", "systemd-timesyncd"),
    ];
    if SystemTime::now() < SystemTime::UNIX_EPOCH + RELEASED {
        return Clock::Past;
    }
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Clock::Synchronized;
    }
    let service = SERVICES.iter().find(|(path, _)| Path::new(path).exists());
    service.map_or(Clock::Unserved, |(_, service)| Clock::Served(service))
}

/// Files by which another program creates an interface of that name.
pub(super) fn claims(interface: &InterfaceName) -> Vec<PathBuf> {
    const NETWORKD: [&str; 3] =
        ["/etc/systemd/network", "/run/systemd/network", "/usr/lib/systemd/network"];
    const DIRECTORIES: [(&str, &str); 5] = [
        ("/etc/systemd/network", "Name="),
        ("/run/systemd/network", "Name="),
        ("/usr/lib/systemd/network", "Name="),
        ("/etc/NetworkManager/system-connections", "interface-name="),
        ("/etc/network/interfaces.d", "iface "),
    ];
    let says = |path: &Path, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| {
            let value = line.trim().strip_prefix(key);
            value.is_some_and(|value| value.split_whitespace().next() == Some(interface.as_str()))
        })
    };
    let is_network = |path: &Path| path.extension().is_some_and(|end| end == "network");
    let mut found = Vec::new();
    let of_wg_quick = Path::new("/etc/wireguard").join(format!("{interface}.conf"));
    if of_wg_quick.exists() {
        found.push(of_wg_quick);
    }
    let interfaces = PathBuf::from("/etc/network/interfaces");
    if says(&interfaces, "iface ") {
        found.push(interfaces);
    }
    for (directory, key) in DIRECTORIES {
        // A missing directory holds no claim.
        let Ok(entries) = fs::read_dir(directory) else { continue };
        let paths = entries.flatten().map(|entry| entry.path());
        found.extend(paths.filter(|path| !is_network(path) && says(path, key)));
    }
    // networkd creates this directory when it runs.
    if Path::new("/run/systemd/netif/links").exists() {
        let entries = NETWORKD.iter().filter_map(|directory| fs::read_dir(directory).ok());
        let files: Vec<_> = entries
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| is_network(path))
            .map(|path| (path.clone(), fs::read_to_string(&path).unwrap_or_default()))
            .collect();
        found.extend(networkd_file(&files, interface.as_str()));
    }
    found.sort();
    found
}

pub(super) fn underlays(routes: &[Route], own: Option<&InterfaceName>) -> Vec<Underlay> {
    let mut names: Vec<&str> = routes
        .iter()
        .filter(|route| route.destination.prefix_len() == 0)
        .filter_map(|route| route.interface.as_deref())
        .filter(|name| own.is_none_or(|own| own.as_str() != *name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mtu = |name: &str| number(&attribute(name, "mtu"));
    let underlay = |name: &str| Some(Underlay { interface: name.to_owned(), mtu: mtu(name)? });
    names.into_iter().filter_map(underlay).collect()
}

pub(super) fn ufw(port: u16) -> Option<Ufw> {
    let settings = fs::read_to_string("/etc/ufw/ufw.conf").ok()?;
    let enabled = settings.lines().any(|line| line.trim().eq_ignore_ascii_case("enabled=yes"));
    let rules = fs::read_to_string("/etc/ufw/user.rules").ok();
    enabled.then(|| Ufw::of(rules.as_deref(), port))
}

/// The kernel uses the larger of the two; a new interface starts with `default`.
pub(super) fn rp_filter(interface: Option<&InterfaceName>) -> Option<u32> {
    let of =
        |name: &str| number(&Path::new("/proc/sys/net/ipv4/conf").join(name).join("rp_filter"));
    let own = interface.and_then(|name| of(name.as_str())).or_else(|| of("default"));
    of("all").max(own)
}

pub(super) fn attribute(interface: &str, name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(interface).join(name)
}

/// The number in a file of procfs or sysfs; `None` if there is no such file.
pub(super) fn number(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
