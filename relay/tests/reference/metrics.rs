//! `docs/reference/metrics.md`, from what the renderer is known to write: its own snapshots.

use std::fs;

use crate::{
    markdown::{code, table},
    page,
};

#[test]
fn the_page_of_metrics_is_current() {
    let parts = [
        ("relay stats", families("prometheus__tests__the_text_format_for_prometheus")),
        ("relay stats --pairs", families("prometheus__tests__the_metrics_of_pairs")),
        ("relay stats --rules", families("prometheus__tests__the_metrics_of_rules")),
    ];
    let mut all = families("scrape__tests__a_scrape_is_one_exposition_of_everything");
    all.retain(|row| !parts.iter().any(|(_, rows)| rows.iter().any(|other| other[0] == row[0])));
    let compat = families("compat__tests__names_labels_and_values_are_those_of_the_originals");
    let served = ["`wgrelay_webhook_", "`wgrelay_name_"];
    let is_served = |row: &[String; 4]| served.iter().any(|prefix| row[0].starts_with(prefix));
    let (served, all) = all.into_iter().partition(is_served);
    let rest = [
        ("relay stats --all", all),
        ("relay stats --all --compat", compat),
        ("relay serve", served),
    ];
    let sections = parts.into_iter().chain(rest).map(|(command, rows)| {
        format!("## `{command}`\n\n{}", table(["metric", "type", "labels", "meaning"], rows))
    });
    page::check("metrics", &sections.collect::<Vec<_>>().join("\n"));
}

/// Metric families in the order in which they are written.
fn families(snapshot: &str) -> Vec<[String; 4]> {
    let file = format!("relay__stats__{snapshot}.snap");
    let file = page::root().join("relay/src/stats/snapshots").join(file);
    let text = fs::read_to_string(&file).expect("the renderer's snapshot");
    let mut rows: Vec<[String; 4]> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            rows.push([name.to_owned(), String::new(), String::new(), help.to_owned()]);
            continue;
        }
        let Some([name, kind, labels, _]) = rows.last_mut() else { continue };
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            *kind = typed.split_once(' ').expect("a kind").1.to_owned();
        } else if let Some((sample, rest)) = line.split_once('{') {
            *labels = label_names(rest);
            *name = sample.to_owned();
        }
    }
    let rows = rows.into_iter();
    rows.map(|[name, kind, labels, help]| [code(&name), kind, labels, help]).collect()
}

/// The names in `interface="relay0",peer="node-a"} 1`.
fn label_names(labels: &str) -> String {
    let mut names = Vec::new();
    let mut rest = labels;
    while let Some((name, value)) = rest.split_once("=\"") {
        names.push(code(name.trim_start_matches(',')));
        rest = value.split_once('"').expect("the value's end").1;
    }
    names.join(", ")
}
