//! Hostile input: what has to be true of the answer to any bytes whatever.
//!
//! Each function here takes an input, hands it to the part of the product that it would reach, and panics if something is
//! not as it has to be. `cargo fuzz` drives them by coverage (`.ci/fuzz`), and `cargo test` gives them the seeds.
//!
//! | target | the input is |
//! |---|---|
//! | [`webhooks::api_gateway_event`] | the JSON of an API Gateway event, given to both webhooks |
//! | [`webhooks::answer_webhook`] | method and route in the first byte, then the query or body of a webhook, which is signed |
//! | [`webhooks::event_webhook`] | the body of a webhook, which is signed |
//! | [`signature::authorization`] | an `Authorization` header |
//! | [`signature::signed_claims`] | header and claims of a JWT, a line break in between, signed with the right secret |
//! | [`numbers::phone_number`] | a number, after a country and a line break if it has one |
//! | [`creation::create_conversation`] | the body of `POST /conversations` |

pub mod creation;
mod lines;
pub mod numbers;
pub mod signature;
mod table;
pub mod webhooks;

/// What a run of digits is told by, as in a phone number: this many of them.
const ENOUGH_TO_TELL: usize = 7;

/// The digits of each phone number that `text` could hold, whatever separates them.
fn digit_runs(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !is_of_a_number(c));
    let digits = parts.map(|part| part.chars().filter(char::is_ascii_digit).collect::<String>());
    digits.filter(|digits| digits.len() >= ENOUGH_TO_TELL)
}

/// A digit, or what people write between digits.
fn is_of_a_number(c: char) -> bool {
    c.is_ascii_digit() || " -.()/+".contains(c)
}

/// Fails if `told` holds the digits of a phone number. Limits of the API are told, and are none.
fn assert_tells_no_number(told: &str) {
    let limits = ["14688000", "2592000"];
    let without_limits = limits.iter().fold(told.to_owned(), |text, limit| text.replace(limit, ""));
    assert_eq!(digit_runs(&without_limits).next(), None, "{told}");
}
