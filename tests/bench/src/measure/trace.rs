//! Guest instructions from `netif_receive_skb` of a decrypted packet on the relay's WireGuard
//! interface to its `wg_xmit`.
//!
//! Under QEMU's `-icount shift=5` the clock counts instructions, 32 ns each, so the time stamps of
//! trace events are exact to the instruction.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::layer::INTERFACE;

/// Nanoseconds of guest time per instruction: 1 << shift.
const NS_PER_INSTRUCTION: u64 = 32;

const TRACING: &str = "/sys/kernel/tracing";

/// The cost of one kind of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The fewest instructions.
    pub least: u64,
    /// The median.
    pub median: u64,
    /// How many packets were seen.
    pub packets: usize,
}

/// The two trace events, enabled until drop.
pub(super) struct Trace;

/// What a [`Trace`] has seen.
pub(super) struct Seen(String);

impl Trace {
    pub(super) fn start() -> Result<Self> {
        let probes = "p:relay_xmit wireguard:wg_xmit skb=%di\n";
        for (file, text) in [
            ("tracing_on", "0"),
            ("trace_clock", "x86-tsc"),
            // The address of the socket buffer identifies a packet.
            ("options/hash-ptr", "0"),
            ("kprobe_events", probes),
            ("events/net/netif_receive_skb/filter", &format!("name == \"{INTERFACE}\"")),
            ("events/net/netif_receive_skb/enable", "1"),
            ("events/kprobes/relay_xmit/enable", "1"),
            ("trace", ""),
            ("tracing_on", "1"),
        ] {
            write(file, text)?;
        }
        Ok(Self)
    }

    pub(super) fn stop(self) -> Result<Seen> {
        write("tracing_on", "0")?;
        let path = Path::new(TRACING).join("trace");
        let text = fs::read_to_string(&path);
        text.map(Seen).with_context(|| format!("read {}", path.display()))
    }
}

impl Seen {
    /// The cost of the packets of this length, of which there must be so many.
    pub(super) fn cost(&self, len: usize, packets: usize) -> Result<Cost> {
        let mut costs = costs(&self.0, len);
        costs.sort_unstable();
        ensure!(
            costs.len() == packets,
            "found {} packets of {len} bytes in the trace, expected {packets}",
            costs.len(),
        );
        Ok(Cost { least: costs[0], median: costs[costs.len() / 2], packets: costs.len() })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // An event that stays enabled does no harm.
        for file in ["events/net/netif_receive_skb/enable", "events/kprobes/relay_xmit/enable"] {
            drop(write(file, "0"));
        }
        drop(write("kprobe_events", ""));
    }
}

fn write(file: &str, text: &str) -> Result<()> {
    let path: PathBuf = Path::new(TRACING).join(file);
    fs::write(&path, text).with_context(|| format!("write {text:?} to {}", path.display()))
}

/// Instructions between the two events, for each packet of this length.
fn costs(trace: &str, len: usize) -> Vec<u64> {
    let mut entered = HashMap::new();
    let mut costs = Vec::new();
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        // `task-pid [cpu] flags time: event: fields`
        let mut parts = line.splitn(3, ": ");
        let (Some(head), Some(event), Some(fields)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Some(time) = head.rsplit(' ').next().and_then(|time| time.parse::<u64>().ok()) else {
            continue;
        };
        let field = |name: &str| {
            fields.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        match event.trim() {
            "netif_receive_skb" => {
                if let (Some(skb), Some(length)) = (field("skbaddr"), field("len")) {
                    entered.insert(skb.trim_start_matches("0x"), (time, length.parse().ok()));
                }
            }
            "relay_xmit" => {
                let skb = field("skb").map(|skb| skb.trim_start_matches("0x"));
                if let Some((since, length)) = skb.and_then(|skb| entered.remove(skb))
                    && length == Some(len)
                {
                    costs.push((time - since) / NS_PER_INSTRUCTION);
                }
            }
            _ => {}
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_followed_by_its_buffer() {
        let trace = "# tracer: nop\n\
            kworker/0:1-20 [000] ..s.. 3200: netif_receive_skb: dev=relay0 skbaddr=00000000ab len=84\n\
            kworker/0:1-20 [000] ..s.. 3300: relay_xmit: (wg_xmit+0x0/0x5a0 [wireguard]) skb=0xcd\n\
            kworker/0:1-20 [000] ..s.. 6400: relay_xmit: (wg_xmit+0x0/0x5a0 [wireguard]) skb=0x00000000ab\n";
        assert_eq!(costs(trace, 84), [100]);
        assert!(costs(trace, 1400).is_empty());
    }
}
