//! Two owners, the deployment itself and a tenant: neither gets what the other has, the tenant sees nothing of the deployment, and each
//! pays for its own calls and texts.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use rust_decimal::Decimal;
use shared::domain::call::{Direction, LegFacts, Status};
use shared::domain::conversation::ConversationId;
use shared::domain::phone::RealNumber;
use shared::domain::side::Side;
use shared::domain::tenant::Owner;
use shared::domain::tenant_cost::Spent;
use shared::store::{WantedList, WantedPage};

use crate::case::Case;
use crate::connection::Moment;
use crate::legs::{CallEvent, STATUSES};
use crate::model::{Model, Verdict, ensure};
use crate::scenario::{canonical, tenant};
use crate::steps::{Action, Step};
use crate::table::Table;

/// The costs of the tenant, as their sums have them, and as the legs and texts say of whose prices it is noted that they count.
///
/// A price and its note are written together. So the two differ only by what was erased since: no sum loses it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Costs {
    pub spent: Spent,
    pub noted: Spent,
}

impl Costs {
    pub fn add(&mut self, other: Self) {
        self.spent.add(other.spent);
        self.noted.add(other.noted);
    }

    pub fn remove(&mut self, other: Self) {
        self.spent.add(other.spent.taken_back());
        self.noted.add(other.noted.taken_back());
    }
}

impl Case {
    /// Checks the conversations of a phone as the tenant lists them: all of its own, and no others. It may name the latest one in a
    /// request only if that is its own.
    pub async fn check_seen(&mut self, phone: &RealNumber) -> Verdict {
        let (now, phone) = (self.model.now, canonical(phone));
        let store = self.system.process.store();
        let list = WantedList::Phone(phone.clone());
        let listed = store.listed_conversations(Owner::Tenant(tenant()), &list, WantedPage::first(100), now).await;
        let listed = listed.map_err(|error| error.to_string())?.conversations;
        let foreign = listed.iter().find(|one| one.owner.is_deployment());
        ensure(foreign.is_none(), || format!("the tenant sees {foreign:?}"))?;
        let of_tenant = self.model.conversations.values().filter(|one| !one.expected.owner.is_deployment());
        let mut own = of_tenant.filter(|one| one.listed.contains_key(&phone) && one.is_readable(now));
        let unseen = own.find(|one| !listed.iter().any(|found| found.id == one.expected.id));
        ensure(unseen.is_none(), || format!("the tenant does not see {unseen:?} of its own"))?;
        if let Some(id) = self.ids.last() {
            let found = store.owner_of(*id).await.map_err(|error| error.to_string())?;
            let is_seen = found.is_some_and(|owner| Owner::Tenant(tenant()).sees(owner));
            // The model does not remember whose an erased one was.
            let right = self.model.conversations.get(id).is_some_and(|one| !one.expected.owner.is_deployment());
            ensure(is_seen == right || self.model.erased.contains_key(id), || {
                format!("the tenant may read {id}, which is of {found:?}: {is_seen}")
            })?;
        }
        if !listed.is_empty() {
            self.coverage.count("tenant", "sees its own");
        }
        Ok(())
    }

    /// Checks that since the last check the costs of the tenant have grown by the prices that are noted, and by nothing else. Nothing
    /// was erased meanwhile.
    pub fn check_noted_costs(&mut self) -> Verdict {
        let (before, costs) = (self.costs, self.table.costs);
        self.count_costs(costs);
        let [spent, noted] = growth(before, costs);
        ensure(spent == noted, || format!("the costs of the tenant grew by {spent:?}, but its notes by {noted:?}"))
    }

    /// The same after a step with these `events` of calls, in which conversations may have been erased. Their notes are gone, and the
    /// prices still count. `before` is the state before the step.
    pub fn check_costs(&mut self, events: &[CallEvent], before: &Model, table: &Table) -> Verdict {
        let [spent, noted] = growth(self.costs, table.costs);
        self.count_costs(table.costs);
        let is_gone = |id: &ConversationId| !self.model.conversations.contains_key(id);
        let is_over = before.conversations.keys().any(is_gone);
        // One whose events came meanwhile may have moved to another conversation, or its price may have been told before the erasure.
        let told: BTreeMap<String, Spent> =
            events.iter().filter_map(|event| Some((event.uuid(), price_of(event)?))).collect();
        let (mut right, mut may_be_erased) = (noted, is_over);
        for ((id, uuid), leg) in before.legs.iter().filter(|(key, _)| !table.legs.contains_key(key)) {
            match leg.paid {
                Some(_) if told.contains_key(uuid) => may_be_erased |= is_gone(id),
                Some(paid) => right.add(paid),
                None => {}
            }
        }
        let mut possible = vec![right];
        for price in told.values().filter(|_| may_be_erased) {
            let more: Vec<Spent> = possible.iter().map(|sum| plus(*sum, *price)).collect();
            possible.extend(more);
        }
        let is_right = possible.iter().any(|right| without_texts(*right) == without_texts(spent));
        ensure(is_right, || format!("the costs of the tenant grew by {spent:?}; expected one of {possible:?}"))?;
        let of_texts = |sum: Spent| (sum.texts, sum.text_cost);
        // A text that was passed on at the same time may be erased.
        let is_erased = is_over && (0..=1).contains(&spent.texts) && spent.text_cost >= Decimal::ZERO;
        ensure(of_texts(spent) == of_texts(noted) || is_erased, || {
            format!("the costs of the tenant grew by {spent:?}, but its notes by {noted:?}")
        })
    }

    /// Somebody calls in the `nth` live conversation of the tenant. The last events of both legs come twice, perhaps to a process that
    /// crashes.
    pub async fn bill(&mut self, nth: usize, side: Side, crash: Option<(u8, Moment)>) -> Verdict {
        let is_one = |model: &Model, id: &ConversationId| {
            let found = model.conversations.get(id);
            found.is_some_and(|found| found.is_live(model.now) && !found.expected.owner.is_deployment())
        };
        if !self.begin_call(nth, side, is_one).await? {
            return Ok(());
        }
        // No call is longer.
        self.wait("wait", SignedDuration::from_secs(60))?;
        let completed = STATUSES.iter().position(|status| *status == Status::Completed).unwrap();
        for callee in [false, true] {
            let action = Action::Event { call: 0, callee, status: completed };
            let first = match crash {
                Some((nth, moment)) => Step::Crash { action: action.clone(), nth, moment, concurrent: None },
                None => Step::Concurrently(action.clone(), action.clone()),
            };
            for step in [first, Step::Do(action)] {
                Box::pin(self.step(&step)).await?;
            }
        }
        Ok(())
    }

    fn count_costs(&mut self, costs: Costs) {
        let [spent, _] = growth(self.costs, costs);
        self.costs = costs;
        for (is_more, what) in
            [(spent.calls > 0, "a call"), (spent.seconds > 0, "seconds"), (spent.texts > 0, "a text")]
        {
            if is_more {
                self.coverage.count("costs", what);
            }
        }
    }

    /// Counts the numbers that have moved since `before`.
    pub fn count_moved(&mut self, before: &Model) {
        for (name, number) in &self.model.numbers {
            if before.numbers.get(name).is_some_and(|known| known.owner != number.owner) {
                let to = if number.owner.is_deployment() { "to the deployment itself" } else { "to the tenant" };
                self.coverage.count("moved", to);
            }
        }
    }
}

/// Returns what a told price says of a leg.
pub fn paid_on(direction: Direction, facts: &LegFacts) -> Option<Spent> {
    let cost = facts.price?;
    let is_callers = direction == Direction::Inbound || facts.placed;
    let seconds = if is_callers { 0 } else { facts.duration?.into() };
    Some(Spent { calls: is_callers.into(), seconds, call_cost: cost, ..Spent::default() })
}

/// Checks that no route leads from one owner to another, and that each price of the tenant's legs is noted, and no other.
pub fn check(model: &Model, table: &Table) -> Verdict {
    for conversation in model.conversations.values().filter(|found| model.now < found.quarantined_until()) {
        let is = &conversation.expected;
        for participant in &is.participants {
            let number = model.numbers.get(&participant.sees);
            ensure(number.is_none_or(|number| number.owner == is.owner), || {
                format!("{is:?} has {number:?} of another owner")
            })?;
        }
    }
    // Words and answers ask the settings whose a number is.
    for (name, number) in &model.numbers {
        let found = table.settings.get(name).copied().unwrap_or_default();
        ensure(found == number.owner, || format!("{number:?} has settings of {found:?}"))?;
    }
    for ((id, uuid), leg) in &table.legs {
        let Some(conversation) = model.conversations.get(id) else { continue };
        let is_of_tenant = !conversation.expected.owner.is_deployment();
        let is_told = leg.statuses.contains(&Status::Completed);
        ensure(leg.paid.is_some() == (is_of_tenant && is_told), || {
            format!("the price of {uuid} in {id} is noted as {:?}", leg.paid)
        })?;
    }
    for ((id, text), stored) in &table.texts {
        let Some(conversation) = model.conversations.get(id) else { continue };
        let right = if conversation.expected.owner.is_deployment() { Spent::default() } else { stored.price };
        ensure(stored.paid == right, || format!("the price of {text} in {id} is noted as {stored:?}"))?;
    }
    Ok(())
}

/// The prices of a text in the table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StoredText {
    /// The prices of all of its parts that the carrier has told.
    pub price: Spent,
    /// The part of it that was added to the costs of its tenant.
    pub paid: Spent,
}

/// Returns by how much the sums and the notes have grown.
fn growth(before: Costs, after: Costs) -> [Spent; 2] {
    [plus(after.spent, before.spent.taken_back()), plus(after.noted, before.noted.taken_back())]
}

fn plus(one: Spent, other: Spent) -> Spent {
    let mut sum = one;
    sum.add(other);
    sum
}

fn without_texts(sum: Spent) -> Spent {
    Spent { texts: 0, text_cost: Decimal::ZERO, ..sum }
}

/// Returns the price of an event's leg. The last event tells it, and each of them may take the leg to another conversation.
fn price_of(event: &CallEvent) -> Option<Spent> {
    let last = CallEvent { status: Status::Completed, ..event.clone() };
    paid_on(last.direction, &last.event().facts)
}
