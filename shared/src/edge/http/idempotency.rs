//! The header `Idempotency-Key`. A request that has it can be sent again and is carried out only once.

use lambda_http::Request;
use ring::hmac;
use serde_json::Value;

use super::{Problem, scope};
use crate::config::Secret;
use crate::domain::conversation::ConversationId;
use crate::domain::tenant::Owner;
use crate::store::IdempotentRequest;

const HEADER: &str = "Idempotency-Key";
const MAX_LENGTH: usize = 255;

/// Hashes idempotency keys and bodies with a secret of the deployment (HMAC-SHA256).
///
/// A body has phone numbers, and a client may use one as the key. Without a secret, whoever sees a hash could find the number by
/// trying all of them.
pub struct RequestHasher(hmac::Key);

impl RequestHasher {
    /// Creates a hasher. Another secret forgets all requests that are remembered.
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.0.as_bytes()))
    }

    /// Returns the hashes of the idempotency key and of the body, if the request has the header. Bodies that are equal as
    /// JSON have the same hash. The same key of another tenant has another hash.
    pub fn idempotent_request(&self, request: &Request) -> Result<Option<IdempotentRequest>, Problem> {
        let purpose = match scope(request)? {
            Owner::Deployment => "key".to_owned(),
            Owner::Tenant(tenant) => format!("key of {tenant}"),
        };
        Ok(read(request)?.map(|key| self.hashed(request, &purpose, key)))
    }

    /// Like [`RequestHasher::idempotent_request`], for a request to place a call, which needs the header. The same key stands for
    /// another request in another conversation.
    pub fn request_for_call(
        &self,
        request: &Request,
        conversation: ConversationId,
    ) -> Result<IdempotentRequest, Problem> {
        self.required(request, "call", conversation)
    }

    /// The same, for a request to write a text.
    pub fn request_for_text(
        &self,
        request: &Request,
        conversation: ConversationId,
    ) -> Result<IdempotentRequest, Problem> {
        self.required(request, "text", conversation)
    }

    /// Returns the hashes of a request that needs the header. A key stands for one request of each purpose and conversation.
    fn required(
        &self,
        request: &Request,
        purpose: &str,
        conversation: ConversationId,
    ) -> Result<IdempotentRequest, Problem> {
        let key = read(request)?.ok_or_else(|| Problem::invalid(HEADER, "This header is required."))?;
        let key = [conversation.to_string().as_bytes(), b":", key].concat();
        Ok(self.hashed(request, purpose, &key))
    }

    fn hashed(&self, request: &Request, purpose: &str, key: &[u8]) -> IdempotentRequest {
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let body = body.to_string();
        let (key_hash, fingerprint) = (self.hash(purpose, key), self.hash("body", body.as_bytes()));
        IdempotentRequest { key_hash, fingerprint }
    }

    /// Returns the hash in hexadecimal digits. The same text has another one for another `purpose`.
    fn hash(&self, purpose: &str, text: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &[purpose.as_bytes(), b":", text].concat());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns the header.
fn read(request: &Request) -> Result<Option<&[u8]>, Problem> {
    let Some(key) = request.headers().get(HEADER) else { return Ok(None) };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > MAX_LENGTH {
        return Err(Problem::invalid(HEADER, format!("Must have 1 to {MAX_LENGTH} characters.")));
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use lambda_http::http::Request;

    use super::*;

    fn hashed(secret: &str, key: &str, body: &str) -> IdempotentRequest {
        let request = Request::builder().header(HEADER, key).body(Body::from(body)).unwrap();
        RequestHasher::new(&Secret(secret.repeat(32))).idempotent_request(&request).unwrap().unwrap()
    }

    #[test]
    fn hashes_are_those_of_the_secret_and_of_their_purpose() {
        let one = hashed("s", "447700900001", "447700900001");
        assert_eq!(one, hashed("s", "447700900001", " 447700900001 "), "the same JSON");
        let other = hashed("t", "447700900001", "447700900001");
        let hashes = [one.key_hash, one.fingerprint, other.key_hash, other.fingerprint];
        let plain = ring::digest::digest(&ring::digest::SHA256, b"447700900001");
        let plain: String = plain.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        for (nth, hash) in hashes.iter().enumerate() {
            assert!(hash.len() == 64 && *hash != plain && !hashes[..nth].contains(hash), "{hashes:?}");
        }
    }
}
