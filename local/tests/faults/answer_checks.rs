//! Checks of every answer that the product's backend gets.

use serde_json::{Value, json};
use testkit::Answer;

/// The driver's phone after a change, as it would be found anywhere.
pub const DRIVERS_NEW_PHONE: &str = "447700900003";
/// The part that all real numbers of the flow have in common.
const COMMON_PART: &str = "7700900";
const COMMON_PART_AS_WRITTEN: &str = "7700 900";

/// Checks an answer of the gateway: JSON, or an error with its `Retry-After`.
pub fn check_answer(answer: &Answer) {
    if answer.status < 300 {
        assert_eq!(answer.content_type(), "application/json", "{answer:?}");
    } else {
        check_error(answer.status, Some(answer.content_type()), &answer.body);
        assert_eq!(answer.retry_after().is_some(), answer.status == 503, "{answer:?}");
    }
}

/// Checks that an error is a problem of the API with a title and a detail, and names no real number.
pub fn check_error(status: u16, content_type: Option<&str>, body: &Value) {
    assert!(matches!(status, 502 | 503), "{status} {body}");
    assert_eq!((content_type, &body["status"]), (Some("application/problem+json"), &json!(status)), "{body}");
    for member in ["title", "detail"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
    let expected = match status {
        502 => &["carrier-failed"] as &[&str],
        _ => &["carrier-failed", "store-unavailable", "contended"],
    };
    let kind = body["type"].as_str().and_then(|kind| kind.strip_prefix("urn:maskline:problem:")).unwrap();
    assert!(expected.contains(&kind), "{body}");
    check_names_no_number(&body.to_string());
}

/// Checks that `text` names no real number, no address of a service and no secret.
pub fn check_names_no_number(text: &str) {
    for secret in [COMMON_PART, COMMON_PART_AS_WRITTEN, "127.0.0.1", "laptop-api-secret"] {
        assert!(!text.contains(secret), "{text}");
    }
}
