//! A phone from which a participant typed the PIN is remembered until the end, if the conversation wants that: it becomes one of the
//! participant's phones, which only dials. So it needs no PIN any more, and everything that is right for a phone is right for it.

use std::ops::ControlFlow::{Break, Continue};

use jiff::Timestamp;

use crate::clock::whole_second;
use crate::domain::conversation::{Conversation, FurtherPhone, Notification};
use crate::domain::phone::{PhoneNumber, RealNumber};
use crate::domain::pin::Pin;
use crate::domain::route::Route;
use crate::domain::side::Side;
use crate::domain::words::Words;
use crate::retry;
use crate::store::{ChangeError, PinOwner, Store, StoreError};

/// Attempts at a change that conflicts with others of the conversation. The caller waits for it.
const ATTEMPTS: u32 = 4;

/// Makes `caller`, who has just typed the PIN of this participant, one of the participant's phones, unless the phone has another
/// conversation by the dialled number, or the side has its most phones. Returns true if it did.
pub async fn remember(
    store: &Store,
    words: &Words,
    owner: &PinOwner,
    caller: &PhoneNumber,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (id, side) = (owner.conversation.id, owner.side);
    let pin = owner.conversation.participant(side).pin.as_ref().filter(|pin| pin.remembers_phones());
    let Some(pin) = pin else { return Ok(false) };
    let number = &RealNumber::from(caller.clone());
    retry::contended(ATTEMPTS, StoreError::Contended("a conversation"), || async move {
        let before = store.conversation(id, now).await?.filter(|conversation| conversation.is_active(now));
        let after = before.as_ref().and_then(|before| with_phone(before, (side, pin), number, now));
        let Some((before, after)) = before.zip(after) else { return Ok(Break(false)) };
        let Some(phone) = after.phones(side).find(|phone| phone.number == number) else { return Ok(Break(false)) };
        let keys = store.probe_routes(number, std::slice::from_ref(phone.sees), now).await?;
        let key = keys.by_number.get(phone.sees);
        let is_taken = key.is_some_and(|key| key.is_in_use(now) && key.conversation != Some(id));
        if keys.is_virtual || is_taken {
            return Ok(Break(false));
        }
        let usage = if after.usage_limits.cut_calls() { Some(store.usage(id).await?) } else { None };
        let left_seconds = usage.as_ref().and_then(|usage| after.seconds_left(&usage.tally, side));
        let route = Route::joining(&after, phone, key, whole_second(now)).with_spoken_names(&after, words);
        let route = Route { left_seconds, ..route };
        match store.change_conversation_and_limits([&before, &after], &[route], usage.as_ref(), now).await {
            Ok(()) => Ok(Break(true)),
            Err(ChangeError::Changed) => Ok(Continue(())),
            Err(ChangeError::KeyTaken) => Ok(Break(false)),
            Err(ChangeError::Store(error)) => Err(error),
        }
    })
    .await
}

/// Returns the conversation with one more phone on `side`. `None` if it has that phone, has another PIN by now, or has its most phones.
fn with_phone(
    before: &Conversation,
    (side, pin): (Side, &Pin),
    number: &RealNumber,
    now: Timestamp,
) -> Option<Conversation> {
    let participant = before.participant(side);
    let has_it =
        Side::BOTH.into_iter().flat_map(|side| before.phones(side)).any(|phone| phone.number.is_same_phone(number));
    let is_full = before.phones(side).count() >= FurtherPhone::MOST_OF_A_SIDE
        || participant.further.len() >= FurtherPhone::MOST_EVER;
    if has_it || is_full || participant.pin.as_ref() != Some(pin) || !before.direction.includes(side) {
        return None;
    }
    let new = FurtherPhone {
        id: participant.further.iter().map(|phone| phone.id).max().unwrap_or_default() + 1,
        number: number.clone(),
        keyed_as: number.respelled(),
        // Nobody asks a carrier about it, because it is never called.
        country: participant.country,
        verified_by: participant.verified_by,
        name: None,
        notification: Notification::Off,
        language: None,
        hours: None,
        only_dials: true,
        joined_at: Some(whole_second(now)),
        left_at: None,
    };
    let mut after = Conversation { revision: before.revision + 1, ..before.clone() };
    // Behind those that are here, and before those that have left.
    after.participants[side.index()].further.insert(participant.present().count(), new);
    Some(after)
}
