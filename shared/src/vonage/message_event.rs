//! Webhooks of texts and of messages on WhatsApp and RCS: inbound ones, and receipts. One setting of the account decides if they have the shape of the
//! Messages API or of the SMS API, so the shape is detected.
//!
//! Sources: Vonage Messages API v1, `inbound-message` and `message-status`; Vonage SMS API 1.5.1, `inbound-sms` and
//! `delivery-receipt`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::domain::call::Direction;
use crate::domain::carrier_record::{CarrierRecord, Product};
use crate::domain::channel::{BrandSenders, Channel, Sender};
use crate::domain::country::Country;
use crate::domain::media::{MediaFile, MediaKind};
use crate::domain::part_fate::PartFate;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber, plan, without_numbers};
use crate::domain::receipt::{OptOutNews, Receipt, ReceiptOf};
use crate::domain::relayed_text::TextReference;
use crate::vonage::amount::amount;
use crate::vonage::time::time;

/// The length of the longest id of a text, in bytes. Vonage's have 36 at most.
const MOST_ID_BYTES: usize = 64;

/// The fewest digits of a phone. A sender with fewer is a short code, which belongs to a machine.
const FEWEST_DIGITS: usize = 7;

/// The parameters of a webhook.
#[derive(Debug, Default)]
pub struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Reads a JSON object.
    pub fn of_json(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body).map(Self)
    }

    /// Reads a query or a form.
    pub fn of_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
    }

    /// Returns the parameter, if it is a text or a number.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Returns the phone number in a parameter.
    fn phone(&self, name: &str) -> Option<PhoneNumber> {
        PhoneNumber::try_from(self.text(name)?.trim_start_matches('+')).ok()
    }

    /// Returns all parameters that are texts or numbers, in the order of their names.
    pub fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.keys().filter_map(|name| Some((name.as_str(), self.text(name)?)))
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the channel that the Messages API names, if it is one of those with one sender.
    fn channel(&self) -> Option<Channel> {
        Channel::named(&self.text("channel").filter(|_| self.is_of_messages())?)
    }

    /// True if the carrier goes on with the next message of a list because the channel rejects this one.
    ///
    /// Source: Vonage Messages API 1.11.0, `failover` and `workflow` of `message-status`.
    fn has_successor(&self) -> bool {
        let workflow = self.0.get("workflow");
        let count = |name: &str| workflow.and_then(|workflow| workflow[name].as_str()?.parse::<u32>().ok());
        count("items_number").zip(count("items_total")).is_some_and(|(nth, total)| nth < total)
    }

    /// True if they are in the shape of the Messages API.
    fn is_of_messages(&self) -> bool {
        self.0.contains_key("message_uuid")
    }
}

/// A text that a phone sent to a virtual number.
pub struct InboundText {
    /// The carrier's record of it. Its id is the same however often the text comes.
    pub record: CarrierRecord,
    /// The phone.
    pub writer: Writer,
    /// The number that was texted, or the channel on which our sender was written to. None: a sender that is not ours.
    pub to: Option<Sender<'static>>,
    /// The time at which it was written, if that is known.
    pub written_at: Option<Timestamp>,
    /// The words, or what is written to the files. `None` if there are none, or if it is something that is never passed on.
    pub text: Option<String>,
    /// The files, such as pictures.
    pub files: Vec<MediaFile>,
    /// The carrier's id of the message that it quotes.
    pub quoted: Option<String>,
    /// The number of the part and the count of them, if the network brings a long text in parts.
    pub part: Option<(u32, u32)>,
}

/// The sender of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// A phone.
    Phone(PhoneNumber),
    /// A short code or a name, or nothing that means one phone.
    Machine,
}

/// The webhook is not in a shape that Vonage documents. The text is safe in a log.
#[derive(Debug, thiserror::Error)]
#[error("the webhook has no valid {0}")]
pub struct NotAMessage(&'static str);

impl InboundText {
    /// Reads an inbound text, to a virtual number or to one of these senders.
    pub fn parse(fields: &Fields, senders: &BrandSenders) -> Result<Self, NotAMessage> {
        let (product, id, from, at) = match fields.is_of_messages() {
            true => (Product::Messages, "message_uuid", "from", "timestamp"),
            false => (Product::Sms, "messageId", "msisdn", "message-timestamp"),
        };
        let id = fields.text(id).filter(|id| is_id(id)).ok_or(NotAMessage("id"))?;
        let to = fields.text("to").ok_or(NotAMessage("recipient"))?;
        let number = || {
            let number = PhoneNumber::try_from(to.trim_start_matches('+')).map(VirtualNumber::from);
            number.map(Sender::from).map_err(|_| NotAMessage("recipient"))
        };
        let channel = fields.channel();
        let to = match channel {
            Some(channel) => senders.of(channel).is_some_and(|ours| ours == to).then_some(channel.into()),
            None => Some(number()?),
        };
        let (text, files) = match (product, fields.text("channel").as_deref()) {
            (Product::Messages, Some("mms")) => with_files(fields),
            (Product::Messages, Some("sms") | None) => (fields.text("text"), Vec::new()),
            (Product::Messages, Some(_)) if channel.is_some() => with_files(fields),
            (Product::Messages, Some(_)) => (None, Vec::new()),
            _ => {
                let is_text = fields.text("type").is_none_or(|kind| kind == "text" || kind == "unicode");
                (fields.text("text").filter(|_| is_text), Vec::new())
            }
        };
        let count = |name: &str| fields.text(name)?.parse::<u32>().ok();
        let part = count("concat-part").zip(count("concat-total"));
        Ok(Self {
            record: CarrierRecord { id, product, direction: Direction::Inbound, channel: None },
            writer: Writer::read(fields.text(from).as_deref(), to.as_ref()),
            to,
            written_at: fields.text(at).and_then(|at| time(&at)),
            text: text.filter(|text| !text.trim().is_empty()),
            files,
            quoted: fields.0.get("context").and_then(|quoted| quoted["message_uuid"].as_str()).map(str::to_owned),
            part: part.filter(|(part, total)| (1..=*total).contains(part) && *total > 1),
        })
    }
}

/// Reads the words and the files of an MMS, or of a message on a channel: nothing if one of its files cannot be passed on, because what remains would say something
/// else.
fn with_files(fields: &Fields) -> (Option<String>, Vec<MediaFile>) {
    let member = |item: &Value, name: &str| item[name].as_str().map(str::to_owned);
    let (kind, words) = (fields.text("message_type").unwrap_or_default(), fields.text("text"));
    // Only a message with several files has `content`.
    let items: Vec<(Option<MediaKind>, &Value)> = match (fields.0.get("content"), fields.0.get(&kind)) {
        (Some(Value::Array(items)), _) => {
            items.iter().map(|item| (item["type"].as_str().and_then(MediaKind::named), item)).collect()
        }
        (_, Some(item)) if kind != "text" => vec![(MediaKind::named(&kind), item)],
        _ if kind == "text" => Vec::new(),
        _ => return (None, Vec::new()),
    };
    let caption = items.iter().find_map(|(_, item)| member(item, "caption"));
    let file = |(kind, item): &(Option<MediaKind>, &Value)| MediaFile::new((*kind)?, member(item, "url")?);
    match items.iter().map(file).collect::<Option<Vec<_>>>() {
        Some(files) => (caption.or(words), files),
        None => (None, Vec::new()),
    }
}

impl Writer {
    fn read(sent: Option<&str>, to: Option<&Sender<'_>>) -> Self {
        let has_digits = sent.is_some_and(|sent| sent.bytes().filter(u8::is_ascii_digit).count() >= FEWEST_DIGITS);
        let Some(Sender::Number(dialled)) = to else {
            // On a channel the name of a person can stand in place of the phone.
            return sent.and_then(|sent| PhoneNumber::try_from(sent).ok()).map_or(Self::Machine, Self::Phone);
        };
        match CallerId::read(sent.filter(|_| has_digits), Some(dialled)) {
            CallerId::Phone(phone) => Self::Phone(phone),
            CallerId::Hidden | CallerId::NotUnderstood { .. } => Self::Machine,
        }
    }
}

/// Reads a receipt. `None` if it is of a text message whose receipts nobody waits for, such as an explanation.
pub fn receipt(fields: &Fields) -> Result<Option<Receipt>, NotAMessage> {
    let is_of_messages = fields.is_of_messages();
    let (id, reference) = if is_of_messages { ("message_uuid", "client_ref") } else { ("messageId", "client-ref") };
    let part = fields.text(id).filter(|id| is_id(id)).ok_or(NotAMessage("id"))?;
    let status = fields.text("status").ok_or(NotAMessage("status"))?;
    let Some(of) = fields.text(reference).as_deref().and_then(ReceiptOf::parse) else { return Ok(None) };
    let code = error_code(fields);
    let fate = match status.as_str() {
        "delivered" | "read" => PartFate::Delivered,
        "rejected" if fields.has_successor() => PartFate::Accepted,
        "failed" | "rejected" | "expired" | "undeliverable" => PartFate::Undelivered(reason(&status, code.as_deref())),
        _ => PartFate::Accepted,
    };
    // Only a message with others in its place has a workflow.
    let by_number = is_of_messages && fields.0.contains_key("workflow") && fields.channel().is_none();
    Ok(Some(Receipt { of, part, fate, price: price(fields), by_number }))
}

/// Reads the price of a text in EUR.
///
/// Sources: Vonage Messages API v1, `usage` of `message-status`, whose currency is EUR only; Vonage SMS API 1.5.1, `price`.
fn price(fields: &Fields) -> Option<Decimal> {
    match fields.0.get("usage") {
        Some(usage) if usage["currency"] == "EUR" => amount(&usage["price"]),
        Some(_) => None,
        None => amount(fields.0.get("price")?),
    }
}

/// Returns the country of the phone whose text a receipt is of. `None` unless the receipt tells what the text has cost in the end: a
/// phone that reads a text later costs nothing more.
pub fn charged_country(fields: &Fields, receipt: &Receipt) -> Option<Country> {
    let is_last = receipt.fate != PartFate::Accepted && fields.text("status").as_deref() != Some("read");
    let to = if fields.is_of_messages() { "to" } else { "msisdn" };
    plan::country(&fields.phone(to).filter(|_| is_last && receipt.price.is_some())?)
}

/// Returns the reason in a receipt. The words are ours, because Vonage's could quote the number.
///
/// Sources: Vonage SMS API, "Delivery receipt error codes"; Vonage, "API Errors", Messages API; Vonage, "Messaging opted-out numbers"
/// for 9.
fn reason(status: &str, code: Option<&str>) -> String {
    let words = match code {
        Some("2" | "3" | "1180" | "1190") => "the phone is absent",
        Some("4" | "1050") => "the phone's owner barred the sender",
        Some("5" | "1200") => "the number has moved to another network",
        Some("6" | "1210") => "a filter against spam held it back",
        Some("7" | "1220") => "the phone is busy",
        Some("8" | "1230") => "the network failed",
        Some("9" | "1240") => "the phone does not exist, or has opted out of texts from this number",
        Some("10") => "the network refused what is written",
        Some("11" | "1250") => "it could not be routed",
        Some("12" | "1260") => "the phone cannot be reached",
        Some("14" | "1280") => "the network blocked it",
        Some("15" | "1290") => "the phone's owner has no credit",
        Some("1070") => "the carrier account has not enough credit",
        Some("1120" | "1420") => "the sender must not text this number",
        Some("1300" | "1310" | "1430") => "the phone cannot be reached on the channel",
        Some("1340") => "the phone has not written on the channel for a day",
        _ if status == "expired" => "the phone was away for too long",
        _ => "the network did not say why",
    };
    match code {
        Some(code) if !code.is_empty() => {
            format!("{words} (code {})", without_numbers(&code.chars().take(20).collect::<String>()))
        }
        _ => words.to_owned(),
    }
}

/// Reads from a receipt that a phone takes no texts from a sender: error code 9 or 1240. It may be of any text message of ours.
///
/// Sources: Vonage, "Messaging opted-out numbers"; Vonage SMS API, "Delivery receipt error codes", where 9 also means a phone that does
/// not exist, which takes no texts either; Vonage, "API Errors", Messages API, 1240, "illegal number".
pub fn opt_out(fields: &Fields) -> Option<OptOutNews> {
    let is_of_messages = fields.is_of_messages();
    let [person, number, reference, at] = match is_of_messages {
        true => ["to", "from", "client_ref", "timestamp"],
        false => ["msisdn", "to", "client-ref", "message-timestamp"],
    };
    let is_undelivered = matches!(fields.text("status")?.as_str(), "failed" | "rejected" | "undeliverable");
    if !is_undelivered || !error_code(fields).is_some_and(|code| OPTED_OUT.contains(&code.as_str())) {
        return None;
    }
    let of_text =
        fields.text(reference).as_deref().and_then(TextReference::parse).map(|reference| reference.text.time());
    let sender = match fields.channel() {
        Some(channel) => channel.into(),
        None => VirtualNumber::from(fields.phone(number)?).into(),
    };
    Some(OptOutNews {
        person: RealNumber::from(fields.phone(person)?),
        sender,
        // A receipt may come again when the person takes texts again.
        at: of_text.or_else(|| time(&fields.text(at)?)),
    })
}

/// The error codes of a text to a phone that has opted out, in the SMS API and in the Messages API.
const OPTED_OUT: [&str; 2] = ["9", "1240"];

fn error_code(fields: &Fields) -> Option<String> {
    match fields.is_of_messages() {
        true => fields.0.get("error").and_then(|error| error["title"].as_str()).map(str::to_owned),
        false => fields.text("err-code"),
    }
}

fn is_id(id: &str) -> bool {
    (1..=MOST_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: &Value) -> Fields {
        Fields::of_json(value.to_string().as_bytes()).unwrap()
    }

    fn of_messages() -> Value {
        json!({"channel": "sms", "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "to": "447451000001",
               "from": "447700900001", "timestamp": "2025-02-03T12:14:25Z", "text": "Hello From Vonage!",
               "sms": {"num_messages": "2", "keyword": "HELLO"}, "usage": {"currency": "EUR", "price": "0.0333"},
               "origin": {"network_code": "12345"}})
    }

    fn of_sms() -> Value {
        json!({"api-key": "abcd1234", "msisdn": "447700900001", "to": "447451000001",
               "messageId": "0A0000001234567B", "text": "Hello", "type": "text", "keyword": "HELLO",
               "message-timestamp": "2025-02-03 12:14:25"})
    }

    fn with(mut value: Value, name: &str, other: Value) -> InboundText {
        value[name] = other;
        read(&value).unwrap()
    }

    /// Reads a text to a deployment with senders on both channels.
    fn read(value: &Value) -> Result<InboundText, NotAMessage> {
        let mut senders = BrandSenders::default();
        senders.set(Channel::WhatsApp, "447700900099").unwrap();
        senders.set(Channel::Rcs, "Rides").unwrap();
        InboundText::parse(&fields(value), &senders)
    }

    #[test]
    fn both_shapes_say_the_same() {
        for (value, id, product) in [
            (of_messages(), "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", Product::Messages),
            (of_sms(), "0A0000001234567B", Product::Sms),
        ] {
            let text = read(&value).unwrap();
            assert_eq!(
                text.record,
                CarrierRecord { id: id.to_owned(), product, direction: Direction::Inbound, channel: None }
            );
            assert_eq!(text.writer, Writer::Phone(PhoneNumber::try_from("447700900001").unwrap()));
            assert_eq!(text.to.unwrap().as_str(), "447451000001");
            assert_eq!(text.written_at, "2025-02-03T12:14:25Z".parse().ok());
            assert!(text.text.unwrap().starts_with("Hello") && text.part.is_none());
        }
    }

    #[test]
    fn short_codes_and_names_are_machines() {
        for machine in ["60017", "123456", "Vonage", "AMAZON24", "", "anonymous"] {
            assert_eq!(with(of_messages(), "from", json!(machine)).writer, Writer::Machine, "{machine}");
        }
    }

    #[test]
    fn part_of_a_long_text_is_numbered() {
        let part = |part: &str, total: &str| {
            let mut value = of_sms();
            (value["concat-part"], value["concat-total"]) = (json!(part), json!(total));
            read(&value).unwrap().part
        };
        assert_eq!(part("2", "3"), Some((2, 3)));
        for (nth, total) in [("0", "3"), ("4", "3"), ("1", "1"), ("x", "3")] {
            assert_eq!(part(nth, total), None, "{nth} {total}");
        }
    }

    #[test]
    fn content_other_than_text_has_no_words() {
        assert!(with(of_messages(), "channel", json!("mms")).text.is_none());
        assert!(with(of_messages(), "text", json!("  ")).text.is_none());
        assert!(with(of_sms(), "type", json!("binary")).text.is_none());
        for (name, value) in [("message_uuid", json!("a b")), ("to", json!("Vonage")), ("message_uuid", json!({}))] {
            let mut wrong = of_messages();
            wrong[name] = value;
            assert!(read(&wrong).is_err(), "{name}");
        }
    }

    #[test]
    fn mms_has_its_files_and_what_is_written_to_them() {
        const ADDRESS: &str = "https://api-us.nexmo.com/v3/media/1b456509";
        let members = |members: Value| {
            let mut message = of_messages();
            message.as_object_mut().unwrap().remove("text");
            message["channel"] = json!("mms");
            message.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let read = read(&message).unwrap();
            (read.text, read.files.iter().map(|file| file.kind).collect::<Vec<_>>())
        };
        let words = |words: &str| Some(words.to_owned());
        let file = |kind: &str| json!({"message_type": kind, kind: {"url": ADDRESS, "name": "a", "caption": "Here"}});
        for kind in ["image", "audio", "video", "vcard", "file"] {
            assert_eq!(members(file(kind)), (words("Here"), vec![MediaKind::named(kind).unwrap()]));
        }
        assert_eq!(members(json!({"message_type": "text", "text": "Hello"})), (words("Hello"), Vec::new()));
        let items = json!([{"type": "image", "url": ADDRESS}, {"type": "vcard", "url": ADDRESS, "caption": "Both"}]);
        let several = json!({"message_type": "image", "image": {"url": ADDRESS}, "content": items});
        assert_eq!(members(several), (words("Both"), vec![MediaKind::Image, MediaKind::Vcard]));
        for wrong in [
            json!({"message_type": "sticker", "sticker": {"url": ADDRESS, "caption": "Here"}}),
            json!({"message_type": "image", "image": {"url": "http://127.0.0.1/a", "caption": "Here"}}),
            json!({"message_type": "image", "image": {"caption": "Here"}}),
            json!({"message_type": "content", "content": [{"type": "image", "url": ADDRESS}, {"type": "tune", "url": ADDRESS}]}),
            json!({"message_type": "image"}),
        ] {
            assert_eq!(members(wrong.clone()), (None, Vec::new()), "{wrong}");
        }
    }

    #[test]
    fn message_on_a_channel_is_for_our_sender_and_quotes() {
        let of_whatsapp = json!({"channel": "whatsapp", "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
            "to": "447700900099", "from": "447700900001", "timestamp": "2025-02-03T12:14:25Z", "message_type": "text",
            "text": "Hello", "profile": {"name": "Jane Smith"}, "context_status": "available",
            "context": {"message_uuid": "bbbbbbbb-bbbb-4ccc-8ddd-0123456789ab", "message_from": "447700900099"}});
        let text = read(&of_whatsapp).unwrap();
        assert_eq!((text.to, text.text.as_deref()), (Some(Sender::Brand(Channel::WhatsApp)), Some("Hello")));
        assert_eq!(text.quoted.as_deref(), Some("bbbbbbbb-bbbb-4ccc-8ddd-0123456789ab"));
        let other = |name: &str, value: Value| with(of_whatsapp.clone(), name, value);
        assert_eq!(other("to", json!("447700900098")).to, None);
        assert_eq!(other("message_type", json!("location")).text, None);
        assert_eq!(other("from", json!("US.13491208655302741918")).writer, Writer::Machine);
        let mut of_rcs = of_whatsapp.clone();
        (of_rcs["channel"], of_rcs["to"]) = (json!("rcs"), json!("Rides"));
        assert_eq!(read(&of_rcs).unwrap().to, Some(Sender::Brand(Channel::Rcs)));
        assert_eq!(InboundText::parse(&fields(&of_rcs), &BrandSenders::default()).unwrap().to, None);
    }

    #[test]
    fn receipt_of_a_rejected_message_waits_for_the_next_one() {
        let reference = "01JD0000000000000000000000.01JE0000000000000000000000";
        let of = |status: &str, nth: &str| {
            let value = json!({"message_uuid": "0A01", "status": status, "client_ref": reference, "channel": "whatsapp",
                "error": {"title": "1340"}, "workflow": {"items_number": nth, "items_total": "2"}});
            receipt(&fields(&value)).unwrap().unwrap().fate
        };
        assert_eq!(of("rejected", "1"), PartFate::Accepted);
        assert!(
            matches!(of("rejected", "2"), PartFate::Undelivered(reason) if reason.contains("for a day (code 1340)"))
        );
        assert_eq!(of("read", "1"), PartFate::Delivered);
    }

    #[test]
    fn receipt_finds_its_text_in_both_shapes() {
        let reference = "01JD0000000000000000000000.01JE0000000000000000000000";
        let of_sms = |status: &str, code: &str| {
            json!({"messageId": "0A01", "msisdn": "447700900001", "to": "447451000001", "status": status,
                   "err-code": code, "client-ref": reference})
        };
        let of_messages = |status: &str| json!({"message_uuid": "0A01", "status": status, "client_ref": reference, "error": {"title": "1"}});
        let fate = |value: &Value| receipt(&fields(value)).unwrap().unwrap().fate;
        assert_eq!(fate(&of_sms("delivered", "0")), PartFate::Delivered);
        assert_eq!(fate(&of_messages("delivered")), PartFate::Delivered);
        for accepted in ["accepted", "buffered", "unknown"] {
            assert_eq!(fate(&of_sms(accepted, "0")), PartFate::Accepted);
        }
        assert_eq!(fate(&of_messages("submitted")), PartFate::Accepted);
        for failed in ["failed", "rejected", "expired"] {
            let PartFate::Undelivered(reason) = fate(&of_sms(failed, "9")) else { panic!("{failed}") };
            assert!(reason.contains("opted out") && reason.contains("code 9"), "{reason}");
        }
        assert!(matches!(fate(&of_messages("undeliverable")), PartFate::Undelivered(_)));
        let priced = |value: Value| receipt(&fields(&value)).unwrap().unwrap().price;
        let mut message = of_messages("submitted");
        message["usage"] = json!({"currency": "EUR", "price": "0.0333"});
        assert_eq!(priced(message.clone()), "0.0333".parse().ok());
        message["usage"]["currency"] = json!("USD");
        assert_eq!(priced(message), None);
        let mut foreign = of_sms("delivered", "0");
        foreign["client-ref"] = json!("ride-42");
        assert_eq!(receipt(&fields(&foreign)).unwrap(), None);
    }

    #[test]
    fn receipt_of_an_opt_out_names_the_pair_in_both_shapes() {
        let of_sms = json!({"messageId": "0A01", "msisdn": "447700900001", "to": "447451000001", "status": "failed",
                            "err-code": "9", "message-timestamp": "2025-02-03 12:14:25"});
        let of_messages = json!({"message_uuid": "0A01", "to": "447700900001", "from": "447451000001",
                                 "status": "undeliverable", "error": {"title": "9"},
                                 "client_ref": "01JD0000000000000000000000.01JK5W9Q480000000000000000"});
        for (value, at) in [(&of_sms, "2025-02-03T12:14:25Z"), (&of_messages, "2025-02-03T12:14:25Z")] {
            let news = opt_out(&fields(value)).unwrap();
            assert_eq!((news.person.expose(), news.sender.as_str()), ("447700900001", "447451000001"));
            let at: Timestamp = at.parse().unwrap();
            assert!(news.at.unwrap().duration_since(at).as_secs().abs() < 86_400 * 30, "{news:?}");
        }
        let mut illegal = of_messages.clone();
        illegal["error"]["title"] = json!("1240");
        assert_eq!(opt_out(&fields(&illegal)), opt_out(&fields(&of_messages)));
        for (name, other) in [("err-code", "6"), ("status", "delivered"), ("msisdn", "Vonage")] {
            let mut value = of_sms.clone();
            value[name] = json!(other);
            assert_eq!(opt_out(&fields(&value)), None, "{name}");
        }
    }
}
