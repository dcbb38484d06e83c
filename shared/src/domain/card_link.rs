//! Links to contact cards.
//!
//! The token of a link is a code of the conversation and the side, signed with a secret of the deployment. So nothing has to be stored
//! for it, the card always has the present number, and the link ends with the conversation.

use ring::hmac;

use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::side::Side;

/// The secret of a deployment that signs tokens (HMAC-SHA256).
#[derive(Debug, Clone)]
pub struct CardKey(hmac::Key);

impl CardKey {
    /// Hexadecimal digits of a token's signature: 128 bits, which nobody can guess.
    const DIGITS: usize = 32;

    /// Creates the key. With another secret no link that was given out before is found.
    pub fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Returns the token of a side's card.
    pub fn token(&self, conversation: ConversationId, side: Side) -> String {
        let card = format!("{conversation}{}", letter(side));
        let tag = hmac::sign(&self.0, format!("contact card:{card}").as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{card}{}", &tag[..Self::DIGITS])
    }

    /// Returns the conversation and the side of a token. Takes as long whatever its signature is.
    pub fn read(&self, token: &str) -> Option<(ConversationId, Side)> {
        let (card, _) = token.split_at_checked(token.len().checked_sub(Self::DIGITS)?)?;
        let side = Side::BOTH.into_iter().find(|side| card.ends_with(letter(*side)))?;
        let conversation = ConversationId::try_from(card.get(..card.len() - 1)?).ok()?;
        let right = self.token(conversation, side);
        let differences = right.bytes().zip(token.bytes()).fold(0, |all, (right, given)| all | (right ^ given));
        (right.len() == token.len() && differences == 0).then_some((conversation, side))
    }
}

/// The links to the cards of a deployment.
#[derive(Debug, Clone)]
pub struct CardLinks {
    /// The address of the deployment, without a slash at its end.
    pub base: String,
    /// Signs their tokens.
    pub key: CardKey,
}

impl CardLinks {
    /// Returns the link to the card of a side, if it gets one.
    pub fn of(&self, conversation: &Conversation, side: Side) -> Option<String> {
        conversation.contact_card.as_ref()?.name(side)?;
        Some(format!("{}/cards/{}.vcf", self.base, self.key.token(conversation.id, side)))
    }
}

fn letter(side: Side) -> char {
    match side {
        Side::A => 'a',
        Side::B => 'b',
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn token_leads_to_its_side_and_needs_the_secret_to_be_made() {
        let (key, other) = (CardKey::new("a secret of the deployment"), CardKey::new("another one"));
        let id = ConversationId::generate(Timestamp::from_second(1_800_000_000).unwrap());
        for side in Side::BOTH {
            let token = key.token(id, side);
            assert_eq!((key.read(&token), other.read(&token)), (Some((id, side)), None));
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric()) && token.len() == 59, "{token}");
        }
        let token = key.token(id, Side::A);
        let of_other_side = token.replacen('a', "b", 1);
        let of_other = ConversationId::generate(Timestamp::from_second(1_800_000_001).unwrap());
        let changed = token.replace(&id.to_string(), &of_other.to_string());
        for bad in ["", "a", "é", &token[1..], &token[..58], &format!("{token}0"), &token.to_uppercase(), &changed] {
            assert_eq!(key.read(bad), None, "{bad}");
        }
        assert!(key.read(&of_other_side).is_none_or(|(_, side)| side == Side::A), "{of_other_side}");
    }
}
