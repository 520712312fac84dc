//! Where groups, rules and tests of a text name a peer.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::model::PeerName;

/// A place that names a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// The name with its quotes.
    span: Range<usize>,
    /// The list that it is in.
    list: Option<List>,
    /// What cannot be without it: the name in messages, such as `to of rule admins-ssh`.
    pub(super) needed_by: Option<String>,
}

/// A list, as its elements.
#[derive(Debug, PartialEq, Eq)]
struct List {
    before: Option<Range<usize>>,
    after: Option<Range<usize>>,
    end: usize,
}

/// All places that name a peer, in the order of the text.
pub(super) fn mentions(text: &str, name: &PeerName) -> Vec<Mention> {
    let mut found = Vec::new();
    let Ok(root) = DeTable::parse(text) else { return found };
    let root = root.get_ref();
    if let Some(groups) = root.get("groups").and_then(|groups| groups.get_ref().as_table()) {
        groups.values().for_each(|members| in_list(members, name, None, &mut found));
    }
    for rule in tables(root, "rule") {
        let label = rule.get("name").and_then(|name| name.get_ref().as_str()).unwrap_or_default();
        for key in ["from", "to", "except"] {
            let needed_by = (key != "except").then(|| format!("{key} of rule {label}"));
            if let Some(list) = rule.get(key) {
                in_list(list, name, needed_by, &mut found);
            }
        }
    }
    for test in tables(root, "test") {
        for key in ["from", "to"] {
            let end = test.get(key).filter(|end| end.get_ref().as_str() == Some(name.as_str()));
            found.extend(end.map(|end| Mention {
                span: end.span(),
                list: None,
                needed_by: Some(format!("{key} of a test")),
            }));
        }
    }
    found.sort_by_key(|mention| mention.span.start);
    found
}

impl Mention {
    /// The line of the text, from 1.
    pub(super) fn line(&self, text: &str) -> usize {
        text[..self.span.start].matches('\n').count() + 1
    }
}

/// The text with another name in all these places.
pub(super) fn renamed(text: &str, mentions: &[Mention], new: &PeerName) -> String {
    let mut changed = text.to_owned();
    for mention in mentions.iter().rev() {
        changed.replace_range(mention.span.clone(), &format!("\"{new}\""));
    }
    changed
}

/// The text with the name taken out of all these lists.
pub(super) fn taken_out(text: &str, mentions: &[Mention]) -> String {
    let mut changed = text.to_owned();
    for mention in mentions.iter().rev() {
        if let Some(list) = &mention.list {
            changed.replace_range(list.part(text, &mention.span), "");
        }
    }
    changed
}

fn tables<'t>(root: &'t DeTable<'t>, name: &str) -> impl Iterator<Item = &'t DeTable<'t>> {
    let list = root.get(name).and_then(|list| list.get_ref().as_array());
    list.into_iter().flat_map(|list| list.iter()).filter_map(|one| one.get_ref().as_table())
}

fn in_list(
    value: &Spanned<DeValue<'_>>,
    name: &PeerName,
    needed_by: Option<String>,
    found: &mut Vec<Mention>,
) {
    let Some(array) = value.get_ref().as_array() else { return };
    let spans: Vec<Range<usize>> = array.iter().map(|element| element.span()).collect();
    for (place, element) in array.iter().enumerate() {
        if element.get_ref().as_str() == Some(name.as_str()) {
            let before = place.checked_sub(1).map(|before| spans[before].clone());
            let list = List { before, after: spans.get(place + 1).cloned(), end: value.span().end };
            let needed_by = needed_by.clone().filter(|_| spans.len() == 1);
            found.push(Mention { span: element.span(), list: Some(list), needed_by });
        }
    }
}

impl List {
    /// The part of the text that goes with an element: its line if it is alone there, else the
    /// element and one comma.
    fn part(&self, text: &str, element: &Range<usize>) -> Range<usize> {
        let rest = &text[element.end..self.end];
        let comma =
            rest.find(|c: char| !c.is_whitespace()).filter(|at| rest[*at..].starts_with(','));
        let behind = element.end + comma.map_or(0, |at| at + 1);
        let start = text[..element.start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = &text[behind..self.end];
        let line = line.find('\n').map(|end| (line[..end].trim(), behind + end + 1));
        let is_alone = text[start..element.start].trim().is_empty();
        match (line, &self.before, &self.after) {
            (Some((after, end)), _, _)
                if is_alone && (after.is_empty() || after.starts_with('#')) =>
            {
                start..end
            }
            (_, _, Some(next)) if !text[behind..next.start].contains('\n') => {
                element.start..next.start
            }
            (_, Some(before), _) => before.end..element.end,
            (_, None, _) => element.start..behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(list: &str) -> String {
        let text = format!("[groups]\nx = {list}\n");
        let name = "b".parse().expect("a name");
        let after = taken_out(&text, &mentions(&text, &name));
        assert!(DeTable::parse(&after).is_ok(), "{after}");
        assert_eq!(mentions(&after, &name), []);
        after.strip_prefix("[groups]\nx = ").expect("a list").trim_end().to_owned()
    }

    #[test]
    fn a_list_keeps_its_form_without_an_element() {
        for (before, after) in [
            ("[\"b\"]", "[]"),
            ("[ \"b\", ]", "[  ]"),
            ("[\"a\", \"b\", \"c\"]", "[\"a\", \"c\"]"),
            ("[\"b\", \"c\"]", "[\"c\"]"),
            ("[\"a\", 'b']", "[\"a\"]"),
            ("[\"a\", \"b\",]", "[\"a\",]"),
            ("[\n  \"a\", # A.\n  \"b\", # B.\n  \"c\",\n]", "[\n  \"a\", # A.\n  \"c\",\n]"),
            ("[\n  \"a\",\n  # B.\n  \"b\"\n]", "[\n  \"a\",\n  # B.\n]"),
            ("[\"a\", \"b\",\n \"c\"]", "[\"a\",\n \"c\"]"),
            ("[\"b\",\n \"c\"]", "[\n \"c\"]"),
        ] {
            assert_eq!(removed(before), after, "{before}");
        }
    }

    #[test]
    fn rules_and_tests_need_their_only_peer() {
        let text = "[[rule]]\nname = \"r\"\nfrom = [\"b\"]\nto = [\"a\", \"b\"]\nexcept = [\"b\"]\n\
                    [[test]]\nfrom = \"a\"\nto = \"b\"\n";
        let found = mentions(text, &"b".parse().expect("a name"));
        let needed: Vec<_> =
            found.iter().map(|it| (it.line(text), it.needed_by.as_deref())).collect();
        let expected =
            [(3, Some("from of rule r")), (4, None), (5, None), (8, Some("to of a test"))];
        assert_eq!(needed, expected);
    }
}
