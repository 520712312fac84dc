//! The page in a browser.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use relay_tests::deadline;
use serde_json::{Value, json};

use crate::{driver::Browser, stage::Stage};

/// Time limit of what a view shows: an emulated machine answers in tenths of a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the page has what the relay says now.
const LIVE: &str = "return document.body?.dataset.state === 'live'";

/// The page, open in a browser that knows the token.
pub(crate) struct Page<'s> {
    pub(crate) browser: Browser,
    pub(crate) stage: &'s Stage,
}

/// A view of it.
pub(crate) struct View {
    /// What stands behind the `#` in the address.
    pub(crate) address: &'static str,
    /// Something that is there once the view shows what it is for.
    pub(crate) shows: &'static str,
}

/// All views. What they show needs traffic.
pub(crate) const VIEWS: [View; 7] = [
    View { address: "/", shows: "#peers tbody tr:nth-child(6) .state" },
    View { address: "/graph", shows: "svg.graph .node" },
    View { address: "/dropped", shows: ".reason .label" },
    View { address: "/explain?from=node-b&to=node-d&service=tcp/22", shows: ".overall" },
    View { address: "/history", shows: ".chart canvas" },
    View { address: "/events", shows: ".events li" },
    View { address: "/peer/node-b", shows: ".facts dd" },
];

impl<'s> Page<'s> {
    /// Opens the page as somebody does who types user and password, and waits until it is live.
    pub(crate) fn open(stage: &'s Stage) -> Result<Self> {
        let page = Self { browser: Browser::start()?, stage };
        page.browser.show_as(1280, 900, "light")?;
        // The browser keeps what it was given for the server. An address with a password is no place
        // from which a page may ask for more.
        let host = stage.origin.trim_start_matches("https://");
        page.browser.open(&format!("https://anybody:{}@{host}/page/icon.svg", stage.token))?;
        page.browser.open(&format!("{}/", stage.origin))?;
        page.until("a live page", LIVE)?;
        Ok(page)
    }

    /// Shows a view, and waits for what it is for.
    pub(crate) fn show(&self, view: &View) -> Result<()> {
        let script = "location.hash = arguments[0]";
        self.browser.run(script, &[json!(view.address)])?;
        self.until_there(view.shows)
    }

    /// Opens a view anew, with nothing of what was shown before.
    pub(crate) fn open_anew(&self, address: &str) -> Result<()> {
        self.browser.open(&format!("{}/#{address}", self.stage.origin))?;
        self.browser.reload()?;
        self.until("a live page", LIVE)
    }

    /// Waits until something is there and visible.
    pub(crate) fn until_there(&self, selector: &str) -> Result<()> {
        let script = format!(
            "const found = document.querySelectorAll({}); \
             return [...found].some((node) => node.getClientRects().length > 0)",
            json!(selector)
        );
        self.until(selector, &script)
    }

    /// Waits until a script returns `true`.
    pub(crate) fn until(&self, what: &str, script: &str) -> Result<()> {
        let seen = deadline::within(PATIENCE, what, || {
            Ok((self.browser.run(script, &[])? == true).then_some(()))
        });
        seen.with_context(|| self.outline())
    }

    /// The text of what a selector finds.
    pub(crate) fn texts(&self, selector: &str) -> Result<Vec<String>> {
        let script = "return [...document.querySelectorAll(arguments[0])].map((n) => n.innerText)";
        Ok(serde_json::from_value(self.browser.run(script, &[json!(selector)])?)?)
    }

    /// Presses keys that write a text.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        self.browser.press(&text.chars().collect::<Vec<_>>())
    }

    /// Nothing was written to the console, and nobody was asked but the page's own server.
    pub(crate) fn require_quiet(&self) -> Result<()> {
        let said = self.browser.console()?;
        ensure!(said.is_empty(), "the console has:\n{}", said.join("\n"));
        let script = "return performance.getEntriesByType('resource').map(({ name }) => name)";
        let asked: Vec<String> = serde_json::from_value(self.browser.run(script, &[])?)?;
        let own = format!("{}/", self.stage.origin);
        let others: Vec<_> = asked.iter().filter(|name| !name.starts_with(&own)).collect();
        ensure!(others.is_empty(), "the page asked for {others:?}");
        ensure!(!asked.is_empty(), "the page asked for nothing");
        Ok(())
    }

    /// What is to be read on it, for messages.
    fn outline(&self) -> String {
        let text = self.browser.run("return `${location.href}\n${document.body.innerText}`", &[]);
        let said = self.browser.console().unwrap_or_default();
        match text {
            Ok(Value::String(text)) => format!("the page has:\n{text}\n{}", said.join("\n")),
            Ok(other) => format!("the page has {other}"),
            Err(error) => format!("the page cannot be read: {error:#}"),
        }
    }
}
