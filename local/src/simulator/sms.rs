//! Vonage's SMS API: `POST /sms/json`. Always HTTP 200, with a status for each part of the text message.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rlibphonenumber::PhoneNumber;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::account::Account;
use super::countries::{self, Country};
use super::gsm::{self, Encoding};
use super::leg::Direction;
use super::phones::ReceivedMessage;
use super::receipts::{SentBy, SentPart};
use super::request::{Access, ApiRequest};
use super::{Shared, Simulator};

/// Length of the longest text that Vonage accepts, in characters.
const LONGEST_TEXT: usize = 3_200;
/// Size of a binary message, in bytes.
const BINARY_BYTES: usize = 140;

/// Status and error text of a refused message.
type Refusal = (&'static str, String);

/// Handles `POST /sms/json`.
pub(super) async fn send(State(simulator): Shared, Extension(request): Extension<Arc<ApiRequest>>) -> Response {
    let messages = match authorised(&request).and_then(|()| Message::read(&request)) {
        Ok(message) => submit(&simulator, &message),
        Err(refusal) => vec![refused(refusal)],
    };
    let count = messages.len().to_string();
    Json(json!({"message-count": count, "messages": messages})).into_response()
}

fn authorised(request: &ApiRequest) -> Result<(), Refusal> {
    match request.access {
        Access::Granted => Ok(()),
        // A signed request has no secret; this account has no signing method set.
        _ if request.text("sig").is_some() => Err(("14", "Invalid Signature".to_owned())),
        Access::Missing => Err(("2", "Missing api_key".to_owned())),
        Access::Refused => Err(("4", "Bad Credentials".to_owned())),
    }
}

fn refused((status, text): Refusal) -> Map<String, Value> {
    let mut item = Map::new();
    item.insert("status".into(), json!(status));
    item.insert("error-text".into(), json!(text));
    item
}

/// A message with valid parameters. Its sender is not checked yet.
struct Message {
    from: String,
    to: String,
    recipient: PhoneNumber,
    text: String,
    parts: usize,
    /// `client-ref` and `account-ref`, which the response repeats.
    references: Vec<(&'static str, String)>,
}

impl Message {
    fn read(request: &ApiRequest) -> Result<Self, Refusal> {
        let required = |name: &str| {
            let value = request.text(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| ("2", format!("Missing {name} param")))
        };
        let to = required("to")?;
        let from = required("from")?;
        let (text, parts) = content(request, required)?;
        if !to.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(("3", "to address is not numeric".to_owned()));
        }
        if !(7..=15).contains(&to.len()) || to.starts_with('0') {
            return Err(("3", "Invalid to address".to_owned()));
        }
        let recipient =
            countries::parse_digits(&to).ok_or_else(|| ("6", "Unroutable message - rejected".to_owned()))?;
        let references = ["client-ref", "account-ref"].into_iter().filter_map(|name| Some((name, request.text(name)?)));
        Ok(Self { from, to, recipient, text, parts, references: references.collect() })
    }
}

/// Returns the text as the recipient sees it, and the number of its parts.
fn content(
    request: &ApiRequest,
    required: impl Fn(&str) -> Result<String, Refusal>,
) -> Result<(String, usize), Refusal> {
    let encoding = match request.text("type").as_deref() {
        None | Some("text") => Encoding::Gsm,
        Some("unicode") => Encoding::Ucs2,
        Some("binary") => {
            let (body, header) = (required("body")?, required("udh")?);
            let hex = |text: &str| text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !hex(&body) || !hex(&header) {
                return Err(("3", "Invalid hex in body or udh param".to_owned()));
            }
            if (body.len() + header.len()) / 2 > BINARY_BYTES {
                return Err(("12", "Message too long".to_owned()));
            }
            return Ok((body, 1));
        }
        Some(_) => return Err(("3", "Invalid type param".to_owned())),
    };
    let text = required("text")?;
    if text.chars().count() > LONGEST_TEXT {
        return Err(("12", "Message too long".to_owned()));
    }
    let parts = gsm::parts(&text, encoding);
    Ok((gsm::as_received(&text, encoding), parts))
}

fn submit(simulator: &Simulator, message: &Message) -> Vec<Map<String, Value>> {
    let country = countries::prices_of(&message.recipient);
    let mut account = simulator.account();
    if !may_send(&account, &message.from, &message.recipient) {
        return vec![refused(("15", "Illegal Sender Address - rejected".to_owned()))];
    }
    let items: Vec<_> = (0..message.parts).map(|_| submit_part(&mut account, message, country)).collect();
    drop(account);
    let ids = items.iter().filter_map(|item| item.get("message-id")?.as_str().map(str::to_owned));
    let ids: Vec<String> = ids.collect();
    let client_ref = message.references.iter().find(|(name, _)| *name == "client-ref").map(|(_, value)| value.clone());
    let is_opted_out = simulator.receipts().is_opted_out(&message.to, &message.from);
    for id in &ids {
        simulator.records().add("sms", id, Direction::Outbound, simulator.clock.now());
        simulator.receipts().expect(SentPart {
            message_id: id.clone(),
            from: message.from.clone(),
            to: message.to.clone(),
            price: format!("{:.8}", country.sms_price()),
            network: country.network,
            client_ref: client_ref.clone(),
            parts: message.parts,
            channel: "sms",
            rejected: None,
            workflow: None,
            by: SentBy::SmsApi,
        });
    }
    // A phone shows a long text message only after all of its parts have arrived. One that has opted out gets nothing, and only
    // the receipt says so.
    if !is_opted_out && items.iter().all(|item| item["status"] == "0") {
        simulator.inboxes().deliver(ReceivedMessage {
            message_id: items[0]["message-id"].as_str().unwrap_or_default().to_owned(),
            from: message.from.clone(),
            to: message.to.clone(),
            text: message.text.clone(),
            channel: None,
            files: Vec::new(),
            template: None,
            received_at: simulator.clock.now(),
            parts: ids,
        });
    }
    items
}

/// Checks the sender: a number of up to 15 digits, or up to 11 letters, digits and blanks. In the United States and
/// Canada it must be a number of the account. Source: Vonage SMS API, "Sender ID".
pub(super) fn may_send(account: &Account, from: &str, recipient: &PhoneNumber) -> bool {
    let numeric = from.len() <= 15 && from.bytes().all(|byte| byte.is_ascii_digit());
    let alphanumeric = from.len() <= 11 && from.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    let region = countries::region_of(recipient);
    let own_number_needed = matches!(region.as_deref(), Some("US" | "CA"));
    let own = account.owned().iter().find(|number| number.offer.msisdn == from);
    let voice_only = own.is_some_and(|number| !number.offer.features.contains(&"SMS"));
    (numeric || alphanumeric) && !voice_only && (!own_number_needed || own.is_some())
}

fn submit_part(account: &mut Account, message: &Message, country: &Country) -> Map<String, Value> {
    let price = country.sms_price();
    if !account.pay(price) {
        return refused(("9", "Quota Exceeded - rejected".to_owned()));
    }
    let id = Uuid::new_v4().simple().to_string()[..16].to_uppercase();
    let mut item = Map::new();
    for (name, value) in [
        ("to", message.to.clone()),
        ("message-id", id),
        ("status", "0".to_owned()),
        ("remaining-balance", format!("{:.8}", account.balance)),
        ("message-price", format!("{price:.8}")),
        ("network", country.network.to_owned()),
    ] {
        item.insert(name.into(), json!(value));
    }
    for (name, value) in &message.references {
        item.insert((*name).to_owned(), json!(value));
    }
    item
}
