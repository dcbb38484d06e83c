//! Texts of the backend to participants. Each is claimed by the hash of its idempotency key before it is sent.
//!
//! The claim is kept as that of a text from a phone is, and also has the fingerprint of the request.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{self, Key};
use super::opt_outs::wants_texts;
use super::requests::IdempotentRequest;
use super::retention::leg_deleted_after;
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::channel::Sender;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::RealNumber;
use crate::domain::relayed_text::{RelayedText, TEXTS_KNOWN, TextId, TextReference};
use crate::retry;

/// Maximum number of attempts of a claim that conflicts with other changes of the conversation.
const CONFLICTS: u32 = 8;

/// A request to write a text, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextRequest {
    /// The conversation.
    pub conversation: ConversationId,
    /// The text.
    pub text: TextId,
    /// Fingerprint of the request's content.
    pub fingerprint: String,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    known_until: Timestamp,
}

impl TextRequest {
    /// Returns the reference of its text.
    pub fn reference(&self) -> TextReference {
        TextReference { conversation: self.conversation, text: self.text }
    }
}

/// The outcome of claiming a text of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendTextClaim {
    /// This caller has to send it.
    Claimed,
    /// The request was claimed before.
    Known,
    /// The conversation has ended or been erased.
    Over,
    /// The participant wants no texts from the number.
    OptedOut,
}

impl Store {
    /// Returns the request with this hash of its idempotency key, if one is remembered at `now`. One consistent read.
    pub async fn text_request(&self, key_hash: &str, now: Timestamp) -> Result<Option<TextRequest>, StoreError> {
        let found: Option<TextRequest> = self.get(Key::TextClaim(key_hash)).await?;
        Ok(found.filter(|request| now < request.known_until))
    }

    /// Claims a request for a text of the backend from these senders to a phone, and stores the text in its conversation, unless that is
    /// over or the phone wants no texts from one of them.
    pub async fn claim_backend_text(
        &self,
        request: &IdempotentRequest,
        conversation: &Conversation,
        text: &RelayedText,
        (senders, phone): (&[Sender<'_>], &RealNumber),
    ) -> Result<BackendTextClaim, StoreError> {
        let now = text.received_at;
        let known_until = now + TEXTS_KNOWN;
        let fingerprint = request.fingerprint.clone();
        let claim = TextRequest { conversation: conversation.id, text: text.id, fingerprint, known_until };
        let claim = Write::put(Key::TextClaim(&request.key_hash).with(&claim, Some(known_until))?)
            .when("attribute_not_exists(pk) OR known_until <= :now")
            .bind(":now", item::seconds(now));
        let kept_until = leg_deleted_after(conversation.rests_until());
        let put = Write::put(Key::Text(conversation.id, text.id).with(text, Some(kept_until))?);
        let lives = Write::check(Key::Conversation(conversation.id))
            .when("attribute_exists(participants)")
            .when("attribute_not_exists(erased_at)")
            .when("attribute_not_exists(ended_at)");
        let mut transaction = vec![claim, put, lives];
        transaction.extend(senders.iter().map(|sender| wants_texts(phone, sender)));
        for attempt in 0..CONFLICTS {
            match self.transact(transaction.clone(), None).await? {
                Outcome::Committed => return Ok(BackendTextClaim::Claimed),
                Outcome::Cancelled(failed) if failed.contains(&0) => return Ok(BackendTextClaim::Known),
                Outcome::Cancelled(failed) if failed.contains(&2) => return Ok(BackendTextClaim::Over),
                Outcome::Cancelled(failed) if !failed.is_empty() => return Ok(BackendTextClaim::OptedOut),
                Outcome::Cancelled(_) => retry::pause(attempt).await,
            }
        }
        Err(StoreError::Contended("a text"))
    }

    /// Gives up the claim of a text of the backend that was certainly not sent, so that the same request sends it.
    pub async fn give_up_backend_text(
        &self,
        request: &IdempotentRequest,
        reference: TextReference,
    ) -> Result<(), StoreError> {
        let claim = Write::delete(Key::TextClaim(&request.key_hash))
            .when("#text = :text")
            .name("#text", "text")
            .bind(":text", item::string(reference.text));
        let record = Write::delete(Key::Text(reference.conversation, reference.text));
        self.transact_settled(vec![claim, record]).await.map(drop)
    }
}
