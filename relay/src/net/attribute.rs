//! Attributes of netlink messages, which may contain attributes.

use rtnetlink::packet_core::{DefaultNla, Emitable as _, NLA_TYPE_MASK};

/// An attribute to send.
pub(in crate::net) type Attribute = DefaultNla;

/// An attribute with this value.
pub(in crate::net) fn attribute(kind: u16, value: impl AsRef<[u8]>) -> Attribute {
    DefaultNla::new(kind, value.as_ref().to_vec())
}

/// A zero-terminated string.
pub(in crate::net) fn string(kind: u16, text: &str) -> Attribute {
    attribute(kind, [text.as_bytes(), &[0]].concat())
}

/// An attribute that contains others.
pub(in crate::net) fn nested(kind: u16, inner: &[Attribute]) -> Attribute {
    attribute(kind, encode(inner))
}

/// The encoded attributes, each padded to four bytes.
pub(in crate::net) fn encode(attributes: &[Attribute]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

/// Type and value of the attributes in a message or in another attribute.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1, ..] = *rest else { return None };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & NLA_TYPE_MASK, value))
    })
}

/// The value of the attribute of a type; empty if there is none.
pub(in crate::net) fn find(bytes: &[u8], kind: u16) -> &[u8] {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value).unwrap_or_default()
}

/// A number; nf_tables sends it in network byte order.
pub(in crate::net) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// A zero-terminated string.
pub(in crate::net) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}
