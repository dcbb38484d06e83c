//! The header `Idempotency-Key`: a request that carries one can be sent again without being carried out twice.

use lambda_http::Request;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::Problem;
use crate::store::IdempotentRequest;

const HEADER: &str = "Idempotency-Key";
const MAX_LENGTH: usize = 255;

/// The request as one that may come again, if it carries the header. Two bodies are the same if they are as JSON.
pub fn idempotent_request(request: &Request) -> Result<Option<IdempotentRequest>, Problem> {
    let Some(key) = request.headers().get(HEADER) else { return Ok(None) };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > MAX_LENGTH {
        return Err(Problem::invalid(HEADER, format!("Must have from 1 to {MAX_LENGTH} characters.")));
    }
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    Ok(Some(IdempotentRequest { key_hash: hash(key), fingerprint: hash(body.to_string().as_bytes()) }))
}

/// SHA-256, in hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
