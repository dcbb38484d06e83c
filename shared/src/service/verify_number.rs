//! Verifying a participant's number: parse it, have it judged by the carrier or the numbering plan, and apply the dial
//! policy.

use std::collections::BTreeMap;

use crate::clock::{SharedClock, whole_second};
use crate::config::{ConfigError, Environment};
use crate::domain::caller_routes::CallerRoutes;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::Participant;
use crate::domain::country::Country;
use crate::domain::judge::{Judge, LookedUp};
use crate::domain::phone::dial_policy::{self, DialPolicy, NotCallable};
use crate::domain::phone::parse::{self, UnreadableNumber};
use crate::domain::phone::{PhoneNumber, RealNumber, plan};
use crate::domain::ready_pool::PartName;
use crate::domain::tenant::Owner;
use crate::store::{PartState, Store, StoreError};
use crate::vonage::carrier_lookup::CarrierLookup;
use crate::vonage::number_lookup::{LookedUpNumber, NumberLookup};
use crate::vonage::{Vonage, VonageError};

/// A number cannot be a participant's.
#[derive(Debug, thiserror::Error)]
pub enum ParticipantNumberError {
    /// It cannot be parsed.
    #[error("the number cannot be parsed")]
    Unreadable(#[from] UnreadableNumber),
    /// The judge says that it is not valid.
    #[error("the number is not valid")]
    NotValid(Judge),
    /// The dial policy forbids to call it.
    #[error("the number must not be called")]
    NotCallable(#[from] NotCallable),
    /// It is one of our own virtual numbers.
    #[error("the number is a virtual one of the pool")]
    Virtual,
    /// The carrier lookup failed.
    #[error("the carrier lookup failed")]
    Lookup(#[source] VonageError),
}

/// The fate of a number about which the carrier gives no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenLookupFails {
    /// It is accepted if the numbering plan holds it valid.
    Accept,
    /// It is refused.
    Refuse,
}

impl WhenLookupFails {
    /// Reads `WHEN_LOOKUP_FAILS`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        match env.required("WHEN_LOOKUP_FAILS")?.as_str() {
            "accept" => Ok(Self::Accept),
            "refuse" => Ok(Self::Refuse),
            _ => Err(ConfigError::Malformed {
                name: "WHEN_LOOKUP_FAILS",
                expected: "must be accept or refuse".to_owned(),
            }),
        }
    }
}

/// A verified number of a participant.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedNumber {
    pub(crate) number: RealNumber,
    pub(crate) country: Country,
    pub(crate) judge: Judge,
    /// The carrier's record of a lookup that took place now.
    pub(crate) carrier_record: Option<CarrierRecord>,
    /// The carrier's verdict, to be stored with the number's route.
    pub(crate) looked_up: Option<LookedUp>,
}

impl VerifiedNumber {
    /// Returns the number of a participant, which was verified before.
    pub(crate) fn of(participant: &Participant) -> Self {
        let Participant { number, country, verified_by, .. } = participant;
        Self { number: number.clone(), country: *country, judge: *verified_by, carrier_record: None, looked_up: None }
    }
}

/// The verified phones of a side.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedSide {
    /// The first phone.
    pub(crate) first: VerifiedNumber,
    /// The phones behind it.
    pub(crate) further: Vec<VerifiedNumber>,
}

impl VerifiedSide {
    /// Returns the phones of a participant, which were verified before.
    pub(crate) fn of(participant: &Participant) -> Self {
        let further = participant.present().map(|phone| VerifiedNumber {
            number: phone.number.clone(),
            country: phone.country,
            judge: phone.verified_by,
            carrier_record: None,
            looked_up: None,
        });
        Self { first: VerifiedNumber::of(participant), further: further.collect() }
    }

    /// Returns all phones, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &VerifiedNumber> {
        std::iter::once(&self.first).chain(&self.further)
    }
}

/// Verifies the numbers of participants.
pub struct NumberVerifier<L> {
    /// The carrier's lookup. Without one the numbering plan is the judge.
    pub lookup: Option<L>,
    /// The fate of a number about which the carrier gives no verdict.
    pub when_lookup_fails: WhenLookupFails,
    /// The rules for participants' numbers.
    pub callable: DialPolicy,
    /// The clock.
    pub clock: SharedClock,
}

impl NumberVerifier<CarrierLookup> {
    /// Reads `NUMBER_LOOKUP` and `LOOKUP_CARRIER` with their own variables, `WHEN_LOOKUP_FAILS`, `CALLABLE_COUNTRIES` and `AUTO_RENT_MAX`.
    pub fn from_environment(env: &Environment, vonage: &Vonage, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self {
            lookup: CarrierLookup::from_environment(env, vonage, clock.clone())?,
            when_lookup_fails: WhenLookupFails::from_environment(env)?,
            callable: env.dial_policy()?,
            clock,
        })
    }
}

/// Parses a number as people write it, in national form only with its country. Refuses what needs no lookup to refuse.
pub(crate) fn read(written: &str, country: Option<Country>) -> Result<PhoneNumber, ParticipantNumberError> {
    let number = parse::read(written, country)?;
    dial_policy::check_kind(&number)?;
    Ok(number)
}

impl<L> NumberVerifier<L> {
    /// Refuses a number that the policy does not allow in view of the pool, of which `parts` are the ready numbers. Numbers that are
    /// not ready and orders are read only before a refusal. Without any of them nothing is refused: there is none to call from.
    /// All of them are those of one `owner`.
    pub(crate) async fn check_served(
        &self,
        number: &PhoneNumber,
        owner: Owner,
        parts: &BTreeMap<PartName, PartState>,
        store: &Store,
    ) -> Result<Result<(), NotCallable>, StoreError> {
        let DialPolicy::OfPool { may_rent } = &self.callable else { return Ok(Ok(())) };
        let code = parse::calling_code(number.expose());
        let ready = || parts.iter().filter(|(_, part)| part.count > 0);
        if ready().any(|(name, _)| name.calling_code == code) {
            return Ok(Ok(()));
        }
        let (rented, orders) = tokio::try_join!(store.rented_countries(owner), store.orders())?;
        let ordered = orders.iter().filter(|order| order.ordered.owner == owner).map(|order| order.ordered.country);
        // Tenants get numbers by order only.
        let may_rent = may_rent.iter().copied().filter(|_| owner.is_deployment());
        let mut others = rented.into_iter().chain(ordered).chain(may_rent).peekable();
        let has_none = ready().next().is_none() && others.peek().is_none();
        let is_served = has_none || others.any(|country| country.calling_code().as_ref() == Some(&code));
        Ok(if is_served { Ok(()) } else { Err(NotCallable::CallingCode) })
    }
}

impl<L: NumberLookup> NumberVerifier<L> {
    /// Has a number judged, and refuses it if it is not valid or must not be called. `routes` are those of this number: the
    /// carrier is not asked if one of them has a verdict that still holds.
    pub(crate) async fn verify(
        &self,
        number: &PhoneNumber,
        routes: &CallerRoutes,
    ) -> Result<VerifiedNumber, ParticipantNumberError> {
        let verified = match (&self.lookup, routes.looked_up(self.clock.now())) {
            (None, _) => by_plan(number).ok_or(ParticipantNumberError::NotValid(Judge::NumberingPlan))?,
            (Some(_), Some(known)) => as_known(number, known),
            (Some(lookup), None) => self.look_up(number, lookup).await?,
        };
        self.callable.check(verified.number.as_phone(), verified.country)?;
        Ok(verified)
    }

    /// Like [`NumberVerifier::verify`], without asking the carrier: by a verdict that still holds, or else by the numbering plan. The
    /// judge is `None` if the carrier would be asked.
    pub(crate) fn known(
        &self,
        number: &PhoneNumber,
        routes: &CallerRoutes,
    ) -> Result<(VerifiedNumber, Option<Judge>), ParticipantNumberError> {
        let looked_up = routes.looked_up(self.clock.now()).filter(|_| self.lookup.is_some());
        let verified = match looked_up {
            Some(known) => as_known(number, known),
            None => by_plan(number).ok_or(ParticipantNumberError::NotValid(Judge::NumberingPlan))?,
        };
        self.callable.check(verified.number.as_phone(), verified.country)?;
        let judge = (self.lookup.is_none() || looked_up.is_some()).then_some(verified.judge);
        Ok((verified, judge))
    }

    async fn look_up(&self, number: &PhoneNumber, lookup: &L) -> Result<VerifiedNumber, ParticipantNumberError> {
        let judge = lookup.judge();
        let error = match lookup.look_up(number).await {
            Ok(Some(found)) => return Ok(self.found(number, found, judge)),
            Ok(None) => return Err(ParticipantNumberError::NotValid(judge)),
            Err(error) => error,
        };
        let may_accept = self.when_lookup_fails == WhenLookupFails::Accept && error.leaves_number_undecided();
        match by_plan(number).filter(|_| may_accept) {
            Some(verified) => {
                tracing::warn!(asked = %judge, verified_by = %verified.judge, cause = %error, "the number lookup gave no verdict");
                Ok(verified)
            }
            None => Err(ParticipantNumberError::Lookup(error)),
        }
    }

    fn found(&self, asked: &PhoneNumber, found: LookedUpNumber, judge: Judge) -> VerifiedNumber {
        let LookedUpNumber { number, country, carrier, carrier_record } = found;
        let looked_up = LookedUp { at: whole_second(self.clock.now()), by: judge, country, carrier };
        // The memory has no spelling of its own. A number that the carrier spells in another way is looked up each time.
        let looked_up = Some(looked_up).filter(|_| number.as_phone() == asked);
        VerifiedNumber { number, country, judge, carrier_record, looked_up }
    }
}

/// Returns the verdict of the numbering plan: `None` if the number is not valid.
fn by_plan(number: &PhoneNumber) -> Option<VerifiedNumber> {
    let (number, country) = (number.clone().into(), plan::country(number)?);
    Some(VerifiedNumber { number, country, judge: Judge::NumberingPlan, carrier_record: None, looked_up: None })
}

fn as_known(number: &PhoneNumber, known: LookedUp) -> VerifiedNumber {
    let LookedUp { by, country, .. } = known;
    VerifiedNumber { number: number.clone().into(), country, judge: by, carrier_record: None, looked_up: Some(known) }
}
