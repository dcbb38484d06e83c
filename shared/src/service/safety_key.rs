//! The safety key: a participant presses `*` and `9` in a call, and the other one is blocked from then on.

use std::ops::ControlFlow::{Break, Continue};

use jiff::Timestamp;

use crate::clock::whole_second;
use crate::domain::call::Direction;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::RealNumber;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::safety_key;
use crate::domain::side::{Blocked, Side};
use crate::retry;
use crate::store::{ChangeError, KeyLeg, LegIds, Store, StoreError};
use crate::vonage::step_event::StepEvent;

/// Attempts at a block that conflicts with other changes of the conversation.
const ATTEMPTS: u32 = 12;

/// Takes the keys that the participant on `side` pressed in a call. If they complete the safety key, blocks the other side and returns
/// the call, which has to end.
///
/// A key that is no part of it costs nothing. Vonage may tell of a key twice, but a press blocks once. So a block that was undone since
/// then stays undone.
pub async fn press(
    store: &Store,
    id: ConversationId,
    side: Side,
    event: &StepEvent,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let keys = safety_key::keys(event.digits(), event.time().unwrap_or(now));
    let Some((call, leg)) = event.ids().filter(|_| !keys.is_empty()) else { return Ok(None) };
    let Some(conversation) = store.conversation(id, now).await? else { return Ok(None) };
    let (phone, direction) = pressed_on(&conversation, side, event);
    let ids = LegIds { call: call.clone(), leg };
    let leg = KeyLeg { side, phone, direction, ids };
    let Some(pressed_at) = store.note_safety_keys(&conversation, &leg, &keys).await? else { return Ok(None) };
    protect(store, id, side, whole_second(pressed_at), now).await?;
    Ok(Some(call))
}

/// Returns the index of the phone on which a key was pressed, and the direction of its leg. The number of that phone is the `from` of
/// the event, or the `to` in a call that a request placed.
fn pressed_on(conversation: &Conversation, side: Side, event: &StepEvent) -> (usize, Direction) {
    let of = |number: &RealNumber| conversation.phones(side).find(|phone| phone.number.is_same_phone(number));
    let caller = match event.caller() {
        CallerId::Phone(number) => Some(RealNumber::from(number)),
        CallerId::Hidden | CallerId::NotUnderstood { .. } => None,
    };
    match (caller.as_ref().and_then(of), event.called().as_ref().and_then(of)) {
        (None, Some(called)) => (called.index, Direction::Outbound),
        (caller, _) => (caller.unwrap_or(conversation.first_phone(side)).index, Direction::Inbound),
    }
}

/// Blocks the other side, unless that was done for this press. In a conversation that is over, in a call about lost property, the press
/// is only noted, and nobody is connected about that any more.
async fn protect(
    store: &Store,
    id: ConversationId,
    side: Side,
    pressed_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    retry::contended(ATTEMPTS, StoreError::Contended("a conversation"), || async move {
        let Some(before) = store.conversation(id, now).await? else { return Ok(Break(())) };
        if before.safety.of(side).is_some_and(|known| pressed_at <= known) {
            return Ok(Break(()));
        }
        let safety = before.safety.with(side, pressed_at);
        if !before.is_active(now) {
            store.note_late_press(&before, safety).await?;
            return Ok(Break(()));
        }
        let after = Conversation {
            blocked: Some(Blocked::with(before.blocked, side.other())),
            safety,
            revision: before.revision + 1,
            ..before.clone()
        };
        match store.change_conversation(&before, &after, &[], now).await {
            Ok(()) => Ok(Break(())),
            Err(ChangeError::Changed | ChangeError::KeyTaken) => Ok(Continue(())),
            Err(ChangeError::Store(error)) => Err(error),
        }
    })
    .await
}
