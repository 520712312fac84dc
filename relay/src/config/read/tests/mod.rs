mod broken;
mod examples;
mod files;
mod keys;
mod properties;
mod rules;
mod secrets;
mod warnings;

use super::{parse::parse, *};

/// A relay with both families, and the start of its table.
pub(in crate::config) const RELAY: &str =
    "[relay]\naddress = [\"10.3.2.1/24\", \"fd00::3:2:1/120\"]\n";

/// Public keys of peers a, b and c.
pub(in crate::config) const KEYS: [&str; 3] = [
    "1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI=",
    "bZ2dcK55rLIRrWwkeuzr/MnjxYPbm2QohxAQAOGichQ=",
    "i6JdWpzseo7IhbqJihZqhHfySQH+TNBhV4hWKFAJ6W8=",
];

/// A peer without fault.
const PEER_A: &str = "[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.2.2\"]\n";

/// The text with `{RELAY}`, `{A}` and `{KEY_A}` to `{KEY_C}` filled in.
pub(in crate::config) fn filled(text: &str) -> String {
    let [a, b, c] = KEYS;
    text.replace("{A}\n", PEER_A)
        .replace("{RELAY}\n", RELAY)
        .replace("{KEY_A}", a)
        .replace("{KEY_B}", b)
        .replace("{KEY_C}", c)
}

/// The main file, then fragments `relay.d/1.toml` and so on.
fn sources(texts: &[&str]) -> Vec<Source> {
    let source = |(index, text): (usize, &&str)| {
        let path = match index {
            0 => "relay.toml".into(),
            index => format!("relay.d/{index}.toml").into(),
        };
        Source { path, text: Ok(filled(text)) }
    };
    texts.iter().enumerate().map(source).collect()
}

pub(in crate::config) fn parsed(text: &str) -> Result<Loaded, Problems> {
    parse(&sources(&[text]), Options::default())
}

/// What is wrong with the files, one problem a line.
fn problems(texts: &[&str]) -> String {
    match parse(&sources(texts), Options::default()) {
        Ok(parsed) => panic!("parsed without problems: {:?}", parsed.relay),
        Err(problems) => problems.to_string(),
    }
}

/// A configuration of `count` peers that list `allowed_ips`, addresses 10.0.0.2 and up.
fn many_peers(count: usize, defaults: &str, allowed_ips: impl Fn(usize) -> String) -> String {
    use std::fmt::Write as _;
    let mut text = format!("[relay]\naddress = [\"10.0.0.1/16\"]\n[defaults]\n{defaults}\n");
    for index in 0..count {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&index.to_le_bytes());
        let key = crate::model::PublicKey::from_bytes(key);
        let address = many_address(index);
        let allowed_ips = allowed_ips(index);
        write!(
            text,
            "[[peer]]\nname = \"n{index}\"\npublic_key = \"{key}\"\naddress = [\"{address}\"]\n\
             {allowed_ips}\n"
        )
        .expect("a string takes everything");
    }
    text
}

fn many_address(index: usize) -> std::net::Ipv4Addr {
    let offset = u32::try_from(index + 2).expect("a small number");
    std::net::Ipv4Addr::from_bits(0x0a00_0000 + offset)
}
