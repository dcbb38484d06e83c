//! Renting numbers until a country has as many as were ordered.
//!
//! Each number is written down as `renting` before Vonage is asked for it, becomes `linking` when it is known to be the
//! account's, and `ready` when it is linked to the Voice application. A run that dies in between leaves a number in one
//! of the first two states, and the next run goes on with that very number instead of picking another: a number can be
//! owned only once, so asking for it again never buys a second one.

mod demand;
mod draining;
mod search_cursor;
mod shortfall;
mod upkeep;

use jiff::{SignedDuration, Timestamp};

use rust_decimal::Decimal;

use crate::clock::{SharedClock, whole_second};
use crate::config::{ConfigError, Environment};
use crate::domain::country::Country;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::retry;
use crate::store::{RentError, Store, StoreError};
use crate::vonage::applications::ApplicationsApi;
use crate::vonage::numbers::{NumbersApi, Offer, OwnedNumber, Search};
use crate::vonage::{Vonage, VonageError};

pub use crate::domain::shortfall::ShortfallReason;
pub use draining::Drained;
use search_cursor::SearchCursor;
pub use shortfall::Shortfall;
pub use upkeep::{ApplicationProblem, Headroom, PublicEndpoint, Upkeep};

/// How many ready numbers a country is to have, and what the missing ones are to be like.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where to look, and for what.
    pub search: Search,
    /// How many the country is to have in all.
    pub count: usize,
    /// Up to how many numbers, in whatever state, this order may bring the country.
    pub cap: Option<usize>,
}

impl Order {
    /// The most numbers that one order may ask for: a slip of the finger should not rent ten thousand.
    pub const MAX_COUNT: usize = 1000;
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
    /// The carrier's applications.
    pub applications: ApplicationsApi,
    /// The Voice application that numbers are linked to.
    pub application_id: String,
    /// What the rent of the whole pool may come to a month, in EUR.
    pub monthly_budget: Option<Decimal>,
    /// The time.
    pub clock: SharedClock,
}

/// How long a run has a number to itself: longer than it takes to look it up and buy it, even if Vonage is slow and says
/// that it is asked too often. What follows after that does no harm twice.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// How many numbers in a row Vonage may refuse before a run gives up: others may buy what the search still shows.
const REFUSALS: usize = 3;

/// How often a run meets another one at the same list before it gives up.
const RACES: u32 = 50;

/// What came of looking for the next number to rent.
enum Begun {
    /// It is written down.
    Number(PoolNumber),
    Enough,
    NoneLeft,
    Not(Shortfall),
}

/// Who may have bought a number that is written down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Earlier {
    /// This run has just written it down.
    Nobody,
    /// A run that died.
    Run,
}

/// How renting one number went.
enum Rented {
    Ready,
    /// Another run has taken it further.
    Elsewhere,
    /// This number cannot be had, and is written down no more.
    Not(Shortfall),
    /// This number is bought, and Vonage refuses to link it.
    Unlinked(Shortfall),
    /// Nothing more can be done in this run.
    Stop(Shortfall),
}

/// What came of asking Vonage for a number.
enum Purchase {
    /// It is the account's; what the account holds of it, if that was looked at.
    Bought(Option<OwnedNumber>),
    Not(Rented),
}

impl Provisioner {
    /// For the account in `env`: `VONAGE_APPLICATION_ID`, `VONAGE_NUMBERS_INTERVAL_MS` and `MONTHLY_BUDGET_EUR`.
    pub fn new(env: &Environment, store: Store, vonage: Vonage, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self {
            store,
            numbers: NumbersApi::new(vonage.clone(), env.numbers_interval()?),
            applications: ApplicationsApi(vonage),
            application_id: env.required("VONAGE_APPLICATION_ID")?,
            monthly_budget: env.monthly_budget()?,
            clock,
        })
    }

    /// Makes the country hold at least as many ready numbers as ordered, as far as that is possible until `ends_at`.
    pub async fn provision(&self, order: &Order, ends_at: Option<Timestamp>) -> Result<Provisioned, StoreError> {
        let country = order.search.country;
        let mut done = Provisioned::default();
        let stopped = match self.finish_begun(country, ends_at, &mut done).await? {
            Some(shortfall) => Some(shortfall),
            None => self.rent_missing(order, ends_at, &mut done).await?,
        };
        done.shortfalls.extend(stopped);
        for number in self.store.pool_numbers(country).await? {
            match number.state {
                NumberState::Ready => done.ready += 1,
                NumberState::Renting | NumberState::Linking => done.in_progress += 1,
                NumberState::Draining => {}
            }
        }
        Ok(done)
    }

    /// Goes on with what an earlier run began and did not finish. Gives what keeps this run from going on.
    async fn finish_begun(
        &self,
        country: Country,
        ends_at: Option<Timestamp>,
        done: &mut Provisioned,
    ) -> Result<Option<Shortfall>, StoreError> {
        for number in self.store.pool_numbers(country).await? {
            let now = self.clock.now();
            let begun = matches!(number.state, NumberState::Renting | NumberState::Linking);
            if !begun || now < number.leased_until {
                continue;
            }
            if self.out_of_time(ends_at) {
                return Ok(Some(Shortfall::because(ShortfallReason::OutOfTime)));
            }
            let Some(number) = self.store.take_over(number, now, lease(now)).await? else { continue };
            match self.resume(&number).await? {
                Rented::Ready => done.added.push(ready(number)),
                Rented::Elsewhere => {}
                Rented::Not(shortfall) | Rented::Unlinked(shortfall) => done.shortfalls.push(shortfall),
                Rented::Stop(shortfall) => return Ok(Some(shortfall)),
            }
        }
        Ok(None)
    }

    /// Rents until there are enough. Gives what keeps this run from that.
    async fn rent_missing(
        &self,
        order: &Order,
        ends_at: Option<Timestamp>,
        done: &mut Provisioned,
    ) -> Result<Option<Shortfall>, StoreError> {
        let mut offers = SearchCursor::new(&self.numbers, &order.search);
        let mut refused = Vec::new();
        loop {
            let number = match self.begin_next(order, &mut offers, ends_at).await? {
                Begun::Number(number) => number,
                Begun::Enough => return Ok(None),
                // If the last ones were refused, that is why.
                Begun::NoneLeft => {
                    return Ok(Some(refused.pop().unwrap_or(Shortfall::because(ShortfallReason::NoneLeft))));
                }
                Begun::Not(shortfall) => return Ok(Some(shortfall)),
            };
            match self.rent(&number, Earlier::Nobody).await? {
                Rented::Ready => {
                    refused.clear();
                    done.added.push(ready(number));
                }
                Rented::Elsewhere => {}
                Rented::Not(shortfall) if refused.len() + 1 < REFUSALS => refused.push(shortfall),
                // What cannot link this number will not link the next one either.
                Rented::Not(shortfall) | Rented::Unlinked(shortfall) | Rented::Stop(shortfall) => {
                    return Ok(Some(shortfall));
                }
            }
        }
    }

    /// Writes down the next number to rent, if there are not enough.
    async fn begin_next(
        &self,
        order: &Order,
        offers: &mut SearchCursor<'_>,
        ends_at: Option<Timestamp>,
    ) -> Result<Begun, StoreError> {
        for race in 0..RACES {
            let pool = self.store.country_pool(order.search.country).await?;
            if pool.numbers.iter().filter(|number| number.state != NumberState::Draining).count() >= order.count {
                return Ok(Begun::Enough);
            }
            if order.cap.is_some_and(|cap| pool.numbers.len() >= cap) {
                return Ok(Begun::Not(Shortfall::because(ShortfallReason::AtCap)));
            }
            let offer = match offers.next(&pool).await {
                Ok(Some(offer)) => offer,
                Ok(None) => return Ok(Begun::NoneLeft),
                Err(error) => return Ok(Begun::Not(Shortfall::general(error))),
            };
            if self.monthly_budget.is_some_and(|budget| pool.ledger.monthly_cost + offer.cost > budget) {
                return Ok(Begun::Not(Shortfall::because(ShortfallReason::OverBudget)));
            }
            // A search may have taken its time.
            if self.out_of_time(ends_at) {
                return Ok(Begun::Not(Shortfall::because(ShortfallReason::OutOfTime)));
            }
            let number = self.written_down(&offer, order.search.country);
            match self.store.begin_renting(&number, &pool).await {
                Ok(()) => return Ok(Begun::Number(number)),
                Err(RentError::Known) => {}
                // Another run writes to the same ledger: see what is still missing.
                Err(RentError::Changed) => {
                    offers.put_back(offer);
                    retry::pause(race).await;
                }
                Err(RentError::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Contended("the pool's ledger"))
    }

    /// Whether it is too late to begin with another number. One that is cut off half-way is not lost: the next run goes
    /// on with it.
    fn out_of_time(&self, ends_at: Option<Timestamp>) -> bool {
        ends_at.is_some_and(|ends_at| self.clock.now() + self.numbers.time_for_one() >= ends_at)
    }

    fn written_down(&self, offer: &Offer, country: Country) -> PoolNumber {
        let now = self.clock.now();
        PoolNumber {
            number: offer.msisdn.clone(),
            country,
            number_type: offer.number_type,
            features: offer.features.clone(),
            monthly_cost: Some(offer.cost),
            state: NumberState::Renting,
            added_at: whole_second(now),
            leased_until: lease(now),
            draining_since: None,
            missing_since: None,
        }
    }

    /// Goes on with a number that was taken over. Whether it was bought already is looked up before anything else:
    /// no failure of this run may make the pool forget a number that an earlier run has bought.
    async fn resume(&self, number: &PoolNumber) -> Result<Rented, StoreError> {
        match (self.numbers.owned(number.country, &number.number).await, number.state) {
            (Ok(Some(owned)), _) => self.bought(number, Some(owned)).await,
            (Ok(None), NumberState::Renting) => self.rent(number, Earlier::Run).await,
            // Bought and gone: Vonage releases numbers when the balance is used up. If the list is wrong, Vonage
            // refuses to sell it again; only both together make the pool forget it.
            (Ok(None), _) => Ok(match self.rent(number, Earlier::Run).await? {
                Rented::Not(shortfall) => Rented::Not(Shortfall { reason: ShortfallReason::Released, ..shortfall }),
                outcome => outcome,
            }),
            (Err(error), _) => Ok(Rented::Stop(Shortfall::general(error).about(number))),
        }
    }

    /// Takes a number that is written down, leased and not known to be bought to `ready`.
    async fn rent(&self, number: &PoolNumber, earlier: Earlier) -> Result<Rented, StoreError> {
        match self.buy(number, earlier).await? {
            Purchase::Bought(owned) => self.bought(number, owned).await,
            Purchase::Not(outcome) => Ok(outcome),
        }
    }

    async fn bought(&self, number: &PoolNumber, owned: Option<OwnedNumber>) -> Result<Rented, StoreError> {
        self.store.note_bought(number).await?;
        let listed = match owned {
            Some(owned) => Ok(Some(owned)),
            None => self.numbers.owned(number.country, &number.number).await,
        };
        match listed {
            Ok(Some(owned)) => self.link(number, owned).await,
            // Bought a moment ago and not listed yet: the next run finds it.
            Ok(None) => Ok(Rented::Stop(Shortfall::because(ShortfallReason::Unconfirmed).about(number))),
            Err(error) => Ok(Rented::Stop(Shortfall::general(error).about(number))),
        }
    }

    async fn link(&self, number: &PoolNumber, owned: OwnedNumber) -> Result<Rented, StoreError> {
        // Vonage refuses any update of a number whose message webhook is dead; so none is made without need.
        let linked = if owned.reaches(&self.application_id) {
            Ok(())
        } else {
            self.numbers.link(owned, &self.application_id).await
        };
        match linked {
            Ok(()) if self.store.make_ready(number).await? => Ok(Rented::Ready),
            Ok(()) => Ok(Rented::Elsewhere),
            Err(error @ VonageError::Refused { .. }) => Ok(Rented::Unlinked(Shortfall::general(error).about(number))),
            Err(error) => Ok(Rented::Stop(Shortfall::general(error).about(number))),
        }
    }

    /// Asks Vonage for the number, and if need be what came of that.
    async fn buy(&self, number: &PoolNumber, earlier: Earlier) -> Result<Purchase, StoreError> {
        let refusal = match self.numbers.buy(number.country, &number.number).await {
            Ok(()) => return Ok(Purchase::Bought(None)),
            Err(error) => error,
        };
        let refused = matches!(refusal, VonageError::Refused { .. });
        if refused || refusal.outcome_is_unknown() {
            match self.numbers.owned(number.country, &number.number).await {
                // Bought after all, or by an earlier run.
                Ok(Some(owned)) => return Ok(Purchase::Bought(Some(owned))),
                Ok(None) if !refusal.outcome_is_unknown() => {}
                // Whether it was bought is not known: it stays written down, and the next run asks again.
                Ok(None) | Err(_) => {
                    let unconfirmed =
                        Shortfall { cause: Some(refusal), ..Shortfall::because(ShortfallReason::Unconfirmed) };
                    return Ok(Purchase::Not(Rented::Stop(unconfirmed.about(number))));
                }
            }
        }
        let shortfall = Shortfall::general(refusal).about(number);
        // A request that was not carried out says nothing of what an earlier one did.
        if !refused && earlier == Earlier::Run {
            return Ok(Purchase::Not(Rented::Stop(shortfall)));
        }
        self.store.forget_number(number).await?;
        Ok(Purchase::Not(match shortfall.reason {
            // Vonage's "method failed" is said of a low balance, and also of a number that somebody else has bought.
            ShortfallReason::Refused | ShortfallReason::LowBalance => Rented::Not(shortfall),
            _ => Rented::Stop(shortfall),
        }))
    }
}

fn lease(now: Timestamp) -> Timestamp {
    whole_second(now + LEASE)
}

fn ready(number: PoolNumber) -> PoolNumber {
    PoolNumber { state: NumberState::Ready, ..number }
}
