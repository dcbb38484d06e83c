//! The addresses that an NCCO gives to Vonage: for the events of a leg, and for what happens next in a call.
//!
//! An address names the conversation and never a number, because Vonage logs NCCOs for about 30 days. Its steps need no secret:
//! Vonage signs what it posts to them. Vonage fetches the whisper with a GET, whose signature may cover nothing, so that address
//! has a token.

use crate::domain::attempt::Attempt;
use crate::domain::conversation::ConversationId;
use crate::domain::side::Side;

/// A point in a call at which an answer to Vonage decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// The callee pressed a key at the guard, or none.
    Guard,
    /// The callee's leg is over. If the callee never accepted the call, it was missed.
    After,
    /// The caller of a missed call pressed a key, or none.
    Menu,
    /// An event of the first leg of a call that a request placed.
    Placed,
    /// The person on that leg pressed a key, or none.
    Join,
    /// An event of the callee's leg, if the call may try several phones.
    Leg,
    /// The caller of a missed call left a message.
    Voicemail,
    /// The caller of a conversation that is over pressed a key, or none.
    Late,
    /// The caller was asked if the call may be recorded.
    Consent,
    /// The callee was asked the same.
    Agree,
    /// The recording of a call has ended.
    Recorded,
    /// The caller pressed a key in the call.
    Safety,
    /// The backend is to decide about the call.
    Decide,
}

/// A step of a call to the participant on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its kind.
    pub kind: StepKind,
    /// The side that is called.
    pub callee: Side,
    /// The attempt, if the call may try several phones.
    pub attempt: Option<Attempt>,
}

impl Step {
    const KINDS: [(StepKind, &'static str); 13] = [
        (StepKind::Guard, "guard"),
        (StepKind::After, "after"),
        (StepKind::Menu, "menu"),
        (StepKind::Placed, "placed"),
        (StepKind::Join, "join"),
        (StepKind::Leg, "leg"),
        (StepKind::Voicemail, "voicemail"),
        (StepKind::Late, "late"),
        (StepKind::Consent, "consent"),
        (StepKind::Agree, "agree"),
        (StepKind::Recorded, "recorded"),
        (StepKind::Safety, "safety"),
        (StepKind::Decide, "decide"),
    ];

    /// Reads the last part of an address.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('-')?;
        let (side, attempt) = match rest.split_once('-') {
            Some((side, attempt)) => (side, Some(Attempt::parse(attempt)?)),
            None => (rest, None),
        };
        let (kind, _) = Self::KINDS.into_iter().find(|(_, name)| *name == kind)?;
        let callee = Side::BOTH.into_iter().find(|of| letter(*of) == side)?;
        let needs_attempt = kind == StepKind::Leg && attempt.is_none();
        (!needs_attempt).then_some(Self { kind, callee, attempt })
    }

    fn name(self) -> String {
        let name = Self::KINDS.into_iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| name);
        let attempt = self.attempt.map(|attempt| format!("-{attempt}")).unwrap_or_default();
        format!("{name}-{}{attempt}", letter(self.callee))
    }
}

/// Returns the letter of a side in addresses and tokens.
pub fn letter(side: Side) -> &'static str {
    match side {
        Side::A => "a",
        Side::B => "b",
    }
}

/// The addresses of a deployment for the calls of one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallUrls {
    base: String,
    conversation: ConversationId,
}

impl CallUrls {
    /// Creates the addresses below `base`, the deployment's address without a slash at its end.
    pub fn new(base: impl Into<String>, conversation: ConversationId) -> Self {
        Self { base: base.into(), conversation }
    }

    /// Returns the address of the events of a leg.
    pub fn events(&self) -> String {
        format!("{}/webhooks/event/{}", self.base, self.conversation)
    }

    /// Returns the address of a step, in this `attempt` if the call may try several phones.
    pub fn step(&self, kind: StepKind, callee: Side, attempt: Option<Attempt>) -> String {
        format!("{}/{}", self.events(), Step { kind, callee, attempt }.name())
    }

    /// Returns the address of the deployment, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns the address of the words for the callee.
    pub fn whisper(&self, token: &str) -> String {
        format!("{}/webhooks/whisper/{token}", self.base)
    }
}

/// Returns the address to which the `nth` PIN of a call is posted, below `base` as in [`CallUrls::new`]. A call whose caller is to
/// type one has no conversation yet.
pub fn pin(base: &str, nth: u8) -> String {
    format!("{base}/webhooks/event/pin/{nth}")
}

/// The last part of the address of [`stranger`], where others have the id of a conversation.
pub const STRANGER: &str = "stranger";

/// Returns the address at which the backend decides about a stranger, below `base` as in [`CallUrls::new`].
pub fn stranger(base: &str) -> String {
    format!("{base}/webhooks/event/{STRANGER}")
}

/// Returns the address of the events of an attempt to reach a phone behind a standing mask, below `base` as in [`CallUrls::new`].
/// Such a call has no conversation, and its numbers are in the events.
pub fn standing(base: &str, attempt: Attempt) -> String {
    format!("{base}/webhooks/event/standing/{attempt}")
}

/// Returns the address that is asked for the turn of a call, below `base` as in [`CallUrls::new`]. What it is about is in the
/// body.
pub fn turn(base: &str) -> String {
    format!("{base}/webhooks/event/{TURN}")
}

/// The last part of the address that is asked for turns. It is no conversation's id.
pub const TURN: &str = "turn";

/// Returns the address at which a deployment shows the recording of a token.
pub fn recording_link(base: &str, token: &str) -> String {
    format!("{base}/recordings/{token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_is_read_as_it_was_written() {
        let second = Attempt::first(0, jiff::Timestamp::from_second(1_796_000_000).unwrap()).next(1_001);
        for (kind, _) in Step::KINDS {
            for (callee, attempt) in Side::BOTH.into_iter().flat_map(|side| [(side, None), (side, Some(second))]) {
                let step = Step { kind, callee, attempt };
                let is_step = kind != StepKind::Leg || attempt.is_some();
                assert_eq!(Step::parse(&step.name()), is_step.then_some(step));
            }
        }
        assert_eq!(
            Step { kind: StepKind::Leg, callee: Side::B, attempt: Some(second) }.name(),
            "leg-b-2.1001.1796000000.0"
        );
        for bad in ["", "guard", "guard-", "guard-c", "guard-A", "menu-a-b", "leg-a", "leg-a-", "leg-a-1.0"] {
            assert_eq!(Step::parse(bad), None, "{bad:?}");
        }
    }
}
