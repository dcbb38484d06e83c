//! Numbers as people write them, read into E.164.
//!
//! What counts as written is libphonenumber's to say: letters of a keypad, digits of any script, `tel:` addresses. Source:
//! its `phonenumberutil.cc`, whose regular expressions are kept where they can be.

use std::borrow::Cow;

use crate::domain::country::Country;
use crate::domain::phone::plan::{Number, ParseError, Pattern, Plan, decimal_digit};
use crate::domain::phone::{PhoneNumber, RealNumber};

/// Why a written number cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableNumber {
    /// It has a national form, and nothing says of which country.
    #[error("a number without an international prefix needs a country")]
    NeedsCountry,
    /// It is not a phone number of any country.
    #[error("not a phone number")]
    NotANumber,
    /// It is international, and of another calling code than the country that came with it.
    #[error("the number does not belong to the country given with it")]
    OtherCountry,
}

impl From<ParseError> for UnreadableNumber {
    fn from(reason: ParseError) -> Self {
        match reason {
            ParseError::UnknownCallingCode => Self::NeedsCountry,
            ParseError::ImpossibleLength => Self::NotANumber,
        }
    }
}

/// More characters are not read, as in libphonenumber.
const MOST_CHARACTERS: usize = 250;

/// Each of them begins an international number.
const PLUS: [char; 2] = ['+', '\u{FF0B}'];

/// The number of a phone behind a switchboard, where it follows the switchboard's own.
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

/// Reads `+44 7700 900001`, `0044 7700 900001` or, with its country, `07700 900001`.
///
/// Says only what number is meant and that it is possible; whether it is a valid one is the carrier lookup's to say,
/// because libphonenumber refuses numbers reserved for examples that a carrier accepts.
pub fn read(written: &str, country: Option<Country>) -> Result<PhoneNumber, UnreadableNumber> {
    let written = written.trim();
    // "00" is the prefix that the ITU recommends, and no national number begins with it.
    let written = match written.strip_prefix("00") {
        Some(rest) => Cow::Owned(format!("+{rest}")),
        None => Cow::Borrowed(written),
    };
    let home = country.and_then(Plan::of);
    let number = number(&written, home.as_ref()).map_err(|error| match error {
        UnreadableNumber::NeedsCountry if written.starts_with('+') => UnreadableNumber::NotANumber,
        error => error,
    })?;
    if home.is_some_and(|home| home.calling_code != number.calling_code()) {
        return Err(UnreadableNumber::OtherCountry);
    }
    let digits = number.digits();
    // A zero too many can be left at its beginning: read again, it would be dropped, and another phone would ring.
    if Number::international(&digits).as_ref() != Ok(&number) {
        return Err(UnreadableNumber::NotANumber);
    }
    PhoneNumber::try_from(digits).map_err(|_| UnreadableNumber::NotANumber)
}

/// The calling code of an international number, such as `44`.
pub fn calling_code(number: &RealNumber) -> String {
    let read = Number::international(number.expose());
    // A number that has none we know of shares it with nobody.
    read.map_or_else(|_| number.expose().to_owned(), |number| number.calling_code().to_string())
}

/// The number that was written by somebody at `home`. That it has no calling code is said as [`NeedsCountry`], also if it is
/// international.
///
/// [`NeedsCountry`]: UnreadableNumber::NeedsCountry
fn number(written: &str, home: Option<&Plan>) -> Result<Number, UnreadableNumber> {
    if written.chars().nth(MOST_CHARACTERS).is_some() {
        return Err(UnreadableNumber::NotANumber);
    }
    let written: String = written.chars().map(|c| decimal_digit(c).unwrap_or(c)).collect();
    let text = number_part(&written).ok_or(UnreadableNumber::NotANumber)?.to_ascii_lowercase();
    if !is_number(&text) {
        return Err(UnreadableNumber::NotANumber);
    }
    let is_international = text.starts_with(PLUS);
    if home.is_none() && !is_international {
        return Err(UnreadableNumber::NeedsCountry);
    }
    let without_extension = before_extension(&text);
    let digits = dialled_digits(without_extension.unwrap_or(&text));
    let number = match (is_international.then(|| Number::international(&digits)), home) {
        // Somebody wrote a "+" before the prefix of international calls, or before a number without a calling code.
        (Some(Err(ParseError::UnknownCallingCode)), Some(home)) => {
            Number::with_calling_code(home, &digits).unwrap_or(Err(ParseError::UnknownCallingCode))
        }
        (Some(read), _) => read,
        (None, Some(home)) => Number::dialled(home, &digits),
        (None, None) => Err(ParseError::UnknownCallingCode),
    }?;
    if without_extension.is_some() || !number.is_possible() {
        return Err(UnreadableNumber::NotANumber);
    }
    Ok(number)
}

/// The part of what was written that can be a number: without what comes before it, a second number, or the parameters of
/// a `tel:` address (RFC 3966), whose context can hold the calling code.
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

/// Whether it is a calling code and perhaps more digits, or a domain name.
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

/// What stands before the other extension in `530 583 6985 x302/x2303`.
fn before_second_number(line: &str) -> Option<&str> {
    let mut slashes = line.rmatch_indices(['/', '\\']);
    let (slash, _) = slashes.find(|(slash, _)| line[slash + 1..].trim_start_matches(' ').starts_with('x'))?;
    Some(&line[..slash])
}

/// Whether it looks like a number, with an extension or without.
fn is_number(text: &str) -> bool {
    is_number_alone(text) || beginnings_before_extension(text).any(is_number_alone)
}

/// Whether there are digits and what is written between them, and letters only behind the first digits.
fn is_number_alone(text: &str) -> bool {
    let mut digits = 0;
    let looks_like_it = text.trim_start_matches(PLUS).chars().all(|c| {
        digits += usize::from(c.is_ascii_digit());
        c.is_ascii_digit() || is_punctuation(c) || (c.is_ascii_lowercase() && digits >= 3)
    });
    looks_like_it && (digits >= 3 || (digits == 2 && text.len() == 2))
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '-' | '.' | '/' | '~' | '*' | '(' | ')' | '[' | ']' | ' ' | '\u{A0}' | '\u{AD}' | '\u{200B}' | '\u{2060}')
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2053}' | '\u{2212}' | '\u{223C}' | '\u{3000}' | '\u{30FC}')
        || matches!(c, '\u{FF08}' | '\u{FF09}' | '\u{FF0D}'..='\u{FF0F}' | '\u{FF3B}' | '\u{FF3D}')
        // For a digit that is not told.
        || c == 'x'
}

/// The number before an extension, if it has one.
fn before_extension(text: &str) -> Option<&str> {
    beginnings_before_extension(text).next().filter(|beginning| is_number(beginning))
}

fn beginnings_before_extension(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.char_indices().filter(|(end, _)| EXTENSION.is_all_of(&text[*end..]));
    ends.map(|(end, _)| &text[..end])
}

/// The digits that are dialled; letters stand for those on their keys, if there are three or more and so no typing errors.
fn dialled_digits(text: &str) -> String {
    // The keys of a to z, as ITU-T E.161 has them.
    const KEYS: &[u8; 26] = b"22233344455566677778889999";
    let has_words = text.bytes().filter(u8::is_ascii_lowercase).count() >= 3;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(char::from(byte)),
        b'a'..=b'z' if has_words => Some(char::from(KEYS[usize::from(byte - b'a')])),
        _ => None,
    };
    text.bytes().filter_map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(written: &str, country: Option<&str>) -> Result<String, UnreadableNumber> {
        read(written, country.map(|code| Country::try_from(code).unwrap())).map(|number| number.expose().to_owned())
    }

    #[test]
    fn reads_numbers_as_people_write_them() {
        for (written, country) in [
            ("+44 7700 900001", None),
            ("+44 (0)7700 900001", None),
            ("0044 7700-900001", None),
            ("0044 7700 900001", Some("GB")),
            ("07700 900001", Some("GB")),
            ("  (07700) 900.001 ", Some("GB")),
            ("+447700900001", Some("JE")),
        ] {
            assert_eq!(read_in(written, country).as_deref(), Ok("447700900001"), "{written}");
        }
        assert_eq!(read_in("(201) 555-0123", Some("US")).as_deref(), Ok("12015550123"));
    }

    #[test]
    fn a_national_number_needs_its_country() {
        assert_eq!(read_in("07700 900001", None), Err(UnreadableNumber::NeedsCountry));
        assert_eq!(read_in("hello", None), Err(UnreadableNumber::NotANumber));
    }

    #[test]
    fn refuses_what_is_not_a_number() {
        for written in
            ["", "+", "hello", "+44", "+999 123 456 789", "+44 7700 900001 ext. 5", "12", "+4477009000011234567"]
        {
            assert!(read_in(written, Some("GB")).is_err(), "{written}");
        }
    }

    #[test]
    fn refuses_a_number_that_would_be_read_as_another_one_the_next_time() {
        for written in ["+8200 13002", "+82 0 013002"] {
            assert_eq!(read_in(written, None), Err(UnreadableNumber::NotANumber), "{written}");
        }
        assert_eq!(read_in("+39 02 1234 5678", None).as_deref(), Ok("390212345678"), "a zero that belongs to it");
    }

    #[test]
    fn a_calling_code_is_told_from_the_number() {
        for (number, code) in
            [("447700900001", "44"), ("12015550123", "1"), ("353861000001", "353"), ("9991234567", "9991234567")]
        {
            assert_eq!(calling_code(&PhoneNumber::try_from(number).unwrap().into()), code);
        }
    }

    #[test]
    fn refuses_a_number_of_another_country_than_the_one_given() {
        assert_eq!(read_in("+33 6 44 63 00 01", Some("GB")), Err(UnreadableNumber::OtherCountry));
    }

    #[test]
    fn no_digit_is_passed_over() {
        // Of digits in another script than the letters around them, libphonenumber takes no notice.
        assert_eq!(read_in("+44 ８００ FLOWERS", None).as_deref(), Ok("448003569377"));
    }

    #[test]
    fn refuses_what_no_one_writes() {
        let long = format!("+44 7700 900001{}", " ".repeat(MOST_CHARACTERS));
        assert_eq!(read_in(&long, None).as_deref(), Ok("447700900001"), "what is around it does not count");
        let long = format!("+44{}7700 900001", " ".repeat(MOST_CHARACTERS));
        assert_eq!(read_in(&long, None), Err(UnreadableNumber::NotANumber));
        assert_eq!(read_in("1;phone-context=+44tel:", None), Err(UnreadableNumber::NotANumber));
    }
}
