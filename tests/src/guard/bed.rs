//! A test bed for the guard: an underlay interface, and a host on the other side.

use std::{
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use aya::programs::links::{FdLink, PinnedLink};
use relay::datapath::{
    Datapath, DatapathError, GuardHook, GuardPlace, GuardSettings, Pins, XdpMode, XdpProgram,
};
use relay_common::guard::Outcome;

use super::PORT;
use crate::{Namespace, bpffs::Bpffs, deadline, namespace::ip_batch, skip::Need};

/// The needs of a [`Bed`].
pub const NEEDS: &[Need] = &[Need::Root, Need::Tools, Need::Bpf];

/// The interface. bpffs allows no dots in names.
pub const UNDERLAY: &str = "eth0.7";

/// A relay with one underlay interface, a host on the other side, and a bpffs.
pub struct Bed {
    /// Attaches the guard.
    pub datapath: Datapath,
    /// The relay's namespace, 192.0.2.1.
    pub relay: Namespace,
    /// The other side, 192.0.2.2.
    pub other: Namespace,
    bpffs: Bpffs,
}

impl Bed {
    /// `role` ends the names of the namespaces.
    pub fn make(role: &str) -> Result<Self> {
        let relay = Namespace::create(&format!("{role}-relay"))?;
        let other = Namespace::create(&format!("{role}-other"))?;
        let bpffs = Bpffs::mount()?;
        let datapath = relay.enter(|| Datapath::open(bpffs.path(), "relay0"))??;
        let bed = Self { datapath, relay, other, bpffs };
        bed.relay.run("ip", &["link", "set", "lo", "up"])?;
        bed.connect()?;
        Ok(bed)
    }

    /// Makes the interface.
    pub fn connect(&self) -> Result<()> {
        let (relay, other) = (self.relay.name(), self.other.name());
        ip_batch(&format!(
            "link add {UNDERLAY} netns {relay} type veth peer name eth0 netns {other}\n"
        ))?;
        for (namespace, interface, address) in
            [(&self.relay, UNDERLAY, "192.0.2.1/24"), (&self.other, "eth0", "192.0.2.2/24")]
        {
            namespace.run("ip", &["address", "add", address, "dev", interface])?;
            namespace.run("ip", &["link", "set", interface, "up"])?;
        }
        Ok(())
    }

    /// Deletes the interface.
    pub fn disconnect(&self) -> Result<()> {
        self.relay.run("ip", &["link", "delete", UNDERLAY]).map(drop)
    }

    /// The XDP programs, as read by netlink.
    pub fn programs(&self) -> Result<Vec<XdpProgram>> {
        Self::programs_in(&self.relay)
    }

    /// The XDP programs of a namespace.
    pub fn programs_in(namespace: &Namespace) -> Result<Vec<XdpProgram>> {
        let text = namespace.run("ip", &["-json", "link", "show"])?;
        let links: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        let found = links.iter().filter_map(|link| {
            let xdp = link.get("xdp")?;
            // XDP_ATTACHED_* of include/uapi/linux/if_link.h.
            let mode = match xdp["mode"].as_u64()? {
                1 => XdpMode::Driver,
                2 => XdpMode::Generic,
                _ => XdpMode::Hardware,
            };
            let program_id = u32::try_from(xdp["prog"]["id"].as_u64()?).ok()?;
            Some(XdpProgram { interface: link["ifname"].as_str()?.to_owned(), mode, program_id })
        });
        Ok(found.collect())
    }

    /// The guard on an interface.
    pub fn observe(&self, interface: &str) -> Result<GuardHook> {
        let programs = self.programs()?;
        let hooks = self.relay.enter(|| self.datapath.guards(&[interface], &programs))??;
        hooks.into_iter().next().context("the interface that was named")
    }

    /// Attaches the guard to an interface, and observes it.
    pub fn put(
        &self,
        interface: &str,
        mode: Option<XdpMode>,
        settings: &GuardSettings,
    ) -> Result<Result<GuardHook, DatapathError>> {
        let observed = [self.observe(interface)?];
        let places = [GuardPlace { interface, mode }];
        let put = self.relay.enter(|| self.datapath.guard(settings, &places, &observed))?;
        let error = put.map(|errors| errors.into_iter().map(|(_interface, error)| error).next());
        Ok(match error {
            Ok(None) => Ok(self.observe(interface)?),
            Ok(Some(error)) | Err(error) => Err(error),
        })
    }

    /// Sends a message until the guard has counted one with this outcome; returns the count.
    pub fn send(&self, message: &[u8], outcome: Outcome) -> Result<u64> {
        let at = outcome.index() as usize;
        let before = self.datapath.guard_counts()?[at];
        let relay = SocketAddr::from(([192, 0, 2, 1], PORT));
        let socket = self.other.enter(|| UdpSocket::bind("192.0.2.2:0"))??;
        deadline::until("a message at the guard", || {
            socket.send_to(message, relay)?;
            let after = self.datapath.guard_counts()?[at];
            Ok((after > before).then_some(after))
        })
    }

    /// The directory of its pins.
    pub fn pins(&self) -> Result<PathBuf> {
        let pins = self.relay.enter(|| Pins::open(self.bpffs(), "relay0"))??;
        Ok(pins.dir().to_owned())
    }

    /// Its BPF file system.
    pub fn bpffs(&self) -> &Path {
        self.bpffs.path()
    }

    /// The kernel's id of the link on [`UNDERLAY`].
    pub fn link_id(&self) -> Result<u32> {
        let path = self.pins()?.join("guard_link_eth0%2e7");
        Ok(FdLink::from(PinnedLink::from_pin(path)?).info()?.id())
    }
}
