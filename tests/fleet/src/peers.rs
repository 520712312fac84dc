//! The peers of a machine: network namespaces on it, each with kernel WireGuard, set up by
//! `wg-quick` from the configuration that the role fetched.
//!
//! ```text
//!  node-a          node-b          node-c        namespaces
//!  198.18.1.2      198.18.2.2      198.18.3.2
//!      │               │               │         veth
//!  198.18.1.1      198.18.2.1      198.18.3.1
//!      └───────────────┼───────────────┘
//!              198.18.0.1:51820                  the relay's endpoint, an address of the machine
//! ```

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use relay_vm::process;

use crate::machine::Machine;

/// The endpoint in the configurations of clients.
pub(super) const ENDPOINT: &str = "198.18.0.1:51820";

/// The bridge of each machine to the LAN.
pub(super) const BRIDGE: &str = "br0";

/// The first three bytes of addresses on the LAN.
pub(super) const LAN: &str = "192.0.2.";

/// A peer, the same on both machines.
#[derive(Debug)]
pub(super) struct Peer {
    /// Name of the peer and of its namespace.
    pub(super) name: &'static str,
    /// N in 198.18.N.0/30; N + 1 is the last byte of its overlay address.
    number: u8,
    private_key: String,
    pub(super) public_key: String,
}

impl Peer {
    /// Makes its keys with `relay genkey`.
    ///
    /// # Errors
    /// relay does not run on this host.
    pub(super) fn new(name: &'static str, number: u8, relay: &Path) -> Result<Self> {
        let (private_key, public_key) = key_pair(relay)?;
        Ok(Self { name, number, private_key, public_key })
    }

    /// Its overlay address.
    pub(super) fn address(&self) -> String {
        format!("10.3.2.{}", self.number + 1)
    }

    /// The private key, which must not be in any output.
    pub(super) fn secret(&self) -> &str {
        &self.private_key
    }

    /// Makes its namespace and the route to the endpoint.
    ///
    /// # Errors
    /// A command failed.
    pub(super) fn plug_in(&self, machine: &Machine) -> Result<()> {
        let Self { name, number, .. } = self;
        machine
            .run(&format!(
                "ip address replace 198.18.0.1/32 dev lo\n\
                 ip netns add {name}\n\
                 ip link add v-{name} type veth peer name eth0 netns {name}\n\
                 ip address add 198.18.{number}.1/30 dev v-{name}\n\
                 ip link set v-{name} up\n\
                 ip -n {name} address add 198.18.{number}.2/30 dev eth0\n\
                 ip -n {name} link set lo up\n\
                 ip -n {name} link set eth0 up\n\
                 ip -n {name} route add default via 198.18.{number}.1"
            ))
            .map(drop)
    }

    /// Plugs its namespace into the machine's bridge to the LAN of both machines.
    ///
    /// # Errors
    /// A command failed.
    pub(super) fn join_lan(&self, machine: &Machine) -> Result<()> {
        let Self { name, number, .. } = self;
        machine
            .run(&format!(
                "ip link add l-{name} type veth peer name lan netns {name}\n\
                 ip link set l-{name} master {BRIDGE} up\n\
                 ip -n {name} address add {LAN}{}/24 dev lan\n\
                 ip -n {name} link set lan up",
                100 + number
            ))
            .map(drop)
    }

    /// Sets up WireGuard from the configuration in `clients`, after adding the private key.
    ///
    /// # Errors
    /// There is no configuration, or `wg-quick` rejects it.
    pub(super) fn connect(&self, machine: &Machine, clients: &Path) -> Result<()> {
        let file = clients.join(machine.name).join(format!("{}.conf", self.name));
        let text = fs::read_to_string(&file)
            .with_context(|| format!("the role did not fetch {}", file.display()))?;
        let place = "# PrivateKey = ";
        if !text.contains(place) {
            bail!("{}: expected the line `{place}…`", file.display());
        }
        let line = format!("PrivateKey = {}\n{place}", self.private_key);
        let complete = file.with_extension("complete");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut opened = options.open(&complete)?;
        std::io::Write::write_all(&mut opened, text.replacen(place, &line, 1).as_bytes())?;
        let there = format!("/root/{}.conf", self.name);
        machine.put(&complete, &there)?;
        let script = format!("chmod 0600 {there}; ip netns exec {} wg-quick up {there}", self.name);
        machine.run(&script).map(drop)
    }

    /// # Errors
    /// The other peer did not answer.
    pub(super) fn require_reach(&self, other: &Self, machine: &Machine) -> Result<()> {
        let script = self.ping(other, "-c 3 -i 0.3 -w 60");
        machine.run(&script).map(drop)
    }

    /// # Errors
    /// The other peer answered.
    pub(super) fn require_no_reach(&self, other: &Self, machine: &Machine) -> Result<()> {
        let script = format!("! {}", self.ping(other, "-c 3 -i 0.3 -w 5"));
        machine.run(&script).map(drop)
    }

    fn ping(&self, other: &Self, options: &str) -> String {
        format!("ip netns exec {} ping -n -q {options} {}", self.name, other.address())
    }
}

/// A private key and its public key.
///
/// # Errors
/// relay does not run on this host.
pub(super) fn key_pair(relay: &Path) -> Result<(String, String)> {
    let pair = "key=$(\"$0\" genkey) && echo \"$key\" && echo \"$key\" | \"$0\" genkey --public";
    let keys = process::read(Command::new("sh").args(["-c", pair]).arg(relay))?;
    let mut keys = keys.lines().map(str::to_owned);
    match (keys.next(), keys.next()) {
        (Some(private), Some(public)) => Ok((private, public)),
        (_, _) => bail!("`relay genkey` printed no key"),
    }
}

/// An echo request every 0.2 s from one peer to another, during a change.
pub(super) struct Stream {
    process: String,
}

impl Stream {
    /// # Errors
    /// The machine cannot be reached.
    pub(super) fn start(machine: &Machine, from: &Peer, to: &Peer) -> Result<Self> {
        let process = machine.run(&format!(
            "ip netns exec {} ping -n -i 0.2 {} >/root/stream.log 2>&1 </dev/null & echo $!",
            from.name,
            to.address()
        ))?;
        Ok(Self { process: process.trim().to_owned() })
    }

    /// Stops it and returns the number of answers.
    ///
    /// # Errors
    /// There was no answer, or a packet before the last answer was lost.
    pub(super) fn require_whole(self, machine: &Machine) -> Result<u64> {
        let log = machine.run(&format!(
            "kill -INT {0}; while kill -0 {0} 2>/dev/null; do sleep 0.1; done; cat /root/stream.log",
            self.process
        ))?;
        match lost(&log) {
            Some((answered, missing)) if missing.is_empty() => Ok(answered),
            Some((answered, missing)) => {
                bail!("{answered} packets were answered, these were lost: {missing:?}")
            }
            None => bail!("expected answers to echo requests, found none:\n{}", log.trim_end()),
        }
    }
}

/// The number of answers, and the packets before the last answer that were lost.
fn lost(log: &str) -> Option<(u64, Vec<u64>)> {
    let mut answered: Vec<u64> = log
        .lines()
        .filter(|line| line.contains(" bytes from "))
        .filter_map(|line| line.split_once("icmp_seq=")?.1.split(' ').next()?.parse().ok())
        .collect();
    answered.sort_unstable();
    answered.dedup();
    let last = *answered.last()?;
    let missing = (1..last).filter(|number| answered.binary_search(number).is_err()).collect();
    Some((u64::try_from(answered.len()).ok()?, missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_loss_and_a_packet_in_flight_is_not() {
        let log = "PING 10.3.2.3 (10.3.2.3) 56(84) bytes of data.\n\
            64 bytes from 10.3.2.3: icmp_seq=1 ttl=63 time=9.1 ms\n\
            64 bytes from 10.3.2.3: icmp_seq=2 ttl=63 time=9.1 ms\n\
            64 bytes from 10.3.2.3: icmp_seq=4 ttl=63 time=9.1 ms\n\n\
            --- 10.3.2.3 ping statistics ---\n5 packets transmitted, 3 received\n";
        assert_eq!(lost(log), Some((3, vec![3])));
        assert_eq!(lost(&log.replace("icmp_seq=4", "icmp_seq=3")), Some((3, vec![])));
        assert_eq!(lost("PING 10.3.2.3\n"), None);
    }
}
