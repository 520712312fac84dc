//! `RELAY_TEST_REQUIRE`: what the machine must have; a skip for lack of it is a failure.

use std::time::Duration;

use super::report::{Counts, Row};

pub(crate) const VARIABLE: &str = "RELAY_TEST_REQUIRE";

/// What `all` leaves out: no setup brings it where a machine reaches package registries alone.
const ELSEWHERE: [&str; 1] = ["advisories"];

/// The required pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Required {
    pieces: Vec<String>,
}

impl Required {
    pub(crate) fn from_environment() -> Self {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        Self { pieces: pieces.map(str::to_owned).collect() }
    }

    fn demands(&self, piece: &str) -> bool {
        let is_in_all = !ELSEWHERE.contains(&piece);
        self.pieces.iter().any(|required| required == piece || (is_in_all && required == "all"))
    }

    /// Prints what is skipped and why, and returns its row: skipped, or failed if the piece is
    /// required.
    pub(crate) fn skip(&self, tier: u8, what: &str, piece: &str, thing: &str) -> Row {
        let demanded = self.demands(piece);
        println!("skip: {what}: missing {thing}");
        if demanded {
            println!("      {VARIABLE} requires {piece}: this is a failure");
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
    fn pieces_are_listed_or_all() {
        let required = Required::parse(" bpf, vm ,");
        assert!(required.demands("bpf") && required.demands("vm"));
        assert!(!required.demands("wireguard"));
        assert!(Required::parse("all").demands("wireguard"));
        assert!(!Required::parse("").demands("bpf"));
    }

    #[test]
    fn advisories_are_required_by_their_name_alone() {
        assert!(!Required::parse("all").demands("advisories"));
        assert!(Required::parse("all, advisories").demands("advisories"));
    }

    #[test]
    fn a_skip_is_a_failure_if_required() {
        let row = Required::parse("").skip(2, "programs", "bpf", "user id 0");
        assert_eq!((row.counts.failed, row.counts.skipped), (0, 1));
        let row = Required::parse("all").skip(2, "programs", "bpf", "user id 0");
        assert_eq!((row.counts.failed, row.counts.skipped), (1, 0));
    }
}
