//! The packet that an ICMP error quotes.

use relay_common::{
    bytes::{Bytes, Pod},
    header::Headers,
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

    /// The headers of the quoted packet, if the error with these headers goes to the address that the
    /// packet is from.
    #[inline(always)]
    pub fn headers(&self, error: &Headers) -> Option<Headers> {
        let quoted = Headers::of(self)?;
        let is_to_its_sender = match (&quoted, error) {
            (Headers::V4(quoted), Headers::V4(error)) => quoted.source() == error.destination(),
            (Headers::V6(quoted), Headers::V6(error)) => quoted.source() == error.destination(),
            _ => false,
        };
        is_to_its_sender.then_some(quoted)
    }
}

impl Bytes for Quote<'_> {
    #[inline(always)]
    fn read<T: Pod>(&self, at: u32) -> Option<T> {
        self.packet.read(self.at + at)
    }
}
