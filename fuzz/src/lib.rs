//! Fuzz targets: properties that must hold for the answer to any input.
//!
//! Each target passes an input to the product and panics if a property does not hold. libFuzzer generates inputs by
//! coverage (`.ci/fuzz`), and `cargo test` runs the seeds.
//!
//! | target | input |
//! |---|---|
//! | [`webhooks::api_gateway_event`] | the JSON of an API Gateway event, sent to both webhooks |
//! | [`webhooks::answer_webhook`] | the method in the first byte, then the query or body of a webhook, which the target signs |
//! | [`webhooks::event_webhook`] | the body of a webhook, which the target signs |
//! | [`messages::message_webhook`] | the JSON or the form of a text or a receipt |
//! | [`signature::authorization`] | an `Authorization` header |
//! | [`signature::signed_claims`] | header and claims of a JWT, separated by a line break, which the target signs |
//! | [`numbers::phone_number`] | a phone number, optionally after a country and a line break |
//! | [`creation::create_conversation`] | the body of `POST /conversations` |
//! | [`paths::contact_card`] | the token of a contact card, or the names in the cards of a conversation |
//! | [`paths::tenant`] | the name of a tenant in a path |
//! | [`tenant_settings::tenant_settings`] | the body of `PUT /tenants/{tenant}` |

pub mod creation;
mod lines;
pub mod messages;
pub mod numbers;
pub mod paths;
pub mod signature;
mod table;
pub mod tenant_settings;
pub mod webhooks;

/// Number of digits from which a run of digits counts as a phone number.
const PHONE_NUMBER_DIGITS: usize = 7;

/// Returns the digits of each possible phone number in `text`, without separators.
fn digit_runs(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !is_phone_character(c));
    let digits = parts.map(|part| part.chars().filter(char::is_ascii_digit).collect::<String>());
    digits.filter(|digits| digits.len() >= PHONE_NUMBER_DIGITS)
}

/// True if `c` is a digit or a usual separator of digits.
fn is_phone_character(c: char) -> bool {
    c.is_ascii_digit() || " -.()/+".contains(c)
}

/// Panics if `text` contains a possible phone number. The limits of the API are ignored.
fn assert_no_phone_number(text: &str) {
    let limits = ["14688000", "2592000", "1000000"];
    let without_limits = limits.iter().fold(text.to_owned(), |text, limit| text.replace(limit, ""));
    assert_eq!(digit_runs(&without_limits).next(), None, "{text}");
}
