//! The page of a relay with a thousand peers.

use anyhow::Result;

use crate::{
    axe,
    driver::key,
    page::{Page, View},
    shown,
    stage::Stage,
    views::{self, PHONE},
};

/// The table, once it has them all.
const PEERS: View = View { address: "/", shows: ".pager .numbers" };

/// The drawing, of groups.
const GRAPH: View = View { address: "/graph", shows: "svg.graph .node" };

pub(crate) fn a_thousand_peers_are_shown(stage: &Stage) -> Result<()> {
    stage.tell("rest")?;
    let page = Page::open(stage)?;
    page.until_there("#peers tbody tr:nth-child(6) .state")?;
    // They come while the page is open.
    stage.tell("grow 1000")?;
    let found =
        |text: &str| format!("return document.querySelector('.found').innerText === '{text}'");
    page.until("a thousand peers", &found("1000 peers"))?;
    page.until_there(PEERS.shows)?;
    shown::time_updates(&page)?;

    page.browser.run("document.getElementById('filter').focus()", &[])?;
    page.write("peer-0999")?;
    page.until("one of them", &found("1 of 1000 peers"))?;
    page.browser.press(&[key::ESCAPE])?;
    page.until("all of them", &found("1000 peers"))?;
    page.browser.run("document.querySelector('.pager button:last-of-type').click()", &[])?;
    let numbers = "return document.querySelector('.pager .numbers').innerText";
    page.until("the second hundred", &format!("{numbers} === '101 to 200 of 1000'"))?;

    axe::load(&page)?;
    for view in [PEERS, GRAPH] {
        page.show(&view)?;
        axe::require_usable(&page)?;
    }
    let (width, height) = PHONE;
    page.browser.show_as(width, height, "dark")?;
    for view in [PEERS, GRAPH] {
        page.show(&view)?;
        views::require_fit(&page, width)?;
    }
    page.require_quiet()
}
