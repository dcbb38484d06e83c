//! Runs libFuzzer on [`fuzz::webhooks::api_gateway_event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::webhooks::api_gateway_event(input));
