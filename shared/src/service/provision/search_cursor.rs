//! The offers of Vonage for an order, one by one.

use std::collections::HashSet;

use crate::domain::order::DigitMatch;
use crate::domain::phone::VirtualNumber;
use crate::vonage::VonageError;
use crate::vonage::numbers::{NumbersApi, Offer, Search};

/// The numbers that the searches of an order offer, one search after the other, page by page.
pub(super) struct SearchCursor<'a> {
    api: &'a NumbersApi,
    search: &'a Search,
    /// The digits of the search after this one, and so on.
    next: std::vec::IntoIter<Option<DigitMatch>>,
    digits: Option<DigitMatch>,
    /// Remaining offers of the page, last first.
    page: Vec<Offer>,
    /// Index of the page, from 1.
    index: u32,
    more: bool,
    /// Offers that were returned already.
    returned: HashSet<VirtualNumber>,
    /// True if an offer of this page was returned. If it was bought, the following pages have moved up.
    returned_of_page: bool,
}

impl<'a> SearchCursor<'a> {
    pub(super) fn new(api: &'a NumbersApi, search: &'a Search) -> Self {
        let mut next = search.digits.searches(search.country).into_iter();
        let digits = next.next().flatten();
        let (page, returned) = (Vec::new(), HashSet::new());
        Self { api, search, next, digits, page, index: 0, more: true, returned, returned_of_page: false }
    }

    /// Returns the next offer that suits the order and was not returned before.
    pub(super) async fn next(&mut self) -> Result<Option<Offer>, VonageError> {
        loop {
            while let Some(offer) = self.page.pop() {
                // Somebody who demands an area gets no other, whatever the carrier answers.
                let is_wanted = self.digits.as_ref().is_none_or(|digits| digits.suits(&offer.msisdn));
                let suits = is_wanted && offer.suits(&self.search.features);
                if suits && self.returned.insert(offer.msisdn.clone()) {
                    self.returned_of_page = true;
                    return Ok(Some(offer));
                }
            }
            if !self.more && !self.returned_of_page {
                let Some(digits) = self.next.next() else { return Ok(None) };
                (self.digits, self.index, self.more) = (digits, 0, true);
            }
            if !self.returned_of_page {
                self.index += 1;
            }
            let page = self.api.search(self.search, self.digits.as_ref(), self.index).await?;
            self.more = page.more;
            self.returned_of_page = false;
            self.page = page.offers.into_iter().rev().collect();
        }
    }

    /// Puts back an offer that could not be used yet.
    pub(super) fn put_back(&mut self, offer: Offer) {
        self.returned.remove(&offer.msisdn);
        self.page.push(offer);
    }
}
