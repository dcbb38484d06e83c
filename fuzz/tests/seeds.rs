//! Runs each fuzz target with its seeds, and with the events of `events/`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::path::Path;

use fuzz::{creation, messages, numbers, paths, signature, tenant_settings, webhooks};

fn run_each(folder: &str, target: fn(&[u8])) {
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
    run_each("../events", webhooks::api_gateway_event);
    run_each("seeds/api_gateway_event", webhooks::api_gateway_event);
}

#[test]
fn a_call_reaches_the_other_participant_or_nobody() {
    run_each("seeds/answer_webhook", webhooks::answer_webhook);
}

#[test]
fn an_event_leaves_no_phone_number() {
    run_each("seeds/event_webhook", webhooks::event_webhook);
}

#[test]
fn a_text_and_a_receipt_leave_no_phone_number() {
    run_each("seeds/message_webhook", messages::message_webhook);
}

#[test]
fn only_signed_webhooks_are_accepted() {
    run_each("seeds/authorization", signature::authorization);
    run_each("seeds/signed_claims", signature::signed_claims);
}

#[test]
fn an_accepted_number_parses_to_itself() {
    run_each("seeds/phone_number", numbers::phone_number);
}

#[test]
fn a_body_gives_a_valid_conversation_or_a_masked_problem() {
    run_each("seeds/create_conversation", creation::create_conversation);
}

#[test]
fn a_card_has_its_own_lines_and_a_token_its_own_card() {
    run_each("seeds/contact_card", paths::contact_card);
}

#[test]
fn a_path_names_a_tenant_or_nobody() {
    run_each("seeds/tenant", paths::tenant);
}

#[test]
fn a_body_gives_settings_of_a_tenant_or_a_masked_problem() {
    run_each("seeds/tenant_settings", tenant_settings::tenant_settings);
}
