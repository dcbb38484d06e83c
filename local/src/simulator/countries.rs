//! Data of countries: names for Number Insight, and prices and networks for text messages and calls.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber};
use rust_decimal::Decimal;

/// A country, with prices that are plausible for Vonage.
#[derive(Debug)]
pub(super) struct Country {
    /// ISO 3166-1 alpha-2.
    pub(super) code: &'static str,
    /// ISO 3166-1 alpha-3.
    pub(super) iso3: &'static str,
    /// The English short name.
    pub(super) name: &'static str,
    /// MCC and MNC of a large mobile network in the country, or a code such as `US-FIXED`.
    pub(super) network: &'static str,
    /// One part of an SMS, in hundred-thousandths of EUR.
    sms_price: i64,
    /// One minute of an outbound call, in hundred-thousandths of EUR.
    call_rate: i64,
}

impl Country {
    /// Returns the price of one part of an SMS to this country, in EUR.
    pub(super) fn sms_price(&self) -> Decimal {
        Decimal::new(self.sms_price, 5)
    }

    /// Returns the price of a minute to this country, in EUR.
    pub(super) fn call_rate(&self) -> Decimal {
        Decimal::new(self.call_rate, 5)
    }
}

const fn country(
    code: &'static str,
    iso3: &'static str,
    name: &'static str,
    network: &'static str,
    (sms_price, call_rate): (i64, i64),
) -> Country {
    Country { code, iso3, name, network, sms_price, call_rate }
}

const COUNTRIES: [Country; 26] = [
    country("GB", "GBR", "United Kingdom", "23410", (3330, 2400)),
    country("US", "USA", "United States of America", "US-FIXED", (570, 1000)),
    country("CA", "CAN", "Canada", "CA-FIXED", (520, 1000)),
    country("FR", "FRA", "France", "20801", (5800, 3940)),
    country("IE", "IRL", "Ireland", "27201", (5400, 2950)),
    country("DE", "DEU", "Germany", "26201", (7850, 2670)),
    country("NL", "NLD", "Netherlands", "20404", (7300, 3500)),
    country("ES", "ESP", "Spain", "21401", (5600, 2990)),
    country("IT", "ITA", "Italy", "22201", (6350, 3600)),
    country("BE", "BEL", "Belgium", "20601", (7400, 4200)),
    country("CH", "CHE", "Switzerland", "22801", (5300, 6900)),
    country("AT", "AUT", "Austria", "23201", (6900, 4300)),
    country("PT", "PRT", "Portugal", "26801", (2850, 2600)),
    country("SE", "SWE", "Sweden", "24001", (4500, 2500)),
    country("NO", "NOR", "Norway", "24201", (4900, 2800)),
    country("DK", "DNK", "Denmark", "23801", (3600, 2200)),
    country("FI", "FIN", "Finland", "24405", (5900, 4500)),
    country("PL", "POL", "Poland", "26001", (2700, 2400)),
    country("AU", "AUS", "Australia", "50501", (4250, 3800)),
    country("NZ", "NZL", "New Zealand", "53001", (7300, 4100)),
    country("IN", "IND", "India", "40410", (2260, 1500)),
    country("BR", "BRA", "Brazil", "72405", (4100, 4700)),
    country("MX", "MEX", "Mexico", "334020", (3350, 1400)),
    country("ZA", "ZAF", "South Africa", "65501", (1800, 4400)),
    country("JP", "JPN", "Japan", "44010", (6520, 8200)),
    country("SG", "SGP", "Singapore", "52501", (3970, 1900)),
];

/// The entry for all other countries.
const ELSEWHERE: Country = country("", "", "", "unknown", (8000, 9000));

/// Returns the entry of a country by its ISO 3166-1 alpha-2 code.
pub(super) fn by_code(code: &str) -> Option<&'static Country> {
    COUNTRIES.iter().find(|country| country.code == code)
}

/// Returns the entry with the prices for a number.
pub(super) fn prices_of(number: &PhoneNumber) -> &'static Country {
    region_of(number).and_then(|code| by_code(&code)).unwrap_or(&ELSEWHERE)
}

/// Parses a number in Vonage's format: E.164 digits without "+".
pub(super) fn parse_digits(digits: &str) -> Option<PhoneNumber> {
    PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok()
}

/// Returns the alpha-2 code of a number's country. libphonenumber has no country for a number that is reserved for
/// examples. Its country is that of a number with the same area code (North America), or of the calling code.
pub(super) fn region_of(number: &PhoneNumber) -> Option<String> {
    if let Some(region) = number.get_region_code() {
        return Some(region.to_string());
    }
    let national = number.get_national_significant_number();
    let region = if number.country_code == 1 && national.len() == 10 {
        parse_digits(&format!("1{}2345678", &national[..3]))?.get_region_code()
    } else {
        PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code)
    };
    region.map(|region| region.to_string())
}
