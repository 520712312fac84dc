//! What it costs to take the peers of a lost relay over: the work of the whole machine while `relay
//! takeover` runs, without the pauses between the calls.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use relay::{datapath::Datapath, model::PrivateKey};
use relay_common::mesh::{Claim, Home};

/// `USER_HZ`, which is 100 on all architectures of Linux that Debian has.
const TICK: Duration = Duration::from_millis(10);

/// The other relay of the site.
const LOST: &str = "r2";

/// Appends the table of a site of two relays to a configuration, and writes this one's key of the
/// tunnels beside it.
pub(super) fn join_site(config: &Path) -> Result<()> {
    let [own, lost] = [(); 2].map(|()| PrivateKey::generate().context("random bytes"));
    let (own, lost) = (own?, lost?);
    let key = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(config.with_file_name("mesh.key"));
    key?.write_all(own.to_base64().as_bytes())?;
    let mut text = fs::read_to_string(config)?;
    text += "[mesh]\nprivate_key_file = \"mesh.key\"\n";
    for (name, key) in [("r1", &own), (LOST, &lost)] {
        let key = key.public_key();
        text += &format!(
            "[[mesh.relay]]\nname = \"{name}\"\npublic_key = \"{key}\"\nhost = \"127.0.0.1\"\n"
        );
    }
    fs::write(config, text).context("write the configuration")
}

/// Makes all peers at home at the other relay, which has told where they are.
pub(super) fn all_elsewhere(bpffs: &Path, interface: &str) -> Result<()> {
    let datapath = Datapath::open(bpffs, interface)?;
    let homes = datapath.homes()?.context("a relay without homes")?;
    let index = fs::read_to_string(format!("/sys/class/net/{interface}-{LOST}/ifindex"))?;
    let home = Home { interface: index.trim().parse()?, slot: u32::MAX - 1 };
    for (handshake, slot) in (1..).zip(datapath.slots()?.into_values()) {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        homes.set_claim(slot, Claim { address, handshake, version: 1, port: 9, reserved: 0 });
        homes.set_home(slot, home);
    }
    Ok(())
}

/// How long the processors have been idle since the machine started.
pub(super) fn idle() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = stat.lines().next().and_then(|all| all.split_whitespace().nth(4));
    let ticks: u32 = ticks.context("/proc/stat: idle")?.parse()?;
    Ok(TICK * ticks)
}
