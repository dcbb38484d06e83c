//! Numbers are read and judged as by libphonenumber, of whose functions these tests are made a second time: examples of all
//! kinds from all countries, and what chance makes of them.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

use super::decimal_digit;
use crate::domain::country::Country;
use crate::domain::phone::PhoneNumber;
use crate::domain::phone::dial_policy::{NotCallable, check_kind};
use crate::domain::phone::parse::{UnreadableNumber, calling_code, read};

/// What people put before a number.
const BEGINNINGS: &str = "|+|00|0|011|8|810|++|+0|+00|tel:+|Tel: |(|＋|+ (|1";
/// What they put between its digits and behind them.
const USUAL: &str = " -.()/";
const UNUSUAL: &str = "x~*\u{2010}\u{FF0D}\u{A0}\u{200B}[]\u{30FC}+＋,;:'\\\n\t#😀\u{301}é";
/// Not together with words: of digits of another script the library takes no notice there, and reads another number than
/// was written.
const FOREIGN_DIGITS: &str = "٤７";
const WORDS: &str = "A|CALL|ext. |;ext=|,,| #|int|доб|ó|extensió|ｘ|;isub=|;phone-context=|example.com";

/// The functions under test, as the library itself would do it.
mod library {
    use super::*;

    pub fn read(written: &str, country: Option<Country>) -> Result<PhoneNumber, UnreadableNumber> {
        let written = written.trim();
        let written = written.strip_prefix("00").map_or_else(|| written.to_owned(), |rest| format!("+{rest}"));
        let region = country.and_then(|country| country.as_str().parse::<Region>().ok());
        let number = PHONE_NUMBER_UTIL.parse(&written, region).map_err(|error| match error {
            rlibphonenumber::ParseError::InvalidCountryCode if !written.starts_with('+') => {
                UnreadableNumber::NeedsCountry
            }
            _ => UnreadableNumber::NotANumber,
        })?;
        if number.extension.is_some() || !PHONE_NUMBER_UTIL.is_possible_number(&number) {
            return Err(UnreadableNumber::NotANumber);
        }
        let calling_code = region.and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region));
        if calling_code.is_some_and(|code| code != number.country_code) {
            return Err(UnreadableNumber::OtherCountry);
        }
        let e164 = number.format_as(PhoneNumberFormat::E164);
        let again = PHONE_NUMBER_UTIL.parse(&e164, None);
        if !again.is_ok_and(|again| again.format_as(PhoneNumberFormat::E164) == e164) {
            return Err(UnreadableNumber::NotANumber);
        }
        PhoneNumber::try_from(e164.trim_start_matches('+')).map_err(|_| UnreadableNumber::NotANumber)
    }

    pub fn check_kind(number: &PhoneNumber) -> Result<(), NotCallable> {
        let Ok(number) = PHONE_NUMBER_UTIL.parse(format!("+{}", number.expose()), None) else {
            return Err(NotCallable::International);
        };
        if PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes().any(|code| code == number.country_code) {
            return Err(NotCallable::International);
        }
        let national = number.national_number.to_string();
        match PHONE_NUMBER_UTIL.get_number_type(&number) {
            PhoneNumberType::Unknown if national.len() <= 6 => Err(NotCallable::Short),
            PhoneNumberType::Unknown => (5..national.len()).try_for_each(|digits| {
                let beginning = format!("+{}{}", number.country_code, &national[..digits]);
                let beginning = PHONE_NUMBER_UTIL.parse(beginning, None);
                beginning.map_or(Ok(()), |number| check_type(PHONE_NUMBER_UTIL.get_number_type(&number)))
            }),
            kind => check_type(kind),
        }
    }

    fn check_type(kind: PhoneNumberType) -> Result<(), NotCallable> {
        match kind {
            PhoneNumberType::PremiumRate => Err(NotCallable::PremiumRate),
            PhoneNumberType::SharedCost => Err(NotCallable::SharedCost),
            PhoneNumberType::PersonalNumber => Err(NotCallable::PersonalNumber),
            _ => Ok(()),
        }
    }

    pub fn calling_code(number: &PhoneNumber) -> String {
        let parsed = PHONE_NUMBER_UTIL.parse(format!("+{}", number.expose()), None);
        parsed.map_or_else(|_| number.expose().to_owned(), |number| number.country_code.to_string())
    }
}

#[derive(Default)]
struct Compared {
    read: usize,
    refused: usize,
}

impl Compared {
    fn reading(&mut self, written: &str, country: Option<&str>) {
        let code = country.map(|code| Country::try_from(code).unwrap());
        let ours = read(written, code);
        let (ours, librarys) = (ours.as_ref(), library::read(written, code));
        let exposed = ours.map(PhoneNumber::expose);
        assert_eq!(exposed, librarys.as_ref().map(PhoneNumber::expose), "{written:?} {country:?}");
        match ours {
            Ok(_) => self.read += 1,
            Err(_) => self.refused += 1,
        }
    }

    fn judging(&mut self, digits: &str) {
        let Ok(number) = PhoneNumber::try_from(digits) else { return };
        let judged = check_kind(&number);
        assert_eq!(judged, library::check_kind(&number), "{digits}");
        assert_eq!(calling_code(&number.clone().into()), library::calling_code(&number), "{digits}");
        match judged {
            Ok(()) => self.read += 1,
            Err(_) => self.refused += 1,
        }
    }
}

fn regions() -> Vec<Region> {
    let mut regions: Vec<Region> = PHONE_NUMBER_UTIL.get_supported_regions().collect();
    regions.sort_unstable();
    regions
}

/// Numbers of all kinds and of all calling codes, each with a country that has its calling code.
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

/// Some digits others, some more or fewer.
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

/// As people write it, or people who are tired.
fn write(digits: &str, rng: &mut fastrand::Rng) -> String {
    let (more, words) = [("", ""), ("", ""), (FOREIGN_DIGITS, ""), ("", WORDS)][rng.usize(0..4)];
    let mut between: Vec<String> = USUAL.chars().chain(more.chars()).map(String::from).collect();
    if !more.is_empty() || !words.is_empty() {
        between.extend(UNUSUAL.chars().map(String::from).chain(words.split('|').map(String::from)));
    }
    let beginnings: Vec<&str> = BEGINNINGS.split('|').collect();
    let mut written = rng.choice(beginnings).unwrap().to_owned();
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
fn examples_of_every_country_are_read_and_judged_as_by_libphonenumber() {
    let mut compared = Compared::default();
    for (number, region) in examples() {
        let country = region.map(|region| region.to_string());
        for format in [PhoneNumberFormat::International, PhoneNumberFormat::National, PhoneNumberFormat::RFC3966] {
            let written = number.format_as(format).into_owned();
            compared.reading(&written, country.as_deref());
        }
        compared.reading(&number.format_as(PhoneNumberFormat::E164), None);
        compared.judging(&e164_digits(&number));
    }
    assert!(compared.read > 4000 && compared.refused > 1000, "{} {}", compared.read, compared.refused);
}

#[test]
fn numbers_written_at_random_are_read_as_by_libphonenumber() {
    let mut rng = fastrand::Rng::with_seed(1);
    let regions = regions();
    let mut compared = Compared::default();
    for (number, region) in examples() {
        let digits = match rng.u8(0..3) {
            0 => e164_digits(&number),
            1 => e164_digits(&number)[number.country_code.to_string().len()..].to_owned(),
            _ => misdial(&e164_digits(&number), &mut rng),
        };
        let country = match rng.u8(0..4) {
            0 => None,
            // Where nobody has a telephone, and where many have.
            1 => rng.choice(["AQ", "ZZ", "GB", "US", "IT", "JE"]).map(str::to_owned),
            2 => rng.choice(&regions).map(Region::to_string),
            _ => region.map(|region| region.to_string()),
        };
        compared.reading(&write(&digits, &mut rng), country.as_deref());
    }
    assert!(compared.read > 150 && compared.refused > 500, "{} {}", compared.read, compared.refused);
}

#[test]
fn digits_at_random_are_judged_as_by_libphonenumber() {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut compared = Compared::default();
    for (number, _) in examples() {
        compared.judging(&misdial(&e164_digits(&number), &mut rng));
    }
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        for length in 5..12 {
            let national: String = (0..length).map(|_| rng.digit(10)).collect();
            compared.judging(&format!("{code}{national}"));
        }
    }
    assert!(compared.read > 1000 && compared.refused > 500, "{} {}", compared.read, compared.refused);
}

#[test]
fn addresses_and_extensions_are_read_as_by_libphonenumber() {
    let mut compared = Compared::default();
    for written in [
        "tel:7700900001;phone-context=+44",
        "7700900001;phone-context=+44;isub=1",
        "tel:07700-900001;phone-context=example.com",
        "tel:07700-900001;phone-context=a-b.c1.com.",
        "tel:07700-900001;isub=12;phone-context=example.com",
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
        "07700 900001;12",
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
        compared.reading(written, Some("GB"));
        compared.reading(written, None);
    }
    assert!(compared.read > 10 && compared.refused > 10, "{} {}", compared.read, compared.refused);
}

#[test]
fn digits_of_every_script_are_those_of_libphonenumber() {
    for c in ('\0'..=char::MAX).filter(|c| c.is_numeric()) {
        let digit = decimal_digit(c).map(String::from).unwrap_or_default();
        assert_eq!(digit, PHONE_NUMBER_UTIL.normalize_digits_only(c.to_string()), "{c:?}");
    }
}
