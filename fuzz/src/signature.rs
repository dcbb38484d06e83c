//! Targets for Vonage's signature, with a second implementation that shares no code with the product.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::{digest, hmac};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::config::{Secret, SignatureConfig};
use shared::vonage::signature::WebhookVerifier;

use crate::assert_no_phone_number;

pub(crate) const SECRET: &str = "laptop-signature-secret";
pub(crate) const API_KEY: &str = "1a2b3c4d";
pub(crate) const APPLICATION_ID: &str = "00000000-0000-4000-8000-000000000001";
/// The time at which the webhooks of `events/` were signed, in seconds since 1970.
pub(crate) const SIGNED_AT: i64 = 1_795_353_658;

/// The body whose hash the seeds contain.
const BODY: &[u8] = b"{}";

/// The verifier of all inputs.
static VERIFIER: LazyLock<WebhookVerifier> = LazyLock::new(|| {
    WebhookVerifier::new(&SignatureConfig {
        secrets: vec![Secret(SECRET.to_owned()), Secret("the next one".to_owned())],
        max_age_seconds: 300,
        api_key: API_KEY.to_owned(),
        application_id: APPLICATION_ID.to_owned(),
    })
});

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(SIGNED_AT).expect("a second of our time")
}

/// Checks that a header is accepted only if it was signed with the secret.
pub fn authorization(input: &[u8]) {
    let header = std::str::from_utf8(input).ok();
    for body in [None, Some(BODY)] {
        match VERIFIER.verify(header, body, now()) {
            Ok(()) => {
                // White space around the header's two words means nothing.
                let token = header.and_then(|header| header.split_whitespace().nth(1));
                assert!(token.is_some_and(is_signed), "{header:?}");
            }
            Err(error) => assert_no_phone_number(&error.to_string().replace(|c: char| c.is_ascii_digit(), "")),
        }
    }
}

/// A JWT header, as the second implementation reads it. Other members may have any type.
#[derive(Deserialize)]
struct SecondHeader {
    alg: String,
}

/// JWT claims, as the second implementation reads them.
#[derive(Deserialize)]
struct SecondClaims {
    iat: i64,
    iss: Value,
    api_key: String,
    application_id: Option<String>,
    payload_hash: Option<String>,
}

/// Checks that claims are accepted only if they belong to this account, this body and this time.
pub fn signed_claims(input: &[u8]) {
    let Some(line) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (header, claims) = (&input[..line], &input[line + 1..]);
    let token = format!("Bearer {}", sign(header, claims));
    for body in [None, Some(BODY)] {
        if VERIFIER.verify(Some(&token), body, now()).is_err() {
            continue;
        }
        let header: SecondHeader = serde_json::from_slice(header).expect("an accepted header is JSON");
        let claims: SecondClaims = serde_json::from_slice(claims).expect("accepted claims are JSON");
        assert_eq!(header.alg, "HS256");
        assert!(claims.iss == "Vonage" || claims.iss.as_array().is_some_and(|all| all.contains(&json!("Vonage"))));
        assert_eq!((&*claims.api_key, claims.application_id.as_deref()), (API_KEY, Some(APPLICATION_ID)));
        assert!((claims.iat - SIGNED_AT).abs() <= 300, "{}", claims.iat);
        if body.is_some() {
            let hash = claims.payload_hash.map(|hash| hash.to_ascii_lowercase());
            assert_eq!(hash, Some(hex(digest::digest(&digest::SHA256, BODY).as_ref())));
        }
    }
}

/// Returns the token with which Vonage signs a webhook.
pub(crate) fn sign_webhook(body: Option<&[u8]>) -> String {
    let mut claims = json!({"iat": SIGNED_AT, "jti": "f943b785-c34f-4eb4-9b85-9b3a4168eaf9", "iss": "Vonage",
                            "api_key": API_KEY, "application_id": APPLICATION_ID});
    if let Some(body) = body {
        claims["payload_hash"] = hex(digest::digest(&digest::SHA256, body).as_ref()).into();
    }
    sign(br#"{"typ":"JWT","alg":"HS256"}"#, claims.to_string().as_bytes())
}

/// True if the token is signed with the secret.
pub(crate) fn is_signed(token: &str) -> bool {
    let Some((message, signature)) = token.rsplit_once('.') else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    BASE64_URL_SAFE_NO_PAD
        .decode(signature)
        .is_ok_and(|signature| hmac::verify(&key, message.as_bytes(), &signature).is_ok())
}

fn sign(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
