//! Output written for a terminal.

/// Strips colours and other escape sequences.
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            // An escape sequence ends at its first letter.
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        assert_eq!(plain("\u{1b}[0m\u{1b}[32mpeer\u{1b}(B\u{1b}[m: 10.3.2.3"), "peer: 10.3.2.3");
    }
}
