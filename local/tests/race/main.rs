//! Race tests. Many concurrent requests in several sandboxes, each with its own caches, compete for few numbers. No
//! route is given out twice, every refusal is justified, and the pool is fully used.
//!
//! | variable | meaning |
//! |---|---|
//! | `MASKLINE_TEST_DYNAMODB_URL` | URL of a DynamoDB to use in place of the embedded one |
//! | `MASKLINE_TEST_ROUNDS` | number of times each race runs; default 2 |
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod changes;
mod creations;
mod decision_urls;
mod forgetting;
mod healing;
mod lists;
mod live_calls;
mod missed_calls;
mod one_way;
mod pace;
mod phones;
mod pins;
mod placed_calls;
mod recordings;
mod renting;
mod safety_key;
mod sandboxes;
mod sliding_end;
mod standing;
mod tenants;
mod texts;
