use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use blake2::{Blake2s256, Digest as _};
use subtle::ConstantTimeEq as _;

/// What requests have to carry. Only its hash is kept.
pub(super) struct Token([u8; 32]);

/// A token that is none. The text never has any of it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Too easy to guess.
    #[error(
        "found {found} characters, expected a token of at least {SHORTEST}; make one with \
         `openssl rand -hex 32`"
    )]
    Short {
        /// Its length.
        found: usize,
    },
    /// Something that an HTTP header cannot carry.
    #[error(
        "found a character that is not visible ASCII; make a token with `openssl rand -hex 32`"
    )]
    Character,
}

/// Characters of the shortest token.
const SHORTEST: usize = 32;

impl Token {
    /// Takes a token without the white space around it.
    ///
    /// # Errors
    /// It is too short, or has characters that a header cannot carry.
    pub(super) fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let token = text.trim_ascii();
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Character);
        }
        if token.len() < SHORTEST {
            return Err(TokenError::Short { found: token.len() });
        }
        Ok(Self(hash(token)))
    }

    /// Whether the value of an `Authorization` header carries it: as a bearer token (RFC 6750,
    /// section 2.1), or as the password of any user (RFC 7617), which browsers ask for. Takes the
    /// same time wherever the two differ.
    pub(super) fn is_in(&self, authorization: &[u8]) -> bool {
        let Some(space) = authorization.iter().position(|byte| *byte == b' ') else { return false };
        let (scheme, rest) = authorization.split_at(space);
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(rest);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return false;
        }
        let Ok(pair) = STANDARD.decode(rest) else { return false };
        let password = pair.iter().position(|byte| *byte == b':').map(|colon| &pair[colon + 1..]);
        password.is_some_and(|password| self.is(password))
    }

    fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(&hash(given)).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn hash(text: &[u8]) -> [u8; 32] {
    Blake2s256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn it_is_taken_from_both_schemes() {
        let token = Token::parse(format!("{TEXT}\n").as_bytes()).expect("a token");
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let accepted =
            [format!("Bearer {TEXT}"), format!("bearer  {TEXT}"), basic(&format!("me:{TEXT}"))];
        for header in accepted {
            assert!(token.is_in(header.as_bytes()), "{header}");
        }
        let dropped = [
            String::new(),
            TEXT.to_owned(),
            "Bearer ".to_owned(),
            format!("Bearer {TEXT}0"),
            format!("Bearer {}", &TEXT[1..]),
            format!("Digest {TEXT}"),
            basic(TEXT),
            basic(&format!("{TEXT}:")),
            "Basic ???".to_owned(),
        ];
        for header in dropped {
            assert!(!token.is_in(header.as_bytes()), "{header}");
        }
    }

    #[test]
    fn what_can_be_guessed_or_not_be_sent_is_no_token() {
        let short = Token::parse(b" short \n").expect_err("too short");
        assert!(matches!(short, TokenError::Short { found: 5 }), "{short}");
        let inner = Token::parse(format!("{TEXT} {TEXT}").as_bytes()).expect_err("a space");
        assert!(matches!(inner, TokenError::Character), "{inner}");
        assert!(!format!("{:?}", Token::parse(TEXT.as_bytes())).contains("0123"));
    }
}
