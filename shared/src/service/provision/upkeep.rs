//! The schedule of the pool: it compares the pool with the account, finishes interrupted work, and keeps headroom.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use super::{Order, Provisioned, Provisioner, Rented, Shortfall, lease};
use crate::clock::whole_second;
use crate::domain::country::{Country, CountryCounts};
use crate::domain::peak_usage;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::retry;
use crate::store::{RentError, StoreError};
use crate::vonage::VonageError;
use crate::vonage::numbers::{ListedNumber, Search};

/// The result of a run.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// Settings of the Voice application that this run corrected.
    pub application: Vec<&'static str>,
    /// The reason why the application is not configured.
    pub application_problem: Option<ApplicationProblem>,
    /// Numbers of the account that were linked to the application, and that this run added to the pool.
    pub adopted: Vec<VirtualNumber>,
    /// Numbers of the pool that Vonage does not list for the account.
    pub missing: Vec<VirtualNumber>,
    /// Numbers that were cancelled.
    pub cancelled: Vec<VirtualNumber>,
    /// Numbers whose renting was finished.
    pub rented: Vec<VirtualNumber>,
    /// Ready numbers minus peak usage, by country.
    pub headroom: BTreeMap<Country, i64>,
    /// Failed steps with their reasons.
    pub shortfalls: Vec<Shortfall>,
}

impl Upkeep {
    fn take(&mut self, provisioned: Provisioned) {
        self.rented.extend(provisioned.added.into_iter().map(|number| number.number));
        self.shortfalls.extend(provisioned.shortfalls);
    }
}

/// The public address of this deployment.
#[derive(Debug, Clone, Copy)]
pub struct PublicEndpoint<'a> {
    /// The URL at which Vonage reaches this deployment: `https://…`.
    pub public_url: &'a str,
    /// True to take the application over from another deployment.
    pub take_over: bool,
}

/// The Voice application does not serve this deployment.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationProblem {
    /// It serves another deployment, whose callers would be refused here.
    #[error("the Voice application serves another deployment; give this one its own, or take it over")]
    ServesAnother,
    /// Vonage failed to read or change it.
    #[error("configuring the Voice application failed: {0}")]
    Vonage(#[from] VonageError),
}

/// The wanted number of ready numbers.
#[derive(Debug, Clone, Default)]
pub struct Headroom {
    /// Ready numbers beyond peak usage, by country.
    pub numbers: CountryCounts,
    /// Largest number of numbers that a country may rent without an order. Other countries have no such limit.
    pub caps: CountryCounts,
}

/// Number of lost races for the ledger after which an adoption is left to the next run.
const RACES: u32 = 10;

impl Provisioner {
    /// Configures the application if the public address is known; then adopts, reports, finishes, rents and cancels
    /// numbers, in this order. A failure of Vonage does not stop the later steps. Numbers of an application that serves
    /// another deployment are left alone.
    pub async fn upkeep(
        &self,
        endpoint: Option<PublicEndpoint<'_>>,
        headroom: &Headroom,
        deadline: Option<Timestamp>,
    ) -> Result<Upkeep, StoreError> {
        let mut done = Upkeep::default();
        if let Some(endpoint) = endpoint {
            match self.configure_application(endpoint).await {
                Ok(changed) => done.application = changed,
                Err(problem @ ApplicationProblem::ServesAnother) => {
                    // Its numbers are linked to the application as well.
                    done.application_problem = Some(problem);
                    return Ok(done);
                }
                Err(problem) => done.application_problem = Some(problem),
            }
        }
        let pool = self.store.whole_pool().await?;
        match self.numbers.list().await {
            Ok(listed) => {
                self.adopt_missing(&listed, &pool, deadline, &mut done).await?;
                self.report_missing(&listed, &pool, deadline, &mut done).await?;
            }
            Err(error) => done.shortfalls.push(Shortfall::general(error)),
        }
        for (_, provisioned) in self.fulfil_demand(None, &headroom.caps, deadline).await? {
            done.take(provisioned);
        }
        self.keep_headroom(headroom, deadline, &mut done).await?;
        let pool = self.store.whole_pool().await?;
        done.cancelled = self.finish_draining(&pool, deadline, &mut done.shortfalls).await?;
        done.headroom = self.headroom(&pool).await?;
        Ok(done)
    }

    /// Points the application's webhooks to this deployment, and forbids Vonage to use what is said for its models. Two
    /// runs at once write the same.
    async fn configure_application(
        &self,
        endpoint: PublicEndpoint<'_>,
    ) -> Result<Vec<&'static str>, ApplicationProblem> {
        let mut application = self.applications.read(&self.application_id).await?;
        if application.serves_other_deployment(endpoint.public_url) && !endpoint.take_over {
            return Err(ApplicationProblem::ServesAnother);
        }
        let changed = application.configure(endpoint.public_url);
        if !changed.is_empty() {
            self.applications.replace(&self.application_id, &application).await?;
        }
        Ok(changed)
    }

    async fn headroom(&self, pool: &[PoolNumber]) -> Result<BTreeMap<Country, i64>, StoreError> {
        let now = self.clock.now();
        let peak_usage = self.store.peak_usage(now).await?;
        let mut headroom = BTreeMap::new();
        for number in pool {
            let used = || peak_usage.of(number.country, peak_usage::day(now));
            let ready = headroom.entry(number.country).or_insert_with(|| -i64::try_from(used()).unwrap_or(i64::MAX));
            *ready += i64::from(number.state == NumberState::Ready);
        }
        Ok(headroom)
    }

    /// Finishes interrupted purchases in all countries, and rents for the wanted headroom.
    async fn keep_headroom(
        &self,
        headroom: &Headroom,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (ledger, peak_usage) = tokio::try_join!(self.store.ledger(), self.store.peak_usage(now))?;
        let mut countries: BTreeSet<Country> = ledger.countries.into_iter().collect();
        countries.extend(headroom.numbers.iter().map(|(country, _)| country));
        for country in countries {
            let count = match headroom.numbers.of(country) {
                0 => 0,
                headroom => (peak_usage.of(country, peak_usage::day(now)) + headroom).min(Order::MAX_COUNT),
            };
            let order = Order { search: Search::usual(country), count, cap: headroom.caps.get(country) };
            done.take(self.provision(&order, deadline).await?);
        }
        Ok(())
    }

    /// Adds numbers to the pool that are linked to the application.
    async fn adopt_missing(
        &self,
        listed: &[ListedNumber],
        pool: &[PoolNumber],
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        let known: HashSet<&str> = pool.iter().map(|number| number.number.as_str()).collect();
        let ours = |listed: &&ListedNumber| {
            listed.settings.is_linked_to(&self.application_id) && !known.contains(listed.settings.msisdn())
        };
        for listed in listed.iter().filter(ours) {
            if self.out_of_time(deadline) {
                return Ok(());
            }
            let number = match self.to_adopt(listed).await {
                Ok(Some(number)) => number,
                Ok(None) => continue,
                Err(error) => {
                    done.shortfalls.push(Shortfall::general(error));
                    continue;
                }
            };
            match self.adopt(&number, listed).await? {
                Some(Rented::Ready) => done.adopted.push(number.number),
                Some(Rented::Refused(shortfall) | Rented::Unlinked(shortfall) | Rented::Stop(shortfall)) => {
                    done.shortfalls.push(shortfall);
                }
                Some(Rented::ByAnotherRun) | None => {}
            }
        }
        Ok(())
    }

    /// Returns a listed number as a number of the pool, or `None` if it cannot be called.
    async fn to_adopt(&self, listed: &ListedNumber) -> Result<Option<PoolNumber>, VonageError> {
        let Some((number, country, number_type, features)) = listed.for_calls() else { return Ok(None) };
        // The list has no prices. An offer of the same kind costs the same.
        let search = Search { features: features.clone(), number_type: Some(number_type), ..Search::usual(country) };
        let offers = self.numbers.search(&search, 1).await?.offers;
        let monthly_cost = offers.into_iter().map(|offer| offer.cost).max();
        let now = self.clock.now();
        Ok(Some(PoolNumber {
            number,
            country,
            number_type,
            features,
            monthly_cost,
            state: NumberState::Linking,
            added_at: whole_second(now),
            leased_until: lease(now),
            draining_since: None,
            missing_since: None,
        }))
    }

    /// Returns `None` if another run has the number, or if it was cancelled a short while ago.
    async fn adopt(&self, number: &PoolNumber, listed: &ListedNumber) -> Result<Option<Rented>, StoreError> {
        for race in 0..RACES {
            let seen = self.store.country_pool(number.country).await?;
            match self.store.begin_renting(number, &seen).await {
                Ok(()) => return self.bought(number, Some(listed.settings.clone())).await.map(Some),
                Err(RentError::Known) => return Ok(None),
                Err(RentError::Changed) => retry::pause(race).await,
                Err(RentError::Store(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Records which numbers of the pool the account no longer owns. A number can be missed between two pages of the
    /// list, so Vonage is asked for each missing one again.
    async fn report_missing(
        &self,
        listed: &[ListedNumber],
        pool: &[PoolNumber],
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        let listed: HashSet<&str> = listed.iter().map(|listed| listed.settings.msisdn()).collect();
        // A draining number may be cancelled already.
        let expected = |number: &&PoolNumber| matches!(number.state, NumberState::Linking | NumberState::Ready);
        for number in pool.iter().filter(expected) {
            let is_listed = listed.contains(number.number.as_str());
            match (is_listed, number.missing_since) {
                (true, None) => {}
                (true, Some(_)) => self.store.note_missing(number, None).await?,
                (false, Some(_)) => done.missing.push(number.number.clone()),
                (false, None) if self.out_of_time(deadline) => return Ok(()),
                (false, None) => match self.is_owned(number).await {
                    Ok(true) => {}
                    Ok(false) => {
                        self.store.note_missing(number, Some(self.clock.now())).await?;
                        done.missing.push(number.number.clone());
                    }
                    Err(error) => done.shortfalls.push(Shortfall::general(error).about(number)),
                },
            }
        }
        Ok(())
    }

    pub(super) async fn is_owned(&self, number: &PoolNumber) -> Result<bool, VonageError> {
        Ok(self.numbers.owned(number.country, &number.number).await?.is_some())
    }
}
