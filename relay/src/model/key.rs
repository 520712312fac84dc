use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Length of every WireGuard key, bytes.
const KEY_LEN: usize = 32;

/// A Curve25519 public key (WireGuard paper, section 5.4). Shown in base64, as `wg(8)` does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_LEN]);

/// A Curve25519 private key: no `Display`, redacted `Debug`, wiped on drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; KEY_LEN]);

/// A preshared symmetric key (WireGuard paper, section 5.2): no `Display`, redacted `Debug`,
/// wiped on drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PresharedKey([u8; KEY_LEN]);

/// Why a text is not a key. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the 44 characters of a key in base64.
    #[error("is not 32 bytes in base64 (44 characters, the last one '=')")]
    Encoding,
    /// All bytes zero: what WireGuard uses for "no key".
    #[error("is all zeros")]
    Zero,
}

impl PublicKey {
    /// The key of these bytes.
    pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl PrivateKey {
    /// A new key from the system's random number generator, clamped (RFC 7748, section 5).
    ///
    /// # Errors
    /// The random number generator failed.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(bytes.as_mut_slice())?;
        bytes[0] &= 0xf8;
        bytes[31] = (bytes[31] & 0x7f) | 0x40;
        Ok(Self(*bytes))
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// Its bytes, for the kernel only.
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Its base64, for files only.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl PresharedKey {
    /// A new key from the system's random number generator.
    ///
    /// # Errors
    /// The random number generator failed.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(*bytes))
    }

    /// The key of these bytes. `None` for zeros, by which the kernel means "no key".
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        bytes.iter().any(|&byte| byte != 0).then(|| Self(*bytes))
    }

    /// Its bytes, for the kernel only.
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Its base64, for files only.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|bytes| Self(*bytes))
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|bytes| Self(*bytes))
    }
}

impl FromStr for PresharedKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|bytes| Self(*bytes))
    }
}

fn decode(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
    // The decoder estimates 33 bytes for 44 characters, and fails with a smaller buffer.
    let mut buffer = Zeroizing::new([0u8; KEY_LEN + 1]);
    let len = match STANDARD.decode_slice(text, buffer.as_mut_slice()) {
        Ok(len) => len,
        // The decoder's error quotes bytes of a possible secret, so it is dropped here.
        Err(_secret) => return Err(KeyError::Encoding),
    };
    if len != KEY_LEN {
        return Err(KeyError::Encoding);
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    key.copy_from_slice(&buffer[..KEY_LEN]);
    if key.iter().all(|&byte| byte == 0) {
        return Err(KeyError::Zero);
    }
    Ok(key)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE_PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    const ALICE_PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    #[test]
    fn public_key_is_that_of_rfc_7748_section_6_1() {
        let private: PrivateKey = ALICE_PRIVATE.parse().expect("a key");
        assert_eq!(private.public_key().to_string(), ALICE_PUBLIC);
    }

    #[test]
    fn a_text_that_is_no_key_is_an_error_that_does_not_show_it() {
        for text in ["", "secret", &ALICE_PRIVATE[..43], "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25"]
        {
            assert_eq!(text.parse::<PrivateKey>(), Err(KeyError::Encoding), "{text}");
        }
        let zeros = STANDARD.encode([0; 32]);
        assert_eq!(zeros.parse::<PublicKey>(), Err(KeyError::Zero));
    }

    #[test]
    fn secrets_are_not_in_debug() {
        let private: PrivateKey = ALICE_PRIVATE.parse().expect("a key");
        let preshared: PresharedKey = ALICE_PRIVATE.parse().expect("a key");
        assert_eq!(format!("{private:?} {preshared:?}"), "(hidden) (hidden)");
    }

    #[test]
    fn a_generated_key_is_clamped() {
        let key = PrivateKey::generate().expect("random bytes");
        assert_eq!((key.0[0] & 7, key.0[31] >> 6), (0, 1));
    }
}
