//! Numbers as people write them: with punctuation, the letters of a keypad, digits of any script, as `tel:` addresses.
//!
//! Source: `phonenumberutil.cc` of libphonenumber. Its regular expressions are kept where possible.

use std::fmt;

use crate::address::Address;
use crate::clean::clean;
use crate::number::{DigitsError, Number};
use crate::pattern::Pattern;
use crate::plan::Plan;

/// The reason why a written number was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// It has a national form, and no country was given.
    NeedsCountry,
    /// It is not a phone number of any country.
    NotANumber,
    /// It is international, and its calling code is not that of the given country.
    OtherCountry,
    /// By the dialling habits of another country it is another phone, or some of its letters mean nothing.
    Unclear,
}

/// Longer text is refused, as in libphonenumber.
const MAX_CHARACTERS: usize = 250;

/// The fewest digits of a national number that is searched for another country's international prefix, which takes time.
const MIN_DIGITS_WITH_PREFIX: usize = 12;

/// The fewest letters of a word that stands for digits.
const WORD: usize = 3;

/// An extension: the number of a phone behind a switchboard.
const EXTENSION: Pattern<'_> = Pattern(concat!(
    "[ ,]*",
    "(?:e?xt(?:ensi(?:[o\u{D3}]\u{301}?|[\u{F3}\u{D3}]))?n?|[дД][оО][бБ]|anexo)",
    "[:.]?[ ,-]*\\d{1,20}#?",
    "|[ ,]*(?:[x#~]|int)[:.]?[ ,-]*\\d{1,9}#?",
    r"|[- ]+\d{1,6}#",
    "|[ ]*(?:,,|;)[:.]?[ ,-]*\\d{1,15}#?",
    "|[ ]*,(?:,*[:.])?[ ,-]*\\d{1,9}#?",
));

/// Parses a number in international form, or in the national form of `country` (ISO 3166-1 alpha-2, in capitals):
/// `+44 7700 900001`, `0044 7700 900001`, or `07700 900001` with `GB`.
///
/// The number is possible: its length fits its country. It need not be valid; libphonenumber calls numbers that are
/// reserved for examples invalid, and carriers accept them. A country without a numbering plan counts as none.
pub fn parse(written: &str, country: Option<[u8; 2]>) -> Result<Number, ParseError> {
    let text = Text::of(written)?;
    let country = country.and_then(Plan::of_country);
    let number = text.read(text.local_to.or(country).as_ref())?;
    if country.is_some_and(|country| country.calling_code != number.calling_code()) {
        return Err(ParseError::OtherCountry);
    }
    Ok(number)
}

/// A written number without its address and its punctuation.
struct Text {
    /// True if a "+" precedes the digits.
    has_plus: bool,
    /// The digits as dialled, without "+".
    digits: String,
    /// Number of digits before the first punctuation.
    first_group: usize,
    /// Number of letters, `x` included.
    letters: usize,
    /// True if the last digits are an extension: they do not belong to the number of a phone.
    has_extension: bool,
    /// The plan in which an address says that the number is local.
    local_to: Option<Plan>,
}

impl Text {
    fn of(written: &str) -> Result<Self, ParseError> {
        let cleaned = clean(written);
        let cleaned = cleaned.trim();
        if cleaned.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(ParseError::NotANumber);
        }
        let Address { number, context } = Address::of(cleaned)?;
        let text = number_part(number).ok_or(ParseError::NotANumber)?.to_ascii_lowercase();
        if !is_number(&text) {
            return Err(ParseError::NotANumber);
        }
        let has_extension = before_extension(&text).is_some();
        let digits = dialled_digits(&text);
        // A "+" before "00" says no more than "00": no calling code begins with 0.
        let has_plus = text.starts_with('+') && !digits.starts_with("00");
        let local_to = match context {
            Some(context) => context.of_local_number(has_plus, &digits)?,
            None => None,
        };
        let first = text.trim_start_matches(|c: char| !c.is_ascii_digit());
        let first_group = first.find(|c: char| !c.is_ascii_digit()).unwrap_or(first.len());
        let letters = text.bytes().filter(u8::is_ascii_lowercase).count();
        Ok(Self { has_plus, digits, first_group, letters, has_extension, local_to })
    }

    /// Reads the digits as dialled in the country of `home`. Refuses what other countries would read as another phone,
    /// unless the country or a "+" settles it.
    fn read(&self, home: Option<&Plan>) -> Result<Number, ParseError> {
        let zeros = self.digits.strip_prefix("00");
        if zeros.is_none() && !self.has_plus && home.is_none() {
            return Err(ParseError::NeedsCountry);
        }
        if self.has_extension {
            return Err(ParseError::NotANumber);
        }
        let by_habit = home.filter(|_| !self.has_plus).map(|home| possible(Number::read_dialled(home, &self.digits)));
        let number = match (zeros, home, &by_habit) {
            (Some(rest), _, _) => settle(home, by_habit.clone(), possible(Number::read_international(rest)))?,
            (None, _, Some(number)) => number.clone()?,
            (None, _, None) => self.read_after_plus(home)?,
        };
        let is_by_habit = by_habit == Some(Ok(number.clone()));
        let is_settled = number.is_valid()
            && match home {
                _ if self.has_plus => !self.drops_digits(&number) && !self.divides_calling_code(&number),
                // As dialled at home. Only a number of the same country, with another country's prefix, can be meant.
                Some(home) if is_by_habit => !self.others_read_another(&number, Some(home), Some(home.calling_code)),
                _ => false,
            };
        if !is_settled && self.others_read_another(&number, home, None) {
            return Err(ParseError::Unclear);
        }
        // Fewer letters are not a word on a keypad, but typing errors or missing digits.
        if (1..WORD).contains(&self.letters) {
            return Err(ParseError::Unclear);
        }
        if self.has_plus && self.has_trunk_prefix_of_another(&number) { Err(ParseError::Unclear) } else { Ok(number) }
    }

    fn read_after_plus(&self, home: Option<&Plan>) -> Result<Number, ParseError> {
        let unknown = Err(DigitsError::UnknownCallingCode);
        possible(match (Number::read_international(&self.digits), home) {
            // A "+" before the prefix of international calls, or before a number without a calling code.
            (Err(DigitsError::UnknownCallingCode), Some(home)) => {
                Number::read_with_calling_code(home, &self.digits).unwrap_or(unknown)
            }
            (number, _) => number,
        })
    }

    /// True if the digits are another, valid number where another international prefix is dialled: `0011` or `810`. Without
    /// a country also if they are a valid national number somewhere. A prefix of one digit does not count: Samoa dials 0,
    /// which is a trunk prefix everywhere else. With a `code`, only numbers with that calling code count.
    fn others_read_another(&self, number: &Number, home: Option<&Plan>, code: Option<u16>) -> bool {
        // Prefix, calling code and number are longer than almost every national number.
        if code.is_some() && self.digits.len() < MIN_DIGITS_WITH_PREFIX {
            return false;
        }
        Plan::all().any(|plan| {
            let read = match plan.strip_international_prefix(&self.digits) {
                Some(rest) if rest.len() + 1 == self.digits.len() => return false,
                Some(international) => Number::read_international(international),
                None => return home.is_none() && !self.has_plus && plan.has_national_number(&self.digits),
            };
            read.is_ok_and(|other| {
                other != *number && code.is_none_or(|code| code == other.calling_code()) && other.is_valid()
            })
        })
    }

    /// True if digits such as a trunk prefix do not belong to the number.
    fn drops_digits(&self, number: &Number) -> bool {
        number.digits() != self.digits
    }

    /// True if there is punctuation within the calling code.
    fn divides_calling_code(&self, number: &Number) -> bool {
        let code = number.calling_code().to_string();
        self.digits.starts_with(&code) && self.first_group < code.len()
    }

    /// True if the first digits are the trunk prefix of another country, and a national number of that follows:
    /// `+8 (495) 123-45-67` is written in Moscow, and `+84 95 123 45 67` in Hanoi.
    fn has_trunk_prefix_of_another(&self, number: &Number) -> bool {
        self.divides_calling_code(number)
            && Plan::all().any(|plan| {
                let rest = plan.strip_national_prefix(&self.digits);
                rest.len() < self.digits.len() && plan.is_national_number(&rest)
            })
    }
}

/// Returns the reading of digits after "00": as the international prefix of the ITU, or by the habits of `home`, where they
/// can be another prefix or a national number. Only a number of that country settles a difference.
fn settle(
    home: Option<&Plan>,
    by_habit: Option<Result<Number, ParseError>>,
    by_itu: Result<Number, ParseError>,
) -> Result<Number, ParseError> {
    let is_home = |number: &Number| home.is_some_and(|home| home.calling_code == number.calling_code());
    match (by_habit, by_itu) {
        (Some(Ok(habit)), Ok(itu)) if habit != itu => match (is_home(&habit), is_home(&itu)) {
            (true, false) => Ok(habit),
            (false, true) => Ok(itu),
            _ => Err(ParseError::Unclear),
        },
        (Some(Ok(habit)), _) => Ok(habit),
        (_, itu) => itu,
    }
}

/// Refuses a number of an impossible length, and one that a second parse would change: a surplus zero can stay at the
/// start of a national number, and the next parser would drop it and get another number.
fn possible(number: Result<Number, DigitsError>) -> Result<Number, ParseError> {
    let number = number.map_err(|_| ParseError::NotANumber)?.without_mexican_one();
    let is_stable = Number::from_international(&number.digits()).as_ref() == Some(&number);
    if number.is_possible() && is_stable { Ok(number) } else { Err(ParseError::NotANumber) }
}

/// Extracts the part that can be a number: without the text before it, and without a second number.
fn number_part(written: &str) -> Option<String> {
    let begin = written.find(|c: char| c.is_ascii_digit() || c == '+')?;
    let part = written[begin..].trim_end_matches(|c: char| c != '#' && !c.is_alphanumeric());
    Some(part.lines().find_map(before_second_number).unwrap_or(part).to_owned())
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
    let has_allowed_characters = text.trim_start_matches('+').chars().all(|c| {
        digits += usize::from(c.is_ascii_digit());
        c.is_ascii_digit() || is_punctuation(c) || (c.is_ascii_lowercase() && digits >= 3)
    });
    has_allowed_characters && (digits >= 3 || (digits == 2 && text.len() == 2))
}

/// True for the punctuation of cleaned text, and for `x`, which is a placeholder for a digit.
fn is_punctuation(c: char) -> bool {
    matches!(c, '-' | '.' | '/' | '~' | '*' | '(' | ')' | '[' | ']' | ' ' | 'x')
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

/// Returns the digits to dial. Letters are converted to the digits on their keys (ITU-T E.161) if they can be a word.
fn dialled_digits(text: &str) -> String {
    // The keys of a to z.
    const KEYS: &[u8; 26] = b"22233344455566677778889999";
    let has_words = text.bytes().filter(u8::is_ascii_lowercase).count() >= WORD;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(char::from(byte)),
        b'a'..=b'z' if has_words => Some(char::from(KEYS[usize::from(byte - b'a')])),
        _ => None,
    };
    text.bytes().filter_map(digit).collect()
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeedsCountry => "a number without an international prefix needs a country",
            Self::NotANumber => "not a phone number",
            Self::OtherCountry => "the number does not belong to the country given with it",
            Self::Unclear => "the number can be read as another phone; write it with + and the calling code",
        })
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

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
    fn both_international_prefixes_are_equal_in_any_dress() {
        for dress in [
            "{}44 7700 900001",
            "\u{200E}{}44 7700 900001\u{200E}",
            "\u{202D}{}\u{202C}44\u{A0}7700\u{2009}900001",
            "\u{FEFF} {} 44 \u{2066}7700-900001\u{2069}",
            "({}44) 7700 900 001",
            "[{}44] 7700/900.001",
            "({}) (44) (0)7700 900001",
            "tel:{}44-7700-900001",
            "Tel.:\u{3000}{}44 7700 900001",
            "{}44·7700・900001",
            "<{}44 7700 900001>",
            "{}４４ ７７００ ９０００\u{AD}０１",
            "{}\u{200B}٤٤٧٧٠٠٩٠٠٠٠١",
            "{}44\u{FE0F}\u{20E3} 7700 900001",
            "tel:{}44-7700-900001;isub=12;cpc=ordinary",
        ] {
            for prefix in ["+", "00", "0-0", "(0)0", "＋", "００", "0\u{200B}0\u{200F}", "٠٠", "+00", "\u{FE62}", "++"]
            {
                let written = dress.replace("{}", prefix);
                for country in [None, Some("GB")] {
                    assert_eq!(parse_in(&written, country).as_deref(), Ok("447700900001"), "{written} {country:?}");
                }
            }
        }
    }

    #[test]
    fn national_form_is_read_in_any_dress() {
        for written in [
            "\u{202A}０７７００　９００００１\u{202C}",
            "0\u{2060}7700\u{2011}900001",
            "٠٧٧٠٠٩٠٠٠٠١",
            "（07700）900001",
        ] {
            assert_eq!(parse_in(written, Some("GB")).as_deref(), Ok("447700900001"), "{written}");
            assert_eq!(parse_in(written, None), Err(ParseError::NeedsCountry), "{written}");
        }
    }

    #[test]
    fn local_number_of_an_address_needs_a_calling_code_as_context() {
        for written in [
            "tel:07700-900001;phone-context=+44",
            "tel:7700900001;phone-context=+44",
            "tel:07700 900001;user=phone;phone-context=+4-4",
            "tel:+44-7700-900001;phone-context=example.com",
            "tel:+44-7700-900001;phone-context=+44",
        ] {
            assert_eq!(parse_in(written, None).as_deref(), Ok("447700900001"), "{written}");
            assert_eq!(parse_in(written, Some("FR")), Err(ParseError::OtherCountry), "{written}");
        }
        for written in [
            // The digits of a private network, and of an area.
            "tel:07700-900001;phone-context=example.com",
            "tel:555-0123;phone-context=+1-914",
            "tel:7042;phone-context=+1-914-555",
            "tel:07700-900001;phone-context=+999",
            "tel:+44-7700-900001;phone-context=+1",
            "tel:07700-900001;phone-context=",
            // An extension, digits to send after the answer, and parameters that we must not ignore.
            "tel:+44-7700-900001;ext=12",
            "tel:+44-7700-900001;postd=12",
            "tel:+44-7700-900001;m-code=1",
            "tel:+44-7700-900001;x12",
        ] {
            assert_eq!(parse_in(written, Some("GB")), Err(ParseError::NotANumber), "{written}");
        }
    }

    /// Returns examples of mobile and other numbers of each country, in E.164 without "+".
    fn examples() -> Vec<(String, [u8; 2])> {
        let of_region = |region: Region| {
            let country = region.to_string().as_bytes().try_into().unwrap();
            let kinds = [PhoneNumberType::Mobile, PhoneNumberType::FixedLine];
            let numbers = kinds.map(|kind| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind));
            numbers
                .into_iter()
                .flatten()
                .map(move |number| (number.format_as(PhoneNumberFormat::E164)[1..].to_owned(), country))
        };
        let mut examples: Vec<_> = PHONE_NUMBER_UTIL.get_supported_regions().flat_map(of_region).collect();
        examples.sort_unstable();
        examples
    }

    #[test]
    fn prefix_of_any_country_gives_that_number_or_a_refusal() {
        let prefixes = crate::plan::international_prefixes();
        for prefix in ["00", "011", "0011", "010", "810", "001"] {
            assert!(prefixes.contains(prefix), "{prefix} {prefixes:?}");
        }
        // Each number with the usual prefixes and with a few of the others, most of which are those of Chilean carriers.
        let usual = ["00", "011", "0011", "010", "810", "001", "119", "99"].map(str::to_owned);
        let others: Vec<String> = prefixes.difference(&BTreeSet::from(usual.clone())).cloned().collect();
        let (mut read, mut wrong) = (0, Vec::new());
        for (nth, (digits, country)) in examples().into_iter().enumerate() {
            let others = others.iter().cycle().skip(nth).step_by(others.len() / 3).take(3);
            for prefix in usual.iter().chain(others) {
                for (written, country) in [
                    (format!("{prefix}{digits}"), None),
                    (format!("+{prefix} {digits}"), None),
                    (format!("{prefix} {digits}"), Some(country)),
                ] {
                    match parse(&written, country) {
                        Ok(number) if number.digits() == digits => read += 1,
                        Ok(number) => wrong.push((written, country, number.digits())),
                        Err(_) => {}
                    }
                }
            }
        }
        assert!(read > 500, "{read}");
        assert!(wrong.is_empty(), "{} of {read}: {wrong:?}", wrong.len());
    }

    #[test]
    fn habits_of_another_country_make_a_number_unclear() {
        for (written, country) in [
            // Australia: +354 555 1234, and not +1 1 354 555 1234.
            ("0011 354 555 1234", None),
            ("0011 354 555 1234", Some("US")),
            // Russia: +44 7911 123456 with its international prefix, and a number of Moscow with its trunk prefix.
            ("+810 44 7911 123456", None),
            ("+8 (495) 123-45-67", None),
            ("+8 495 1234567", None),
            // Typing errors.
            ("+44 7911 12345O", None),
            ("07911 12345x", Some("GB")),
        ] {
            assert_eq!(parse_in(written, country), Err(ParseError::Unclear), "{written} {country:?}");
        }
        for (written, country, digits) in [
            ("+84 95 123 45 67", None, "84951234567"),
            ("8 (495) 123-45-67", Some("RU"), "74951234567"),
            ("+81 (0)3-1234-5678", None, "81312345678"),
            ("0011 61 491 570 006", Some("AU"), "61491570006"),
            ("011 1 212 555 0123", Some("US"), "12125550123"),
            ("810 7 495 123 45 67", Some("RU"), "74951234567"),
        ] {
            assert_eq!(parse_in(written, country).as_deref(), Ok(digits), "{written} {country:?}");
        }
    }

    #[test]
    fn forms_of_many_countries_are_read() {
        for (written, country, digits) in [
            ("+1 (212) 555-0123", None, "12125550123"),
            ("+7 916 123-45-67", None, "79161234567"),
            ("07797 712345", Some("JE"), "447797712345"),
            ("+44 7797 712345", Some("GB"), "447797712345"),
            ("+39 06 1234 5678", None, "390612345678"),
            ("06 1234 5678", Some("IT"), "390612345678"),
            ("+39 347 123 4567", None, "393471234567"),
            ("+225 07 12 34 56 78", None, "2250712345678"),
            ("07 12 34 56 78", Some("CI"), "2250712345678"),
            ("+229 01 95 12 34 56", None, "2290195123456"),
            ("01 95 12 34 56", Some("BJ"), "2290195123456"),
            ("+44 (0)7911 123456", None, "447911123456"),
            ("+٤٤٧٩١١١٢٣٤٥٦", None, "447911123456"),
            ("+52 1 55 1234 5678", None, "525512345678"),
            ("+54 9 11 2345 6789", None, "5491123456789"),
            ("+۴۴ ۷۹۱۱ ۱۲۳۴۵۶", None, "447911123456"),
        ] {
            assert_eq!(parse_in(written, country).as_deref(), Ok(digits), "{written} {country:?}");
        }
    }

    #[test]
    fn lines_are_not_joined_to_a_number() {
        for written in ["07700\n900001", "07700\u{2028}900001", "07700 900001\r\n07700 900002"] {
            assert_eq!(parse_in(written, Some("GB")), Err(ParseError::NotANumber), "{written}");
        }
    }

    #[test]
    fn digits_of_another_script_count_next_to_letters() {
        // libphonenumber ignores them here and reads another number.
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
