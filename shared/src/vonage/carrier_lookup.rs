//! The choice among Vonage's number lookups.

use super::application_token::ApplicationToken;
use super::client::Vonage;
use super::error::VonageError;
use super::identity_insights::IdentityInsights;
use super::number_insight::NumberInsight;
use super::number_lookup::{LookedUpNumber, NumberLookup};
use crate::clock::SharedClock;
use crate::config::{ConfigError, Environment};
use crate::domain::judge::{Judge, NotAJudge};
use crate::domain::phone::PhoneNumber;

/// The [`NumberLookup`] that a deployment has chosen.
pub enum CarrierLookup {
    /// By Identity Insights.
    IdentityInsights(Box<IdentityInsights>),
    /// By Number Insight.
    NumberInsight(NumberInsight),
}

impl CarrierLookup {
    /// Reads `NUMBER_LOOKUP` and `LOOKUP_CARRIER`, and for Identity Insights the application's id and private key. Returns `None`
    /// if no carrier is asked.
    pub fn from_environment(
        env: &Environment,
        vonage: &Vonage,
        clock: SharedClock,
    ) -> Result<Option<Self>, ConfigError> {
        let judge = env.required("NUMBER_LOOKUP")?.parse::<Judge>().map_err(|error: NotAJudge| {
            ConfigError::Malformed { name: "NUMBER_LOOKUP", expected: error.to_string() }
        })?;
        let asks_carrier = env.asks_carrier()?;
        if asks_carrier && judge != Judge::IdentityInsights {
            let expected = "must be off unless NUMBER_LOOKUP is identity-insights".to_owned();
            return Err(ConfigError::Malformed { name: "LOOKUP_CARRIER", expected });
        }
        Ok(match judge {
            Judge::NumberingPlan => None,
            Judge::NumberInsight => Some(Self::NumberInsight(NumberInsight(vonage.clone()))),
            Judge::IdentityInsights => {
                let token = ApplicationToken::from_environment(env, clock)?;
                Some(Self::IdentityInsights(Box::new(IdentityInsights::new(vonage.clone(), token, asks_carrier))))
            }
        })
    }

    /// Prepares the first lookup.
    pub async fn warm_up(&self) {
        match self {
            Self::IdentityInsights(lookup) => lookup.warm_up().await,
            Self::NumberInsight(lookup) => lookup.warm_up().await,
        }
    }
}

impl NumberLookup for CarrierLookup {
    fn judge(&self) -> Judge {
        match self {
            Self::IdentityInsights(lookup) => lookup.judge(),
            Self::NumberInsight(lookup) => lookup.judge(),
        }
    }

    async fn look_up(&self, number: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        match self {
            Self::IdentityInsights(lookup) => lookup.look_up(number).await,
            Self::NumberInsight(lookup) => lookup.look_up(number).await,
        }
    }
}
