//! What a schedule sees to: the pool agrees with the account, what was begun is finished, and there is headroom.

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

/// What a run did and found.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// What of the Voice application was not as it has to be, and is now.
    pub application: Vec<&'static str>,
    /// Why the application is not as it has to be.
    pub application_problem: Option<ApplicationProblem>,
    /// Numbers of the account that were linked to the application and not in the pool, and are now.
    pub adopted: Vec<VirtualNumber>,
    /// Numbers of the pool that Vonage does not list as the account's.
    pub missing: Vec<VirtualNumber>,
    /// Numbers that were given back.
    pub cancelled: Vec<VirtualNumber>,
    /// Numbers that were rented, or whose renting was finished.
    pub rented: Vec<VirtualNumber>,
    /// How many numbers more than its busiest caller lately has held each country has ready.
    pub headroom: BTreeMap<Country, i64>,
    /// What could not be done, and why.
    pub shortfalls: Vec<Shortfall>,
}

impl Upkeep {
    fn take(&mut self, provisioned: Provisioned) {
        self.rented.extend(provisioned.added.into_iter().map(|number| number.number));
        self.shortfalls.extend(provisioned.shortfalls);
    }
}

/// Where Vonage's calls are to go.
#[derive(Debug, Clone, Copy)]
pub struct PublicEndpoint<'a> {
    /// Where Vonage reaches this deployment: `https://…`.
    pub public_url: &'a str,
    /// Whether to take the application's calls from another deployment.
    pub take_over: bool,
}

/// Why the Voice application does not serve this deployment.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationProblem {
    /// Its calls go to another deployment, whose callers would hear that nobody knows them.
    #[error("the application serves another deployment; give this one its own, or take it over")]
    ServesAnother,
    /// Vonage did not let it be read or changed.
    #[error("the application cannot be seen to: {0}")]
    Vonage(#[from] VonageError),
}

/// How much the deployment wants to have ready.
#[derive(Debug, Clone, Default)]
pub struct Headroom {
    /// How many numbers more than the busiest caller lately has held.
    pub numbers: CountryCounts,
    /// Up to how many numbers a country may come to without an order; a country that is not in here has no such limit.
    pub caps: CountryCounts,
}

/// How often a run meets another one at the ledger before it leaves an adoption to the next run.
const RACES: u32 = 10;

impl Provisioner {
    /// Sees to the application if it is known where Vonage reaches this deployment; then adopts, reports, finishes, rents
    /// and gives back, in this order. What fails at Vonage does not keep the rest from being done; but nothing is done to
    /// numbers of an application that serves another deployment.
    pub async fn upkeep(
        &self,
        home: Option<PublicEndpoint<'_>>,
        headroom: &Headroom,
        ends_at: Option<Timestamp>,
    ) -> Result<Upkeep, StoreError> {
        let mut done = Upkeep::default();
        if let Some(home) = home {
            match self.see_to_application(home).await {
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
                self.adopt_missing(&listed, &pool, ends_at, &mut done).await?;
                self.report_missing(&listed, &pool, ends_at, &mut done).await?;
            }
            Err(error) => done.shortfalls.push(Shortfall::general(error)),
        }
        for (_, provisioned) in self.fulfil_demand(None, &headroom.caps, ends_at).await? {
            done.take(provisioned);
        }
        self.keep_headroom(headroom, ends_at, &mut done).await?;
        let pool = self.store.whole_pool().await?;
        done.cancelled = self.finish_draining(&pool, ends_at, &mut done.shortfalls).await?;
        done.headroom = self.headroom(&pool).await?;
        Ok(done)
    }

    /// Lets the application's webhooks lead here, and Vonage use nothing of what is said. Two runs at once write the same.
    async fn see_to_application(&self, home: PublicEndpoint<'_>) -> Result<Vec<&'static str>, ApplicationProblem> {
        let mut application = self.applications.read(&self.application_id).await?;
        if application.serves_other_deployment(home.public_url) && !home.take_over {
            return Err(ApplicationProblem::ServesAnother);
        }
        let changed = application.configure(home.public_url);
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
            let held = || peak_usage.of(number.country, peak_usage::day(now));
            let ready = headroom.entry(number.country).or_insert_with(|| -i64::try_from(held()).unwrap_or(i64::MAX));
            *ready += i64::from(number.state == NumberState::Ready);
        }
        Ok(headroom)
    }

    /// Finishes what was begun in any country, and rents where there is to be headroom.
    async fn keep_headroom(
        &self,
        headroom: &Headroom,
        ends_at: Option<Timestamp>,
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
            done.take(self.provision(&order, ends_at).await?);
        }
        Ok(())
    }

    /// Takes in what is linked to the application and not in the pool.
    async fn adopt_missing(
        &self,
        listed: &[ListedNumber],
        pool: &[PoolNumber],
        ends_at: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        let known: HashSet<&str> = pool.iter().map(|number| number.number.as_str()).collect();
        let ours = |listed: &&ListedNumber| {
            listed.settings.is_linked_to(&self.application_id) && !known.contains(listed.settings.msisdn())
        };
        for listed in listed.iter().filter(ours) {
            if self.out_of_time(ends_at) {
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
                Some(Rented::Not(shortfall) | Rented::Unlinked(shortfall) | Rented::Stop(shortfall)) => {
                    done.shortfalls.push(shortfall);
                }
                Some(Rented::Elsewhere) | None => {}
            }
        }
        Ok(())
    }

    /// A listed number as the pool writes it down; none if it cannot be called.
    async fn to_adopt(&self, listed: &ListedNumber) -> Result<Option<PoolNumber>, VonageError> {
        let Some((number, country, number_type, features)) = listed.for_calls() else { return Ok(None) };
        // The list names no price. What is on offer of the same kind costs the same.
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

    /// None if another run has it, or it was given back a short while ago.
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

    /// Notes which numbers of the pool are no longer the account's. The list has pages, between which a number can slip;
    /// so each one is asked for by itself before it counts.
    async fn report_missing(
        &self,
        listed: &[ListedNumber],
        pool: &[PoolNumber],
        ends_at: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        let listed: HashSet<&str> = listed.iter().map(|listed| listed.settings.msisdn()).collect();
        // One that is being given back may be gone already.
        let expected = |number: &&PoolNumber| matches!(number.state, NumberState::Linking | NumberState::Ready);
        for number in pool.iter().filter(expected) {
            let is_listed = listed.contains(number.number.as_str());
            match (is_listed, number.missing_since) {
                (true, None) => {}
                (true, Some(_)) => self.store.note_missing(number, None).await?,
                (false, Some(_)) => done.missing.push(number.number.clone()),
                (false, None) if self.out_of_time(ends_at) => return Ok(()),
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
