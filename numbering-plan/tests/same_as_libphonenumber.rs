//! Differential tests: `numbering_plan` and libphonenumber (the crate `rlibphonenumber`) parse and classify the same
//! numbers, and every result is compared. Inputs are the library's examples for all countries and kinds, and random
//! variations of them.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use numbering_plan::{Kind, Number, ParseError, clean, parse};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

/// Starts of written numbers.
const STARTS: &str = "|+|00|0|011|8|810|++|+0|+00|tel:+|Tel: |(|＋|+ (|1";
/// Characters between and after the digits.
const USUAL: &str = " -.()/";
/// Without ";": the parameters of addresses have their own rules here.
const UNUSUAL: &str = "x~*\u{2010}\u{FF0D}\u{A0}\u{200B}[]\u{30FC}+＋,:'\\\n\t#😀\u{301}é";
/// Never combined with words: there the library ignores digits of another script and reads another number.
const FOREIGN_DIGITS: &str = "٤７";
const WORDS: &str = "A|CALL|ext. |;ext=|,,| #|int|доб|ó|extensió|ｘ";

/// The functions of `numbering_plan`, written with the library.
mod library {
    use super::*;

    pub fn parse(written: &str, country: Option<&str>) -> Result<String, ParseError> {
        let cleaned = clean(written);
        let written = with_plus_for_00(cleaned.trim());
        let international = read(&written, country);
        if written == cleaned.trim() {
            return international;
        }
        // "00" can be something else in the country, such as the start of a national number.
        match (read(number_part(&cleaned).trim_start_matches('+').trim(), country), international) {
            (Ok(own), Err(_)) => Ok(own),
            (_, international) => international,
        }
    }

    fn read(written: &str, country: Option<&str>) -> Result<String, ParseError> {
        let region = country.and_then(|country| country.parse::<Region>().ok());
        let number = PHONE_NUMBER_UTIL.parse(written, region).map_err(|error| match error {
            rlibphonenumber::ParseError::InvalidCountryCode if !number_part(written).starts_with('+') => {
                ParseError::NeedsCountry
            }
            _ => ParseError::NotANumber,
        })?;
        if number.extension.is_some() || !PHONE_NUMBER_UTIL.is_possible_number(&number) {
            return Err(ParseError::NotANumber);
        }
        let e164 = number.format_as(PhoneNumberFormat::E164);
        let second = PHONE_NUMBER_UTIL.parse(&e164, None);
        if !second.is_ok_and(|second| second.format_as(PhoneNumberFormat::E164) == e164) {
            return Err(ParseError::NotANumber);
        }
        let calling_code = region.and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region));
        if calling_code.is_some_and(|code| code != number.country_code) {
            return Err(ParseError::OtherCountry);
        }
        Ok(e164.trim_start_matches('+').to_owned())
    }

    fn number_part(written: &str) -> &str {
        written.find(|c: char| c.is_ascii_digit() || c == '+').map_or("", |begin| &written[begin..])
    }

    /// Replaces "00" by "+", however punctuation separates the two zeros from each other and from a "+" before them.
    fn with_plus_for_00(written: &str) -> String {
        let text = number_part(written).trim_start_matches('+');
        let skip = |text: &str| text.trim_start_matches(|c: char| "-./~*()[] xX".contains(c)).to_owned();
        let rest = skip(text).strip_prefix('0').map(skip).and_then(|rest| rest.strip_prefix('0').map(str::to_owned));
        rest.map_or_else(|| written.to_owned(), |rest| format!("+{rest}"))
    }

    pub fn calling_code_and_kind(digits: &str) -> Option<(u16, Kind)> {
        let number = PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok()?;
        Some((number.country_code.try_into().unwrap(), kind(&number)))
    }

    /// Returns the country of a number in a known range.
    pub fn country(digits: &str) -> Option<[u8; 2]> {
        let number = PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok()?;
        let region = number.get_region_code().filter(|_| number.is_valid())?;
        region.to_string().as_bytes().try_into().ok()
    }

    fn kind(number: &rlibphonenumber::PhoneNumber) -> Kind {
        if PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes().any(|code| code == number.country_code) {
            return Kind::International;
        }
        let national = number.national_number.to_string();
        match PHONE_NUMBER_UTIL.get_number_type(number) {
            PhoneNumberType::Unknown if national.len() <= 6 => Kind::Short,
            PhoneNumberType::Unknown => {
                let kinds = (5..national.len()).filter_map(|digits| {
                    let prefix = format!("+{}{}", number.country_code, &national[..digits]);
                    let prefix = PHONE_NUMBER_UTIL.parse(prefix, None).ok()?;
                    Some(kind_of_type(PHONE_NUMBER_UTIL.get_number_type(&prefix)))
                });
                kinds.into_iter().find(|kind| *kind != Kind::Ordinary).unwrap_or(Kind::Ordinary)
            }
            known => kind_of_type(known),
        }
    }

    fn kind_of_type(number_type: PhoneNumberType) -> Kind {
        match number_type {
            PhoneNumberType::PremiumRate => Kind::PremiumRate,
            PhoneNumberType::SharedCost => Kind::SharedCost,
            PhoneNumberType::PersonalNumber => Kind::Personal,
            _ => Kind::Ordinary,
        }
    }
}

#[derive(Default)]
struct Comparison {
    /// Refused only here, because other countries would read another phone.
    unclear: usize,
    accepted: usize,
    refused: usize,
}

impl Comparison {
    fn parse(&mut self, written: &str, country: Option<&str>) {
        let letters = country.map(|code| code.as_bytes().try_into().unwrap());
        let ours = parse(written, letters).map(|number| number.digits());
        if ours == Err(ParseError::Unclear) {
            self.unclear += 1;
            return;
        }
        assert_eq!(ours, library::parse(written, country), "{written:?} {country:?}");
        self.count(ours.is_ok());
    }

    fn classify(&mut self, digits: &str) {
        // Callers have E.164 numbers.
        if digits.starts_with('0') || !(7..=15).contains(&digits.len()) {
            return;
        }
        let number = Number::from_international(digits);
        assert_eq!(number.as_ref().and_then(Number::country), library::country(digits), "{digits}");
        let ours = number.map(|number| (number.calling_code(), number.kind()));
        assert_eq!(ours, library::calling_code_and_kind(digits), "{digits}");
        self.count(ours.is_some_and(|(_, kind)| kind == Kind::Ordinary));
    }

    fn count(&mut self, is_accepted: bool) {
        *(if is_accepted { &mut self.accepted } else { &mut self.refused }) += 1;
    }

    fn assert_more_than(&self, accepted: usize, refused: usize) {
        assert!(self.accepted > accepted && self.refused > refused, "{} {}", self.accepted, self.refused);
        assert!(self.unclear < (accepted + refused) / 20, "{} unclear", self.unclear);
    }
}

fn regions() -> Vec<Region> {
    let mut regions: Vec<Region> = PHONE_NUMBER_UTIL.get_supported_regions().collect();
    regions.sort_unstable();
    regions
}

/// Returns numbers of all types and calling codes, each with a country of its calling code.
fn examples() -> Vec<(rlibphonenumber::PhoneNumber, Option<Region>)> {
    use PhoneNumberType::{
        FixedLine, Mobile, Pager, PersonalNumber, PremiumRate, SharedCost, TollFree, UAN, VoIP, VoiceMail,
    };
    let kinds = [FixedLine, Mobile, TollFree, PremiumRate, SharedCost, VoIP, PersonalNumber, Pager, UAN, VoiceMail];
    let of_region = |region: Region| {
        let valid = kinds.map(|kind| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind));
        let all = valid.into_iter().chain([PHONE_NUMBER_UTIL.get_invalid_example_number(region)]);
        all.flatten().map(move |number| (number, Some(region)))
    };
    let networks = PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes();
    let of_networks = networks.flat_map(|code| PHONE_NUMBER_UTIL.get_example_number_for_non_geo_entity(code));
    regions().into_iter().flat_map(of_region).chain(of_networks.map(|number| (number, None))).collect()
}

fn e164_digits(number: &rlibphonenumber::PhoneNumber) -> String {
    number.format_as(PhoneNumberFormat::E164)[1..].to_owned()
}

/// Changes, adds and removes a few digits.
fn misdial(digits: &str, rng: &mut fastrand::Rng) -> String {
    let mut digits: Vec<char> = digits.chars().collect();
    for _ in 0..rng.usize(1..4) {
        let index = rng.usize(0..digits.len());
        let digit = rng.digit(10);
        match rng.u8(0..4) {
            0 => digits[index] = digit,
            1 => digits.insert(index, digit),
            2 => digits.push(digit),
            _ if digits.len() > 3 => drop(digits.remove(index)),
            _ => {}
        }
    }
    digits.into_iter().collect()
}

/// Adds a prefix, punctuation and noise to the digits.
fn write(digits: &str, rng: &mut fastrand::Rng) -> String {
    let (more, words) = [("", ""), ("", ""), (FOREIGN_DIGITS, ""), ("", WORDS)][rng.usize(0..4)];
    let mut between: Vec<String> = USUAL.chars().chain(more.chars()).map(String::from).collect();
    if !more.is_empty() || !words.is_empty() {
        between.extend(UNUSUAL.chars().map(String::from).chain(words.split('|').map(String::from)));
    }
    let starts: Vec<&str> = STARTS.split('|').collect();
    let mut written = rng.choice(starts).unwrap().to_owned();
    for digit in digits.chars() {
        written.push(digit);
        if rng.u8(0..4) == 0 {
            written += rng.choice(&between).unwrap();
        }
    }
    for _ in 0..rng.usize(0..3) {
        written += rng.choice(&between).unwrap();
    }
    if rng.u8(0..8) == 0 {
        written += &rng.u16(..).to_string();
    }
    written
}

#[test]
fn examples_of_every_country_give_equal_results() {
    let mut comparison = Comparison::default();
    for (number, region) in examples() {
        let country = region.map(|region| region.to_string());
        for format in [PhoneNumberFormat::International, PhoneNumberFormat::National, PhoneNumberFormat::RFC3966] {
            let written = number.format_as(format).into_owned();
            comparison.parse(&written, country.as_deref());
        }
        comparison.parse(&number.format_as(PhoneNumberFormat::E164), None);
        comparison.classify(&e164_digits(&number));
    }
    comparison.assert_more_than(4000, 1000);
}

#[test]
fn randomly_written_numbers_give_equal_results() {
    let mut rng = fastrand::Rng::with_seed(1);
    let regions = regions();
    let mut comparison = Comparison::default();
    for (number, region) in examples() {
        let digits = match rng.u8(0..3) {
            0 => e164_digits(&number),
            1 => e164_digits(&number)[number.country_code.to_string().len()..].to_owned(),
            _ => misdial(&e164_digits(&number), &mut rng),
        };
        let country = match rng.u8(0..4) {
            0 => None,
            // Countries without phones, and countries whose plans have special rules.
            1 => rng.choice(["AQ", "ZZ", "GB", "US", "IT", "JE"]).map(str::to_owned),
            2 => rng.choice(&regions).map(Region::to_string),
            _ => region.map(|region| region.to_string()),
        };
        comparison.parse(&write(&digits, &mut rng), country.as_deref());
    }
    comparison.assert_more_than(150, 500);
}

#[test]
fn random_digits_give_equal_kinds() {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut comparison = Comparison::default();
    for (number, _) in examples() {
        comparison.classify(&misdial(&e164_digits(&number), &mut rng));
    }
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        for length in 5..12 {
            let national: String = (0..length).map(|_| rng.digit(10)).collect();
            comparison.classify(&format!("{code}{national}"));
        }
    }
    comparison.assert_more_than(1000, 500);
}

#[test]
fn addresses_and_extensions_give_equal_results() {
    let mut comparison = Comparison::default();
    for written in [
        "tel:7700900001;phone-context=+44",
        "7700900001;phone-context=+44;isub=1",
        "tel:07700-900001;phone-context=-example.com",
        "tel:07700-900001;phone-context=example.1com",
        "tel:07700-900001;phone-context=",
        "tel:07700-900001;phone-context=+",
        "tel:07700-900001;phone-context=+(4)4",
        "tel:07700-900001;phone-context=+44a",
        "tel:+44-7700-900001;ext=12",
        "tel:+44-7700-900001;isub=12",
        "07700 900001 ext. 12",
        "07700 900001 EXTENSION: 12#",
        "07700 900001 extensió 12",
        "07700 900001 ｅｘｔｎ 12",
        "07700 900001 ДОБ 12",
        "07700 900001 anexo 12",
        "07700 900001 x12",
        "07700 900001 x1234567890",
        "07700 900001 int 12",
        "07700 900001 - 503#",
        "07700 900001,,12#",
        "07700 900001,12",
        "07700 900001 x12/x13",
        "07700 900001\\ x13",
        "07700 90 ext",
        "0800 FLOWERS",
        "0800 FL0W3R",
        "+44 800 flowers",
        "１２ext. 5",
        "12x5",
        "٠٧٧٠٠ ٩٠٠٠٠١",
        "Call me: 07700 900001!",
        "07700\n900001",
        "1234 x1\n07700 900001/x",
    ] {
        comparison.parse(written, Some("GB"));
        comparison.parse(written, None);
    }
    comparison.assert_more_than(10, 10);
}
