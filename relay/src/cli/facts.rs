//! What `relay doctor` judges, observed. Nothing is changed, and no module is loaded on purpose.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use relay_common::names::ANSWER;

use super::{exit, guard::Guarding, host, running::Running};
use crate::{
    config::{self, Options, Problem, Problems, Secrets},
    datapath::{Datapath, DatapathError, MINIMUM_KERNEL, Obstacle, is_bpffs_open},
    doctor::{
        Clock, Configured, Facts, Firewall, Forwarding, GuardPlaces, MarkWriter, Module, Occupant,
        PinPlace, Programs, Route, Ufw, Underlay, networkd_file,
    },
    model::{InterfaceName, Relay},
    net::{
        self, Handle, NetError,
        fence::{self, FenceState},
        inbound,
        link::{self, LinkKind},
        marks, route,
    },
};

/// 2026-01-01T00:00:00Z.
const WRITTEN: Duration = Duration::from_secs(1_767_225_600);

/// Observes the host of a relay.
///
/// # Errors
/// The kernel does not tell of links, addresses and routes.
pub(super) fn observe(config: &Path, bpffs: &Path) -> Result<Facts> {
    let (kernel, version) = host::kernel();
    let (relay, configured) = configuration(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let name = relay.as_ref().map(|relay| &relay.interface);
    let (routes, host_addresses) = runtime.block_on(network())?;
    let Interface { occupant, programs, has_port, lost } = match &relay {
        Some(relay) => runtime.block_on(interface(relay, bpffs)),
        None => Interface::nobody(Occupant::Nobody),
    };
    let guard = match &relay {
        Some(relay) => runtime.block_on(guard(relay, bpffs)),
        None => GuardPlaces::Off,
    };
    let mut nf_tables = module("nf_tables", &kernel);
    if nf_tables == Module::Missing {
        // Built in, it need not be in /sys/module; then only the kernel's answer tells.
        nf_tables = match fence::fenced() {
            Err(NetError::NetfilterMissing { .. }) => Module::Missing,
            Err(NetError::Permission { .. }) => Module::Unknown,
            // Whatever else it says, it knows nf_tables.
            Ok(_) | Err(_) => Module::Present,
        };
    }
    let sysctl = |key: &str| number(&Path::new("/proc/sys").join(key));
    let port = relay.as_ref().map(|relay| relay.listen_port);
    Ok(Facts {
        kernel: kernel.clone(),
        version,
        minimum: MINIMUM_KERNEL,
        jit: sysctl("net/core/bpf_jit_enable"),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        unprivileged_bpf_disabled: sysctl("kernel/unprivileged_bpf_disabled"),
        missing_capabilities: host::missing_capabilities(),
        bpffs: bpffs.to_owned(),
        pin_place: pin_place(bpffs),
        wireguard: module("wireguard", &kernel),
        nf_tables,
        clock: clock(),
        configured,
        claims: name.map_or_else(Vec::new, claims),
        is_port_taken: !has_port && port.is_some_and(host::is_port_taken),
        underlays: underlays(&routes, name),
        routes,
        docker: ["/run/docker.sock", "/sys/class/net/docker0"]
            .iter()
            .any(|p| Path::new(p).exists()),
        firewall: relay.as_ref().map_or(Firewall::Open, |relay| firewall(relay, &host_addresses)),
        mark_writers: name.map_or_else(Vec::new, mark_writers),
        ipv6_off: name.and_then(host::ipv6_off),
        lost,
        ufw: port.and_then(ufw),
        occupant,
        programs,
        guard,
        rp_filter: rp_filter(name),
        forwarding: forwarding(),
        host_addresses,
        threaded: name.is_some_and(|name| number(&attribute(name.as_str(), "threaded")) == Some(1)),
        relay,
    })
}

/// How the place of pins is kept.
fn pin_place(bpffs: &Path) -> PinPlace {
    match is_bpffs_open(bpffs) {
        Ok(true) => PinPlace::Open,
        Err(DatapathError::NoBpffs(_)) => PinPlace::Missing,
        Err(DatapathError::Distrusted { path, found, remedy }) => {
            PinPlace::Distrusted(format!("{} is not root's alone: {found}", path.display()), remedy)
        }
        // Whoever may not even look cannot make anything there.
        Ok(false) | Err(_) => PinPlace::Closed,
    }
}

/// The relay that is configured, and what was said about its files.
fn configuration(path: &Path) -> (Option<Relay>, Configured) {
    let mut configured = Configured { path: path.to_owned(), ..Configured::default() };
    let lines = |problems: &Problems| problems.iter().map(ToString::to_string).collect();
    let loaded = match config::load(path, Options { allow_empty: true }) {
        Ok(loaded) => loaded,
        Err(problems) => {
            configured.problems = lines(&problems);
            return (None, configured);
        }
    };
    if let Err(problems) = Secrets::read(&loaded) {
        configured.key_problems = lines(&problems);
    }
    let of_key = |warning: &&Problem| warning.key.ends_with("_key_file");
    let (keys, others): (Vec<_>, Vec<_>) = loaded.warnings.iter().partition(of_key);
    configured.key_warnings = keys.iter().map(ToString::to_string).collect();
    configured.warnings = others.iter().map(ToString::to_string).collect();
    (Some(loaded.relay), configured)
}

/// Whether the host forwards.
pub(super) fn forwarding() -> Forwarding {
    let is_on = |key: &str| number(&Path::new("/proc/sys").join(key)).map(|value| value != 0);
    Forwarding { v4: is_on("net/ipv4/ip_forward"), v6: is_on("net/ipv6/conf/all/forwarding") }
}

async fn network() -> Result<(Vec<Route>, Vec<IpAddr>)> {
    let handle = net::connect()?;
    let routes = route::read(&handle).await?.into_iter();
    let routes =
        routes.map(|route| Route { destination: route.destination, interface: route.interface });
    Ok((routes.collect(), net::host_addresses(&handle).await?))
}

/// What has the interface's name, what is attached to it, whether it has the relay's port, and what
/// it lost.
struct Interface {
    occupant: Occupant,
    programs: Programs,
    has_port: bool,
    lost: Vec<String>,
}

impl Interface {
    /// Nothing is attached.
    fn nobody(occupant: Occupant) -> Self {
        Self { occupant, programs: Programs::NoInterface, has_port: false, lost: Vec::new() }
    }
}

async fn interface(relay: &Relay, bpffs: &Path) -> Interface {
    look(relay, bpffs).await.unwrap_or_else(|error| {
        let why = exit::causes(&error);
        let programs = Programs::Unknown(why.clone());
        Interface { programs, ..Interface::nobody(Occupant::Unknown(why)) }
    })
}

async fn look(relay: &Relay, bpffs: &Path) -> Result<Interface> {
    let handle: Handle = net::connect()?;
    let Some(link) = link::read(&handle, &relay.interface).await? else {
        return Ok(Interface::nobody(Occupant::Nobody));
    };
    if let LinkKind::Other(kind) = link.kind {
        return Ok(Interface::nobody(Occupant::Other(kind)));
    }
    let interface = relay.interface.as_str();
    let datapath = Datapath::open(bpffs, interface)?;
    let running = Running::observe(&handle, relay, &datapath).await?;
    let of_hooks = running.hooks.iter().flat_map(|hook| {
        let program = hook.direction.program();
        let foreign = hook.foreign.iter().map(move |other| format!("{other} before {program}"));
        foreign.chain(hook.twins.iter().map(|twin| format!("{twin}, a stale copy of relay's")))
    });
    let xdp = link.xdp.map(|id| format!("XDP program {id}"));
    let programs = Programs::Found(of_hooks.chain(xdp).collect());
    let is_ours = running.hooks.iter().any(|hook| hook.mode.is_some()) || datapath.exists();
    let occupant = if is_ours { Occupant::Relay } else { Occupant::Wireguard };
    let lost = if is_ours { lost(relay, &running) } else { Vec::new() };
    let port = running.device.map(|device| device.listen_port);
    let has_port = link.up && port == Some(relay.listen_port);
    Ok(Interface { occupant, programs, has_port, lost })
}

/// What keeps packets apart and is gone.
fn lost(relay: &Relay, running: &Running) -> Vec<String> {
    let hooks = running.hooks.iter().filter(|hook| hook.mode.is_none()).map(|hook| {
        format!("program {} is not attached to {}", hook.direction.program(), relay.interface)
    });
    let fence = match &running.fence {
        _ if !relay.fence => None,
        Ok(FenceState::Absent) => Some("is gone"),
        Ok(FenceState::Different) => Some("was changed"),
        Ok(FenceState::Intact) | Err(_) => None,
    };
    let table = fence::table_name(&relay.interface);
    hooks.chain(fence.map(|how| format!("fence inet {table} {how}"))).collect()
}

/// What the host's own rules let in to the port.
fn firewall(relay: &Relay, host_addresses: &[IpAddr]) -> Firewall {
    let has_v6 = reaches_v6(relay, host_addresses);
    match inbound::read(relay.listen_port) {
        Ok(found) => found.told(relay.listen_port, has_v6).map_or(Firewall::Open, Firewall::Barred),
        // Where there is no nf_tables, nothing of it drops.
        Err(NetError::NetfilterMissing { .. }) => Firewall::Open,
        Err(error) => Firewall::Unknown(exit::chain(&error)),
    }
}

/// Chains that write relay's bits of marks. Where they cannot be read, [`firewall`] says so.
fn mark_writers(interface: &InterfaceName) -> Vec<MarkWriter> {
    let writers = marks::writers(interface, ANSWER).unwrap_or_default().into_iter();
    writers
        .map(|net::marks::MarkWriter { chain, set, lost }| MarkWriter { chain, set, lost })
        .collect()
}

/// Whether peers may dial the host over IPv6.
pub(super) fn reaches_v6(relay: &Relay, host_addresses: &[IpAddr]) -> bool {
    host_addresses.iter().any(|address| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => {
            let is_own = relay.addresses.iter().any(|own| own.addr() == *address);
            !is_own && !v6.is_loopback() && !v6.is_unicast_link_local()
        }
    })
}

async fn guard(relay: &Relay, bpffs: &Path) -> GuardPlaces {
    if relay.guard.is_none() {
        return GuardPlaces::Off;
    }
    let look = async {
        let datapath = Datapath::open(bpffs, relay.interface.as_str())?;
        let Guarding { chosen, hooks } =
            Guarding::observe(&net::connect()?, relay, &datapath).await?;
        anyhow::Ok((chosen, hooks?))
    };
    let (chosen, hooks) = match look.await {
        Ok(found) => found,
        Err(error) => return GuardPlaces::Unknown(exit::causes(&error)),
    };
    let wanted = hooks.into_iter().filter(|hook| chosen.interfaces.contains(&hook.interface));
    let (taken, free): (Vec<_>, Vec<_>) = wanted.partition(|hook| hook.obstacle.is_some());
    let taken = taken
        .into_iter()
        .filter_map(|hook| Some((hook.interface, hook.obstacle?)))
        .map(|(interface, Obstacle { found, remedy })| (interface, found, remedy));
    GuardPlaces::Found {
        free: free.into_iter().map(|hook| hook.interface).collect(),
        taken: taken.collect(),
        refused: chosen.refused.iter().map(ToString::to_string).collect(),
        warnings: chosen.warnings,
    }
}

/// Whether a part of the kernel is there, without asking for it, which would load it.
fn module(name: &str, release: &str) -> Module {
    let modules = Path::new("/lib/modules").join(release);
    let file = format!("/{name}.ko");
    let names = |list: &str| {
        let text = fs::read_to_string(modules.join(list)).unwrap_or_default();
        // What a module depends on is behind the colon.
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

fn clock() -> Clock {
    const SERVICES: [(&str, &str); 5] = [
        ("/run/chrony/chronyd.pid", "chronyd"),
        ("/run/chronyd.pid", "chronyd"),
        ("/run/ntpd.pid", "ntpd"),
        ("/run/ntpsec.pid", "ntpsec"),
        ("/run/systemd/timesync", "systemd-timesyncd"),
    ];
    if SystemTime::now() < SystemTime::UNIX_EPOCH + WRITTEN {
        return Clock::Past;
    }
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Clock::Synchronized;
    }
    let service = SERVICES.iter().find(|(path, _)| Path::new(path).exists());
    service.map_or(Clock::Unserved, |(_, service)| Clock::Served(service))
}

/// Files by which another program makes an interface of that name.
fn claims(interface: &InterfaceName) -> Vec<PathBuf> {
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
        // A directory that is not there holds no claim.
        let Ok(entries) = fs::read_dir(directory) else { continue };
        let paths = entries.flatten().map(|entry| entry.path());
        found.extend(paths.filter(|path| !is_network(path) && says(path, key)));
    }
    // It makes this directory when it runs.
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

fn underlays(routes: &[Route], own: Option<&InterfaceName>) -> Vec<Underlay> {
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

fn ufw(port: u16) -> Option<Ufw> {
    let settings = fs::read_to_string("/etc/ufw/ufw.conf").ok()?;
    let enabled = settings.lines().any(|line| line.trim().eq_ignore_ascii_case("enabled=yes"));
    let rules = fs::read_to_string("/etc/ufw/user.rules").ok();
    enabled.then(|| Ufw::of(rules.as_deref(), port))
}

/// The kernel takes the larger of the two; a new interface begins with the default.
fn rp_filter(interface: Option<&InterfaceName>) -> Option<u32> {
    let of =
        |name: &str| number(&Path::new("/proc/sys/net/ipv4/conf").join(name).join("rp_filter"));
    let own = interface.and_then(|name| of(name.as_str())).or_else(|| of("default"));
    of("all").max(own)
}

fn attribute(interface: &str, name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(interface).join(name)
}

/// The number in a file of the kernel; `None` when there is no such file here.
fn number(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
