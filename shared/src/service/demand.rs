//! Demand for numbers. A refused creation spends nothing: it records the numbers that it lacks and invokes the function
//! that may rent them.

use serde_json::{Value, json};

use crate::clock::SharedClock;
use crate::config::{ConfigError, Environment};
use crate::domain::choice::NoFreeNumber;
use crate::domain::country::{Country, CountryCounts};
use crate::domain::shortfall::ShortfallReason;
use crate::invoke::AsyncFunction;
use crate::store::{RecordedDemand, Store, StoreError};

/// The source of the events that ask for numbers.
pub const DEMAND_SOURCE: &str = "maskline.demand";

/// The outlook of a creation that found no number free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renting {
    /// Numbers of this country are rented only by order.
    Off,
    /// A number is being rented and should be ready within seconds.
    Requested,
    /// No number can be rented, for this reason.
    Failed(ShortfallReason),
}

/// Records demand for numbers, and has it fulfilled.
pub struct DemandRecorder {
    /// The table.
    pub store: Store,
    /// Number of numbers up to which each country may rent without an order; other countries rent none.
    pub auto_rent_max: CountryCounts,
    /// The function that rents. Without it the schedule does.
    pub provisioning: Option<AsyncFunction>,
    /// The time.
    pub clock: SharedClock,
}

/// Returns the event that asks for the numbers that `country` lacks.
pub fn event(country: Country) -> Value {
    json!({"source": DEMAND_SOURCE, "country": country})
}

impl DemandRecorder {
    /// Reads `AUTO_RENT_MAX`, and `PROVISION_FUNCTION_NAME` where that sets a country.
    pub fn new(env: &Environment, store: Store, clock: SharedClock) -> Result<Self, ConfigError> {
        let auto_rent_max = env.country_counts("AUTO_RENT_MAX")?;
        let provisioning = match auto_rent_max.iter().next() {
            Some(_) => Some(AsyncFunction::provisioning(env)?),
            None => None,
        };
        Ok(Self { store, auto_rent_max, provisioning, clock })
    }

    /// Records the demand of a creation that lacks `none_free`. Returns the refusal to answer.
    pub(super) async fn record(
        &self,
        none_free: &[NoFreeNumber],
    ) -> Result<Option<(NoFreeNumber, Renting)>, StoreError> {
        // Nothing is rented for a conversation that is refused all the same.
        for lacking in none_free {
            match self.auto_rent_max.get(lacking.country) {
                None | Some(0) => return Ok(Some((*lacking, Renting::Off))),
                Some(max) if max <= lacking.ready => {
                    return Ok(Some((*lacking, Renting::Failed(ShortfallReason::AtCap))));
                }
                Some(_) => {}
            }
        }
        for lacking in none_free {
            // Two participants of one country can share a number, so one more serves both.
            let now = self.clock.now();
            match self.store.record_demand(lacking.country, lacking.ready + 1, now).await? {
                RecordedDemand::New => self.invoke(lacking.country).await,
                RecordedDemand::Known(demand) => {
                    if let Some(reason) = demand.failure(now) {
                        return Ok(Some((*lacking, Renting::Failed(reason))));
                    }
                }
            }
        }
        Ok(none_free.first().map(|lacking| (*lacking, Renting::Requested)))
    }

    /// Invokes the function that rents. If that fails, the schedule fulfils the demand.
    async fn invoke(&self, country: Country) {
        let Some(provisioning) = &self.provisioning else { return };
        if let Err(error) = provisioning.invoke(&event(country)).await {
            tracing::error!(%country, cause = %error, "invocation of provision-numbers for a demand failed");
        }
    }
}
