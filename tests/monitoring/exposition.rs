//! The metrics of a relay, as text and as samples.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use relay::stats::{Exposition, ScrapeStyle, render_scrape_into};

use crate::reading;

/// Labels of a sample, without `__name__`.
pub(crate) type Labels = BTreeMap<String, String>;

/// Not now, and not the epoch, which is no time of a handshake.
pub(crate) fn some_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_734_000)
}

/// The exposition of a relay that has some of everything.
pub(crate) fn rendered(format: Exposition, compat: bool, now: SystemTime) -> String {
    let mut text = Vec::new();
    let style = ScrapeStyle { format, compat, now };
    render_scrape_into(&mut text, &reading::scrape(now), &style).expect("memory is never full");
    String::from_utf8(text).expect("metrics are text")
}

/// Its metrics, each with the names of its labels.
pub(crate) fn metrics(compat: bool) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (name, labels, _) in samples(&rendered(Exposition::Text, compat, some_time())) {
        metrics.entry(name).or_default().extend(labels.into_keys());
    }
    metrics
}

/// The samples of an exposition.
pub(crate) fn samples(text: &str) -> Vec<(String, Labels, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, rest) = line.split_once('{').expect("labels");
            let (labels, value) = rest.rsplit_once("} ").expect("a value");
            (name.to_owned(), parsed(labels), value.parse().expect("a number"))
        })
        .collect()
}

/// `a="b",c="d"`, with escapes in the values.
fn parsed(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next().expect("a quote ends it") {
                (at, '"') => break at + 1,
                (_, '\\') => match characters.next().expect("something is escaped").1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.trim_start_matches(',').to_owned(), value);
        text = &rest[end..];
    }
    labels
}
