//! Runs libFuzzer on [`fuzz::tenant_settings::tenant_settings`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tenant_settings::tenant_settings(input));
