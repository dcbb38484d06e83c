//! What Vonage offers to an order, number by number.

use crate::store::CountryPool;
use crate::vonage::VonageError;
use crate::vonage::numbers::{NumbersApi, Offer, Search};

/// The numbers that a search offers, page by page.
pub(super) struct Offers<'a> {
    api: &'a NumbersApi,
    search: &'a Search,
    /// The rest of the page, backwards.
    page: Vec<Offer>,
    next_index: Option<u32>,
}

impl<'a> Offers<'a> {
    pub(super) fn new(api: &'a NumbersApi, search: &'a Search) -> Self {
        Self { api, search, page: Vec::new(), next_index: Some(1) }
    }

    /// The next number on offer that suits the order and is not in the pool.
    pub(super) async fn next(&mut self, pool: &CountryPool) -> Result<Option<Offer>, VonageError> {
        loop {
            while let Some(offer) = self.page.pop() {
                let known = pool.numbers.iter().any(|number| number.number == offer.msisdn);
                if !known && offer.suits(&self.search.features) {
                    return Ok(Some(offer));
                }
            }
            let Some(index) = self.next_index else { return Ok(None) };
            let page = self.api.search(self.search, index).await?;
            self.next_index = page.more.then_some(index + 1);
            self.page = page.offers.into_iter().rev().collect();
        }
    }

    /// Takes an offer back that could not be used yet.
    pub(super) fn put_back(&mut self, offer: Offer) {
        self.page.push(offer);
    }
}
