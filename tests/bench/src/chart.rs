//! The chart of instructions over peers: log-log, one panel per address family. SVG that follows the
//! light or dark scheme of the page.

use std::fmt::Write as _;

use crate::document::Document;
use crate::grid::number;
use crate::layers::LAYERS;

/// The layers drawn, and their classes in the style sheet.
const DRAWN: &[(&str, &str)] = &[
    ("redirect-hooked", "floor"),
    ("relay", "relay"),
    ("forward", "forward"),
    ("nft-set", "set"),
    ("nft-conntrack", "conntrack"),
    ("iptables", "iptables"),
    ("firezone", "firezone"),
];

const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.small { fill: #57606a; font-size: 11px }
.grid { stroke: #d0d7de; stroke-width: 1 }
path, circle { stroke-width: 2; fill: none }
.floor { stroke: #8c959f; stroke-dasharray: 4 4 }
.relay { stroke: #0969da; stroke-width: 3.5 }
.forward { stroke: #57606a }
.set { stroke: #1a7f37 }
.conntrack { stroke: #8250df }
.iptables { stroke: #bc4c00 }
.firezone { stroke: #cf222e }
.leader { stroke: #8c959f; stroke-width: 0.75 }
text.name { stroke: none; stroke-dasharray: none }
text.relay { font-weight: 600; fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.grid { stroke: #3d444d }
.relay { stroke: #4493f8 }
.forward { stroke: #9198a1 }
.set { stroke: #3fb950 }
.conntrack { stroke: #ab7df8 }
.iptables { stroke: #db6d28 }
.firezone { stroke: #f85149 }
text.relay { fill: #4493f8 }
}
";

const WIDTH: f64 = 940.0;
const HEIGHT: f64 = 430.0;
/// Width of the plotting area of a panel.
const PANEL_WIDTH: f64 = 230.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 372.0;
/// Minimum distance between names.
const NAME_HEIGHT: f64 = 15.0;

/// Draws the figures of one kernel.
pub(crate) fn draw(document: &Document, kernel: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Instructions a relayed packet over the number of peers\">\n\
         <style>\n{STYLE}</style>\n\
         <text x=\"16\" y=\"26\" class=\"title\">Instructions the kernel spends on a relayed packet, \
         between two passes of WireGuard</text>\n\
         <text x=\"16\" y=\"44\" class=\"small\">Linux {kernel}, guest instructions, both axes \
         logarithmic: {}</text>\n",
        document.date
    );
    for (left, family) in [(62.0, "IPv4"), (532.0, "IPv6")] {
        panel(&mut svg, document, kernel, family, left);
    }
    svg + "</svg>\n"
}

/// The axes of a panel.
struct Scale {
    left: f64,
    /// Decimal logarithms of the ends of the axis.
    peers: (f64, f64),
    /// Decimal logarithms of the ends of the axis.
    counts: (f64, f64),
}

impl Scale {
    fn x(&self, peers: u32) -> f64 {
        let (from, to) = self.peers;
        self.left + (f64::from(peers).log10() - from) / (to - from).max(1.0) * PANEL_WIDTH
    }

    fn y(&self, count: f64) -> f64 {
        let (from, to) = self.counts;
        BOTTOM - (count.log10() - from) / (to - from) * (BOTTOM - TOP)
    }
}

fn panel(svg: &mut String, document: &Document, kernel: &str, family: &str, left: f64) {
    let of_kernel = document.instructions.iter().filter(|row| row.kernel == kernel);
    let sizes = Document::sizes(of_kernel.map(|row| row.peers));
    let count = |layer: &str, peers: u32| {
        let count = document.instructions(kernel, layer, family, peers)?;
        u32::try_from(count).ok().map(f64::from)
    };
    let every = || {
        DRAWN.iter().flat_map(|(layer, _)| sizes.iter().filter_map(|&peers| count(layer, peers)))
    };
    let (Some(&fewest), Some(&most), Some(highest)) =
        (sizes.first(), sizes.last(), every().reduce(f64::max))
    else {
        return;
    };
    let scale = Scale {
        left,
        peers: (f64::from(fewest).log10(), f64::from(most).log10()),
        counts: (3.0, highest.log10().max(4.0)),
    };

    let right = left + PANEL_WIDTH;
    *svg += &text(left, TOP - 12.0, "", family);
    for power in 3..=8_u32 {
        let value = 10_u64.pow(power);
        let y = scale.y(10_f64.powi(power.cast_signed()));
        if y < TOP - 1.0 {
            break;
        }
        put(svg, &format!("<path class=\"grid\" d=\"M{left:.0} {y:.1}H{right:.0}\"/>\n"));
        let label = number(value);
        put(
            svg,
            &format!(
                "<text x=\"{:.0}\" y=\"{:.1}\" class=\"small\" text-anchor=\"end\">{label}</text>\n",
                left - 6.0,
                y + 4.0
            ),
        );
    }
    for &peers in &sizes {
        let label = number(u64::from(peers));
        put(
            svg,
            &format!(
                "<text x=\"{:.1}\" y=\"{:.0}\" class=\"small\" text-anchor=\"middle\">{label}</text>\n",
                scale.x(peers),
                BOTTOM + 18.0
            ),
        );
    }
    put(
        svg,
        &format!(
            "<text x=\"{:.0}\" y=\"{:.0}\" class=\"small\" text-anchor=\"middle\">peers</text>\n",
            left + PANEL_WIDTH / 2.0,
            BOTTOM + 36.0
        ),
    );

    let mut names = Vec::new();
    for (layer, class) in DRAWN {
        let points: Vec<(f64, f64)> = sizes
            .iter()
            .filter_map(|&peers| Some((scale.x(peers), scale.y(count(layer, peers)?))))
            .collect();
        let Some(&(x, y)) = points.last() else { continue };
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        put(svg, &format!("<path class=\"{class}\" d=\"M{}\"/>\n", line.join("L")));
        if *class != "floor" {
            for (x, y) in &points {
                put(
                    svg,
                    &format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>\n"),
                );
            }
        }
        let name = LAYERS.iter().find(|(key, _)| key == layer).map_or(*layer, |(_, name)| name);
        names.push(Name { x, y, at: y, class, text: name });
    }
    spread(&mut names);
    for Name { x, y, at, class, text: name } in names {
        put(
            svg,
            &format!(
                "<path class=\"leader\" d=\"M{:.1} {y:.1}L{:.1} {at:.1}\"/>\n",
                x + 4.0,
                right + 14.0
            ),
        );
        *svg += &text(right + 17.0, at + 4.0, &format!("name {class}"), name);
    }
}

/// The label at the end of a line.
struct Name<'a> {
    x: f64,
    y: f64,
    /// Vertical position of the label.
    at: f64,
    class: &'a str,
    text: &'a str,
}

/// Moves labels apart, from the lowest up.
fn spread(names: &mut [Name<'_>]) {
    names.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut ceiling = f64::INFINITY;
    for name in names {
        name.at = name.at.min(ceiling - NAME_HEIGHT);
        ceiling = name.at;
    }
}

fn text(x: f64, y: f64, class: &str, content: &str) -> String {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<text x=\"{x:.0}\" y=\"{y:.1}\"{class}>{content}</text>\n")
}

fn put(svg: &mut String, piece: &str) {
    let written = svg.write_str(piece);
    debug_assert!(written.is_ok(), "a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_overlap_and_keep_their_order() {
        let name = |y| Name { x: 0.0, y, at: y, class: "", text: "" };
        let mut names = [name(100.0), name(104.0), name(40.0)];
        spread(&mut names);
        assert_eq!(
            names.map(|name| (name.y, name.at)),
            [(104.0, 104.0), (100.0, 89.0), (40.0, 40.0)]
        );
    }
}
