//! Runs libFuzzer on [`fuzz::messages::message_webhook`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::messages::message_webhook(input));
