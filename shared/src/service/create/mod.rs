//! Creating a conversation: read the table, verify both numbers, choose a virtual number for each side, store everything in
//! one transaction, and text the participants who dial.

pub(in crate::service) mod free_numbers;
mod plan;
mod receiver;
pub(in crate::service) mod texts;

use std::time::Duration;

use jiff::Timestamp;

pub use self::plan::PlannedParticipant;
use self::texts::Run;
pub use self::texts::{Invitations, NotifyError};
use crate::clock::{SharedClock, whole_second};
use crate::domain::call_handling::CallHandling;
use crate::domain::call_limits::CallLimits;
use crate::domain::channel::{BrandSenders, ChosenChannel};
use crate::domain::choice::NoFreeNumber;
use crate::domain::contact_card::ContactCards;
use crate::domain::conversation::{Conversation, ConversationId, FurtherPhone, Notification, Participant};
use crate::domain::country::Country;
use crate::domain::decision_url::DecisionUrl;
use crate::domain::hours::Hours;
use crate::domain::invitation::InvitationReceipts;
use crate::domain::language::Language;
use crate::domain::late::LateCare;
use crate::domain::lifetime::Lifetime;
use crate::domain::listing::ListKey;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::pin::PinIssuer;
use crate::domain::safety_key::SafetyPresses;
use crate::domain::side::{Side, WhoDials};
use crate::domain::sliding_end::SlidingEnd;
use crate::domain::tenant::Owner;
use crate::domain::tenant_settings::TenantSettings;
use crate::domain::text::{Label, Reference};
use crate::domain::text_masking::TextMasking;
use crate::domain::usage::UsageLimits;
use crate::domain::verdict::RememberedVerdicts;
use crate::domain::words::Words;
use crate::service::demand::{DemandRecorder, Renting};
use crate::service::pool_cache::PoolCache;
use crate::service::verify_number::{self, NumberVerifier, ParticipantNumberError, VerifiedNumber, VerifiedSide};
use crate::store::{IdempotentRequest, RememberedRequest, Store, StoreError};
use crate::vonage::number_lookup::NumberLookup;
use crate::vonage::texts::TextSender;

/// Number of routes of a caller that a creation reads. Few people have more; for them it looks for certain routes.
pub const ROUTES_READ: u16 = 100;

/// Time for which an answer waits for a mark of peak usage, which is written at the same time as the conversation.
pub const USAGE_TIME_LIMIT: Duration = Duration::from_millis(20);

/// A conversation to create.
#[derive(Debug, Clone)]
pub struct NewConversation {
    /// Its owner.
    pub owner: Owner,
    /// Sides A and B.
    pub participants: [NewParticipant; 2],
    /// The sides that dial.
    pub direction: WhoDials,
    /// Its lifetime.
    pub lifetime: Lifetime,
    /// The rule by which its end slides.
    pub sliding_end: Option<SlidingEnd>,
    /// Length of the quarantine of its route keys, in seconds.
    pub quarantine_seconds: u32,
    /// Limits of each of its calls.
    pub limits: CallLimits,
    /// The handling of its calls.
    pub handling: CallHandling,
    /// The masking of contact details in its texts.
    pub text_masking: TextMasking,
    /// The address at which the backend decides about its calls.
    pub decision: Option<DecisionUrl>,
    /// The names in its contact cards.
    pub contact_card: Option<ContactCards>,
    /// The text messages to its participants.
    pub invitations: Invitations,
    /// The care for its late callers.
    pub late: LateCare,
    /// Limits of all its calls together.
    pub usage_limits: UsageLimits,
    /// The limits in place of those that neither it nor its tenant has.
    pub usual_limits: UsageLimits,
    /// The issuer of PINs for the participants who dial, if they get some.
    pub pins: Option<PinIssuer>,
    /// True to text the participants who dial.
    pub notify: bool,
    /// The creator's own name for it.
    pub reference: Option<Reference>,
}

/// A participant of a new conversation.
#[derive(Clone)]
pub struct NewParticipant {
    /// The real number, as people write it.
    pub number: String,
    /// The country of a number in national form.
    pub country: Option<Country>,
    /// Name of this participant in the other side's text message.
    pub label: Option<Label>,
    /// The participant's language. Guessed from the country, if there is none.
    pub language: Option<Language>,
    /// The channel on which the participant is texted. `None` leaves it to the participant.
    pub channel: Option<ChosenChannel>,
    /// The hours in which `number` is called.
    pub hours: Option<Hours>,
    /// The name of its owner, in the record.
    pub name: Option<Label>,
    /// The phones behind it, in the order in which they are called.
    pub further: Vec<NewFurtherPhone>,
}

/// A further phone of a new participant.
#[derive(Clone)]
pub struct NewFurtherPhone {
    /// The real number, as people write it.
    pub number: String,
    /// The country of a number in national form.
    pub country: Option<Country>,
    /// The name of its owner, if that is another member of a team.
    pub name: Option<Label>,
    /// The language of its owner. That of the participant, if there is none.
    pub language: Option<Language>,
    /// The hours in which it is called.
    pub hours: Option<Hours>,
    /// True if its owner calls from it, and it is never called.
    pub only_dials: bool,
}

impl std::fmt::Debug for NewParticipant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewParticipant").field("country", &self.country).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewFurtherPhone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewFurtherPhone").field("country", &self.country).finish_non_exhaustive()
    }
}

/// A conversation was not created. Nothing is stored, unless the table gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CreationError {
    /// The number of the participant on this side cannot be used.
    #[error("the number of a participant cannot be used")]
    Number(Side, #[source] ParticipantNumberError),
    /// The further phone at this position of the participant on this side cannot be used.
    #[error("a further phone of a participant cannot be used")]
    FurtherNumber(Side, usize, #[source] ParticipantNumberError),
    /// Both participants have the same number.
    #[error("both participants have the same number")]
    SameNumber,
    /// The further phone at this position of the participant on this side is in the conversation already.
    #[error("a further phone is in the conversation already")]
    SameFurtherNumber(Side, usize),
    /// No virtual number is free for a participant.
    #[error("no virtual number is free")]
    NoneFree(NoFreeNumber, Renting),
    /// Other creations took the chosen numbers first, too often.
    #[error("other requests took the chosen numbers in each attempt")]
    Contended,
    /// The idempotency key was used for a different request.
    #[error("the idempotency key was used for a different request")]
    OtherRequest,
    /// The same request has created a conversation that has been erased since.
    #[error("the conversation has been erased")]
    Erased,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The conversation of a request.
#[derive(Debug)]
pub struct Created {
    /// The conversation.
    pub conversation: Conversation,
    /// True if the same request had created it before.
    pub is_replay: bool,
}

/// Creates conversations.
pub struct Creator<L, T> {
    /// The table.
    pub store: Store,
    /// Verifies participants' numbers.
    pub verifier: NumberVerifier<L>,
    /// Sends text messages.
    pub texts: T,
    /// The deployment's senders on channels.
    pub senders: BrandSenders,
    /// The words of text messages.
    pub words: Words,
    /// The clock.
    pub clock: SharedClock,
    /// Countries whose numbers people of any country may get if their own country has none.
    pub fallback: Vec<Country>,
    /// The longest time that one text message takes to send, with its repetitions.
    pub text_time_limit: Duration,
    /// Puts new conversations into the lists by reference and number and into that of all, if the deployment has these.
    pub lists: Option<ListKey>,
    /// Records the numbers that refused conversations lack.
    pub demand: DemandRecorder,
    /// Data about the pool that one creation leaves for the next.
    pub cache: PoolCache,
    /// Number of routes of a participant that one creation reads; [`ROUTES_READ`] outside tests.
    pub routes_read: u16,
    /// Time for which an answer waits for a mark of peak usage; [`USAGE_TIME_LIMIT`] outside tests.
    pub usage_time_limit: Duration,
}

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Reads the data about the pool, so that the first creation sends no more requests than any other. If this fails, the
    /// first creation reads it.
    pub async fn warm_up(&self) {
        if let Err(error) = self.cache.warm_up(&self.store).await {
            tracing::warn!(cause = %error, "reading the ready numbers while starting failed");
        }
    }

    /// Creates a conversation, or finds the one that the same `request` has created before.
    ///
    /// It takes two round trips to the table: reads, and one write. The carrier is asked between them, if the reads do not
    /// show its verdict. One more round trip looks for free numbers for a participant with very many routes, and reads lists of
    /// ready numbers that have changed. The first conversation in which somebody only receives takes two more, to read routes
    /// and to hold a number; the others find it. The outcome of the text messages is written after them. For a request with an
    /// idempotency key, a claim is written before them, so that a replay cannot send them twice. A text message that fails does
    /// not undo the conversation, which shows the failure.
    ///
    /// No step is started that might not end before `deadline`.
    pub async fn create(
        &self,
        new: NewConversation,
        request: Option<IdempotentRequest>,
        deadline: Option<Timestamp>,
    ) -> Result<Created, CreationError> {
        let [a, b] = &new.participants;
        let numbers = [SideNumbers::read(a, Side::A)?, SideNumbers::read(b, Side::B)?];
        let real = numbers.each_ref().map(SideNumbers::real);
        let free = self.free_numbers(&new);
        let (remembered, snapshot, settings) =
            tokio::join!(self.remembered(request.as_ref()), free.snapshot(&real), self.settings_of(new.owner));
        // A replay does not ask the carrier.
        if let Some(remembered) = remembered? {
            return self.replay(remembered, &new.invitations, deadline).await;
        }
        check_distinct(&real)?;
        let (new, snapshot) = (with_settings(new, settings?), snapshot?);
        let verified = self.verify(new.owner, &numbers, &snapshot).await?;
        // On the heap, because it is large and the stack of a thread is not.
        let stored = Box::pin(self.store_with_free_numbers(&new, &verified, snapshot, request.as_ref())).await?;
        let Some(conversation) = stored else {
            let remembered = self.remembered(request.as_ref()).await?.ok_or(CreationError::Contended)?;
            return self.replay(remembered, &new.invitations, deadline).await;
        };
        let run = if request.is_some() { Run::First } else { Run::Only };
        let conversation = self.notify(conversation, run, &new.invitations, deadline).await;
        Ok(Created { conversation, is_replay: false })
    }

    /// Returns the settings of a tenant. The deployment itself has none in the table.
    async fn settings_of(&self, owner: Owner) -> Result<Option<TenantSettings>, StoreError> {
        match owner {
            Owner::Deployment => Ok(None),
            Owner::Tenant(tenant) => Box::pin(self.store.tenant_settings(tenant)).await,
        }
    }

    /// Returns the result of the same request, if it was sent before. Refuses a different request with the same idempotency
    /// key.
    async fn remembered(
        &self,
        request: Option<&IdempotentRequest>,
    ) -> Result<Option<RememberedRequest>, CreationError> {
        let Some(request) = request else { return Ok(None) };
        match self.store.remembered_request(&request.key_hash, self.clock.now()).await? {
            Some(remembered) if remembered.fingerprint != request.fingerprint => Err(CreationError::OtherRequest),
            remembered => Ok(remembered),
        }
    }

    /// Answers a replay with its conversation, and sends text messages that are still pending or failed.
    async fn replay(
        &self,
        remembered: RememberedRequest,
        invitations: &Invitations,
        deadline: Option<Timestamp>,
    ) -> Result<Created, CreationError> {
        let now = self.clock.now();
        let conversation = self.store.conversation(remembered.conversation, now).await?;
        // It was erased, or its retention, which may be shorter than a day, is over.
        let conversation = conversation.ok_or(CreationError::Erased)?;
        let conversation = if conversation.is_active(now) {
            self.notify(conversation, Run::Replay, invitations, deadline).await
        } else {
            conversation
        };
        Ok(Created { conversation, is_replay: true })
    }

    fn language(&self, owner: Owner, participant: &NewParticipant, verified: &VerifiedNumber) -> Language {
        self.words.of(owner).language_of(participant.language.as_ref(), verified.country)
    }

    fn compose(
        &self,
        new: &NewConversation,
        verified: &[VerifiedSide; 2],
        sees: [VirtualNumber; 2],
        quarantine_seconds: u32,
    ) -> Conversation {
        let now = self.clock.now();
        let created_at = whole_second(now);
        let [sees_a, sees_b] = sees;
        let participant = |side: Side, sees| {
            let (asked, first) = (&new.participants[side.index()], &verified[side.index()].first);
            Participant {
                number: first.number.clone(),
                keyed_as: first.number.respelled(),
                country: first.country,
                verified_by: first.judge,
                label: asked.label.clone(),
                language: Some(self.language(new.owner, asked, first)),
                channel: asked.channel,
                sees,
                notification: match new.notify && new.direction.includes(side) {
                    true => Notification::Pending,
                    false => Notification::Off,
                },
                pin: new.pins.as_ref().filter(|_| new.direction.includes(side)).map(PinIssuer::issue),
                previous_numbers: Vec::new(),
                previously_seen: Vec::new(),
                hours: asked.hours.clone(),
                name: asked.name.clone(),
                further: further(asked, &verified[side.index()], new.notify && new.direction.includes(side)),
            }
        };
        let mut conversation = Conversation {
            id: ConversationId::generate(now),
            owner: new.owner,
            reference: new.reference.clone(),
            participants: [participant(Side::A, sees_a), participant(Side::B, sees_b)],
            direction: new.direction,
            created_at,
            expires_at: created_at + new.lifetime.duration(),
            sliding_end: new.sliding_end,
            ended_at: None,
            hangs_up: false,
            quarantine_seconds,
            limits: new.limits,
            handling: new.handling,
            text_masking: new.text_masking,
            decision_url: None,
            verdicts: RememberedVerdicts::default(),
            contact_card: new.contact_card.clone(),
            late: new.late.clone(),
            usage_limits: new.usage_limits,
            limit_reached_at: None,
            paused_until: None,
            blocked: None,
            safety: SafetyPresses::default(),
            revision: 0,
            carrier_records: verified
                .iter()
                .flat_map(VerifiedSide::all)
                .filter_map(|verified| verified.carrier_record.clone())
                .collect(),
            invitation_receipts: InvitationReceipts::default(),
            listed: self.lists.as_ref().map(|lists| lists.listed(new.reference.as_ref())),
        };
        conversation.set_decision(new.decision.clone());
        conversation
    }
}

/// Returns a new conversation with what the settings of its tenant, or else those of the deployment, have in place of what it lacks.
fn with_settings(new: NewConversation, settings: Option<TenantSettings>) -> NewConversation {
    let limits = settings.as_ref().map(|settings| settings.usage_limits).unwrap_or_default();
    let usage_limits = new.usage_limits.or(limits).or(new.usual_limits);
    let late = match &settings {
        Some(settings) => settings.late_care(new.late),
        None => new.late,
    };
    NewConversation { usage_limits, late, ..new }
}

/// Returns the further phones of a new participant.
///
/// One with a name is that of another person, who is texted if the side `is_texted`.
fn further(asked: &NewParticipant, verified: &VerifiedSide, is_texted: bool) -> Vec<FurtherPhone> {
    let phones = asked.further.iter().zip(&verified.further).zip(1..);
    let phone = |((asked, verified), id): ((&NewFurtherPhone, &VerifiedNumber), u16)| FurtherPhone {
        id,
        number: verified.number.clone(),
        keyed_as: verified.number.respelled(),
        country: verified.country,
        verified_by: verified.judge,
        name: asked.name.clone(),
        notification: match asked.name.is_some() && is_texted {
            true => Notification::Pending,
            false => Notification::Off,
        },
        language: asked.language.clone(),
        hours: asked.hours.clone(),
        only_dials: asked.only_dials,
        joined_at: None,
        left_at: None,
    };
    phones.map(phone).collect()
}

/// The phones of a side.
pub(in crate::service) struct SidePhones {
    pub(in crate::service) first: RealNumber,
    pub(in crate::service) further: Vec<RealNumber>,
}

impl From<&VerifiedSide> for SidePhones {
    fn from(verified: &VerifiedSide) -> Self {
        let further = verified.further.iter().map(|phone| phone.number.clone());
        Self { first: verified.first.number.clone(), further: further.collect() }
    }
}

/// The phones of a side of a request.
struct SideNumbers {
    first: PhoneNumber,
    further: Vec<PhoneNumber>,
}

impl SideNumbers {
    fn read(participant: &NewParticipant, side: Side) -> Result<Self, CreationError> {
        let first = verify_number::read(&participant.number, participant.country);
        let further = participant.further.iter().enumerate().map(|(position, phone)| {
            let read = verify_number::read(&phone.number, phone.country);
            read.map_err(|error| CreationError::FurtherNumber(side, position, error))
        });
        Ok(Self {
            first: first.map_err(|error| CreationError::Number(side, error))?,
            further: further.collect::<Result<_, _>>()?,
        })
    }

    fn real(&self) -> SidePhones {
        let real = |number: &PhoneNumber| RealNumber::from(number.clone());
        SidePhones { first: real(&self.first), further: self.further.iter().map(real).collect() }
    }
}

/// Refuses a phone that is in the conversation twice.
fn check_distinct([a, b]: &[SidePhones; 2]) -> Result<(), CreationError> {
    if a.first.is_same_phone(&b.first) {
        return Err(CreationError::SameNumber);
    }
    let mut others = vec![&a.first, &b.first];
    for (side, phones) in [(Side::A, a), (Side::B, b)] {
        for (position, phone) in phones.further.iter().enumerate() {
            if others.iter().any(|other| other.is_same_phone(phone)) {
                return Err(CreationError::SameFurtherNumber(side, position));
            }
            others.push(phone);
        }
    }
    Ok(())
}
