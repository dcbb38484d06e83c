//! Runs libFuzzer on [`fuzz::numbers::phone_number`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::numbers::phone_number(input));
