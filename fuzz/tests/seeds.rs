//! Every seed, and every event of `events/`, by the properties that the fuzzer looks for exceptions to.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::path::Path;

use fuzz::{creation, numbers, signature, webhooks};

fn give_each(folder: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        target(&std::fs::read(file).unwrap());
    }
}

#[test]
fn events_of_api_gateway_are_answered_as_documented() {
    give_each("../events", webhooks::api_gateway_event);
    give_each("seeds/api_gateway_event", webhooks::api_gateway_event);
}

#[test]
fn a_call_leads_to_the_other_participant_or_to_nobody() {
    give_each("seeds/answer_webhook", webhooks::answer_webhook);
}

#[test]
fn an_event_leaves_no_number_behind() {
    give_each("seeds/event_webhook", webhooks::event_webhook);
}

#[test]
fn only_vonage_can_sign() {
    give_each("seeds/authorization", signature::authorization);
    give_each("seeds/signed_claims", signature::signed_claims);
}

#[test]
fn a_number_that_is_read_is_read_as_itself_again() {
    give_each("seeds/phone_number", numbers::phone_number);
}

#[test]
fn a_body_makes_a_conversation_within_the_limits_or_a_problem_without_a_number() {
    give_each("seeds/create_conversation", creation::create_conversation);
}
