//! PINs: six digits by which a participant who calls from another phone, or hides the number, is known all the same.
//!
//! A PIN leads to one side of one conversation on one virtual number. It stands in the conversation and in nothing else: what finds
//! the conversation is a hash with a secret of the deployment.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::domain::phone::RealNumber;

/// Number of digits of a PIN.
pub const DIGITS: u8 = 6;

/// Number of times that one call may type a PIN.
pub const TRIES_OF_A_CALL: u8 = 3;

/// A participant's PIN. Serialized as the table stores it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    digits: String,
    /// The hash of the digits, under which the PIN is found.
    hash: String,
    /// True if text messages to the participant name it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    in_texts: bool,
    /// True if a phone from which it was typed needs no PIN any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    remembers_phones: bool,
}

impl Pin {
    /// Returns the digits, for the participant and for the backend only.
    pub fn expose(&self) -> &str {
        &self.digits
    }

    /// Returns the hash under which it is found.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// True if text messages to the participant name it.
    pub fn is_in_texts(&self) -> bool {
        self.in_texts
    }

    /// True if a phone from which it was typed needs no PIN any more.
    pub fn remembers_phones(&self) -> bool {
        self.remembers_phones
    }

    /// True if this is the hash of its digits. Takes as long whatever the hash is.
    pub fn has_hash(&self, hash: &str) -> bool {
        let differences = self.hash.bytes().zip(hash.bytes()).fold(0, |all, (own, other)| all | (own ^ other));
        self.hash.len() == hash.len() && differences == 0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(******)")
    }
}

/// The secret of a deployment with which PINs are made and found (HMAC-SHA256).
#[derive(Debug, Clone)]
pub struct PinKey(hmac::Key);

impl PinKey {
    /// Creates the key. With another secret no PIN that was issued before is found.
    pub fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Returns a new PIN in place of an `old` one.
    pub fn issue_again(&self, old: &Pin) -> Pin {
        self.issue(old.in_texts, old.remembers_phones)
    }

    /// Returns a new PIN. Nobody without the secret can foresee it.
    fn issue(&self, in_texts: bool, remembers_phones: bool) -> Pin {
        let tag = hmac::sign(&self.0, format!("new pin:{:032x}", fastrand::u128(..)).as_bytes());
        let number = tag.as_ref().iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        let digits = format!("{:06}", number % 1_000_000);
        Pin { hash: self.hash(&digits), digits, in_texts, remembers_phones }
    }

    /// Returns the hash under which a PIN is found, of whatever was typed.
    pub fn hash(&self, typed: &str) -> String {
        self.sign("pin", typed)
    }

    /// Returns the name under which the tries of a caller are counted.
    pub fn hash_of_caller(&self, caller: &RealNumber) -> String {
        self.sign("caller of a pin", caller.canonical().expose())
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{purpose}:{text}").as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// An issuer of PINs for one conversation.
#[derive(Debug, Clone)]
pub struct PinIssuer {
    /// The secret.
    pub key: PinKey,
    /// True if text messages name them.
    pub in_texts: bool,
    /// True if a phone from which one was typed needs no PIN any more.
    pub remembers_phones: bool,
}

impl PinIssuer {
    /// Returns a new PIN.
    pub fn issue(&self) -> Pin {
        self.key.issue(self.in_texts, self.remembers_phones)
    }
}

/// The number of tries that are allowed: some at once, and then one after each pause. So nobody who tries for long locks the
/// others out for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    at_once: i32,
    pause: SignedDuration,
}

impl Allowance {
    /// The tries of all callers of one virtual number: at most 78 in any 24 hours. So with 10 live PINs on a number the chance of
    /// a guess is below one in 1,200 a day.
    pub const OF_NUMBER: Self = Self { at_once: 30, pause: SignedDuration::from_mins(30) };
    /// Those of all callers of one number who hide theirs: at most 39. Nothing tells these callers apart.
    pub const OF_HIDDEN: Self = Self { at_once: 15, pause: SignedDuration::from_hours(1) };
    /// Those of one caller at one number: at most 13.
    pub const OF_CALLER: Self = Self { at_once: 5, pause: SignedDuration::from_hours(3) };

    /// Returns the time from which all tries are allowed again after one more at `now`, if before it this was `free_at`. `None` if
    /// no try is allowed now.
    pub fn after_a_try(self, free_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let next = free_at.filter(|free_at| now < *free_at).unwrap_or(now).saturating_add(self.pause).ok()?;
        (next.duration_since(now) <= self.pause * self.at_once).then_some(next)
    }

    /// Returns the time that one try takes away.
    pub fn pause(self) -> SignedDuration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::PhoneNumber;

    #[test]
    fn pin_has_six_digits_which_only_their_owner_shows() {
        let key = PinKey::new("secret");
        let pins: Vec<Pin> = (0..200).map(|_| key.issue(false, false)).collect();
        for pin in &pins {
            assert!(
                pin.expose().len() == 6 && pin.expose().bytes().all(|byte| byte.is_ascii_digit()),
                "{}",
                pin.expose()
            );
            assert!(pin.has_hash(&key.hash(pin.expose())) && pin.hash() == key.hash(pin.expose()));
            assert!(!format!("{pin:?}").contains(pin.expose()));
            assert!(!pin.has_hash(&PinKey::new("other").hash(pin.expose())), "the hash needs the secret");
            for other in ["", "1", &pin.hash()[1..]] {
                assert!(!pin.has_hash(other));
            }
        }
        let different: std::collections::BTreeSet<&str> = pins.iter().map(Pin::expose).collect();
        assert!(different.len() > 190, "{} of 200", different.len());
    }

    #[test]
    fn caller_has_one_name_in_all_spellings() {
        let name = |digits: &str| PinKey::new("secret").hash_of_caller(&PhoneNumber::try_from(digits).unwrap().into());
        assert_eq!(name("5215512345678"), name("525512345678"));
        assert_ne!(name("447700900001"), name("447700900002"));
        assert!(!name("447700900001").contains("7700900001"));
    }

    #[test]
    fn tries_are_allowed_again_one_by_one() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let allowance = Allowance::OF_CALLER;
        let mut free_at = None;
        for _ in 0..5 {
            free_at = Some(allowance.after_a_try(free_at, now).unwrap());
        }
        assert_eq!(allowance.after_a_try(free_at, now), None);
        let later = now + allowance.pause();
        assert_eq!(allowance.after_a_try(free_at, later - SignedDuration::from_secs(1)), None);
        let next = allowance.after_a_try(free_at, later).unwrap();
        assert_eq!(allowance.after_a_try(Some(next), later), None);
        let day_later = now + SignedDuration::from_hours(24);
        assert_eq!(allowance.after_a_try(free_at, day_later), Some(day_later + allowance.pause()), "all are back");
    }
}
