//! The comparison of the pool with the account, a part at a time.
//!
//! Vonage lists 100 numbers in a request, and the account may have very many. So a run compares the numbers that begin with
//! the same digits, then those with the next digits, up to a number of requests; the next run continues. A part is small
//! enough for one comparison, and is compared as a whole: numbers that come and go meanwhile move no other number to a page
//! that was read before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Provisioner, Shortfall, Upkeep};
use crate::domain::country::Country;
use crate::store::{AccountWalk, Recount, StoreError};
use crate::vonage::VonageError;
use crate::vonage::numbers::{ListPage, ListedNumber};

/// Number of requests for the account's list in one run. At the usual pace they take about two minutes.
const REQUESTS: u32 = 100;

/// Largest number of listed numbers that are compared at once. More are divided by their next digit.
const PART: u32 = 1000;

/// Largest number of requests for one part.
const REQUESTS_FOR_PART: u32 = PART / 100;

/// Longest prefix: a number has up to 15 digits.
const LONGEST_PREFIX: usize = 15;

/// Number of numbers of the pool that are read at once.
const PAGE: u16 = 1000;

/// The account's numbers that begin with a prefix.
enum Listed {
    All(Vec<ListedNumber>),
    /// They are more than a part may have.
    TooMany,
}

/// The end of one run of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkEnd {
    /// All numbers are compared.
    Complete,
    /// The next run goes on.
    OutOfTime,
    /// Vonage did not list the numbers. The next run goes on.
    Refused,
}

/// The result of comparing a part.
enum Compared {
    Completely,
    /// The time is over. The walk has the position.
    UntilDeadline,
}

impl Provisioner {
    /// Compares the whole pool with the account, from the beginning to the end. It is not complete if Vonage refuses
    /// to list the numbers.
    pub async fn compare_anew(&self) -> Result<(Upkeep, WalkEnd), StoreError> {
        self.store.delete_account_walk().await?;
        let mut done = Upkeep::default();
        loop {
            match self.compare_with_account(None, &mut done).await? {
                WalkEnd::OutOfTime => {}
                end => return Ok((done, end)),
            }
        }
    }

    /// Compares the pool with the account, from where the last run stopped to where this one has to.
    pub(super) async fn compare_with_account(
        &self,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<WalkEnd, StoreError> {
        let saved = self.store.saved_account_walk().await?;
        let is_saved = saved.is_some();
        let mut walk = match saved {
            Some(walk) => walk,
            None => AccountWalk { recount: Some(Recount::of(&self.store.ledger().await?)), ..AccountWalk::default() },
        };
        let mut requests = 0;
        // A part that is begun needs all of its requests.
        while requests + REQUESTS_FOR_PART <= REQUESTS && !self.out_of_time(deadline) {
            let listed = match known(&walk) {
                Some(listed) => Ok(listed),
                None => self.listed(&mut walk, &mut requests).await?,
            };
            match listed {
                Err(error) => {
                    done.shortfalls.push(Shortfall::general(error));
                    self.keep_position(&walk, is_saved).await?;
                    return Ok(WalkEnd::Refused);
                }
                Ok(Listed::TooMany) => {
                    // The account has grown since a part of them was compared.
                    if walk.after.take().is_some() {
                        walk.recount = None;
                    }
                    walk.prefix.push('0');
                    continue;
                }
                Ok(Listed::All(listed)) => match self.compare_part(&listed, &mut walk, deadline, done).await? {
                    Compared::UntilDeadline => break,
                    Compared::Completely => walk.after = None,
                },
            }
            match next_prefix(&walk.prefix) {
                Some(next) => {
                    walk.narrowed.retain(|(prefix, _)| next.starts_with(prefix));
                    walk.prefix = next;
                }
                None => {
                    self.finish_walk(walk, is_saved).await?;
                    return Ok(WalkEnd::Complete);
                }
            }
        }
        self.store.save_account_walk(&walk).await?;
        Ok(WalkEnd::OutOfTime)
    }

    /// Keeps the position of a walk that Vonage has stopped. The beginning needs no item.
    async fn keep_position(&self, walk: &AccountWalk, is_saved: bool) -> Result<(), StoreError> {
        if is_saved || !walk.prefix.is_empty() { self.store.save_account_walk(walk).await } else { Ok(()) }
    }

    /// Ends a walk. If nothing has changed meanwhile, its count is the truth, and a ledger that differs is corrected.
    async fn finish_walk(&self, walk: AccountWalk, is_saved: bool) -> Result<(), StoreError> {
        if is_saved {
            self.store.delete_account_walk().await?;
        }
        let Some(recount) = walk.recount else { return Ok(()) };
        if self.store.ledger().await?.contradicts(&recount) {
            tracing::warn!("the ledger contradicts the numbers of the pool and is corrected");
            self.store.correct_ledger().await?;
        }
        Ok(())
    }

    /// Lists the account's numbers that begin with the prefix of the walk, unless they are too many.
    async fn listed(
        &self,
        walk: &mut AccountWalk,
        requests: &mut u32,
    ) -> Result<Result<Listed, VonageError>, StoreError> {
        let mut numbers = Vec::new();
        for index in 1..=REQUESTS_FOR_PART {
            *requests += 1;
            let page = match self.numbers.list(&walk.prefix, index).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            if page.count > PART && walk.prefix.len() < LONGEST_PREFIX {
                return Ok(self.narrow(walk, &page, requests).await?.map(|()| Listed::TooMany));
            }
            numbers.extend(page.numbers);
            if !page.more {
                break;
            }
        }
        Ok(Ok(Listed::All(numbers)))
    }

    /// Notes a longer prefix that all numbers of this one have in common, so that Vonage is not asked for each digit between
    /// them. The numbers of the pool and of one page suggest it, and their count proves it.
    async fn narrow(
        &self,
        walk: &mut AccountWalk,
        page: &ListPage,
        requests: &mut u32,
    ) -> Result<Result<(), VonageError>, StoreError> {
        let mut common: Option<String> = None;
        let mut include = |digits: &str| {
            let shared = common.as_deref().map_or(digits, |common| common_prefix(common, digits));
            common = Some(shared.to_owned());
        };
        page.numbers.iter().for_each(|listed| include(listed.settings.msisdn()));
        let pools = self.store.ledger().await?.pools;
        for pool in pools.into_iter().filter(|pool| pool.country.may_begin_with(&walk.prefix)) {
            let outermost = self.store.outermost_numbers(pool, &walk.prefix).await?;
            outermost.iter().for_each(|number| include(number.as_str()));
        }
        let common = common.filter(|common| common.len() > walk.prefix.len() && common.starts_with(&walk.prefix));
        let Some(common) = common else { return Ok(Ok(())) };
        *requests += 1;
        match self.numbers.list(&common, 1).await {
            Ok(within) if within.count == page.count => walk.narrowed.push((walk.prefix.clone(), common)),
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    /// Compares the numbers of one part. A country whose numbers cannot be read is left to the next walk.
    async fn compare_part(
        &self,
        listed: &[ListedNumber],
        walk: &mut AccountWalk,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<Compared, StoreError> {
        let mut missing: BTreeMap<&str, &ListedNumber> =
            listed.iter().map(|listed| (listed.settings.msisdn(), listed)).collect();
        let mut unread = BTreeSet::new();
        let resumed = walk.after.clone();
        let pools = self.store.ledger().await?.pools;
        for pool in pools.into_iter().filter(|pool| pool.country.may_begin_with(&walk.prefix)) {
            let mut after = match &resumed {
                Some((compared, _)) if pool < *compared => continue,
                Some((compared, number)) if pool == *compared => Some(number.clone()),
                _ => None,
            };
            loop {
                let page = self.store.numbers_page(pool, &walk.prefix, after.as_ref(), PAGE).await;
                let Some(page) = done.step(page)? else {
                    unread.insert(pool.country);
                    walk.recount = None;
                    break;
                };
                if page.unreadable > 0 {
                    // They are in the pool and in the ledger, but would be missing in this count.
                    walk.recount = None;
                }
                for number in page.numbers {
                    let settings = missing.remove(number.number.as_str()).map(|listed| &listed.settings);
                    if !self.compare(&number, settings, deadline, done).await? {
                        return Ok(Compared::UntilDeadline);
                    }
                    if let Some(recount) = &mut walk.recount {
                        recount.add(&number);
                    }
                    walk.after = Some((pool, number.number));
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        let missing = missing.into_values().filter(|listed| !is_of(listed, &unread));
        let adopted = self.adopt_missing(missing, deadline, done).await?;
        Ok(if adopted { Compared::Completely } else { Compared::UntilDeadline })
    }
}

/// True if a listed number is of one of these countries.
fn is_of(listed: &ListedNumber, countries: &BTreeSet<Country>) -> bool {
    listed.for_calls().is_some_and(|(_, country, ..)| countries.contains(&country))
}

/// Returns what a walk knows about the numbers of its prefix without asking Vonage.
fn known(walk: &AccountWalk) -> Option<Listed> {
    let around = |(prefix, _): &&(String, String)| walk.prefix.starts_with(prefix);
    walk.narrowed.iter().filter(around).find_map(|(_, within)| {
        if walk.prefix.starts_with(within) {
            None
        } else if within.starts_with(&walk.prefix) {
            Some(Listed::TooMany)
        } else {
            Some(Listed::All(Vec::new()))
        }
    })
}

/// Returns the digits with which both begin.
fn common_prefix<'a>(one: &'a str, other: &str) -> &'a str {
    let length = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    one.get(..length).unwrap_or_default()
}

/// Returns the prefix behind all numbers that begin with this one. `None` behind the last one.
fn next_prefix(prefix: &str) -> Option<String> {
    let shorter = prefix.trim_end_matches('9');
    let (rest, last) = shorter.split_at_checked(shorter.len().checked_sub(1)?)?;
    let next = last.parse::<u8>().ok()? + 1;
    Some(format!("{rest}{next}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_follow_each_other_without_a_gap() {
        let mut prefix = "440".to_owned();
        let mut seen = vec![prefix.clone()];
        while let Some(next) = next_prefix(&prefix) {
            seen.push(next.clone());
            prefix = next;
        }
        assert_eq!(
            seen,
            [
                "440", "441", "442", "443", "444", "445", "446", "447", "448", "449", "45", "46", "47", "48", "49",
                "5", "6", "7", "8", "9"
            ]
        );
        assert_eq!(next_prefix(""), None, "all numbers in one part");
        assert_eq!(next_prefix("4499"), Some("45".to_owned()));
        assert_eq!(next_prefix("999"), None);
    }
}
