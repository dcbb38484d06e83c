//! Runs libFuzzer on [`fuzz::paths::contact_card`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::paths::contact_card(input));
