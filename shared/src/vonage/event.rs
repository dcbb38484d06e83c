//! Decoding of Vonage's answer and event webhooks.
//!
//! Source: Vonage Voice API, webhook reference. Events can be delivered twice, late and in any order. Events of an NCCO
//! action have no `status`, and some events have no `uuid`. Numeric values are strings.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};

use crate::domain::call::{Direction, LegEvent, LegFacts};
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};

/// A request to the answer webhook: an inbound call that needs an NCCO.
#[derive(Default, Deserialize)]
pub struct AnswerRequest {
    /// The caller's number. If the caller ID is withheld, it is missing or some other text.
    #[serde(default, deserialize_with = "text")]
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

    /// Returns the route key: the caller's number and the dialled number. `None` if one of them is not a phone number.
    pub fn route_key(&self) -> Option<(RealNumber, VirtualNumber)> {
        Some((number(self.from.as_deref())?.into(), number(self.to.as_deref())?.into()))
    }
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
    #[serde(default, deserialize_with = "text")]
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
        Ok(raw.leg_event().unwrap_or_else(|| raw.other()))
    }
}

impl RawEvent {
    fn leg_event(&self) -> Option<Event> {
        let keys = self.keys();
        if keys.is_empty() {
            return None;
        }
        let event = LegEvent {
            conversation_uuid: self.identifier(self.conversation_uuid.as_deref())?,
            uuid: self.identifier(self.uuid.as_deref().or(self.call_uuid.as_deref()))?,
            status: serde_json::from_value(self.status.clone()?.into()).ok()?,
            timestamp: self.timestamp.as_deref()?.parse().ok()?,
            facts: self.facts(),
        };
        Some(Event::Leg { keys, event })
    }

    fn keys(&self) -> Vec<LegKey> {
        let (Some(from), Some(to)) = (number(self.from.as_deref()), number(self.to.as_deref())) else {
            return Vec::new();
        };
        let inbound =
            LegKey { direction: Direction::Inbound, phone: from.clone().into(), virtual_number: to.clone().into() };
        let outbound = LegKey { direction: Direction::Outbound, phone: to.into(), virtual_number: from.into() };
        match self.direction.as_deref() {
            Some("inbound") => vec![inbound],
            Some("outbound") => vec![outbound],
            _ => vec![inbound, outbound],
        }
    }

    fn facts(&self) -> LegFacts {
        fn parsed<T: std::str::FromStr>(text: &Option<String>) -> Option<T> {
            text.as_deref()?.parse().ok()
        }
        LegFacts {
            duration: parsed(&self.duration),
            price: parsed::<Decimal>(&self.price),
            rate: parsed::<Decimal>(&self.rate),
            reason: word(self.detail.as_deref()),
            sip_code: parsed(&self.sip_code),
            disconnected_by: word(self.disconnected_by.as_deref()),
        }
    }

    fn identifier(&self, text: Option<&str>) -> Option<String> {
        identifier(text, [&self.from, &self.to])
    }

    fn other(self) -> Event {
        let conversation_uuid =
            self.identifier(self.conversation_uuid.as_deref().or(self.conversation_uuid_from.as_deref()));
        let known = ["speech", "dtmf", "recording_url", "payload", "reason"];
        let kind = match self.status {
            Some(status) => status,
            None if self.conversation_uuid_from.is_some() => "transfer".to_owned(),
            None => known.into_iter().find(|name| self.rest.contains_key(*name)).unwrap_or("unknown").to_owned(),
        };
        Event::Other { kind: word(Some(&kind)).unwrap_or_else(|| "unknown".to_owned()), conversation_uuid }
    }
}

/// Parses a number in Vonage's format. Blanks around it are removed, because they occur in Vonage's own logs.
fn number(text: Option<&str>) -> Option<PhoneNumber> {
    PhoneNumber::try_from(text?.trim()).ok()
}

/// Returns an ID if it is safe in an item key and in a log line: it is short, has only harmless characters, and neither
/// is a phone number nor contains one of the `numbers` of the same message.
fn identifier(text: Option<&str>, numbers: [&Option<String>; 2]) -> Option<String> {
    let text = harmless(text)?;
    let own = digits(text);
    let is_a_number = own.len() <= MAX_NUMBER_DIGITS && !text.contains(|c: char| c.is_ascii_alphabetic());
    let numbers = numbers.into_iter().flatten().map(|number| digits(number.trim_start_matches(['+', '0', ' '])));
    let reveals_a_number = is_a_number && own.len() >= MIN_NUMBER_DIGITS
        || numbers.filter(|number| number.len() >= MIN_NUMBER_DIGITS).any(|number| own.contains(&number));
    (!reveals_a_number).then(|| text.to_owned())
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
        assert_eq!(event.timestamp.as_millisecond(), 1_795_348_806_123);
        assert_eq!((event.facts.duration, event.facts.sip_code), (Some(12), Some(200)));
        assert_eq!(event.facts.price, "0.00144".parse().ok());
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
            (
                json!({"status": "answered", "from": "anonymous", "to": "447451000002", "uuid": "u", "conversation_uuid": "CON-1", "timestamp": "2026-11-22T12:00:06Z"}),
                "answered",
            ),
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
    fn caller_id_that_is_not_a_number_has_no_route_key() {
        for from in ["", "anonymous", "Restricted", "+447700900001", "07700900001"] {
            let field = |name: &str| Some(if name == "from" { from } else { "447451000002" });
            assert!(AnswerRequest::from_query(field).route_key().is_none(), "{from}");
        }
        let field = |name: &str| Some(if name == "from" { " 447700900001" } else { "447451000002" });
        assert!(AnswerRequest::from_query(field).route_key().is_some());
    }
}
