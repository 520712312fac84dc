//! What `relay doctor` judges: facts about the host. No module is loaded on purpose.

mod interface;
mod system;

use std::{net::IpAddr, path::Path, time::SystemTime};

pub(super) use self::{
    interface::reaches_v6,
    system::{clock, forwarding},
};

use self::interface::Interface;
use super::{
    Error, Result, Site,
    guard::Guarding,
    host,
    mesh::{self, Extent, transit::SeenTransit},
};
use crate::{
    config::{self, Loaded, Options, Problem, Problems, Secrets},
    datapath::{Datapath, DatapathError, MINIMUM_KERNEL, Obstacle, is_bpffs_open},
    doctor::{Configured, Facts, Firewall, GuardPlaces, Module, Occupant, PinPlace, Route},
    model::Relay,
    net::{self, Handle, NetError, fence, route},
};

/// Observes the host of a relay.
///
/// # Errors
/// The kernel does not list links, addresses and routes.
pub async fn observe(site: Site<'_>) -> Result<Facts> {
    let Site { config, bpffs, .. } = site;
    let handle = net::connect()?;
    let (kernel, version) = host::kernel();
    let (loaded, configured) = configuration(config);
    let relay = loaded.as_ref().map(|loaded| loaded.relay.clone());
    let name = relay.as_ref().map(|relay| &relay.interface);
    let (routes, host_addresses) = network(&handle).await?;
    let Interface { occupant, programs, has_port, lost, retimed } = match &relay {
        Some(relay) => interface::interface(&handle, relay, bpffs).await,
        None => Interface::nobody(Occupant::Nobody),
    };
    let guard = match &relay {
        Some(relay) => guard(&handle, relay, bpffs).await,
        None => GuardPlaces::Off,
    };
    let mut nf_tables = system::module("nf_tables", &kernel);
    if nf_tables == Module::Missing {
        // A built-in module may be missing in /sys/module; then only a request tells.
        nf_tables = match fence::fenced() {
            Err(NetError::NetfilterMissing { .. }) => Module::Missing,
            Err(NetError::Permission { .. }) => Module::Unknown,
            // Any other error comes from nf_tables.
            Ok(_) | Err(_) => Module::Present,
        };
    }
    let sysctl = |key: &str| system::number(&Path::new("/proc/sys").join(key));
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
        wireguard: system::module("wireguard", &kernel),
        nf_tables,
        clock: system::clock(),
        configured,
        claims: name.map_or_else(Vec::new, system::claims),
        is_port_taken: !has_port && port.is_some_and(host::is_port_taken),
        underlays: system::underlays(&routes, name),
        routes,
        docker: ["/run/docker.sock", "/sys/class/net/docker0"]
            .iter()
            .any(|p| Path::new(p).exists()),
        firewall: relay
            .as_ref()
            .map_or(Firewall::Open, |relay| interface::firewall(relay, &host_addresses)),
        mark_writers: name.map_or_else(Vec::new, interface::mark_writers),
        ipv6_off: name.and_then(host::ipv6_off),
        lost,
        retimed,
        mesh: mesh(&handle, loaded.as_ref(), bpffs)
            .await
            .unwrap_or_else(|error| vec![error.chain()]),
        ufw: port.and_then(system::ufw),
        occupant,
        programs,
        guard,
        rp_filter: system::rp_filter(name),
        forwarding: forwarding(),
        host_addresses,
        threaded: name.is_some_and(|name| {
            system::number(&system::attribute(name.as_str(), "threaded")) == Some(1)
        }),
        relay,
    })
}

/// Who can write to the place of the pins.
fn pin_place(bpffs: &Path) -> PinPlace {
    match is_bpffs_open(bpffs) {
        Ok(true) => PinPlace::Open,
        Err(DatapathError::NoBpffs(_)) => PinPlace::Missing,
        Err(DatapathError::ReadOnly(_)) => PinPlace::ReadOnly,
        Err(DatapathError::Distrusted { path, found, remedy }) => {
            PinPlace::Distrusted(format!("{} is not root's alone: {found}", path.display()), remedy)
        }
        // Who cannot read it cannot write to it.
        Ok(false) | Err(_) => PinPlace::Closed,
    }
}

/// What is wrong with the other relays of the site of a relay that runs.
async fn mesh(handle: &Handle, loaded: Option<&Loaded>, bpffs: &Path) -> Result<Vec<String>> {
    let Some(loaded) = loaded.filter(|loaded| loaded.relay.mesh.is_some()) else {
        return Ok(Vec::new());
    };
    let datapath = Datapath::open(bpffs, loaded.relay.interface.as_str())?;
    if !datapath.exists() {
        return Ok(Vec::new());
    }
    let transits = SeenTransit::all(handle, &loaded.relay, &datapath).await?;
    Ok(mesh::problems(loaded, &datapath, &transits, SystemTime::now(), Extent::Site))
}

/// The configured relay, and the problems of its files.
fn configuration(path: &Path) -> (Option<Loaded>, Configured) {
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
    (Some(loaded), configured)
}

async fn network(handle: &Handle) -> Result<(Vec<Route>, Vec<IpAddr>)> {
    let routes = route::read(handle).await?.into_iter();
    let routes =
        routes.map(|route| Route { destination: route.destination, interface: route.interface });
    Ok((routes.collect(), net::host_addresses(handle).await?))
}

async fn guard(handle: &Handle, relay: &Relay, bpffs: &Path) -> GuardPlaces {
    if relay.guard.is_none() {
        return GuardPlaces::Off;
    }
    let look = async {
        let datapath = Datapath::open(bpffs, relay.interface.as_str())?;
        let Guarding { chosen, hooks } = Guarding::observe(handle, relay, &datapath).await?;
        Ok::<_, Error>((chosen, hooks?))
    };
    let (chosen, hooks) = match look.await {
        Ok(found) => found,
        Err(error) => return GuardPlaces::Unknown(error.chain()),
    };
    let desired = hooks.into_iter().filter(|hook| chosen.interfaces.contains(&hook.interface));
    let (taken, free): (Vec<_>, Vec<_>) = desired.partition(|hook| hook.obstacle.is_some());
    let taken = taken
        .into_iter()
        .filter_map(|hook| Some((hook.interface, hook.obstacle?)))
        .map(|(interface, Obstacle { found, remedy })| (interface, found, remedy));
    GuardPlaces::Found {
        free: free.into_iter().map(|hook| hook.interface).collect(),
        taken: taken.collect(),
        unusable: chosen.unusable.iter().map(ToString::to_string).collect(),
        warnings: chosen.warnings,
    }
}
