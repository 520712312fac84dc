use std::io::{BufWriter, Write as _};

use clap::Args;

use super::{Place, output, subject::Which};
use crate::{
    config,
    engine::{self, Context, FlowFilter, Result},
    model::Services,
    stats::render_flows_into,
};

/// `relay flows`.
#[derive(Debug, Args)]
#[command(
    after_help = "A flow is a conversation that one side began and a rule allows; pairs by lists \
                        have none.\n\nExamples:\n  \
    relay flows                        all live flows, most bytes first\n  \
    relay flows --peer web-1           those of one peer, whichever side it is\n  \
    relay flows --rule ops-ssh --service tcp/22\n  \
    relay flows --json"
)]
pub(super) struct Flows {
    /// Only flows of this peer or address, whichever side it is.
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,
    /// Only flows that this rule allowed.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only flows that asked for this: tcp/22, udp/8000-8100, icmp/echo, sctp; may be repeated.
    #[arg(long, value_name = "SERVICE", value_parser = services)]
    service: Vec<Services>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

impl Flows {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let interface = self.which.interface.as_ref();
            let context = Context::look(place.site("flows"), interface).await?;
            output::warn(context.subject().doubt().as_slice());
            let filter = FlowFilter {
                peer: self.peer.clone(),
                rule: self.rule.clone(),
                services: self.service.clone(),
            };
            let flows = engine::flows(&context, &filter).await?;
            let mut out = BufWriter::new(output::stdout());
            if self.json {
                output::json(&mut out, &flows)?;
            } else {
                render_flows_into(&mut out, &flows)?;
            }
            Ok(out.flush()?)
        })
    }
}

fn services(text: &str) -> Result<Services, String> {
    config::parse_services(text).map_err(|fault| fault.to_string())
}
