//! Rules for what the table has about PINs: the PINs themselves, the tries, and the calls and legs of those who typed one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use shared::domain::conversation::ConversationId;
use shared::domain::side::Side;

use crate::model::{Model, Verdict, ensure};
use crate::pins::{Issued, PinTry, TriesKey};
use crate::table::Table;

impl Model {
    /// Takes over the new PINs, and what is known of the `tries` of a step in which more happened than one of them.
    pub fn accept_pins(&mut self, table: &Table, tries: &[&PinTry], undisturbed: bool) -> Verdict {
        let due = if self.pins.due.is_empty() { BTreeSet::new() } else { std::mem::take(&mut self.pins.due) };
        for (id, index) in due {
            let Some(conversation) = self.conversations.get_mut(&id) else { continue };
            let found = table.conversations.get(&id).and_then(|found| found.participants[index].pin.clone());
            let is_new =
                |digits: &str| !self.pins.issued.iter().any(|old| old.conversation == id && old.digits == digits);
            ensure(found.as_ref().is_some_and(|found| is_new(found.expose())), || {
                format!("side {index} of {id} has a new phone and not a new PIN")
            })?;
            conversation.expected.participants[index].pin = found;
        }
        for is in self.conversations.values().map(|found| &found.expected) {
            for side in Side::BOTH {
                let participant = is.participant(side);
                let Some(pin) = &participant.pin else { continue };
                let (digits, number) = (pin.expose().to_owned(), participant.sees.clone());
                let known = |one: &Issued| (one.conversation, one.side, &one.digits) == (is.id, side, &digits);
                if !self.pins.issued.iter().any(known) {
                    self.pins.issued.push(Issued { conversation: is.id, side, digits, number });
                }
            }
        }
        for pin in tries.iter().filter(|_| !undisturbed) {
            let uuid = pin.call.uuid();
            let (before, after) = (self.pins.calls.get(&uuid).copied(), table.pin_calls.get(&uuid).copied());
            let ((tried, accepted), (tries_after, now_accepted)) =
                (before.unwrap_or_default(), after.unwrap_or_default());
            let is_right =
                tries_after == tried || tried < tries_after && tries.iter().any(|pin| pin.nth == tries_after);
            let is_kept = accepted.is_none() || accepted == now_accepted;
            ensure(is_right && is_kept, || format!("{pin:?} made {after:?} of {before:?}"))?;
            self.pins.calls.extend(after.map(|after| (uuid, after)));
            for (key, at_once, pause) in pin.counts_with() {
                let Some(found) = table.pin_tries.get(&key) else { continue };
                let begins = self.pins.tries.get(&key).copied().unwrap_or(self.now).max(self.now);
                let most = i32::try_from(tries.len()).unwrap();
                let is_right = *found <= begins + pause * most && *found <= self.now + pause * at_once;
                ensure(is_right, || format!("{pin:?} left {key:?} at {found}, which began at {begins}"))?;
            }
        }
        if !undisturbed && !tries.is_empty() {
            self.pins.tries.clone_from(&table.pin_tries);
        }
        Ok(())
    }

    /// Checks the leg of a caller who typed a PIN: it is there if the PIN was right, and then only in that conversation.
    pub fn check_pin_leg(&self, pin: &PinTry, table: &Table, has_event: bool) -> Verdict {
        let uuid = pin.call.leg();
        let owner = table.pin_calls.get(&pin.call.uuid()).and_then(|(_, accepted)| *accepted).map(|(id, _)| id);
        // Its call may have been forgotten since, with the leg kept.
        let is_new = |key: &&(ConversationId, String)| !self.legs.contains_key(*key);
        let elsewhere = table.legs.keys().filter(is_new).find(|(id, leg)| *leg == uuid && Some(*id) != owner);
        ensure(elsewhere.is_none(), || format!("{pin:?} is of {owner:?}, but there is also {elsewhere:?}"))?;
        let Some(id) = owner.filter(|id| self.conversations.contains_key(id)) else { return Ok(()) };
        let key = (id, uuid);
        let (before, after) = (self.legs.get(&key), table.legs.get(&key));
        ensure(after.is_some(), || format!("{pin:?} left no leg in {id}"))?;
        ensure(has_event || before.is_none_or(|leg| Some(leg) == after), || {
            format!("{pin:?} made {after:?} of {before:?}")
        })
    }
}

/// Checks that each PIN of a live conversation leads there, and that the tries and calls are those that the model knows.
pub fn check_pins(model: &Model, table: &Table) -> Verdict {
    for is in model.conversations.values().filter(|found| found.is_live(model.now)).map(|found| &found.expected) {
        for side in Side::BOTH {
            let participant = is.participant(side);
            let Some(pin) = &participant.pin else { continue };
            let found = table.pins.get(&(participant.sees.clone(), pin.hash().to_owned()));
            ensure(found == Some(&(is.id, side)), || format!("the PIN of {side:?} of {is:?} leads to {found:?}"))?;
        }
    }
    let counting = |tries: &BTreeMap<TriesKey, Timestamp>| {
        let counting = tries.iter().filter(|(_, free_at)| model.now < **free_at);
        counting.map(|(key, free_at)| (key.clone(), *free_at)).collect::<BTreeMap<_, _>>()
    };
    let (expected, found) = (counting(&model.pins.tries), counting(&table.pin_tries));
    ensure(expected == found, || format!("the tries of PINs are {found:?}; expected {expected:?}"))?;
    ensure(model.pins.calls == table.pin_calls, || {
        format!("the calls with PINs are {:?}; expected {:?}", table.pin_calls, model.pins.calls)
    })
}
