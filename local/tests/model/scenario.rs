//! A small scenario, so that random steps often meet the same route: seven phones in four countries, two of them with
//! the same calling code, one phone with two spellings, and a handful of virtual numbers.

use proptest::prelude::*;
use rust_decimal::Decimal;
use shared::domain::country::Country;
use shared::domain::language::Language;
use shared::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberType};
use shared::domain::tenant::{Owner, Tenant};
use shared::service::create::ROUTES_READ;

/// Three phones of GB, one of JE, two of the US and one of Argentina.
pub const PEOPLE: [&str; 7] =
    ["447700900001", "447700900002", "447700900003", "447797900001", "12025550101", "12025550102", "5491123456789"];

/// The Argentine among the people, and the canonical spelling of that phone.
pub const ARGENTINE: (usize, &str) = (6, "541123456789");

/// A phone that the carrier does not know. No conversation has it.
pub const INVALID_PHONE: &str = "447700900999";

/// The state at the start of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Countries whose numbers may be given to participants of any country.
    pub fallback: Vec<Country>,
    /// The numbers of the deployment itself in the pool.
    pub numbers: Vec<Kind>,
    /// Those of the tenant.
    pub of_tenant: Vec<Kind>,
    /// Number of routes of a participant that one creation reads. Who has more is a hub.
    pub routes_read: u16,
    /// `TEXTS_BY`: the API that passes texts on.
    pub texts_by: &'static str,
}

/// The kinds of virtual numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gb,
    /// A number that cannot send text messages.
    GbMute,
    Je,
    Us,
}

impl Scenario {
    pub fn any() -> impl Strategy<Value = Self> {
        let fallback = prop::sample::select(vec![&[][..], &["GB"][..], &["US"][..], &["JE", "US", "GB"][..]]);
        let numbers = prop_oneof![1 => 0..3usize, 3 => 3..7usize]
            .prop_flat_map(|count| prop::collection::vec(Kind::any(), count));
        let of_tenant = prop_oneof![1 => 0..2usize, 3 => 2..5usize]
            .prop_flat_map(|count| prop::collection::vec(Kind::any(), count));
        let routes_read = prop::sample::select(vec![2, ROUTES_READ]);
        let texts_by = prop::sample::select(vec!["sms-api", "messages-api"]);
        (fallback, numbers, of_tenant, routes_read, texts_by).prop_map(
            |(fallback, numbers, of_tenant, routes_read, texts_by)| Self {
                fallback: fallback.iter().map(|code| country(code)).collect(),
                numbers,
                of_tenant,
                routes_read,
                texts_by,
            },
        )
    }
}

impl Kind {
    pub fn any() -> impl Strategy<Value = Self> {
        prop_oneof![4 => Just(Self::Gb), 1 => Just(Self::GbMute), 2 => Just(Self::Je), 3 => Just(Self::Us)]
    }

    /// The number of this kind at `index`, as the simulated Vonage sells them.
    pub fn number(self, index: u64) -> VirtualNumber {
        let first: u64 = match self {
            Self::Gb => 447_451_000_001,
            Self::GbMute => 442_080_000_001,
            Self::Je => 447_797_100_001,
            Self::Us => 12_015_550_100,
        };
        number(&(first + index).to_string())
    }

    pub fn country(self) -> Country {
        country(match self {
            Self::Gb | Self::GbMute => "GB",
            Self::Je => "JE",
            Self::Us => "US",
        })
    }

    pub fn features(self) -> Vec<Feature> {
        match self {
            Self::GbMute => vec![Feature::Voice],
            _ => vec![Feature::Voice, Feature::Sms],
        }
    }

    pub fn number_type(self) -> NumberType {
        if self == Self::GbMute { NumberType::Landline } else { NumberType::MobileLvn }
    }

    pub fn monthly_cost(self) -> Decimal {
        Decimal::new(if self == Self::GbMute { 100 } else { 125 }, 2)
    }
}

/// The tenant beside the deployment itself.
pub fn tenant() -> Tenant {
    Tenant::try_from("acme").unwrap()
}

/// The tenant, or the deployment itself.
pub fn owner(is_tenant: bool) -> Owner {
    if is_tenant { Owner::Tenant(tenant()) } else { Owner::Deployment }
}

pub fn country(code: &str) -> Country {
    Country::try_from(code).unwrap()
}

pub fn number<T: From<PhoneNumber>>(digits: &str) -> T {
    PhoneNumber::try_from(digits).unwrap().into()
}

pub fn person(index: usize) -> RealNumber {
    number(PEOPLE[index])
}

/// The phone in the spelling that route keys have.
pub fn canonical(phone: &RealNumber) -> RealNumber {
    let (index, canonical) = ARGENTINE;
    if phone.expose() == PEOPLE[index] { number(canonical) } else { phone.clone() }
}

/// The canonical spelling, if it is not the one given.
pub fn keyed_as(phone: &RealNumber) -> Option<RealNumber> {
    Some(canonical(phone)).filter(|canonical| canonical != phone)
}

/// Languages that are given to participants. Nobody has words in the last one.
pub const LANGUAGES: [&str; 4] = ["de", "hi", "pt-PT", "ja"];

/// The `nth` language that is given to participants.
pub fn language(nth: usize) -> Language {
    Language::try_from(LANGUAGES[nth]).unwrap()
}

/// The language of a participant: the one that is `given`, or that of the phone's country.
pub fn language_of(given: Option<&Language>, phone: &RealNumber) -> Language {
    let guessed = match country_of(phone.expose()).as_str() {
        "JE" => "en-JE",
        "GB" => "en-GB",
        "AR" => "es-AR",
        _ => "en-US",
    };
    given.cloned().unwrap_or_else(|| Language::try_from(guessed).unwrap())
}

/// The country of a phone, as the number lookup reports it.
pub fn country_of(phone: &str) -> Country {
    country(match phone {
        _ if phone.starts_with("447797") => "JE",
        _ if phone.starts_with("44") => "GB",
        _ if phone.starts_with("54") => "AR",
        _ => "US",
    })
}

pub fn calling_code(phone: &RealNumber) -> &'static str {
    ["44", "54"].into_iter().find(|code| phone.expose().starts_with(code)).unwrap_or("1")
}
