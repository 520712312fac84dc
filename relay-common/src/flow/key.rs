use crate::{header::Headers, transport::Ports};

/// Which side of a flow a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that began it.
    Beginner,
    /// The other side.
    Answerer,
}

/// What a flow is known by: addresses, ports and protocol, as its beginner sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Address of the beginner in host order: the halves of an IPv6 address, or zero and an IPv4
    /// address.
    pub(super) beginner: [u64; 2],
    /// Address of the other side.
    pub(super) answerer: [u64; 2],
    /// From the top: beginner's port, answerer's port (16 bits each), zeros, protocol, IP version (8
    /// bits each).
    pub(super) tail: u64,
}

const V4: u64 = 4;
const V6: u64 = 6;

impl Key {
    /// The key of a flow that the sender of this packet begins. A protocol without ports has zeros,
    /// an echo its identifier twice.
    #[inline(always)]
    pub const fn of(headers: &Headers, ports: Ports, protocol: u8) -> Self {
        let tail =
            (ports.source as u64) << 48 | (ports.destination as u64) << 32 | (protocol as u64) << 8;
        match headers {
            Headers::V4(header) => Self {
                beginner: [0, header.source() as u64],
                answerer: [0, header.destination() as u64],
                tail: tail | V4,
            },
            Headers::V6(header) => {
                Self { beginner: header.source(), answerer: header.destination(), tail: tail | V6 }
            }
        }
    }

    /// The key of a datagram in fragments (RFC 791, section 3.2; RFC 8200, section 4.5).
    #[inline(always)]
    pub(super) const fn of_datagram(headers: &Headers, id: u32, protocol: u8) -> Self {
        const NONE: Ports = Ports { source: 0, destination: 0 };
        let key = Self::of(headers, NONE, protocol);
        Self { tail: key.tail | (id as u64) << 32, ..key }
    }

    /// The key of the flow to which a packet with this one is an answer.
    #[inline(always)]
    pub const fn answered(&self) -> Self {
        let (from, to) = (self.tail >> 48, self.tail >> 32 & 0xffff);
        Self {
            beginner: self.answerer,
            answerer: self.beginner,
            tail: to << 48 | from << 32 | self.tail & 0xffff_ffff,
        }
    }

    /// The key as that of a packet from this side.
    #[inline(always)]
    pub const fn from(&self, side: Side) -> Self {
        match side {
            Side::Beginner => *self,
            Side::Answerer => self.answered(),
        }
    }

    /// Protocol number.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "cuts the number out")]
    pub(super) const fn protocol(&self) -> u8 {
        (self.tail >> 8) as u8
    }

    /// Whether both addresses are IPv4.
    #[inline(always)]
    pub(super) const fn is_v4(&self) -> bool {
        self.tail & 0xff == V4
    }

    /// A hash whose place in the table nobody knows without the seed. Keys that collide can be chosen
    /// without it: ports and addresses shifted alike. A peer that does so fills its own ways of a set.
    #[inline(always)]
    pub(super) const fn hash(&self, seed: u64) -> u64 {
        let ([a, b], [c, d]) = (self.beginner, self.answerer);
        let hash = mix(seed ^ self.tail, b << 32 ^ d);
        if self.is_v4() { hash } else { mix(mix(mix(hash, a), b), c) }
    }
}

/// Multiplication by an odd number spreads a word upwards, the shift brings it down again.
#[inline(always)]
const fn mix(hash: u64, word: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let hash = (hash ^ (hash >> 32) ^ word).wrapping_mul(ODD);
    hash ^ (hash >> 32)
}
