//! Text messages.
//!
//! Source: Vonage SMS API. It answers HTTP 200 always, and says in each part how it went.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{Payload, Vonage};
use super::error::VonageError;
use super::retry::Idempotency;
use crate::domain::phone::{RealNumber, VirtualNumber};

/// Sends text messages.
pub trait TextSender: Send + Sync {
    /// Hands one text message to the carrier, and gives the carrier's id of each of its parts. It is then queued, not
    /// delivered.
    fn send(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
    ) -> impl Future<Output = Result<Vec<String>, VonageError>> + Send;
}

/// [`TextSender`] by the SMS API.
#[derive(Debug, Clone)]
pub struct SmsApi(pub Vonage);

/// The characters of the GSM 03.38 alphabet, with those of its extension table. Any other makes a text Unicode, and
/// the API does not see to that itself.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                   abcdefghijklmnopqrstuvwxyzäöñüà|^€{}[]~\\";

const PATH: &str = "/sms/json";

#[derive(Serialize)]
struct Message<'a> {
    from: &'a str,
    to: &'a str,
    text: &'a str,
    #[serde(rename = "type")]
    encoding: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    messages: Vec<Part>,
}

/// All values are strings. A long text has several parts.
#[derive(Deserialize)]
struct Part {
    status: String,
    #[serde(rename = "message-id")]
    message_id: Option<String>,
}

impl TextSender for SmsApi {
    async fn send(&self, from: &VirtualNumber, to: &RealNumber, text: &str) -> Result<Vec<String>, VonageError> {
        let encoding = if text.chars().all(|c| GSM.contains(c)) { "text" } else { "unicode" };
        let message = Message { from: from.as_str(), to: to.expose(), text, encoding };
        self.0.tries(PATH, Idempotency::Unsafe).make(|limit| self.send_once(&message, limit)).await
    }
}

impl SmsApi {
    async fn send_once(&self, message: &Message<'_>, limit: Duration) -> Result<Vec<String>, VonageError> {
        let answer: Answer = self.0.ask_json(self.0.rest(PATH), Payload::Form(message), limit).await?;
        let (taken, refused): (Vec<_>, Vec<_>) = answer.messages.into_iter().partition(|part| part.status == "0");
        let (count, ids) = (taken.len(), taken.into_iter().filter_map(|part| part.message_id).collect());
        match refused.first() {
            // Some parts are out: to send all of them again would be to text twice.
            Some(_) if count > 0 => Err(VonageError::Partly(ids)),
            Some(part) => Err(refusal(&part.status)),
            None if count == 0 => Err(VonageError::NotUnderstood(None)),
            None => Ok(ids),
        }
    }
}

/// The meaning of a status, in our words: Vonage's `error-text` can quote the number.
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
        "15" => "the sender is not allowed to text this number",
        "17" => "blocked by the provider",
        "29" => "the trial account may not text this number",
        "33" => "the number is deactivated",
        _ => "the message was not accepted",
    };
    VonageError::refused(status, label)
}
