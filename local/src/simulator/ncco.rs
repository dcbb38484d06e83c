//! Decoding and validation of an NCCO (Nexmo Call Control Object), the list of actions in the response of an answer
//! webhook.
//!
//! Source: Vonage Voice API, NCCO reference.

use serde_json::{Map, Value};

use super::HttpMethod;
use super::applications::{EVENT_TIMEOUT, VoiceWebhook};

/// `reason` of the `error` event that Vonage sends for an invalid NCCO.
pub(super) const SYNTAX_ERROR: &str = "Syntax error in NCCO. Invalid value type or action.";
/// Length of the longest `text` of a talk without SSML, in characters.
const LONGEST_TALK: usize = 1_500;
/// Longest duration of a call or a wait, in seconds.
const LONGEST: f64 = 7_200.0;
/// Actions of Vonage that have no effect on a simulated call.
const IGNORED: [&str; 6] = ["conversation", "input", "notify", "pay", "record", "transfer"];

/// One action of an NCCO.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Speaks to the caller, `loops` times; 0 means endlessly.
    Talk { text: String, loops: u64 },
    /// Plays a sound, `loops` times; 0 means endlessly.
    Stream { loops: u64 },
    /// Waits in silence.
    Wait { seconds: f64 },
    /// Calls a phone and connects it to the caller.
    Connect(Connect),
    /// An action without effect here.
    Ignored,
}

/// A `connect` to a phone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Connect {
    pub(super) from: String,
    /// E.164 digits.
    pub(super) number: String,
    /// Longest ringing time, in seconds.
    pub(super) timeout: f64,
    /// Longest talking time, in seconds.
    pub(super) limit: f64,
    /// URL for the events of its leg, if it is not the application's event URL.
    pub(super) event_url: Option<(String, HttpMethod)>,
}

impl Connect {
    /// Returns its own event webhook, if it has one.
    pub(super) fn event_webhook(&self) -> Option<VoiceWebhook> {
        let (address, http_method) = self.event_url.clone()?;
        Some(VoiceWebhook { address, http_method, connect_timeout: 1_000, socket_timeout: EVENT_TIMEOUT })
    }
}

/// Decodes an NCCO.
///
/// # Errors
/// Returns the fault, in words for the developer. Vonage itself only reports [`SYNTAX_ERROR`].
pub(super) fn read(ncco: &Value) -> Result<Vec<Action>, String> {
    let actions = ncco.as_array().ok_or("an NCCO is an array of actions")?;
    let read_action =
        |(index, action): (usize, &Value)| action_of(action).map_err(|reason| format!("action {index}: {reason}"));
    actions.iter().enumerate().map(read_action).collect()
}

fn action_of(action: &Value) -> Result<Action, String> {
    let fields = action.as_object().ok_or("an action is an object")?;
    let name = fields.get("action").and_then(Value::as_str);
    match name.ok_or("\"action\" is missing")? {
        "talk" => talk(fields),
        "stream" => stream(fields),
        "wait" => Ok(Action::Wait { seconds: seconds(fields, "timeout", 10.0, 0.1)? }),
        "connect" => connect(fields).map(Action::Connect),
        name if IGNORED.contains(&name) => Ok(Action::Ignored),
        name => Err(format!("there is no action \"{name}\"")),
    }
}

fn talk(fields: &Map<String, Value>) -> Result<Action, String> {
    let text = fields.get("text").and_then(Value::as_str);
    let text = text.ok_or("talk needs a \"text\"")?;
    if text.trim().is_empty() || text.chars().count() > LONGEST_TALK {
        return Err(format!("the \"text\" of talk has 1 to {LONGEST_TALK} characters"));
    }
    let level = number(fields, "level")?.unwrap_or(0.0);
    if !(-1.0..=1.0).contains(&level) {
        return Err("\"level\" is from -1 to 1".to_owned());
    }
    if fields.get("language").is_some_and(|value| !value.is_string()) {
        return Err("\"language\" is a string".to_owned());
    }
    Ok(Action::Talk { text: text.to_owned(), loops: loops(fields)? })
}

fn stream(fields: &Map<String, Value>) -> Result<Action, String> {
    single_url(fields, "streamUrl")?.ok_or("stream needs a \"streamUrl\"")?;
    Ok(Action::Stream { loops: loops(fields)? })
}

fn connect(fields: &Map<String, Value>) -> Result<Connect, String> {
    let endpoints = fields.get("endpoint").and_then(Value::as_array);
    let [endpoint] = endpoints.map(Vec::as_slice).unwrap_or_default() else {
        return Err("connect has exactly one \"endpoint\", in an array".to_owned());
    };
    if endpoint["type"] != "phone" {
        return Err("the endpoint of connect is of type \"phone\"".to_owned());
    }
    let number = endpoint["number"].as_str().filter(|number| is_e164(number));
    let number = number.ok_or("the \"number\" of a phone is 7 to 15 digits, without \"+\"")?;
    let is_digits = |from: &&str| !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_digit());
    let from = fields.get("from").and_then(Value::as_str).filter(is_digits);
    let from = from.ok_or("connect needs a \"from\" of digits")?;
    let event_method = match fields.get("eventMethod").map(Value::as_str) {
        None | Some(Some("POST")) => HttpMethod::Post,
        Some(Some("GET")) => HttpMethod::Get,
        Some(_) => return Err("\"eventMethod\" is GET or POST".to_owned()),
    };
    let event_url = single_url(fields, "eventUrl")?;
    Ok(Connect {
        from: from.to_owned(),
        number: number.to_owned(),
        timeout: seconds(fields, "timeout", 60.0, 1.0)?,
        limit: seconds(fields, "limit", LONGEST, 1.0)?,
        event_url: event_url.map(|url| (url, event_method)),
    })
}

fn is_e164(number: &str) -> bool {
    (7..=15).contains(&number.len()) && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a URL, which in an NCCO is an array of one string.
fn single_url(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    let is_http = |url: &&str| url.starts_with("http://") || url.starts_with("https://");
    match value.as_array().map(Vec::as_slice) {
        Some([url]) => url.as_str().filter(is_http),
        _ => None,
    }
    .map(|url| Some(url.to_owned()))
    .ok_or_else(|| format!("\"{name}\" is an array of one http or https URL"))
}

/// Reads a number. It may be a string, as in Vonage's own examples.
fn number(fields: &Map<String, Value>, name: &str) -> Result<Option<f64>, String> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(Value::String(text)) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(format!("\"{name}\" is a number")),
        },
        Some(_) => Err(format!("\"{name}\" is a number")),
    }
}

fn seconds(fields: &Map<String, Value>, name: &str, default: f64, shortest: f64) -> Result<f64, String> {
    let seconds = number(fields, name)?.unwrap_or(default);
    if (shortest..=LONGEST).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("\"{name}\" is from {shortest} to {LONGEST} seconds"))
    }
}

fn loops(fields: &Map<String, Value>) -> Result<u64, String> {
    match fields.get("loop") {
        None => Ok(1),
        Some(value) => value.as_u64().ok_or_else(|| "\"loop\" is a whole number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn connect_with(changes: Value) -> Value {
        let mut connect = json!({
            "action": "connect", "from": "447451000001",
            "endpoint": [{"type": "phone", "number": "447700900001"}],
        });
        for (name, value) in changes.as_object().expect("changes are an object") {
            connect[name] = value.clone();
        }
        json!([connect])
    }

    #[test]
    fn connect_without_times_has_vonages_defaults() {
        let actions = read(&connect_with(json!({}))).expect("valid");
        let [Action::Connect(connect)] = actions.as_slice() else {
            panic!("one connect is expected");
        };
        assert_eq!((connect.timeout, connect.limit), (60.0, 7_200.0));
        assert_eq!(connect.event_url, None);
    }

    #[test]
    fn times_may_be_numbers_in_strings() {
        let actions = read(&connect_with(json!({"timeout": "45"}))).expect("valid");
        assert!(matches!(&actions[0], Action::Connect(connect) if connect.timeout == 45.0));
    }

    #[test]
    fn invalid_connect_is_refused() {
        let phone = json!({"type": "phone", "number": "447700900001"});
        for fault in [
            json!({"from": null}),
            json!({"from": "+447451000001"}),
            json!({"endpoint": phone}),
            json!({"endpoint": []}),
            json!({"endpoint": [phone, phone]}),
            json!({"endpoint": [{"type": "sip", "uri": "sip:a@example.com"}]}),
            json!({"endpoint": [{"type": "phone", "number": "+447700900001"}]}),
            json!({"endpoint": [{"type": "phone", "number": "07700900001"}]}),
            json!({"endpoint": [{"type": "phone"}]}),
            json!({"limit": 7201}),
            json!({"timeout": true}),
            json!({"eventUrl": "https://example.com/event"}),
            json!({"eventMethod": "PUT"}),
        ] {
            assert!(read(&connect_with(fault.clone())).is_err(), "{fault}");
        }
    }

    #[test]
    fn talk_needs_a_text_of_at_most_1500_characters() {
        let talk = |text: Value| read(&json!([{"action": "talk", "text": text}]));
        assert!(talk(json!("a".repeat(1_500))).is_ok());
        assert!(talk(json!("a".repeat(1_501))).is_err());
        assert!(talk(json!("")).is_err());
        assert!(talk(json!(5)).is_err());
    }

    #[test]
    fn only_an_array_of_known_actions_is_an_ncco() {
        assert!(read(&json!([])).is_ok());
        assert!(read(&json!([{"action": "record"}, {"action": "wait"}])).is_ok());
        assert!(read(&json!({"action": "talk", "text": "Hi"})).is_err());
        assert!(read(&json!([{"action": "hangup"}])).is_err());
        assert!(read(&json!(["talk"])).is_err());
        assert!(read(&json!([{"text": "Hi"}])).is_err());
    }
}
