//! Renting the numbers that refused creations wait for.

use jiff::Timestamp;

use super::{Order, Provisioned, Provisioner, Shortfall};
use crate::domain::country::{Country, CountryCounts};
use crate::domain::tenant::Owner;
use crate::store::{Demand, StoreError};
use crate::vonage::numbers::Search;

impl Provisioner {
    /// Fulfils the recorded demand of `country`, or of all countries: rents until each has as many ready numbers as
    /// wanted, up to its count in `auto_rent_max`. Demand past its expiry is left to the table's TTL.
    pub async fn fulfil_demand(
        &self,
        country: Option<Country>,
        auto_rent_max: &CountryCounts,
        deadline: Option<Timestamp>,
    ) -> Result<Vec<(Demand, Provisioned)>, StoreError> {
        let now = self.clock.now();
        let demands = match country {
            Some(country) => self.store.demand(country, now).await?.into_iter().collect(),
            None => self.store.demands(now).await?,
        };
        let mut done = Vec::new();
        for demand in demands {
            let order = Order {
                owner: Owner::Deployment,
                search: Search::usual(demand.country),
                count: demand.wanted.min(Order::MAX_COUNT),
                cap: Some(auto_rent_max.of(demand.country)),
            };
            // The other countries do not wait for this one.
            let provisioned = Shortfall::of_step(self.provision(&order, deadline).await)?;
            let provisioned = provisioned
                .unwrap_or_else(|shortfall| Provisioned { shortfalls: vec![shortfall], ..Provisioned::default() });
            if provisioned.ready >= demand.wanted {
                self.store.satisfy_demand(demand.country, provisioned.ready).await?;
            } else if let Some(shortfall) = provisioned.shortfalls.first() {
                self.store.fail_demand(&demand, shortfall.reason, self.clock.now()).await?;
            }
            done.push((demand, provisioned));
        }
        Ok(done)
    }
}
