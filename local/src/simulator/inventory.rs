//! The numbers that the simulated Vonage has on sale: always the same, in the same order.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// A number that Vonage has on sale, or that the account rents.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// ISO 3166-1 alpha-2.
    pub(super) country: &'static str,
    /// E.164 digits.
    pub(super) msisdn: String,
    /// `mobile-lvn` or `landline`.
    pub(super) kind: &'static str,
    pub(super) features: &'static [&'static str],
    /// Monthly rent in EUR.
    pub(super) cost: Decimal,
    /// True if it cannot send SMS abroad.
    domestic_sms_only: bool,
    /// True if it can only be rented with a local address.
    pub(super) needs_address: bool,
}

impl Offer {
    /// Returns the fields that a search and the list of owned numbers have in common.
    pub(super) fn description(&self) -> Map<String, Value> {
        let mut description = Map::new();
        description.insert("country".into(), json!(self.country));
        description.insert("msisdn".into(), json!(self.msisdn));
        description.insert("type".into(), json!(self.kind));
        description.insert("features".into(), json!(self.features));
        if self.domestic_sms_only {
            let limitation = json!({"feature": "SMS", "type": "OUTBOUND", "reach": "INTERNATIONAL"});
            description.insert("limitations".into(), json!([limitation]));
        }
        description
    }
}

/// Consecutive numbers with the same properties.
struct Range {
    country: &'static str,
    first: u64,
    count: u64,
    kind: &'static str,
    features: &'static [&'static str],
    cents: i64,
    /// Number of them, from the first on, that cannot send SMS abroad.
    domestic_sms_only: u64,
    needs_address: bool,
}

const MOBILE: Range = Range {
    country: "",
    first: 0,
    count: 0,
    kind: "mobile-lvn",
    features: &["VOICE", "SMS"],
    cents: 0,
    domestic_sms_only: 0,
    needs_address: false,
};

const RANGES: [Range; 8] = [
    Range { country: "GB", first: 447_451_000_001, count: 250, cents: 125, ..MOBILE },
    Range {
        country: "GB",
        first: 442_080_000_001,
        count: 50,
        kind: "landline",
        features: &["VOICE"],
        cents: 100,
        ..MOBILE
    },
    Range { country: "US", first: 12_015_550_100, count: 100, features: &["VOICE", "SMS", "MMS"], cents: 67, ..MOBILE },
    Range { country: "FR", first: 33_644_630_001, count: 60, cents: 300, ..MOBILE },
    Range { country: "IE", first: 353_861_000_001, count: 3, cents: 200, ..MOBILE },
    Range { country: "DE", first: 4_915_735_980_001, count: 20, cents: 250, needs_address: true, ..MOBILE },
    // Its calling code is that of GB.
    Range { country: "JE", first: 447_797_100_001, count: 20, cents: 125, ..MOBILE },
    Range { country: "NL", first: 3_197_010_200_001, count: 130, cents: 150, domestic_sms_only: 120, ..MOBILE },
];

/// Returns the whole inventory, in the order of a search.
pub(super) fn all() -> Vec<Offer> {
    let numbers = |range: &'static Range| (0..range.count).map(move |index| offer(range, index));
    RANGES.iter().flat_map(numbers).collect()
}

/// Returns consecutive mobile numbers of a country, from `first` on, for a monthly rent.
pub(super) fn mobile(country: &'static str, first: u64, count: u64, cost: Decimal) -> Vec<Offer> {
    let range = Range { country, first, count, ..MOBILE };
    (0..count).map(|index| Offer { cost, ..offer(&range, index) }).collect()
}

fn offer(range: &Range, index: u64) -> Offer {
    Offer {
        country: range.country,
        msisdn: (range.first + index).to_string(),
        kind: range.kind,
        features: range.features,
        cost: Decimal::new(range.cents, 2),
        domestic_sms_only: index < range.domestic_sms_only,
        needs_address: range.needs_address,
    }
}
