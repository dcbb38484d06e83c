//! Reading of the members of an action.

use serde_json::{Map, Value};

use super::super::HttpMethod;
use super::super::applications::{EVENT_TIMEOUT, VoiceWebhook};

/// Longest duration of a call or a wait, in seconds.
pub(super) const LONGEST: f64 = 7_200.0;
/// Time for a connection to the webhook of an action, in milliseconds.
const CONNECT_TIMEOUT: u64 = 1_000;

/// The members of an action or of an object in it. Each method fails with the fault, in words for the developer.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// Returns the members of an object, if it is there.
    pub(super) fn object(self, name: &str) -> Result<Option<Fields<'a>>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Fields(members))),
            Some(_) => Err(format!("\"{name}\" is an object")),
        }
    }

    pub(super) fn string(self, name: &str) -> Result<Option<&'a str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("\"{name}\" is a string")),
        }
    }

    pub(super) fn boolean(self, name: &str) -> Result<Option<bool>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            // Vonage's own examples have it as a string too.
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| format!("\"{name}\" is true or false")),
            Some(_) => Err(format!("\"{name}\" is true or false")),
        }
    }

    /// Reads one of these words.
    pub(super) fn word(self, name: &str, words: &[&str]) -> Result<Option<&'a str>, String> {
        let found = self.string(name)?;
        match found {
            Some(word) if !words.contains(&word) => Err(format!("\"{name}\" is one of {}", words.join(", "))),
            found => Ok(found),
        }
    }

    /// Reads a number. It may be a string, as in Vonage's own examples.
    pub(super) fn number(self, name: &str) -> Result<Option<f64>, String> {
        let wrong = || format!("\"{name}\" is a number");
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(Value::String(text)) => {
                let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
                number.map(Some).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// Reads a number from `least` to `most`.
    pub(super) fn within(self, name: &str, least: f64, most: f64) -> Result<Option<f64>, String> {
        let number = self.number(name)?;
        if number.is_some_and(|number| !(least..=most).contains(&number)) {
            return Err(format!("\"{name}\" is from {least} to {most}"));
        }
        Ok(number)
    }

    /// Reads a whole number from `least` to `most`.
    pub(super) fn whole(self, name: &str, least: f64, most: f64) -> Result<Option<u64>, String> {
        match self.within(name, least, most)? {
            Some(number) if number.fract() != 0.0 => Err(format!("\"{name}\" is a whole number")),
            number => Ok(number.map(|number| number as u64)),
        }
    }

    /// Reads a duration in seconds, of at most two hours.
    pub(super) fn seconds(self, name: &str, default: f64, shortest: f64) -> Result<f64, String> {
        Ok(self.within(name, shortest, LONGEST)?.unwrap_or(default))
    }

    /// Reads how many times a sound is played; 0 means endlessly.
    pub(super) fn loops(self) -> Result<u64, String> {
        match self.0.get("loop") {
            None => Ok(1),
            Some(value) => value.as_u64().ok_or_else(|| "\"loop\" is a whole number".to_owned()),
        }
    }

    /// Reads a URL that is a string.
    pub(super) fn url(self, name: &str) -> Result<Option<&'a str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .filter(|url| is_http(url))
                .map(Some)
                .ok_or_else(|| format!("\"{name}\" is one http or https URL, without an array")),
        }
    }

    /// Reads a URL that is an array of one string, as most are in an NCCO.
    pub(super) fn single_url(self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let url = match value.as_array().map(Vec::as_slice) {
            Some([url]) => url.as_str().filter(|url| is_http(url)),
            _ => None,
        };
        url.map(Some).ok_or_else(|| format!("\"{name}\" is an array of one http or https URL"))
    }

    /// Reads a URL that Vonage's documents have as a string, and its libraries as an array.
    pub(super) fn any_url(self, name: &str) -> Result<Option<&'a str>, String> {
        match self.0.get(name) {
            Some(Value::Array(_)) => self.single_url(name),
            _ => self.url(name),
        }
    }

    /// Reads `eventUrl` and `eventMethod`.
    pub(super) fn event_webhook(self) -> Result<Option<VoiceWebhook>, String> {
        let http_method = match self.word("eventMethod", &["POST", "GET"])? {
            Some("GET") => HttpMethod::Get,
            _ => HttpMethod::Post,
        };
        let address = self.single_url("eventUrl")?.map(str::to_owned);
        Ok(address.map(|address| VoiceWebhook {
            address,
            http_method,
            connect_timeout: CONNECT_TIMEOUT,
            socket_timeout: EVENT_TIMEOUT,
        }))
    }
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}
