//! How messages quote what stands in a file: short, and never a secret.

/// A value in quotes for a message, cut when long, and hidden when it may be a key.
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

/// A key's name for a message: as it is when it could stand bare, otherwise as [`shown`].
pub(super) fn shown_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() < 40 && name.chars().all(bare) {
        name.to_owned()
    } else {
        shown(name)
    }
}

/// Whether a text could be, or hold, key material: 40 base64 or hexadecimal characters in a row.
/// (A key is 44 in base64 and 64 in hexadecimal, and may have been cut in pasting.)
pub(in crate::config) fn looks_secret(text: &str) -> bool {
    let in_key = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    text.split(|c| !in_key(c)).any(|run| run.len() >= 40)
}
