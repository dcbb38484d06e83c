//! What Vonage offers to an order, number by number.

use std::collections::HashSet;

use crate::domain::phone::VirtualNumber;
use crate::store::CountryPool;
use crate::vonage::VonageError;
use crate::vonage::numbers::{NumbersApi, Offer, Search};

/// The numbers that a search offers, page by page.
pub(super) struct SearchCursor<'a> {
    api: &'a NumbersApi,
    search: &'a Search,
    /// The rest of the page, backwards.
    page: Vec<Offer>,
    /// The page, from 1.
    index: u32,
    more: bool,
    /// What was given out already.
    given: HashSet<VirtualNumber>,
    /// Whether something of the present page was: if it was bought, the following pages have moved up.
    given_of_page: bool,
}

impl<'a> SearchCursor<'a> {
    pub(super) fn new(api: &'a NumbersApi, search: &'a Search) -> Self {
        Self { api, search, page: Vec::new(), index: 0, more: true, given: HashSet::new(), given_of_page: false }
    }

    /// The next number on offer that suits the order, is not in the pool and was not given out before.
    pub(super) async fn next(&mut self, pool: &CountryPool) -> Result<Option<Offer>, VonageError> {
        loop {
            while let Some(offer) = self.page.pop() {
                let known = pool.numbers.iter().any(|number| number.number == offer.msisdn);
                if !known && offer.suits(&self.search.features) && self.given.insert(offer.msisdn.clone()) {
                    self.given_of_page = true;
                    return Ok(Some(offer));
                }
            }
            if !self.more && !self.given_of_page {
                return Ok(None);
            }
            if !self.given_of_page {
                self.index += 1;
            }
            let page = self.api.search(self.search, self.index).await?;
            self.more = page.more;
            self.given_of_page = false;
            self.page = page.offers.into_iter().rev().collect();
        }
    }

    /// Takes an offer back that could not be used yet.
    pub(super) fn put_back(&mut self, offer: Offer) {
        self.given.remove(&offer.msisdn);
        self.page.push(offer);
    }
}
