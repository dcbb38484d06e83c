//! The numbers that the conversations of an import need, those that are there, and the price of the rest.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::super::CommandError;
use super::super::api::{Api, Call};
use super::plan::Plan;

/// The numbers of a country.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Needed {
    pub(super) country: String,
    /// As many as the busiest phone has conversations.
    pub(super) needed: u64,
    pub(super) ready: u64,
    pub(super) missing: u64,
    /// Rent of the missing ones for a month, `from` and `to`; null if Vonage offers too few or does not say.
    pub(super) monthly_cost: Value,
    /// Price that is paid once for them.
    pub(super) initial_price: Value,
    pub(super) currency: Value,
}

/// Asks how many numbers are there, and what the missing ones cost. Buys nothing.
pub(super) async fn needed(plan: &Plan, api: &Api) -> Result<Vec<Needed>, CommandError> {
    let mut all = Vec::new();
    for (country, needed) in &plan.needed {
        let call = Call::new(Method::GET, &["numbers"]).query("country", Some(country)).query("limit", Some(1));
        let answer = api.send(call).await?;
        let ready = answer["countries"][0]["ready"].as_u64().unwrap_or(0);
        let missing = needed.saturating_sub(ready);
        let offers = if missing > 0 { offers(api, &country.to_string(), missing).await? } else { Value::Null };
        all.push(Needed {
            country: country.to_string(),
            needed: *needed,
            ready,
            missing,
            monthly_cost: offers["monthly_cost_of_all"].clone(),
            initial_price: offers["initial_price_of_all"].clone(),
            currency: offers["currency"].clone(),
        });
    }
    Ok(all)
}

/// Returns what the carrier offers; null if this cannot be told, as for a country without numbers.
async fn offers(api: &Api, country: &str, count: u64) -> Result<Value, CommandError> {
    let call = Call::new(Method::GET, &["numbers", "requirements"]).query("country", Some(country));
    match api.send(call.query("count", Some(count))).await {
        Ok(answer) => Ok(answer["offers"].clone()),
        Err(error) if error.problem().is_some() => Ok(Value::Null),
        Err(error) => Err(error.into()),
    }
}
