//! HTTP answers.

use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;
use shared::domain::phone::PhoneNumber;

/// The time after which a request counts as hanging: longer than anything takes that does not hang.
const HANGS: Duration = Duration::from_secs(120);

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The JSON body, with phone numbers as [`digits`]; null if there is no body.
    pub body: Value,
}

/// Writes the phone numbers of an answer or of an event as digits alone.
///
/// The API writes them with `+`; the table, Vonage and its simulator do not. Tests compare all of them, so they have one form.
/// `local/tests/api/number_form.rs` checks what the API itself sends and takes.
pub fn digits(mut body: Value) -> Value {
    match &mut body {
        Value::String(text) => {
            let number = text.strip_prefix('+').filter(|digits| PhoneNumber::try_from(*digits).is_ok());
            if let Some(number) = number {
                *text = number.to_owned();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| *value = digits(value.take())),
        Value::Object(members) => members.values_mut().for_each(|value| *value = digits(value.take())),
        _ => {}
    }
    body
}

impl Answer {
    /// Sends `request`, and returns the answer. Fails if there is none, or if its body is not JSON.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.timeout(HANGS).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
        Self { status, headers, body: digits(body) }
    }

    /// Returns the `Content-Type`; empty if there is none.
    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    /// Returns the `Retry-After`, in seconds.
    pub fn retry_after(&self) -> Option<&str> {
        self.header("retry-after")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
