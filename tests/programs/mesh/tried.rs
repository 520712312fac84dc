//! A candidate that is tried at a relay of a mesh: where peers are at home is no matter of policy.

use anyhow::{Result, ensure};
use aya::maps::{Array, Map, MapData};
use relay::{
    datapath::Found,
    model::{Mesh, MeshRelay, PublicKey, Relay},
};
use relay_common::mesh::Home;
use relay_tests::{
    deadline, guard::bed::Bed, inner::Inner, program_run::address, scenario, skip,
    tun_host::TunHost,
};

use super::{PAIRS, crossing::Tunnel, udp};
use crate::{
    four,
    trial::{found, start},
};

/// Slot of the other relay.
const OTHER: u32 = 9;

/// The policy of [`four`] at one of two relays.
pub(crate) fn meshed() -> Relay {
    let relay = |name: &str, key| MeshRelay {
        name: name.parse().expect("a name"),
        public_key: PublicKey::from_bytes([key; 32]),
        host: "192.0.2.1".to_owned(),
    };
    let mesh = Mesh {
        name: None,
        port: 51_830,
        private_key_file: "mesh.key".into(),
        relays: vec![relay("a", 1), relay("b", 2)],
    };
    Relay { mesh: Some(mesh), ..four() }
}

fn homes(bed: &Bed) -> Result<Array<MapData, u64>> {
    let data = MapData::from_pin(bed.pins()?.join("homes_0"))?;
    Ok(Map::from_map_data(data)?.try_into()?)
}

#[test]
fn an_equal_candidate_differs_in_nothing_whoever_may_not_send_and_brings_nobody_home() {
    scenario(skip::TUN, || {
        let bed = Bed::make("mesh-trial")?;
        let policy = meshed();
        let host = TunHost::up(&bed, &policy)?;
        let network = policy.mesh.as_ref().map(|mesh| mesh.network().to_string());
        let tunnel = Tunnel::make(&bed.relay, "relay0", "b", &network.unwrap_or_default())?;
        start(&host, &policy)?;
        let mut homes = homes(&bed)?;
        let there = Home { interface: tunnel.index, slot: OTHER }.word();
        let states = [0, there, Home::HERE.word(), 0, Home::HERE.word()];
        for (slot, home) in (0..).zip(states) {
            homes.set(slot, home, 0)?;
        }
        while host.sent()?.is_some() {}
        for ([one, other], relay) in PAIRS.into_iter().zip(["10.3.2.1", "fd00::3:2:1"]) {
            let passes = udp(one, other);
            let error = Inner::error([relay, other].map(address), 3, passes.bytes());
            for inner in [
                udp(other, one),
                udp(relay, other),
                udp(one, relay),
                udp(one, one),
                error,
                udp(one, other).with_ttl(1),
                passes.clone(),
            ] {
                tunnel.tun.write(inner.bytes())?;
            }
            let relayed = passes.with_ttl(63);
            deadline::until("what passes", || {
                Ok(host.sent()?.filter(|packet| packet == relayed.bytes()))
            })?;
        }
        let now: Vec<u64> = (0..5).map(|slot| homes.get(&slot, 0)).collect::<Result<_, _>>()?;
        ensure!(now == states, "{now:x?}");
        ensure!(found(&host)? == Found::default(), "{:?}", found(&host)?);
        // Its own packet brings a peer home, while the trial goes on.
        let [one, other] = PAIRS[0];
        ensure!(host.passes(&udp(one, other))?);
        ensure!(homes.get(&1, 0)? == Home::HERE.word());
        ensure!(found(&host)? == Found::default());
        host.switch(&policy)?;
        ensure!(homes.get(&1, 0)? == Home::HERE.word(), "a switch keeps it");
        Ok(())
    });
}
