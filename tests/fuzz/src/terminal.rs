//! What is printed for people: it fits a terminal, and has nothing of a key.

use std::fmt::Display;

/// Characters of the longest line. The longest names and lists that a message shows take a part of it.
const LONGEST: usize = 2_000;

/// Characters of base64 in a row that may be a key, or the most of one.
const KEY: usize = 40;

/// Checks a message about an input.
pub(crate) fn check(message: impl Display, input: &str) {
    let message = message.to_string();
    assert!(!message.trim().is_empty(), "a message without text");
    for line in message.lines() {
        assert!(line.chars().count() <= LONGEST, "a line of {} bytes: {line}", line.len());
        let odd = line.chars().find(|character| is_odd(*character));
        assert!(odd.is_none(), "{odd:?} in a message: {line:?}");
    }
    for key in runs(&message).filter(|run| run.len() >= KEY) {
        assert!(!input.contains(key), "a message has what may be a key: {message}");
    }
}

/// Whether a terminal does something else with it than show it where it stands.
fn is_odd(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns
}

/// Characters of base64 in a row.
pub(crate) fn runs(text: &str) -> impl Iterator<Item = &str> {
    let in_key = |character: char| character.is_ascii_alphanumeric() || "+/=".contains(character);
    text.split(move |character| !in_key(character)).filter(|run| !run.is_empty())
}
