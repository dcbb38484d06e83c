//! The SMS API's own signature of webhooks: the parameter `sig`. It is off until Vonage's support switches it on.
//!
//! Source: Vonage SMS API, "Signing messages". All other parameters, sorted by name, with `&` and `=` in their values replaced by
//! `_`, are joined as `&name=value`. The secret is the account's signature secret.

use jiff::Timestamp;
use ring::hmac;

use super::message_event::Fields;
use super::signature::SignatureError;
use crate::config::{Secret, SignatureConfig};

/// A verifier of `sig` by HMAC with SHA-1, SHA-256 or SHA-512. An account that signs with MD5 has to choose another method.
pub struct SmsVerifier {
    secrets: Vec<Secret>,
    api_key: String,
    max_age_seconds: u32,
}

impl SmsVerifier {
    /// Creates a verifier for the account in `config`.
    pub fn new(config: &SignatureConfig) -> Self {
        Self {
            secrets: config.secrets.clone(),
            api_key: config.api_key.clone(),
            max_age_seconds: config.max_age_seconds,
        }
    }

    /// Verifies the parameters of a webhook that arrived at `now`.
    pub fn verify(&self, fields: &Fields, now: Timestamp) -> Result<(), SignatureError> {
        let sig = fields.text("sig").filter(|sig| !sig.is_empty()).ok_or(SignatureError::Missing)?;
        let algorithm = match sig.len() {
            40 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            64 => hmac::HMAC_SHA256,
            128 => hmac::HMAC_SHA512,
            _ => return Err(SignatureError::UnknownMethod),
        };
        let tag = bytes(&sig).ok_or(SignatureError::UnknownMethod)?;
        let signed = fields.texts().filter(|(name, _)| *name != "sig");
        let text: String = signed.map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_"))).collect();
        let is_made_with = |secret: &Secret| {
            hmac::verify(&hmac::Key::new(algorithm, secret.0.as_bytes()), text.as_bytes(), &tag).is_ok()
        };
        if !self.secrets.iter().any(is_made_with) {
            return Err(SignatureError::BodyMismatch);
        }
        if fields.text("api-key").is_some_and(|key| key != self.api_key) {
            return Err(SignatureError::WrongAccount);
        }
        let at = fields.text("timestamp").and_then(|at| at.parse::<i64>().ok()).unwrap_or_default();
        match now.as_second().abs_diff(at) {
            age if age > u64::from(self.max_age_seconds) => Err(SignatureError::OutsideTimeWindow(age)),
            _ => Ok(()),
        }
    }
}

/// Reads hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    hex.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? << 4) | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn verifier(secret: &str) -> SmsVerifier {
        SmsVerifier::new(&SignatureConfig {
            secrets: vec![Secret(secret.to_owned())],
            max_age_seconds: 300,
            api_key: "abcd1234".to_owned(),
            application_id: "aaaaaaaa-bbbb".to_owned(),
        })
    }

    fn signed(algorithm: hmac::Algorithm, text: &str) -> Fields {
        let at = NOW.to_string();
        let signed = format!("&api-key=abcd1234&messageId=0A01&text={}&timestamp={at}", text.replace(['&', '='], "_"));
        let tag = hmac::sign(&hmac::Key::new(algorithm, b"secret"), signed.as_bytes());
        let sig: String = tag.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let pairs = [("text", text), ("sig", &sig), ("api-key", "abcd1234"), ("messageId", "0A01"), ("timestamp", &at)];
        Fields::of_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    fn verify(fields: &Fields, late: i64) -> Result<(), SignatureError> {
        verifier("secret").verify(fields, Timestamp::from_second(NOW + late).unwrap())
    }

    #[test]
    fn each_method_is_accepted_but_md5() {
        for algorithm in [hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA256, hmac::HMAC_SHA512] {
            assert!(verify(&signed(algorithm, "a=b & c"), 0).is_ok());
        }
        let of_md5 = Fields::of_pairs([("sig".to_owned(), "0".repeat(32))]);
        assert!(matches!(verify(&of_md5, 0), Err(SignatureError::UnknownMethod)));
    }

    #[test]
    fn another_text_secret_or_time_is_refused() {
        let good = signed(hmac::HMAC_SHA256, "hello");
        let mut pairs: Vec<_> = good.texts().map(|(name, value)| (name.to_owned(), value)).collect();
        pairs.push(("text".to_owned(), "other".to_owned()));
        assert!(matches!(verify(&Fields::of_pairs(pairs), 0), Err(SignatureError::BodyMismatch)));
        assert!(verifier("other").verify(&good, Timestamp::from_second(NOW).unwrap()).is_err());
        assert!(matches!(verify(&good, 301), Err(SignatureError::OutsideTimeWindow(301))));
        assert!(matches!(verify(&Fields::default(), 0), Err(SignatureError::Missing)));
    }
}
