use std::fmt;

/// Why something in gossip was ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// A datagram that is not from the address of another relay of the site.
    Stranger,
    /// A datagram beyond what one relay may send a second.
    TooMany,
    /// A datagram that is not gossip of this version.
    Malformed,
    /// A datagram of another site, or the answer of one.
    OtherSite,
    /// A datagram about a relay that the site does not have.
    UnknownRelay,
    /// A datagram with news about the relay that receives it.
    Forged,
    /// A datagram about more lives of an agent than are kept.
    TooManyLives,
    /// A datagram with a key that is neither a peer nor known, or a value that is too long.
    Entry,
    /// A datagram with more keys of one relay than there can be peers.
    TooManyKeys,
    /// A claim that cannot be read.
    Claim,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Stranger,
        Self::TooMany,
        Self::Malformed,
        Self::OtherSite,
        Self::UnknownRelay,
        Self::Forged,
        Self::TooManyLives,
        Self::Entry,
        Self::TooManyKeys,
        Self::Claim,
    ];

    /// As it is written in text and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::TooMany => "too_many",
            Self::Malformed => "malformed",
            Self::OtherSite => "other_site",
            Self::UnknownRelay => "unknown_relay",
            Self::Forged => "forged",
            Self::TooManyLives => "too_many_lives",
            Self::Entry => "entry",
            Self::TooManyKeys => "too_many_keys",
            Self::Claim => "claim",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
