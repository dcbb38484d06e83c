//! Texts that the backend writes to a participant, from the number that this participant dials.
//!
//! Vonage has no key that would make a repetition safe, so a request is claimed in the table first, and its text is sent once. If
//! no clear answer comes, or the function crashes, its state becomes `unknown`, and the same request never sends it again.

use jiff::Timestamp;

use crate::clock::SharedClock;
use crate::domain::backend_text::TextWords;
use crate::domain::channel::{BrandSenders, Sender};
use crate::domain::conversation::Conversation;
use crate::domain::phone::RealNumber;
use crate::domain::quiet_hours::{NotQuietHours, QuietHours, UsualQuietHours};
use crate::domain::relayed_text::{RelayedText, TextReference};
use crate::domain::side::Side;
use crate::service::relay_texts::failed;
use crate::service::text_events::{Occasion, TellError, TextEvents};
use crate::service::text_ways::{self, Letter};
use crate::store::{BackendTextClaim, IdempotentRequest, Store, StoreError, TextOutcome, TextRequest};
use crate::vonage::VonageError;
use crate::vonage::texts::{ChatMessage, TextsOnDemand};

/// Writes texts of the backend.
#[derive(Clone, Copy)]
pub struct TextWriter<'a> {
    /// The table.
    pub store: &'a Store,
    /// Sends texts.
    pub texts: &'a TextsOnDemand,
    /// The deployment's senders on channels.
    pub senders: &'a BrandSenders,
    /// Tells the backend of them.
    pub events: &'a TextEvents,
    /// True if the words of texts are kept.
    pub keeps_words: bool,
    /// The clock.
    pub clock: &'a SharedClock,
}

/// A request to write a text.
#[derive(Debug)]
pub struct TextOrder<'a> {
    /// The conversation.
    pub conversation: &'a Conversation,
    /// The side that gets it.
    pub to: Side,
    /// The words.
    pub words: &'a TextWords,
    /// The hours in which it is not sent, if the request names some.
    pub quiet_hours: Option<&'a QuietHours>,
    /// Those of the deployment, for a request that says nothing about them.
    pub usual_quiet_hours: Option<&'a UsualQuietHours>,
    /// The request, which may come again.
    pub request: &'a IdempotentRequest,
}

/// A text that was written.
#[derive(Debug)]
pub struct Written {
    /// The text.
    pub text: RelayedText,
    /// True if an earlier run of the same request wrote it.
    pub is_replay: bool,
}

/// Reason why no text was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The conversation has ended or expired.
    #[error("the conversation has ended")]
    Ended,
    /// The participant wants no texts from the number.
    #[error("the participant has opted out of texts from the number")]
    OptedOut,
    /// Its text was erased since.
    #[error("the text was erased")]
    Erased,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    OtherRequest,
    /// Another run of the same request may be asking Vonage.
    #[error("another run of the same request is under way")]
    UnderWay,
    /// The quiet hours cannot be used.
    #[error(transparent)]
    NotQuietHours(NotQuietHours),
    /// It is one of the quiet hours, until this time.
    #[error("the participant has quiet hours")]
    Quiet(Timestamp),
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The text was sent, or will not be, and the backend was not told by an event.
    #[error(transparent)]
    Untold(#[from] TellError),
    /// Vonage certainly did not send it, and may do so later.
    #[error(transparent)]
    Vonage(VonageError),
}

impl TextWriter<'_> {
    /// Writes the text, or finds the one that an earlier run has written.
    pub async fn write(&self, order: &TextOrder<'_>) -> Result<Written, WriteError> {
        if let Some(known) = self.store.text_request(&order.request.key_hash, self.clock.now()).await? {
            return self.replay(order, &known).await;
        }
        let now = self.clock.now();
        if !order.conversation.is_active(now) {
            return Err(WriteError::Ended);
        }
        let participant = order.conversation.participant(order.to);
        let theirs = participant.hours.as_ref();
        let quiet_until = match order.quiet_hours {
            Some(own) => own.end(theirs, now).map_err(WriteError::NotQuietHours)?,
            None => order.usual_quiet_hours.and_then(|usual| usual.end(theirs, now)),
        };
        quiet_until.map_or(Ok(()), |end| Err(WriteError::Quiet(end)))?;
        let letter = self.letter(order, now).await?;
        let (words, way) = (letter.words, letter.way.map(|way| way.channel));
        let size = if way.is_some() { ChatMessage::size(words, &[]) } else { self.texts.size(words) };
        let channel = way.or(text_ways::chosen(order.conversation, order.to));
        let text = RelayedText {
            owner: order.conversation.owner,
            words: self.keeps_words.then(|| words.to_owned().into()),
            channel,
            by_number: way.is_none() && channel.is_some(),
            ..RelayedText::of_backend(order.to, size, now)
        };
        let senders: Vec<_> = [Some(letter.from.into()), way.map(Sender::from)].into_iter().flatten().collect();
        let from = (senders.as_slice(), letter.to);
        match self.store.claim_backend_text(order.request, order.conversation, &text, from).await? {
            BackendTextClaim::Claimed => self.send(order, &text, &letter).await,
            BackendTextClaim::OptedOut => Err(WriteError::OptedOut),
            BackendTextClaim::Over => Err(WriteError::Ended),
            BackendTextClaim::Known => {
                let known = self.store.text_request(&order.request.key_hash, now).await?;
                self.replay(order, &known.ok_or(WriteError::UnderWay)?).await
            }
        }
    }

    /// Returns the text as it is sent: on the channel that the backend has chosen for the participant, if it takes the words now. Three
    /// reads, if one was chosen.
    async fn letter<'l>(&'l self, order: &'l TextOrder<'_>, now: Timestamp) -> Result<Letter<'l>, StoreError> {
        let (conversation, side, words) = (order.conversation, order.to, order.words.as_str());
        let (from, to) = (&conversation.participant(side).sees, phone(conversation, side, now));
        let way = match conversation.participant(side).channel {
            Some(_) => text_ways::way_to(self.store, self.senders, (conversation, side, to), now).await?,
            None => None,
        };
        let way = way.filter(|way| way.carries(words, &[]));
        let has_sms = way.is_some() && text_ways::has_sms(self.store, from).await?;
        Ok(Letter { from, to, words, files: &[], way, has_sms })
    }

    /// Asks Vonage to send the text, once.
    async fn send(
        &self,
        order: &TextOrder<'_>,
        text: &RelayedText,
        letter: &Letter<'_>,
    ) -> Result<Written, WriteError> {
        let reference = TextReference { conversation: order.conversation.id, text: text.id };
        let outcome = match text_ways::send(self.texts, letter, reference).await {
            Ok(accepted) => TextOutcome::Accepted(accepted),
            Err(error) if error.may_pass() => {
                self.store.give_up_backend_text(order.request, reference).await?;
                return Err(WriteError::Vonage(error));
            }
            Err(error) => {
                tracing::warn!(conversation.id = %reference.conversation, cause = %error, "sending a text of the backend failed");
                failed(error).1
            }
        };
        self.store.record_text_outcome(order.conversation.id, text, &outcome, self.clock.now()).await?;
        self.finish(reference, false).await
    }

    /// Answers a request that was claimed before.
    async fn replay(&self, order: &TextOrder<'_>, known: &TextRequest) -> Result<Written, WriteError> {
        if known.fingerprint != order.request.fingerprint || known.conversation != order.conversation.id {
            return Err(WriteError::OtherRequest);
        }
        let text = self.store.text(known.reference()).await?.ok_or(WriteError::Erased)?;
        // It may still turn out that it was not sent.
        if text.is_being_sent(self.clock.now()) {
            return Err(WriteError::UnderWay);
        }
        self.finish(known.reference(), true).await
    }

    /// Tells the backend by an event, and returns the text. An earlier run may have ended before it told.
    async fn finish(&self, reference: TextReference, is_replay: bool) -> Result<Written, WriteError> {
        self.events.tell(self.store, reference, Occasion::Relayed, self.clock.now()).await?;
        let text = self.store.text(reference).await?.ok_or(WriteError::Erased)?;
        Ok(Written { text, is_replay })
    }
}

/// Returns the phone of a side that gets a text at `now`: the first that may be called at this hour, or else the first.
fn phone(conversation: &Conversation, side: Side, now: Timestamp) -> &RealNumber {
    let open = conversation.ringing_phones(side).find(|phone| phone.hours.is_none_or(|hours| hours.include(now)));
    open.unwrap_or(conversation.first_phone(side)).number
}
