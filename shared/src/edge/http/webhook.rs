//! The part that all of Vonage's webhooks share.

use jiff::Timestamp;
use lambda_http::Request;
use lambda_http::http::{Method, header};

use super::Problem;
use super::body::body_of_at_most;
use crate::vonage::signature::WebhookVerifier;

/// Size of the largest body of a webhook, in bytes. Vonage's bodies have 1000 to 2000 bytes.
const MAX_WEBHOOK_BYTES: usize = 64 * 1024;

/// Verifies the signature of a webhook that arrived at `now`, and returns its body. A GET has no body.
pub fn signed_body<'a>(
    request: &'a Request,
    verifier: &WebhookVerifier,
    now: Timestamp,
) -> Result<Option<&'a [u8]>, Problem> {
    let body = match *request.method() {
        Method::GET => None,
        _ => Some(body_of_at_most(MAX_WEBHOOK_BYTES, request)?),
    };
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    verifier.verify(authorization, body, now)?;
    Ok(body)
}
