//! Runs libFuzzer on [`fuzz::signature::signed_claims`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::signature::signed_claims(input));
