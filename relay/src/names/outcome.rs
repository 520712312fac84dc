/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The relay has the name for whoever asks, with or without records of that type.
    Answered,
    /// It does not have it for them.
    NoName,
    /// The question is none that the relay answers them, or they are nobody whom it knows.
    Refused,
    /// It is no question that the relay understands.
    Invalid,
    /// Another resolver answered it.
    Forwarded,
    /// No other resolver did, in time.
    Unanswered,
    /// Too many questions wait for other resolvers.
    Busy,
}

impl Outcome {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::NoName,
        Self::Refused,
        Self::Invalid,
        Self::Forwarded,
        Self::Unanswered,
        Self::Busy,
    ];

    /// Its name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoName => "no_name",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Forwarded => "forwarded",
            Self::Unanswered => "unanswered",
            Self::Busy => "busy",
        }
    }
}
