//! Target for the body of `POST /conversations`.

use create_conversation::{Decoded, Usual};
use jiff::{SignedDuration, Timestamp};
use lambda_http::Body;
use lambda_http::http::Request;
use shared::config::Durations;
use shared::domain::call_handling::CallHandling;
use shared::domain::sliding_end::SlidingEnd;
use shared::domain::text_masking::TextMasking;

use crate::assert_no_phone_number;

/// The defaults of the template.
const DURATIONS: Durations = Durations { max_call_seconds: 7200, quarantine_seconds: 86_400, warn_minutes: Some(0) };

/// The time of the request.
const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Checks that an accepted body is within all limits, and that the problem of a refused body contains no phone number.
pub fn create_conversation(input: &[u8]) {
    let request = Request::new(Body::Binary(input.to_vec()));
    let usual = Usual {
        durations: DURATIONS,
        handling: CallHandling::default(),
        lost_property: false,
        text_masking: TextMasking::Off,
    };
    match create_conversation::decode(&request, usual, None, NOW) {
        Ok(Decoded { new, .. }) => {
            assert!(input.len() <= shared::edge::http::MAX_BODY_BYTES);
            let lifetime = new.lifetime.duration();
            assert!((SignedDuration::from_mins(1)..=SignedDuration::from_hours(170 * 24)).contains(&lifetime));
            if let Some(sliding) = new.sliding_end {
                assert!(
                    NOW < sliding.latest + SignedDuration::from_secs(1) && sliding.latest <= SlidingEnd::farthest(NOW)
                );
            }
            let limits = new.limits;
            assert!((60..=7200).contains(&limits.max_call_seconds) && (10..=120).contains(&limits.ring_seconds));
            assert!(limits.talk_seconds(new.handling) >= 10, "{limits:?}");
            assert!((limits.max_call_seconds..=30 * 86_400).contains(&new.quarantine_seconds));
            let labels = new.participants.iter().filter_map(|participant| participant.label.as_ref());
            let texts = labels.map(|label| (label.as_str().to_owned(), 40));
            let reference = serde_json::json!(new.reference).as_str().map(str::to_owned);
            // The pipes put the reference into JSON without escapes.
            assert!(!reference.as_ref().is_some_and(|reference| reference.contains(['"', '\\'])), "{reference:?}");
            for (text, max) in texts.chain(reference.map(|reference| (reference, 128))) {
                // At most four code points for each character; what orders text anew or breaks the line is in none.
                let misleads =
                    |c: char| c.is_control() || "\u{2028}\u{2029}\u{202D}\u{202E}\u{2066}\u{2067}".contains(c);
                assert!((1..=4 * max).contains(&text.chars().count()) && !text.contains(misleads), "{text:?}");
            }
            for participant in &new.participants {
                assert_no_phone_number(&format!("{participant:?}"));
            }
        }
        Err(problem) => {
            let log = problem.chain();
            let answer = problem.into_response();
            assert!([400, 413, 422].contains(&answer.status().as_u16()), "{answer:?}");
            let Body::Text(body) = answer.body() else { panic!("{answer:?}") };
            for text in [&log, body] {
                assert_no_phone_number(text);
            }
        }
    }
}
