//! Where peers of a mesh are at home.

/// The relay at which a peer is at home, as a word that is read and written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// Index of the transit interface that leads there; 0 if that is here, or nowhere.
    pub interface: u32,
    /// Slot of that relay; 0 if that is here.
    pub slot: u32,
}

impl Home {
    /// At this relay, or at none: WireGuard knows.
    pub const HERE: Self = Self { interface: 0, slot: 0 };

    /// From its word.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
    pub const fn from_word(word: u64) -> Self {
        Self { interface: word as u32, slot: (word >> 32) as u32 }
    }

    /// Its word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        (self.slot as u64) << 32 | self.interface as u64
    }
}

/// Entry of the array of homes that belongs to no peer: the WireGuard interface of the relay itself.
pub const OWN_ENTRY: u32 = 0;

/// Bytes of the ring of moves, a power of two and whole pages. One takes 16 of them.
pub const MOVES_LEN: u32 = 1 << 16;

/// UDP port on which the relays of a mesh gossip, within the transit tunnels.
pub const GOSSIP_PORT: u16 = 7946;
