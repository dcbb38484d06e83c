//! The judges of phone numbers, and the memory of a carrier's verdict.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::country::Country;
use crate::domain::network::{Carrier, Network};

/// The judge that found a phone number valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// Vonage's Identity Insights API.
    IdentityInsights,
    /// Vonage's Number Insight API, which ends on 4 February 2027.
    NumberInsight,
    /// The numbering plan of the number's country, which is built in.
    NumberingPlan,
}

/// The text names no judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be identity-insights, number-insight or numbering-plan")]
pub struct NotAJudge;

impl Judge {
    const ALL: [Self; 3] = [Self::IdentityInsights, Self::NumberInsight, Self::NumberingPlan];

    /// Returns its name in the API, the configuration and the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityInsights => "identity-insights",
            Self::NumberInsight => "number-insight",
            Self::NumberingPlan => "numbering-plan",
        }
    }

    /// Returns the judge of conversations that were stored without one. There was no other at that time.
    pub(crate) fn of_older_conversations() -> Self {
        Self::NumberInsight
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Judge {
    type Err = NotAJudge;

    fn from_str(name: &str) -> Result<Self, NotAJudge> {
        Self::ALL.into_iter().find(|judge| judge.as_str() == name).ok_or(NotAJudge)
    }
}

/// A carrier's verdict that a number is valid. It is stored with a route of that number, so that the carrier is not asked
/// again for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedUp {
    /// The time of the lookup.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub at: Timestamp,
    /// The carrier's API that was asked.
    pub by: Judge,
    /// The country of the number, as the carrier knows it.
    pub country: Country,
    /// The carrier of the number, if that was asked for and found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Carrier>,
}

impl LookedUp {
    /// The time for which a verdict holds.
    const HOLDS: SignedDuration = SignedDuration::from_hours(30 * 24);

    /// Returns the network of the number.
    pub fn network(&self) -> Network {
        Network { country: self.country, carrier: self.carrier }
    }

    /// True if the verdict holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < Self::HOLDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judge_has_one_name_in_configuration_and_table() {
        for judge in Judge::ALL {
            assert_eq!(judge.as_str().parse(), Ok(judge));
            assert_eq!(serde_json::to_value(judge).unwrap(), judge.as_str());
        }
        assert_eq!("Numbering-Plan".parse::<Judge>(), Err(NotAJudge));
    }

    #[test]
    fn verdict_holds_for_30_days() {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let looked_up =
            LookedUp { at, by: Judge::NumberInsight, country: Country::try_from("GB").unwrap(), carrier: None };
        let holds = |seconds| looked_up.holds(at + SignedDuration::from_secs(seconds));
        assert_eq!([-1, 0, 30 * 86_400 - 1, 30 * 86_400].map(holds), [true, true, true, false]);
        let stored = serde_json::to_string(&looked_up).unwrap();
        assert_eq!(stored, r#"{"at":1800000000,"by":"number-insight","country":"GB"}"#);
        let with_carrier = LookedUp { carrier: "23410".parse().ok(), ..looked_up };
        let stored = serde_json::to_string(&with_carrier).unwrap();
        assert_eq!(stored, r#"{"at":1800000000,"by":"number-insight","country":"GB","carrier":"23410"}"#);
    }
}
