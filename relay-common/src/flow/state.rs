use super::ticks_of;
use crate::header::protocol;

/// Flags of a TCP header, its byte 13 (RFC 9293, section 3.1).
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset the connection.
    pub const RST: u8 = 4;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 16;
    /// Offset of the flags in the header, bytes.
    pub const FLAGS_AT: u32 = 13;
    /// Length of a header without options, bytes.
    pub const MIN_LEN: u32 = 20;
}

/// How far a flow has come. Only the time until it expires depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State(u32);

/// The other side has answered.
const ANSWERED: u32 = 1;
/// The beginner has sent a FIN.
const CLOSING: u32 = 2;
/// An RST was sent since the beginner's last packet, or as that.
const RESET: u32 = 4;

impl State {
    /// Begun, not answered.
    pub const OPENING: Self = Self(0);
    /// Answered, and nobody closes it: the state in which a flow spends its life.
    pub const STEADY: Self = Self(ANSWERED);

    /// A flow that expires later than this many ticks from now is an open connection, and gives way
    /// to no other.
    pub(super) const LONGEST_TO_GIVE_WAY: u32 = ticks_of(600);

    /// From its number.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its number.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Spelling in every output.
    pub const fn label(self) -> &'static str {
        match self.0 {
            0 => "opening",
            ANSWERED => "open",
            bits if bits & RESET != 0 => "reset",
            _ => "closing",
        }
    }

    /// After a packet of the beginner. A SYN begins anew. Whatever the other side has sent to close
    /// the flow is undone by a packet that goes on: a host answers an RST or FIN that it does not
    /// accept with such a packet (RFC 5961, section 3.2).
    #[inline(always)]
    pub const fn after_beginner(self, flags: u8) -> Self {
        if flags & tcp::RST != 0 {
            Self(self.0 | RESET)
        } else if flags & tcp::SYN != 0 {
            Self::OPENING
        } else if flags & tcp::FIN != 0 {
            Self(self.0 & !RESET | CLOSING)
        } else {
            Self(self.0 & !RESET)
        }
    }

    /// After a packet of the other side. Its FIN changes nothing: a connection that is closed by
    /// both has a FIN of the beginner too.
    #[inline(always)]
    pub const fn after_answerer(self, flags: u8) -> Self {
        if flags & tcp::RST != 0 { Self(self.0 | RESET) } else { Self(self.0 | ANSWERED) }
    }

    /// Whether an RST was the last word.
    #[inline(always)]
    pub const fn is_reset(self) -> bool {
        self.0 & RESET != 0
    }

    /// Ticks from the beginner's last packet until the flow expires, as the defaults of
    /// nf_conntrack (Documentation/networking/nf_conntrack-sysctl.rst, 6.12).
    #[inline(always)]
    pub const fn lifetime(self, protocol: u8) -> u32 {
        const RESET_LIFETIME: u32 = ticks_of(10);
        match protocol {
            protocol::TCP if self.0 & RESET != 0 => RESET_LIFETIME,
            protocol::TCP if self.0 == ANSWERED => ticks_of(432_000),
            protocol::TCP => ticks_of(120),
            protocol::UDP if self.0 & ANSWERED != 0 => ticks_of(120),
            protocol::UDP | protocol::ICMP | protocol::ICMPV6 => ticks_of(30),
            _ => ticks_of(600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_opened_used_and_closed() {
        let begun = State::OPENING.after_beginner(tcp::SYN);
        let answered = begun.after_answerer(tcp::SYN | tcp::ACK);
        assert_eq!(answered, State::STEADY);
        let closing = answered.after_beginner(tcp::FIN | tcp::ACK);
        assert!(closing.lifetime(6) < answered.lifetime(6));
        assert_eq!(closing.after_answerer(tcp::FIN | tcp::ACK), closing);
        assert_eq!(closing.after_beginner(tcp::SYN), State::OPENING);
    }

    #[test]
    fn what_the_other_side_sends_to_close_lasts_only_until_the_beginner_goes_on() {
        let steady = State::STEADY;
        assert_eq!(steady.after_answerer(tcp::FIN | tcp::ACK), steady);
        let reset = steady.after_answerer(tcp::RST);
        assert!(reset.is_reset() && reset.lifetime(6) < State::OPENING.lifetime(6));
        assert_eq!(reset.after_beginner(tcp::ACK), steady);
        assert!(reset.after_answerer(tcp::ACK).is_reset());
    }
}
