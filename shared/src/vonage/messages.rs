//! Text messages by the Messages API.
//!
//! Source: Vonage Messages API 1.11.0 (v1), `POST /v1/messages`. It takes texts of up to 1,000 characters, answers 202 with a
//! `message_uuid`, and says in status webhooks what becomes of the message. A request of the application makes it send them to the
//! application's `status_url`; one of the account would make it send them to the account's URLs, which nobody here can verify.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::application_token::ApplicationToken;
use super::client::{Payload, Vonage, parse};
use super::error::VonageError;
use super::retry::Idempotency;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::relayed_text::AcceptedPart;
use crate::domain::text_message::pieces;

/// A client of the Messages API, whose requests the application signs.
#[derive(Debug)]
pub(super) struct MessagesApi {
    pub(super) vonage: Vonage,
    pub(super) token: Arc<ApplicationToken>,
}

/// Length of the longest text of one message, in characters.
pub(super) const MOST_CHARACTERS: usize = 1_000;

const PATH: &str = "/v1/messages";

#[derive(Serialize)]
struct Message<'a> {
    channel: &'static str,
    message_type: &'static str,
    from: &'a str,
    to: &'a str,
    text: &'a str,
    sms: SmsOptions,
    /// Repeated in the status webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ref: Option<&'a str>,
    /// The shape of the status webhooks, whatever the account has as its default.
    webhook_version: &'static str,
}

#[derive(Serialize)]
struct SmsOptions {
    encoding_type: &'static str,
}

#[derive(Deserialize)]
struct Accepted {
    message_uuid: String,
}

/// The body of an error. Vonage's `title` and `detail` can quote the number, so they are not read.
#[derive(Deserialize)]
struct ErrorBody {
    /// A URL that ends in `#` and the code.
    r#type: String,
}

impl MessagesApi {
    /// Signs a token and connects to the API, so that the first text message waits for neither.
    pub(super) async fn warm_up(&self) {
        // If this fails, the first text message reports it.
        let _ = self.token.current();
        self.vonage.warm_up(self.vonage.api("/")).await;
    }

    /// Sends a text message, a long one in several, and returns the messages that the carrier has accepted. Their status webhooks
    /// have the `reference`.
    ///
    /// A piece that fails after others were accepted is not sent again with them. None is started after the time for one request.
    pub(super) async fn send(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        reference: Option<String>,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        let (started, mut accepted) = (Instant::now(), Vec::new());
        for piece in pieces(text, MOST_CHARACTERS) {
            let message = Message {
                channel: "sms",
                message_type: "text",
                from: from.as_str(),
                to: to.expose(),
                text: &piece,
                sms: SmsOptions { encoding_type: "auto" },
                client_ref: reference.as_deref(),
                webhook_version: "v1",
            };
            if !accepted.is_empty() && started.elapsed() >= self.vonage.time_limit() {
                return Err(partial(accepted));
            }
            match self.send_message(&message).await {
                Ok(id) => accepted.push(AcceptedPart { id, price: None }),
                Err(error) if accepted.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(cause = %error, "sending a further piece of a text failed");
                    return Err(partial(accepted));
                }
            }
        }
        Ok(accepted)
    }

    async fn send_message(&self, message: &Message<'_>) -> Result<String, VonageError> {
        let token = &self.token.current()?;
        let budget = self.vonage.retry_budget(PATH, Idempotency::Unsafe, None);
        budget.run(|limit| self.send_once(message, token, limit)).await
    }

    async fn send_once(&self, message: &Message<'_>, token: &str, limit: Duration) -> Result<String, VonageError> {
        let url = self.vonage.api(PATH);
        let (status, body) = self.vonage.send_as_application(token, url, Payload::Json(message), limit).await?;
        match status.is_success() {
            true => parse::<Accepted>(&body).map(|accepted| accepted.message_uuid),
            false => Err(refusal(status, &body)),
        }
    }
}

fn partial(accepted: Vec<AcceptedPart>) -> VonageError {
    VonageError::Partial(accepted.into_iter().map(|part| CarrierRecord::of_message(part.id)).collect())
}

/// Translates a refusal by its code, or else by its HTTP status.
///
/// Source: Vonage, "API Errors", Messages API.
fn refusal(status: StatusCode, body: &[u8]) -> VonageError {
    let error = serde_json::from_slice::<ErrorBody>(body).ok();
    let code = error.as_ref().and_then(|error| error.r#type.rsplit_once('#')).map(|(_, code)| code);
    // Of these two the page of the codes says something else than the API's own description.
    let code = code.filter(|code| status != StatusCode::PAYMENT_REQUIRED && code.len() == 4);
    let label = match (code, status) {
        (Some("1010" | "1020" | "1140" | "1150"), _) => "a parameter is missing or not valid",
        (Some("1040" | "1170"), _) => "the message cannot be routed",
        (Some("1050"), _) => "the number is barred from messages",
        (Some("1060"), StatusCode::FORBIDDEN) => "the carrier account is barred",
        (Some("1060"), _) => "the reference of the message is not valid",
        (Some("1090"), _) => "the message is too long",
        (Some("1100" | "1110"), _) => "the channel is not available",
        (Some("1120"), _) => "the sender must not text this number",
        (Some("1160"), _) => "the trial account must not text this number",
        (_, StatusCode::PAYMENT_REQUIRED) => "the carrier account has not enough credit",
        _ => "the message was not accepted",
    };
    VonageError::refused(code.unwrap_or(status.as_str()), label)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, kind: &str) -> VonageError {
        let body = json!({"type": kind, "title": "Invalid sender", "detail": "447700900001", "instance": "bf0ca0bf"});
        refusal(StatusCode::from_u16(status).unwrap(), body.to_string().as_bytes())
    }

    #[test]
    fn refusals_are_told_apart_without_vonages_words() {
        const ERRORS: &str = "https://developer.vonage.com/api-errors/messages";
        let sender = refused(422, &format!("{ERRORS}#1120"));
        assert!(sender.refuses_sender() && !sender.may_pass() && !sender.outcome_is_unknown(), "{sender}");
        let balance = refused(402, "https://developer.vonage.com/api-errors/#low-balance");
        assert!(balance.may_pass() && balance.to_string().contains("credit (code 402)"), "{balance}");
        for (status, kind, said) in [
            (422, format!("{ERRORS}#1150"), "a parameter is missing or not valid (code 1150)"),
            (422, format!("{ERRORS}#110"), "the message was not accepted (code 422)"),
            (403, String::new(), "the message was not accepted (code 403)"),
        ] {
            let error = refused(status, &kind);
            assert!(error.to_string().contains(said) && !error.may_pass(), "{error}");
        }
        let unreadable = refusal(StatusCode::UNPROCESSABLE_ENTITY, b"<html>").to_string();
        assert!(unreadable.ends_with("(code 422)"), "{unreadable}");
    }
}
