//! The metrics and labels that an expression of PromQL names.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

/// What our metrics begin with.
const PREFIX: &str = "wgrelay_";

/// Labels that Prometheus adds, and the one by which a peer is watched.
const ADDED: [&str; 3] = ["instance", "job", "watched"];

/// Checks that each metric exists with each label by which an expression selects, groups or joins.
///
/// # Errors
/// One does not.
pub(crate) fn check(
    expression: &str,
    known: &BTreeMap<String, BTreeSet<String>>,
) -> Result<BTreeSet<String>> {
    let words = words(expression);
    let mut named = BTreeSet::new();
    let mut of_all = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        if !word.starts_with(PREFIX) {
            continue;
        }
        let labels = known.get(word);
        ensure!(labels.is_some(), "there is no metric {word}, in: {expression}");
        let labels = labels.into_iter().flatten();
        let has: BTreeSet<&str> = labels.map(String::as_str).chain(ADDED).collect();
        if words.get(at + 1).is_some_and(|next| next == "{") {
            for label in inside(&words[at + 2..], "}").step_by(3) {
                ensure!(has.contains(label), "{word} has no label {label}, in: {expression}");
            }
        }
        of_all.extend(has);
        named.insert(word.clone());
    }
    for (at, word) in words.iter().enumerate() {
        let is_grouping = ["by", "on", "ignoring", "without", "group_left"].contains(&&**word);
        if is_grouping && words.get(at + 1).is_some_and(|next| next == "(") {
            for label in inside(&words[at + 2..], ")") {
                ensure!(of_all.contains(label), "no metric has {label}, in: {expression}");
            }
        }
    }
    Ok(named)
}

/// Words up to an end, without commas.
fn inside<'w>(words: &'w [String], end: &'w str) -> impl Iterator<Item = &'w str> {
    words
        .iter()
        .map(String::as_str)
        .take_while(move |word| *word != end)
        .filter(|word| *word != ",")
}

/// Names, strings, operators of selectors and punctuation.
fn words(expression: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut characters = expression.chars().peekable();
    while let Some(first) = characters.next() {
        let mut word = String::from(first);
        if first == '"' {
            word.extend(characters.by_ref().take_while(|c| *c != '"'));
        } else if is_name(first) {
            while let Some(next) = characters.next_if(|c| is_name(*c)) {
                word.push(next);
            }
        } else if matches!(first, '=' | '!') {
            word.extend(characters.next_if(|c| matches!(c, '~' | '=')));
        } else if first.is_whitespace() {
            continue;
        }
        words.push(word);
    }
    words
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$')
}

#[test]
fn an_expression_is_held_against_what_there_is() {
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let known = [
        ("wgrelay_a".to_owned(), labels(&["interface", "peer"])),
        ("wgrelay_b".to_owned(), labels(&["interface"])),
    ];
    let known = BTreeMap::from(known);
    for right in [
        "wgrelay_a",
        r#"sum by (peer, job) (rate(wgrelay_a{peer=~"x,}|y", instance!=""}[5m])) > 1"#,
        "wgrelay_a / on (interface) wgrelay_b",
    ] {
        assert!(check(right, &known).is_ok(), "{right}: {:?}", check(right, &known));
    }
    for wrong in [
        "wgrelay_c",
        r#"wgrelay_b{peer="x"}"#,
        r#"wgrelay_a{peer="x", rule="y"}"#,
        "sum by (peer) (wgrelay_b)",
        "wgrelay_a / on (rule) wgrelay_b",
    ] {
        assert!(check(wrong, &known).is_err(), "{wrong}");
    }
}
