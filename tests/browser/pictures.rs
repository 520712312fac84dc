//! Pictures of the page for the documentation, of a relay that is at work.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Cursor,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::deadline;
use relay_vm::workspace;
use serde_json::Value;

use crate::{
    page::{Page, View},
    stage::Stage,
    views::PHONE,
};

/// One of them, in docs/guides.
struct Picture {
    name: &'static str,
    /// CSS pixels.
    size: (u32, u32),
    scheme: &'static str,
    view: View,
}

/// All peers, with a rate.
const PEERS: View = View { address: "/", shows: "#peers tbody td:nth-child(4):not(.zero)" };

/// One peer, with its flows and the chart of its history.
const PEER: View = View { address: "/peer/node-b", shows: ".chart canvas" };

const PICTURES: [Picture; 5] = [
    Picture { name: "serve-peers", size: (1100, 640), scheme: "light", view: PEERS },
    Picture { name: "serve-peers-dark", size: (1100, 640), scheme: "dark", view: PEERS },
    Picture { name: "serve-peer", size: (1100, 1080), scheme: "light", view: PEER },
    Picture {
        name: "serve-graph",
        size: (1100, 700),
        scheme: "light",
        view: View { address: "/graph", shows: "svg.graph .now" },
    },
    Picture { name: "serve-phone", size: PHONE, scheme: "dark", view: PEERS },
];

/// Whether the first peer's curve is one.
const LAST_HOUR: &str =
    "return document.querySelector('.spark-line').getAttribute('d').includes('L')";

/// Steps of the history, of 10 s each, that charts show.
const STEPS: usize = 12;

/// Time limit for them to pass.
const HISTORY: Duration = Duration::from_secs(600);

/// Largest picture, bytes.
const LARGEST: usize = 150_000;

/// Colours of a picture.
const COLORS: usize = 256;

/// Makes them, after some minutes of traffic.
pub(crate) fn make(stage: &Stage) -> Result<()> {
    stage.tell("busy")?;
    deadline::within(HISTORY, "a history", || {
        let (_, text) = stage.ask("/api/v1/history?since=1h", Some(&stage.token))?;
        let history: Value = serde_json::from_str(&text).context(text)?;
        let steps = history["series"][0]["rxBytes"].as_array();
        let recorded = steps.into_iter().flatten().filter(|step| step.as_u64() > Some(0));
        Ok((recorded.count() >= STEPS).then_some(()))
    })?;
    let page = Page::open(stage)?;
    for Picture { name, size: (width, height), scheme, view } in &PICTURES {
        page.browser.show_as(*width, *height, scheme)?;
        page.show(view)?;
        if view.address == PEERS.address {
            page.until_there(".notes.warning")?;
            page.until("the last hour", LAST_HOUR)?;
        }
        let small = shrunk(&page.browser.picture()?).context(*name)?;
        ensure!(small.len() <= LARGEST, "{name} has {} bytes", small.len());
        fs::write(workspace::root().join(format!("docs/guides/{name}.png")), small)?;
    }
    stage.tell("rest").map(drop)
}

/// The same picture with a palette: colours that are nearly equal become one.
fn shrunk(picture: &[u8]) -> Result<Vec<u8>> {
    let mut reader = png::Decoder::new(Cursor::new(picture)).read_info()?;
    let mut data = vec![0; reader.output_buffer_size().context("a picture too large")?];
    let info = reader.next_frame(&mut data)?;
    let len = info.color_type.samples();
    let pixels: Vec<[u8; 3]> =
        data[..info.buffer_size()].chunks_exact(len).map(|of| [of[0], of[1], of[2]]).collect();
    let coarse = |[r, g, b]: [u8; 3], bits: u32| [r >> bits, g >> bits, b >> bits];
    let bits = (0..8).find(|bits| {
        pixels.iter().map(|pixel| coarse(*pixel, *bits)).collect::<BTreeSet<_>>().len() <= COLORS
    });
    let bits = bits.context("too many colours")?;
    // The most frequent one stands for those near it.
    let mut counts: BTreeMap<[u8; 3], BTreeMap<[u8; 3], u32>> = BTreeMap::new();
    for pixel in &pixels {
        *counts.entry(coarse(*pixel, bits)).or_default().entry(*pixel).or_default() += 1;
    }
    let mut palette = Vec::new();
    let mut places = BTreeMap::new();
    for (place, (color, of)) in (0_u8..=u8::MAX).zip(&counts) {
        places.insert(*color, place);
        palette.extend(
            of.iter().max_by_key(|(_, count)| **count).map(|(one, _)| *one).into_iter().flatten(),
        );
    }
    let indices: Vec<u8> = pixels.iter().map(|pixel| places[&coarse(*pixel, bits)]).collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, info.width, info.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header()?.write_image_data(&indices)?;
    Ok(out)
}
