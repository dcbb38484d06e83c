//! Numbers as people write them: with punctuation, the letters of a keypad, digits of any script, as `tel:` addresses.
//!
//! Source: `phonenumberutil.cc` of libphonenumber. Its regular expressions are kept where possible.

use std::borrow::Cow;
use std::fmt;

use crate::number::{DigitsError, Number};
use crate::pattern::Pattern;
use crate::plan::{Plan, decimal_digit};

/// The reason why a written number was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// It has a national form, and no country was given.
    NeedsCountry,
    /// It is not a phone number of any country.
    NotANumber,
    /// It is international, and its calling code is not that of the given country.
    OtherCountry,
}

/// Longer text is refused, as in libphonenumber.
const MAX_CHARACTERS: usize = 250;

/// The characters that begin an international number.
const PLUS: [char; 2] = ['+', '\u{FF0B}'];

/// An extension: the number of a phone behind a switchboard.
const EXTENSION: Pattern<'_> = Pattern(concat!(
    r";ext=\d{1,20}",
    "|[ \u{A0}\t,]*",
    "(?:e?xt(?:ensi(?:[o\u{D3}]\u{301}?|[\u{F3}\u{D3}]))?n?|[ｅＥ]?[ｘＸ][ｔＴ][ｎＮ]?|[дД][оО][бБ]|anexo)",
    "[:.．]?[ \u{A0}\t,-]*\\d{1,20}#?",
    "|[ \u{A0}\t,]*(?:[xｘＸ#＃~～]|int|[ｉＩ][ｎＮ][ｔＴ])[:.．]?[ \u{A0}\t,-]*\\d{1,9}#?",
    r"|[- ]+\d{1,6}#",
    "|[ \u{A0}\t]*(?:,,|;)[:.．]?[ \u{A0}\t,-]*\\d{1,15}#?",
    "|[ \u{A0}\t]*,(?:,*[:.．])?[ \u{A0}\t,-]*\\d{1,9}#?",
));

/// Parses a number in international form, or in the national form of `country` (ISO 3166-1 alpha-2, in capitals):
/// `+44 7700 900001`, `0044 7700 900001`, or `07700 900001` with `GB`.
///
/// The number is possible: its length fits its country. It need not be valid; libphonenumber calls numbers that are
/// reserved for examples invalid, and carriers accept them. A country without a numbering plan counts as none.
pub fn parse(written: &str, country: Option<[u8; 2]>) -> Result<Number, ParseError> {
    let written = written.trim();
    // The ITU recommends "00" as the international prefix, and no national number begins with it.
    let written = match written.strip_prefix("00") {
        Some(rest) => Cow::Owned(format!("+{rest}")),
        None => Cow::Borrowed(written),
    };
    let home = country.and_then(Plan::of_country);
    let number = parse_from(home.as_ref(), &written).map_err(|error| match error {
        ParseError::NeedsCountry if written.starts_with('+') => ParseError::NotANumber,
        error => error,
    })?;
    if home.is_some_and(|home| home.calling_code != number.calling_code()) {
        return Err(ParseError::OtherCountry);
    }
    // A surplus zero can stay at the start of a national number. The next parser would drop it and get another number.
    if Number::from_international(&number.digits()).as_ref() != Some(&number) {
        return Err(ParseError::NotANumber);
    }
    Ok(number)
}

/// Parses a number that was written in the country of `home`. Without a known calling code, also an international number
/// is refused with [`ParseError::NeedsCountry`].
fn parse_from(home: Option<&Plan>, written: &str) -> Result<Number, ParseError> {
    if written.chars().nth(MAX_CHARACTERS).is_some() {
        return Err(ParseError::NotANumber);
    }
    let written: String = written.chars().map(|c| decimal_digit(c).unwrap_or(c)).collect();
    let text = number_part(&written).ok_or(ParseError::NotANumber)?.to_ascii_lowercase();
    if !is_number(&text) {
        return Err(ParseError::NotANumber);
    }
    let is_international = text.starts_with(PLUS);
    if home.is_none() && !is_international {
        return Err(ParseError::NeedsCountry);
    }
    let without_extension = before_extension(&text);
    let digits = dialled_digits(without_extension.unwrap_or(&text));
    let number = match (is_international.then(|| Number::read_international(&digits)), home) {
        // A "+" before the prefix of international calls, or before a number without a calling code.
        (Some(Err(DigitsError::UnknownCallingCode)), Some(home)) => {
            Number::read_with_calling_code(home, &digits).unwrap_or(Err(DigitsError::UnknownCallingCode))
        }
        (Some(read), _) => read,
        (None, Some(home)) => Number::read_dialled(home, &digits),
        (None, None) => Err(DigitsError::UnknownCallingCode),
    }?;
    if without_extension.is_some() || !number.is_possible() {
        return Err(ParseError::NotANumber);
    }
    Ok(number)
}

/// Extracts the part that can be a number: without the text before it, a second number, and the parameters of a `tel:`
/// address (RFC 3966). The `phone-context` of such an address can contain the calling code.
fn number_part(written: &str) -> Option<String> {
    let mut part = if let Some((before, context)) = written.split_once(";phone-context=") {
        let context = context.split(';').next().filter(|context| is_phone_context(context))?;
        let code = if context.starts_with('+') { context } else { "" };
        let number = before.split_once("tel:").map_or(before, |(_, number)| number);
        format!("{code}{number}")
    } else {
        let begin = written.find(|c: char| c.is_ascii_digit() || PLUS.contains(&c))?;
        let part = written[begin..].trim_end_matches(|c: char| c != '#' && !c.is_alphanumeric());
        part.lines().find_map(before_second_number).unwrap_or(part).to_owned()
    };
    part.truncate(part.find(";isub=").unwrap_or(part.len()));
    Some(part)
}

/// True if `context` is a calling code, with or without more digits, or a domain name.
fn is_phone_context(context: &str) -> bool {
    if let Some(digits) = context.strip_prefix('+') {
        let is_digit = |c: char| c.is_ascii_digit();
        return digits.contains(is_digit) && digits.chars().all(|c| is_digit(c) || "-.()".contains(c));
    }
    let labels = context.strip_suffix('.').unwrap_or(context).split('.');
    let is_label = |label: &str| {
        let is_inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let top = labels.clone().next_back().unwrap_or_default();
    labels.clone().all(is_label) && top.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Returns the text before a second extension: `530 583 6985 x302` of `530 583 6985 x302/x2303`.
fn before_second_number(line: &str) -> Option<&str> {
    let mut slashes = line.rmatch_indices(['/', '\\']);
    let (slash, _) = slashes.find(|(slash, _)| line[slash + 1..].trim_start_matches(' ').starts_with('x'))?;
    Some(&line[..slash])
}

/// True if the text has the form of a number, with or without an extension.
fn is_number(text: &str) -> bool {
    has_number_form(text) || candidates_before_extension(text).any(has_number_form)
}

/// True if the text consists of digits and punctuation, with letters only after the third digit.
fn has_number_form(text: &str) -> bool {
    let mut digits = 0;
    let has_allowed_characters = text.trim_start_matches(PLUS).chars().all(|c| {
        digits += usize::from(c.is_ascii_digit());
        c.is_ascii_digit() || is_punctuation(c) || (c.is_ascii_lowercase() && digits >= 3)
    });
    has_allowed_characters && (digits >= 3 || (digits == 2 && text.len() == 2))
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '-' | '.' | '/' | '~' | '*' | '(' | ')' | '[' | ']' | ' ' | '\u{A0}' | '\u{AD}' | '\u{200B}' | '\u{2060}')
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2053}' | '\u{2212}' | '\u{223C}' | '\u{3000}' | '\u{30FC}')
        || matches!(c, '\u{FF08}' | '\u{FF09}' | '\u{FF0D}'..='\u{FF0F}' | '\u{FF3B}' | '\u{FF3D}')
        // A placeholder for a digit.
        || c == 'x'
}

/// Returns the number before an extension, if there is one.
fn before_extension(text: &str) -> Option<&str> {
    candidates_before_extension(text).next().filter(|number| is_number(number))
}

/// Returns the text before each position at which an extension can begin.
fn candidates_before_extension(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.char_indices().filter(|(end, _)| EXTENSION.matches(&text[*end..]));
    ends.map(|(end, _)| &text[..end])
}

/// Returns the digits to dial. Letters are converted to the digits on their keys (ITU-T E.161) if there are three or more;
/// fewer are treated as typing errors.
fn dialled_digits(text: &str) -> String {
    // The keys of a to z.
    const KEYS: &[u8; 26] = b"22233344455566677778889999";
    let has_words = text.bytes().filter(u8::is_ascii_lowercase).count() >= 3;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(char::from(byte)),
        b'a'..=b'z' if has_words => Some(char::from(KEYS[usize::from(byte - b'a')])),
        _ => None,
    };
    text.bytes().filter_map(digit).collect()
}

impl From<DigitsError> for ParseError {
    fn from(error: DigitsError) -> Self {
        match error {
            DigitsError::UnknownCallingCode => Self::NeedsCountry,
            DigitsError::ImpossibleLength => Self::NotANumber,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeedsCountry => "a number without an international prefix needs a country",
            Self::NotANumber => "not a phone number",
            Self::OtherCountry => "the number does not belong to the country given with it",
        })
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_in(written: &str, country: Option<&str>) -> Result<String, ParseError> {
        let country = country.map(|code| code.as_bytes().try_into().unwrap());
        parse(written, country).map(|number| number.digits())
    }

    #[test]
    fn parses_numbers_as_people_write_them() {
        for (written, country) in [
            ("+44 7700 900001", None),
            ("+44 (0)7700 900001", None),
            ("0044 7700-900001", None),
            ("0044 7700 900001", Some("GB")),
            ("07700 900001", Some("GB")),
            ("  (07700) 900.001 ", Some("GB")),
            ("+447700900001", Some("JE")),
        ] {
            assert_eq!(parse_in(written, country).as_deref(), Ok("447700900001"), "{written}");
        }
        assert_eq!(parse_in("(201) 555-0123", Some("US")).as_deref(), Ok("12015550123"));
    }

    #[test]
    fn a_national_number_needs_its_country() {
        assert_eq!(parse_in("07700 900001", None), Err(ParseError::NeedsCountry));
        assert_eq!(parse_in("hello", None), Err(ParseError::NotANumber));
    }

    #[test]
    fn refuses_text_that_is_not_a_number() {
        for written in
            ["", "+", "hello", "+44", "+999 123 456 789", "+44 7700 900001 ext. 5", "12", "+4477009000011234567"]
        {
            assert!(parse_in(written, Some("GB")).is_err(), "{written}");
        }
    }

    #[test]
    fn refuses_a_number_that_a_second_parse_would_change() {
        for written in ["+8200 13002", "+82 0 013002"] {
            assert_eq!(parse_in(written, None), Err(ParseError::NotANumber), "{written}");
        }
        assert_eq!(parse_in("+39 02 1234 5678", None).as_deref(), Ok("390212345678"), "the zero is part of the number");
    }

    #[test]
    fn refuses_a_number_of_another_country() {
        assert_eq!(parse_in("+33 6 44 63 00 01", Some("GB")), Err(ParseError::OtherCountry));
    }

    #[test]
    fn digits_of_another_script_count_next_to_letters() {
        // The one known difference: libphonenumber ignores them here and reads another number.
        assert_eq!(parse_in("+44 ８００ FLOWERS", None).as_deref(), Ok("448003569377"));
    }

    #[test]
    fn refuses_long_text_and_empty_addresses() {
        let long = format!("+44 7700 900001{}", " ".repeat(MAX_CHARACTERS));
        assert_eq!(parse_in(&long, None).as_deref(), Ok("447700900001"), "surrounding spaces do not count");
        let long = format!("+44{}7700 900001", " ".repeat(MAX_CHARACTERS));
        assert_eq!(parse_in(&long, None), Err(ParseError::NotANumber));
        assert_eq!(parse_in("1;phone-context=+44tel:", None), Err(ParseError::NotANumber));
    }
}
