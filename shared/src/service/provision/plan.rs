//! The plan of an order: the numbers that it would take back and rent. Nothing of it is done.

use rust_decimal::Decimal;

use super::search_cursor::SearchCursor;
use super::{Order, Provisioner, Shortfall};
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, Work};
use crate::domain::shortfall::ShortfallReason;
use crate::domain::tenant_settings::NoMore;
use crate::store::{StoreError, WORK_PAGE};
use crate::vonage::numbers::Offer;

/// Largest number of offers that a plan looks at: one page of Vonage's search.
const MOST_OFFERS: usize = 100;

/// The work that an order would be now.
#[derive(Debug)]
pub struct Plan {
    /// Number of ready numbers of the pool.
    pub ready: usize,
    /// Number of numbers that are being rented or linked.
    pub in_progress: usize,
    /// The draining numbers that would be ready again.
    pub taken_back: Vec<VirtualNumber>,
    /// Number of numbers that would be rented.
    pub rented: usize,
    /// The monthly rents of the offers for them, those of the first 100 at most.
    pub costs: Vec<Decimal>,
    /// The reason for which these are fewer than are missing.
    pub shortfall: Option<Shortfall>,
}

impl Provisioner {
    /// Tells what `order` would do. Reads the table and the carrier's offers, and writes nothing.
    pub async fn plan(&self, order: &Order) -> Result<Plan, StoreError> {
        let ledger = self.store.ledger().await?;
        let counts = ledger.counts(order.pool());
        let missing = order.count.saturating_sub(counts.towards_order());
        let taken_back = if counts.of(NumberState::Draining) > 0 && missing > 0 {
            self.returnable(order, missing).await?
        } else {
            Vec::new()
        };
        let missing = missing - taken_back.len();
        let (offers, mut shortfall) = self.offers(order, missing.min(MOST_OFFERS)).await;
        let settings = self.settings_of(order.owner).await?;
        let costs: Vec<Decimal> = offers.iter().map(|offer| offer.cost).collect();
        let dearest: Vec<Decimal> = offers.iter().map(Offer::dearest_month).collect();
        // Those that were not looked at cost about as much as the last one.
        let known = if costs.len() < MOST_OFFERS { costs.len() } else { missing };
        let (mut rented, mut rent) = (0, Decimal::ZERO);
        let (numbers, cost) = (ledger.paid_by(order.owner), ledger.monthly_cost_of(order.owner));
        let nth_of = |all: &[Decimal], nth: usize| all.get(nth).or(all.last()).copied();
        for (next, at_first) in (0..known).filter_map(|nth| nth_of(&costs, nth).zip(nth_of(&dearest, nth))) {
            let refused =
                settings.as_ref().and_then(|settings| settings.refuses(numbers + rented, cost + rent, at_first));
            let is_over = self.monthly_budget.is_some_and(|budget| ledger.monthly_cost + rent + at_first > budget);
            let reason = match refused {
                Some(NoMore::Numbers) => Some(ShortfallReason::AtCap),
                Some(NoMore::Budget) => Some(ShortfallReason::OverBudget),
                None => is_over.then_some(ShortfallReason::OverBudget),
            };
            if let Some(reason) = reason {
                shortfall = Some(Shortfall::because(reason));
                break;
            }
            (rented, rent) = (rented + 1, rent + next);
        }
        let costs = costs.into_iter().take(rented).collect();
        let (ready, in_progress) = (counts.of(NumberState::Ready), counts.in_progress());
        Ok(Plan { ready, in_progress, taken_back, rented, costs, shortfall })
    }

    /// Returns up to `most` draining numbers that an order takes back.
    async fn returnable(&self, order: &Order, most: usize) -> Result<Vec<VirtualNumber>, StoreError> {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let page = self.store.numbers_with_work(order.pool(), Work::Draining, after.as_ref(), WORK_PAGE).await?;
            found
                .extend(page.numbers.into_iter().filter(|number| order.takes_back(number)).map(|number| number.number));
            found.truncate(most);
            after = page.next;
            if after.is_none() || found.len() == most {
                return Ok(found);
            }
        }
    }

    /// Returns up to `most` offers for an order, and the reason for which there are fewer.
    async fn offers(&self, order: &Order, most: usize) -> (Vec<Offer>, Option<Shortfall>) {
        let (mut cursor, mut offers) = (SearchCursor::new(&self.numbers, &order.search), Vec::new());
        while offers.len() < most {
            match cursor.next().await {
                Ok(Some(offer)) => offers.push(offer),
                Ok(None) => return (offers, Some(Shortfall::because(ShortfallReason::NoneLeft))),
                Err(error) => return (offers, Some(Shortfall::general(error))),
            }
        }
        (offers, None)
    }
}
