//! Renting numbers until a pool has as many as ordered.
//!
//! A number is stored as `renting` before it is bought, as `linking` once the account owns it, and as `ready` when it is
//! linked to the Voice application. A run that dies leaves a number in one of the first two states, and the next run
//! continues with that number. A number can be owned only once, so asking for it again never buys a second one.

mod account_walk;
mod demand;
mod draining;
mod health;
mod lost;
mod moves;
mod open_orders;
mod order;
mod plan;
mod rotation;
mod search_cursor;
mod settings;
mod shortfall;
mod take_back;
mod upkeep;

use jiff::{SignedDuration, Timestamp};

use rust_decimal::Decimal;

use crate::clock::{SharedClock, whole_second};
use crate::config::{ConfigError, Environment};
use crate::domain::order::{OpenOrder, TakesBack};
use crate::domain::pool::{LossNotes, NumberState, PoolNumber, Work};
use crate::domain::tenant::{Owner, Pool};
use crate::domain::tenant_settings::{NoMore, TenantSettings};
use crate::retry;
use crate::service::announce::Announcer;
use crate::store::{RentError, Store, StoreError, WORK_PAGE};
use crate::vonage::applications::ApplicationsApi;
use crate::vonage::numbers::{NumbersApi, Offer, OwnedNumber};
use crate::vonage::{Vonage, VonageError};

pub use crate::domain::shortfall::ShortfallReason;
pub use account_walk::WalkEnd;
pub use draining::Drained;
pub use health::Unhealthy;
pub use moves::Moved;
pub use open_orders::ORDERS_SOURCE;
pub use order::{Order, Provisioned};
pub use plan::Plan;
pub use rotation::Rotated;
use search_cursor::SearchCursor;
pub use settings::{MOST_CHANGED_PHONES, SettingsChange, SettingsError};
use shortfall::may_mean_low_balance;
pub use shortfall::{Shortfall, ShortfallCause};
pub use take_back::TakenBack;
pub use upkeep::{ApplicationProblem, Headroom, PublicEndpoint, Upkeep};

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
    /// Largest monthly rent of the whole pool, in EUR.
    pub monthly_budget: Option<Decimal>,
    /// Tells the backend of lost numbers.
    pub announcer: Announcer,
    /// The clock.
    pub clock: SharedClock,
}

/// Lease of a run on a number. It is longer than checking and buying the number takes, even if Vonage is slow and limits
/// the rate. The steps after the purchase may run twice.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// Number of consecutive refusals after which a run gives up. Somebody else may buy a number that the search still
/// shows.
const REFUSALS: usize = 3;

/// Number of lost races for the ledger after which a run gives up.
const RACES: u32 = 50;

/// The next number to rent.
enum NextNumber {
    /// It is stored as `renting`.
    Stored(Box<PoolNumber>),
    Enough,
    NoneLeft,
    Blocked(Shortfall),
}

/// The history of a number that is stored as `renting`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PreviousAttempt {
    /// This run has just stored it.
    None,
    /// A run that died may have bought it.
    Possible,
}

/// The result of renting one number.
enum Rented {
    Ready,
    /// Another run has continued with it.
    ByAnotherRun,
    /// This number cannot be bought. Its item is deleted.
    Refused(Shortfall),
    /// This number is bought, but Vonage refuses to link it.
    Unlinked(Shortfall),
    /// This run cannot continue.
    Stop(Shortfall),
}

/// The result of a purchase.
enum Purchase {
    /// The account owns the number. Its settings, if they were read.
    Bought(Option<OwnedNumber>),
    Failed(Rented),
}

impl Provisioner {
    /// Reads `VONAGE_APPLICATION_ID`, `VONAGE_NUMBERS_INTERVAL_MS`, `MONTHLY_BUDGET_EUR` and the bus.
    pub fn new(env: &Environment, store: Store, vonage: Vonage, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self {
            store,
            numbers: NumbersApi::new(vonage.clone(), env.numbers_interval()?),
            applications: ApplicationsApi(vonage),
            application_id: env.required("VONAGE_APPLICATION_ID")?,
            monthly_budget: env.monthly_budget()?,
            announcer: Announcer::from_environment(env)?,
            clock,
        })
    }

    /// Rents until the pool has at least as many ready numbers as ordered, as far as possible before `deadline`.
    pub async fn provision(&self, order: &Order, deadline: Option<Timestamp>) -> Result<Provisioned, StoreError> {
        self.provision_for(order, None, deadline).await
    }

    /// Does the same for an order that is `open`, as long as it is. It takes draining numbers back before it rents any.
    async fn provision_for(
        &self,
        order: &Order,
        open: Option<(&OpenOrder, TakesBack)>,
        deadline: Option<Timestamp>,
    ) -> Result<Provisioned, StoreError> {
        let pool = order.pool();
        let mut done = Provisioned::default();
        let mut stopped = self.resume_unfinished(pool, deadline, &mut done).await?;
        if let (None, Some((_, which))) = (&stopped, open) {
            stopped = self.take_back_missing(order, which, deadline, &mut done).await?;
        }
        if stopped.is_none() {
            stopped = self.rent_missing(order, open.map(|(open, _)| open), deadline, &mut done).await?;
        }
        done.shortfalls.extend(stopped);
        let counts = self.store.ledger().await?.counts(pool);
        (done.ready, done.in_progress) = (counts.of(NumberState::Ready), counts.in_progress());
        Ok(done)
    }

    /// Resumes purchases left unfinished by an earlier run. Returns the reason if this run has to stop.
    async fn resume_unfinished(
        &self,
        pool: Pool,
        deadline: Option<Timestamp>,
        done: &mut Provisioned,
    ) -> Result<Option<Shortfall>, StoreError> {
        if self.store.ledger().await?.counts(pool).in_progress() == 0 {
            return Ok(None);
        }
        let (mut after, mut unlinked) = (None, 0);
        loop {
            let page = self.store.numbers_with_work(pool, Work::Unfinished, after.as_ref(), WORK_PAGE).await?;
            for number in page.numbers {
                let now = self.clock.now();
                if now < number.leased_until {
                    continue;
                }
                if self.out_of_time(deadline) {
                    return Ok(Some(Shortfall::because(ShortfallReason::OutOfTime)));
                }
                let Some(number) = self.store.take_over(number, now, lease(now)).await? else { continue };
                match self.resume(&number).await? {
                    Rented::Ready => done.added.push(ready(number)),
                    Rented::ByAnotherRun => {}
                    // The next number could not be linked either. One alone may have a defect of its own.
                    Rented::Unlinked(shortfall) if unlinked + 1 == REFUSALS => return Ok(Some(shortfall)),
                    Rented::Unlinked(shortfall) => {
                        unlinked += 1;
                        done.shortfalls.push(shortfall);
                    }
                    Rented::Refused(shortfall) => done.shortfalls.push(shortfall),
                    Rented::Stop(shortfall) => return Ok(Some(shortfall)),
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Rents until there are enough numbers. Returns the reason if this run has to stop before.
    async fn rent_missing(
        &self,
        order: &Order,
        open: Option<&OpenOrder>,
        deadline: Option<Timestamp>,
        done: &mut Provisioned,
    ) -> Result<Option<Shortfall>, StoreError> {
        let mut offers = SearchCursor::new(&self.numbers, &order.search);
        let settings = self.settings_of(order.owner).await?;
        let mut refused = Vec::new();
        loop {
            let number = match self.store_next(order, open, (&mut offers, settings.as_ref()), deadline).await? {
                NextNumber::Stored(number) => *number,
                NextNumber::Enough => return Ok(None),
                // The last refusal is the better explanation.
                NextNumber::NoneLeft => {
                    return Ok(Some(refused.pop().unwrap_or(Shortfall::because(ShortfallReason::NoneLeft))));
                }
                NextNumber::Blocked(shortfall) => return Ok(Some(shortfall)),
            };
            match self.rent(&number, PreviousAttempt::None).await? {
                Rented::Ready => {
                    refused.clear();
                    done.added.push(ready(number));
                }
                Rented::ByAnotherRun => {}
                Rented::Refused(shortfall) if refused.len() + 1 < REFUSALS => refused.push(shortfall),
                // The next number could not be linked either.
                Rented::Refused(shortfall) | Rented::Unlinked(shortfall) | Rented::Stop(shortfall) => {
                    return Ok(Some(shortfall));
                }
            }
        }
    }

    /// Stores the next number to rent, if there are not enough. Its counts are those of the ledger, which must not have
    /// changed when the number is stored.
    async fn store_next(
        &self,
        order: &Order,
        open: Option<&OpenOrder>,
        (offers, settings): (&mut SearchCursor<'_>, Option<&TenantSettings>),
        deadline: Option<Timestamp>,
    ) -> Result<NextNumber, StoreError> {
        let mut races = 0;
        loop {
            let ledger = self.store.ledger().await?;
            let counts = ledger.counts(order.pool());
            if counts.towards_order() >= order.count {
                return Ok(NextNumber::Enough);
            }
            if order.cap.is_some_and(|cap| counts.paid() >= cap) {
                return Ok(NextNumber::Blocked(Shortfall::because(ShortfallReason::AtCap)));
            }
            let offer = match offers.next().await {
                Ok(Some(offer)) => offer,
                Ok(None) => return Ok(NextNumber::NoneLeft),
                Err(error) => return Ok(NextNumber::Blocked(Shortfall::general(error))),
            };
            let dearest = offer.dearest_month();
            if self.monthly_budget.is_some_and(|budget| ledger.monthly_cost + dearest > budget) {
                return Ok(NextNumber::Blocked(Shortfall::because(ShortfallReason::OverBudget)));
            }
            let (numbers, cost) = (ledger.paid_by(order.owner), ledger.monthly_cost_of(order.owner));
            match settings.and_then(|settings| settings.refuses(numbers, cost, dearest)) {
                Some(NoMore::Numbers) => return Ok(NextNumber::Blocked(Shortfall::because(ShortfallReason::AtCap))),
                Some(NoMore::Budget) => {
                    return Ok(NextNumber::Blocked(Shortfall::because(ShortfallReason::OverBudget)));
                }
                None => {}
            }
            // The search may have taken long.
            if self.out_of_time(deadline) {
                return Ok(NextNumber::Blocked(Shortfall::because(ShortfallReason::OutOfTime)));
            }
            let number = self.renting(&offer, order.pool());
            match self.store.begin_renting(&number, &ledger, open).await {
                Ok(()) => return Ok(NextNumber::Stored(Box::new(number))),
                // Vonage sells a number again that it took away from us, or that we gave back.
                Err(RentError::Known) => {}
                // The other order has a run of its own.
                Err(RentError::Replaced) => return Ok(NextNumber::Enough),
                // Another run has changed the ledger: count again.
                Err(RentError::Changed) if races < RACES => {
                    offers.put_back(offer);
                    retry::pause(races).await;
                    races += 1;
                }
                Err(RentError::Changed) => return Err(StoreError::Contended("the pool's ledger")),
                Err(RentError::Store(error)) => return Err(error),
            }
        }
    }

    /// Returns the settings of a tenant. If they cannot be read, nothing is bought for it.
    async fn settings_of(&self, owner: Owner) -> Result<Option<TenantSettings>, StoreError> {
        match owner {
            Owner::Deployment => Ok(None),
            Owner::Tenant(tenant) => self.store.tenant_settings(tenant).await,
        }
    }

    /// Returns true if there is no time left for another number. A number that is cut off is not lost: the next run
    /// continues with it.
    fn out_of_time(&self, deadline: Option<Timestamp>) -> bool {
        deadline.is_some_and(|deadline| self.clock.now() + self.numbers.time_for_one() >= deadline)
    }

    fn renting(&self, offer: &Offer, Pool { owner, country }: Pool) -> PoolNumber {
        let now = self.clock.now();
        PoolNumber {
            number: offer.msisdn.clone(),
            country,
            owner,
            number_type: offer.number_type,
            features: offer.features.clone(),
            monthly_cost: Some(offer.cost),
            state: NumberState::Renting,
            added_at: whole_second(now),
            leased_until: lease(now),
            draining_since: None,
            rotating_since: None,
            missing_since: None,
            part: None,
            set_aside: false,
            moves_to: None,
            loss: LossNotes::default(),
        }
    }

    /// Continues with a number that this run took over. It first asks Vonage if the number is owned: a failure of this
    /// run must not delete a number that an earlier run has bought.
    async fn resume(&self, number: &PoolNumber) -> Result<Rented, StoreError> {
        match (self.numbers.owned(number.country, &number.number).await, number.state) {
            (Ok(Some(owned)), _) => self.bought(number, Some(owned)).await,
            (Ok(None), NumberState::Renting) => self.rent(number, PreviousAttempt::Possible).await,
            // It was bought and is gone: Vonage releases numbers when the balance is used up. If the list is wrong, Vonage
            // refuses to sell the number again. Only both together delete it from the pool.
            (Ok(None), _) => Ok(match self.rent(number, PreviousAttempt::Possible).await? {
                Rented::Refused(shortfall) => {
                    Rented::Refused(Shortfall { reason: ShortfallReason::Released, ..shortfall })
                }
                outcome => outcome,
            }),
            (Err(error), _) => Ok(Rented::Stop(Shortfall::general(error).about(number))),
        }
    }

    /// Buys and links a number that is stored and leased.
    async fn rent(&self, number: &PoolNumber, previous: PreviousAttempt) -> Result<Rented, StoreError> {
        match self.buy(number, previous).await? {
            Purchase::Bought(owned) => self.bought(number, owned).await,
            Purchase::Failed(outcome) => Ok(outcome),
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
            // Vonage does not list it yet: the next run continues.
            Ok(None) => Ok(Rented::Stop(Shortfall::because(ShortfallReason::Unconfirmed).about(number))),
            Err(error) => Ok(Rented::Stop(Shortfall::general(error).about(number))),
        }
    }

    async fn link(&self, number: &PoolNumber, owned: OwnedNumber) -> Result<Rented, StoreError> {
        // Vonage refuses to update a number whose message webhook is dead, so an update is made only if needed.
        let linked = if owned.reaches(&self.application_id) {
            Ok(())
        } else {
            self.numbers.link(owned, &self.application_id).await
        };
        match linked {
            Ok(()) if self.store.make_ready(number).await? => Ok(Rented::Ready),
            Ok(()) => Ok(Rented::ByAnotherRun),
            Err(error @ VonageError::Refused { .. }) => Ok(Rented::Unlinked(Shortfall::general(error).about(number))),
            Err(error) => Ok(Rented::Stop(Shortfall::general(error).about(number))),
        }
    }

    /// Buys the number. If the outcome is unclear, asks Vonage if the account owns it.
    async fn buy(&self, number: &PoolNumber, previous: PreviousAttempt) -> Result<Purchase, StoreError> {
        let refusal = match self.numbers.buy(number.country, &number.number).await {
            Ok(()) => return Ok(Purchase::Bought(None)),
            Err(error) => error,
        };
        let refused = matches!(refusal, VonageError::Refused { .. });
        if refused || refusal.outcome_is_unknown() {
            match self.numbers.owned(number.country, &number.number).await {
                // It was bought, now or by an earlier run.
                Ok(Some(owned)) => return Ok(Purchase::Bought(Some(owned))),
                Ok(None) if !refusal.outcome_is_unknown() => {}
                // The outcome is unknown: the number stays stored, and the next run asks again.
                Ok(None) | Err(_) => {
                    let unconfirmed =
                        Shortfall { cause: Some(refusal.into()), ..Shortfall::because(ShortfallReason::Unconfirmed) };
                    return Ok(Purchase::Failed(Rented::Stop(unconfirmed.about(number))));
                }
            }
        }
        let balance_is_low = may_mean_low_balance(&refusal) && self.balance_is_low(number).await;
        let shortfall = Shortfall::of_purchase(refusal, balance_is_low).about(number);
        // A request that was not executed does not tell the outcome of an earlier one.
        if !refused && previous == PreviousAttempt::Possible {
            return Ok(Purchase::Failed(Rented::Stop(shortfall)));
        }
        self.store.forget_number(number).await?;
        Ok(Purchase::Failed(match shortfall.reason {
            // Somebody else may have bought this number, and another one may be cheaper.
            ShortfallReason::Refused | ShortfallReason::LowBalance => Rented::Refused(shortfall),
            _ => Rented::Stop(shortfall),
        }))
    }

    /// Returns true if the account's balance does not cover the rent of the number. A balance that cannot be read says
    /// nothing.
    async fn balance_is_low(&self, number: &PoolNumber) -> bool {
        let rent = number.monthly_cost.unwrap_or_default();
        self.numbers.balance().await.is_ok_and(|balance| balance < rent || balance <= Decimal::ZERO)
    }
}

fn lease(now: Timestamp) -> Timestamp {
    whole_second(now + LEASE)
}

fn ready(number: PoolNumber) -> PoolNumber {
    PoolNumber { state: NumberState::Ready, ..number }
}
