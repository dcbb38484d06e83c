//! The body of `POST /conversations`.

use jiff::SignedDuration;
use lambda_http::Body;
use lambda_http::http::Request;
use shared::config::Durations;

use crate::assert_tells_no_number;

/// The template's own.
const DURATIONS: Durations = Durations { max_call_seconds: 7200, quarantine_seconds: 86_400 };

/// A body that is taken is one of a conversation within the limits. What is told of one that is not holds no number of it.
pub fn create_conversation(input: &[u8]) {
    let request = Request::new(Body::Binary(input.to_vec()));
    match create_conversation::decode(&request, DURATIONS) {
        Ok(order) => {
            assert!(input.len() <= shared::edge::http::MAX_BODY_BYTES);
            let lifetime = order.lifetime.duration();
            assert!((SignedDuration::from_mins(1)..=SignedDuration::from_hours(170 * 24)).contains(&lifetime));
            let limits = order.limits;
            assert!((60..=7200).contains(&limits.max_call_seconds) && (10..=120).contains(&limits.ring_seconds));
            assert!(limits.talk_seconds() >= 25, "{limits:?}");
            assert!((limits.max_call_seconds..=30 * 86_400).contains(&order.quarantine_seconds));
            let labels = order.participants.iter().filter_map(|participant| participant.label.as_ref());
            let texts = labels.map(|label| (label.as_str().to_owned(), 40));
            let reference = serde_json::json!(order.reference).as_str().map(str::to_owned);
            // Events are made around it without another escape.
            assert!(!reference.as_ref().is_some_and(|reference| reference.contains(['"', '\\'])), "{reference:?}");
            for (text, most) in texts.chain(reference.map(|reference| (reference, 128))) {
                assert!((1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control), "{text:?}");
            }
            for participant in &order.participants {
                assert_tells_no_number(&format!("{participant:?}"));
            }
        }
        Err(problem) => {
            let told = problem.chain();
            let answer = problem.into_response();
            assert!([400, 413, 422].contains(&answer.status().as_u16()), "{answer:?}");
            let Body::Text(body) = answer.body() else { panic!("{answer:?}") };
            for told in [&told, body] {
                assert_tells_no_number(told);
            }
        }
    }
}
