/// Sort key of the live table; numbers descend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The order of the configuration.
    Config,
    /// Names, ascending.
    Name,
    /// Online, offline, never seen.
    State,
    /// The latest handshake first.
    Handshake,
    /// Bytes a second from the peer.
    Rx,
    /// Bytes a second to the peer.
    Tx,
    /// Packets a second, both ways.
    Packets,
    /// Dropped packets a second.
    Dropped,
}

impl Column {
    /// In the order in which a key press cycles through them.
    pub const ALL: [Self; 8] = [
        Self::Config,
        Self::Name,
        Self::State,
        Self::Handshake,
        Self::Rx,
        Self::Tx,
        Self::Packets,
        Self::Dropped,
    ];

    /// Shown in the header.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Name => "name",
            Self::State => "state",
            Self::Handshake => "handshake",
            Self::Rx => "rx",
            Self::Tx => "tx",
            Self::Packets => "packets",
            Self::Dropped => "dropped",
        }
    }

    /// The next column; the first follows the last.
    pub(super) fn next(self) -> Self {
        let mut all = Self::ALL.into_iter().cycle();
        all.find(|column| *column == self);
        all.next().unwrap_or(self)
    }
}
