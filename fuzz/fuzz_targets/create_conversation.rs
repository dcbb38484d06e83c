//! Runs libFuzzer on [`fuzz::creation::create_conversation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::creation::create_conversation(input));
