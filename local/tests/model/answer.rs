//! The result of an operation, in a form that can be compared and counted.

use std::fmt;

use jiff::Timestamp;
use shared::domain::choice::NoFreeNumber;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::shortfall::ShortfallReason;
use shared::domain::side::Side;
use shared::service::create::{Created, CreationError};
use shared::service::demand::Renting;
use shared::service::provision::{Drained, Moved, Provisioned, Rotated};
use shared::service::retention::Retired;
use shared::service::update::UpdateError;
use shared::service::verify_number::ParticipantNumberError;
use shared::store::Recorded;

use crate::system::Outcome;
use crate::{late, pins, placing};

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Created,
    /// A replay: the same request created this conversation before.
    Replayed(ConversationId),
    OtherRequest,
    /// A phone is not valid: the first one, or the further one at this place.
    NotValid(Side, Option<usize>),
    SameNumber,
    /// The further phone at this place is in the conversation already.
    SameFurther(Side, usize),
    VirtualNumber(Side, Option<usize>),
    CallsTooShort,
    NoneFree(NoFreeNumber),
    Updated,
    MaskTaken {
        side: Side,
        further: Option<usize>,
        free_at: Option<Timestamp>,
    },
    /// Ended by this request or an earlier one.
    Ended,
    /// Expired before it could be ended.
    Expired,
    /// Refused, because the conversation is over.
    Over,
    Unknown,
    Erased,
    /// A person is erased by number, with so many conversations.
    ErasedNumber(u64),
    /// Refused, because the same request created a conversation that was erased.
    RefusedErased,
    Draining,
    Busy,
    /// Refused, because the country of the number has no other ready one.
    NoOther,
    /// The owner to whom a number is to move has it.
    There,
    /// Refused, because a number is to leave the pool, or moves away from the owner that is asked for.
    Leaving,
    /// Provisioning succeeded. The pool shows what it did.
    Provisioned,
    /// The schedule has erased what is past its retention. The table shows what that was.
    Retired,
    /// True if a number was taken away or given back. False if that had happened before.
    Account(bool),
    /// The next part of a call: words, or nothing.
    Next(bool),
    /// The fate of a typed PIN, of a late caller, or of a request to place a call.
    Typed(&'static str),
    /// The fate of an event.
    Recorded(Recorded),
    Failed(String),
}

impl Answer {
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Create(Ok(Created { conversation, is_replay: true })) => Self::Replayed(conversation.id),
            Outcome::Create(Ok(_)) => Self::Created,
            Outcome::Create(Err(refusal)) => Self::of_creation(refusal),
            Outcome::Update(Ok(_)) => Self::Updated,
            Outcome::Update(Err(refusal)) => Self::of_update(refusal),
            Outcome::End(Ok(Some(conversation))) if conversation.ended_at.is_some() => Self::Ended,
            Outcome::End(Ok(Some(_))) => Self::Expired,
            Outcome::End(Ok(None)) | Outcome::Drain(Ok(Drained::Unknown)) | Outcome::Rotate(Ok(Rotated::Unknown)) => {
                Self::Unknown
            }
            Outcome::Erase(Ok(true)) => Self::Erased,
            Outcome::Erase(Ok(false)) => Self::Unknown,
            Outcome::EraseNumber(Ok(erasure)) if erasure.done_at.is_some() && erasure.number.is_none() => {
                Self::ErasedNumber(erasure.conversations_erased)
            }
            Outcome::EraseNumber(Ok(erasure)) => Self::Failed(format!("{erasure:?}")),
            Outcome::Drain(Ok(Drained::Draining(_))) | Outcome::Rotate(Ok(Rotated::Rotating(_))) => Self::Draining,
            Outcome::Drain(Ok(Drained::Busy(_))) | Outcome::Rotate(Ok(Rotated::Busy)) => Self::Busy,
            Outcome::Rotate(Ok(Rotated::NoOther(_))) => Self::NoOther,
            Outcome::Move(Ok(moved)) => Self::of_move(moved),
            Outcome::Drain(Ok(Drained::SetAside)) | Outcome::Rotate(Ok(Rotated::SetAside)) => {
                Self::Failed("a standing mask that nobody has set".to_owned())
            }
            Outcome::Rent(Ok(done)) if falls_short(done) => Self::Failed(format!("{:?}", done.shortfalls)),
            // A number that Vonage does not list does not move.
            Outcome::Upkeep(Ok(done))
                if done.shortfalls.iter().any(|shortfall| shortfall.reason != ShortfallReason::Unconfirmed) =>
            {
                Self::Failed(format!("{:?}", done.shortfalls))
            }
            Outcome::Orders(Ok(done)) if done.iter().any(|(_, done)| falls_short(done)) => {
                Self::Failed(format!("{done:?}"))
            }
            Outcome::Heal(Ok(done)) if done.failed > 0 => Self::Failed(format!("{done:?}")),
            Outcome::Rent(Ok(_))
            | Outcome::Place(Ok(_))
            | Outcome::Orders(Ok(_))
            | Outcome::Upkeep(Ok(_))
            | Outcome::Heal(Ok(_)) => Self::Provisioned,
            Outcome::Retention(Ok(done)) if done.failed > 0 => Self::Failed(format!("{done:?}")),
            Outcome::Retention(Ok(_)) => Self::Retired,
            Outcome::Account(changed) => Self::Account(*changed),
            Outcome::Step(Ok(next)) => Self::Next(next.is_some()),
            Outcome::Event(Ok(recorded)) => Self::Recorded(*recorded),
            Outcome::Dial(outcome) => Self::Typed(placing::became(outcome)),
            Outcome::Late(Ok((met, _))) => Self::Typed(late::met(met)),
            Outcome::HangUp(Ok(over)) => Self::Typed(if over.is_some() { "ended" } else { "unknown" }),
            Outcome::HangUp(Err(error)) => Self::Failed(error.to_string()),
            Outcome::Recorded(Ok(is_new)) => Self::Typed(if *is_new { "new" } else { "known, or of nobody" }),
            Outcome::Keep(Ok(done)) => Self::Typed(if done.failed > 0 { "tried again later" } else { "done" }),
            Outcome::Press(Ok(call)) => Self::Typed(if call.is_some() { "safety key" } else { "a key" }),
            Outcome::Pin(Ok(typed)) => Self::Typed(pins::typed_as(typed)),
            Outcome::End(Err(error))
            | Outcome::Erase(Err(error))
            | Outcome::EraseNumber(Err(error))
            | Outcome::Drain(Err(error))
            | Outcome::Rotate(Err(error))
            | Outcome::Move(Err(error))
            | Outcome::Rent(Err(error))
            | Outcome::Place(Err(error))
            | Outcome::Orders(Err(error))
            | Outcome::Upkeep(Err(error))
            | Outcome::Event(Err(error))
            | Outcome::Step(Err(error))
            | Outcome::Press(Err(error))
            | Outcome::Recorded(Err(error))
            | Outcome::Keep(Err(error))
            | Outcome::Pin(Err(error))
            | Outcome::Late(Err(error))
            | Outcome::Retention(Err(error))
            | Outcome::Heal(Err(error)) => Self::Failed(error.to_string()),
        }
    }

    fn of_move(moved: &Moved) -> Self {
        match moved {
            Moved::Moving(_) => Self::Draining,
            Moved::There(_) => Self::There,
            Moved::Busy => Self::Busy,
            Moved::Leaving => Self::Leaving,
            Moved::SetAside => Self::Failed("a standing mask that nobody has set".to_owned()),
            Moved::Unknown => Self::Unknown,
        }
    }

    fn of_creation(refusal: &CreationError) -> Self {
        match refusal {
            CreationError::Number(side, error) => Self::of_number(*side, None, error),
            CreationError::FurtherNumber(side, place, error) => Self::of_number(*side, Some(*place), error),
            CreationError::SameNumber => Self::SameNumber,
            CreationError::SameFurtherNumber(side, place) => Self::SameFurther(*side, *place),
            CreationError::NoneFree(none_free, Renting::Off) => Self::NoneFree(none_free.clone()),
            CreationError::OtherRequest => Self::OtherRequest,
            CreationError::Erased => Self::RefusedErased,
            other => Self::Failed(format!("{other:?}")),
        }
    }

    fn of_number(side: Side, further: Option<usize>, error: &ParticipantNumberError) -> Self {
        match error {
            ParticipantNumberError::NotValid(_) => Self::NotValid(side, further),
            ParticipantNumberError::Virtual => Self::VirtualNumber(side, further),
            other => Self::Failed(format!("{other:?}")),
        }
    }

    fn of_update(refusal: &UpdateError) -> Self {
        match refusal {
            UpdateError::Unknown => Self::Unknown,
            UpdateError::Ended => Self::Over,
            UpdateError::Number(side, error) => Self::of_number(*side, None, error),
            UpdateError::FurtherNumber(side, place, error) => Self::of_number(*side, Some(*place), error),
            UpdateError::SameNumber(_) => Self::SameNumber,
            UpdateError::SameFurtherNumber(side, place) => Self::SameFurther(*side, *place),
            UpdateError::CallsTooShort(_) => Self::CallsTooShort,
            UpdateError::MaskTaken { side, further, free_at } => {
                Self::MaskTaken { side: *side, further: *further, free_at: *free_at }
            }
            other => Self::Failed(format!("{other:?}")),
        }
    }

    /// Name under which the coverage report counts the answer.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replayed(_) => "replayed",
            Self::OtherRequest => "refused: other request",
            Self::NotValid(_, None) => "refused: not valid",
            Self::NotValid(..) => "refused: further phone not valid",
            Self::SameFurther(..) => "refused: same further phone",
            Self::CallsTooShort => "refused: calls too short",
            Self::SameNumber => "refused: same number",
            Self::VirtualNumber(_, None) => "refused: virtual number",
            Self::VirtualNumber(..) => "refused: further phone a virtual number",
            Self::NoneFree(_) => "refused: no number free",
            Self::Updated => "updated",
            Self::MaskTaken { further: None, .. } => "refused: mask taken",
            Self::MaskTaken { .. } => "refused: mask taken for a further phone",
            Self::Ended => "ended",
            Self::Expired => "expired before",
            Self::Over => "refused: over",
            Self::Unknown => "unknown",
            Self::Erased => "erased",
            Self::ErasedNumber(0) => "erased nothing",
            Self::ErasedNumber(1) => "erased one",
            Self::ErasedNumber(_) => "erased several",
            Self::RefusedErased => "refused: erased",
            Self::Draining => "draining",
            Self::Busy => "busy",
            Self::NoOther => "no other number",
            Self::There => "there already",
            Self::Leaving => "refused: leaving",
            Self::Provisioned => "provisioned",
            Self::Retired => "done",
            Self::Account(true) => "account changed",
            Self::Account(false) => "account unchanged",
            Self::Typed(fate) => fate,
            Self::Next(true) => "words",
            Self::Next(false) => "nothing",
            Self::Recorded(Recorded::Merged(_)) => "merged",
            Self::Recorded(Recorded::ToHangUp(_)) => "to be hung up",
            Self::Recorded(Recorded::ToWarn { .. }) => "to be warned",
            Self::Recorded(Recorded::ToSlide(_)) => "merged, and slides",
            Self::Recorded(Recorded::ToRedact(_)) => "to be redacted",
            Self::Recorded(Recorded::OfNone) => "of no conversation",
            Self::Failed(_) => "failed",
        }
    }
}

impl Outcome {
    /// Returns the result of a run of retention.
    pub fn retired(&self) -> Option<&Retired> {
        match self {
            Self::Retention(Ok(done)) => Some(done),
            _ => None,
        }
    }

    /// Returns the conversation in the answer.
    pub fn conversation(&self) -> Option<&Conversation> {
        match self {
            Self::Create(Ok(Created { conversation, .. }))
            | Self::Update(Ok(conversation))
            | Self::End(Ok(Some(conversation))) => Some(conversation),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Answer::of(self), self.conversation()) {
            (Answer::Created | Answer::Updated, Some(conversation)) => {
                let [a, b] = &conversation.participants;
                let sees = |participant: &shared::domain::conversation::Participant| {
                    format!("{:?} sees {}", participant.number, participant.sees)
                };
                write!(f, "{}: {:?} {}, {}", conversation.id, conversation.direction, sees(a), sees(b))
            }
            (answer, _) => write!(f, "{answer:?}"),
        }
    }
}

/// True if an order has failed. One without a deadline runs out of time only while another run may give a draining number back.
fn falls_short(done: &Provisioned) -> bool {
    done.shortfalls.iter().any(|shortfall| shortfall.reason != ShortfallReason::OutOfTime)
}
