//! The packet that an ICMP error quotes.

use relay_common::{
    bytes::{Bytes, Pod},
    icmp::ICMP_LEN,
    transport::Transport,
};

use crate::packet::Packet;

/// The bytes behind the header of an ICMP or ICMPv6 error.
pub struct Quote<'a> {
    packet: &'a Packet<'a>,
    at: u32,
}

impl<'a> Quote<'a> {
    /// What a packet with this transport header quotes.
    #[inline(always)]
    pub fn of(packet: &'a Packet<'a>, transport: &Transport) -> Self {
        Self { packet, at: transport.offset + ICMP_LEN }
    }
}

impl Bytes for Quote<'_> {
    #[inline(always)]
    fn read<T: Pod>(&self, at: u32) -> Option<T> {
        self.packet.read(self.at + at)
    }
}
