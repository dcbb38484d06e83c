//! Tokens of the application, by which it authenticates itself at Vonage's newer APIs: JWT, signed with the application's
//! private key (RS256).
//!
//! Source: Vonage, "Authentication", JWT: the claims `application_id`, `iat` and `jti` are required, `exp` is at most 24
//! hours later. A token may be used until then.

use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use ulid::Ulid;

use super::error::VonageError;
use crate::clock::SharedClock;
use crate::config::{ConfigError, Environment};

/// The signer of the application's tokens. It uses one token again until shortly before its end. Its `Debug` form shows
/// neither the key nor a token.
pub struct ApplicationToken {
    application_id: String,
    key: RsaKeyPair,
    clock: SharedClock,
    latest: Mutex<Option<Token>>,
}

struct Token {
    text: String,
    expires_at: Timestamp,
}

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    application_id: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

/// The variable with the private key.
const PRIVATE_KEY: &str = "VONAGE_PRIVATE_KEY";

/// Lifetime of a token. Vonage's own libraries use the same.
const LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// A token is not used in this time before its end, because a request takes time and clocks differ.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

impl std::fmt::Debug for ApplicationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApplicationToken").field("application_id", &self.application_id).finish_non_exhaustive()
    }
}

impl ApplicationToken {
    /// Reads `VONAGE_APPLICATION_ID` and `VONAGE_PRIVATE_KEY`.
    pub fn from_environment(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let application_id = env.required("VONAGE_APPLICATION_ID")?;
        let key = private_key(&env.required("VONAGE_PRIVATE_KEY")?).ok_or_else(|| ConfigError::Malformed {
            name: PRIVATE_KEY,
            expected: "must be an RSA private key of 2048 to 4096 bits in PEM (PKCS#8 or PKCS#1)".to_owned(),
        })?;
        Ok(Self { application_id, key, clock, latest: Mutex::default() })
    }

    /// Returns a token that is valid for at least a minute.
    pub(super) fn current(&self) -> Result<String, VonageError> {
        let now = self.clock.now();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*latest
            && now + MARGIN < token.expires_at
        {
            return Ok(token.text.clone());
        }
        let expires_at = now + LIFETIME;
        let text = self.sign(now, expires_at).ok_or(VonageError::NotSigned)?;
        *latest = Some(Token { text: text.clone(), expires_at });
        Ok(text)
    }

    fn sign(&self, now: Timestamp, expires_at: Timestamp) -> Option<String> {
        let claims = Claims {
            application_id: &self.application_id,
            iat: now.as_second(),
            exp: expires_at.as_second(),
            jti: Ulid::from_datetime(now.into()).to_string(),
        };
        let mut token = part(&Header { alg: "RS256", typ: "JWT" })? + "." + &part(&claims)?;
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature).ok()?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }
}

fn part(value: &impl Serialize) -> Option<String> {
    serde_json::to_vec(value).ok().map(|json| URL_SAFE_NO_PAD.encode(json))
}

/// Reads a private key in PEM. Line breaks may be written as `\n`, as they are after a copy out of JSON.
pub(super) fn private_key(pem: &str) -> Option<RsaKeyPair> {
    let pem = pem.replace("\\n", "\n");
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::ManualClock;

    /// The laptop's key, which opens the simulator only.
    const KEY: &str = include_str!("../../../local/src/account/private_key.pem");

    fn start(key: &str) -> Result<(ApplicationToken, ManualClock), ConfigError> {
        let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap());
        let env: Environment =
            [("VONAGE_APPLICATION_ID", "an-application"), ("VONAGE_PRIVATE_KEY", key)].into_iter().collect();
        Ok((ApplicationToken::from_environment(&env, Arc::new(clock.clone()))?, clock))
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn token_has_vonages_claims_and_the_applications_signature() {
        let (token, _) = start(KEY).unwrap();
        let text = token.current().unwrap();
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, token.key.public().as_ref());
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(decoded(header), json!({"alg": "RS256", "typ": "JWT"}));
        let mut claims = decoded(claims);
        assert_eq!(claims["jti"].take().as_str().unwrap().len(), 26);
        let expected =
            json!({"application_id": "an-application", "iat": 1_800_000_000, "exp": 1_800_000_900, "jti": null});
        assert_eq!(claims, expected);
    }

    #[test]
    fn token_is_used_again_until_a_minute_before_its_end() {
        let (token, clock) = start(KEY).unwrap();
        let first = token.current().unwrap();
        clock.advance(SignedDuration::from_secs(14 * 60 - 1));
        assert_eq!(token.current().unwrap(), first);
        clock.advance(SignedDuration::from_secs(1));
        assert_ne!(token.current().unwrap(), first);
    }

    #[test]
    fn key_is_read_in_both_encodings_and_with_escaped_breaks() {
        for key in [KEY.to_owned(), KEY.replace('\n', "\\n"), pkcs1(KEY)] {
            assert!(start(&key).is_ok());
        }
    }

    /// Returns the key in the older encoding, which the newer one contains at its end.
    fn pkcs1(pem: &str) -> String {
        use base64::engine::general_purpose::STANDARD;
        let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() else { panic!() };
        // Version, algorithm and the head of the octet string.
        let key = STANDARD.encode(&key.secret_pkcs8_der()[26..]);
        format!("-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----\n")
    }

    #[test]
    fn unreadable_key_is_an_error_that_does_not_show_it() {
        let truncated = KEY.replacen("\nMII", "\nNII", 1);
        for key in ["hush", "-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----", truncated.as_str()] {
            let error = start(key).unwrap_err().to_string();
            assert!(error.starts_with("the environment variable VONAGE_PRIVATE_KEY is malformed: must be"), "{error}");
            assert!(!error.contains("hush") && !error.contains("aHVza"), "{error}");
        }
        assert!(matches!(start(""), Err(ConfigError::Missing("VONAGE_PRIVATE_KEY"))));
        assert!(!format!("{:?}", start(KEY).unwrap().0).contains("MII"));
    }
}
