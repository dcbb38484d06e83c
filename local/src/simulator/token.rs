//! Tokens of the application: JWT that it signs with its private key (RS256).
//!
//! Source: Vonage, "Authentication", JWT: `application_id`, `iat` and `jti` are required. `exp` is 15 minutes after `iat`
//! unless it is given, and at least 30 seconds and at most 24 hours after it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Simulator;
use super::applications::ApplicationRecord;
use super::request::ApiRequest;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    application_id: String,
    iat: i64,
    exp: Option<i64>,
    jti: String,
}

/// Usual lifetime of a token, in seconds.
const LIFETIME: i64 = 15 * 60;
/// Shortest and longest lifetime of a token, in seconds.
const LIFETIMES: std::ops::RangeInclusive<i64> = 30..=24 * 60 * 60;
/// Largest difference between the clocks of the client and of Vonage, in seconds.
const SKEW: i64 = 60;

/// Returns the application of the account whose token the request has.
pub(super) fn application_of(simulator: &Simulator, request: &ApiRequest) -> Option<ApplicationRecord> {
    let (token, now) = (request.bearer.as_ref()?, simulator.clock.now());
    let is_valid = |application: &&ApplicationRecord| {
        application.public_key.as_deref().is_some_and(|key| is_valid(token, &application.id, key, now))
    };
    simulator.account().applications.iter().find(is_valid).cloned()
}

/// True if `token` is one of the application at `now`. `public_key` is PEM, as the Application API shows it.
fn is_valid(token: &str, application_id: &str, public_key: &str, now: Timestamp) -> bool {
    read(token, public_key).is_some_and(|claims| {
        let now = now.as_second();
        let exp = claims.exp.unwrap_or(claims.iat + LIFETIME);
        let is_current = claims.iat <= now + SKEW && now < exp && LIFETIMES.contains(&(exp - claims.iat));
        is_current && claims.application_id == application_id && !claims.jti.is_empty()
    })
}

/// Returns the claims of a token that is signed with the private key of `public_key`.
fn read(token: &str, public_key: &str) -> Option<Claims> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    if part::<Header>(header)?.alg != "RS256" {
        return None;
    }
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa_key(public_key)?);
    key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    part(claims)
}

fn part<T: DeserializeOwned>(encoded: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// Returns the `RSAPublicKey` (PKCS#1) in a `SubjectPublicKeyInfo` in PEM.
fn rsa_key(pem: &str) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;

    let lines = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.collect::<String>()).ok()?;
    let (info, _) = element(SEQUENCE, &der)?;
    let (_algorithm, rest) = element(SEQUENCE, info)?;
    let (bits, _) = element(BIT_STRING, rest)?;
    // The first octet is the number of unused bits.
    bits.strip_prefix(&[0]).map(<[u8]>::to_vec)
}

/// Returns the content of the first DER element, if it has this tag, and everything after it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let octets = if short < 0x80 { 0 } else { usize::from(short & 0x7f) };
    let (length, rest) = rest.split_at_checked(octets)?;
    let long = || length.iter().try_fold(0_usize, |sum, octet| sum.checked_mul(256)?.checked_add(usize::from(*octet)));
    rest.split_at_checked(if octets == 0 { usize::from(short) } else { long()? })
}
