use std::{
    fmt::Display,
    io::{self, BufWriter, Write},
};

use clap::Args;
use comfy_table::{Table, presets};

use super::Place;
use crate::{
    cli::output,
    config::{self, Options, one_sided},
    engine::{PeerList, Result, groups},
    model::Relay,
};

/// Number of values that are shown of a list; `--json` has all.
const SHOWN: usize = 4;

/// `relay peer list`.
#[derive(Debug, Args)]
#[command(
    after_help = "A pair is one-sided when a peer lists another that does not list it, and no \
    rule opens the pair: nothing passes between them.\n\nExamples:\n  \
    relay peer list\n  \
    relay peer list --json | jq -r '.peers[].name'"
)]
pub(super) struct List {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let relay = config::load(place.config, Options { allow_empty: true })?.relay;
        let one_sided = one_sided(&relay);
        // Unbuffered, standard output flushes each line, which is slow for thousands of peers.
        let mut out = BufWriter::new(output::stdout());
        if self.json {
            output::json(&mut out, &PeerList::new(&relay, one_sided.as_deref()))?;
        } else {
            render_text_into(&mut out, &relay, one_sided.as_deref())?;
        }
        out.flush()?;
        Ok(())
    }
}

fn render_text_into(
    out: &mut impl Write,
    relay: &Relay,
    one_sided: Option<&[Vec<usize>]>,
) -> io::Result<()> {
    if relay.peers.is_empty() {
        return writeln!(out, "{}: no peers; `relay peer add` adds one", relay.interface);
    }
    let short = |peer: usize| one_sided.map_or(&[][..], |all| all[peer].as_slice());
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let groups = groups(relay);
    let has_groups = !relay.groups.is_empty();
    let mut header = vec!["name", "address", "routes", "allowed_ips", "public key"];
    if has_groups {
        header.insert(1, "groups");
    }
    table.set_header(header);
    for (index, peer) in relay.peers.iter().enumerate() {
        let off = if peer.enabled { "" } else { " (disabled)" };
        let mark = if short(index).is_empty() { "" } else { " *" };
        let mut row = vec![
            format!("{}{off}{mark}", peer.name),
            shortened(&peer.addresses),
            shortened(&peer.routes),
            shortened(&peer.allowed_ips),
            peer.public_key.to_string(),
        ];
        if has_groups {
            row.insert(1, shortened(&groups[index]));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    writeln!(out, "{}", table.trim_fmt())?;
    for (index, peer) in relay.peers.iter().enumerate() {
        let others: Vec<&str> =
            short(index).iter().map(|&other| relay.peers[other].name.as_str()).collect();
        if !others.is_empty() {
            let verb = if others.len() == 1 { "does" } else { "do" };
            writeln!(
                out,
                "* {} lists {}, which {verb} not list it",
                peer.name,
                shortened(&others)
            )?;
        }
    }
    if one_sided.is_none() {
        writeln!(out, "* too many wide allowed_ips to find one-sided pairs")?;
    }
    Ok(())
}

/// The first values, and how many more there are.
fn shortened<T: Display>(values: &[T]) -> String {
    let mut shown: Vec<String> = values.iter().take(SHOWN).map(ToString::to_string).collect();
    match values.len().saturating_sub(SHOWN) {
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}
