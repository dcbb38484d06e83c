//! The schedule of the pool: it compares the pool with the account, finishes interrupted work, and keeps headroom.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{Order, Provisioned, Provisioner, Rented, Shortfall, lease};
use crate::clock::whole_second;
use crate::domain::country::{Country, CountryCounts};
use crate::domain::peak_usage;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{LossNotes, NumberState, PoolNumber, Work};
use crate::domain::tenant::{Owner, Pool};
use crate::retry;
use crate::store::{Ledger, MAX_NUMBERS, RentError, ScanPurpose, StoreError, WORK_PAGE};
use crate::vonage::VonageError;
use crate::vonage::application::Wanted;
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
    /// Numbers of the pool that this run found to be lost.
    pub lost: Vec<VirtualNumber>,
    /// Lost numbers that Vonage lists again, and that this run made ready.
    pub found_again: Vec<VirtualNumber>,
    /// Ready numbers without their link to the application, which this run linked again.
    pub linked_again: Vec<VirtualNumber>,
    /// Number of numbers that are lost now.
    pub lost_numbers: usize,
    /// Numbers that live conversations are to leave: those that Vonage does not list, and those that are rotated.
    pub left: Vec<PoolNumber>,
    /// Numbers that were cancelled.
    pub cancelled: Vec<VirtualNumber>,
    /// Numbers that became standing masks.
    pub standing: Vec<VirtualNumber>,
    /// Numbers that moved to another owner.
    pub moved: Vec<VirtualNumber>,
    /// Numbers whose renting was finished.
    pub rented: Vec<VirtualNumber>,
    /// The rent of all numbers, in EUR a month.
    pub monthly_rent: Decimal,
    /// Ready numbers minus peak usage, by country.
    pub headroom: BTreeMap<Country, i64>,
    /// Failed steps with their reasons.
    pub shortfalls: Vec<Shortfall>,
}

impl Upkeep {
    /// True if the application serves another deployment.
    pub fn is_foreign(&self) -> bool {
        matches!(self.application_problem, Some(ApplicationProblem::ServesAnother))
    }

    fn take(&mut self, provisioned: Provisioned) {
        self.rented.extend(provisioned.added.into_iter().map(|number| number.number));
        self.shortfalls.extend(provisioned.shortfalls);
    }

    /// Records the failure of a step for one number or country, so that the run goes on with the others. Fails if the table
    /// gave no answer: the other steps would wait for it too.
    pub(super) fn step<T>(&mut self, outcome: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        Ok(Shortfall::of_step(outcome)?.map_err(|shortfall| self.shortfalls.push(shortfall)).ok())
    }

    /// Returns true if the number is ready, and records the reason if it is not.
    pub(super) fn is_ready(&mut self, rented: Rented) -> bool {
        match rented {
            Rented::Ready => return true,
            Rented::ByAnotherRun => {}
            Rented::Refused(shortfall) | Rented::Unlinked(shortfall) | Rented::Stop(shortfall) => {
                self.shortfalls.push(shortfall);
            }
        }
        false
    }
}

/// The public address of this deployment.
#[derive(Debug, Clone, Copy)]
pub struct PublicEndpoint<'a> {
    /// The URL at which Vonage reaches this deployment: `https://…`.
    pub public_url: &'a str,
    /// The URL of API Gateway, if that is another one. It leads here too.
    pub gateway_url: Option<&'a str>,
    /// True to take the application over from another deployment.
    pub take_over: bool,
}

/// The Voice application does not serve this deployment.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationProblem {
    /// It serves another deployment, whose callers would be refused here, or a domain of this one that is not known here.
    #[error(
        "the Voice application serves another deployment; if its URL leads here, set PUBLIC_URL, or else give this \
         deployment an application of its own, or take it over"
    )]
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
    /// Configures the application if the public address is known; then adopts, loses, finishes, rents and cancels
    /// numbers, in this order. A failure of Vonage does not stop the later steps. If the application serves another deployment,
    /// the numbers of this pool are looked after all the same, but numbers that the pool lacks are left to the other one.
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
                Err(problem) => done.application_problem = Some(problem),
            }
        }
        let compared = self.compare_with_account(deadline, &mut done).await;
        done.step(compared)?;
        let fulfilled = self.fulfil_demand(None, &headroom.caps, deadline).await;
        for (_, provisioned) in done.step(fulfilled)?.unwrap_or_default() {
            done.take(provisioned);
        }
        self.keep_headroom(headroom, deadline, &mut done).await?;
        let draining = self.numbers_to_drain(deadline, &mut done).await?;
        let finished = self.finish_draining(&draining, deadline, &mut done.shortfalls).await;
        let finished = done.step(finished)?.unwrap_or_default();
        (done.cancelled, done.standing, done.moved) = (finished.cancelled, finished.standing, finished.moved);
        let ledger = self.store.ledger().await?;
        done.lost_numbers = ledger.pools.iter().map(|pool| ledger.counts(*pool).of(NumberState::Lost)).sum();
        done.monthly_rent = ledger.monthly_cost;
        done.headroom = self.headroom(&ledger).await?;
        self.announce_changes(&ledger, deadline, &mut done).await?;
        Ok(done)
    }

    /// Points the application's webhooks to this deployment, and forbids Vonage to use what is said for its models. Two
    /// runs at once write the same.
    async fn configure_application(
        &self,
        endpoint: PublicEndpoint<'_>,
    ) -> Result<Vec<&'static str>, ApplicationProblem> {
        let mut application = self.applications.read(&self.application_id).await?;
        let own_urls = [endpoint.public_url].into_iter().chain(endpoint.gateway_url);
        if application.serves_other_deployment(own_urls) && !endpoint.take_over {
            return Err(ApplicationProblem::ServesAnother);
        }
        let wanted = Wanted { public_url: Some(endpoint.public_url), ..Wanted::default() };
        let changed = application.configure(wanted);
        if !changed.is_empty() {
            self.applications.replace(&self.application_id, &application).await?;
        }
        Ok(changed.into_iter().map(|change| change.what).collect())
    }

    async fn headroom(&self, ledger: &Ledger) -> Result<BTreeMap<Country, i64>, StoreError> {
        let now = self.clock.now();
        let peak_usage = self.store.peak_usage(now).await?;
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let own = ledger.pools_of(Owner::Deployment);
        let with_numbers = own.map(|pool| (pool.country, ledger.counts(pool)));
        let headroom = with_numbers.filter(|(_, counts)| counts.all() > 0).map(|(country, counts)| {
            let used = peak_usage.of(country, peak_usage::day(now));
            (country, signed(counts.of(NumberState::Ready)) - signed(used))
        });
        Ok(headroom.collect())
    }

    /// Finishes interrupted purchases in all pools, and rents for the wanted headroom of the deployment's own. Tenants get what is
    /// ordered for them.
    async fn keep_headroom(
        &self,
        headroom: &Headroom,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (ledger, peak_usage) = tokio::try_join!(self.store.ledger(), self.store.peak_usage(now))?;
        let unfinished = |pool: &Pool| ledger.counts(*pool).in_progress() > 0;
        let mut pools: BTreeSet<Pool> = ledger.pools.iter().copied().filter(unfinished).collect();
        pools.extend(headroom.numbers.iter().map(|(country, _)| Pool::own(country)));
        for Pool { owner, country } in pools {
            let count = match headroom.numbers.of(country) {
                _ if !owner.is_deployment() => 0,
                0 => 0,
                headroom => (peak_usage.of(country, peak_usage::day(now)) + headroom).min(Order::MAX_COUNT),
            };
            let cap = headroom.caps.get(country).filter(|_| owner.is_deployment());
            let order = Order { owner, search: Search::usual(country), count, cap };
            let provisioned = self.provision(&order, deadline).await;
            if let Some(provisioned) = done.step(provisioned)? {
                done.take(provisioned);
            }
        }
        Ok(())
    }

    /// Returns draining numbers, and those that are being set aside, for one route scan: those of the scan that a previous run
    /// began, or those that are due and have waited longest, so that numbers whose routes live long do not keep the others
    /// waiting. A pool whose numbers cannot be read does not keep the others waiting either.
    async fn numbers_to_drain(
        &self,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<Vec<PoolNumber>, StoreError> {
        let mut draining = Vec::new();
        if let Some(scan) = self.store.saved_route_scan(ScanPurpose::Draining).await? {
            for number in &scan.numbers {
                let number = self.store.pool_number(number).await;
                draining.extend(done.step(number)?.flatten());
            }
            return Ok(draining);
        }
        let ledger = self.store.ledger().await?;
        for pool in ledger.pools.iter().copied() {
            let counts = ledger.counts(pool);
            let mut left = counts.of(NumberState::Draining) + counts.of(NumberState::SettingAside) > 0;
            let mut after = None;
            while left {
                let page = self.store.numbers_with_work(pool, Work::Draining, after.as_ref(), WORK_PAGE).await;
                let Some(page) = done.step(page)? else { break };
                // The rest waits for another run.
                left = page.next.is_some() && !self.out_of_time(deadline);
                draining.extend(page.numbers.into_iter().filter(|number| self.is_due(number)));
                draining.sort_by_key(|number| number.leased_until);
                draining.truncate(MAX_NUMBERS);
                after = page.next;
            }
        }
        Ok(draining)
    }

    /// Adds numbers to the pool that are `missing` there and linked to the application. False if the time was too short for
    /// all of them.
    pub(super) async fn adopt_missing(
        &self,
        missing: impl Iterator<Item = &ListedNumber>,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<bool, StoreError> {
        // The other deployment's numbers are linked to the application as well.
        if done.is_foreign() {
            return Ok(true);
        }
        for listed in missing.filter(|listed| listed.settings.is_linked_to(&self.application_id)) {
            if self.out_of_time(deadline) {
                return Ok(false);
            }
            // The comparison may have begun behind it, or it was given back a short while ago.
            let Some((number, ..)) = listed.for_calls() else { continue };
            let known = self.store.is_known(&number, self.clock.now()).await;
            if done.step(known)?.unwrap_or(true) {
                continue;
            }
            let number = match self.to_adopt(listed).await {
                Ok(Some(number)) => number,
                Ok(None) => continue,
                Err(error) => {
                    done.shortfalls.push(Shortfall::general(error));
                    continue;
                }
            };
            let adopted = self.adopt(&number, listed).await;
            if let Some(rented) = done.step(adopted)?.flatten()
                && done.is_ready(rented)
            {
                done.adopted.push(number.number);
            }
        }
        Ok(true)
    }

    /// Returns a listed number as a number of the pool, or `None` if it cannot be called.
    async fn to_adopt(&self, listed: &ListedNumber) -> Result<Option<PoolNumber>, VonageError> {
        let Some((number, country, number_type, features)) = listed.for_calls() else { return Ok(None) };
        // The list has no prices. An offer of the same kind costs the same.
        let search = Search { features: features.clone(), number_type: Some(number_type), ..Search::usual(country) };
        let offers = self.numbers.search(&search, None, 1).await?.offers;
        let monthly_cost = offers.into_iter().map(|offer| offer.cost).max();
        let now = self.clock.now();
        Ok(Some(PoolNumber {
            number,
            country,
            owner: Owner::Deployment,
            number_type,
            features,
            monthly_cost,
            state: NumberState::Linking,
            added_at: whole_second(now),
            leased_until: lease(now),
            draining_since: None,
            rotating_since: None,
            missing_since: None,
            part: None,
            set_aside: false,
            moves_to: None,
            loss: LossNotes::default(),
        }))
    }

    /// Returns `None` if another run has the number, or if it was cancelled a short while ago.
    async fn adopt(&self, number: &PoolNumber, listed: &ListedNumber) -> Result<Option<Rented>, StoreError> {
        for race in 0..RACES {
            let seen = self.store.ledger().await?;
            match self.store.begin_renting(number, &seen, None).await {
                Ok(()) => return self.bought(number, Some(listed.settings.clone())).await.map(Some),
                Err(RentError::Known | RentError::Replaced) => return Ok(None),
                Err(RentError::Changed) => retry::pause(race).await,
                Err(RentError::Store(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}
