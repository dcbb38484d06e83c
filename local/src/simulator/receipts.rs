//! Delivery receipts of sent texts, and the phones that have opted out of a number.
//!
//! Sources: Vonage SMS API 1.5.1, `delivery-receipt`; Vonage Messages API v1, `message-status`, with the codes of Vonage, "API Errors",
//! Messages API; Vonage, "Messaging opted-out numbers".

use std::collections::HashSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::control::body;
use super::message_webhook::{Format, MessageWebhook, Signing};
use super::phones;
use super::problem::Problem;
use super::{Shared, Simulator};
use crate::faults::{DeliveryFault, WebhookKind};

/// The error code of a text to a phone that has opted out.
const OPTED_OUT: &str = "9";

/// The codes of the SMS API's receipts, and those with the same meaning in the Messages API.
const CODES: [(&str, &str); 14] = [
    ("1", "1330"),
    ("2", "1180"),
    ("3", "1190"),
    ("4", "1050"),
    ("5", "1200"),
    ("6", "1210"),
    ("7", "1220"),
    ("8", "1230"),
    ("9", "1240"),
    ("10", "1040"),
    ("11", "1250"),
    ("12", "1260"),
    ("14", "1280"),
    ("15", "1290"),
];

/// A part of a sent text whose receipt is still to come.
#[derive(Clone, Debug)]
pub(super) struct SentPart {
    pub(super) message_id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) price: String,
    pub(super) network: &'static str,
    pub(super) client_ref: Option<String>,
    pub(super) parts: usize,
    /// `sms` or `mms`, or the name of a channel.
    pub(super) channel: &'static str,
    /// The code with which its channel rejects it.
    pub(super) rejected: Option<&'static str>,
    /// Its place in a list of messages of which each is sent if the one before is rejected.
    pub(super) workflow: Option<Workflow>,
    pub(super) by: SentBy,
}

/// A list of messages.
#[derive(Clone, Debug)]
pub(super) struct Workflow {
    pub(super) id: String,
    /// The place of the message, from 1.
    pub(super) nth: usize,
    pub(super) total: usize,
}

/// The API that sent a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentBy {
    /// Its receipts have the format that the account has as its default.
    SmsApi,
    /// Its receipts always have the format of this API.
    MessagesApi,
}

/// Sent parts, and who has opted out of which sender.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    waiting: Vec<SentPart>,
    /// Phone and sender.
    opted_out: HashSet<(String, String)>,
}

impl Receipts {
    /// True if texts of this sender are not delivered to the phone.
    pub(super) fn is_opted_out(&self, phone: &str, sender: &str) -> bool {
        self.opted_out.contains(&(phone.to_owned(), sender.to_owned()))
    }

    /// Delivers no more texts of the sender to the phone.
    pub(super) fn opt_out(&mut self, pair: (String, String)) {
        self.opted_out.insert(pair);
    }

    /// Delivers texts of the sender to the phone again.
    pub(super) fn opt_in(&mut self, pair: &(String, String)) {
        self.opted_out.remove(pair);
    }

    pub(super) fn expect(&mut self, part: SentPart) {
        self.waiting.push(part);
    }
}

/// The receipts that Vonage sends now.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Release {
    /// Only those of texts to this phone.
    to: Option<String>,
    format: Format,
    signing: Option<Signing>,
    /// The SMS API's word. A phone that has opted out gets none of its own.
    status: String,
    err_code: String,
    /// True if the latest part's comes first.
    reversed: bool,
    /// True if they stay, to be sent again.
    keep: bool,
}

impl Default for Release {
    fn default() -> Self {
        Self {
            to: None,
            format: Format::default(),
            signing: None,
            status: "delivered".to_owned(),
            err_code: "0".to_owned(),
            reversed: false,
            keep: false,
        }
    }
}

/// The outcome of a receipt.
#[derive(Serialize)]
pub(super) struct ReceiptReport {
    /// The part of the text.
    id: String,
    /// Its status.
    status: String,
    /// The HTTP status of each delivery. `null` if there was no response.
    deliveries: Vec<Option<u16>>,
}

/// Handles `POST /simulator/receipts`: sends the receipts of the texts so far.
pub(super) async fn release(State(simulator): Shared, bytes: Bytes) -> Result<Json<Vec<ReceiptReport>>, Problem> {
    let release: Release = if bytes.is_empty() { Release::default() } else { body(&bytes)? };
    let first = simulator.account().applications.first().cloned();
    let webhook = first.and_then(|first| Some((first.message_webhook("status_url")?, first.id)));
    let (webhook, application_id) =
        webhook.ok_or_else(|| Problem::bad_request("The application has no \"status_url\".".to_owned()))?;
    let mut reports = Vec::new();
    for part in taken(&simulator, &release) {
        let is_opted_out = simulator.receipts().is_opted_out(&part.to, &part.from);
        let (status, code) = match part.rejected {
            Some(code) => ("rejected", code),
            None if is_opted_out => ("failed", OPTED_OUT),
            None => (release.status.as_str(), release.err_code.as_str()),
        };
        let now = simulator.clock.now();
        let format = if part.by == SentBy::MessagesApi { Format::Messages } else { release.format };
        let signing = release.signing.unwrap_or(format.usual_signing());
        let (webhook, application_id) = (webhook.clone(), application_id.clone());
        let webhook = MessageWebhook { webhook, format, signing, application_id };
        let body = match format {
            Format::Messages => messages_body(&part, (status, code), now),
            _ => sms_body(&simulator.api_key, &part, (status, code), now),
        };
        let deliveries = deliver(&simulator, &webhook, &body, now).await;
        reports.push(ReceiptReport { id: part.message_id, status: status.to_owned(), deliveries });
    }
    Ok(Json(reports))
}

/// Takes the parts whose receipts are sent now, in their order.
fn taken(simulator: &Simulator, release: &Release) -> Vec<SentPart> {
    let to = release.to.as_deref().map(phones::digits);
    let is_meant = |part: &SentPart| to.as_ref().is_none_or(|to| part.to == *to);
    let mut receipts = simulator.receipts();
    let mut parts: Vec<_> = receipts.waiting.iter().filter(|part| is_meant(part)).cloned().collect();
    if !release.keep {
        receipts.waiting.retain(|part| !is_meant(part));
    }
    if release.reversed {
        parts.reverse();
    }
    parts
}

async fn deliver(
    simulator: &Simulator,
    webhook: &MessageWebhook,
    body: &Map<String, Value>,
    now: Timestamp,
) -> Vec<Option<u16>> {
    let text = Value::from(body.clone()).to_string();
    let fault = simulator.faults.take_for_webhook(WebhookKind::StatusUrl, |part| text.contains(part));
    let send = async || webhook.send(&simulator.deliverer, body, now).await;
    match fault {
        Some(DeliveryFault::Lose {}) => vec![None],
        Some(DeliveryFault::LoseAnswer {} | DeliveryFault::Duplicate {}) => vec![send().await, send().await],
        Some(DeliveryFault::AtOnce {}) => {
            let (one, other) = tokio::join!(send(), send());
            vec![one, other]
        }
        Some(DeliveryFault::Unsigned {}) => {
            let unsigned = MessageWebhook { signing: Signing::None, ..webhook.clone() };
            vec![unsigned.send(&simulator.deliverer, body, now).await, send().await]
        }
        _ => vec![send().await],
    }
}

fn sms_body(api_key: &str, part: &SentPart, (status, code): (&str, &str), now: Timestamp) -> Map<String, Value> {
    let mut body = json!({
        "msisdn": part.to,
        "to": part.from,
        "network-code": part.network,
        "messageId": part.message_id,
        "price": part.price,
        "status": status,
        "scts": now.strftime("%y%m%d%H%M").to_string(),
        "err-code": code,
        "api-key": api_key,
        "message-timestamp": now.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    });
    if let Some(client_ref) = &part.client_ref {
        body["client-ref"] = json!(client_ref);
    }
    body.as_object().cloned().unwrap_or_default()
}

fn messages_body(part: &SentPart, (status, code): (&str, &str), now: Timestamp) -> Map<String, Value> {
    let word = match status {
        "delivered" => "delivered",
        "read" if !matches!(part.channel, "sms" | "mms") => "read",
        "failed" | "expired" => "undeliverable",
        "rejected" => "rejected",
        _ => "submitted",
    };
    let mut body = json!({
        "message_uuid": part.message_id,
        "to": part.to,
        "from": part.from,
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "status": word,
        "channel": part.channel,
        "usage": {"currency": "EUR", "price": part.price},
        "destination": {"network_code": part.network},
    });
    if part.channel == "sms" {
        body["sms"] = json!({"count_total": part.parts.to_string()});
    }
    if matches!(word, "undeliverable" | "rejected") {
        let code = CODES.iter().find(|(of_sms, _)| *of_sms == code).map_or(code, |(_, of_messages)| of_messages);
        body["error"] = json!({"type": format!("https://developer.vonage.com/api-errors/messages#{code}"),
            "title": code, "detail": "The message was not delivered.", "instance": part.message_id});
    }
    if let Some(client_ref) = &part.client_ref {
        body["client_ref"] = json!(client_ref);
    }
    if let Some(Workflow { id, nth, total }) = &part.workflow {
        body["workflow"] =
            json!({"workflow_id": id, "items_number": nth.to_string(), "items_total": total.to_string()});
    }
    body.as_object().cloned().unwrap_or_default()
}

/// A phone that takes texts of a sender or does not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptOut {
    phone: String,
    sender: String,
    opted_out: bool,
}

/// Handles `PUT /simulator/opt-outs`.
pub(super) async fn opt_out(State(simulator): Shared, bytes: Bytes) -> Result<StatusCode, Problem> {
    let OptOut { phone, sender, opted_out } = body(&bytes)?;
    // A name stays as it is.
    let digits = phones::digits(&sender);
    let pair = (phones::digits(&phone), if digits.is_empty() { sender } else { digits });
    let mut receipts = simulator.receipts();
    if opted_out {
        receipts.opt_out(pair);
    } else {
        receipts.opt_in(&pair);
    }
    Ok(StatusCode::NO_CONTENT)
}
