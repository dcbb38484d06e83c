//! Phones with two spellings in E.164. Both are one person, so that route keys, comparisons and caller ids use the canonical
//! one. What is dialled and shown stays as it was given.

use std::borrow::Cow;

use super::{PhoneNumber, RealNumber};

/// The countries that have them, with the digits before the national number: in the canonical spelling, and in the other
/// one. `docs/numbers.md` has the same table.
///
/// - Argentina: calls from abroad to mobile phones need a 9 after the calling code, and texts and caller ids often lack it.
///   Area code and number together are unique among mobile and other phones. Source: the country's entry in ITU's list of
///   national numbering plans (E.129).
/// - Mexico: calls from abroad to mobile phones needed a 1 until August 2019. Area code and number together are unique.
///   Source: Plan Técnico Fundamental de Numeración of the Instituto Federal de Telecomunicaciones.
///
/// The ninth digit of Brazil is not of this kind: it belongs to the number now, and numbers without it are gone.
pub const TWO_SPELLINGS: [(&str, &str); 2] = [("54", "549"), ("52", "521")];

/// Number of digits of a national number in these countries.
const NATIONAL_DIGITS: usize = 10;

impl PhoneNumber {
    /// Returns the canonical spelling.
    pub fn canonical(&self) -> Cow<'_, Self> {
        match self.split() {
            Some((canonical, national)) if self.0.len() > canonical.len() + NATIONAL_DIGITS => {
                Cow::Owned(Self(format!("{canonical}{national}")))
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// Splits a number of one of the countries into the digits before the canonical national number, and that number.
    fn split(&self) -> Option<(&'static str, &str)> {
        let national = |prefix| self.0.strip_prefix(prefix).filter(|national| national.len() == NATIONAL_DIGITS);
        TWO_SPELLINGS
            .into_iter()
            .find_map(|(canonical, other)| Some((canonical, national(canonical).or_else(|| national(other))?)))
    }
}

impl RealNumber {
    /// Returns the canonical spelling. Route keys have it.
    pub fn canonical(&self) -> Cow<'_, Self> {
        match self.0.canonical() {
            Cow::Borrowed(_) => Cow::Borrowed(self),
            Cow::Owned(canonical) => Cow::Owned(Self(canonical)),
        }
    }

    /// Returns the canonical spelling, if it is not this one.
    pub fn respelled(&self) -> Option<Self> {
        match self.canonical() {
            Cow::Borrowed(_) => None,
            Cow::Owned(canonical) => Some(canonical),
        }
    }

    /// Returns the spelling that is not canonical, if the phone has two. Route keys that were stored before there was a
    /// canonical spelling may have it.
    pub fn other_spelling(&self) -> Option<Self> {
        let (canonical, national) = self.0.split()?;
        let (_, other) = TWO_SPELLINGS.into_iter().find(|(prefix, _)| *prefix == canonical)?;
        Some(Self(PhoneNumber(format!("{other}{national}"))))
    }

    /// True if both are one phone, in whatever spelling.
    pub fn is_same_phone(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(digits: &str) -> RealNumber {
        PhoneNumber::try_from(digits).unwrap().into()
    }

    #[test]
    fn two_spellings_are_one_phone() {
        for (canonical, other) in [("541123456789", "5491123456789"), ("525512345678", "5215512345678")] {
            let (canonical, other) = (real(canonical), real(other));
            assert!(canonical.is_same_phone(&other) && other.is_same_phone(&canonical));
            for spelling in [&canonical, &other] {
                assert_eq!(*spelling.canonical(), canonical);
                assert_eq!(spelling.other_spelling().as_ref(), Some(&other));
            }
            assert_eq!((canonical.respelled(), other.respelled()), (None, Some(canonical.clone())));
        }
    }

    #[test]
    fn all_other_numbers_have_one_spelling() {
        for digits in [
            "447700900001",
            "12125550123",
            // Brazil with and without the ninth digit, and numbers of another length.
            "5511987654321",
            "551187654321",
            "54911234567",
            "54112345678",
            "52155123456",
            "521551234567890",
            "5311123456789",
        ] {
            let number = real(digits);
            assert_eq!((number.respelled(), number.other_spelling()), (None, None), "{digits}");
        }
        assert!(!real("541123456789").is_same_phone(&real("541123456780")));
        assert!(!real("541123456789").is_same_phone(&real("521123456789")));
    }

    #[test]
    fn canonical_spelling_is_stable_for_every_national_number() {
        let mut random = fastrand::Rng::with_seed(1);
        for (prefix, other) in TWO_SPELLINGS {
            for _ in 0..2_000 {
                let national: String = (0..NATIONAL_DIGITS).map(|_| random.char('0'..='9')).collect();
                let (canonical, other) = (real(&format!("{prefix}{national}")), real(&format!("{other}{national}")));
                assert_eq!((&*canonical.canonical(), &*other.canonical()), (&canonical, &canonical), "{national}");
                assert_eq!(canonical.other_spelling(), Some(other));
            }
        }
    }

    #[test]
    fn documentation_has_the_same_table() {
        let page = include_str!("../../../../docs/numbers.md");
        let (_, rest) = page.split_once("<!-- begin: spellings -->\n").unwrap();
        let (table, _) = rest.split_once("<!-- end -->").unwrap();
        let rows = table.lines().skip(2).map(|row| row.split('`').skip(1).step_by(2).collect::<Vec<_>>());
        let expected = TWO_SPELLINGS.map(|(canonical, other)| vec![canonical, other]);
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
}
