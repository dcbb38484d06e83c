//! Runs libFuzzer on [`fuzz::webhooks::answer_webhook`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::webhooks::answer_webhook(input));
