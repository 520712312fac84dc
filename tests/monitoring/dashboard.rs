//! The dashboard for Grafana against the metrics.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{exposition, expression, text};

/// The dashboard.
pub(crate) fn read() -> Result<Value> {
    Ok(serde_json::from_str(&text("deploy/grafana/relay.json")?)?)
}

/// Its expressions, those of its variables included.
pub(crate) fn expressions(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    each(dashboard, &mut |key, value| {
        if let (Some("expr" | "definition"), Some(text)) = (key, value.as_str()) {
            found.push(text.to_owned());
        }
    });
    found
}

#[test]
fn expressions_name_metrics_and_labels_that_exist() -> Result<()> {
    let known = exposition::metrics(false);
    let mut named = BTreeSet::new();
    for text in expressions(&read()?) {
        named.extend(expression::check(&text, &known)?);
    }
    ensure!(named.len() > 20, "it shows nearly nothing: {named:?}");
    Ok(())
}

#[test]
fn legends_name_labels_that_exist() -> Result<()> {
    let known: BTreeSet<String> = exposition::metrics(false).into_values().flatten().collect();
    let mut unknown = Vec::new();
    each(&read()?, &mut |key, value| {
        if let (Some("legendFormat" | "textFormat"), Some(text)) = (key, value.as_str()) {
            let labels = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
            let missing = labels.filter(|label| !known.contains(*label) && *label != "instance");
            unknown.extend(missing.map(str::to_owned));
        }
    });
    ensure!(unknown.is_empty(), "{unknown:?}");
    Ok(())
}

#[test]
fn panels_have_places_of_their_own_and_ask_the_chosen_data_source() -> Result<()> {
    let dashboard = read()?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().context("a title")?;
        ensure!(ids.insert(panel["id"].as_u64().context("an id")?), "{title}: its id is taken");
        let place = |key| panel["gridPos"][key].as_u64().context("a place");
        let (x, y, w, h) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(x + w <= 24, "{title} is wider than the page");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{title} covers another panel");
        }
        if panel["type"] != "row" {
            ensure!(panel["datasource"]["uid"] == "${datasource}", "{title}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().context("variables")?;
    let names: Vec<_> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    ensure!(names == ["datasource", "instance", "interface", "peer"], "{names:?}");
    Ok(())
}

#[test]
fn nothing_is_fetched_from_anywhere_else() -> Result<()> {
    let file = text("deploy/grafana/relay.json")?;
    ensure!(!file.contains("://"), "it has an address");
    Ok(())
}

/// Looks at every value, with its key in the object that it is in.
fn each(value: &Value, look: &mut impl FnMut(Option<&str>, &Value)) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                look(Some(key.as_str()), field);
                each(field, look);
            }
        }
        Value::Array(items) => {
            for item in items {
                look(None, item);
                each(item, look);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
