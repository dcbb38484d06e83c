//! Vonage's signature on its webhooks: who cannot make it learns no real number from the answer webhook.
//!
//! Source: Vonage, "Signed webhooks": a JWT (HS256) in `Authorization: Bearer`, its key the account's signature secret,
//! its claim `payload_hash` the hex SHA-256 of the raw body. Only POST has a body to hash.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use ring::digest;
use serde::Deserialize;

use super::ring_hmac;
use crate::config::SignatureConfig;

/// Verifies the signature of webhooks.
pub struct WebhookVerifier {
    key: DecodingKey,
    validation: Validation,
    max_age_seconds: Option<u32>,
}

/// A webhook is not known to come from Vonage.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It is not signed. Vonage says that this can happen by an error of its own, and that it then tries again.
    #[error("the webhook is not signed")]
    Missing,
    /// The signature is not Vonage's.
    #[error("the webhook's signature is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// The body is not the one that was signed.
    #[error("the webhook's body is not the one that was signed")]
    OtherBody,
    /// The signature is older than the deployment accepts.
    #[error("the webhook's signature is too old")]
    TooOld,
}

/// The claims that matter here, of those that Vonage makes.
#[derive(Debug, Deserialize)]
struct Claims {
    iat: i64,
    #[serde(default)]
    payload_hash: Option<String>,
}

impl WebhookVerifier {
    /// A verifier with the secret of `config`.
    pub fn new(config: &SignatureConfig) -> Self {
        install_provider();
        let mut validation = Validation::new(Algorithm::HS256);
        // Vonage's tokens have no `exp` and no `aud`.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            key: DecodingKey::from_secret(config.secret.0.as_bytes()),
            validation,
            max_age_seconds: config.max_age_seconds,
        }
    }

    /// Checks the `Authorization` header of a webhook that arrived at `now`. `body` is the raw body of a POST, and none
    /// for a GET.
    pub fn verify(
        &self,
        authorization: Option<&str>,
        body: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let token = authorization.and_then(bearer).ok_or(SignatureError::Missing)?;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).map_err(SignatureError::Invalid)?.claims;
        if let Some(body) = body
            && claims.payload_hash.is_none_or(|hash| !hash.eq_ignore_ascii_case(&payload_hash(body)))
        {
            return Err(SignatureError::OtherBody);
        }
        match self.max_age_seconds {
            Some(max) if now.as_second().abs_diff(claims.iat) > u64::from(max) => Err(SignatureError::TooOld),
            _ => Ok(()),
        }
    }
}

/// Gives `jsonwebtoken` its cryptography, unless it has some. The verifier sees to that itself.
pub fn install_provider() {
    ring_hmac::install();
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

fn payload_hash(body: &[u8]) -> String {
    digest::digest(&digest::SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;
    use crate::config::Secret;

    const NOW: i64 = 1_800_000_000;

    fn verify(header: Option<&str>, body: Option<&[u8]>, age: i64, max: Option<u32>) -> Result<(), SignatureError> {
        let config = SignatureConfig { secret: Secret("secret".to_owned()), max_age_seconds: max };
        WebhookVerifier::new(&config).verify(header, body, Timestamp::from_second(NOW + age).unwrap())
    }

    fn signed(secret: &str, body: Option<&[u8]>) -> String {
        install_provider();
        let claims = match body {
            Some(body) => json!({"iat": NOW, "payload_hash": payload_hash(body)}),
            None => json!({"iat": NOW}),
        };
        let key = EncodingKey::from_secret(secret.as_bytes());
        format!("Bearer {}", jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap())
    }

    #[test]
    fn takes_what_vonage_signed() {
        assert!(verify(Some(&signed("secret", Some(b"{}"))), Some(b"{}"), 0, None).is_ok());
        assert!(verify(Some(&signed("secret", None)), None, 0, None).is_ok());
    }

    #[test]
    fn refuses_another_secret_another_body_and_no_signature() {
        let other_secret = signed("other", Some(b"{}"));
        assert!(matches!(verify(Some(&other_secret), Some(b"{}"), 0, None), Err(SignatureError::Invalid(_))));
        let signature = signed("secret", Some(b"{}"));
        assert!(matches!(verify(Some(&signature), Some(b"{ }"), 0, None), Err(SignatureError::OtherBody)));
        let without_hash = signed("secret", None);
        assert!(matches!(verify(Some(&without_hash), Some(b"{}"), 0, None), Err(SignatureError::OtherBody)));
        for header in [None, Some(""), Some("Basic eA=="), Some("Bearer")] {
            assert!(matches!(verify(header, None, 0, None), Err(SignatureError::Missing)), "{header:?}");
        }
    }

    #[test]
    fn refuses_an_unsigned_token_and_another_algorithm() {
        let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        for algorithm in ["none", "HS512", "RS256"] {
            let header = encode(&format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#));
            let token = format!("Bearer {header}.{}.{}", encode(r#"{"iat":1800000000}"#), encode("x"));
            assert!(matches!(verify(Some(&token), None, 0, None), Err(SignatureError::Invalid(_))), "{algorithm}");
        }
    }

    #[test]
    fn an_old_signature_is_refused_only_if_the_deployment_says_so() {
        let signature = signed("secret", None);
        assert!(verify(Some(&signature), None, 86_400, None).is_ok());
        assert!(verify(Some(&signature), None, 300, Some(300)).is_ok());
        assert!(matches!(verify(Some(&signature), None, 301, Some(300)), Err(SignatureError::TooOld)));
        assert!(matches!(verify(Some(&signature), None, -301, Some(300)), Err(SignatureError::TooOld)));
    }
}
