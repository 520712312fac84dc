use std::io::{self, Write};

use super::{Graph, Relation, Traffic, Way};
use crate::units::bytes;

/// Edge width in points without traffic, and the extra width of the busiest pair.
const PEN: f64 = 1.0;
const PEN_MORE: f64 = 5.0;

/// Renders the graph for Graphviz. With counted pairs, the busiest has the widest edge. Peer names
/// need no escaping; descriptions do.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_dot_into(
    out: &mut impl Write,
    graph: &Graph,
    traffic: Option<&Traffic>,
) -> io::Result<()> {
    writeln!(out, "digraph \"{}\" {{", graph.title)?;
    writeln!(out, "  layout=circo; node [shape=box, style=rounded, fontname=\"sans-serif\"];")?;
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut about = node.about.replace('\\', "\\\\").replace('"', "\\\"");
        if let Some(relayed) = traffic.and_then(|traffic| traffic.of_peer(at)) {
            about += &format!(", {} relayed", bytes(relayed.bytes));
        }
        writeln!(out, "  \"{}\" [tooltip=\"{about}\"];", node.name)?;
    }
    for (one, other, relation) in graph.pairs() {
        let (from, to) = (one, other);
        let width = traffic.and_then(|traffic| traffic.of_pair(from, to)).map_or_else(
            String::new,
            |relayed| {
                let pen = PEN + PEN_MORE * relayed.share;
                format!(", penwidth={pen:.1}, edgetooltip=\"{}\"", bytes(relayed.bytes))
            },
        );
        let (from, to) = (&graph.nodes[from].name, &graph.nodes[to].name);
        match relation {
            Relation::None => {}
            Relation::Whole => writeln!(out, "  \"{from}\" -> \"{to}\" [dir=both{width}];")?,
            Relation::Part => writeln!(
                out,
                "  \"{from}\" -> \"{to}\" [dir=both, color=darkorange, label=\"partly\"{width}];"
            )?,
            Relation::Lists => one_sided(out, from, to)?,
            Relation::Listed => one_sided(out, to, from)?,
            Relation::Crossed => {
                one_sided(out, from, to)?;
                one_sided(out, to, from)?;
            }
            Relation::Ruled(way) => {
                let mut draw = |(a, b): (usize, usize), ends: &str| {
                    let (from, to) = (&graph.nodes[a].name, &graph.nodes[b].name);
                    let label = graph.label(a, b);
                    let style = if graph.is_lent(a, b) { "style=dashed, " } else { "" };
                    writeln!(
                        out,
                        "  \"{from}\" -> \"{to}\" [{ends}{style}color=\"#1565c0\", label=\"{label}\"{width}];"
                    )
                };
                match way {
                    Way::There => draw((one, other), "")?,
                    Way::Back => draw((other, one), "")?,
                    Way::Alike => draw((one, other), "dir=both, ")?,
                    Way::Both => {
                        draw((one, other), "")?;
                        draw((other, one), "")?;
                    }
                }
            }
        }
    }
    writeln!(out, "}}")
}

fn one_sided(out: &mut impl Write, from: &str, to: &str) -> io::Result<()> {
    writeln!(out, "  \"{from}\" -> \"{to}\" [style=dashed, color=red];")
}
