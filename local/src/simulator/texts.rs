//! Text messages from phones to rented numbers, and their webhooks, in the shape of the Messages API or of the SMS API. The
//! account has one setting for that; here each text says it.
//!
//! On numbers of +1 the carrier follows key words itself: after "STOP" it delivers no text of that number to that phone until "START".
//!
//! Sources: Vonage Messages API v1, `inbound-message`; Vonage SMS API 1.5.1, `inbound-sms`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::auto_replies;
use super::channels::{Channel, Written};
use super::control::body;
use super::countries;
use super::gsm::{self, Encoding};
use super::leg::Direction;
use super::message_webhook::{Format, MessageWebhook, Signing};
use super::phones;
use super::problem::Problem;
use super::{Shared, Simulator};
use crate::faults::{DeliveryFault, WebhookKind};

/// Deliveries until Vonage has a 2xx. It goes on for 24 hours; here the rest is up to `POST /simulator/texts/{id}/deliver`.
const MOST_DELIVERIES: usize = 5;

/// A text that a person sends, as `POST /simulator/texts` takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewText {
    /// The phone, in any notation. A sender without digits is a name.
    from: String,
    to: String,
    #[serde(default)]
    text: String,
    /// The files of an MMS, or the file of a message on a channel. An empty list is an MMS with a text only.
    files: Option<Vec<NewFile>>,
    /// The channel, if it is not SMS or MMS. `to` is a sender on it then.
    channel: Option<Channel>,
    /// `message_uuid` of the message that it quotes on WhatsApp.
    quotes: Option<String>,
    #[serde(default)]
    format: Format,
    /// The signature of its webhooks. Default: that of its format.
    signing: Option<Signing>,
    #[serde(default)]
    parts: Parts,
}

impl NewText {
    /// Creates a text in the usual shape.
    pub(super) fn new(from: &str, to: &str, text: &str) -> Self {
        let [from, to, text] = [from, to, text].map(str::to_owned);
        Self {
            from,
            to,
            text,
            files: None,
            channel: None,
            quotes: None,
            format: Format::default(),
            signing: None,
            parts: Parts::default(),
        }
    }
}

/// A file in an MMS.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFile {
    /// `image`, `audio`, `video`, `vcard` or `file`.
    r#type: String,
    /// Default: one of Vonage's own.
    url: Option<String>,
}

/// The way of the parts of a long text in the SMS API's shape. The Messages API joins them.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parts {
    /// The parts that arrive, in this order, from 1. Default: all of them.
    arrive: Option<Vec<usize>>,
    /// True if the network names no parts, so that each looks like a text of its own.
    unnamed: bool,
}

/// A text on its way, which can be delivered again.
#[derive(Clone)]
pub(super) struct InboundText {
    id: String,
    webhook: MessageWebhook,
    body: Map<String, Value>,
    signed_at: Timestamp,
}

/// The outcome of one webhook.
#[derive(Serialize)]
pub(super) struct TextReport {
    /// `message_uuid` or `messageId`.
    id: String,
    /// The HTTP status of each delivery. `null` if there was no response.
    deliveries: Vec<Option<u16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<DeliveryFault>,
}

/// The outcome of a text: one webhook, or one for each part.
#[derive(Serialize)]
pub(super) struct TextReports {
    messages: Vec<TextReport>,
    /// Number of texts by which phones have answered it, and each other, by themselves.
    #[serde(skip_serializing_if = "is_zero")]
    replies: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Handles `POST /simulator/texts`.
pub(super) async fn send(State(simulator): Shared, bytes: Bytes) -> Result<Json<TextReports>, Problem> {
    let messages = send_one(&simulator, &body(&bytes)?).await?;
    let replies = auto_replies::answer(&simulator).await;
    Ok(Json(TextReports { messages, replies }))
}

/// Has a phone send a text. Returns its webhooks.
pub(super) async fn send_one(simulator: &Simulator, new: &NewText) -> Result<Vec<TextReport>, Problem> {
    let texts = texts(simulator, new)?;
    for text in &texts {
        let product = if new.format == Format::Messages { "messages" } else { "sms" };
        simulator.records().add(product, &text.id, Direction::Inbound, simulator.clock.now());
        simulator.texts().insert(text.id.clone(), text.clone());
    }
    follow_keyword(simulator, new);
    let mut messages = Vec::new();
    for text in &texts {
        messages.push(deliver(simulator, text).await);
    }
    Ok(messages)
}

/// Follows a key word as Opt-Out Assist does, which also answers it; that answer is no text of the account.
///
/// Source: Vonage, "Opt-Out Assist".
fn follow_keyword(simulator: &Simulator, new: &NewText) {
    let pair = (phones::digits(&new.from), phones::digits(&new.to));
    if !pair.1.starts_with('1') {
        return;
    }
    match new.text.trim().to_uppercase().as_str() {
        "STOP" | "STOPALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" => simulator.receipts().opt_out(pair),
        "START" | "YES" | "UNSTOP" => simulator.receipts().opt_in(&pair),
        _ => {}
    }
}

/// A further delivery of a text.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Again {
    /// True if it has the signature of its first delivery. Vonage does not document that.
    same_signature: bool,
}

/// Handles `POST /simulator/texts/{id}/deliver`: a repetition, maybe after hours.
pub(super) async fn deliver_again(
    State(simulator): Shared,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Json<TextReport>, Problem> {
    let Again { same_signature } = if bytes.is_empty() { Again::default() } else { body(&bytes)? };
    let text = simulator.texts().get(&id).cloned();
    let text = text.ok_or_else(|| Problem::not_found("There is no such text."))?;
    let signed_at = if same_signature { text.signed_at } else { simulator.clock.now() };
    Ok(Json(deliver(&simulator, &InboundText { signed_at, ..text }).await))
}

/// Returns the webhook of a message on a channel, which goes to the application that has one.
fn on_channel(simulator: &Simulator, new: &NewText, channel: Channel) -> Result<InboundText, Problem> {
    let (from, now) = (phones::digits(&new.from), simulator.clock.now());
    let account = simulator.account();
    let linked =
        account.applications.iter().find_map(|one| Some((one.message_webhook("inbound_url")?, one.id.clone())));
    let (webhook, application_id) = linked.ok_or_else(|| Problem::bad_request("No \"inbound_url\".".to_owned()))?;
    let to = if channel == Channel::WhatsApp { phones::digits(&new.to) } else { new.to.clone() };
    let mut channels = simulator.channels();
    if !channels.has_sender(channel, &to) {
        return Err(Problem::bad_request("\"to\" is no sender of the account on this channel.".to_owned()));
    }
    channels.note(channel, &from, now);
    let file = new.files.as_ref().and_then(|files| files.first());
    let file = file.map(|file| (file.r#type.as_str(), file.url.as_deref()));
    let written = Written { channel, from: &from, to: &to, text: &new.text, file, quotes: new.quotes.as_deref() };
    let body = written.body(now);
    let id = body["message_uuid"].as_str().unwrap_or_default().to_owned();
    let signing = new.signing.unwrap_or(Format::Messages.usual_signing());
    let webhook = MessageWebhook { webhook, format: Format::Messages, signing, application_id };
    Ok(InboundText { id, webhook, body, signed_at: now })
}

/// Returns the webhooks of a text.
fn texts(simulator: &Simulator, new: &NewText) -> Result<Vec<InboundText>, Problem> {
    if let Some(channel) = new.channel {
        return on_channel(simulator, new, channel).map(|one| vec![one]);
    }
    let (digits, to) = (phones::digits(&new.from), phones::digits(&new.to));
    // A name stays as it is.
    let from = if digits.is_empty() { new.from.clone() } else { digits };
    let account = simulator.account();
    let number = account.owned().iter().find(|number| number.offer.msisdn == to);
    let needed = if new.files.is_some() { "MMS" } else { "SMS" };
    let takes_texts = number.is_some_and(|number| number.offer.features.contains(&needed));
    let Some(application) = account.linked_application(&to).filter(|_| takes_texts) else {
        return Err(Problem::bad_request("\"to\" is no number for texts that is linked to an application.".to_owned()));
    };
    let webhook = application.message_webhook("inbound_url");
    let webhook = webhook.ok_or_else(|| Problem::bad_request("The application has no \"inbound_url\".".to_owned()))?;
    let application_id = application.id.clone();
    drop(account);
    let (format, now) = (new.format, simulator.clock.now());
    let webhook =
        MessageWebhook { webhook, format, signing: new.signing.unwrap_or(format.usual_signing()), application_id };
    let one = |body: Map<String, Value>| {
        let id = ["message_uuid", "messageId"].iter().find_map(|name| body.get(*name)?.as_str());
        InboundText { id: id.unwrap_or_default().to_owned(), webhook: webhook.clone(), body, signed_at: now }
    };
    if format == Format::Messages {
        let body = messages_body(&from, &to, &new.text, now);
        return Ok(vec![one(match &new.files {
            Some(files) => mms_body(body, &new.text, files),
            None => body,
        })]);
    }
    let split = gsm::split(&new.text);
    let count = split.len();
    let arriving = new.parts.arrive.clone().unwrap_or_else(|| (1..=count).collect());
    let reference = simulator.texts().len() % 256;
    let part = |nth: usize| {
        let text = split.get(nth.wrapping_sub(1))?;
        let mut body = sms_body(&simulator.api_key, &from, &to, text, now);
        if count > 1 && !new.parts.unnamed {
            for (name, value) in [("concat-ref", reference), ("concat-total", count), ("concat-part", nth)] {
                body.insert(name.to_owned(), json!(value.to_string()));
            }
            body.insert("concat".to_owned(), json!("true"));
        }
        Some(one(body))
    };
    Ok(arriving.into_iter().filter_map(part).collect())
}

fn keyword(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_uppercase()
}

fn messages_body(from: &str, to: &str, text: &str, now: Timestamp) -> Map<String, Value> {
    let network = countries::parse_digits(from).map_or("unknown", |phone| countries::prices_of(&phone).network);
    let body = json!({
        "channel": "sms",
        "message_uuid": Uuid::new_v4().to_string(),
        "to": to,
        "from": from,
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "text": text,
        "sms": {"num_messages": gsm::split(text).len().to_string(), "keyword": keyword(text)},
        "usage": {"currency": "EUR", "price": "0.0057"},
        "origin": {"network_code": network},
    });
    body.as_object().cloned().unwrap_or_default()
}

/// Makes an MMS of a text.
///
/// Source: Vonage Messages API v1, `inbound-message`, MMS.
fn mms_body(mut body: Map<String, Value>, text: &str, files: &[NewFile]) -> Map<String, Value> {
    for name in ["text", "sms", "usage"] {
        body.remove(name);
    }
    body.insert("channel".to_owned(), json!("mms"));
    let resource = |file: &NewFile| {
        let own = || format!("https://api-us.nexmo.com/v3/media/{}", Uuid::new_v4());
        json!({"url": file.url.clone().unwrap_or_else(own), "name": format!("a.{}", file.r#type)})
    };
    let Some(first) = files.first() else {
        body.extend([("message_type".to_owned(), json!("text")), ("text".to_owned(), json!(text))]);
        return body;
    };
    let mut resources: Vec<Value> = files.iter().map(resource).collect();
    if !text.is_empty() {
        resources[0]["caption"] = json!(text);
    }
    body.insert("message_type".to_owned(), json!(first.r#type));
    body.insert(first.r#type.clone(), resources[0].clone());
    if files.len() > 1 {
        for (resource, file) in resources.iter_mut().zip(files) {
            resource["type"] = json!(file.r#type);
        }
        body.insert("content".to_owned(), json!(resources));
    }
    body
}

fn sms_body(api_key: &str, from: &str, to: &str, text: &str, now: Timestamp) -> Map<String, Value> {
    let body = json!({
        "api-key": api_key,
        "msisdn": from,
        "to": to,
        "messageId": Uuid::new_v4().simple().to_string()[..16].to_uppercase(),
        "text": text,
        "type": if gsm::encoding(text) == Encoding::Gsm { "text" } else { "unicode" },
        "keyword": keyword(text),
        "message-timestamp": now.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    });
    body.as_object().cloned().unwrap_or_default()
}

/// Delivers a text until there is a 2xx, with the fault of a rule at its first delivery.
async fn deliver(simulator: &Simulator, text: &InboundText) -> TextReport {
    let fault = {
        let body = Value::from(text.body.clone()).to_string();
        simulator.faults.take_for_webhook(WebhookKind::InboundUrl, |part| body.contains(part))
    };
    let unsigned = MessageWebhook { signing: Signing::None, ..text.webhook.clone() };
    let send = async || text.webhook.send(&simulator.deliverer, &text.body, text.signed_at).await;
    let mut deliveries = Vec::new();
    match fault {
        Some(DeliveryFault::Lose {}) => deliveries.push(None),
        Some(DeliveryFault::LoseAnswer {}) => {
            send().await;
            deliveries.push(None);
        }
        Some(DeliveryFault::Unsigned {}) => {
            deliveries.push(unsigned.send(&simulator.deliverer, &text.body, text.signed_at).await);
        }
        // The second delivery follows below, until there is a 2xx.
        Some(DeliveryFault::Duplicate {}) => deliveries.push(send().await),
        Some(DeliveryFault::AtOnce {}) => {
            let (one, other) = tokio::join!(send(), send());
            deliveries.extend([one, other]);
        }
        Some(delayed) => sleep(delayed.delay()).await,
        None => {}
    }
    let is_taken = |status: Option<u16>| status.is_some_and(|status| (200..300).contains(&status));
    let repeats = matches!(fault, Some(DeliveryFault::Duplicate {}));
    if repeats || !deliveries.iter().any(|status| is_taken(*status)) {
        while deliveries.len() < MOST_DELIVERIES {
            let status = send().await;
            deliveries.push(status);
            if is_taken(status) {
                break;
            }
        }
    }
    TextReport { id: text.id.clone(), deliveries, fault }
}
