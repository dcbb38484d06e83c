//! Open orders. A request begins with its order, and the schedule goes on with it until the pool has what is ordered.

use jiff::{SignedDuration, Timestamp};

use super::{Order, Provisioned, Provisioner, Shortfall};
use crate::domain::order::{OpenOrder, OrderRun, TakesBack};
use crate::domain::pool::NumberState;
use crate::domain::shortfall::ShortfallReason;
use crate::store::StoreError;

/// The source of the events by which the schedule has open orders carried out.
pub const ORDERS_SOURCE: &str = "maskline.orders";

/// Least time of an order in a run, so that it can buy numbers.
const SLICE: SignedDuration = SignedDuration::from_secs(60);

impl Provisioner {
    /// Makes `order` the open order of its pool, and carries it out as far as possible before `deadline`. An order that
    /// is open already is replaced. If Vonage fails before anything is added, a new order leaves nothing behind.
    pub async fn order(&self, order: &Order, deadline: Option<Timestamp>) -> Result<Provisioned, StoreError> {
        let open = self.store.place_order(&order.ordered(), self.clock.now()).await?;
        let done = self.carry_out((&open, TakesBack::All), 0, deadline).await?;
        if done.is_failure() && open.requests == 1 && self.store.withdraw_order(&open).await? {
            return Ok(Provisioned { open: None, ..done });
        }
        Ok(done)
    }

    /// Carries out the open orders that are due: those first that have waited longest, each for its share of the time.
    pub async fn carry_out_orders(
        &self,
        deadline: Option<Timestamp>,
    ) -> Result<Vec<(OpenOrder, Provisioned)>, StoreError> {
        let now = self.clock.now();
        let mut due: Vec<_> = self.store.orders().await?.into_iter().filter(|open| open.is_due(now)).collect();
        due.sort_by_key(|open| (open.worked_at, open.ordered_at));
        let mut done = Vec::new();
        for (position, open) in due.iter().enumerate() {
            if self.out_of_time(deadline) {
                break;
            }
            let now = self.clock.now();
            let left = i32::try_from(due.len() - position).unwrap_or(i32::MAX);
            let share = deadline.map(|deadline| (now + SLICE.max(deadline.duration_since(now) / left)).min(deadline));
            // The other countries do not wait for this one.
            let provisioned = Shortfall::of_step(self.go_on_with(open, share).await)?;
            let provisioned = provisioned
                .unwrap_or_else(|shortfall| Provisioned { shortfalls: vec![shortfall], ..Provisioned::default() });
            done.push((open.clone(), provisioned));
        }
        Ok(done)
    }

    /// Goes on with an order of an earlier request. The table may have been restored from a backup since: then the account
    /// has numbers that were bought for this order and that the pool does not know.
    async fn go_on_with(&self, open: &OpenOrder, deadline: Option<Timestamp>) -> Result<Provisioned, StoreError> {
        let country = open.ordered.country;
        let linked = match self.numbers.count_linked(country, &self.application_id).await {
            Ok(linked) => linked,
            Err(error) => {
                let now = self.clock.now();
                let counts = self.store.ledger().await?.counts(open.ordered.pool());
                let (ready, in_progress) = (counts.of(NumberState::Ready), counts.in_progress());
                let shortfalls = vec![Shortfall::general(error)];
                let failed = Provisioned { ready, in_progress, shortfalls, ..Provisioned::default() };
                return self.note_run(open, now, failed).await;
            }
        };
        let known = self.store.ledger().await?.paid_in(country);
        self.carry_out((open, TakesBack::later(open)), linked.saturating_sub(known), deadline).await
    }

    /// Works on an open order. It is complete when the country has as many ready numbers as ordered. Numbers that are
    /// `unknown` to the pool are not bought again.
    async fn carry_out(
        &self,
        (open, takes_back): (&OpenOrder, TakesBack),
        unknown: usize,
        deadline: Option<Timestamp>,
    ) -> Result<Provisioned, StoreError> {
        let began_at = self.clock.now();
        let order = Order::from(open);
        let order = Order { count: order.count.saturating_sub(unknown), ..order };
        let mut done = self.provision_for(&order, Some((open, takes_back)), deadline).await?;
        if done.ready >= open.ordered.count {
            self.store.complete_order(open).await?;
            return Ok(done);
        }
        if unknown > 0 && done.shortfalls.is_empty() {
            done.shortfalls.push(Shortfall::because(ShortfallReason::NotAdopted));
        }
        self.note_run(open, began_at, done).await
    }

    /// Records a run that did not complete its order.
    async fn note_run(
        &self,
        open: &OpenOrder,
        began_at: Timestamp,
        mut done: Provisioned,
    ) -> Result<Provisioned, StoreError> {
        let run = OrderRun { began_at, ended_at: self.clock.now(), added: done.added.len(), reason: reason(&done) };
        done.open = match self.store.note_order_run(open, &run).await? {
            Some(noted) => Some(noted),
            // Another request has changed or replaced the order meanwhile.
            None => self.store.order(open.ordered.pool()).await?,
        };
        Ok(done)
    }
}

/// Returns the reason for which a run ended: the last one, because it made the run stop.
fn reason(done: &Provisioned) -> Option<ShortfallReason> {
    done.shortfalls.last().map(|shortfall| shortfall.reason)
}
