//! The part that all of Vonage's webhooks share.

use jiff::Timestamp;
use lambda_http::http::{Method, header};
use lambda_http::{Request, RequestExt};

use super::Problem;
use super::body::body_of_at_most;
use crate::domain::attempt::Attempt;
use crate::domain::card_link::{CardKey, CardLinks};
use crate::domain::conversation::ConversationId;
use crate::domain::pin::TRIES_OF_A_CALL;
use crate::vonage::call_urls::{CallUrls, STRANGER, Step, TURN};
use crate::vonage::signature::WebhookVerifier;

/// Size of the largest body of a webhook, in bytes. Vonage's bodies have 1000 to 2000 bytes.
pub(super) const MAX_WEBHOOK_BYTES: usize = 64 * 1024;

/// The beginning of all paths of webhooks.
const WEBHOOKS: &str = "/webhooks/";

/// The beginning of the paths of requests about conversations.
const CONVERSATIONS: &str = "/conversations/";

/// Returns the addresses for the calls of one conversation: at `public_url`, or else at the address to which Vonage or the backend
/// has sent `request`. `None` if the request does not say its own address.
pub fn call_urls(public_url: Option<&str>, request: &Request, conversation: ConversationId) -> Option<CallUrls> {
    Some(CallUrls::new(base_url(public_url, request)?, conversation))
}

/// Returns the address of this deployment without a slash at its end: `public_url`, or else the address to which `request`
/// was sent. `None` if the request does not say its own address.
pub fn base_url(public_url: Option<&str>, request: &Request) -> Option<String> {
    if let Some(public_url) = public_url {
        return Some(public_url.to_owned());
    }
    let uri = request.uri();
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let path = uri.path();
    let of_all = || path.strip_suffix(CONVERSATIONS.trim_end_matches('/')).map(|base| (base, ""));
    let (base, _) = path.split_once(WEBHOOKS).or_else(|| path.split_once(CONVERSATIONS)).or_else(of_all)?;
    Some(format!("{scheme}://{authority}{base}"))
}

/// Returns the links to contact cards at this address. `None` if the request does not say its own address.
pub fn card_links(public_url: Option<&str>, request: &Request, key: &CardKey) -> Option<CardLinks> {
    Some(CardLinks { base: base_url(public_url, request)?, key: key.clone() })
}

/// Returns the number of the PIN in its call that the path names, from 1, if it names one.
pub fn nth_pin(request: &Request) -> Result<Option<u8>, Problem> {
    let nth = request.path_parameters_ref().and_then(|parameters| parameters.first("nth"));
    let unknown = || Problem::not_found("There is no such step of a call.");
    let nth = nth.map(|nth| nth.parse().ok().filter(|nth| (1..=TRIES_OF_A_CALL).contains(nth)).ok_or_else(unknown));
    nth.transpose()
}

/// True if the path is that at which the backend decides about a stranger.
pub fn is_about_stranger(request: &Request) -> bool {
    let id = request.path_parameters_ref().and_then(|parameters| parameters.first("id"));
    id == Some(STRANGER)
}

/// Returns the attempt to reach a phone behind a standing mask that the path names, if it names one.
pub fn standing_attempt(request: &Request) -> Result<Option<Attempt>, Problem> {
    let attempt = request.path_parameters_ref().and_then(|parameters| parameters.first("attempt"));
    let unknown = || Problem::not_found("There is no such step of a call.");
    attempt.map(|attempt| Attempt::parse(attempt).ok_or_else(unknown)).transpose()
}

/// True if the path is the one that is asked for the turns of calls.
pub fn asks_for_turn(request: &Request) -> bool {
    request.path_parameters_ref().and_then(|parameters| parameters.first("id")) == Some(TURN)
}

/// Returns the step of a call that the path names, if it names one.
pub fn call_step(request: &Request) -> Result<Option<Step>, Problem> {
    let step = request.path_parameters_ref().and_then(|parameters| parameters.first("step"));
    let unknown = || Problem::not_found("There is no such step of a call.");
    step.map(|step| Step::parse(step).ok_or_else(unknown)).transpose()
}

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
    // A header that is no text is there all the same, so it is a wrong signature and not a missing one.
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or("?"));
    verifier.verify(authorization, body, now)?;
    Ok(body)
}
