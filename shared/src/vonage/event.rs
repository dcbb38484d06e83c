//! Decoding of Vonage's answer and event webhooks.
//!
//! Source: Vonage Voice API, webhook reference. Events can be delivered twice, late and in any order. Events of an NCCO
//! action have no `status`, and some events have no `uuid`. Numeric values are strings.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Deserializer};

use super::amount;
use super::time::time;
use crate::domain::call::{Direction, LegEvent, LegFacts, Status};
use crate::domain::phone::caller_id::{self, CallerId};
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};

/// A request to the answer webhook: an inbound call that needs an NCCO.
#[derive(Default, Deserialize)]
pub struct AnswerRequest {
    /// The caller id, as the originating network wrote it.
    #[serde(default, deserialize_with = "anything")]
    from: Option<String>,
    /// The dialled number.
    #[serde(default, deserialize_with = "text")]
    to: Option<String>,
    #[serde(default, deserialize_with = "text")]
    conversation_uuid: Option<String>,
}

impl AnswerRequest {
    /// Reads the query of a GET.
    pub fn from_query<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Self {
        let owned = |name| field(name).map(str::to_owned);
        Self { from: owned("from"), to: owned("to"), conversation_uuid: owned("conversation_uuid") }
    }

    /// Returns Vonage's ID of the call.
    pub fn conversation_uuid(&self) -> Option<String> {
        identifier(self.conversation_uuid.as_deref(), [&self.from, &self.to])
    }

    /// Returns the caller. A national form is one of the country of the dialled number.
    pub fn caller(&self) -> CallerId {
        CallerId::read(self.from.as_deref(), self.dialled().as_ref())
    }

    /// Returns the dialled number. `None` if it is not a phone number.
    pub fn dialled(&self) -> Option<VirtualNumber> {
        known_number(self.to.as_deref())
    }
}

/// Returns the dialled number as the answer webhook reads it. `None` if it is not a phone number.
pub fn dialled(to: &str) -> Option<VirtualNumber> {
    known_number(Some(to))
}

/// A route key that a leg may belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegKey {
    /// The direction of the leg.
    pub direction: Direction,
    /// The participant's phone.
    pub phone: RealNumber,
    /// The virtual number.
    pub virtual_number: VirtualNumber,
}

/// A decoded event.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A leg reached a status.
    Leg {
        /// The possible route keys of the leg. The first that has a route is the right one. There are two only if the
        /// event has no direction.
        keys: Vec<LegKey>,
        /// The data to merge into the leg.
        event: LegEvent,
    },
    /// A leg reached a status, and belongs to nobody, because its caller is hidden or not understood.
    Anonymous {
        /// The caller.
        caller: CallerId,
        /// Vonage's ID of the call.
        conversation_uuid: Option<String>,
        /// The data of the leg, if its ids are known.
        event: Option<LegEvent>,
    },
    /// Any other event.
    Other {
        /// Its status, or else the name of its characteristic field.
        kind: String,
        /// Vonage's ID of the call.
        conversation_uuid: Option<String>,
    },
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(default, deserialize_with = "anything")]
    from: Option<String>,
    #[serde(default, deserialize_with = "text")]
    to: Option<String>,
    #[serde(default, deserialize_with = "text")]
    uuid: Option<String>,
    /// The leg, in events of machine detection.
    #[serde(default, deserialize_with = "text")]
    call_uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    conversation_uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    conversation_uuid_from: Option<String>,
    #[serde(default, deserialize_with = "text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    direction: Option<String>,
    #[serde(default, deserialize_with = "text")]
    timestamp: Option<String>,
    #[serde(default, deserialize_with = "text")]
    duration: Option<String>,
    #[serde(default, deserialize_with = "text")]
    price: Option<String>,
    #[serde(default, deserialize_with = "text")]
    rate: Option<String>,
    #[serde(default, deserialize_with = "text")]
    detail: Option<String>,
    #[serde(default, deserialize_with = "text")]
    sip_code: Option<String>,
    #[serde(default, deserialize_with = "text")]
    disconnected_by: Option<String>,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Event {
    /// Decodes the body of an event webhook, which must be a JSON object.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: RawEvent = serde_json::from_slice(body)?;
        Ok(raw.leg_event().or_else(|| raw.anonymous()).unwrap_or_else(|| raw.other()))
    }
}

impl RawEvent {
    fn leg_event(&self) -> Option<Event> {
        let keys = self.keys();
        if keys.is_empty() {
            return None;
        }
        Some(Event::Leg { keys, event: self.content()? })
    }

    fn content(&self) -> Option<LegEvent> {
        Some(LegEvent {
            conversation_uuid: self.identifier(self.conversation_uuid.as_deref())?,
            uuid: self.identifier(self.uuid.as_deref().or(self.call_uuid.as_deref()))?,
            status: self.leg_status()?,
            timestamp: self.timestamp.as_deref().and_then(time),
            facts: self.facts(),
        })
    }

    fn leg_status(&self) -> Option<Status> {
        serde_json::from_value(self.status.clone()?.into()).ok()
    }

    fn keys(&self) -> Vec<LegKey> {
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        let inbound = || {
            let virtual_number = known_number(to)?;
            let phone = CallerId::read(from, Some(&virtual_number)).phone()?.into();
            Some(LegKey { direction: Direction::Inbound, phone, virtual_number })
        };
        let outbound = || {
            let (phone, virtual_number) = (known_number(to)?, known_number(from)?);
            Some(LegKey { direction: Direction::Outbound, phone, virtual_number })
        };
        let keys = match self.direction.as_deref() {
            Some("inbound") => [inbound(), None],
            Some("outbound") => [None, outbound()],
            _ => [inbound(), outbound()],
        };
        keys.into_iter().flatten().collect()
    }

    /// Returns the event of a caller's leg that belongs to nobody.
    fn anonymous(&self) -> Option<Event> {
        let is_inbound = self.direction.as_deref() != Some("outbound");
        let dialled = known_number(self.to.as_deref()).filter(|_| is_inbound && self.leg_status().is_some())?;
        match CallerId::read(self.from.as_deref(), Some(&dialled)) {
            CallerId::Phone(_) => None,
            caller => Some(Event::Anonymous { caller, conversation_uuid: self.call(), event: self.content() }),
        }
    }

    /// Returns Vonage's ID of the call.
    fn call(&self) -> Option<String> {
        self.identifier(self.conversation_uuid.as_deref().or(self.conversation_uuid_from.as_deref()))
    }

    fn facts(&self) -> LegFacts {
        let amount = |text: &Option<String>| amount::of_text(text.as_deref()?);
        LegFacts {
            placed: false,
            duration: amount(&self.duration).and_then(|seconds| seconds.round().to_u32()),
            price: amount(&self.price),
            rate: amount(&self.rate),
            reason: word(self.detail.as_deref()),
            sip_code: amount(&self.sip_code).and_then(sip_code),
            disconnected_by: word(self.disconnected_by.as_deref()),
            attempt: None,
        }
    }

    fn identifier(&self, text: Option<&str>) -> Option<String> {
        identifier(text, [&self.from, &self.to])
    }

    fn other(self) -> Event {
        let conversation_uuid = self.call();
        let known = ["speech", "dtmf", "recording_url", "payload", "reason"];
        let kind = match self.status {
            Some(status) => status,
            None if self.conversation_uuid_from.is_some() => "transfer".to_owned(),
            None => known.into_iter().find(|name| self.rest.contains_key(*name)).unwrap_or("unknown").to_owned(),
        };
        Event::Other { kind: word(Some(&kind)).unwrap_or_else(|| "unknown".to_owned()), conversation_uuid }
    }
}

/// Returns a status code of SIP (RFC 3261); 0 is none.
fn sip_code(code: Decimal) -> Option<u16> {
    code.is_integer().then(|| code.to_u16()).flatten().filter(|code| (100..700).contains(code))
}

/// Reads a number that Vonage knows from us: one of the account's, or one that it was told to dial. It is international, and
/// digits are taken as they are, because no numbering plan has to know our own numbers.
fn known_number<T: From<PhoneNumber>>(text: Option<&str>) -> Option<T> {
    let documented = PhoneNumber::try_from(text?.trim()).ok();
    documented.or_else(|| CallerId::read(text, None).phone()).map(T::from)
}

/// Returns an ID if it is safe in an item key and in a log line: it is short, has only harmless characters, and neither
/// is a phone number nor contains one of the `numbers` of the same message.
pub(super) fn identifier(text: Option<&str>, numbers: [&Option<String>; 2]) -> Option<String> {
    let text = harmless(text)?;
    let own = digits(text);
    let is_a_number = own.len() <= MAX_NUMBER_DIGITS && !text.contains(|c: char| c.is_ascii_alphabetic());
    let mut numbers = numbers.into_iter().flatten().flat_map(|sent| caller_id::digit_runs(sent));
    let reveals_a_number = is_a_number && own.len() >= MIN_NUMBER_DIGITS
        || numbers.any(|number| number.len() >= MIN_NUMBER_DIGITS && own.contains(&number));
    (!reveals_a_number).then(|| text.to_owned())
}

/// Returns an id of a call if it is safe in an item key and in a log line.
pub fn call_identifier(id: &str) -> Option<String> {
    identifier(Some(id), [&None, &None])
}

/// Returns a status or a reason if it is as safe as an [`identifier`] and has fewer digits than any phone number.
fn word(text: Option<&str>) -> Option<String> {
    harmless(text).filter(|text| digits(text).len() < MIN_NUMBER_DIGITS).map(str::to_owned)
}

fn harmless(text: Option<&str>) -> Option<&str> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    text.filter(|text| (1..=128).contains(&text.len()) && text.chars().all(harmless))
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The fewest digits of a phone number.
const MIN_NUMBER_DIGITS: usize = 7;
/// The most digits of a phone number (E.164).
const MAX_NUMBER_DIGITS: usize = 15;

/// Reads a field that may be anything. Only null is nothing.
fn anything<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

/// Reads a field that may be text, a number, null or, in a future version of the API, something else.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: serde_json::Value) -> Event {
        Event::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn completed_leg_has_its_duration_and_price() {
        let event = parse(json!({
            "headers": {}, "from": "447700900001", "to": "447451000002", "uuid": "0779a56d002f1c7f47f82ef5fe84ab79",
            "conversation_uuid": "CON-1", "status": "completed", "direction": "inbound",
            "timestamp": "2026-11-22T12:00:06.123Z", "duration": "12", "price": "0.00144000", "rate": "0.00720000",
            "network": null, "sip_code": 200, "disconnected_by": "user",
        }));
        let Event::Leg { keys, event } = event else { panic!("{event:?}") };
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].direction, keys[0].phone.expose()), (Direction::Inbound, "447700900001"));
        assert_eq!(event.timestamp.map(jiff::Timestamp::as_millisecond), Some(1_795_348_806_123));
        assert_eq!((event.facts.duration, event.facts.sip_code), (Some(12), Some(200)));
        assert_eq!(event.facts.price, "0.00144".parse().ok());
    }

    #[test]
    fn odd_values_of_a_leg_are_taken_or_unknown_and_never_0() {
        let leg = |name: &str, value: serde_json::Value| {
            let mut event = json!({
                "from": "447700900001", "to": "447451000002", "uuid": "u", "conversation_uuid": "CON-1",
                "status": "completed", "direction": "inbound", "timestamp": "2026-11-22T12:00:06.123Z",
            });
            event[name] = value;
            match parse(event) {
                Event::Leg { event, .. } => event,
                other => panic!("{name}: {other:?}"),
            }
        };
        for (value, duration) in [
            (json!(12.0), Some(12)),
            (json!("12.0"), Some(12)),
            (json!("12,0"), Some(12)),
            (json!(0), Some(0)),
            (json!(""), None),
            (json!(-1), None),
            (json!("unknown"), None),
            (json!(null), None),
        ] {
            assert_eq!(leg("duration", value.clone()).facts.duration, duration, "{value}");
        }
        for value in [json!("0,0036"), json!(0.0036), json!(" 0.0036 ")] {
            assert_eq!(leg("price", value.clone()).facts.price, "0.0036".parse().ok(), "{value}");
            assert_eq!(leg("rate", value.clone()).facts.rate, "0.0036".parse().ok(), "{value}");
        }
        for (value, code) in
            [(json!(200.0), Some(200)), (json!("486"), Some(486)), (json!(0), None), (json!(1.5), None)]
        {
            assert_eq!(leg("sip_code", value.clone()).facts.sip_code, code, "{value}");
        }
        for value in [json!(1_795_348_806_123_i64), json!("1795348806.123"), json!("2026-11-22 12:00:06.123")] {
            let timestamp = leg("timestamp", value.clone()).timestamp;
            assert_eq!(timestamp.map(jiff::Timestamp::as_millisecond), Some(1_795_348_806_123), "{value}");
        }
        for value in [json!(null), json!(0), json!(""), json!("yesterday"), json!({})] {
            assert_eq!(leg("timestamp", value.clone()).timestamp, None, "{value}");
        }
    }

    #[test]
    fn outbound_leg_belongs_to_the_phone_that_it_calls() {
        let event = json!({
            "from": "447451000001", "to": "447700900002", "uuid": "u", "conversation_uuid": "CON-1", "status": "busy",
            "timestamp": "2026-11-22T12:00:06.123Z",
        });
        let mut outbound = event.clone();
        outbound["direction"] = json!("outbound");
        let Event::Leg { keys, .. } = parse(outbound) else { panic!() };
        assert_eq!(keys.iter().map(|key| key.phone.expose()).collect::<Vec<_>>(), ["447700900002"]);
        let Event::Leg { keys, .. } = parse(event) else { panic!() };
        assert_eq!(keys.iter().map(|key| key.phone.expose()).collect::<Vec<_>>(), ["447451000001", "447700900002"]);
    }

    #[test]
    fn event_without_a_leg_has_its_kind_and_call() {
        for (body, kind) in [
            (json!({"reason": "Syntax error in NCCO.", "conversation_uuid": "CON-1"}), "reason"),
            (json!({"conversation_uuid_from": "CON-1", "conversation_uuid_to": "CON-2", "uuid": "u"}), "transfer"),
            (
                json!({"recording_url": "https://x", "recording_uuid": "r", "conversation_uuid": "CON-1"}),
                "recording_url",
            ),
            (
                json!({"dtmf": {"digits": "1"}, "from": "447700900001", "to": "447451000002", "uuid": "u", "conversation_uuid": "CON-1"}),
                "dtmf",
            ),
            (json!({"payload": {}, "conversation_uuid": "CON-1"}), "payload"),
            (json!({"status": "newly invented", "conversation_uuid": "CON-1"}), "unknown"),
            (json!({"conversation_uuid": "CON-1", "status": 7, "uuid": {}}), "7"),
        ] {
            let expected = Event::Other { kind: kind.to_owned(), conversation_uuid: Some("CON-1".to_owned()) };
            assert_eq!(parse(body), expected);
        }
    }

    #[test]
    fn id_that_could_break_a_key_or_a_log_line_is_rejected() {
        let event = |uuid: &str| {
            parse(json!({
                "from": "447451000001", "to": "447700900002", "uuid": uuid, "conversation_uuid": "CON-1",
                "status": "busy", "timestamp": "2026-11-22T12:00:06Z",
            }))
        };
        for uuid in ["", "a#b", "a\nb", &"x".repeat(129)] {
            assert!(matches!(event(uuid), Event::Other { .. }), "{uuid:?}");
        }
    }

    #[test]
    fn phone_number_in_place_of_an_id_or_a_word_is_rejected() {
        let event = |name: &str, value: &str| {
            let mut event = json!({
                "from": "447451000001", "to": "+44 7700 900002", "uuid": "0779a56d002f1c7f47f82ef5fe84ab79",
                "conversation_uuid": "CON-1", "status": "busy", "timestamp": "2026-11-22T12:00:06Z",
            });
            event[name] = json!(value);
            parse(event)
        };
        for number in ["447700900002", "CON-447700900002", "44-7700-900002", "447700.900003"] {
            let call = Event::Other { kind: "busy".to_owned(), conversation_uuid: None };
            assert_eq!(event("conversation_uuid", number), call, "{number}");
            let kind = Event::Other { kind: "unknown".to_owned(), conversation_uuid: Some("CON-1".to_owned()) };
            assert_eq!(event("status", number), kind, "{number}");
            let leg = |name: &str| {
                let mut event = json!({
                    "from": "447451000001", "to": "447700900002", "uuid": "u", "conversation_uuid": "CON-1",
                    "status": "busy", "timestamp": "2026-11-22T12:00:06Z",
                });
                event[name] = json!(number);
                parse(event)
            };
            assert!(matches!(leg("uuid"), Event::Other { .. }), "{number}");
            for name in ["detail", "disconnected_by"] {
                let Event::Leg { event, .. } = leg(name) else { panic!("{name}") };
                assert_eq!((event.facts.reason, event.facts.disconnected_by), (None, None), "{number}");
            }
        }
        let field = |name: &str| Some(if name == "to" { "447451000001" } else { "447700900002" });
        assert_eq!(AnswerRequest::from_query(field).conversation_uuid(), None);
    }

    #[test]
    fn leg_of_hidden_or_unclear_caller_is_told_apart() {
        let event = |from: serde_json::Value, direction: &str| {
            parse(json!({
                "status": "answered", "from": from, "to": "447451000002", "uuid": "u", "conversation_uuid": "CON-1",
                "direction": direction, "timestamp": "2026-11-22T12:00:06Z",
            }))
        };
        let leg = |event: &Event| match event {
            Event::Anonymous { event: Some(leg), .. } => Some((leg.uuid.clone(), leg.status)),
            _ => None,
        };
        let sent = event(json!("anonymous"), "inbound");
        assert_eq!(leg(&sent), Some(("u".to_owned(), Status::Answered)), "a PIN may tell whose it is");
        let Event::Anonymous { event: content, .. } = sent else { panic!("{sent:?}") };
        let anonymous =
            |caller| Event::Anonymous { caller, conversation_uuid: Some("CON-1".to_owned()), event: content.clone() };
        for hidden in [json!("anonymous"), json!(null), json!(""), json!("0")] {
            assert_eq!(event(hidden.clone(), "inbound"), anonymous(CallerId::Hidden), "{hidden}");
        }
        for (unclear, shape) in [(json!("12 34"), "## ##"), (json!(["447700900001"]), "[\"############\"]")] {
            let caller = CallerId::NotUnderstood { shape: shape.to_owned() };
            assert_eq!(event(unclear, "inbound"), anonymous(caller));
        }
        let other = Event::Other { kind: "answered".to_owned(), conversation_uuid: Some("CON-1".to_owned()) };
        assert_eq!(event(json!("anonymous"), "outbound"), other);
    }

    #[test]
    fn leg_has_its_keys_in_every_spelling_of_both_numbers() {
        let keys = |from: &str, to: &str, direction: Option<&str>| {
            let event = json!({
                "status": "answered", "from": from, "to": to, "uuid": "u", "conversation_uuid": "CON-1",
                "direction": direction, "timestamp": "2026-11-22T12:00:06Z",
            });
            let Event::Leg { keys, .. } = parse(event) else { return Vec::new() };
            let key = |key: LegKey| (key.direction, key.phone.expose().to_owned(), key.virtual_number.to_string());
            keys.into_iter().map(key).collect()
        };
        let (phone, mask) = ("447700900001", "447451000002");
        let expected = |direction| (direction, phone.to_owned(), mask.to_owned());
        for spelled in ["+447700900001", "00447700900001", "07700900001", "tel:+447700900001", "447700900001@h"] {
            for dialled in [mask, "+447451000002", "00447451000002"] {
                assert_eq!(keys(spelled, dialled, Some("inbound")), [expected(Direction::Inbound)], "{spelled}");
                if spelled != "07700900001" {
                    assert_eq!(keys(dialled, spelled, Some("outbound")), [expected(Direction::Outbound)], "{spelled}");
                }
            }
        }
        assert!(keys(mask, "07700900001", Some("outbound")).is_empty());
        let both = keys(phone, mask, None);
        assert_eq!(both[0], expected(Direction::Inbound));
        assert_eq!(both[1], (Direction::Outbound, mask.to_owned(), phone.to_owned()));
    }

    #[test]
    fn caller_and_dialled_number_of_a_call_are_read() {
        for (from, phone) in [
            ("+447700900001", Some("447700900001")),
            (" 447700900001", Some("447700900001")),
            ("07700900001", Some("447700900001")),
            ("anonymous", None),
            ("12 34", None),
        ] {
            for to in ["447451000002", "+447451000002", "00447451000002"] {
                let call = AnswerRequest::from_query(|name| Some(if name == "from" { from } else { to }));
                assert_eq!(call.caller().phone().as_ref().map(|phone| phone.expose()), phone, "{from}");
                assert_eq!(call.dialled().as_ref().map(VirtualNumber::as_str), Some("447451000002"), "{to}");
            }
        }
        // Of a plan that is not known.
        let call = AnswerRequest::from_query(|name| Some(if name == "from" { "+447700900001" } else { "9991234567" }));
        assert_eq!(call.dialled().as_ref().map(VirtualNumber::as_str), Some("9991234567"));
        let call = AnswerRequest::from_query(|name| (name == "from").then_some("07700900001"));
        assert!(matches!(call.caller(), CallerId::NotUnderstood { .. }));
        assert_eq!(call.dialled(), None);
        let numeric: AnswerRequest = serde_json::from_value(json!({"from": 447_700_900_001_u64, "to": null})).unwrap();
        assert_eq!(numeric.caller().phone().map(|phone| phone.expose().to_owned()).as_deref(), Some("447700900001"));
        let null: AnswerRequest = serde_json::from_value(json!({"from": null})).unwrap();
        assert_eq!(null.caller(), CallerId::Hidden);
    }
}
