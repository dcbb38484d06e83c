//! The lists in which conversations are found without a phone: all of them, those with a reference, and those that a number masks.

use std::fmt;

use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::domain::phone::VirtualNumber;
use crate::domain::tenant::Owner;
use crate::domain::text::Reference;

/// The secret of a deployment that hides references in the names of lists (HMAC-SHA256).
#[derive(Debug, Clone)]
pub struct ListKey(hmac::Key);

/// A reference as the name of its list has it. A reference may name a person, and without the secret nobody can tell which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReferenceHash(String);

/// The mark of a conversation that is in the lists. Its owner and its numbers name the others, so only that of its reference is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The list of its reference, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ReferenceHash>,
}

/// A list of conversations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// A part of all that this owner sees.
    All(Owner, Part),
    /// Those with a reference.
    Reference(ReferenceHash),
    /// Those in which this virtual number masks or masked somebody.
    MaskedBy(VirtualNumber),
}

/// A part of a list that every creation writes to. DynamoDB writes 1,000 units a second to one partition, of which a creation takes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part(u8);

impl Part {
    /// Number of parts. It never changes, because a conversation is deleted from the part that its id names.
    const COUNT: u8 = 4;

    /// Returns all parts.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Returns the part of a conversation whose id ends with these eight bits, which are random.
    pub fn of(last_byte: u8) -> Self {
        Self(last_byte % Self::COUNT)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ListKey {
    /// Creates the key. With another secret no list of a reference from before is found.
    pub fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Returns the name of the list of a reference.
    pub fn hash(&self, reference: &Reference) -> ReferenceHash {
        let tag = hmac::sign(&self.0, format!("reference:{}", reference.as_str()).as_bytes());
        ReferenceHash(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns the mark of a conversation with this reference.
    pub fn listed(&self, reference: Option<&Reference>) -> Listed {
        Listed { reference: reference.map(|reference| self.hash(reference)) }
    }
}

impl ReferenceHash {
    /// Returns its hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reference_is_hidden_by_the_secret() {
        let reference = |text: &str| Reference::try_from(text.to_owned()).unwrap();
        let [one, other] = ["s", "t"].map(|secret| ListKey::new(&secret.repeat(32)));
        let hashes = [one.hash(&reference("anna")), one.hash(&reference("ben")), other.hash(&reference("anna"))];
        assert_eq!(hashes[0], one.hash(&reference("anna")));
        for (nth, hash) in hashes.iter().enumerate() {
            assert!(hash.as_str().len() == 64 && !hashes[..nth].contains(hash), "{hashes:?}");
        }
    }

    #[test]
    fn every_part_gets_as_many_conversations() {
        let parts: Vec<Part> = (0..=u8::MAX).map(Part::of).collect();
        assert!(parts.iter().copied().collect::<BTreeSet<_>>().into_iter().eq(Part::all()));
        assert!(Part::all().all(|part| parts.iter().filter(|one| **one == part).count() == 64));
    }
}
