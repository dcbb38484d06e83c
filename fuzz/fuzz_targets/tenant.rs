//! Runs libFuzzer on [`fuzz::paths::tenant`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::paths::tenant(input));
