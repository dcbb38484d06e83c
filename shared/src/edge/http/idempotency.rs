//! The header `Idempotency-Key`. A request that has it can be sent again and is carried out only once.

use lambda_http::Request;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::Problem;
use crate::store::IdempotentRequest;

const HEADER: &str = "Idempotency-Key";
const MAX_LENGTH: usize = 255;

/// Returns the hashes of the idempotency key and of the body, if the request has the header. Bodies that are equal as
/// JSON have the same hash.
pub fn idempotent_request(request: &Request) -> Result<Option<IdempotentRequest>, Problem> {
    let Some(key) = request.headers().get(HEADER) else { return Ok(None) };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > MAX_LENGTH {
        return Err(Problem::invalid(HEADER, format!("Must have 1 to {MAX_LENGTH} characters.")));
    }
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    Ok(Some(IdempotentRequest { key_hash: hash(key), fingerprint: hash(body.to_string().as_bytes()) }))
}

/// Returns the SHA-256 hash in hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
