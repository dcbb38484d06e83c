//! `GET|POST /webhooks/fallback` returns the NCCO of a call for which the answer webhook has failed twice.
//!
//! Whatever breaks the answer webhook must not break this function. So it has no configuration, no secret and no table, checks
//! no signature, and does not read the request: the answer is the same for everybody and says nothing about anybody.

use serde::Serialize;

/// The name of the function in the template and in logs.
pub const NAME: &str = "fallback-webhook";

/// The outcome of every request, for the log.
pub const OUTCOME: &str = "asked to call again";

/// The NCCO: the caller is asked to call again.
pub const NCCO: &str = r#"[{"action":"talk","text":"Sorry, we cannot connect your call right now. Please call again in a minute.","language":"en-GB"}]"#;

/// The answer, as API Gateway takes it from a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The HTTP status.
    pub status_code: u16,
    /// The HTTP headers.
    pub headers: Headers,
    /// The HTTP body.
    pub body: &'static str,
    /// False: the body is text as it is.
    pub is_base64_encoded: bool,
}

/// The headers of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Headers {
    /// The type of the body.
    #[serde(rename = "content-type")]
    pub content_type: &'static str,
}

/// The answer to every request.
pub const ANSWER: Answer = Answer {
    status_code: 200,
    headers: Headers { content_type: "application/json" },
    body: NCCO,
    is_base64_encoded: false,
};

/// Returns the log line of a request. Lambda adds the time.
pub fn log_line(request_id: &str) -> String {
    // Lambda's ids need no escapes in JSON. Another one is left out.
    let is_plain = request_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let request_id = if is_plain { request_id } else { "" };
    format!(
        r#"{{"level":"INFO","message":"request answered","function":"{NAME}","request_id":"{request_id}","outcome":"{OUTCOME}"}}"#
    )
}
