//! The answer of a creation with `dry_run`.

use jiff::Timestamp;
use serde::Serialize;
use shared::clock::whole_second;
use shared::domain::country::Country;
use shared::domain::judge::Judge;
use shared::domain::phone::{E164, Reveal, ShownNumber};
use shared::domain::side::Side;
use shared::service::create::{NewConversation, PlannedParticipant};

/// A conversation that would be created.
#[derive(Serialize)]
pub(crate) struct PlanView {
    dry_run: bool,
    expires_at: Timestamp,
    participants: [ParticipantView; 2],
}

#[derive(Serialize)]
struct ParticipantView {
    number: ShownNumber,
    country: Country,
    /// None if a lookup would be bought.
    verified_by: Option<Judge>,
    masked_by: E164,
    /// None if this side only receives.
    dials: Option<E164>,
}

impl PlanView {
    /// Returns the view for somebody to whom real numbers are shown as `reveal` says.
    pub(crate) fn new(
        new: &NewConversation,
        planned: &[PlannedParticipant; 2],
        reveal: Reveal,
        now: Timestamp,
    ) -> Self {
        let participant = |side: Side| {
            let (own, other) = (&planned[side.index()], &planned[side.other().index()]);
            ParticipantView {
                number: reveal.show(&own.number),
                country: own.country,
                verified_by: own.verified_by,
                masked_by: (&other.sees).into(),
                dials: new.direction.includes(side).then(|| (&own.sees).into()),
            }
        };
        let expires_at = whole_second(now) + new.lifetime.duration();
        Self { dry_run: true, expires_at, participants: Side::BOTH.map(participant) }
    }
}
