//! Amounts as they arrive in Vonage's JSON: numbers, or text in several spellings.

use rust_decimal::Decimal;
use serde_json::Value;

/// Reads an amount: `12`, `"12.0"`, `3.6e-3` or, with a decimal comma, `"0,0036"`. Returns `None` if the value is not an
/// amount, or if its meaning is not certain: `"1,234"` may be either of two amounts.
pub(super) fn amount(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => of_text(text),
        Value::Number(number) => of_text(&number.to_string()),
        _ => None,
    }
}

/// Reads an amount from text, as [`amount`] does.
pub(super) fn of_text(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let starts_well = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !starts_well || text.contains('_') {
        return None;
    }
    match text.split_once(',') {
        None => text.parse().or_else(|_| Decimal::from_scientific(text)).ok(),
        Some((whole, fraction)) => {
            // Three digits after a comma may be thousands, unless nothing but zeros is before it.
            let is_fraction = fraction.len() != 3 || whole.trim_start_matches(['-', '+', '0']).is_empty();
            let is_plain = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
            (is_fraction && is_plain).then(|| format!("{whole}.{fraction}").parse().ok()).flatten()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amount_is_read_in_every_certain_spelling() {
        for (value, expected) in [
            (json!(12), "12"),
            (json!(12.0), "12.0"),
            (json!("12.0"), "12.0"),
            (json!(" 0.00360000 "), "0.0036"),
            (json!("0,0036"), "0.0036"),
            (json!("0,003"), "0.003"),
            (json!("12,50"), "12.50"),
            (json!(0.000_003_6), "0.0000036"),
            (json!("3.6e-3"), "0.0036"),
            (json!("-0.5"), "-0.5"),
        ] {
            assert_eq!(amount(&value), expected.parse().ok(), "{value}");
        }
    }

    #[test]
    fn amount_of_uncertain_meaning_is_unknown() {
        for value in [
            json!(""),
            json!("1,234"),
            json!("1,234.5"),
            json!("1.234,5"),
            json!("1,2,3"),
            json!("12,"),
            json!("12 EUR"),
            json!("free"),
            json!("NaN"),
            json!("1_000"),
            json!(true),
            json!(null),
            json!([1]),
        ] {
            assert_eq!(amount(&value), None, "{value}");
        }
    }
}
