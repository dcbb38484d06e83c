//! Numbers that fall off: fewer people answer calls that show them than those of the other numbers of the country.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Provisioner, Rotated};
use crate::domain::country::Country;
use crate::domain::health::{self, Health};
use crate::domain::network::Network;
use crate::domain::phone::{E164, VirtualNumber};
use crate::domain::pool::{NumberState, PoolNumber};
use crate::event_bus::Event;
use crate::service::announce::with_tenant;
use crate::store::StoreError;

/// The numbers that fall off.
#[derive(Debug, Default)]
pub struct Unhealthy {
    /// Those in use, and the networks with which each falls off. None, if it does so with people of all networks together only.
    pub numbers: BTreeMap<VirtualNumber, BTreeSet<Network>>,
    /// Those that this run began to rotate.
    pub rotated: Vec<VirtualNumber>,
}

impl Provisioner {
    /// Finds the numbers in use that fall off, and tells the backend of each once a day. With `rotates`, also begins to rotate
    /// those that fall off with all people, one of each country in a run, so that the others are judged without it. One that falls
    /// off with a network only serves all others as before.
    pub async fn check_health(&self, rotates: bool) -> Result<Unhealthy, StoreError> {
        let now = self.clock.now();
        let mut by_country: BTreeMap<Option<Country>, BTreeMap<VirtualNumber, Health>> = BTreeMap::new();
        for (number, health) in self.store.health_of_all(now).await? {
            let country = Country::with_calling_code_of(number.as_str()).next();
            by_country.entry(country).or_default().insert(number, health);
        }
        let mut found = Unhealthy::default();
        for numbers in by_country.into_values() {
            let mut may_rotate = rotates;
            let with_all = health::unhealthy(&numbers);
            let mut with = health::unhealthy_with(&numbers);
            for number in &with_all {
                with.entry(number).or_default();
            }
            for (number, with) in with {
                let Some(of_pool) = self.store.pool_number(number).await? else { continue };
                if of_pool.state != NumberState::Ready {
                    continue;
                }
                self.tell_of_unhealthy(&of_pool, (&numbers[number], &with), now).await?;
                found.numbers.insert(number.clone(), with);
                if with_all.contains(&number) && std::mem::take(&mut may_rotate) {
                    match self.rotate(number).await? {
                        Rotated::Rotating(_) => found.rotated.push(number.clone()),
                        kept => tracing::warn!(%number, ?kept, "a number that falls off is not rotated"),
                    }
                }
            }
        }
        Ok(found)
    }

    /// Tells the backend of a number that falls off, with these networks if any, unless it was told today.
    async fn tell_of_unhealthy(
        &self,
        number: &PoolNumber,
        (health, with): (&Health, &BTreeSet<Network>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.store.is_unhealthy_told(&number.number, now).await? {
            return Ok(());
        }
        let networks: Vec<_> = with.iter().map(|network| of_network(*network, health)).collect();
        let detail = json!({"country": number.country, "number": E164::from(&number.number), "at": now.as_second().to_string(),
                            "calls": health.all.calls.to_string(), "answered": health.all.answered.to_string(),
                            "networks": networks});
        let detail = with_tenant(detail, number.owner);
        if let Err(error) = self.announcer.send(&[Event { detail_type: "Number unhealthy", detail }]).await {
            let number = &number.number;
            tracing::error!(%number, cause = %error, schedule_failures = 1u64, "an event was not sent; the next run sends it");
            return Ok(());
        }
        self.store.note_unhealthy_told(&number.number, with, now).await
    }
}

/// Returns the calls of a number to people of a network, as an event shows them.
fn of_network(network: Network, health: &Health) -> Value {
    let calls = health.networks.get(&network).copied().unwrap_or_default();
    let carrier = network.carrier.map(|carrier| carrier.to_string()).unwrap_or_default();
    json!({"country": network.country, "carrier": carrier,
           "calls": calls.calls.to_string(), "answered": calls.answered.to_string()})
}
