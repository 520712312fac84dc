//! What holds for each view.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::{
    page::{Page, VIEWS},
    stage::Stage,
};

/// Width and height of a small phone, CSS pixels.
pub(crate) const PHONE: (u32, u32) = (390, 844);

pub(crate) fn no_view_has_errors(stage: &Stage) -> Result<()> {
    stage.tell("busy")?;
    let page = Page::open(stage)?;
    for view in &VIEWS {
        page.show(view)?;
        page.require_quiet().with_context(|| view.address)?;
    }
    // What opens reads more.
    page.browser.run("location.hash = '#/dropped'", &[])?;
    page.until_there(".reason summary")?;
    page.browser
        .run("document.querySelectorAll('.reason').forEach((n) => (n.open = true))", &[])?;
    page.until_there(".reason .kind .fix > *")?;
    page.require_quiet()?;
    stage.tell("rest").map(drop)
}

pub(crate) fn no_view_is_wider_than_a_phone(stage: &Stage) -> Result<()> {
    stage.tell("busy")?;
    let page = Page::open(stage)?;
    let (width, height) = PHONE;
    page.browser.show_as(width, height, "light")?;
    for view in &VIEWS {
        page.show(view)?;
        require_fit(&page, width).with_context(|| view.address)?;
    }
    stage.tell("rest").map(drop)
}

pub(crate) fn a_phone_has_the_filter_from_edge_to_edge(stage: &Stage) -> Result<()> {
    let page = Page::open(stage)?;
    let (width, height) = PHONE;
    page.browser.show_as(width, height, "light")?;
    page.until_there("#peers")?;
    let script = "
        const [label, filter, peers] = ['[for=filter]', '#filter', '#peers']
            .map((name) => document.querySelector(name).getBoundingClientRect());
        return [label.left, peers.left, filter.right, peers.right, label.bottom - filter.top];";
    let found = page.browser.run(script, &[])?;
    let [left, first, right, last, beside]: [f64; 5] = serde_json::from_value(found)?;
    ensure!((left - first).abs() < 1.0 && (right - last).abs() < 1.0, "{left} to {right}");
    ensure!(beside > 0.0, "the label is above the filter");
    Ok(())
}

/// The page does not scroll sideways, and nothing of it is cut off at its edge.
pub(crate) fn require_fit(page: &Page<'_>, width: u32) -> Result<()> {
    let script = "
        const wide = [...document.querySelectorAll('main *, header *')].filter((node) => {
            const { left, right, width } = node.getBoundingClientRect();
            // What scrolls by itself, and what only screen readers have, may be wider.
            const isApart = node.closest('.scroll, .hidden, .skip, nav, .canvas, .u-wrap') !== null;
            return width > 1 && !isApart && (right > arguments[0] + 1 || left < -1);
        });
        const names = wide.map((n) => `${n.tagName}.${n.className}: ${n.textContent.slice(0, 40)}`);
        return [document.documentElement.scrollWidth, innerWidth, names];";
    let found = page.browser.run(script, &[json!(width)])?;
    let (scrolled, inner, wide): (u32, u32, Vec<String>) = serde_json::from_value(found)?;
    ensure!(inner == width && scrolled <= width, "{scrolled} pixels of {inner}: {wide:?}");
    ensure!(wide.is_empty(), "beyond the edge: {wide:?}");
    Ok(())
}
