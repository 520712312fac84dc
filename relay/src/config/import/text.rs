//! Decodes the encodings that editors write.

use zeroize::Zeroizing;

use super::remarks::Remark;

/// Windows-1252 from 0x80, where Latin-1 has control characters.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text, and a remark if it is not UTF-8. `None` for binary files.
pub(super) fn decode(bytes: &[u8]) -> Option<(Zeroizing<String>, Option<Remark>)> {
    if let Some(unit) = utf16(bytes) {
        return Some((decode_utf16(bytes, unit), Some(remark(1, "is UTF-16"))));
    }
    if bytes.contains(&0) {
        return None;
    }
    // A byte becomes three at most, so the buffer never grows and leaves no copy of a key behind.
    let mut text = Zeroizing::new(String::with_capacity(3 * bytes.len()));
    let mut first_other = None;
    let is_old_mac = !bytes.contains(&b'\n');
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_not_utf8) => {
                first_other.get_or_insert(index + 1);
                text.extend(line.iter().map(|&byte| of_windows(byte)));
            }
        }
    }
    if is_old_mac && text.contains('\r') {
        text = Zeroizing::new(text.replace('\r', "\n"));
    }
    let other = first_other.map(|line| remark(line, "is not UTF-8; read as Windows-1252"));
    Some((text, other))
}

fn remark(line: usize, text: &str) -> Remark {
    Remark { line, text: text.to_owned() }
}

fn of_windows(byte: u8) -> char {
    let at = usize::from(byte).checked_sub(0x80);
    at.and_then(|at| WINDOWS.get(at)).copied().unwrap_or(char::from(byte))
}

/// The byte order of UTF-16, by its mark or by the zeros of ASCII characters.
fn utf16(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    match bytes {
        [0xff, 0xfe, ..] | [1..=255, 0, 1..=255, 0, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, 1..=255, 0, 1..=255, ..] => Some(u16::from_be_bytes),
        _ => None,
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Zeroizing<String> {
    let (pairs, _half) = bytes.as_chunks();
    let units = pairs.iter().map(|pair| unit(*pair));
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    let characters = char::decode_utf16(units);
    text.extend(characters.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Option<(String, Option<usize>)> {
        decode(bytes).map(|(text, other)| (text.to_string(), other.map(|remark| remark.line)))
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let written = "[Interface]\r\n# José’s\r\n";
        let expected = |line| Some((written.to_owned(), line));
        assert_eq!(text(written.as_bytes()), expected(None));
        assert_eq!(text(b"[Interface]\r\n# Jos\xe9\x92s\r\n"), expected(Some(2)));
        let units = || written.encode_utf16();
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text(&little), expected(Some(1)));
        assert_eq!(text(&big), expected(Some(1)));
        let marked = Some((format!("\u{feff}{written}"), Some(1)));
        assert_eq!(text(&[b"\xff\xfe", &little[..]].concat()), marked);
        assert_eq!(text(&[b"\xfe\xff", &big[..]].concat()), marked);
    }

    #[test]
    fn carriage_returns_alone_end_lines_too() {
        assert_eq!(text(b"[Interface]\rMTU = 1\r"), Some(("[Interface]\nMTU = 1\n".into(), None)));
    }

    #[test]
    fn what_holds_zeros_is_no_text() {
        assert_eq!(text(b"SQLite format 3\0\x10\0"), None);
        assert_eq!(text(b""), Some((String::new(), None)));
    }
}
