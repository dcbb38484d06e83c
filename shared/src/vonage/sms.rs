//! Text messages by the SMS API.
//!
//! Source: Vonage SMS API 1.5.1. It always answers HTTP 200, with a status for each part of the text message.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{Payload, Vonage};
use super::error::VonageError;
use super::retry::Idempotency;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::relayed_text::AcceptedPart;
use crate::domain::text_message::Encoding;

/// A client of the SMS API.
#[derive(Debug)]
pub(super) struct SmsApi(pub(super) Vonage);

const PATH: &str = "/sms/json";

#[derive(Serialize)]
struct Message<'a> {
    from: &'a str,
    to: &'a str,
    text: &'a str,
    #[serde(rename = "type")]
    encoding: &'static str,
    /// Repeated in the receipts.
    #[serde(rename = "client-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    messages: Vec<Part>,
}

/// One part of a text message. All values are strings.
#[derive(Deserialize)]
struct Part {
    status: String,
    #[serde(rename = "message-id")]
    message_id: Option<String>,
    #[serde(rename = "message-price")]
    price: Option<String>,
}

impl<'a> Message<'a> {
    fn new(from: &'a VirtualNumber, to: &'a RealNumber, text: &'a str, reference: Option<String>) -> Self {
        // The API does not detect the encoding.
        let encoding = match Encoding::of(text) {
            Encoding::Gsm => "text",
            Encoding::Ucs2 => "unicode",
        };
        Self { from: from.as_str(), to: to.expose(), text, encoding, reference }
    }
}

impl SmsApi {
    /// Connects to the API, so that the first text message does not wait for a connection.
    pub(super) async fn warm_up(&self) {
        self.0.warm_up(self.0.rest("/")).await;
    }

    /// Sends a text message and returns the parts that the carrier has queued. Their receipts have the `reference`.
    pub(super) async fn send(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        reference: Option<String>,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        let message = Message::new(from, to, text, reference);
        self.0.retry_budget(PATH, Idempotency::Unsafe, None).run(|limit| self.send_once(&message, limit)).await
    }

    async fn send_once(&self, message: &Message<'_>, limit: Duration) -> Result<Vec<AcceptedPart>, VonageError> {
        let answer: Answer = self.0.send_for_json(self.0.rest(PATH), Payload::Form(message), limit).await?;
        let (accepted, refused): (Vec<_>, Vec<_>) = answer.messages.into_iter().partition(|part| part.status == "0");
        let count = accepted.len();
        let accepted =
            accepted.into_iter().filter_map(|part| Some(AcceptedPart { id: part.message_id?, price: part.price }));
        match refused.first() {
            // A retry would send the accepted parts twice.
            Some(_) if count > 0 => {
                Err(VonageError::Partial(accepted.map(|part| CarrierRecord::of_text(part.id)).collect()))
            }
            Some(part) => Err(refusal(&part.status)),
            None if count == 0 => Err(VonageError::NotUnderstood(None)),
            None => Ok(accepted.collect()),
        }
    }
}

/// Translates the status of a part. The text is ours, because Vonage's `error-text` can quote the number.
fn refusal(status: &str) -> VonageError {
    let label = match status {
        "1" => return VonageError::RateLimited { retry_after: None },
        "4" | "14" => return VonageError::Unauthorized,
        "2" | "3" => "a parameter is missing or not valid",
        "5" => return VonageError::Failed(200),
        "6" => "the message cannot be routed",
        "7" => "the number is barred from messages",
        "8" => "the carrier account is barred",
        "9" => "the carrier account has not enough credit",
        "12" => "the message is too long",
        "15" => "the sender must not text this number",
        "17" => "the provider blocked the message",
        "29" => "the trial account must not text this number",
        "33" => "the number is deactivated",
        _ => "the message was not accepted",
    };
    VonageError::refused(status, label)
}
