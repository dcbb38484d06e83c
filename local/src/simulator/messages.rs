//! Vonage's Messages API: `POST /v1/messages`, for the channels `sms`, `mms`, `whatsapp` and `rcs`, with `failover`.
//!
//! Source: Vonage Messages API 1.11.0 (v1). What the application sends has its status webhooks at the application's `status_url`. What
//! is sent with the account's secret would have them at the account's URLs, which nobody has set here.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rlibphonenumber::PhoneNumber;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::account::Account;
use super::channels::Channel;
use super::gsm::{self, Encoding};
use super::leg::Direction;
use super::phones::ReceivedMessage;
use super::receipts::{SentBy, SentPart, Workflow};
use super::request::{Access, ApiRequest, Payload};
use super::{Shared, Simulator, countries, sms, token};

/// Length of the longest text, in characters.
const LONGEST_TEXT: usize = 1_000;
/// Length of the longest text to a file, in characters.
const LONGEST_CAPTION: usize = 3_000;
/// The types of files.
const FILES: [&str; 5] = ["image", "audio", "video", "vcard", "file"];
/// Longest and shortest time for the delivery of an MMS, in seconds.
const MMS_TTL: std::ops::RangeInclusive<u64> = 300..=259_200;
/// Length of the longest reference, in characters.
const LONGEST_REFERENCE: usize = 100;

/// An error: HTTP status, the end of its `type`, title and detail.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    /// The parameter that is not valid, and the reason.
    invalid: Option<(&'static str, String)>,
}

impl Refusal {
    fn unprocessable(kind: &'static str, title: &'static str, detail: &str) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { status, kind, title, detail: detail.to_owned(), invalid: None }
    }

    fn invalid(name: &'static str, reason: impl Into<String>) -> Self {
        let one =
            Self::unprocessable("/messages#1150", "Invalid params", "The value of one or more parameters is invalid.");
        Self { invalid: Some((name, reason.into())), ..one }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("https://developer.vonage.com/api-errors{}", self.kind),
            "title": self.title,
            "detail": self.detail,
            "instance": Uuid::new_v4().simple().to_string(),
        });
        if let Some((name, reason)) = self.invalid {
            body["invalid_parameters"] = json!([{"name": name, "reason": reason}]);
        }
        (self.status, Json(body)).into_response()
    }
}

/// Handles `POST /v1/messages`.
pub(super) async fn send(State(simulator): Shared, Extension(request): Extension<Arc<ApiRequest>>) -> Response {
    let is_of_application = token::application_of(&simulator, &request).is_some();
    if !is_of_application && request.access != Access::Granted {
        let detail = "Check that you're using the correct credentials, and that your account has this feature enabled";
        let title = "You did not provide correct credentials.";
        let status = StatusCode::UNAUTHORIZED;
        let refusal = Refusal { status, kind: "/#unathorized", title, detail: detail.to_owned(), invalid: None };
        return refusal.into_response();
    }
    let Payload::Json(body @ Value::Object(_)) = &request.payload else {
        let detail = "Unexpected character: was expecting a JSON object";
        let title = "The request body did not contain valid JSON";
        return Refusal::unprocessable("#invalid-json", title, detail).into_response();
    };
    let sent = read_all(body).and_then(|messages| submit_first(&simulator, &messages, is_of_application));
    match sent {
        Ok(answer) => (StatusCode::ACCEPTED, Json(answer)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// A message with valid parameters. Its sender is not checked yet.
struct Message {
    from: String,
    to: String,
    recipient: PhoneNumber,
    channel: &'static str,
    /// The channel, if it is one with senders of its own.
    own_channel: Option<Channel>,
    content: Content,
    client_ref: Option<String>,
}

/// The content of a message.
struct Content {
    /// The text as the recipient sees it.
    text: String,
    parts: usize,
    files: Vec<Value>,
    /// The name of the template whose variables are the text.
    template: Option<String>,
}

/// Reads a message and those that are sent if it is rejected.
fn read_all(body: &Value) -> Result<Vec<Message>, Refusal> {
    let further = match &body["failover"] {
        Value::Null => [].as_slice(),
        Value::Array(messages) if !messages.is_empty() => messages,
        _ => return Err(Refusal::invalid("failover", "must be a list of messages.")),
    };
    [body].into_iter().chain(further).map(Message::read).collect()
}

impl Message {
    fn read(body: &Value) -> Result<Self, Refusal> {
        let channel = required(body, "channel")?;
        let Some(channel) = ["sms", "mms", "whatsapp", "rcs"].into_iter().find(|known| *known == channel) else {
            let detail = "The specified channel is not supported.";
            return Err(Refusal::unprocessable("/messages#1100", "Unsupported channel", detail));
        };
        let (to, from) = (required(body, "to")?, required(body, "from")?);
        let client_ref = optional(body, "client_ref")?;
        if client_ref.is_some_and(|reference| reference.chars().count() > LONGEST_REFERENCE) {
            let detail = "The client reference can be a string of up to 100 characters.";
            return Err(Refusal::unprocessable("/messages#1060", "Invalid client reference", detail));
        }
        if !optional(body, "webhook_version")?.is_none_or(|version| ["v0.1", "v1"].contains(&version)) {
            return Err(Refusal::invalid("webhook_version", "must be one of: v0.1, v1"));
        }
        let fits = |ttl: u64| if channel == "mms" { MMS_TTL.contains(&ttl) } else { ttl > 0 };
        if !body["ttl"].is_null() && !body["ttl"].as_u64().is_some_and(fits) {
            return Err(Refusal::invalid("ttl", "must be a positive number of seconds"));
        }
        let own_channel = Channel::named(channel);
        let content = match (own_channel, channel, required(body, "message_type")?) {
            (Some(own), _, kind) => on_channel(own, body, kind)?,
            (None, "sms", "text") => of_sms(body)?,
            (None, "mms", kind) => of_mms(body, kind)?,
            _ => return Err(invalid_type()),
        };
        let is_phone = (7..=15).contains(&to.len()) && to.bytes().all(|byte| byte.is_ascii_digit());
        let recipient = countries::parse_digits(to).filter(|_| is_phone && !to.starts_with('0'));
        let recipient = recipient.ok_or_else(|| {
            let detail = "The `to` parameter is invalid for the given channel.";
            Refusal::unprocessable("/messages#1130", "Invalid recipient", detail)
        })?;
        let client_ref = client_ref.map(str::to_owned);
        Ok(Self { from: from.to_owned(), to: to.to_owned(), recipient, channel, own_channel, content, client_ref })
    }
}

fn required<'a>(body: &'a Value, name: &'static str) -> Result<&'a str, Refusal> {
    let text = optional(body, name)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| Refusal::invalid(name, "is required."))
}

fn optional<'a>(body: &'a Value, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Refusal::invalid(name, "must be a string.")),
    }
}

fn invalid_type() -> Refusal {
    let detail = "The `message_type` parameter is invalid for the given channel.";
    Refusal::unprocessable("/messages#1140", "Invalid message type", detail)
}

/// Reads the content of a message on a channel.
fn on_channel(channel: Channel, body: &Value, kind: &str) -> Result<Content, Refusal> {
    if kind == "text" {
        let text = required(body, "text")?;
        if text.chars().count() > channel.longest_text() {
            return Err(Refusal::invalid("text", "is too long."));
        }
        return Ok(Content { text: text.to_owned(), parts: 1, files: Vec::new(), template: None });
    }
    if kind == "template" && channel == Channel::WhatsApp {
        return of_template(body);
    }
    if !channel.files().contains(&kind) {
        return Err(invalid_type());
    }
    of_mms(body, kind)
}

/// Reads a message by a template. Which templates the sender has is not known here: each is taken.
///
/// Source: Meta, "Message Templates": a variable is of one line.
fn of_template(body: &Value) -> Result<Content, Refusal> {
    let template = &body["template"];
    let name = template["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Refusal::invalid("template.name", "is required."))?;
    if body["whatsapp"]["locale"].as_str().is_none_or(str::is_empty) {
        return Err(Refusal::invalid("whatsapp.locale", "is required."));
    }
    let is_line = |text: &&str| !text.is_empty() && !text.contains(['\n', '\t']) && !text.contains("     ");
    let variables = template["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Option<Vec<&str>> = variables.iter().map(|one| one.as_str().filter(is_line)).collect();
    let lines = lines.ok_or_else(|| Refusal::invalid("template.parameters", "must be texts of one line."))?;
    Ok(Content { text: lines.join(" "), parts: 1, files: Vec::new(), template: Some(name.to_owned()) })
}

/// Reads the content of an MMS.
fn of_mms(body: &Value, kind: &str) -> Result<Content, Refusal> {
    let item = |kind: &str, item: &Value| {
        let mut file = item.clone();
        file["type"] = json!(kind);
        let has_url = item["url"].as_str().is_some_and(|url| url.starts_with("https://"));
        let caption = item["caption"].as_str().map(|caption| caption.chars().count());
        let is_captioned =
            item["caption"].is_null() || caption.is_some_and(|length| (1..=LONGEST_CAPTION).contains(&length));
        (has_url && is_captioned && FILES.contains(&kind)).then_some(file)
    };
    let files: Option<Vec<Value>> = match kind {
        "text" => {
            return Ok(Content {
                text: required(body, "text")?.to_owned(),
                parts: 1,
                files: Vec::new(),
                template: None,
            });
        }
        "content" => {
            let items = body["content"].as_array().filter(|items| !items.is_empty());
            items.and_then(|items| items.iter().map(|one| item(one["type"].as_str()?, one)).collect())
        }
        kind if FILES.contains(&kind) => item(kind, &body[kind]).map(|file| vec![file]),
        _ => return Err(invalid_type()),
    };
    let files = files
        .ok_or_else(|| Refusal::invalid("url", "must be the URL of a file, with a caption of 1 to 3000 characters."))?;
    let text = files.iter().filter_map(|file| file["caption"].as_str()).collect::<Vec<_>>().join(" ");
    Ok(Content { text, parts: 1, files, template: None })
}

/// Reads the text of an SMS.
fn of_sms(body: &Value) -> Result<Content, Refusal> {
    let text = required(body, "text")?;
    if text.chars().count() > LONGEST_TEXT {
        return Err(Refusal::invalid("text", "must be between 1 and 1000 characters."));
    }
    let encoding = match body["sms"]["encoding_type"].as_str() {
        None | Some("auto") => gsm::encoding(text),
        Some("text") => Encoding::Gsm,
        Some("unicode") => Encoding::Ucs2,
        Some(_) => return Err(Refusal::invalid("sms.encoding_type", "must be one of: text, unicode, auto")),
    };
    Ok(Content {
        text: gsm::as_received(text, encoding),
        parts: gsm::parts(text, encoding),
        files: Vec::new(),
        template: None,
    })
}

/// Checks that the sender is a number of the account with MMS, and the recipient in the United States or Canada.
///
/// Source: Vonage, "Understanding MMS Messaging", availability.
fn sends_mms(account: &Account, message: &Message) -> bool {
    let own = account.owned().iter().find(|number| number.offer.msisdn == message.from);
    let region = countries::region_of(&message.recipient);
    own.is_some_and(|number| number.offer.features.contains(&"MMS")) && matches!(region.as_deref(), Some("US" | "CA"))
}

/// Sends the first message of a list, and those after it as long as one is rejected. Returns the answer to the request.
fn submit_first(simulator: &Simulator, messages: &[Message], is_of_application: bool) -> Result<Value, Refusal> {
    let workflow = |nth: usize, id: &String| Workflow { id: id.clone(), nth, total: messages.len() };
    let list = (messages.len() > 1).then(|| Uuid::new_v4().simple().to_string());
    let mut answer = Map::new();
    for (message, nth) in messages.iter().zip(1..) {
        let place = list.as_ref().map(|id| workflow(nth, id));
        let sent = submit(simulator, message, place, is_of_application);
        let (id, is_rejected) = if answer.is_empty() { sent? } else { sent.unwrap_or_default() };
        answer.entry("message_uuid").or_insert(json!(id));
        if !is_rejected {
            break;
        }
    }
    answer.extend(list.map(|id| ("workflow_id".to_owned(), json!(id))));
    Ok(answer.into())
}

/// Sends a message that has valid parameters. Returns its `message_uuid`, and true if its channel rejects it after all.
fn submit(
    simulator: &Simulator,
    message: &Message,
    workflow: Option<Workflow>,
    is_of_application: bool,
) -> Result<(String, bool), Refusal> {
    let country = countries::prices_of(&message.recipient);
    let price = country.sms_price() * rust_decimal::Decimal::from(message.content.parts);
    {
        let mut account = simulator.account();
        let may_send = match (message.own_channel, message.channel) {
            (Some(channel), _) => simulator.channels().has_sender(channel, &message.from),
            (None, "mms") => sends_mms(&account, message),
            _ => sms::may_send(&account, &message.from, &message.recipient),
        };
        if !may_send {
            let detail = "The `from` parameter is invalid for the given channel.";
            return Err(Refusal::unprocessable("/messages#1120", "Invalid sender", detail));
        }
        if !account.pay(price) {
            let detail = "This request could not be performed due to your account balance being low.".to_owned();
            let (status, kind) = (StatusCode::PAYMENT_REQUIRED, "/#low-balance");
            return Err(Refusal { status, kind, title: "Low balance", detail, invalid: None });
        }
    }
    let (id, now) = (Uuid::new_v4().to_string(), simulator.clock.now());
    simulator.records().add("messages", &id, Direction::Outbound, now);
    let is_opted_out = simulator.receipts().is_opted_out(&message.to, &message.from);
    let is_free = message.content.template.is_none();
    let rejection = |channel| simulator.channels().rejection(channel, &message.to, is_free, now);
    let rejected = message.own_channel.and_then(rejection);
    if is_of_application {
        simulator.receipts().expect(SentPart {
            message_id: id.clone(),
            from: message.from.clone(),
            to: message.to.clone(),
            price: price.normalize().to_string(),
            network: country.network,
            client_ref: message.client_ref.clone(),
            parts: message.content.parts,
            channel: message.channel,
            rejected,
            workflow,
            by: SentBy::MessagesApi,
        });
    }
    // Whoever has opted out gets nothing, and only the status webhook says so.
    if !is_opted_out && rejected.is_none() {
        simulator.inboxes().deliver(ReceivedMessage {
            message_id: id.clone(),
            from: message.from.clone(),
            to: message.to.clone(),
            text: message.content.text.clone(),
            channel: message.own_channel.map(Channel::as_str),
            files: message.content.files.clone(),
            template: message.content.template.clone(),
            received_at: now,
            parts: vec![id.clone()],
        });
    }
    Ok((id, rejected.is_some()))
}
