use std::{
    ffi::OsStr,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{Place, output};
use crate::{
    config::{self, Options},
    engine::{self, Context, ErrorContext as _, Result},
    graph::{
        self, Drawing, Picture, Traffic, render_dot_into, render_matrix_into, render_svg_into,
    },
};

/// `relay graph`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay graph                 a matrix\n  \
    relay graph --output who.svg --live\n                              \
    a picture, with wider lines for more traffic\n  \
    relay graph --format dot | dot -Tpdf > who.pdf")]
pub(super) struct Graph {
    /// Output format [default: by the extension of --output, or matrix].
    #[arg(long)]
    format: Option<Format>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also show the traffic that the running relay has counted.
    #[arg(long)]
    live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An SVG picture.
    Svg,
    /// Input for Graphviz.
    Dot,
    /// A table for the terminal.
    Matrix,
    /// One JSON object.
    Json,
}

impl Graph {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let options = Options { allow_empty: true };
        let now = engine::now();
        let (graph, traffic) = match self.live {
            false => (graph::Graph::new(&config::load(place.config, options)?.relay, now), None),
            true => engine::block_on(async {
                let context = Context::preview(place.site("graph --live"), options)?;
                let traffic = engine::traffic(&context).await?;
                Ok((graph::Graph::new(context.relay(), now), Some(traffic)))
            })?,
        };
        let Some(path) = &self.output else {
            return self.draw(output::stdout(), &graph, traffic.as_ref(), output::color());
        };
        let mut text = Vec::new();
        self.draw(&mut text, &graph, traffic.as_ref(), false)?;
        let mut file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all(&text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn draw(
        &self,
        out: impl Write,
        graph: &graph::Graph,
        traffic: Option<&Traffic>,
        color: bool,
    ) -> Result<()> {
        let mut out = BufWriter::new(out);
        match self.format() {
            Format::Svg => render_svg_into(&mut out, &Picture::of(graph, traffic)?)?,
            Format::Dot => {
                graph.require_few_pairs()?;
                render_dot_into(&mut out, graph, traffic)?;
            }
            Format::Json => output::json(&mut out, &Drawing::of(graph, traffic)?)?,
            Format::Matrix => render_matrix_into(&mut out, graph, traffic, color)?,
        }
        Ok(out.flush()?)
    }

    fn format(&self) -> Format {
        let ending = self.output.as_deref().and_then(Path::extension).and_then(OsStr::to_str);
        self.format.unwrap_or(match ending {
            Some("svg") => Format::Svg,
            Some("dot" | "gv") => Format::Dot,
            Some("json") => Format::Json,
            Some(_) | None => Format::Matrix,
        })
    }
}
