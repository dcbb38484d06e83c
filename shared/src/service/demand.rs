//! Demand for numbers. A refused creation spends nothing: it records the numbers that it lacks and invokes the function
//! that may rent them. That function also checks a number that Vonage does not know as ours.

use serde_json::{Value, json};

use crate::clock::SharedClock;
use crate::config::{ConfigError, Environment};
use crate::domain::choice::NoFreeNumber;
use crate::domain::country::{Country, CountryCounts};
use crate::domain::phone::VirtualNumber;
use crate::domain::shortfall::ShortfallReason;
use crate::domain::tenant::Owner;
use crate::invoke::AsyncFunction;
use crate::store::{RecordedDemand, Store, StoreError};

/// The source of the events that ask for numbers.
pub const DEMAND_SOURCE: &str = "maskline.demand";

/// The source of the events that ask for the check of a number.
pub const CHECK_SOURCE: &str = "maskline.check";

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

/// Records demand for numbers, and has it fulfilled. Has doubtful numbers checked.
pub struct DemandRecorder {
    /// The table.
    pub store: Store,
    /// Number of numbers up to which each country may rent without an order; other countries rent none.
    pub auto_rent_max: CountryCounts,
    /// The function that rents and checks numbers. Without it the schedule does.
    pub provisioning: Option<AsyncFunction>,
    /// The time.
    pub clock: SharedClock,
}

/// Returns the event that asks for the numbers that `country` lacks.
pub fn event(country: Country) -> Value {
    json!({"source": DEMAND_SOURCE, "country": country})
}

/// Returns the event that asks for the check of `number` at Vonage.
pub fn check_event(number: &VirtualNumber) -> Value {
    json!({"source": CHECK_SOURCE, "number": number})
}

impl DemandRecorder {
    /// Reads `AUTO_RENT_MAX`, and `PROVISION_FUNCTION_NAME`, which may be missing if `AUTO_RENT_MAX` sets no country.
    pub fn new(env: &Environment, store: Store, clock: SharedClock) -> Result<Self, ConfigError> {
        let auto_rent_max = env.country_counts("AUTO_RENT_MAX")?;
        let is_needed = auto_rent_max.iter().next().is_some() || env.optional("PROVISION_FUNCTION_NAME").is_some();
        let provisioning = if is_needed { Some(AsyncFunction::provisioning(env)?) } else { None };
        Ok(Self { store, auto_rent_max, provisioning, clock })
    }

    /// Records the demand of a creation that lacks `none_free`. Returns the refusal to answer. Tenants get numbers by order only.
    pub(super) async fn record(
        &self,
        owner: Owner,
        none_free: &[NoFreeNumber],
    ) -> Result<Option<(NoFreeNumber, Renting)>, StoreError> {
        if !owner.is_deployment() {
            return Ok(none_free.first().map(|lacking| (lacking.clone(), Renting::Off)));
        }
        // Nothing is rented for a conversation that is refused all the same.
        for lacking in none_free {
            match self.auto_rent_max.get(lacking.country) {
                None | Some(0) => return Ok(Some((lacking.clone(), Renting::Off))),
                Some(max) if max <= lacking.ready => {
                    return Ok(Some((lacking.clone(), Renting::Failed(ShortfallReason::AtCap))));
                }
                Some(_) => {}
            }
        }
        for lacking in none_free {
            // Two participants of one country can share a number, so one more serves both.
            let now = self.clock.now();
            let recorded = match self.store.record_demand(lacking.country, lacking.ready + 1, now).await {
                // The refusal is the same. Nothing is rented, because it is not known what is being rented already.
                Err(StoreError::Unreadable(..)) => return Ok(Some((lacking.clone(), Renting::Off))),
                recorded => recorded?,
            };
            match recorded {
                RecordedDemand::New => self.invoke(&event(lacking.country)).await,
                RecordedDemand::Known(demand) => {
                    if let Some(reason) = demand.failure(now) {
                        return Ok(Some((lacking.clone(), Renting::Failed(reason))));
                    }
                }
            }
        }
        Ok(none_free.first().map(|lacking| (lacking.clone(), Renting::Requested)))
    }

    /// Has a number checked at Vonage, because a text message from it was refused.
    pub(super) async fn check(&self, number: &VirtualNumber) {
        self.invoke(&check_event(number)).await;
    }

    /// Invokes the function that rents and checks. If that fails, the schedule does it.
    async fn invoke(&self, event: &Value) {
        let Some(provisioning) = &self.provisioning else { return };
        if let Err(error) = provisioning.invoke(event).await {
            let source = event["source"].as_str();
            tracing::error!(source, cause = %error, "invocation of provision-numbers failed");
        }
    }
}
