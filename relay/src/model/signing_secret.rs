use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// What requests to a webhook are signed with: no `Display`, redacted `Debug`, wiped on drop.
///
/// Written as <https://www.standardwebhooks.com> has it: base64 behind `whsec_`, which may be left
/// out.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<Vec<u8>>);

/// Why a text is not a secret. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not base64.
    #[error("is not base64, with or without whsec_ before it")]
    Encoding,
    /// Easy to guess, or longer than receivers take.
    #[error("has {0} bytes, not 24 to 64")]
    Length(usize),
}

impl SigningSecret {
    /// Its bytes, for signatures only.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for SigningSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix("whsec_").unwrap_or(text);
        // What is decoded is never longer, so that the buffer does not grow and leave a copy behind.
        let mut bytes = Zeroizing::new(vec![0; encoded.len()]);
        let len = match STANDARD.decode_slice(encoded, &mut bytes) {
            Ok(len) => len,
            // The decoder's error quotes bytes of a possible secret, so it is dropped here.
            Err(_secret) => return Err(SecretError::Encoding),
        };
        if !(24..=64).contains(&len) {
            return Err(SecretError::Length(len));
        }
        bytes.truncate(len);
        Ok(Self(bytes))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn it_is_base64_with_or_without_its_prefix() {
        let prefixed: SigningSecret = format!("whsec_{SECRET}").parse().expect("a secret");
        let plain: SigningSecret = SECRET.parse().expect("a secret");
        assert_eq!(prefixed.as_bytes(), plain.as_bytes());
        assert_eq!((plain.as_bytes().len(), plain.as_bytes()[0]), (24, 0x0b));
        assert_eq!(format!("{plain:?}"), "(hidden)");
    }

    #[test]
    fn what_is_no_secret_is_an_error_that_does_not_show_it() {
        let of = |text: &str| text.parse::<SigningSecret>().expect_err("no secret");
        for text in ["hunter2", "whsk_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", &SECRET[..31]] {
            assert_eq!(of(text), SecretError::Encoding, "{text}");
        }
        assert_eq!(of(""), SecretError::Length(0));
        assert_eq!(of(&SECRET[..28]), SecretError::Length(21));
        assert_eq!(of(&SECRET.repeat(3)), SecretError::Length(72));
    }
}
