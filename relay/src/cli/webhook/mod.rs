//! `relay webhook`: one file per verb.

mod test;

use clap::{Args, Subcommand};

use super::Place;
use crate::engine::Result;

/// `relay webhook`.
#[derive(Debug, Args)]
pub(super) struct Webhook {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send a signed event of type `test` to a webhook, once, and print the answer.
    Test(test::Test),
}

impl Webhook {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        match &self.verb {
            Verb::Test(test) => test.run(place),
        }
    }
}
