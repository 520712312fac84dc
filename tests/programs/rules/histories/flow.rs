//! A flow of the model.

use std::net::IpAddr;

use relay_common::{
    flow::{Record, tcp, ticks_of},
    header::protocol,
};

use super::sent::Conversation;

/// A flow of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) of: Conversation,
    /// Number of its set.
    pub(super) set: u32,
    pub(super) slot: u32,
    pub(super) rule: u32,
    pub(super) generation: u32,
    pub(super) expires: u32,
    pub(super) is_answered: bool,
    pub(super) is_closing: bool,
    pub(super) is_reset: bool,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Flow {
    fn lifetime(&self) -> u32 {
        ticks_of(match (self.of.protocol, self.is_answered) {
            (protocol::TCP, _) if self.is_reset => 10,
            (protocol::TCP, true) if !self.is_closing => 5 * 24 * 3600,
            (protocol::TCP, _) => 120,
            (protocol::UDP, true) => 120,
            (protocol::UDP | protocol::ICMP | protocol::ICMPV6, _) => 30,
            _ => 600,
        })
    }

    pub(super) fn goes_on(&mut self, flags: u8, now: u32) {
        if flags & tcp::RST != 0 {
            self.is_reset = true;
        } else if flags & tcp::SYN != 0 {
            (self.is_answered, self.is_closing, self.is_reset) = (false, false, false);
        } else {
            self.is_reset = false;
            self.is_closing |= flags & tcp::FIN != 0;
        }
        self.expires = now + self.lifetime();
    }

    pub(super) fn is_answered_by(&mut self, flags: u8, now: u32) {
        if flags & tcp::RST != 0 {
            self.is_reset = true;
        } else {
            self.is_answered = true;
        }
        if self.is_reset {
            self.expires = self.expires.min(now + self.lifetime());
        }
    }

    pub(super) fn is_steady(&self) -> bool {
        self.is_answered && !self.is_closing && !self.is_reset
    }

    /// Its record in the table, which began at this time.
    pub(super) fn record(&self, started: u32) -> Record {
        let address = |address| match address {
            IpAddr::V4(address) => [0, u64::from(address.to_bits())],
            IpAddr::V6(address) => {
                let [high, low] =
                    [address.to_bits() >> 64, address.to_bits() & u128::from(u64::MAX)];
                [high, low].map(|half| u64::try_from(half).expect("a half"))
            }
        };
        let [from, to] = self.of.ports.map(u64::from);
        let version = if self.of.ends[0].is_ipv4() { 4 } else { 6 };
        Record {
            beginner: address(self.of.ends[0]),
            answerer: address(self.of.ends[1]),
            tail: from << 48 | to << 32 | u64::from(self.of.protocol) << 8 | version,
            expires: self.expires,
            started,
            generation: self.generation,
            slot: self.slot,
            rule: self.rule,
            state: u32::from(self.is_answered)
                | u32::from(self.is_closing) << 1
                | u32::from(self.is_reset) << 2,
            bytes: self.bytes,
            packets: self.packets,
        }
    }
}
