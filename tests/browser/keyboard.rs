//! The page without a pointer.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    driver::key::{ENTER, ESCAPE, SHIFT, SPACE, TAB},
    page::{Page, VIEWS, View},
    stage::Stage,
};

/// All that can be operated and is visible, each with a name; the Tab key has to reach it. Of the
/// nodes of a drawing it reaches one, and arrows the others.
const CONTROLS: &str = "
    const wanted = 'a[href], button, input, select, summary, [tabindex=\"0\"]';
    const seen = (n) => n.getClientRects().length > 0 && !n.disabled && !n.closest('details:not([open]) > :not(summary)');
    window.nameOf = (n) => `${n.tagName.toLowerCase()} ${n.id || n.getAttribute('href') || n.getAttribute('aria-label') || n.textContent.trim()}`;
    return [...document.querySelectorAll(wanted)].filter(seen).map(nameOf);";

/// The name of what has the focus, and whether one sees that it has.
const FOCUSED: &str = "
    const node = document.activeElement;
    if (!node || node === document.body) return null;
    const { outlineStyle, outlineWidth } = getComputedStyle(node);
    const { top, bottom, height } = node.getBoundingClientRect();
    const isSeen = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1;
    const isInside = height === 0 || (bottom > 0 && top < innerHeight);
    return [nameOf(node), isSeen && isInside];";

/// More than any view has.
const TABS_MAX: usize = 120;

pub(crate) fn all_can_be_done_by_keyboard(stage: &Stage) -> Result<()> {
    // What is shown stays as it is.
    stage.tell("rest")?;
    let page = Page::open(stage)?;
    for view in &VIEWS {
        page.open_anew(view.address)?;
        // While the peers rest there are none.
        if view.address != "/events" {
            page.until_there(view.shows)?;
        }
        all_is_reached(&page).with_context(|| view.address)?;
    }
    the_content_is_skipped_to(&page)?;
    a_peer_opens_and_closes(&page)?;
    peers_are_sorted_and_filtered(&page)?;
    the_drawing_is_walked(&page)
}

fn all_is_reached(page: &Page<'_>) -> Result<()> {
    let wanted: BTreeSet<String> = serde_json::from_value(page.browser.run(CONTROLS, &[])?)?;
    let mut reached = BTreeSet::new();
    for _ in 0..TABS_MAX {
        page.browser.press(&[TAB])?;
        let focused = page.browser.run(FOCUSED, &[])?;
        // Behind the last one is the browser itself.
        let Some((name, is_seen)) = serde_json::from_value::<Option<(String, bool)>>(focused)?
        else {
            break;
        };
        ensure!(is_seen, "nothing shows that {name:?} has the focus");
        if !reached.insert(name) && reached.is_superset(&wanted) {
            break;
        }
    }
    let missing: Vec<_> = wanted.difference(&reached).collect();
    ensure!(missing.is_empty(), "the Tab key does not reach {missing:?}, only {reached:?}");
    Ok(())
}

fn the_content_is_skipped_to(page: &Page<'_>) -> Result<()> {
    page.open_anew("/")?;
    page.until_there(VIEWS[0].shows)?;
    page.browser.press(&[TAB, ENTER])?;
    page.until("the focus on the content", "return document.activeElement.id === 'main'")
}

fn a_peer_opens_and_closes(page: &Page<'_>) -> Result<()> {
    page.browser.run(CONTROLS, &[])?;
    tab_to(page, TAB, "a #/peer/node-b")?;
    page.browser.press(&[ENTER])?;
    page.until("the page of node-b", "return document.querySelector('h1').innerText === 'node-b'")?;
    page.until("the focus on it", "return document.activeElement.id === 'main'")?;
    tab_to(page, TAB, "a #/")?;
    page.browser.press(&[ENTER])?;
    page.until("all peers", "return document.querySelector('h1').innerText === 'Peers'")
}

fn peers_are_sorted_and_filtered(page: &Page<'_>) -> Result<()> {
    page.until_there(VIEWS[0].shows)?;
    tab_to(page, TAB, "button Peer")?;
    page.browser.press(&[SPACE])?;
    let first = "document.querySelector('#peers tbody a').innerText";
    page.until("peers by name", &format!("return {first} === 'laptop'"))?;
    page.browser.press(&[ENTER])?;
    page.until("the reverse", &format!("return {first} === 'phone'"))?;
    page.browser.press(&[ENTER])?;
    page.until("the order of the configuration", &format!("return {first} === 'node-a'"))?;
    // Backwards, as the filter is above the table.
    tab_back_to(page, "input filter")?;
    page.write("node-c")?;
    let rows = "document.querySelectorAll('#peers tbody tr').length";
    page.until("one peer", &format!("return {rows} === 1 && {first} === 'node-c'"))?;
    page.browser.press(&[ESCAPE])?;
    page.until("all of them", &format!("return {rows} === 6"))
}

fn the_drawing_is_walked(page: &Page<'_>) -> Result<()> {
    const RIGHT: char = '\u{e014}';
    page.show(&View { address: "/graph", shows: "svg.graph .node" })?;
    page.browser.run(CONTROLS, &[])?;
    let focused = "return document.activeElement.getAttribute('aria-label')?.split(':')[0] ?? null";
    for _ in 0..TABS_MAX {
        page.browser.press(&[TAB])?;
        if page.browser.run(focused, &[])? == "node-a" {
            break;
        }
    }
    page.browser.press(&[RIGHT])?;
    ensure!(page.browser.run(focused, &[])? == "node-b", "an arrow leads to the next");
    page.browser.press(&[ENTER])?;
    page.until(
        "its relations",
        "return document.querySelector('.panel h2').innerText === 'node-b'",
    )?;
    page.browser.press(&[ESCAPE])?;
    page.until("nothing selected", "return document.querySelector('[aria-pressed=true]') === null")
}

/// Presses a key until something has the focus.
fn tab_to(page: &Page<'_>, key: char, name: &str) -> Result<()> {
    walk_to(page, name, || page.browser.press(&[key]))
}

fn tab_back_to(page: &Page<'_>, name: &str) -> Result<()> {
    walk_to(page, name, || page.browser.press_with(SHIFT, TAB))
}

fn walk_to(page: &Page<'_>, name: &str, step: impl Fn() -> Result<()>) -> Result<()> {
    for _ in 0..TABS_MAX {
        step()?;
        if page.browser.run(FOCUSED, &[])?.get(0).and_then(Value::as_str) == Some(name) {
            return Ok(());
        }
    }
    bail!("{} is not reached: {}", name, page.browser.run(CONTROLS, &[json!(name)])?)
}
