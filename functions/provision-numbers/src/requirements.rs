//! `GET /numbers/requirements`: what has to be known and done before numbers of a country are ordered.
//!
//! The prices are those of Vonage's offers now. The rest is one dated table, `requirements.json`, with a source for each rule.
//! A need that no source tells is `unknown`.

use std::collections::BTreeSet;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::domain::country::Country;
use shared::domain::order::WantedDigits;
use shared::domain::pool::{Feature, NumberType};
use shared::edge::http::{self, Problem, Query};
use shared::service::provision::Order;
use shared::vonage::numbers::{Offer, Page, Search};

use crate::{ProvisionNumbers, voice_and_sms};

/// The table.
const TABLE: &str = include_str!("../requirements.json");

#[derive(Deserialize)]
struct Table<'a> {
    /// The day on which the sources were read.
    checked_at: &'a str,
    rules: Vec<Rule>,
}

/// A rule for the numbers to which all of its conditions apply. An empty condition applies to all.
#[derive(Deserialize)]
struct Rule {
    #[serde(flatten)]
    requirement: Requirement,
    #[serde(default)]
    countries: Vec<Country>,
    #[serde(default)]
    except: Vec<Country>,
    #[serde(default)]
    types: Vec<NumberType>,
    #[serde(default)]
    features: Vec<Feature>,
}

#[derive(Serialize, Deserialize)]
struct Requirement {
    /// The subject, in a word.
    about: String,
    /// `yes` or `unknown`.
    needed: String,
    /// True if nothing in Maskline or in Vonage's API does it.
    by_hand: bool,
    says: String,
    source: String,
}

/// The answer.
#[derive(Serialize)]
struct RequirementsView<'a> {
    country: Country,
    features: &'a [Feature],
    count: usize,
    offers: OffersView,
    checked_at: &'a str,
    requirements: Vec<Requirement>,
}

/// The numbers that Vonage has on sale now, as far as the first page of its offers shows.
#[derive(Serialize)]
struct OffersView {
    /// Number of offers that fit.
    fitting: usize,
    /// True if there may be more on further pages.
    more: bool,
    types: BTreeSet<NumberType>,
    monthly_cost: Option<Range>,
    /// The rent of as many numbers as are asked for. `None` if there are not so many.
    monthly_cost_of_all: Option<Range>,
    /// The price of buying one. `None` if Vonage does not say it for all of them.
    initial_price: Option<Range>,
    /// The price of buying as many as are asked for.
    initial_price_of_all: Option<Range>,
    currency: &'static str,
}

#[derive(Serialize)]
struct Range {
    from: Decimal,
    to: Decimal,
}

impl ProvisionNumbers {
    pub(crate) async fn show_requirements(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let (search, count) = read(request)?;
        let page = self.provisioner.numbers.search(&search, None, 1).await?;
        let offers = OffersView::new(&page, &search.features, count);
        let Table { checked_at, rules } = serde_json::from_str(TABLE).map_err(|_| Problem::internal())?;
        let types = match search.number_type {
            Some(only) => [only].into(),
            None => offers.types.clone(),
        };
        let rules = rules.into_iter().filter(|rule| rule.applies(search.country, &types, &search.features));
        let requirements = rules.map(|rule| rule.requirement).collect();
        let (country, features) = (search.country, &search.features[..]);
        let view = RequirementsView { country, features, count, offers, checked_at, requirements };
        Ok(http::json(StatusCode::OK, &view))
    }
}

/// Reads the parameters `country`, `features`, `type` and `count`.
fn read(request: &Request) -> Result<(Search, usize), Problem> {
    let query = Query::read(request, &["country", "features", "type", "count"])?;
    let country = query.value("country").ok_or_else(|| Problem::invalid("country", "This parameter is required."))?;
    let country = Country::try_from(country).map_err(|error| Problem::invalid("country", format!("Is {error}.")))?;
    let words = |list: &str| serde_json::json!(list.split(',').map(str::trim).collect::<Vec<_>>());
    let features = match query.value("features") {
        Some(list) => serde_json::from_value(words(list))
            .map_err(|_| Problem::invalid("features", "Must be a list of VOICE, SMS and MMS, such as VOICE,SMS."))?,
        None => voice_and_sms(),
    };
    let number_type = query.value("type").map(|word| serde_json::from_value(word.into())).transpose();
    let number_type =
        number_type.map_err(|_| Problem::invalid("type", "Must be mobile-lvn, landline or landline-toll-free."))?;
    let count = query.value("count").map_or(Some(1), |count| count.parse().ok());
    let count = count.filter(|count| (1..=Order::MAX_COUNT).contains(count));
    let wrong_count = || Problem::invalid("count", format!("Must be from 1 to {}.", Order::MAX_COUNT));
    Ok((Search { country, features, number_type, digits: WantedDigits::default() }, count.ok_or_else(wrong_count)?))
}

impl Rule {
    fn applies(&self, country: Country, types: &BTreeSet<NumberType>, features: &[Feature]) -> bool {
        let is_of_country = self.countries.is_empty() || self.countries.contains(&country);
        // Without an offer the type is not known.
        let is_of_type = self.types.is_empty() || types.is_empty() || self.types.iter().any(|one| types.contains(one));
        let is_of_feature = self.features.is_empty() || self.features.iter().any(|one| features.contains(one));
        is_of_country && !self.except.contains(&country) && is_of_type && is_of_feature
    }
}

impl OffersView {
    fn new(Page { offers, more }: &Page, features: &[Feature], count: usize) -> Self {
        let fitting: Vec<&Offer> = offers.iter().filter(|offer| offer.suits(features)).collect();
        let range = |prices: &[Decimal]| {
            let (from, to) = prices.iter().min().zip(prices.iter().max())?;
            Some(Range { from: *from, to: *to })
        };
        let monthly_cost = range(&fitting.iter().map(|offer| offer.cost).collect::<Vec<_>>());
        let initial_prices: Option<Vec<Decimal>> = fitting.iter().map(|offer| offer.initial_price).collect();
        let initial_price = initial_prices.and_then(|prices| range(&prices));
        let is_enough = *more || count <= fitting.len();
        let of_all =
            |range: &Range| Range { from: range.from * Decimal::from(count), to: range.to * Decimal::from(count) };
        Self {
            fitting: fitting.len(),
            more: *more,
            types: fitting.iter().map(|offer| offer.number_type).collect(),
            monthly_cost_of_all: monthly_cost.as_ref().filter(|_| is_enough).map(of_all),
            monthly_cost,
            initial_price_of_all: initial_price.as_ref().filter(|_| is_enough).map(of_all),
            initial_price,
            currency: "EUR",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_dated_and_says_its_source() {
        let Table { checked_at, rules } = serde_json::from_str(TABLE).unwrap();
        assert!(checked_at.parse::<jiff::civil::Date>().is_ok());
        for Rule { requirement, .. } in &rules {
            assert!(["yes", "unknown"].contains(&&*requirement.needed), "{}", requirement.says);
            assert!(requirement.says.ends_with('.') && !requirement.source.is_empty(), "{}", requirement.says);
        }
        let about = |country: &str, types: &[NumberType]| -> Vec<String> {
            let country = Country::try_from(country).unwrap();
            let types = types.iter().copied().collect();
            let applying = rules.iter().filter(|rule| rule.applies(country, &types, &voice_and_sms()));
            applying.map(|rule| format!("{} {}", rule.requirement.about, rule.requirement.needed)).collect()
        };
        assert!(about("US", &[NumberType::MobileLvn]).contains(&"registration yes".to_owned()));
        for (country, number_type) in
            [("US", NumberType::LandlineTollFree), ("CA", NumberType::MobileLvn), ("FR", NumberType::MobileLvn)]
        {
            let about = about(country, &[number_type]);
            assert_eq!(about.iter().filter(|about| about.starts_with("registration")).count(), 1, "{about:?}");
            assert!(about.contains(&"registration unknown".to_owned()), "{country}");
        }
    }
}
