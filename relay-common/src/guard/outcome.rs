labelled! {
    /// What the guard did with a message to the relay's port. Every message has exactly one outcome.
    pub enum Outcome;

    /// Whether the message is dropped.
    drops: bool;

    /// A data message.
    Data = 0, "data", false;
    /// A handshake initiation with a valid MAC1, within the limit of its source.
    Initiation = 1, "initiation", false;
    /// A handshake initiation with a valid MAC1 and a MAC2.
    InitiationWithMac2 = 2, "initiation_with_mac2", false;
    /// A handshake initiation with a valid MAC1, from an address and port that sent data recently.
    InitiationOfFlow = 3, "initiation_of_flow", false;
    /// A handshake response with a valid MAC1.
    Response = 4, "response", false;
    /// A cookie reply.
    CookieReply = 5, "cookie_reply", false;
    /// An unknown message type, or a length that does not fit the type.
    Malformed = 6, "malformed", true;
    /// A fragmented datagram whose first fragment does not show that it is data.
    Fragmented = 7, "fragmented", true;
    /// A handshake message with an invalid MAC1.
    BadMac1 = 8, "bad_mac1", true;
    /// A handshake initiation with a valid MAC1, from a source over its limit.
    Limited = 9, "limited", true;
    /// A handshake initiation with a valid MAC1, from a source over its limit: one in eight is let
    /// through at random.
    InitiationByChance = 10, "initiation_by_chance", false;
    /// A handshake message from an address and port with too many invalid MAC1s; its own MAC1 was
    /// not checked.
    Unverified = 11, "unverified", true;
    /// A cookie reply over the limit of all cookie replies, from a flow that sent no data recently.
    CookieReplyLimited = 12, "cookie_reply_limited", true;
    /// A frame with so many tags or extension headers that its payload was not reached.
    Hidden = 13, "hidden", true;
    /// A message from an address of the overlay, which must not appear outside the tunnel.
    OverlaySource = 14, "overlay_source", true;
}
