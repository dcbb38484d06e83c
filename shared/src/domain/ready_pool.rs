//! The numbers that can be given to conversations.
//!
//! There may be very many, so a choice looks at a window of them. Each pair of callers has a window of its own, which
//! changes little when numbers come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::country::Country;
use crate::domain::hash::hash;
use crate::domain::phone::VirtualNumber;
use crate::domain::phone::parse;
use crate::domain::tenant::{Owner, Pool};

/// A number that can be given to conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyNumber {
    /// The number.
    pub number: VirtualNumber,
    /// The country that it is rented in.
    pub country: Country,
    /// True if it can send text messages.
    pub texts: bool,
}

/// The name of a part of the ready numbers. A part is small enough to be read at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartName {
    /// The owner of its numbers.
    pub owner: Owner,
    /// The country that its numbers are rented in.
    pub country: Country,
    /// The calling code of its numbers, such as `44`.
    pub calling_code: String,
    /// Its position among the parts of this country and calling code.
    pub index: u16,
}

impl PartName {
    /// Returns the name of the first part for `number`.
    pub fn first(pool: Pool, number: &VirtualNumber) -> Self {
        let Pool { owner, country } = pool;
        Self { owner, country, calling_code: parse::calling_code(number.as_str()), index: 0 }
    }

    /// Returns the name of the part of this `index` for `number`.
    pub fn nth(pool: Pool, number: &VirtualNumber, index: u16) -> Self {
        Self { index, ..Self::first(pool, number) }
    }

    /// Returns the pool of its numbers.
    pub fn pool(&self) -> Pool {
        Pool { owner: self.owner, country: self.country }
    }
}

impl std::fmt::Display for PartName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}#{}", self.pool(), self.calling_code, self.index)
    }
}

/// A part of the ready numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadyPart {
    /// Its version, which every change raises.
    pub version: u64,
    /// Numbers in the order of their hashes: those that cannot send text messages, and those that can.
    by_hash: [Vec<(u64, ReadyNumber)>; 2],
}

impl ReadyPart {
    /// Builds a part of `version` with these numbers.
    pub fn new(version: u64, numbers: impl IntoIterator<Item = ReadyNumber>) -> Self {
        let mut by_hash = [Vec::new(), Vec::new()];
        for number in numbers {
            by_hash[usize::from(number.texts)].push((hash([number.number.as_str()]), number));
        }
        by_hash.iter_mut().for_each(|numbers| numbers.sort_unstable_by_key(|(hash, _)| *hash));
        Self { version, by_hash }
    }

    /// Returns its numbers.
    pub fn numbers(&self) -> impl Iterator<Item = &ReadyNumber> {
        self.by_hash.iter().flatten().map(|(_, number)| number)
    }

    fn count(&self) -> usize {
        self.by_hash.iter().map(Vec::len).sum()
    }

    fn find(&self, number: &VirtualNumber) -> Option<&ReadyNumber> {
        let sought = hash([number.as_str()]);
        self.by_hash.iter().find_map(|numbers| {
            let from = numbers.partition_point(|(hash, _)| *hash < sought);
            let same = numbers[from..].iter().take_while(|(hash, _)| *hash == sought);
            same.map(|(_, ready)| ready).find(|ready| ready.number == *number)
        })
    }

    /// Returns up to `count` numbers from `position` on, each with its distance from there. After the last one comes the
    /// first.
    fn window(&self, texts: bool, position: u64, count: usize) -> impl Iterator<Item = (u64, &ReadyNumber)> {
        let numbers = &self.by_hash[usize::from(texts)];
        let (before, after) = numbers.split_at(numbers.partition_point(|(hash, _)| *hash < position));
        after.iter().chain(before).take(count).map(move |(hash, ready)| (hash.wrapping_sub(position), ready))
    }
}

/// Ready numbers: all of them, or those that may serve certain callers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadyPool {
    /// Its parts.
    pub parts: BTreeMap<PartName, Arc<ReadyPart>>,
}

impl ReadyPool {
    /// Returns all numbers.
    pub fn numbers(&self) -> impl Iterator<Item = &ReadyNumber> {
        self.parts.values().flat_map(|part| part.numbers())
    }

    /// Counts the numbers of `country`.
    pub fn count(&self, country: Country) -> usize {
        self.parts.iter().filter(|(name, _)| name.country == country).map(|(_, part)| part.count()).sum()
    }

    /// Returns the entry of `number`.
    pub fn find(&self, number: &VirtualNumber) -> Option<(&PartName, &ReadyNumber)> {
        self.parts.iter().find_map(|(name, part)| Some((name, part.find(number)?)))
    }

    /// Returns a window: up to `count` numbers of the parts that are `suitable`, from `position` on in the circle of all
    /// numbers by their hashes. They can send text messages or they cannot, as `texts` says.
    pub fn window(
        &self,
        suitable: impl Fn(&PartName) -> bool,
        texts: bool,
        position: u64,
        count: usize,
    ) -> Vec<&ReadyNumber> {
        let parts = self.parts.iter().filter(|(name, _)| suitable(name));
        let mut nearest: Vec<_> = parts.flat_map(|(_, part)| part.window(texts, position, count)).collect();
        nearest.sort_unstable_by_key(|(distance, ready)| (*distance, &ready.number));
        nearest.into_iter().take(count).map(|(_, ready)| ready).collect()
    }
}

/// The pool of the deployment itself.
impl FromIterator<ReadyNumber> for ReadyPool {
    fn from_iter<T: IntoIterator<Item = ReadyNumber>>(numbers: T) -> Self {
        let mut parts: BTreeMap<PartName, Vec<ReadyNumber>> = BTreeMap::new();
        for number in numbers {
            parts.entry(PartName::first(Pool::own(number.country), &number.number)).or_default().push(number);
        }
        let part = |(name, numbers)| (name, Arc::new(ReadyPart::new(0, numbers)));
        Self { parts: parts.into_iter().map(part).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::phone::PhoneNumber;

    fn ready(index: usize) -> ReadyNumber {
        let number = PhoneNumber::try_from(format!("44745{index:07}")).unwrap().into();
        ReadyNumber { number, country: Country::try_from("GB").unwrap(), texts: true }
    }

    fn window(pool: &ReadyPool, position: u64) -> Vec<&VirtualNumber> {
        pool.window(|_| true, true, position, 128).into_iter().map(|ready| &ready.number).collect()
    }

    #[test]
    fn small_window_has_all_numbers_from_every_position() {
        let pool: ReadyPool = (0..20).map(ready).collect();
        for position in [0, u64::MAX / 2, u64::MAX] {
            assert_eq!(window(&pool, position).into_iter().collect::<HashSet<_>>().len(), 20);
        }
        assert_eq!(pool.window(|_| true, false, 0, 128), Vec::<&ReadyNumber>::new());
    }

    #[test]
    fn window_is_the_same_however_numbers_are_split_into_parts() {
        let numbers: Vec<_> = (0..1000).map(ready).collect();
        let whole: ReadyPool = numbers.iter().cloned().collect();
        let first = whole.parts.keys().next().unwrap().clone();
        let part = |index: u16| {
            let numbers = numbers.iter().skip(index.into()).step_by(3).cloned();
            (PartName { index, ..first.clone() }, Arc::new(ReadyPart::new(1, numbers)))
        };
        let split = ReadyPool { parts: (0..3).map(part).collect() };
        for position in (0..50).map(|nth| hash([nth.to_string().as_str()])) {
            assert_eq!(window(&whole, position), window(&split, position));
        }
        assert!(numbers.iter().all(|ready| split.find(&ready.number).is_some_and(|(_, found)| found == ready)));
        assert_eq!((split.find(&self::ready(1000).number), split.count(first.country)), (None, 1000));
    }

    #[test]
    fn new_numbers_change_a_window_little() {
        let few: ReadyPool = (0..1000).map(ready).collect();
        let more: ReadyPool = (0..1010).map(ready).collect();
        let changed = (0..100).map(|nth| {
            let position = hash([nth.to_string().as_str()]);
            let before: HashSet<_> = window(&few, position).into_iter().collect();
            window(&more, position).into_iter().filter(|number| !before.contains(number)).count()
        });
        assert!(changed.sum::<usize>() < 100 * 5);
    }
}
