//! Draws peers on a circle, and a curve for each pair.

use std::{
    f64::consts::{PI, TAU},
    fmt,
    io::{self, Write},
};

use super::{Graph, Node, Relation, Relayed, Traffic, Way};
use crate::units::bytes;

/// Limit of peers, for readable names.
const PEERS_MAX: usize = 300;

/// Too many peers for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found} peers are too many for a picture that can be read (at most {PEERS_MAX}); use --format \
     matrix for a summary, or --format dot and a layout of Graphviz"
)]
pub struct TooMany {
    /// The number of peers.
    pub found: usize,
}

/// Peers up to which upright names do not touch.
const UPRIGHT_MAX: usize = 12;
/// Centres text vertically; not every viewer supports `dominant-baseline`.
const CENTRAL: &str = "0.35em";

/// Pixels. Each name takes one line height of the circle.
const LINE: f64 = 22.0;
const RADIUS_MIN: f64 = 130.0;
const CHARACTER: f64 = 8.0;
const GAP: f64 = 12.0;
const MARGIN: f64 = 24.0;
const LEGEND: f64 = 96.0;
const TITLE: f64 = 40.0;
/// Sizes of peers and pairs without traffic, and the extra of the busiest.
const DOT: f64 = 5.0;
const DOT_MORE: f64 = 9.0;
/// How far a curve bends to the centre.
const PULL: f64 = 0.5;
const STROKE: f64 = 1.5;
const STROKE_MORE: f64 = 5.0;

const STYLE: &str = "text{font:14px sans-serif;fill:#222}.title{font-size:18px;font-weight:bold}\
    .small{font-size:12px;fill:#555}.node{fill:#1f4e79;stroke:#fff;stroke-width:1.5}\
    path,line{fill:none}.whole{stroke:#2e7d32}.part{stroke:#e08a00}\
    .lists{stroke:#c62828;stroke-dasharray:6 4}.rule,.lent{stroke:#1565c0}.lent{stroke-dasharray:2 3}\
    .port{font-size:11px;fill:#1565c0;paint-order:stroke;stroke:#fff;stroke-width:3px}";

/// Ruled pairs whose services are written on their curves.
const LABELLED_MAX: usize = 40;
/// Lines about rules below the legend.
const OPENED_MAX: usize = 12;
/// Height of a line of the legend.
const ENTRY: f64 = 20.0;

/// A point of the picture.
#[derive(Debug, Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

/// The layout.
struct Circle {
    center: Point,
    radius: f64,
    count: usize,
}

/// A graph with few enough peers.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    graph: &'a Graph,
    traffic: Option<&'a Traffic>,
}

impl<'a> Picture<'a> {
    /// Lays out a graph. With traffic, the busiest peer has the largest dot, and the busiest counted
    /// pair the widest curve.
    ///
    /// # Errors
    /// It has too many peers.
    pub fn of(graph: &'a Graph, traffic: Option<&'a Traffic>) -> Result<Self, TooMany> {
        let found = graph.nodes.len();
        if found <= PEERS_MAX { Ok(Self { graph, traffic }) } else { Err(TooMany { found }) }
    }
}

/// Renders a picture as SVG.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_svg_into(out: &mut impl Write, picture: &Picture<'_>) -> io::Result<()> {
    let Picture { graph, traffic } = *picture;
    let count = graph.nodes.len();
    let longest = graph.names().map(str::len).max().unwrap_or(0) as f64 * CHARACTER;
    let radius = (count as f64 * LINE / TAU).max(RADIUS_MIN);
    let room = radius + GAP + DOT + DOT_MORE + longest + MARGIN;
    let lent = usize::from(graph.rules.has_lent());
    let ruled = (graph.opened.len().min(OPENED_MAX + 1) + lent) as f64;
    let legend_height = LEGEND + if graph.opened.is_empty() { 0.0 } else { (ruled + 1.0) * ENTRY };
    // Lines about rules are longer than a small circle is wide.
    let longest_line = graph.opened.iter().take(OPENED_MAX).map(|line| line.chars().count()).max();
    let needed = longest_line.unwrap_or(0) as f64 * CHARACTER + MARGIN * 2.0;
    let half = room.max(needed / 2.0);
    let (width, height) = (half * 2.0, room * 2.0 + TITLE + legend_height);
    let circle = Circle { center: Point { x: half, y: room + TITLE }, radius, count };
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">"
    )?;
    writeln!(out, "<style>{STYLE}</style>")?;
    write!(out, "<defs>")?;
    for (name, color) in [("head", "#c62828"), ("begin", "#1565c0")] {
        if name == "head" || !graph.opened.is_empty() {
            write!(
                out,
                "<marker id=\"{name}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" \
                 markerWidth=\"9\" markerHeight=\"9\" markerUnits=\"userSpaceOnUse\" \
                 orient=\"auto\"><path d=\"M0 1L10 5L0 9z\" \
                 style=\"fill:{color};stroke:none\"/></marker>"
            )?;
        }
    }
    writeln!(out, "</defs>")?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>")?;
    let title = format!("{}: who may talk to whom", graph.title);
    writeln!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{:.0}\">{}</text>",
        TITLE - GAP,
        Escaped(&title)
    )?;
    for (from, to, relation) in graph.pairs() {
        let relayed = traffic.and_then(|traffic| traffic.of_pair(from, to));
        edge(out, &circle, graph, (from, to), relation, relayed)?;
    }
    if graph.summary().ruled <= LABELLED_MAX {
        ports(out, &circle, graph)?;
    }
    for (at, shown) in graph.nodes.iter().enumerate() {
        node(out, &circle, at, shown, traffic.and_then(|traffic| traffic.of_peer(at)))?;
    }
    legend(out, height - legend_height + GAP, graph, traffic)?;
    writeln!(out, "</svg>")
}

fn edge(
    out: &mut impl Write,
    circle: &Circle,
    graph: &Graph,
    (from, to): (usize, usize),
    relation: Relation,
    relayed: Option<Relayed>,
) -> io::Result<()> {
    let stroke = STROKE + STROKE_MORE * relayed.map_or(0.0, |relayed| relayed.share);
    let (a, b) = (&graph.nodes[from].name, &graph.nodes[to].name);
    let mut draw = |class: &str, (from, to): (usize, usize), said: String| {
        // An arrow ends before the dot, a plain curve under it.
        let (head, gap) = match class {
            "lists" => (" marker-end=\"url(#head)\"", DOT * 2.0),
            "rule" | "lent" => (" marker-end=\"url(#begin)\"", DOT * 2.0),
            _ => ("", 0.0),
        };
        let path = circle.curve(from, to, gap);
        writeln!(
            out,
            "<path class=\"{class}\" stroke-width=\"{stroke:.1}\" d=\"{path}\"{head}><title>{}\
             </title></path>",
            Escaped(&said)
        )
    };
    let in_vain = |a: &str, b: &str| format!("{a} lists {b}, which does not list {a}");
    let talked = relayed.map_or_else(String::new, |r| format!(", {} relayed", bytes(r.bytes)));
    match relation {
        Relation::None => Ok(()),
        Relation::Whole => draw("whole", (from, to), format!("{a} and {b} talk{talked}")),
        Relation::Part => {
            draw("part", (from, to), format!("{a} and {b} talk with some addresses only{talked}"))
        }
        Relation::Lists => draw("lists", (from, to), in_vain(a, b)),
        Relation::Listed => draw("lists", (to, from), in_vain(b, a)),
        Relation::Crossed => {
            let said = format!("{a} and {b} list each other, in different families");
            draw("lists", (from, to), said.clone())?;
            draw("lists", (to, from), said)
        }
        Relation::Ruled(way) => {
            let said = |(one, other): (usize, usize)| {
                let (services, rules) = graph.begun(one, other);
                let (a, b) = (&graph.nodes[one].name, &graph.nodes[other].name);
                format!("{a} may begin {services} with {b} (rules: {}){talked}", rules.join(", "))
            };
            let class = |(one, other)| if graph.is_lent(one, other) { "lent" } else { "rule" };
            for (ends, none) in [((from, to), Way::Back), ((to, from), Way::There)] {
                if way != none {
                    draw(class(ends), ends, said(ends))?;
                }
            }
            Ok(())
        }
    }
}

/// What is begun, on the curve of each ruled pair, nearer to who may begin it.
fn ports(out: &mut impl Write, circle: &Circle, graph: &Graph) -> io::Result<()> {
    const NEAR: f64 = 0.35;
    for (from, to, relation) in graph.pairs() {
        let Relation::Ruled(way) = relation else { continue };
        let labels: &[(usize, usize, f64)] = match way {
            Way::There => &[(from, to, NEAR)],
            Way::Back => &[(to, from, NEAR)],
            Way::Alike => &[(from, to, 0.5)],
            Way::Both => &[(from, to, NEAR), (to, from, NEAR)],
        };
        for &(from, to, along) in labels {
            let Point { x, y } = circle.along(from, to, along);
            writeln!(
                out,
                "<text class=\"port\" text-anchor=\"middle\" dy=\"{CENTRAL}\" x=\"{x:.1}\" \
                 y=\"{y:.1}\">{}</text>",
                Escaped(&graph.label(from, to))
            )?;
        }
    }
    Ok(())
}

fn node(
    out: &mut impl Write,
    circle: &Circle,
    at: usize,
    shown: &Node,
    relayed: Option<Relayed>,
) -> io::Result<()> {
    let dot = DOT + DOT_MORE * relayed.map_or(0.0, |relayed| relayed.share);
    let Point { x, y } = circle.point(at, circle.radius);
    let label = circle.point(at, circle.radius + DOT + DOT_MORE + GAP / 2.0);
    let degrees = (circle.angle(at) * 180.0 / PI).rem_euclid(360.0);
    let (turn, anchor) = match (circle.count <= UPRIGHT_MAX, degrees) {
        // Few names: all upright.
        (true, 60.0..=120.0 | 240.0..=300.0) => (0.0, "middle"),
        (true, 120.0..240.0) => (0.0, "end"),
        (true, _) => (0.0, "start"),
        // Names point outwards; on the left half they are rotated to be readable.
        (false, 90.5..269.5) => (degrees + 180.0, "end"),
        (false, _) => (degrees, "start"),
    };
    let said = match relayed {
        Some(relayed) => {
            format!("{} ({}), {} relayed", shown.name, shown.about, bytes(relayed.bytes))
        }
        None => format!("{} ({})", shown.name, shown.about),
    };
    writeln!(
        out,
        "<circle class=\"node\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{dot:.1}\"><title>{}</title>\
         </circle>",
        Escaped(&said)
    )?;
    writeln!(
        out,
        "<text text-anchor=\"{anchor}\" dy=\"{CENTRAL}\" transform=\"translate({:.1} {:.1}) \
         rotate({turn:.1})\">{}</text>",
        label.x,
        label.y,
        Escaped(&shown.name)
    )
}

fn legend(
    out: &mut impl Write,
    top: f64,
    graph: &Graph,
    traffic: Option<&Traffic>,
) -> io::Result<()> {
    let mut lines = vec![
        ("whole", "they talk"),
        ("part", "they talk with some of their addresses only"),
        ("lists", "only one lists the other"),
    ];
    if !graph.opened.is_empty() {
        lines.push(("rule", "by rules, may begin what is named"));
    }
    if graph.rules.has_lent() {
        lines.push(("lent", "the same, lent for a time"));
    }
    match traffic {
        Some(traffic) if traffic.counts_pairs() => {
            lines.push(("", "dots and widths by bytes relayed"));
        }
        Some(_) => lines.push(("", "dots by bytes relayed")),
        None => {}
    }
    let mut y = top;
    for (class, said) in lines {
        let (x, end, text) = (MARGIN, MARGIN + 40.0, MARGIN + 50.0);
        let head = match class {
            "lists" => " marker-end=\"url(#head)\"",
            "rule" | "lent" => " marker-end=\"url(#begin)\"",
            _ => "",
        };
        if !class.is_empty() {
            writeln!(
                out,
                "<line class=\"{class}\" stroke-width=\"{STROKE}\" x1=\"{x}\" y1=\"{y:.1}\" \
                 x2=\"{end}\" y2=\"{y:.1}\"{head}/>"
            )?;
        }
        writeln!(
            out,
            "<text class=\"small\" dy=\"{CENTRAL}\" x=\"{text}\" y=\"{y:.1}\">{said}</text>"
        )?;
        y += ENTRY;
    }
    let more = graph.opened.len().saturating_sub(OPENED_MAX);
    let more = (more > 0).then(|| format!("and {more} more of rules"));
    for line in graph.opened.iter().take(OPENED_MAX).chain(&more) {
        let line = Escaped(line);
        writeln!(
            out,
            "<text class=\"small\" dy=\"{CENTRAL}\" x=\"{MARGIN}\" y=\"{y:.1}\">{line}</text>"
        )?;
        y += ENTRY;
    }
    Ok(())
}

impl Circle {
    /// The first peer is on top, the others follow clockwise.
    fn angle(&self, at: usize) -> f64 {
        at as f64 / self.count.max(1) as f64 * TAU - PI / 2.0
    }

    fn point(&self, at: usize, radius: f64) -> Point {
        let angle = self.angle(at);
        Point { x: self.center.x + radius * angle.cos(), y: self.center.y + radius * angle.sin() }
    }

    /// From dot to dot, drawn towards the middle, and no further than the two are apart.
    fn curve(&self, from: usize, to: usize, gap: f64) -> String {
        let [a, control, b] = self.points(from, to, gap);
        format!("M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}", a.x, a.y, control.x, control.y, b.x, b.y)
    }

    /// A point of a curve, as a share of its way.
    fn along(&self, from: usize, to: usize, share: f64) -> Point {
        let [a, control, b] = self.points(from, to, 0.0);
        let left = 1.0 - share;
        let at = |a: f64, control: f64, b: f64| {
            left * left * a + 2.0 * left * share * control + share * share * b
        };
        Point { x: at(a.x, control.x, b.x), y: at(a.y, control.y, b.y) }
    }

    /// Both ends of a curve, and its control point between.
    fn points(&self, from: usize, to: usize, gap: f64) -> [Point; 3] {
        let (a, b) = (self.point(from, self.radius), self.point(to, self.radius - gap));
        let middle = Point { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 };
        let inwards = Point { x: self.center.x - middle.x, y: self.center.y - middle.y };
        let (apart, depth) = ((a.x - b.x).hypot(a.y - b.y), inwards.x.hypot(inwards.y));
        let pull = if depth > apart { PULL * apart / depth } else { PULL };
        [a, Point { x: middle.x + inwards.x * pull, y: middle.y + inwards.y * pull }, b]
    }
}

/// Text of XML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            // XML 1.0 has no way to write them.
            c if c.is_control() => f.write_char(' '),
            c => f.write_char(c),
        })
    }
}
