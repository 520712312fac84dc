use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;

use crate::model::SigningSecret;

/// The value of `webhook-signature` (<https://www.standardwebhooks.com>, "Signature scheme"). The
/// timestamp is Unix time, seconds.
pub(super) fn signature(secret: &SigningSecret, id: &str, timestamp: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut signed = hmac::Context::with_key(&key);
    for part in [id, ".", &timestamp.to_string(), ".", body] {
        signed.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(signed.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the libraries of the specification, which sign the same text.
    #[test]
    fn it_is_that_of_the_specification() {
        let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".parse().expect("a secret");
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        let signature = signature(&secret, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }
}
