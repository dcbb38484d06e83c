//! Webhooks of texts: their parameters, and the proof that Vonage sent them.

use jiff::Timestamp;
use lambda_http::http::{Method, header};
use lambda_http::{Request, RequestExt};

use super::Problem;
use super::body::body_of_at_most;
use super::webhook::MAX_WEBHOOK_BYTES;
use crate::config::SignatureConfig;
use crate::vonage::message_event::Fields;
use crate::vonage::message_signature::SmsVerifier;
use crate::vonage::signature::WebhookVerifier;

/// Largest age of a signature, in seconds: two days. Vonage repeats a text for a day, maybe with the signature of the first time.
/// A text that comes again is known by its id for longer than that.
const MAX_AGE_SECONDS: u32 = 2 * 86_400;

/// Verifies the webhooks of texts.
pub struct MessageVerifier {
    /// Those that are signed like webhooks of calls.
    jwt: WebhookVerifier,
    /// Those of the SMS API.
    sms: SmsVerifier,
}

impl MessageVerifier {
    /// Creates a verifier for the account and the application in `config`, except for the largest age there.
    pub fn new(config: &SignatureConfig) -> Self {
        let config = SignatureConfig { max_age_seconds: MAX_AGE_SECONDS, ..config.clone() };
        Self { jwt: WebhookVerifier::new(&config), sms: SmsVerifier::new(&config) }
    }

    /// Verifies a webhook that arrived at `now`, and returns its parameters. `None` if there are none: Vonage asks for the
    /// address without anything when a number is linked to it, and expects 200.
    pub fn signed_fields(&self, request: &Request, now: Timestamp) -> Result<Option<Fields>, Problem> {
        let body = body_of_at_most(MAX_WEBHOOK_BYTES, request)?;
        let authorization = request.headers().get(header::AUTHORIZATION);
        if let Some(authorization) = authorization.filter(|_| *request.method() != Method::GET) {
            self.jwt.verify(Some(authorization.to_str().unwrap_or("?")), Some(body), now)?;
            return Ok(Some(fields(request, body)?));
        }
        let fields = fields(request, body)?;
        if fields.is_empty() {
            return Ok(None);
        }
        self.sms.verify(&fields, now)?;
        Ok(Some(fields))
    }
}

/// Returns the parameters in the query of a GET, or in a JSON object or a form.
fn fields(request: &Request, body: &[u8]) -> Result<Fields, Problem> {
    if *request.method() == Method::GET {
        let query = request.query_string_parameters_ref();
        let pairs = query.into_iter().flat_map(|query| query.iter());
        return Ok(Fields::of_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    }
    // The content type is not always right, but only JSON begins so.
    match body.trim_ascii_start().first() {
        None => Ok(Fields::default()),
        Some(b'{') => Fields::of_json(body).map_err(|_| Problem::malformed("The body is not a JSON object.")),
        Some(_) => {
            let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body)
                .map_err(|_| Problem::malformed("The body is neither a JSON object nor a form."))?;
            Ok(Fields::of_pairs(pairs))
        }
    }
}
