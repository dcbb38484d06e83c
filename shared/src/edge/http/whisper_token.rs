//! The tokens in the addresses of whispers. Vonage fetches a whisper with a GET, and the signature of a GET may not cover the
//! address. Without a token anyone with a signature could learn the labels of a conversation.

use jiff::{SignedDuration, Timestamp};
use ring::hmac;

use crate::config::SignatureConfig;
use crate::domain::attempt::Attempt;
use crate::domain::conversation::ConversationId;
use crate::domain::decision::Decision;
use crate::domain::route::Destination;
use crate::domain::side::Side;
use crate::vonage::call_urls::{CallUrls, letter};
use crate::vonage::ncco::FollowUp;

/// Lifetime of a token: longer than a phone rings.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// Makes and checks tokens (HMAC-SHA256) with a key that is derived from the account's signature secrets. So a deployment needs no
/// further secret, and tokens outlive a change of the first one.
pub struct WhisperTokens(Vec<hmac::Key>);

impl WhisperTokens {
    /// Creates the maker of tokens of a deployment.
    pub fn new(config: &SignatureConfig) -> Self {
        let derived = |secret: &str| {
            let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), b"maskline whisper");
            hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
        };
        Self(config.secrets.iter().map(|secret| derived(&secret.0)).collect())
    }

    /// Returns a token for the whisper to the participant on the side `callee`, in this `attempt` if the call may try several phones.
    pub fn issue(
        &self,
        conversation: ConversationId,
        callee: Side,
        attempt: Option<Attempt>,
        now: Timestamp,
    ) -> Option<String> {
        let until = now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX).as_second();
        let attempt = attempt.map(|attempt| format!(".{attempt}")).unwrap_or_default();
        let text = format!("{conversation}.{}.{until}{attempt}", letter(callee));
        let tag = hmac::sign(self.0.first()?, text.as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{text}.{tag}"))
    }

    /// Returns the addresses for the events of the callee's leg and for what comes next, if a call with this decision needs them: if
    /// the leg's two numbers do not lead to the conversation because the callee has no route, or if it is more than a plain
    /// connection. `urls` are those of a conversation.
    pub fn follow_up(
        &self,
        decision: &Decision,
        urls: impl FnOnce(ConversationId) -> Option<CallUrls>,
        now: Timestamp,
    ) -> Option<FollowUp> {
        if let Decision::Routed(Destination::Late { conversation, care, .. }) = decision {
            let urls = if care.lost_property { urls(*conversation) } else { None };
            return urls.map(|urls| FollowUp { urls, whisper_token: None });
        }
        let Decision::Routed(Destination::Participant { conversation, one_way, handling, caller, attempt, .. }) =
            decision
        else {
            return None;
        };
        if !one_way && !handling.needs_addresses() && attempt.is_none() {
            return None;
        }
        let Some(urls) = urls(*conversation) else {
            tracing::warn!("the request does not say its address, so the callee's leg has no address of its own");
            return None;
        };
        let whisper_token =
            handling.whispers().then(|| self.issue(*conversation, caller.other(), *attempt, now)).flatten();
        Some(FollowUp { urls, whisper_token })
    }

    /// Returns the conversation, the called side and the attempt of a token that is valid at `now`.
    pub fn read(&self, token: &str, now: Timestamp) -> Option<(ConversationId, Side, Option<Attempt>)> {
        let (text, tag) = token.rsplit_once('.')?;
        let tag = from_hex(tag)?;
        self.0.iter().find(|key| hmac::verify(key, text.as_bytes(), &tag).is_ok())?;
        let mut parts = text.splitn(4, '.');
        let (conversation, side, until) = (parts.next()?, parts.next()?, parts.next()?);
        let until: i64 = until.parse().ok()?;
        let callee = Side::BOTH.into_iter().find(|of| letter(*of) == side)?;
        let attempt = match parts.next() {
            Some(attempt) => Some(Attempt::parse(attempt)?),
            None => None,
        };
        (now.as_second() < until).then_some((ConversationId::try_from(conversation).ok()?, callee, attempt))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn tokens(secrets: &[&str]) -> WhisperTokens {
        WhisperTokens::new(&SignatureConfig {
            secrets: secrets.iter().map(|secret| Secret((*secret).to_owned())).collect(),
            max_age_seconds: 300,
            api_key: String::new(),
            application_id: String::new(),
        })
    }

    #[test]
    fn token_is_valid_for_its_side_and_for_minutes_only() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let id = ConversationId::generate(now);
        let (new, both) = (tokens(&["new"]), tokens(&["newer", "new"]));
        let token = new.issue(id, Side::B, None, now).unwrap();
        assert_eq!(new.read(&token, now), Some((id, Side::B, None)));
        assert_eq!(both.read(&token, now), Some((id, Side::B, None)), "after a change of the secret");
        let attempt = Attempt::first(0, now).next(1_001);
        let of_attempt = new.issue(id, Side::A, Some(attempt), now).unwrap();
        assert_eq!(new.read(&of_attempt, now), Some((id, Side::A, Some(attempt))));
        assert_eq!(tokens(&["other"]).read(&token, now), None);
        assert_eq!(new.read(&token, now + SignedDuration::from_mins(5)), None);
        assert_eq!(new.read(&token.replace(".b.", ".a."), now), None);
        for bad in ["", ".", "a.b.c.d", &token[..token.len() - 2], &format!("{token}é")] {
            assert_eq!(new.read(bad, now), None, "{bad:?}");
        }
    }
}
