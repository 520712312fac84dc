use std::{
    fmt,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Args;

use super::{Place, exit::NotAllowed, output};
use crate::{
    engine::{self, Comparison, Diffed, LimitChange, Result, rfc3339},
    policy::{Concerned, Family, Ground, Line, Sign},
    stats::{Flow, render_flow_rows_into},
};

/// `relay diff`.
#[derive(Debug, Args)]
#[command(after_help = "A line is + for what is gained, - for what is lost, and ~ for what stays \
    with another end or by another rule: who may begin, with whom, and what; \u{2194} if either may. \
    `any` is every peer that is not disabled. A limit that changes is a line with ~, too. Other \
    keys and settings that let nothing through are not compared; `relay up --dry-run` shows them.\n\n\
    Exit codes: 0 nothing is gained or lost and no limit changes, 1 something is, 2 a configuration is invalid or what is \
    in force is not known, 3 the host lacks something.\n\nExamples:\n  \
    relay diff new.toml                        what new.toml changes of what is in force\n  \
    relay diff new.toml --flows                and which live flows it would end\n  \
    relay diff /etc/relay/relay.toml new.toml  what it changes of another file\n  \
    relay diff --all old.toml new.toml         each pair by itself")]
pub(super) struct Diff {
    /// The old main file, or with one FILE the new one, which is then compared with what is in force.
    #[arg(value_name = "FILE")]
    first: PathBuf,
    /// The new main file.
    #[arg(value_name = "NEW")]
    second: Option<PathBuf>,
    /// Print each pair of peers by itself.
    #[arg(long)]
    all: bool,
    /// Also list the live flows that NEW would end.
    #[arg(long, conflicts_with = "second")]
    flows: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let comparison = match &self.second {
            Some(second) => Comparison::of_files(&self.first, second)?,
            None => engine::block_on(Comparison::with_running(place.site("diff"), &self.first))?,
        };
        let difference = comparison.difference();
        let lines: Box<dyn Iterator<Item = Line>> = match self.all {
            true => Box::new(difference.pairs()),
            false => Box::new(difference.lines()),
        };
        let (concerned, limits) = (difference.concerned(), comparison.limits());
        let flows = if self.flows { Some(comparison.ending()?) } else { None };
        let mut out = BufWriter::new(output::stdout());
        if self.json {
            output::json(&mut out, &Diffed::new(&comparison, concerned, lines, flows))?;
        } else {
            render_into(&mut out, lines, &limits, concerned, output::color())?;
            if let Some(flows) = &flows {
                render_ending_into(&mut out, flows)?;
            }
        }
        out.flush()?;
        let differs = concerned.differs() || !limits.is_empty();
        if differs { Err(NotAllowed.into()) } else { Ok(()) }
    }
}

fn render_into(
    out: &mut impl Write,
    lines: impl Iterator<Item = Line>,
    limits: &[LimitChange],
    concerned: Concerned,
    color: bool,
) -> io::Result<()> {
    let mut write = |sign: char, code: &str, text: &dyn fmt::Display| match color {
        true => writeln!(out, "\x1b[{code}m{sign} {text}\x1b[0m"),
        false => writeln!(out, "{sign} {text}"),
    };
    for line in lines {
        let (sign, code) = match line.change.sign() {
            Sign::Gained => ('+', "32"),
            Sign::Lost => ('-', "31"),
            Sign::Kept => ('~', "33"),
        };
        write(sign, code, &text(&line))?;
    }
    for limit in limits {
        write('~', "33", limit)?;
    }
    let Concerned { gained, lost, kept } = concerned;
    if concerned == Concerned::default() {
        return writeln!(out, "nothing is gained or lost");
    }
    let directions = |count: usize, verb: &str| match count {
        1 => format!("1 direction {verb}s"),
        _ => format!("{count} directions {verb}"),
    };
    let (gained, lost, kept) =
        (directions(gained, "gain"), directions(lost, "lose"), directions(kept, "keep"));
    writeln!(out, "{gained} something, {lost} something, {kept} something with another end or rule")
}

fn render_ending_into(out: &mut impl Write, flows: &[Flow]) -> io::Result<()> {
    match flows.len() {
        0 => return writeln!(out, "no live flow would end"),
        1 => writeln!(out, "\n1 live flow would end:")?,
        count => writeln!(out, "\n{count} live flows would end:")?,
    }
    render_flow_rows_into(out, flows)
}

fn text(line: &Line) -> String {
    let arrow = if line.both_ways { '\u{2194}' } else { '\u{2192}' };
    let family = match line.family {
        Some(Family::V4) => " over IPv4",
        Some(Family::V6) => " over IPv6",
        None => "",
    };
    let change = &line.change;
    let ground = match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{}; now {}", ground(before), ground(after)),
        (Some(only), None) | (None, Some(only)) => ground(only),
        (None, None) => String::new(),
    };
    let (from, to) = (&line.from, &line.to);
    let but = if line.but_kept { " but what ~ keeps" } else { "" };
    format!("{from} {arrow} {to}: {}{but}{family} ({ground})", change.services)
}

fn ground(ground: &Ground) -> String {
    match ground {
        Ground::Lists => "lists".to_owned(),
        Ground::HostAccess => "host_access".to_owned(),
        Ground::Rule { name, until } => {
            let until =
                until.map_or_else(String::new, |until| format!(" until {}", rfc3339(until)));
            format!("rule {}{until}", name.as_str())
        }
    }
}
