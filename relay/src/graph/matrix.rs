use std::io::{self, Write};

use super::{Graph, Relation, Summary, Traffic, Way};
use crate::units::bytes;

/// Peers up to which a matrix fits on a wide terminal.
const PEERS_MAX: usize = 60;
/// Questionable pairs, and peers of a summary, that are listed one by one.
const LISTED: usize = 20;

/// Width of the column of bytes.
const BYTES: usize = 12;

/// A sign of the matrix.
struct Sign {
    sign: char,
    /// SGR parameter of its colour.
    color: &'static str,
    legend: &'static str,
}

/// Renders the graph as a matrix, or as a summary if there are too many peers.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_matrix_into(
    out: &mut impl Write,
    graph: &Graph,
    traffic: Option<&Traffic>,
    color: bool,
) -> io::Result<()> {
    let count = graph.nodes.len();
    if count <= PEERS_MAX {
        matrix(out, graph, traffic, color)?;
    } else {
        writeln!(
            out,
            "{}: {count} peers are too many for a matrix (at most {PEERS_MAX}); --format dot has \
             every pair\n",
            graph.title
        )?;
        busiest(out, graph)?;
    }
    let Summary { whole, part, one_sided, ruled } = graph.summary();
    let pairs = count * count.saturating_sub(1) / 2;
    write!(out, "\n{} of {pairs} pairs talk", whole + part + ruled)?;
    if part > 0 {
        write!(out, ", {part} of them with some of their addresses only")?;
    }
    if ruled > 0 {
        write!(out, ", {ruled} of them by rules")?;
    }
    if one_sided > 0 {
        let verb = if one_sided == 1 { "is" } else { "are" };
        write!(out, "; {one_sided} {verb} one-sided")?;
    }
    writeln!(out)?;
    doubtful(out, graph)?;
    for line in graph.opened.iter().take(LISTED) {
        writeln!(out, "  {line}")?;
    }
    match graph.opened.len().checked_sub(LISTED) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "  and {more} more of rules"),
    }
}

fn matrix(
    out: &mut impl Write,
    graph: &Graph,
    traffic: Option<&Traffic>,
    color: bool,
) -> io::Result<()> {
    let count = graph.nodes.len();
    let name = graph.names().map(str::len).max().unwrap_or(0);
    let digits = count.to_string().len();
    let head = digits + 1 + name;
    for place in (0..digits).rev() {
        write!(out, "{:head$}", "")?;
        for column in 1..=count {
            let power = 10usize.pow(u32::try_from(place).unwrap_or(0));
            match (column / power, place) {
                (0, _) => write!(out, "  ")?,
                (digit, _) => write!(out, " {}", digit % 10)?,
            }
        }
        match (place, traffic) {
            (0, Some(_)) => writeln!(out, "  {:>BYTES$}", "relayed")?,
            _ => writeln!(out)?,
        }
    }
    for (row, node) in graph.nodes.iter().enumerate() {
        write!(out, "{:>digits$} {:name$}", row + 1, node.name)?;
        for column in 0..count {
            let Sign { sign, color: code, .. } = match row == column {
                true => SELF,
                false => sign(graph.relation(row, column)),
            };
            match color {
                true => write!(out, " \x1b[{code}m{sign}\x1b[0m")?,
                false => write!(out, " {sign}")?,
            }
        }
        match traffic.and_then(|traffic| traffic.of_peer(row)) {
            Some(relayed) => writeln!(out, "  {:>BYTES$}", bytes(relayed.bytes))?,
            None => writeln!(out)?,
        }
    }
    writeln!(out)?;
    let occurring = |relation: &&Relation| {
        graph.pairs().any(|(_, _, r)| r == **relation || mirrored(r) == **relation)
    };
    for relation in LEGEND.iter().filter(occurring) {
        let Sign { sign, legend, .. } = sign(*relation);
        writeln!(out, "{sign} {legend}")?;
    }
    Ok(())
}

const LEGEND: [Relation; 9] = [
    Relation::Whole,
    Relation::Part,
    Relation::Ruled(Way::There),
    Relation::Ruled(Way::Back),
    Relation::Ruled(Way::Alike),
    Relation::Ruled(Way::Both),
    Relation::Lists,
    Relation::Listed,
    Relation::Crossed,
];

const SELF: Sign = Sign { sign: '\\', color: "2", legend: "the peer itself" };

const fn sign(relation: Relation) -> Sign {
    let (sign, color, legend) = match relation {
        Relation::None => ('·', "2", "neither lists the other"),
        Relation::Whole => ('●', "32", "they talk, with all their addresses"),
        Relation::Part => ('◐', "33", "they talk, with some of their addresses only"),
        Relation::Ruled(Way::There) => ('→', "36", "by rules, the row may begin, not the column"),
        Relation::Ruled(Way::Back) => ('←', "36", "by rules, the column may begin, not the row"),
        Relation::Ruled(Way::Alike) => ('↔', "36", "by rules, either may begin the same"),
        Relation::Ruled(Way::Both) => ('⇄', "36", "by rules, each may begin something else"),
        Relation::Lists => ('>', "31", "the row lists the column, but not the reverse"),
        Relation::Listed => ('<', "31", "the column lists the row, but not the reverse"),
        Relation::Crossed => ('x', "31", "each lists the other, but in different families"),
    };
    Sign { sign, color, legend }
}

const fn mirrored(relation: Relation) -> Relation {
    match relation {
        Relation::Lists => Relation::Listed,
        Relation::Listed => Relation::Lists,
        Relation::Ruled(Way::There) => Relation::Ruled(Way::Back),
        Relation::Ruled(Way::Back) => Relation::Ruled(Way::There),
        Relation::None
        | Relation::Whole
        | Relation::Part
        | Relation::Crossed
        | Relation::Ruled(Way::Both | Way::Alike) => relation,
    }
}

/// The peers that talk to the most others.
fn busiest(out: &mut impl Write, graph: &Graph) -> io::Result<()> {
    let mut partners: Vec<_> = graph.partners().into_iter().zip(graph.names()).collect();
    partners.sort_by_key(|(partners, _)| std::cmp::Reverse(*partners));
    let shown = &partners[..LISTED.min(partners.len())];
    let name = shown.iter().map(|(_, name)| name.len()).max().unwrap_or(0);
    for (partners, peer) in shown {
        writeln!(out, "{peer:name$}  talks to {partners}")?;
    }
    match partners.get(LISTED) {
        Some((most, _)) => {
            writeln!(out, "and {} that talk to at most {most}", partners.len() - LISTED)
        }
        None => Ok(()),
    }
}

/// Pairs that are probably a mistake.
fn doubtful(out: &mut impl Write, graph: &Graph) -> io::Result<()> {
    let Summary { part, one_sided, .. } = graph.summary();
    let mut shown = 0;
    let is_doubtful =
        |relation| !matches!(relation, Relation::None | Relation::Whole | Relation::Ruled(_));
    for (from, to, relation) in graph.pairs_with(is_doubtful) {
        let (from, to) = (&graph.nodes[from].name, &graph.nodes[to].name);
        match relation {
            Relation::None | Relation::Whole | Relation::Ruled(_) => continue,
            Relation::Part => writeln!(out, "  {from} and {to} talk with some addresses only")?,
            Relation::Lists => writeln!(out, "  {from} lists {to}, which does not list {from}")?,
            Relation::Listed => writeln!(out, "  {to} lists {from}, which does not list {to}")?,
            Relation::Crossed => {
                writeln!(out, "  {from} and {to} list each other, in different families")?;
            }
        }
        shown += 1;
        if shown == LISTED {
            break;
        }
    }
    match (part + one_sided).checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "  and {more} more"),
    }
}
