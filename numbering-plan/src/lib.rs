//! Parses and classifies phone numbers exactly as libphonenumber does, without its start-up work.
//!
//! ```
//! use numbering_plan::{Kind, Number, parse};
//!
//! let number = parse("07700 900001", Some(*b"GB"))?;
//! assert_eq!(number.digits(), "447700900001");
//! assert_eq!(number.calling_code(), 44);
//! assert_eq!(Number::from_international("449012345678").map(|number| number.kind()), Some(Kind::PremiumRate));
//! # Ok::<(), numbering_plan::ParseError>(())
//! ```
//!
//! Ports of libphonenumber decode the plans of all countries and compile regular expressions before the first number.
//! Here the plans are text, and a number costs only the lines of its own calling code. The README has the figures.
//!
//! Source: `PhoneNumberMetadata.xml` and `phonenumberutil.cc` of libphonenumber.

mod address;
mod clean;
mod dialling;
mod example;
mod number;
mod parse;
mod pattern;
mod plan;

pub use address::{Address, Context};
pub use clean::clean;
pub use dialling::Dialling;
pub use number::{Kind, Number};
pub use parse::{ParseError, parse};

/// Returns the calling code of a country (ISO 3166-1 alpha-2), if it has a numbering plan.
pub fn calling_code(country: [u8; 2]) -> Option<u16> {
    plan::Plan::of_country(country).map(|plan| plan.calling_code)
}

/// Returns national digits of a country without its national prefix, such as `20` for `020` in GB.
pub fn without_national_prefix(country: [u8; 2], digits: &str) -> std::borrow::Cow<'_, str> {
    match plan::Plan::of_country(country) {
        Some(plan) => plan.strip_national_prefix(digits),
        None => std::borrow::Cow::Borrowed(digits),
    }
}
