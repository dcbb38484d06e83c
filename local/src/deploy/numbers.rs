//! Numbers for the first call: a look at the pool, the price, a yes, and the order.

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::country::Country;

use super::report::State;
use crate::commands::api::{Api, ApiError, Call};
use crate::commands::numbers::{ordered, planned};
use crate::commands::table::cell;

/// The reason why a country does not have its numbers.
#[derive(Debug, thiserror::Error)]
pub(super) enum NumbersError {
    /// The API refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Nobody agreed to the price.
    #[error("{0}Nobody agreed to that")]
    NotAgreed(String),
    /// There is nothing to rent, or Vonage rented none.
    #[error("{0}")]
    None(String),
}

/// Makes `country` have `count` ready numbers. `agrees` gets what that costs.
pub(super) async fn order(
    api: &Api,
    country: Country,
    count: u32,
    agrees: impl FnOnce(&str) -> bool,
) -> Result<(State, String), NumbersError> {
    let pool = Call::new(Method::GET, &["numbers"]).query("country", Some(country)).query("limit", Some(1));
    let pool = api.send(pool).await?;
    if let Some(says) = enough(&pool["countries"][0], count) {
        return Ok((State::Unchanged, says));
    }
    let asked = json!({"country": country, "count": count, "dry_run": true});
    let plan = api.send(Call::new(Method::POST, &["numbers"]).body(&asked)).await?;
    let says = planned(&plan);
    let takes_back = plan["taken_back"].as_array().is_some_and(|numbers| !numbers.is_empty());
    if plan["rented"] == 0 && plan["in_progress"] == 0 && !takes_back {
        return Err(NumbersError::None(says));
    }
    if !agrees(&says) {
        return Err(NumbersError::NotAgreed(says));
    }
    let asked = json!({"country": country, "count": count});
    let answer = api.send(Call::new(Method::POST, &["numbers"]).body(&asked)).await?;
    let says = ordered(&answer);
    if answer["ready"] == 0 { Err(NumbersError::None(says)) } else { Ok((State::Done, says)) }
}

/// Says that nothing is to be ordered: a smaller order would take the place of a larger one that is open.
fn enough(pool: &Value, count: u32) -> Option<String> {
    let at_least = |value: &Value| value.as_u64().is_some_and(|number| number >= count.into());
    if at_least(&pool["ready"]) {
        return Some(format!("{} has {} numbers ready", cell(&pool["country"]), cell(&pool["ready"])));
    }
    at_least(&pool["order"]["ordered"]).then(|| {
        let [country, ready, ordered] = [&pool["country"], &pool["ready"], &pool["order"]["ordered"]].map(cell);
        format!("{country} has {ready} of {ordered} ordered numbers ready, and the schedule goes on")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_that_is_open_is_not_made_smaller() {
        let pool = json!({"country": "GB", "ready": 1, "order": {"ordered": 10}});
        assert!(enough(&pool, 2).unwrap().contains("1 of 10"));
        assert_eq!(enough(&pool, 11), None);
        assert_eq!(enough(&json!({"country": "GB", "ready": 1, "order": null}), 2), None);
        assert_eq!(enough(&json!({"country": "GB", "ready": 2}), 2).unwrap(), "GB has 2 numbers ready");
        assert_eq!(enough(&Value::Null, 2), None);
    }
}
