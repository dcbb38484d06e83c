//! Text messages, also with files (MMS), and messages on WhatsApp and RCS, by the Messages API.
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
use crate::domain::channel::OnChannel;
use crate::domain::media::{MediaFile, MediaKind};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::relayed_text::AcceptedPart;
use crate::domain::text_message::{TextSize, pieces};
use crate::domain::whatsapp_template::{Template, variable};

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
    #[serde(flatten)]
    content: Content<'a>,
    /// Repeated in the status webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ref: Option<&'a str>,
    /// The shape of the status webhooks, whatever the account has as its default.
    webhook_version: &'static str,
    /// The message that Vonage sends instead if the channel rejects this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failover: Vec<Message<'a>>,
}

impl<'a> Message<'a> {
    fn new(
        (from, to): (&'a str, &'a RealNumber),
        [channel, message_type]: [&'static str; 2],
        content: Content<'a>,
        client_ref: Option<&'a str>,
    ) -> Self {
        let (to, failover) = (to.expose(), Vec::new());
        Self { channel, message_type, from, to, content, client_ref, webhook_version: "v1", failover }
    }

    fn sms(from: &'a VirtualNumber, to: &'a RealNumber, text: &'a str, client_ref: Option<&'a str>) -> Self {
        let content = Content::Sms { text, sms: SmsOptions { encoding_type: "auto" } };
        Self::new((from.as_str(), to), ["sms", "text"], content, client_ref)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Sms { text: &'a str, sms: SmsOptions },
    Text { text: &'a str },
    Template { whatsapp: Policy<'a>, template: Filled<'a> },
    Files(FileContent<'a>),
}

/// The language of a template, which WhatsApp takes exactly.
#[derive(Serialize)]
struct Policy<'a> {
    policy: &'static str,
    locale: &'a str,
}

/// A template with its variables.
#[derive(Serialize)]
struct Filled<'a> {
    name: &'a str,
    parameters: [&'a str; 1],
}

impl<'a> Content<'a> {
    fn of_template(template: Template<'a>, variable: &'a str) -> Self {
        let Template { name, locale } = template;
        let whatsapp = Policy { policy: "deterministic", locale };
        Self::Template { whatsapp, template: Filled { name, parameters: [variable] } }
    }
}

/// A message on a channel, from the deployment's sender to a phone.
#[derive(Debug, Clone, Copy)]
pub struct ChatMessage<'a> {
    /// The channel, its sender, and the template that has the words as its variable.
    pub way: OnChannel<'a>,
    /// The phone.
    pub to: &'a RealNumber,
    /// The words. They go before the files.
    pub words: &'a str,
    /// The files, each in a message of its own: not all channels take words with a file.
    pub files: &'a [MediaFile],
    /// The number that texts the words if the channel rejects them.
    pub otherwise: Option<&'a VirtualNumber>,
}

impl ChatMessage<'_> {
    /// Returns the size of a message as it is sent.
    pub fn size(words: &str, files: &[MediaFile]) -> TextSize {
        TextSize::of_messages(pieces(words, MOST_CHARACTERS).len() + files.len())
    }
}

/// The files of an MMS: a single one under the name of its kind.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum FileContent<'a> {
    Image(Resource<'a>),
    Audio(Resource<'a>),
    Video(Resource<'a>),
    Vcard(Resource<'a>),
    File(Resource<'a>),
    Content(Vec<Item<'a>>),
}

#[derive(Serialize)]
struct Resource<'a> {
    url: &'a str,
    /// 1 to 3,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<&'a str>,
}

#[derive(Serialize)]
struct Item<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    resource: Resource<'a>,
}

impl<'a> FileContent<'a> {
    /// Returns the type of the message, and its content. What is written goes with the first file.
    fn of(files: &'a [MediaFile], words: &'a str) -> (&'static str, Self) {
        let caption = |nth: usize| Some(words).filter(|words| nth == 0 && !words.is_empty());
        let resource = |nth: usize, file: &'a MediaFile| Resource { url: file.address(), caption: caption(nth) };
        match files {
            [file] => {
                let single = match file.kind {
                    MediaKind::Image => Self::Image,
                    MediaKind::Audio => Self::Audio,
                    MediaKind::Video => Self::Video,
                    MediaKind::Vcard => Self::Vcard,
                    MediaKind::File => Self::File,
                };
                (file.kind.as_str(), single(resource(0, file)))
            }
            files => {
                let item = |(nth, file): (usize, &'a MediaFile)| Item {
                    r#type: file.kind.as_str(),
                    resource: resource(nth, file),
                };
                ("content", Self::Content(files.iter().enumerate().map(item).collect()))
            }
        }
    }
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
    pub(super) async fn send(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        reference: Option<String>,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        let pieces = pieces(text, MOST_CHARACTERS);
        let sms = pieces.iter().map(|piece| Message::sms(from, to, piece, reference.as_deref()));
        self.send_all(sms).await
    }

    /// Sends a message on a channel, and returns the messages that the carrier has accepted.
    ///
    /// Words have the SMS with them that Vonage sends if the channel rejects them after all. So nothing has to be kept here, and they
    /// are sent once. Files have none: most networks carry no MMS.
    pub(super) async fn chat(
        &self,
        message: &ChatMessage<'_>,
        reference: Option<&str>,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        let ChatMessage { way, to, words, files, otherwise } = *message;
        let OnChannel { channel, sender, template } = way;
        if !way.carries(words, files) {
            return Err(VonageError::Withheld("the channel does not carry it"));
        }
        let (pieces, variable) = (pieces(words, MOST_CHARACTERS), variable(words));
        let filled = template.zip(variable.as_deref());
        let otherwise = otherwise.filter(|_| files.is_empty());
        let texts = pieces.iter().map(|piece| {
            let failover = otherwise.map(|mask| Message::sms(mask, to, piece, reference)).into_iter().collect();
            let (kind, content) = match filled {
                Some((template, variable)) => ("template", Content::of_template(template, variable)),
                None => ("text", Content::Text { text: piece }),
            };
            Message { failover, ..Message::new((sender, to), [channel.as_str(), kind], content, reference) }
        });
        let files = files.iter().map(|file| {
            let (kind, content) = FileContent::of(std::slice::from_ref(file), "");
            Message::new((sender, to), [channel.as_str(), kind], Content::Files(content), reference)
        });
        self.send_all(texts.chain(files)).await
    }

    /// Sends messages one after the other. One that fails after others were accepted is not sent again with them. None is started
    /// after the time for one request.
    async fn send_all<'a>(
        &self,
        messages: impl Iterator<Item = Message<'a>>,
    ) -> Result<Vec<AcceptedPart>, VonageError> {
        let (started, mut accepted) = (Instant::now(), Vec::new());
        for message in messages {
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

    /// Sends files with what is written to them, as one MMS, and returns the message that the carrier has accepted. The carrier fetches
    /// the files.
    pub(super) async fn send_files(
        &self,
        from: &VirtualNumber,
        to: &RealNumber,
        (files, words): (&[MediaFile], &str),
        reference: &str,
    ) -> Result<AcceptedPart, VonageError> {
        let (message_type, content) = FileContent::of(files, words);
        let from = from.as_str();
        let message = Message::new((from, to), ["mms", message_type], Content::Files(content), Some(reference));
        self.send_message(&message).await.map(|id| AcceptedPart { id, price: None })
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
        (Some("1120" | "1420"), _) => "the sender must not text this number",
        (Some("1130" | "1300" | "1310" | "1430"), _) => "the phone cannot be reached on the channel",
        (Some("1340"), _) => "the phone has not written on the channel for a day",
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
    use crate::domain::phone::PhoneNumber;

    fn refused(status: u16, kind: &str) -> VonageError {
        let body = json!({"type": kind, "title": "Invalid sender", "detail": "447700900001", "instance": "bf0ca0bf"});
        refusal(StatusCode::from_u16(status).unwrap(), body.to_string().as_bytes())
    }

    #[test]
    fn files_are_written_as_vonage_documents_them() {
        let file = |kind| MediaFile::new(kind, "https://api-us.nexmo.com/v3/media/a".to_owned()).unwrap();
        let number = |digits: &str| PhoneNumber::try_from(digits).unwrap();
        let (from, to) = (VirtualNumber::from(number("12015550100")), RealNumber::from(number("12025550101")));
        let written = |files: &[MediaFile], words: &str| {
            let (message_type, content) = FileContent::of(files, words);
            let content = Content::Files(content);
            let message = Message::new((from.as_str(), &to), ["mms", message_type], content, Some("a.b"));
            serde_json::to_value(message).unwrap()
        };
        let url = "https://api-us.nexmo.com/v3/media/a";
        let image = json!({"channel": "mms", "message_type": "image", "from": "12015550100", "to": "12025550101",
                           "image": {"url": url, "caption": "Here"}, "client_ref": "a.b", "webhook_version": "v1"});
        assert_eq!(written(&[file(MediaKind::Image)], "Here"), image);
        let card = written(&[file(MediaKind::Vcard)], "");
        assert_eq!((&card["message_type"], &card["vcard"]), (&json!("vcard"), &json!({"url": url})));
        let both = written(&[file(MediaKind::Image), file(MediaKind::Audio)], "Both");
        let items = json!([{"type": "image", "url": url, "caption": "Both"}, {"type": "audio", "url": url}]);
        assert_eq!((&both["message_type"], &both["content"]), (&json!("content"), &items));
    }

    #[test]
    fn template_is_written_as_vonage_documents_it() {
        let to = RealNumber::from(PhoneNumber::try_from("447700900001").unwrap());
        let content = Content::of_template(Template { name: "9b6b4fcb:ride_text", locale: "en_GB" }, "Here.");
        let message = Message::new(("447700900099", &to), ["whatsapp", "template"], content, None);
        let expected = json!({"channel": "whatsapp", "message_type": "template", "from": "447700900099",
                              "to": "447700900001", "webhook_version": "v1",
                              "whatsapp": {"policy": "deterministic", "locale": "en_GB"},
                              "template": {"name": "9b6b4fcb:ride_text", "parameters": ["Here."]}});
        assert_eq!(serde_json::to_value(message).unwrap(), expected);
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
