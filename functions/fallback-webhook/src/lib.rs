//! `GET|POST /webhooks/fallback` returns the NCCO of a call for which another webhook has failed twice.
//!
//! Whatever breaks the other webhooks must not break this function. So it has no secret and no table, checks no signature, and
//! does not read the request. The answer is the same for everybody and says nothing about anybody: the caller hears it, or a person
//! who was called. Its one variable only chooses the language of the answer, and no value of it is an error. `build.rs` makes the
//! answers out of the files of words.

use serde::Serialize;

/// The name of the function in the template and in logs.
pub const NAME: &str = "fallback-webhook";

/// The outcome of every request, for the log.
pub const OUTCOME: &str = "asked to try again";

include!(concat!(env!("OUT_DIR"), "/answers.rs"));

/// The variable with the deployment's language.
const LANGUAGE: &str = "DEFAULT_LANGUAGE";

/// The language of a deployment that names none, or one without words.
const ENGLISH: &str = "en";

/// Returns the answer to every request, in the language that the environment of this process names.
pub fn answer_of_process() -> Answer {
    answer(std::env::var(LANGUAGE).ok().as_deref())
}

/// Returns the answer to every request in this language, a tag of BCP 47 such as `pt-BR`, or in English.
pub fn answer(language: Option<&str>) -> Answer {
    let tag = language.unwrap_or(ENGLISH).split('-').next().unwrap_or(ENGLISH);
    let with_tag = |tag: &str| NCCOS.iter().find(|(own, _)| own.eq_ignore_ascii_case(tag));
    let body = with_tag(tag).or_else(|| with_tag(ENGLISH)).map_or(NOTHING, |(_, ncco)| ncco);
    Answer { status_code: 200, headers: Headers { content_type: "application/json" }, body, is_base64_encoded: false }
}

/// An NCCO that ends the call. A test checks that there is always a better one.
const NOTHING: &str = "[]";

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

/// Returns the log line of a request with the ids that Lambda gives it. `trace` is the tracing header. Lambda adds the time.
pub fn log_line(request_id: &str, trace: Option<&str>) -> String {
    // Lambda's ids need no escapes in JSON. Another one is left out.
    let is_plain = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let request_id = Some(request_id).filter(is_plain).unwrap_or_default();
    let trace_id = trace.and_then(|header| header.split(';').find_map(|field| field.strip_prefix("Root=")));
    let trace_id = trace_id.filter(is_plain).unwrap_or_default();
    format!(
        r#"{{"level":"INFO","message":"request answered","function":"{NAME}","request_id":"{request_id}","trace_id":"{trace_id}","outcome":"{OUTCOME}"}}"#
    )
}
