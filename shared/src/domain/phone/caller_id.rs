//! Caller ids as the originating networks write them.
//!
//! Vonage documents digits with the calling code (Voice API, webhook reference), and passes on what it got: numbers with "+"
//! or `00`, in national form, as `tel:` or `sip:` addresses (RFC 3966, RFC 3261), and words for a hidden number.

use numbering_plan::{Address, Dialling, clean};

use super::{PhoneNumber, VirtualNumber};

/// The caller of a call, as far as the network says who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerId {
    /// A phone.
    Phone(PhoneNumber),
    /// The caller hides the number, or no network has passed it on.
    Hidden,
    /// Something else was sent. It can mean no phone or several, so it means nobody.
    NotUnderstood {
        /// The text that was sent, without its digits and letters: `+## ####@a`. Safe in a log.
        shape: String,
    },
}

/// Parts of the words that networks send for a hidden number, without blanks and punctuation.
const HIDDEN: [&str; 16] = [
    "anonym",
    "block",
    "confidential",
    "hidden",
    "nocaller",
    "noname",
    "nonumber",
    "notavailable",
    "outofarea",
    "payphone",
    "private",
    "restrict",
    "suppress",
    "unavail",
    "unknown",
    "withheld",
];

/// Whole words for no value. `P` and `O` are the reasons of analogue lines: private, out of area (ETSI EN 300 659-3).
const NOTHING: [&str; 8] = ["null", "none", "nil", "na", "undefined", "false", "p", "o"];

/// Prefixes of international calls other than `00`, by calling code of the country in which they are dialled. Source: ITU
/// Operational Bulletin 994, "Dialling procedures".
const INTERNATIONAL_PREFIXES: [(u16, &str); 8] =
    [(1, "011"), (7, "810"), (53, "119"), (61, "0011"), (81, "010"), (375, "810"), (992, "810"), (993, "810")];

/// Longer prefixes of international calls that begin with `00`, mostly with the number of a carrier: `001 44…` in
/// Singapore. By calling code of the country, the digits that follow `00` there. Before these, `00` can begin two numbers.
/// Sources: the same, and `PhoneNumberMetadata.xml` of libphonenumber.
const LONGER_PREFIXES: [(u16, &str); 17] = [
    (55, "12345679"),
    (57, "4579"),
    (61, "1"),
    (62, "89"),
    (65, "123456789"),
    (66, "123456789"),
    (81, "123456789"),
    (82, "12356789"),
    (234, "9"),
    (255, "56"),
    (256, "57"),
    (591, "1"),
    (592, "1"),
    (852, "12356789"),
    (855, "1456789"),
    (886, "25679"),
    (976, "1"),
];

/// The longest shape.
const MAX_SHAPE: usize = 40;

impl CallerId {
    /// Reads what was sent as the caller of a call to `dialled`. A national form is one of the country of `dialled`.
    ///
    /// Digits without a prefix are international where such a number is possible, because that is the documented form.
    pub fn read(sent: Option<&str>, dialled: Option<&VirtualNumber>) -> Self {
        let Some(sent) = sent else { return Self::Hidden };
        let text = cleaned(sent);
        let home = dialled.and_then(|dialled| Dialling::split(dialled.as_str())).map(|(home, _)| home);
        match number(user_part(&text), home) {
            Some(number) => Self::Phone(number),
            None if is_hidden(&text) => Self::Hidden,
            None => Self::NotUnderstood { shape: shape(sent) },
        }
    }

    /// Returns the phone, if it is one.
    pub fn phone(self) -> Option<PhoneNumber> {
        match self {
            Self::Phone(phone) => Some(phone),
            Self::Hidden | Self::NotUnderstood { .. } => None,
        }
    }
}

/// Returns all that can be the digits of a phone in what was sent, without leading zeros. Use it to find them in other text.
pub fn digit_runs(sent: &str) -> Vec<String> {
    let text = cleaned(sent);
    let parts = text.split(|c: char| !c.is_ascii_digit() && !" -.()/+".contains(c));
    let digits = parts.map(|part| part.chars().filter(char::is_ascii_digit).collect::<String>());
    digits.map(|digits| digits.trim_start_matches('0').to_owned()).filter(|digits| !digits.is_empty()).collect()
}

/// Returns the text in ASCII where possible. A "+" may be encoded, as in any URI (RFC 3986).
fn cleaned(sent: &str) -> String {
    clean(sent).replace("%2B", "+").replace("%2b", "+")
}

/// Returns the part of an address that names the user: `+447700900001;cpc=ordinary` of
/// `"A" <sip:+447700900001;cpc=ordinary@host;user=phone>`.
fn user_part(text: &str) -> &str {
    let address = match text.split_once('<') {
        Some((_, address)) => address.split('>').next().unwrap_or_default(),
        None => text,
    };
    let address = without_scheme(address.trim());
    address.split('@').next().unwrap_or_default().trim()
}

fn without_scheme(address: &str) -> &str {
    let scheme = address.split_once(':').filter(|(scheme, rest)| match scheme.to_ascii_lowercase().as_str() {
        "tel" => true,
        // Without a user, the rest is a host.
        "sip" | "sips" => rest.contains('@'),
        _ => false,
    });
    scheme.map_or(address, |(_, rest)| rest)
}

/// Reads a number with its parameters.
fn number(user: &str, home: Option<Dialling>) -> Option<PhoneNumber> {
    let Address { number, context } = Address::of(user).ok()?;
    let compact: String = number.chars().filter(|c| !" -()".contains(*c)).collect();
    let (has_plus, digits) = match compact.strip_prefix('+') {
        // Dots divide digits in `tel:` addresses. Without a "+" they are those of an IP address.
        Some(rest) => (true, rest.trim_start_matches('+').replace('.', "")),
        None => (false, compact),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match context {
        Some(context) if has_plus => context.allows_international(&digits).then(|| international(&digits))?,
        Some(context) => {
            let home = Dialling::of_code(&context.digits()?)?;
            national(home, &digits).or_else(|| complete(home, &digits))
        }
        None if has_plus => international(digits.strip_prefix("00").unwrap_or(&digits)),
        None => without_plus(&digits, home),
    }
}

/// Reads digits without "+" that arrived at a phone of `home`.
fn without_plus(digits: &str, home: Option<Dialling>) -> Option<PhoneNumber> {
    let is_of = |code: u16| home.is_some_and(|home| home.calling_code == code);
    let prefix = INTERNATIONAL_PREFIXES.into_iter().find(|(code, _)| is_of(*code));
    let dialled_abroad = prefix.and_then(|(_, prefix)| international(digits.strip_prefix(prefix)?));
    if dialled_abroad.is_some() {
        return dialled_abroad;
    }
    if let Some(rest) = digits.strip_prefix("00") {
        let is_longer = |(code, next): (u16, &str)| is_of(code) && rest.starts_with(|digit| next.contains(digit));
        return if LONGER_PREFIXES.into_iter().any(is_longer) { None } else { international(rest) };
    }
    international(digits).or_else(|| national(home?, digits))
}

/// Reads digits that begin with a calling code. A trunk prefix after that, as in `+44 (0)7700 900001`, does not belong to
/// the number.
fn international(digits: &str) -> Option<PhoneNumber> {
    let (dialling, national) = Dialling::split(digits)?;
    let number = PhoneNumber::try_from(digits).ok()?;
    // The other spelling of a phone may be longer than the plan allows.
    let is_complete = Dialling::split(number.canonical().expose()).is_some_and(|(_, rest)| dialling.is_complete(rest));
    if is_complete {
        return Some(number);
    }
    let rest = national.strip_prefix('0').filter(|_| dialling.trunk_prefix == "0")?;
    complete(dialling, rest)
}

/// Reads digits as they are dialled in the country: with its trunk prefix, where it has one. North Americans leave it out.
fn national(home: Dialling, digits: &str) -> Option<PhoneNumber> {
    let rest = match home.trunk_prefix {
        "1" => digits.strip_prefix('1').unwrap_or(digits),
        trunk => digits.strip_prefix(trunk)?,
    };
    complete(home, rest)
}

fn complete(home: Dialling, national: &str) -> Option<PhoneNumber> {
    let number = home.is_complete(national).then(|| format!("{}{national}", home.calling_code))?;
    PhoneNumber::try_from(number).ok()
}

/// True if the text says that there is no number: nothing, zeros, or one of the usual words before the host.
fn is_hidden(text: &str) -> bool {
    let said = text.split('@').next().unwrap_or_default();
    let words: String = said.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect();
    let says_nothing = said.chars().all(|c| c == '0' || !c.is_alphanumeric());
    says_nothing || NOTHING.contains(&words.as_str()) || HIDDEN.iter().any(|part| words.contains(part))
}

/// Returns the text with `#` for each digit and `a` for each word.
fn shape(sent: &str) -> String {
    let mut shape = String::new();
    for c in sent.chars() {
        match c {
            _ if c.is_numeric() => shape.push('#'),
            _ if c.is_alphabetic() && shape.ends_with('a') => {}
            _ if c.is_alphabetic() => shape.push('a'),
            ' '..='~' => shape.push(c),
            _ => shape.push('?'),
        }
        if shape.len() >= MAX_SHAPE {
            break;
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use numbering_plan::Number;
    use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

    use super::*;

    fn virtual_number(digits: &str) -> VirtualNumber {
        PhoneNumber::try_from(digits).unwrap().into()
    }

    fn read(sent: &str, dialled: &str) -> CallerId {
        CallerId::read(Some(sent), Some(&virtual_number(dialled)))
    }

    fn phone(sent: &str, dialled: &str) -> Option<String> {
        read(sent, dialled).phone().map(|number| number.expose().to_owned())
    }

    const GB: &str = "447451000001";
    const US: &str = "12015550100";
    const RU: &str = "74950000001";

    #[test]
    fn every_international_dress_is_that_phone() {
        for sent in [
            "447700900001",
            " 447700900001",
            "+447700900001",
            "00447700900001",
            "+00447700900001",
            "+44 7700 900001",
            "44 7700 900 001",
            "+44-7700-900001",
            "+44.7700.900001",
            "+44 (0)7700 900001",
            "+4407700900001",
            "\u{202A}+44 7700\u{A0}900001\u{202C}",
            "+٤٤٧٧٠٠٩٠٠٠٠١",
            "tel:+447700900001",
            "TEL:+44-7700-900001;cpc=ordinary",
            "tel:7700900001;phone-context=+44",
            "tel:07700900001;phone-context=+44",
            "tel:+447700900001;phone-context=example.com",
            "447700900001@203.0.113.5",
            "sip:447700900001@203.0.113.5",
            "sip:+447700900001@host;user=phone",
            "sips:%2B447700900001@host:5061",
            "sip:+447700900001;npdi;rn=+447000000000@host",
            "<sip:+447700900001@host>",
            "\"Rider 7\" <sip:+447700900001@host;user=phone>;tag=1",
        ] {
            for dialled in [GB, US, RU] {
                assert_eq!(phone(sent, dialled).as_deref(), Some("447700900001"), "{sent} {dialled}");
            }
        }
    }

    #[test]
    fn numbers_of_all_plans_are_read() {
        for (sent, digits) in [
            ("+12125550123", "12125550123"),
            ("79161234567", "79161234567"),
            ("+77011234567", "77011234567"),
            ("+447797712345", "447797712345"),
            ("390612345678", "390612345678"),
            ("+393471234567", "393471234567"),
            ("2250712345678", "2250712345678"),
            ("002290195123456", "2290195123456"),
            ("+5491123456789", "5491123456789"),
            ("541123456789", "541123456789"),
            ("5215512345678", "5215512345678"),
            ("+525512345678", "525512345678"),
            ("3545551234", "3545551234"),
            ("6591234567", "6591234567"),
        ] {
            for dialled in [GB, US, RU, "4930000001"] {
                assert_eq!(phone(sent, dialled).as_deref(), Some(digits), "{sent} {dialled}");
            }
        }
    }

    #[test]
    fn national_form_is_read_with_the_dialled_country() {
        for (sent, dialled, digits) in [
            ("07700900001", GB, "447700900001"),
            ("07700 900001", GB, "447700900001"),
            ("sip:07700900001@203.0.113.5", GB, "447700900001"),
            ("07797712345", GB, "447797712345"),
            ("2125550123", US, "12125550123"),
            ("(212) 555-0123", US, "12125550123"),
            ("011447700900001", US, "447700900001"),
            ("89161234567", RU, "79161234567"),
            ("810447700900001", RU, "447700900001"),
            ("0612345678", "33600000001", "33612345678"),
            ("0612345678", "390600000001", "390612345678"),
            ("912345678", "34600000001", "34912345678"),
            ("06201234567", "36200000001", "36201234567"),
            ("0712345678", "2250700000001", "2250712345678"),
            ("0195123456", "2290100000001", "2290195123456"),
            ("0011447700900001", "61400000001", "447700900001"),
            ("00447700900001", "61400000001", "447700900001"),
            ("010447700900001", "81300000001", "447700900001"),
        ] {
            assert_eq!(phone(sent, dialled).as_deref(), Some(digits), "{sent} {dialled}");
        }
        assert_eq!(CallerId::read(Some("07700900001"), None).phone(), None);
    }

    #[test]
    fn hidden_caller_id_is_told_apart_in_all_spellings() {
        assert_eq!(CallerId::read(None, None), CallerId::Hidden);
        for sent in [
            "",
            " ",
            "-",
            "?",
            "+",
            "0",
            "+0",
            "0000000000",
            "anonymous",
            "ANONYMOUS",
            "Anonymous",
            "Anonym",
            "unknown",
            "Unknown Caller",
            "Restricted",
            "RESTRICTED",
            "restricted number",
            "unavailable",
            "Caller-ID unavailable",
            "Not available",
            "N/A",
            "private",
            "Private Number",
            "PRIVATE_NUMBER",
            "blocked",
            "withheld",
            "Number Withheld",
            "No Caller ID",
            "hidden",
            "null",
            "NULL",
            "(null)",
            "<null>",
            "None",
            "undefined",
            "nil",
            "P",
            "O",
            "anonymous@anonymous.invalid",
            "sip:anonymous@anonymous.invalid",
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
            "Anonymous <sip:c8oqz84zk7z@privacy.example>",
            "sip:unknown@203.0.113.5",
            "tel:anonymous",
        ] {
            assert_eq!(read(sent, GB), CallerId::Hidden, "{sent}");
        }
    }

    #[test]
    fn unclear_caller_id_is_not_understood() {
        for (sent, dialled) in [
            // Without its area code, or too short or long for any phone.
            ("0900001", GB),
            ("900001", GB),
            ("123", GB),
            ("+123456", GB),
            ("+1234567890123456", GB),
            // Of another country, an extension, several numbers, a name, an IP address.
            ("0612345678901", GB),
            ("+999123456789", GB),
            ("tel:+447700900001;ext=12", GB),
            ("tel:5550123;phone-context=+1-914", GB),
            ("tel:07700900001;phone-context=example.com", GB),
            ("tel:+447700900001;phone-context=+1", GB),
            ("+447700900001,+447700900002", GB),
            ("+447700900001/2", GB),
            ("alice", GB),
            ("sip:alice@example.com", GB),
            ("client:42", GB),
            ("203.0.113.50", GB),
            ("sip:203.0.113.50", GB),
            ("*31#07700900001", GB),
            ("+44 7700 90000x", GB),
            // 00 begins two numbers where 001 is a prefix of international calls.
            ("0013545551234", "6580000001"),
            ("0016145550123", "61400000001"),
            ("0011354555123", "447451000001"),
        ] {
            assert!(matches!(read(sent, dialled), CallerId::NotUnderstood { .. }), "{sent}: {:?}", read(sent, dialled));
        }
    }

    #[test]
    fn shape_has_no_digit_and_no_word() {
        for (sent, expected) in [
            ("+44 7700@alice", "+## ####@a"),
            ("tel:+447700900001;ext=12", "a:+############;a=##"),
            ("Иван ٤٤\u{202E}", "a ##?"),
        ] {
            assert_eq!(shape(sent), expected);
        }
        assert_eq!(shape(&"+1".repeat(100)).len(), MAX_SHAPE);
    }

    #[test]
    fn digit_runs_are_the_digits_of_all_numbers() {
        let runs = digit_runs("\"7\" <sip:+44 7700-900001@203.0.113.5>, 07700 900002 %2B447700900003");
        assert_eq!(runs, ["7", "447700900001", "20301135", "7700900002447700900003"]);
        assert_eq!(digit_runs("anonymous 00"), [""; 0]);
    }

    /// Returns examples of mobile and other numbers of each country, in E.164 without "+".
    fn examples() -> Vec<(Region, String)> {
        let of_region = |region: Region| {
            let kinds = [PhoneNumberType::Mobile, PhoneNumberType::FixedLine];
            let numbers = kinds.map(move |kind| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind));
            let digits =
                |number: rlibphonenumber::PhoneNumber| number.format_as(PhoneNumberFormat::E164)[1..].to_owned();
            numbers.into_iter().flatten().map(move |number| (region, digits(number)))
        };
        PHONE_NUMBER_UTIL.get_supported_regions().flat_map(of_region).collect()
    }

    #[test]
    fn documented_form_of_every_country_is_read_at_every_number() {
        let examples = examples();
        assert!(examples.len() > 400, "{}", examples.len());
        for (_, digits) in &examples {
            for dialled in [GB, US, RU, "4930000001", "390600000001", "6580000001", "525500000001"] {
                for sent in [digits.clone(), format!("+{digits}"), format!(" {digits} ")] {
                    assert_eq!(phone(&sent, dialled).as_ref(), Some(digits), "{sent} {dialled}");
                }
            }
        }
    }

    #[test]
    fn national_form_reaches_that_phone_or_nobody() {
        let (mut read, mut total, mut wrong) = (0, 0, Vec::new());
        for (region, digits) in examples() {
            let (dialling, national) = Dialling::split(&digits).unwrap();
            let dialled = virtual_number(&digits);
            let abroad = INTERNATIONAL_PREFIXES.into_iter().find(|(code, _)| *code == dialling.calling_code);
            let (_, abroad) = abroad.unwrap_or_default();
            for form in [
                format!("{}{national}", dialling.trunk_prefix),
                format!("{} {national}", dialling.trunk_prefix),
                national.to_owned(),
                format!("00{digits}"),
                format!("{abroad}{digits}"),
            ] {
                total += 1;
                match CallerId::read(Some(&form), Some(&dialled)).phone() {
                    None => {}
                    Some(number) if number.expose() == digits => read += 1,
                    // The documented form wins: these digits are a number of another country as they are.
                    Some(number) if number.expose() == form => {}
                    // No phone has such a number.
                    Some(number)
                        if !Number::from_international(number.expose()).is_some_and(|read| read.is_valid()) => {}
                    Some(number) => wrong.push((region.to_string(), form, number.expose().to_owned())),
                }
            }
        }
        assert!(read > total / 3, "{read} of {total}");
        assert!(wrong.is_empty(), "{} of {total}: {wrong:?}", wrong.len());
    }

    #[test]
    fn any_text_is_read_without_panic_and_its_shape_has_no_digit() {
        let mut random = fastrand::Rng::with_seed(2);
        let alphabet: Vec<char> = "0123456789+ -().;:@<>=%2BaZé٤\u{202E}".chars().collect();
        for _ in 0..20_000 {
            let length = random.usize(0..24);
            let sent: String = (0..length).map(|_| alphabet[random.usize(0..alphabet.len())]).collect();
            match read(&sent, GB) {
                CallerId::NotUnderstood { shape } => assert!(!shape.contains(char::is_numeric), "{sent:?} {shape}"),
                CallerId::Phone(number) => {
                    let last = &number.expose()[number.expose().len() - 5..];
                    assert!(digit_runs(&sent).iter().any(|run| run.ends_with(last)), "{sent:?} {number:?}");
                }
                CallerId::Hidden => {}
            }
        }
    }
}
