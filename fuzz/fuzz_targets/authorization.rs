//! Runs libFuzzer on [`fuzz::signature::authorization`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::signature::authorization(input));
