use std::io::Write as _;

use clap::Args;

use super::Place;
use crate::{
    cli::{exit::NotDelivered, output},
    config::parse_webhook_name,
    engine::Result,
    model::WebhookName,
    serve::try_webhook,
};

/// `relay webhook test`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 0 if the answer's status is 2xx, and with 1 otherwise. `relay serve` \
                  need not run.\n\nExamples:\n  \
    relay webhook test ops"
)]
pub(super) struct Test {
    /// Name of the webhook.
    #[arg(value_name = "NAME", value_parser = parse_webhook_name)]
    name: WebhookName,
}

impl Test {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let tried = try_webhook(place.config, &self.name)?;
        let took = tried.took.as_millis();
        writeln!(output::stdout(), "{} answered {} in {took} ms", tried.url, tried.status)?;
        match tried.is_delivered {
            true => Ok(()),
            false => Err(NotDelivered { webhook: self.name.to_string() }.into()),
        }
    }
}
