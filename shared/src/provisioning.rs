//! Renting numbers until a country has as many as were ordered.
//!
//! Each number is written down as `renting` before Vonage is asked for it, becomes `linking` when it is known to be the
//! account's, and `ready` when it is linked to the Voice application. A run that dies in between leaves a number in one
//! of the first two states, and the next run goes on with that very number instead of picking another: a number can be
//! owned only once, so asking for it again never buys a second one.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::clock::{SharedClock, whole_second};
use crate::country::Country;
use crate::phone::VirtualNumber;
use crate::pool::{NumberState, PoolNumber};
use crate::store::{CountryPool, RentError, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::numbers::{NumbersApi, Offer, Search};

/// How many ready numbers a country is to have, and what the missing ones are to be like.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where to look, and for what.
    pub search: Search,
    /// How many the country is to have in all.
    pub count: usize,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Provisioned {
    /// Numbers that this run made ready.
    pub added: Vec<PoolNumber>,
    /// How many numbers of the country are ready now.
    pub ready: usize,
    /// How many are on their way, by this run or another.
    pub in_progress: usize,
    /// Why the country has fewer than were ordered.
    pub shortfalls: Vec<Shortfall>,
}

/// Why a number could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortfallReason {
    /// Vonage rents numbers of this country out only with a local address, by its dashboard.
    AddressRequired,
    /// The account's balance does not cover the rent.
    LowBalance,
    /// Vonage has no more numbers that fit the order.
    NoneLeft,
    /// Vonage refused for another reason.
    Refused,
    /// Vonage's credentials are wrong.
    Unauthorized,
    /// Vonage was asked too often.
    RateLimited,
    /// Vonage did not answer so that the outcome is known; the next run finds out and goes on.
    Unconfirmed,
    /// Vonage could not be reached.
    CarrierUnavailable,
}

/// One reason for a shortfall.
#[derive(Debug)]
pub struct Shortfall {
    /// The reason.
    pub reason: ShortfallReason,
    /// The number concerned, where it is about one.
    pub number: Option<VirtualNumber>,
    /// What Vonage said.
    pub cause: Option<VonageError>,
}

impl Provisioned {
    /// The failure of Vonage that kept this run from adding anything at all, if there was one. That Vonage has none
    /// left, or refused to rent one out, is an outcome and no failure.
    pub fn into_failure(self) -> Option<VonageError> {
        use ShortfallReason::{CarrierUnavailable, RateLimited, Unauthorized, Unconfirmed};
        if !self.added.is_empty() {
            return None;
        }
        let failed = |reason| matches!(reason, Unauthorized | RateLimited | Unconfirmed | CarrierUnavailable);
        self.shortfalls.into_iter().find(|shortfall| failed(shortfall.reason)).and_then(|shortfall| shortfall.cause)
    }
}

/// Rents numbers and links them.
pub struct Provisioner {
    /// The table.
    pub store: Store,
    /// The carrier.
    pub numbers: NumbersApi,
    /// The Voice application that numbers are linked to.
    pub application_id: String,
    /// The time.
    pub clock: SharedClock,
}

/// How long a run has a number to itself: longer than a function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// How many numbers in a row Vonage may refuse before a run gives up: others may buy what the search still shows.
const REFUSALS: u32 = 3;

/// The numbers that a search offers, page by page.
struct Offers<'a> {
    api: &'a NumbersApi,
    search: &'a Search,
    page: std::vec::IntoIter<Offer>,
    next_index: Option<u32>,
}

/// How renting one number went.
enum Rented {
    Ready,
    /// This number cannot be had.
    Not(Shortfall),
    /// Nothing more can be done in this run.
    Stop(Shortfall),
}

impl Provisioner {
    /// Makes the country hold at least as many ready numbers as ordered, as far as that is possible.
    pub async fn provision(&self, order: &Order) -> Result<Provisioned, StoreError> {
        let country = order.search.country;
        let mut done = Provisioned::default();
        let finished = self.finish_begun(country, &mut done).await?;
        if finished {
            self.rent_missing(order, &mut done).await?;
        }
        for number in self.store.pool_numbers(country).await? {
            match number.state {
                NumberState::Ready => done.ready += 1,
                NumberState::Renting | NumberState::Linking => done.in_progress += 1,
                NumberState::Draining => {}
            }
        }
        Ok(done)
    }

    /// Goes on with what an earlier run began and did not finish. False if Vonage is in no state to go on.
    async fn finish_begun(&self, country: Country, done: &mut Provisioned) -> Result<bool, StoreError> {
        for number in self.store.pool_numbers(country).await? {
            let now = self.clock.now();
            let begun = matches!(number.state, NumberState::Renting | NumberState::Linking);
            if !begun || now < number.leased_until || !self.store.take_over(&number, now, lease(now)).await? {
                continue;
            }
            match self.resume(&number).await? {
                Rented::Ready => done.added.push(ready(number)),
                Rented::Not(shortfall) => done.shortfalls.push(shortfall),
                Rented::Stop(shortfall) => {
                    done.shortfalls.push(shortfall);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn rent_missing(&self, order: &Order, done: &mut Provisioned) -> Result<(), StoreError> {
        let mut offers = Offers::new(&self.numbers, &order.search);
        let mut refusals = 0;
        loop {
            let pool = self.store.country_pool(order.search.country).await?;
            if pool.numbers.iter().filter(|number| number.state != NumberState::Draining).count() >= order.count {
                return Ok(());
            }
            let offer = match offers.next(&pool).await {
                Ok(Some(offer)) => offer,
                Ok(None) => {
                    done.shortfalls.push(Shortfall { reason: ShortfallReason::NoneLeft, number: None, cause: None });
                    return Ok(());
                }
                Err(error) => {
                    done.shortfalls.push(Shortfall::general(error));
                    return Ok(());
                }
            };
            let number = self.written_down(offer, order.search.country);
            match self.store.begin_renting(&number, &pool).await {
                Ok(()) => {}
                Err(RentError::Changed) => {
                    // Another run writes to the same list: see what is still missing, and search anew.
                    offers = Offers::new(&self.numbers, &order.search);
                    continue;
                }
                Err(RentError::Store(error)) => return Err(error),
            }
            match self.rent(&number).await? {
                Rented::Ready => {
                    refusals = 0;
                    done.added.push(ready(number));
                }
                Rented::Not(_) if refusals + 1 < REFUSALS => refusals += 1,
                Rented::Not(shortfall) | Rented::Stop(shortfall) => {
                    done.shortfalls.push(shortfall);
                    return Ok(());
                }
            }
        }
    }

    fn written_down(&self, offer: Offer, country: Country) -> PoolNumber {
        let now = self.clock.now();
        PoolNumber {
            number: offer.msisdn,
            country,
            number_type: offer.number_type,
            features: offer.features,
            monthly_cost: offer.cost,
            state: NumberState::Renting,
            added_at: whole_second(now),
            leased_until: lease(now),
        }
    }

    /// Goes on with a number that was taken over. Whether it was bought already is looked up before anything else:
    /// no failure of this run may make the pool forget a number that an earlier run has bought.
    async fn resume(&self, number: &PoolNumber) -> Result<Rented, StoreError> {
        if number.state == NumberState::Linking {
            return self.finish(number).await;
        }
        match self.numbers.owned(number.country, &number.number).await {
            Ok(Some(_)) => self.bought(number).await,
            Ok(None) => self.rent(number).await,
            Err(error) => Ok(Rented::Stop(Shortfall::of(number, error))),
        }
    }

    /// Takes a number that is written down, leased and not bought yet to `ready`.
    async fn rent(&self, number: &PoolNumber) -> Result<Rented, StoreError> {
        match self.buy(number).await? {
            None => self.bought(number).await,
            Some(outcome) => Ok(outcome),
        }
    }

    async fn bought(&self, number: &PoolNumber) -> Result<Rented, StoreError> {
        self.store.advance_number(number, NumberState::Renting, NumberState::Linking).await?;
        self.finish(number).await
    }

    async fn finish(&self, number: &PoolNumber) -> Result<Rented, StoreError> {
        match self.link(number).await {
            Ok(()) => {
                self.store.advance_number(number, NumberState::Linking, NumberState::Ready).await?;
                Ok(Rented::Ready)
            }
            Err(error) => Ok(Rented::Stop(Shortfall::of(number, error))),
        }
    }

    /// Makes sure that the account owns the number. None if it does; otherwise what that means for the run.
    async fn buy(&self, number: &PoolNumber) -> Result<Option<Rented>, StoreError> {
        let refusal = match self.numbers.buy(number.country, &number.number).await {
            Ok(()) => return Ok(None),
            Err(error) => error,
        };
        if matches!(refusal, VonageError::Refused { .. }) || refusal.outcome_is_unknown() {
            match self.numbers.owned(number.country, &number.number).await {
                // Bought after all, or by an earlier run.
                Ok(Some(_)) => return Ok(None),
                Ok(None) if !refusal.outcome_is_unknown() => {}
                // Whether it was bought is not known: it stays written down, and the next run asks again.
                Ok(None) | Err(_) => return Ok(Some(Rented::Stop(Shortfall::unconfirmed(number, refusal)))),
            }
        }
        self.store.forget_number(number).await?;
        let shortfall = Shortfall::of(number, refusal);
        Ok(Some(match shortfall.reason {
            ShortfallReason::Refused => Rented::Not(shortfall),
            _ => Rented::Stop(shortfall),
        }))
    }

    async fn link(&self, number: &PoolNumber) -> Result<(), VonageError> {
        let owned = self.numbers.owned(number.country, &number.number).await?;
        let owned = owned.ok_or_else(|| VonageError::NotUnderstood(None))?;
        self.numbers.link(owned, &self.application_id).await
    }
}

impl<'a> Offers<'a> {
    fn new(api: &'a NumbersApi, search: &'a Search) -> Self {
        Self { api, search, page: Vec::new().into_iter(), next_index: Some(1) }
    }

    /// The next number on offer that suits the order and is not in the pool.
    async fn next(&mut self, pool: &CountryPool) -> Result<Option<Offer>, VonageError> {
        loop {
            for offer in self.page.by_ref() {
                let known = pool.numbers.iter().any(|number| number.number == offer.msisdn);
                if !known && offer.suits(&self.search.features) {
                    return Ok(Some(offer));
                }
            }
            let Some(index) = self.next_index else { return Ok(None) };
            let page = self.api.search(self.search, index).await?;
            self.next_index = page.more.then_some(index + 1);
            self.page = page.offers.into_iter();
        }
    }
}

impl Shortfall {
    fn of(number: &PoolNumber, cause: VonageError) -> Self {
        Self { number: Some(number.number.clone()), ..Self::general(cause) }
    }

    fn unconfirmed(number: &PoolNumber, cause: VonageError) -> Self {
        Self { reason: ShortfallReason::Unconfirmed, ..Self::of(number, cause) }
    }

    fn general(cause: VonageError) -> Self {
        let reason = match &cause {
            VonageError::Unauthorized => ShortfallReason::Unauthorized,
            VonageError::RateLimited => ShortfallReason::RateLimited,
            VonageError::Refused { label, .. } => refusal_reason(label),
            _ => ShortfallReason::CarrierUnavailable,
        };
        Self { reason, number: None, cause: Some(cause) }
    }
}

/// What a refusal means. Code 420 covers everything, so only the label tells; "method failed" for a number that is not
/// the account's is what integrators see when the balance is too low.
fn refusal_reason(label: &str) -> ShortfallReason {
    let label = label.to_ascii_lowercase();
    let says = |word| label.contains(word);
    if says("address") {
        ShortfallReason::AddressRequired
    } else if says("balance") || says("credit") || says("funds") || says("method failed") {
        ShortfallReason::LowBalance
    } else {
        ShortfallReason::Refused
    }
}

fn lease(now: Timestamp) -> Timestamp {
    whole_second(now + LEASE)
}

fn ready(number: PoolNumber) -> PoolNumber {
    PoolNumber { state: NumberState::Ready, ..number }
}
