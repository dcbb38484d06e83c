//! Numbers that fall off: fewer people answer calls that show them than those of the other numbers of the country.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::{Provisioner, Rotated};
use crate::domain::country::Country;
use crate::domain::health::{self, Health};
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::event_bus::Event;
use crate::store::StoreError;

/// The numbers that fall off.
#[derive(Debug, Default)]
pub struct Unhealthy {
    /// Those in use.
    pub numbers: Vec<VirtualNumber>,
    /// Those that this run began to rotate.
    pub rotated: Vec<VirtualNumber>,
}

impl Provisioner {
    /// Finds the numbers in use that fall off, and tells the backend of each once a day. With `rotates`, also begins to rotate
    /// them, one of each country in a run, so that the others are judged without it.
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
            for number in health::unhealthy(&numbers) {
                let Some(of_pool) = self.store.pool_number(number).await? else { continue };
                if of_pool.state != NumberState::Ready {
                    continue;
                }
                found.numbers.push(number.clone());
                self.tell_of_unhealthy(&of_pool, &numbers[number], now).await?;
                if std::mem::take(&mut may_rotate) {
                    match self.rotate(number).await? {
                        Rotated::Rotating(_) => found.rotated.push(number.clone()),
                        kept => tracing::warn!(%number, ?kept, "a number that falls off is not rotated"),
                    }
                }
            }
        }
        Ok(found)
    }

    /// Tells the backend of a number that falls off, unless it was told today.
    async fn tell_of_unhealthy(&self, number: &PoolNumber, health: &Health, now: Timestamp) -> Result<(), StoreError> {
        if self.store.is_unhealthy_told(&number.number, now).await? {
            return Ok(());
        }
        let detail = json!({"country": number.country, "number": number.number, "at": now.as_second().to_string(),
                            "calls": health.calls.to_string(), "answered": health.answered.to_string()});
        if let Err(error) = self.announcer.send(&[Event { detail_type: "Number unhealthy", detail }]).await {
            let number = &number.number;
            tracing::error!(%number, cause = %error, schedule_failures = 1u64, "an event was not sent; the next run sends it");
            return Ok(());
        }
        self.store.note_unhealthy_told(&number.number, now).await
    }
}
