//! Runs libFuzzer on [`fuzz::webhooks::event_webhook`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::webhooks::event_webhook(input));
