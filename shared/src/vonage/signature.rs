//! Signatures of Vonage's webhooks. Without a valid signature nobody learns a real number from the answer webhook.
//!
//! Source: Vonage, "Signed webhooks". The header `Authorization: Bearer` has a JWT (HS256) that is signed with the
//! account's signature secret. Its claim `payload_hash` is the hex SHA-256 of the raw body. A GET has no body to hash.

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use ring::digest;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::hs256;
use crate::config::SignatureConfig;

/// A verifier of webhook signatures.
///
/// An attacker can replay a captured request until its signature is too old, but gains nothing. An event is merged a
/// second time without effect, and the answer webhook writes nothing. The signature of a POST covers its body, so the
/// response is the one that Vonage received, and whoever captured the request could read that too. So no `jti` is
/// stored: that would cost a write before each call is answered, and would refuse Vonage's own retry. The signature of
/// a GET may cover nothing, but the signature of a POST is not valid for a GET, and a deployment's webhooks use POST.
pub struct WebhookVerifier {
    keys: Vec<DecodingKey>,
    validation: Validation,
    max_age_seconds: u32,
    api_key: String,
    application_id: String,
}

/// A failed verification: the webhook may not come from Vonage.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The webhook has no signature at all. Vonage sends such webhooks after rare faults of its own, and sends them again
    /// with a signature after a 5xx.
    ///
    /// Source: Vonage, "Signed webhooks".
    #[error("the webhook is not signed")]
    Missing,
    /// The webhook has credentials that are no bearer token.
    #[error("the webhook's authorization is no bearer token")]
    NotBearer,
    /// The signature was made with another secret, or is not in Vonage's format.
    #[error("the webhook's signature is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// The signature was made for another body.
    #[error("the webhook's body is not the one that was signed")]
    BodyMismatch,
    /// The signature is too old, or from the future. The value is the difference to now, in seconds.
    #[error("the time of the webhook's signature is {0} s away from now")]
    OutsideTimeWindow(u64),
    /// The signature of the SMS API was made in another way than by HMAC with SHA-1, SHA-256 or SHA-512.
    #[error("the signature's method is not one of those that are taken")]
    UnknownMethod,
    /// The signature was made for another account.
    #[error("the webhook was signed for another Vonage account")]
    WrongAccount,
    /// The signature was made for another application of the account.
    #[error("the webhook was signed for another Vonage application")]
    WrongApplication,
}

/// Vonage's claims, without `jti`.
#[derive(Debug, Deserialize)]
struct Claims {
    iat: i64,
    api_key: String,
    #[serde(default)]
    application_id: Option<String>,
    #[serde(default)]
    payload_hash: Option<String>,
}

/// The claim `iss` in every signature of Vonage.
const ISSUER: &str = "Vonage";

impl WebhookVerifier {
    /// Creates a verifier for the account and the application in `config`.
    pub fn new(config: &SignatureConfig) -> Self {
        install_provider();
        let mut validation = Validation::new(Algorithm::HS256);
        // Vonage's tokens have no `exp` and no `aud`.
        validation.set_required_spec_claims(&["iss"]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            keys: config.secrets.iter().map(|secret| DecodingKey::from_secret(secret.0.as_bytes())).collect(),
            validation,
            max_age_seconds: config.max_age_seconds,
            api_key: config.api_key.clone(),
            application_id: config.application_id.clone(),
        }
    }

    /// Verifies the `Authorization` header of a webhook that arrived at `now`. `body` is the raw body of a POST, and
    /// `None` for a GET. Vonage does not document `payload_hash` for a GET, so it may be missing there.
    pub fn verify(
        &self,
        authorization: Option<&str>,
        body: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let claims = self.claims(token(authorization)?)?;
        let covers = |hash: String| equal(&hash.to_ascii_lowercase(), &payload_hash(body.unwrap_or_default()));
        if !claims.payload_hash.map_or(body.is_none(), covers) {
            return Err(SignatureError::BodyMismatch);
        }
        if !equal(&claims.api_key, &self.api_key) {
            return Err(SignatureError::WrongAccount);
        }
        if !claims.application_id.is_some_and(|id| equal(&id, &self.application_id)) {
            return Err(SignatureError::WrongApplication);
        }
        match now.as_second().abs_diff(claims.iat) {
            age if age > u64::from(self.max_age_seconds) => Err(SignatureError::OutsideTimeWindow(age)),
            _ => Ok(()),
        }
    }

    /// Returns the claims of a token that is signed with one of the secrets.
    fn claims(&self, token: &str) -> Result<Claims, SignatureError> {
        let decode = |key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).map(|token| token.claims);
        let mut outcomes = self.keys.iter().map(decode);
        let first = outcomes.next().unwrap_or_else(|| Err(ErrorKind::InvalidKeyFormat.into()));
        // Report the error for the first secret. The second exists only while secrets are rotated.
        first.or_else(|refusal| outcomes.find_map(Result::ok).ok_or(SignatureError::Invalid(refusal)))
    }
}

/// Compares two texts in a time that does not depend on the position of a difference.
fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Installs the cryptography of `jsonwebtoken`, unless it is installed. [`WebhookVerifier::new`] does this too.
pub fn install_provider() {
    hs256::install();
}

/// Returns the bearer token in an `Authorization` header.
fn token(authorization: Option<&str>) -> Result<&str, SignatureError> {
    let authorization = authorization.unwrap_or_default().trim();
    match authorization.split_once(' ').unwrap_or((authorization, "")) {
        ("", _) => Err(SignatureError::Missing),
        (scheme, token) if scheme.eq_ignore_ascii_case("Bearer") => {
            Some(token.trim()).filter(|token| !token.is_empty()).ok_or(SignatureError::Missing)
        }
        _ => Err(SignatureError::NotBearer),
    }
}

fn payload_hash(body: &[u8]) -> String {
    digest::digest(&digest::SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Secret;

    const NOW: i64 = 1_800_000_000;

    /// Returns Vonage's claims for a webhook with the body `{}`.
    fn claims() -> Value {
        json!({"iat": NOW, "jti": "c5ba8f24", "iss": "Vonage", "api_key": "a1b2c3d", "application_id": "aaaaaaaa-bbbb",
               "payload_hash": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"})
    }

    fn verifier(secrets: &[&str]) -> WebhookVerifier {
        WebhookVerifier::new(&SignatureConfig {
            secrets: secrets.iter().map(|secret| Secret((*secret).to_owned())).collect(),
            max_age_seconds: 300,
            api_key: "a1b2c3d".to_owned(),
            application_id: "aaaaaaaa-bbbb".to_owned(),
        })
    }

    fn verify(header: Option<&str>, body: Option<&[u8]>, late: i64) -> Result<(), SignatureError> {
        verifier(&["secret"]).verify(header, body, Timestamp::from_second(NOW + late).unwrap())
    }

    fn signed(secret: &str, claims: &Value) -> String {
        install_provider();
        let key = EncodingKey::from_secret(secret.as_bytes());
        format!("Bearer {}", jsonwebtoken::encode(&Header::default(), claims, &key).unwrap())
    }

    fn claims_with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn signature_of_vonage_is_accepted() {
        let signature = signed("secret", &claims());
        assert!(verify(Some(&signature), Some(b"{}"), 0).is_ok());
        let of_nothing = claims_with("payload_hash", json!(payload_hash(b"")));
        for of_a_get in [of_nothing, claims_with("payload_hash", Value::Null)] {
            assert!(verify(Some(&signed("secret", &of_a_get)), None, 0).is_ok());
        }
    }

    #[test]
    fn signature_of_a_post_is_refused_for_a_get() {
        let refused = verify(Some(&signed("secret", &claims())), None, 0);
        assert!(matches!(refused, Err(SignatureError::BodyMismatch)));
    }

    #[test]
    fn wrong_secret_wrong_body_or_no_signature_is_refused() {
        let other_secret = signed("other", &claims());
        assert!(matches!(verify(Some(&other_secret), Some(b"{}"), 0), Err(SignatureError::Invalid(_))));
        let signature = signed("secret", &claims());
        assert!(matches!(verify(Some(&signature), Some(b"{ }"), 0), Err(SignatureError::BodyMismatch)));
        let without_hash = signed("secret", &claims_with("payload_hash", Value::Null));
        assert!(matches!(verify(Some(&without_hash), Some(b"{}"), 0), Err(SignatureError::BodyMismatch)));
        for header in [None, Some(""), Some(" "), Some("Bearer"), Some("bearer ")] {
            assert!(matches!(verify(header, None, 0), Err(SignatureError::Missing)), "{header:?}");
        }
        for header in ["Basic eA==", "eA==", "BearereA=="] {
            assert!(matches!(verify(Some(header), None, 0), Err(SignatureError::NotBearer)), "{header}");
        }
    }

    #[test]
    fn wrong_issuer_account_or_application_is_refused() {
        let refusal =
            |name, value| verify(Some(&signed("secret", &claims_with(name, value))), Some(b"{}"), 0).unwrap_err();
        for value in [json!("Nexmo"), json!(["Nexmo"]), Value::Null] {
            assert!(matches!(refusal("iss", value), SignatureError::Invalid(_)));
        }
        assert!(matches!(refusal("api_key", json!("a1b2c3e")), SignatureError::WrongAccount));
        assert!(matches!(refusal("api_key", Value::Null), SignatureError::Invalid(_)));
        for value in [json!("aaaaaaaa-bbbc"), json!(""), Value::Null] {
            assert!(matches!(refusal("application_id", value), SignatureError::WrongApplication));
        }
    }

    #[test]
    fn unsigned_token_or_other_algorithm_is_refused() {
        let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        for algorithm in ["none", "None", "HS384", "HS512", "RS256", "ES256"] {
            let header = encode(&format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#));
            for signature in ["", &encode("x")] {
                let token = format!("Bearer {header}.{}.{signature}", encode(&claims().to_string()));
                assert!(matches!(verify(Some(&token), None, 0), Err(SignatureError::Invalid(_))), "{algorithm}");
            }
        }
    }

    #[test]
    fn signature_too_old_or_from_the_future_is_refused() {
        let signature = signed("secret", &claims());
        for late in [-300, 0, 300] {
            assert!(verify(Some(&signature), Some(b"{}"), late).is_ok(), "{late}");
        }
        for late in [-301, 301, 86_400] {
            assert!(
                matches!(verify(Some(&signature), Some(b"{}"), late), Err(SignatureError::OutsideTimeWindow(_))),
                "{late}"
            );
        }
        for iat in [json!(i64::MIN), json!(i64::MAX), json!(0)] {
            let signature = signed("secret", &claims_with("iat", iat));
            assert!(matches!(verify(Some(&signature), Some(b"{}"), 0), Err(SignatureError::OutsideTimeWindow(_))));
        }
    }

    // During a deployment, functions with the old configuration still run. At each step, functions with the old and
    // with the new configuration must accept Vonage's signatures.
    #[test]
    fn secret_rotation_never_refuses_a_webhook() {
        let steps: [(&[&str], &str); 4] =
            [(&["old"], "old"), (&["old", "new"], "old"), (&["old", "new"], "new"), (&["new"], "new")];
        let now = Timestamp::from_second(NOW).unwrap();
        for pair in steps.windows(2) {
            for (configured, _) in pair {
                let signed_with = if pair[0].1 == pair[1].1 { &pair[..1] } else { pair };
                for (_, secret) in signed_with {
                    let taken = verifier(configured).verify(Some(&signed(secret, &claims())), Some(b"{}"), now);
                    assert!(taken.is_ok(), "{configured:?} {secret}");
                }
            }
        }
        let after = verifier(&["new"]).verify(Some(&signed("old", &claims())), Some(b"{}"), now);
        assert!(matches!(after, Err(SignatureError::Invalid(_))));
    }
}
