macro_rules! outcomes {
    ($($(#[doc = $doc:literal])+ $name:ident = $index:literal, $label:literal, $drops:literal;)+) => {
        /// What became of a message to the relay's port: exactly one for every message.
        ///
        /// Labels are spelled the same in text, JSON and Prometheus. Indices are part of the ABI.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Outcome {
            $($(#[doc = $doc])+ $name = $index,)+
        }

        impl Outcome {
            /// Every outcome, in the order of their indices.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its spelling in every output.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// What it means, in the words of its documentation.
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+).trim_ascii(),)+
                }
            }

            /// Whether the message is dropped.
            pub const fn drops(self) -> bool {
                match self {
                    $(Self::$name => $drops,)+
                }
            }
        }
    };
}

outcomes! {
    /// A data message.
    Data = 0, "data", false;
    /// A handshake initiation whose MAC1 is right, within the limit of its source.
    Initiation = 1, "initiation", false;
    /// A handshake initiation with a MAC2, whose MAC1 is right.
    InitiationWithMac2 = 2, "initiation_with_mac2", false;
    /// A handshake initiation whose MAC1 is right, from an address and port that sent data lately.
    InitiationOfFlow = 3, "initiation_of_flow", false;
    /// A handshake response whose MAC1 is right.
    Response = 4, "response", false;
    /// A cookie reply.
    CookieReply = 5, "cookie_reply", false;
    /// A type that is none, or a length that is not the type's.
    Malformed = 6, "malformed", true;
    /// A datagram in fragments whose first does not show that it is data.
    Fragmented = 7, "fragmented", true;
    /// A handshake message whose MAC1 is wrong.
    BadMac1 = 8, "bad_mac1", true;
    /// A handshake initiation whose MAC1 is right, of a source over its limit.
    Limited = 9, "limited", true;
    /// A handshake initiation whose MAC1 is right, of a source over its limit: one in eight, let
    /// through by chance.
    InitiationByChance = 10, "initiation_by_chance", false;
    /// A handshake message from an address and port with too many wrong MAC1s, whose own was not
    /// looked at.
    Unverified = 11, "unverified", true;
    /// A cookie reply beyond the limit of all cookie replies, from no flow that sent data lately.
    CookieReplyLimited = 12, "cookie_reply_limited", true;
    /// A frame with so many tags or extension headers that what it carries is not found.
    Hidden = 13, "hidden", true;
    /// A message from an address of the overlay, which is inside the tunnel or nowhere.
    OverlaySource = 14, "overlay_source", true;
}

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its index in the ABI.
    pub const fn index(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_positions_and_labels_are_unique() {
        for (position, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index() as usize, position);
            assert_eq!(Outcome::ALL.iter().filter(|o| o.label() == outcome.label()).count(), 1);
            assert!(outcome.label().bytes().all(|b| b.is_ascii_lowercase() || b"_12".contains(&b)));
            assert!(outcome.describe().ends_with('.'));
        }
    }
}
