//! What keeps people from using the page, as far as axe-core finds it.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use relay_vm::browser;
use serde_json::Value;

use crate::{
    page::{Page, VIEWS},
    stage::Stage,
    views::PHONE,
};

/// Violations with their impact, and what they are of.
const RUN: &str = "
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, impact, help, nodes }) => ({
        id, impact, help, nodes: nodes.map(({ html, failureSummary }) => `${html}: ${failureSummary}`),
    }));";

pub(crate) fn axe_finds_nothing_serious(stage: &Stage) -> Result<()> {
    stage.tell("busy")?;
    let page = Page::open(stage)?;
    load(&page)?;
    for (width, height) in [(1280, 900), PHONE] {
        for scheme in ["light", "dark"] {
            page.browser.show_as(width, height, scheme)?;
            for view in &VIEWS {
                page.show(view)?;
                let what = || format!("{} in {scheme}, {width} pixels wide", view.address);
                require_usable(&page).with_context(what)?;
            }
        }
    }
    stage.tell("rest").map(drop)
}

/// Gives axe to the page. It runs beside the page's own scripts, whose rules do not hold for it.
pub(crate) fn load(page: &Page<'_>) -> Result<()> {
    let script = fs::read_to_string(browser::axe().context("no axe")?)?;
    page.browser.run(&script, &[]).map(drop)
}

/// Nothing is serious or critical in what the page shows.
pub(crate) fn require_usable(page: &Page<'_>) -> Result<()> {
    let found = page.browser.run(&format!("return (async () => {{{RUN}}})()"), &[])?;
    let violations = found.as_array().context("a list of violations")?;
    let is_serious =
        |violation: &&Value| violation["impact"] == "serious" || violation["impact"] == "critical";
    let serious: Vec<_> = violations.iter().filter(is_serious).collect();
    ensure!(serious.is_empty(), "{}", serde_json::to_string_pretty(&serious)?);
    Ok(())
}
