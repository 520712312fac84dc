//! `RELAY_TEST_REQUIRE`: what a machine must have, so that a skip is a failure.

use std::time::Duration;

use super::report::{Counts, Row};

/// The variable's name.
pub(crate) const VARIABLE: &str = "RELAY_TEST_REQUIRE";

/// What is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Required {
    pieces: Vec<String>,
}

impl Required {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Self {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        Self { pieces: pieces.map(str::to_owned).collect() }
    }

    /// Whether the absence of this piece is a failure.
    fn demands(&self, piece: &str) -> bool {
        self.pieces.iter().any(|required| required == piece || required == "all")
    }

    /// Says what cannot be run for lack of what, and makes it a row: skipped, or failed when the
    /// piece is required.
    pub(crate) fn skip(&self, tier: u8, what: &str, piece: &str, thing: &str) -> Row {
        let demanded = self.demands(piece);
        println!("skip: {what}: missing {thing}");
        if demanded {
            println!("      {VARIABLE} asks for {piece}: this is a failure");
        }
        let counts = Counts {
            failed: usize::from(demanded),
            skipped: usize::from(!demanded),
            ..Counts::default()
        };
        Row { tier, what: what.to_owned(), counts, took: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_named_or_all() {
        let required = Required::parse(" bpf, vm ,");
        assert!(required.demands("bpf") && required.demands("vm"));
        assert!(!required.demands("wireguard"));
        assert!(Required::parse("all").demands("wireguard"));
        assert!(!Required::parse("").demands("bpf"));
    }

    #[test]
    fn a_skip_counts_as_what_was_asked_for() {
        let row = Required::parse("").skip(2, "programs", "bpf", "user id 0");
        assert_eq!((row.counts.failed, row.counts.skipped), (0, 1));
        let row = Required::parse("all").skip(2, "programs", "bpf", "user id 0");
        assert_eq!((row.counts.failed, row.counts.skipped), (1, 0));
    }
}
