//! The text messages that tell the participants which number to dial: one each, even after a crash.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::Creator;
use crate::domain::card_link::CardLinks;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::channel::BrandSenders;
use crate::domain::conversation::{Conversation, ConversationId, Notification, Recipient, SidePhone};
use crate::domain::media::{MediaFile, MediaKind, carries_mms};
use crate::domain::pool::Feature;
use crate::domain::quiet_hours::UsualQuietHours;
use crate::domain::side::Side;
use crate::domain::whatsapp_template::TemplateKind;
use crate::domain::words::sentence::Text;
use crate::domain::words::{Speech, Words};
use crate::service::{text_ways, wanted_text};
use crate::store::{Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::call_steps;
use crate::vonage::number_lookup::NumberLookup;
use crate::vonage::texts::{InvitationWay, TextSender};

/// Time for recording the outcome of text messages.
pub(in crate::service) const TIME_TO_RECORD: Duration = Duration::from_secs(2);

/// The text messages to the participants of a new conversation.
#[derive(Debug, Clone, Default)]
pub struct Invitations {
    /// The links to contact cards that they name.
    pub card_links: Option<CardLinks>,
    /// The hours of the deployment in which they are not sent.
    pub quiet_hours: Option<UsualQuietHours>,
    /// True if they are sent in these hours too.
    pub at_any_hour: bool,
}

/// A run of a request for a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// The only one.
    Only,
    /// The first one of a request that may come again.
    First,
    /// A later one.
    Replay,
    /// A request for the texts alone. People on this side are texted also if they were not to be.
    Asked(Option<Side>),
}

/// No text message of a conversation can be sent.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// There is no such conversation.
    #[error("no such conversation")]
    Unknown,
    /// It has ended or expired.
    #[error("the conversation has ended")]
    Ended,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Sends the text messages that are pending or failed, and records their outcome. If the request may come again, they are
    /// claimed first, so that no two runs send the same text message. People who want no texts from their number get none: a new
    /// conversation knows them, and for a `replay` they are read. In quiet hours they stay pending. None is started that `deadline` might cut off, because
    /// its outcome would be unknown; it stays pending.
    pub(super) async fn notify(
        &self,
        mut conversation: Conversation,
        run: Run,
        invitations: &Invitations,
        deadline: Option<Timestamp>,
    ) -> Conversation {
        let asks_for = |side| run == Run::Asked(Some(side));
        let due_of = |side| {
            let is_due = |text: &Notification| text.needs_sending() || asks_for(side) && *text == Notification::Off;
            conversation.recipients(side, is_due)
        };
        let mut due: Vec<Recipient> = conversation.direction.sides().flat_map(due_of).collect();
        if let Run::Asked(Some(only)) = run {
            due.retain(|to| to.side == only);
        }
        if matches!(run, Run::Only | Run::First) {
            due.retain(|to| *conversation.notification(*to) == Notification::Pending);
        }
        let now = self.clock.now();
        if let Some(quiet_hours) = invitations.quiet_hours.as_ref().filter(|_| !invitations.at_any_hour) {
            due.retain(|to| quiet_hours.end(conversation.phone_of(*to).hours, now).is_none());
        }
        if due.is_empty() {
            return conversation;
        }
        let takes = self.text_time_limit + TIME_TO_RECORD;
        if deadline.is_some_and(|deadline| self.clock.now() + takes > deadline) {
            tracing::warn!(conversation.id = %conversation.id, "no time is left to send text messages");
            return conversation;
        }
        if matches!(run, Run::Replay | Run::Asked(_)) && !self.leave_out_opted_out(&conversation, &mut due).await {
            return conversation;
        }
        if due.is_empty() {
            return conversation;
        }
        if run != Run::Only {
            match self.store.claim_notifications(&conversation, &due).await {
                Ok(true) => {}
                // Another run of the same request sends them.
                Ok(false) => return conversation,
                // The conversation exists, and a replay sends them.
                Err(error) => {
                    tracing::error!(conversation.id = %conversation.id, cause = %error, "claiming text messages failed; they were not sent");
                    return conversation;
                }
            }
        }
        let outcomes =
            join_all(due.iter().map(|to| self.text(&conversation, *to, invitations.card_links.as_ref()))).await;
        let mut texts = Vec::new();
        for (to, outcome) in due.iter().zip(outcomes) {
            let parts = records(&outcome);
            if outcome.as_ref().is_err_and(VonageError::refuses_sender) {
                self.demand.check(&conversation.participant(to.side).sees).await;
            }
            let notification = notification(&conversation, outcome);
            conversation.note_invitation(*to, notification, &parts);
            texts.push((*to, parts));
        }
        // The conversation exists and the text messages are sent: this failure must not fail the creation.
        if let Err(error) = self.store.record_notifications(&conversation, &texts, self.clock.now()).await {
            tracing::error!(conversation.id = %conversation.id, cause = %error, "recording the outcome of text messages failed");
        }
        conversation
    }

    /// Sends the text messages of an active conversation that are pending or failed, or, to a side that is named, that were not to be
    /// sent, such as that to a new phone. One that was sent, or may have been, is not sent again.
    pub async fn notify_again(
        &self,
        id: ConversationId,
        to: Option<Side>,
        invitations: &Invitations,
        deadline: Option<Timestamp>,
    ) -> Result<Conversation, NotifyError> {
        let now = self.clock.now();
        let conversation = self.store.conversation(id, now).await?.ok_or(NotifyError::Unknown)?;
        if !conversation.is_active(now) {
            return Err(NotifyError::Ended);
        }
        Ok(self.notify(conversation, Run::Asked(to), invitations, deadline).await)
    }

    /// Leaves out the people who want no texts from their number. False if that is not known: then nobody is texted now.
    async fn leave_out_opted_out(&self, conversation: &Conversation, due: &mut Vec<Recipient>) -> bool {
        let pairs: Vec<_> =
            due.iter().map(|to| conversation.phone_of(*to)).map(|phone| (phone.number, phone.sees)).collect();
        match self.store.opted_out(&pairs).await {
            Ok(opted_out) => {
                let mut opted_out = opted_out.into_iter();
                due.retain(|_| opted_out.next().flatten().is_none());
                true
            }
            Err(error) => {
                tracing::error!(conversation.id = %conversation.id, cause = %error, "who wants no texts is not known; none were sent");
                false
            }
        }
    }

    async fn text(
        &self,
        conversation: &Conversation,
        to: Recipient,
        cards: Option<&CardLinks>,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        let (participant, phone) = (conversation.participant(to.side), conversation.phone_of(to));
        let speech = speech_to_phone(&self.words, conversation, phone);
        let text = match participant.pin.as_ref().filter(|pin| pin.is_in_texts()) {
            Some(pin) => speech.clone().with_pin(pin).write(Text::InvitationWithPin),
            None => speech.write(Text::Invitation),
        };
        let invitation = (conversation.id, conversation.invitation(to));
        let link = cards.and_then(|cards| cards.of(conversation, to.side));
        let card = match &link {
            Some(link) if self.texts.carries_files() => card_for(&self.store, conversation, to, link).await,
            _ => None,
        };
        let sending = Sending { senders: &self.senders, speech, kind: TemplateKind::Invitation };
        let (text, way) = sending.way(text, conversation, phone, (link, card));
        let both = (&participant.sees, phone.number);
        wanted_text::invite_unless_stopped(&self.store, &self.texts, invitation, both, &text, way).await
    }
}

/// The grounds of the way of a text message that tells a participant which number to dial.
pub(in crate::service) struct Sending<'a> {
    /// The deployment's senders on channels.
    pub(in crate::service) senders: &'a BrandSenders,
    /// The words for the participant.
    pub(in crate::service) speech: Speech<'a>,
    /// The kind of its sentence.
    pub(in crate::service) kind: TemplateKind,
}

impl<'a> Sending<'a> {
    /// Returns the words of a text message to a phone, and their way: on the channel that the backend has chosen, else by MMS with the
    /// contact card, else by SMS with its link.
    pub(in crate::service) fn way(
        self,
        words: String,
        conversation: &Conversation,
        phone: SidePhone<'a>,
        (link, card): (Option<String>, Option<MediaFile>),
    ) -> (String, InvitationWay<'a>) {
        let Self { senders, speech, kind } = self;
        let with_link = match link {
            Some(link) => format!("{words} {}", speech.with_link(link).write(Text::ContactCard)),
            None => words.clone(),
        };
        let way = text_ways::own_way(senders, conversation, (phone.side, phone.language), kind, &with_link);
        match (way, card) {
            (Some(way), _) => (with_link, InvitationWay::OnChannel { way, has_sms: true }),
            (None, Some(card)) => (words, InvitationWay::WithCard(card, with_link)),
            (None, None) => (with_link, InvitationWay::Sms),
        }
    }
}

/// Returns the contact card of a side as a file that goes to a person by MMS. `None` if the number or the person's country has no MMS, or
/// if that is not known. Two reads, if the country has.
pub(in crate::service) async fn card_for(
    store: &Store,
    conversation: &Conversation,
    to: Recipient,
    link: &str,
) -> Option<MediaFile> {
    let participant = conversation.participant(to.side);
    if to.further.is_some() || !carries_mms(participant.country) {
        return None;
    }
    let card = MediaFile::new(MediaKind::Vcard, link.to_owned())?;
    let number = store.pool_number(&participant.sees).await.ok().flatten();
    number.filter(|number| number.features.contains(&Feature::Mms)).map(|_| card)
}

/// Returns the carrier's records of a text message.
pub(in crate::service) fn records(outcome: &Result<Vec<CarrierRecord>, VonageError>) -> Vec<CarrierRecord> {
    match outcome {
        Ok(records) | Err(VonageError::Partial(records)) => records.clone(),
        Err(_) => Vec::new(),
    }
}

/// Returns the state of a text message after its request to the carrier.
pub(in crate::service) fn notification(
    conversation: &Conversation,
    outcome: Result<Vec<CarrierRecord>, VonageError>,
) -> Notification {
    let Err(error) = outcome else { return Notification::Sent };
    tracing::warn!(conversation.id = %conversation.id, cause = %error, "sending a text message failed");
    if error.outcome_is_unknown() {
        Notification::Unknown(error.to_string())
    } else {
        Notification::Failed(error.to_string())
    }
}

/// Returns the words for text messages to a `phone`, with the number to dial.
pub(in crate::service) fn speech_to_phone<'w>(
    words: &'w Words,
    conversation: &Conversation,
    phone: SidePhone<'_>,
) -> Speech<'w> {
    call_steps::speech_to_phone(words, conversation, phone).with_number(phone.sees)
}

/// Returns the words for text messages to the participant on side `to`, with the number to dial.
pub(in crate::service) fn speech_to<'w>(words: &'w Words, conversation: &Conversation, to: Side) -> Speech<'w> {
    call_steps::speech_to(words, conversation, to).with_number(&conversation.participant(to).sees)
}
