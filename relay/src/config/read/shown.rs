//! Text of a file, quoted in messages: short, and never a secret.

/// A value in quotes, truncated if long, hidden if it may be a key.
pub(in crate::config) fn shown(text: &str) -> String {
    const MOST: usize = 64;
    if looks_secret(text) {
        "(hidden)".to_owned()
    } else if text.chars().count() > MOST {
        let start: String = text.chars().take(MOST).collect();
        format!("{start:?}...")
    } else {
        format!("{text:?}")
    }
}

/// A TOML key: bare if it can be, otherwise as [`shown`].
pub(in crate::config) fn shown_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() < 40 && name.chars().all(bare) {
        name.to_owned()
    } else {
        shown(name)
    }
}

/// Whether a text may contain a key: 40 base64 characters in a row. (A key has 44, or 64 in
/// hexadecimal, and may be truncated.)
pub(in crate::config) fn looks_secret(text: &str) -> bool {
    let in_key = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    text.split(|c| !in_key(c)).any(|run| run.len() >= 40)
}
