use std::io::{self, Write};

use clap::Args;
use relay_common::Reason;

use super::{Place, exit::NotAllowed, output, subject::Which};
use crate::{
    config::{self, Options},
    engine::{self, Direction, Ends, Explained, Result, Subject},
    model::Service,
};

/// `relay explain`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 every direction is allowed, 1 one is not.\n\nExamples:\n  \
    relay explain node-a node-b\n  \
    relay explain node-a 192.168.40.7\n  \
    relay explain node-a node-b tcp/22         may node-a begin this with node-b?\n  \
    relay explain --config-only --config new.toml node-a node-b")]
pub(super) struct Explain {
    /// One end: a peer name or an IP address.
    a: String,
    /// The other end.
    b: String,
    /// What A would begin with B: tcp/22, udp/53, icmp/echo, sctp. Without it, both send an echo
    /// request.
    #[arg(value_parser = config::parse_service)]
    service: Option<Service>,
    /// Answer from the configuration alone; needs no running relay.
    #[arg(long, conflicts_with = "interface")]
    config_only: bool,
    /// Show the probe packets.
    #[arg(long, conflicts_with = "config_only")]
    packet: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

impl Explain {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let ends =
            Ends { a: &self.a, b: &self.b, service: self.service, show_packets: self.packet };
        let explained = match self.config_only {
            true => {
                let loaded = config::load(place.config, Options { allow_empty: true })?;
                engine::explain_config(&loaded, ends)?
            }
            false => engine::block_on(async {
                let interface = self.which.interface.as_ref();
                let subject = Subject::find(place.config, interface).await?;
                output::warn(subject.doubt().as_slice());
                engine::explain(place.site("explain"), subject, ends).await
            })?,
        };
        let mut out = output::stdout();
        if self.json {
            output::json(&mut out, &explained)?;
        } else {
            render_into(&mut out, &explained, self.service.is_some())?;
        }
        out.flush()?;
        if explained.allowed { Ok(()) } else { Err(NotAllowed.into()) }
    }
}

fn render_into(out: &mut impl Write, explained: &Explained, is_asked: bool) -> io::Result<()> {
    for direction in &explained.directions {
        let Direction { source, destination, .. } = direction;
        let (from, to) = (named(direction.from.as_ref()), named(direction.to.as_ref()));
        let verdict = match (direction.way, direction.reason) {
            (Some("host"), _) => "allowed, to the relay itself".to_owned(),
            (Some("stack"), _) => "allowed, to the host's routing".to_owned(),
            (_, Some(reason)) => format!("dropped: {reason}"),
            (_, None) if direction.from.is_none() && direction.to.is_some() => {
                "allowed, from the relay itself".to_owned()
            }
            (_, None) => "allowed".to_owned(),
        };
        let service = if is_asked { format!(", {}", explained.service) } else { String::new() };
        writeln!(out, "{from}{source} → {to}{destination}{service}: {verdict}")?;
        let rule = direction.rule.as_ref();
        let is_by_rule = rule.is_some_and(|rule| rule.miss.is_none());
        for (name, entry, other) in [
            (&direction.from, &direction.source_entry, destination),
            (&direction.to, &direction.destination_entry, source),
        ] {
            let Some(name) = name.as_ref().filter(|_| !is_by_rule) else { continue };
            match entry {
                Some(entry) => writeln!(out, "  {name} lists {other}: {entry}")?,
                None => writeln!(out, "  {name} does not list {other}")?,
            }
        }
        if let Some(reason) = direction.reason {
            let describe = Reason::from_label(reason);
            writeln!(out, "  {}", describe.map_or("", |reason| reason.describe()))?;
        }
        if let Some(rule) = rule {
            writeln!(out, "  {}", rule.text)?;
        }
        for note in &direction.notes {
            writeln!(out, "  {note}")?;
        }
        if let Some(configured) = direction.configured {
            writeln!(
                out,
                "  the configuration files give another answer ({configured}); run `relay up` to apply \
                 them"
            )?;
        }
        if let Some(packet) = &direction.packet {
            let (service, len) = (&explained.service, packet.len() / 2);
            writeln!(out, "  probed with {service}, {len} bytes: {packet}")?;
        }
    }
    // Both directions may need the same line.
    let mut remedies: Vec<&String> = Vec::new();
    for remedy in explained.directions.iter().flat_map(|direction| &direction.remedies) {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
            writeln!(out, "to allow it: {remedy}")?;
        }
    }
    match explained.generation {
        Some(number) => writeln!(out, "answered by the program in force, generation {number}"),
        None => writeln!(out, "answered by the configuration"),
    }
}

fn named(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!("{name} "))
}
