//! Target for phone numbers, as people and Vonage write them.

use shared::domain::country::Country;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::phone::parse::{self, calling_code};
use shared::domain::phone::{PhoneNumber, RealNumber};

/// Checks that an accepted number is E.164, that it parses to itself, and that its debug form shows only three digits. A
/// caller id is such a number, or its shape has no digit.
pub fn phone_number(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    if let Ok(number) = PhoneNumber::try_from(input) {
        assert_eq!(number.expose(), input);
        check(&number);
    }
    match CallerId::read(Some(input), PhoneNumber::try_from("447451000001").ok().map(Into::into).as_ref()) {
        CallerId::Phone(number) => check(&number),
        CallerId::Hidden => {}
        CallerId::NotUnderstood { shape } => assert!(!shape.contains(char::is_numeric), "{shape}"),
    }
    let (country, written) = match input.split_once('\n') {
        Some((country, written)) => (Country::try_from(country).ok(), written),
        None => (None, input),
    };
    for country in [None, country] {
        let Ok(number) = parse::read(written, country) else { continue };
        check(&number);
        let e164 = format!("+{}", number.expose());
        for country in [None, country] {
            assert_eq!(parse::read(&e164, country).as_ref(), Ok(&number), "{e164} {country:?}");
        }
    }
}

fn check(number: &PhoneNumber) {
    let digits = number.expose();
    assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    assert!(!digits.starts_with('0'), "{digits}");
    let real = RealNumber::from(number.clone());
    assert!(digits.starts_with(&calling_code(real.expose())), "{digits}");
    let masked = format!("{}{}", "*".repeat(digits.len() - 3), &digits[digits.len() - 3..]);
    assert_eq!([format!("{number:?}"), format!("{real:?}")], [masked.as_str(), masked.as_str()]);
}
