use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use crate::model::{PublicKey, RelayName};

/// What a relay says of a peer that is at home there. In gossip it is the text that
/// [`fmt::Display`] writes: `7 1764250000 192.0.2.1:51820`, or `-` in place of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Counts the moves of the peer: one more than all that the relay had heard of when the peer came.
    pub version: u32,
    /// The latest handshake with the peer, Unix seconds; 0 if it is not known yet.
    pub handshake: u64,
    /// From where the peer speaks on the underlay.
    pub endpoint: Option<SocketAddr>,
}

/// Why a text in gossip is not a claim, or not the key of one. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Not three words.
    #[error("claim: is not version, handshake and endpoint with one space between them")]
    Words,
    /// The first word.
    #[error("claim: the version is not a decimal number from 1 to 4294967295")]
    Version,
    /// The second word.
    #[error("claim: the handshake is not a decimal number of seconds")]
    Handshake,
    /// The third word.
    #[error("claim: the endpoint is neither address:port nor \"-\"")]
    Endpoint,
    /// The key.
    #[error("claim: its key is not 32 bytes in base64 without padding (43 characters)")]
    Key,
}

/// Longest text of a claim, bytes: 10 digits, 20 digits, an IPv6 address in brackets and its port.
pub(super) const MAX_TEXT_LEN: usize = 10 + 1 + 20 + 1 + 47;

/// Length of the key of a claim in gossip, bytes.
pub(super) const KEY_LEN: usize = 43;

impl Claim {
    /// A claim with an endpoint that means the same on every host: without the scope of a link-local
    /// address, and none if it has no port or is a loopback address.
    pub fn new(version: u32, handshake: u64, endpoint: Option<SocketAddr>) -> Self {
        let endpoint = endpoint
            .map(|endpoint| SocketAddr::new(endpoint.ip().to_canonical(), endpoint.port()))
            .filter(|endpoint| endpoint.port() != 0 && !endpoint.ip().is_loopback());
        Self { version, handshake, endpoint }
    }

    /// Whether this claim of `relay` prevails over another one of the same peer: the greater version,
    /// then the later handshake, then the relay whose name is later in the alphabet.
    pub fn prevails(&self, relay: &RelayName, other: &Self, other_relay: &RelayName) -> bool {
        (self.version, self.handshake, relay) > (other.version, other.handshake, other_relay)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.version, self.handshake)?;
        match self.endpoint {
            Some(endpoint) => write!(f, "{endpoint}"),
            None => f.write_str("-"),
        }
    }
}

impl FromStr for Claim {
    type Err = ClaimError;

    fn from_str(text: &str) -> Result<Self, ClaimError> {
        let mut words = text.split(' ');
        let (Some(version), Some(handshake), Some(endpoint), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(ClaimError::Words);
        };
        let version = number(version).and_then(|version| u32::try_from(version).ok());
        let version = version.filter(|version| *version > 0).ok_or(ClaimError::Version)?;
        let handshake = number(handshake).ok_or(ClaimError::Handshake)?;
        let endpoint = match endpoint {
            "-" => None,
            text => Some(socket_address(text).ok_or(ClaimError::Endpoint)?),
        };
        Ok(Self { version, handshake, endpoint })
    }
}

/// A decimal number as it is written: without sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

fn socket_address(text: &str) -> Option<SocketAddr> {
    let endpoint: SocketAddr = text.parse().ok()?;
    let scoped = matches!(endpoint, SocketAddr::V6(endpoint) if endpoint.scope_id() != 0);
    let usable = endpoint.port() != 0
        && !scoped
        && endpoint.to_string() == text
        && !endpoint.ip().is_loopback()
        && !endpoint.ip().is_unspecified()
        && !endpoint.ip().is_multicast()
        && !matches!(endpoint.ip(), IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    usable.then_some(endpoint)
}

/// The key of a peer's claim in gossip.
pub(super) fn key_text(peer: &PublicKey) -> String {
    STANDARD_NO_PAD.encode(peer.as_bytes())
}

/// The peer of a key in gossip.
///
/// # Errors
/// It is not the key of a claim.
pub(super) fn parse_key(text: &str) -> Result<PublicKey, ClaimError> {
    // The decoder estimates 33 bytes for 43 characters, and fails with a smaller buffer.
    let mut buffer = [0; 33];
    match STANDARD_NO_PAD.decode_slice(text, &mut buffer) {
        Ok(32) if text.len() == KEY_LEN => {
            let mut key = [0; 32];
            key.copy_from_slice(&buffer[..32]);
            Ok(PublicKey::from_bytes(key))
        }
        Ok(_) | Err(_) => Err(ClaimError::Key),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> RelayName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_claim_is_read_as_it_is_written() {
        for text in [
            "1 0 -",
            "7 1764250000 192.0.2.1:51820",
            "4294967295 18446744073709551615 [2001:db8::1]:1",
        ] {
            let claim: Claim = text.parse().expect(text);
            assert_eq!(claim.to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_claim_is_an_error_that_names_the_word() {
        let cases = [
            ("", ClaimError::Words),
            ("1 2", ClaimError::Words),
            ("1 2 - ", ClaimError::Words),
            ("0 2 -", ClaimError::Version),
            ("01 2 -", ClaimError::Version),
            ("+1 2 -", ClaimError::Version),
            ("4294967296 2 -", ClaimError::Version),
            ("1 -2 -", ClaimError::Handshake),
            ("1  -", ClaimError::Handshake),
            ("1 18446744073709551616 -", ClaimError::Handshake),
            ("1 2 192.0.2.1", ClaimError::Endpoint),
            ("1 2 192.0.2.1:0", ClaimError::Endpoint),
            ("1 2 127.0.0.1:9", ClaimError::Endpoint),
            ("1 2 [fe80::1%3]:9", ClaimError::Endpoint),
            ("1 2 [::ffff:192.0.2.1]:9", ClaimError::Endpoint),
            ("1 2 peer.example:9", ClaimError::Endpoint),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Claim>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_longest_claim_is_not_longer_than_the_limit() {
        let endpoint = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        let claim =
            Claim { version: u32::MAX, handshake: u64::MAX, endpoint: endpoint.parse().ok() };
        assert_eq!(claim.to_string().len(), MAX_TEXT_LEN);
    }

    #[test]
    fn version_then_handshake_then_name_decide() {
        let claim = |version, handshake| Claim::new(version, handshake, None);
        let (a, b) = (&name("a"), &name("b"));
        assert!(claim(2, 1).prevails(a, &claim(1, 9), b));
        assert!(claim(1, 9).prevails(a, &claim(1, 1), b));
        assert!(claim(1, 1).prevails(b, &claim(1, 1), a));
        assert!(!claim(1, 1).prevails(a, &claim(1, 1), a));
    }

    #[test]
    fn an_endpoint_that_means_nothing_elsewhere_is_left_out() {
        let endpoint = |text: &str| Claim::new(1, 0, text.parse().ok()).endpoint;
        assert_eq!(endpoint("127.0.0.1:9"), None);
        assert_eq!(endpoint("192.0.2.1:0"), None);
        assert_eq!(endpoint("[::ffff:192.0.2.1]:9"), "192.0.2.1:9".parse().ok());
    }

    #[test]
    fn a_key_is_the_peers_in_base64_without_padding() {
        let peer = PublicKey::from_bytes([7; 32]);
        let text = key_text(&peer);
        assert_eq!(text.len(), KEY_LEN);
        assert_eq!(parse_key(&text), Ok(peer));
        for text in ["", "policy", &format!("{text}="), &text[1..], &format!("{}/", &text[..42])] {
            assert_eq!(parse_key(text), Err(ClaimError::Key), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,90}") {
            if let Ok(claim) = text.parse::<Claim>() {
                prop_assert_eq!(claim.to_string(), text.clone());
            }
            let _ = parse_key(&text);
        }
    }
}
