//! What all of Vonage's webhooks have in common.

use jiff::Timestamp;
use lambda_http::Request;
use lambda_http::http::{Method, header};

use super::Problem;
use super::body::body_of_at_most;
use crate::vonage::signature::WebhookVerifier;

/// The largest body that a webhook may have, in bytes. Vonage's have one or two thousand.
const MAX_WEBHOOK_BYTES: usize = 64 * 1024;

/// The body of a webhook that Vonage has signed and that arrived at `now`. A GET has none, and its signature covers none.
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
