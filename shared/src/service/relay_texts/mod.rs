//! Texts between participants: a text to the number that a participant dials reaches the other one, who sees the number that
//! masks the writer.
//!
//! Vonage repeats a webhook until it has a 2xx, for a day, so no queue is needed here. A text is claimed before it is sent. If it
//! was certainly not sent, the claim is given up and the webhook fails, so the next delivery sends it. If that is not known, it
//! is never sent again: Vonage's API has no key that would make a repetition safe, and cannot be asked. Then only a receipt tells
//! that it went.

mod chats;
mod content;
mod keywords;

use jiff::Timestamp;

use self::content::Content;
use crate::clock::SharedClock;
use crate::domain::channel::{BrandSenders, Sender};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::keyword::Keyword;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::pin::PinKey;
use crate::domain::relayed_text::{AcceptedPart, RelayedText, TextReference, TextState, Withheld};
use crate::domain::route::KeyOwner;
use crate::domain::tenant::Owner;
use crate::domain::text_route::{Nowhere, Relay, TextRoute};
use crate::domain::words::Words;
use crate::domain::words::addressee::Addressee;
use crate::domain::words::sentence::Text;
use crate::service::slide_end::EndSlider;
use crate::service::text_events::{Occasion, TellError, TextEvents};
use crate::service::text_ways::{self, Letter};
use crate::store::{Ownership, Store, StoreError, TextClaim, TextOutcome};
use crate::vonage::VonageError;
use crate::vonage::message_event::{InboundText, Writer};
use crate::vonage::texts::TextsOnDemand;

/// Passes texts on.
pub struct TextRelay {
    /// The table.
    pub store: Store,
    /// Sends texts.
    pub texts: TextsOnDemand,
    /// The deployment's senders on channels.
    pub senders: BrandSenders,
    /// Tells the backend.
    pub events: TextEvents,
    /// Moves ends that slide.
    pub slider: EndSlider,
    /// True if the words of texts are kept.
    pub keeps_words: bool,
    /// The words for people.
    pub words: Words,
    /// Hashes the phones of people who get an explanation.
    pub key: PinKey,
    /// The clock.
    pub clock: SharedClock,
}

/// A text was not passed on, and has to come again.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The carrier certainly did not send it, and may do so later.
    #[error(transparent)]
    Carrier(VonageError),
    /// The backend was not told of it.
    #[error(transparent)]
    Untold(#[from] TellError),
    /// Another delivery of it is being handled.
    #[error("another delivery of the text is being handled")]
    BeingSent,
}

/// The outcome of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relayed {
    /// The carrier has it.
    Sent,
    /// It was handled before.
    Repeated,
    /// The carrier refused it for good.
    Refused,
    /// It may have been sent.
    Unclear,
    /// It reaches nobody, for this reason.
    Nowhere(Nowhere),
    /// It has contact details, which its conversation does not pass on.
    ContactDetails,
    /// It is something that cannot be passed on, such as a picture to a phone that gets none.
    NotText,
    /// A machine sent it.
    OfMachine,
    /// It is to a sender that is not ours.
    ToOthers,
    /// It must not be sent to its reader.
    Withheld(Withheld),
    /// It is the key word of a writer who wants no more texts.
    Stopped,
    /// It is the key word of a writer who takes texts again.
    Started,
}

impl Relayed {
    /// Returns the outcome in a few words, for the log.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Sent => "text relayed",
            Self::Repeated => "text known",
            Self::Refused => "text refused by Vonage",
            Self::Unclear => "text maybe relayed",
            Self::Nowhere(Nowhere::Over) => "text to an ended conversation",
            Self::Nowhere(Nowhere::Unavailable) => "text not allowed",
            Self::Nowhere(Nowhere::ReceivesOnly) => "text of one who only receives",
            Self::Nowhere(Nowhere::Unknown) => "text of nobody",
            Self::Nowhere(Nowhere::Several) => "text to one of several",
            Self::ContactDetails => "text with contact details",
            Self::NotText => "no text",
            Self::OfMachine => "text of a machine",
            Self::ToOthers => "text to a sender of others",
            Self::Withheld(Withheld::OptedOut) => "text to one who has opted out",
            Self::Withheld(Withheld::TooMany) => "one text too many",
            Self::Stopped => "texts stopped",
            Self::Started => "texts started",
        }
    }
}

impl Relayed {
    /// True if the text reached nobody for a reason that its writer is told.
    fn is_explained(self) -> bool {
        matches!(self, Self::Nowhere(_) | Self::ContactDetails | Self::NotText | Self::Withheld(_) | Self::Refused)
    }
}

/// A key word as it came.
struct Said<'a> {
    keyword: Keyword,
    /// The carrier's id of its text.
    id: &'a str,
    writer: &'a RealNumber,
    sender: &'a Sender<'a>,
    written_at: Timestamp,
    /// The owner of the route key of the two.
    owner: Option<&'a KeyOwner>,
}

impl TextRelay {
    /// Passes a text on, or explains to its writer why not. Returns the conversation too.
    pub async fn handle(&self, inbound: InboundText) -> Result<(Relayed, Option<ConversationId>), RelayError> {
        let now = self.clock.now();
        let Writer::Phone(writer) = inbound.writer.clone() else { return Ok((Relayed::OfMachine, None)) };
        let writer = RealNumber::from(writer);
        let Some(sender) = &inbound.to else { return Ok((Relayed::ToOthers, None)) };
        let written_at = inbound.written_at.unwrap_or(now);
        let addressed = self.addressed(&writer, sender, &inbound, written_at).await?;
        let owner = addressed.owner();
        let keyword = inbound.text.as_deref().and_then(|text| Keyword::of(text, sender));
        let said =
            keyword.map(|keyword| Said { keyword, id: &inbound.record.id, writer: &writer, sender, written_at, owner });
        if let Some(said) = &said
            && let Some(followed) = self.follow(said).await?
        {
            return Ok((followed, owner.filter(|owner| owner.is_in_use(now)).and_then(KeyOwner::conversation)));
        }
        let (addressee, speaker) = (owner.and_then(KeyOwner::addressee), owner.and_then(KeyOwner::speaker));
        let (relayed, conversation) = match addressed.route(written_at, now) {
            TextRoute::Relay(relay) => {
                self.note_chat(&writer, sender, written_at).await?;
                (self.relay(&relay, &writer, &inbound).await?, Some(relay.conversation))
            }
            TextRoute::Nowhere { reason, conversation } => (Relayed::Nowhere(reason), conversation),
        };
        if !relayed.is_explained() {
            return Ok((relayed, conversation));
        }
        // It may have been passed on before its conversation ended. One that was just claimed was not.
        if !matches!(relayed, Relayed::Withheld(_) | Relayed::Refused)
            && self.store.is_text_known(&inbound.record.id).await?
        {
            return Ok((Relayed::Repeated, conversation));
        }
        // Whoever asks for help has an answer.
        if keyword != Some(Keyword::Help) {
            self.explain(&writer, sender, relayed, (addressee, speaker)).await?;
        }
        Ok((relayed, conversation))
    }

    /// Passes a text on, once.
    async fn relay(&self, relay: &Relay, writer: &RealNumber, inbound: &InboundText) -> Result<Relayed, RelayError> {
        let now = self.clock.now();
        let Some(conversation) = self.store.conversation(relay.conversation, now).await? else {
            return Ok(Relayed::Nowhere(Nowhere::Over));
        };
        // The sender is the deployment's own, and not that of its tenants.
        if matches!(inbound.to, Some(Sender::Brand(_))) && !conversation.owner.is_deployment() {
            return Ok(Relayed::Nowhere(Nowhere::Unknown));
        }
        let content = match self.content(relay, &conversation, writer, inbound).await? {
            Ok(content) => content,
            Err(reason) => return Ok(reason),
        };
        let (size, masked) = (content.size, content.masked);
        let media = content.files.iter().map(|file| file.kind).collect();
        let words = Some(content.words.as_str()).filter(|words| self.keeps_words && !words.is_empty());
        let words = words.map(|words| words.to_owned().into());
        let way = content.way.map(|way| way.channel);
        let channel = way.or(text_ways::chosen(&conversation, relay.from.other()));
        let by_number = way.is_none() && channel.is_some();
        let claimed = RelayedText::claimed(relay.from, size, inbound.record.clone(), now);
        let owner = conversation.owner;
        let claimed = RelayedText { owner, channel, by_number, masked, media, words, ..claimed };
        let senders: Vec<_> =
            [Some(Sender::from(&relay.present_as)), way.map(Sender::from)].into_iter().flatten().collect();
        let to = Some((senders.as_slice(), &relay.to));
        let reference_of = |text: &RelayedText| TextReference { conversation: relay.conversation, text: text.id };
        let claim = match self.store.claim_text(relay.conversation, &claimed, relay.quarantined_until, to).await? {
            TextClaim::Withheld(why) => {
                let withheld = RelayedText::withheld(relay.from, size, inbound.record.clone(), why, now);
                let withheld = RelayedText { owner, channel, by_number, media: claimed.media.clone(), ..withheld };
                match self.store.claim_text(relay.conversation, &withheld, relay.quarantined_until, None).await? {
                    TextClaim::Claimed => {
                        self.events.tell(&self.store, reference_of(&withheld), Occasion::Relayed, now).await?;
                        return Ok(Relayed::Withheld(why));
                    }
                    other => other,
                }
            }
            claim => claim,
        };
        match claim {
            TextClaim::Claimed => {}
            // It has just ended.
            TextClaim::Over | TextClaim::Withheld(_) => return Ok(Relayed::Nowhere(Nowhere::Over)),
            // It may still turn out that it was not sent.
            TextClaim::Known(Some(known)) if known.is_being_sent(now) => return Err(RelayError::BeingSent),
            TextClaim::Known(known) => {
                // The run that sent it may have ended before the backend was told.
                if let Some(known) = known {
                    if matches!(known.state(now), TextState::Sent | TextState::Delivered) {
                        self.slide_end(&conversation, inbound.written_at.unwrap_or(known.received_at)).await?;
                    }
                    self.events.tell(&self.store, reference_of(&known), Occasion::Relayed, now).await?;
                }
                return Ok(Relayed::Repeated);
            }
        }
        let reference = reference_of(&claimed);
        let Content { way, has_sms, words, files, .. } = &content;
        let (from, to) = (&relay.present_as, &relay.to);
        let letter = Letter { from, to, words, files, way: *way, has_sms: *has_sms };
        let (relayed, outcome) = match text_ways::send(&self.texts, &letter, reference).await {
            Ok(accepted) => (Relayed::Sent, TextOutcome::Accepted(accepted)),
            Err(error) if error.may_pass() => {
                self.store.give_up_text(relay.conversation, &claimed).await?;
                return Err(RelayError::Carrier(error));
            }
            Err(error) => {
                tracing::warn!(conversation.id = %relay.conversation, cause = %error, "passing a text on failed");
                failed(error)
            }
        };
        self.store.record_text_outcome(relay.conversation, &claimed, &outcome, self.clock.now()).await?;
        if relayed == Relayed::Sent {
            self.slide_end(&conversation, inbound.written_at.unwrap_or(claimed.received_at)).await?;
        }
        self.events.tell(&self.store, reference, Occasion::Relayed, self.clock.now()).await?;
        Ok(relayed)
    }

    /// Moves the end of a conversation because of a text that was written at that time and passed on.
    async fn slide_end(&self, conversation: &Conversation, written_at: Timestamp) -> Result<(), StoreError> {
        let moved = conversation.sliding_end.and_then(|sliding| sliding.moved(conversation.expires_at, written_at));
        if moved.is_some() {
            Box::pin(self.slider.slide(conversation.id, written_at)).await?;
        }
        Ok(())
    }

    /// True if the writer is none of our own numbers, and the sender is ours.
    pub(super) async fn may_answer(&self, writer: &RealNumber, sender: &Sender<'_>) -> Result<bool, StoreError> {
        let as_own = VirtualNumber::from(PhoneNumber::clone(writer.canonical().as_phone()));
        let (dialled, expected) = match sender {
            Sender::Number(dialled) => (&**dialled, Ownership::Own),
            Sender::Brand(_) => (&as_own, Ownership::Foreign),
        };
        let owners = self.store.are_own([&as_own, dialled], self.clock.now()).await?;
        Ok(owners == [Ownership::Foreign, expected])
    }

    /// Returns the words of whoever has the sender: of the `speaker`, if it is known, or else one read more, if a tenant has words. The
    /// brand on a channel is the deployment's own.
    pub(super) async fn words_of(&self, speaker: Option<Owner>, sender: &Sender<'_>) -> Result<&Words, StoreError> {
        let owner = match (sender, speaker) {
            (Sender::Brand(_), _) => Owner::Deployment,
            (Sender::Number(number), None) if self.words.have_tenants() => {
                self.store.settings_in_call(number).await?.map(|settings| settings.owner).unwrap_or_default()
            }
            (Sender::Number(_), known) => known.unwrap_or_default(),
        };
        Ok(self.words.of(owner))
    }

    /// Tells the writer that a text reached nobody: at most once a day for each pair of phone and sender, never one of our own
    /// numbers, and only by a sender that is ours.
    async fn explain(
        &self,
        writer: &RealNumber,
        sender: &Sender<'_>,
        reason: Relayed,
        (addressee, speaker): (Option<Addressee>, Option<Owner>),
    ) -> Result<(), RelayError> {
        let now = self.clock.now();
        if !self.may_answer(writer, sender).await? {
            return Ok(());
        }
        if !self.store.claim_explanation(sender, writer, &self.key.hash_of_caller(writer), now).await? {
            return Ok(());
        }
        let caller = CallerId::Phone(writer.as_phone().clone());
        let words = self.words_of(speaker, sender).await?;
        let speech = words.speech_of_call(&caller, addressee.as_ref());
        let text = speech.write(match reason {
            Relayed::Nowhere(Nowhere::Over) => Text::NotRelayedOver,
            Relayed::Nowhere(Nowhere::Several) => Text::NotRelayedSeveral,
            Relayed::ContactDetails => Text::NotRelayedContacts,
            Relayed::NotText => Text::NotRelayedMedia,
            Relayed::Withheld(Withheld::OptedOut) => Text::NotRelayedStopped,
            Relayed::Withheld(Withheld::TooMany) => Text::NotRelayedTooMany,
            _ => Text::NotRelayed,
        });
        if let Err(error) = self.answer_by(sender, writer, &text).await {
            tracing::warn!(cause = %error, "explaining that a text was not passed on failed");
        }
        Ok(())
    }
}

/// Returns what is sent. The parts of a long text come in any order and some never, so each is passed on as it comes, with its
/// number.
fn written(text: &str, part: Option<(u32, u32)>) -> String {
    part.map_or_else(|| text.to_owned(), |(nth, total)| format!("({nth}/{total}) {text}"))
}

/// Returns the outcome of a text that the carrier did not accept for certain.
pub(super) fn failed(error: VonageError) -> (Relayed, TextOutcome) {
    let reason = error.to_string();
    match error {
        VonageError::Partial(records) => {
            let parts = records.into_iter().map(|record| AcceptedPart { id: record.id, price: None }).collect();
            (Relayed::Unclear, TextOutcome::Unknown(reason, parts))
        }
        error if error.outcome_is_unknown() => (Relayed::Unclear, TextOutcome::Unknown(reason, Vec::new())),
        _ => (Relayed::Refused, TextOutcome::Refused(reason)),
    }
}
