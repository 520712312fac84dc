use std::io::{self, Write};

use super::{Graph, Relation};

/// Renders the graph for Graphviz. Names of peers need no escaping; what is said about them does.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_dot_into(out: &mut impl Write, graph: &Graph) -> io::Result<()> {
    writeln!(out, "digraph \"{}\" {{", graph.title)?;
    writeln!(out, "  layout=circo; node [shape=box, style=rounded, fontname=\"sans-serif\"];")?;
    for node in &graph.nodes {
        let about = node.about.replace('\\', "\\\\").replace('"', "\\\"");
        writeln!(out, "  \"{}\" [tooltip=\"{about}\"];", node.name)?;
    }
    for (from, to, relation) in graph.pairs() {
        let (from, to) = (&graph.nodes[from].name, &graph.nodes[to].name);
        match relation {
            Relation::None => {}
            Relation::Whole => writeln!(out, "  \"{from}\" -> \"{to}\" [dir=both];")?,
            Relation::Part => writeln!(
                out,
                "  \"{from}\" -> \"{to}\" [dir=both, color=darkorange, label=\"partly\"];"
            )?,
            Relation::Lists => one_sided(out, from, to)?,
            Relation::Listed => one_sided(out, to, from)?,
            Relation::Crossed => {
                one_sided(out, from, to)?;
                one_sided(out, to, from)?;
            }
        }
    }
    writeln!(out, "}}")
}

fn one_sided(out: &mut impl Write, from: &str, to: &str) -> io::Result<()> {
    writeln!(out, "  \"{from}\" -> \"{to}\" [style=dashed, color=red];")
}
