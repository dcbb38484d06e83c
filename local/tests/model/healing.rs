//! Rules for healing. A run changes many conversations one after the other, and a crash can stop it anywhere. So the test
//! reads the changes from the table and checks that each of them is allowed.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::domain::conversation::{Conversation, ConversationId, Notification, Participant};
use shared::domain::phone::VirtualNumber;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::side::Side;

use crate::model::{Model, Verdict, ensure};
use crate::phones::{Caller, keys_of};
use crate::pool::GRACE;
use crate::scenario::keyed_as;
use crate::table::Table;

impl Model {
    /// Takes over the other numbers that a run gave to participants. `finished`: the process did not crash.
    pub fn accept_healing(&mut self, finished: bool, table: &Table) -> Verdict {
        // A number that was held for one conversation in this run was not free for the next ones.
        self.accept_holds(table, true)?;
        let ids: Vec<_> = self.conversations.keys().copied().collect();
        for id in ids {
            let found = table.conversations.get(&id).ok_or_else(|| format!("healing removed {id:?}"))?;
            self.accept_other_numbers(id, found)?;
            self.accept_change_texts(id, found, finished)?;
        }
        self.accept_notes(table)?;
        if finished { self.check_healed(table) } else { Ok(()) }
    }

    /// Takes over the notes that the live conversations on a lost or rotated number are listed. A creation may store one for a
    /// minute after the loss or the rotation.
    fn accept_notes(&mut self, table: &Table) -> Verdict {
        let now = self.now;
        for (name, number) in self.numbers.iter_mut() {
            let Some(listed) = table.numbers.get(name).map(|found| found.loss.conversations_listed) else { continue };
            let may_be_listed = number.left_since().is_some_and(|since| since + GRACE <= now);
            ensure(listed == number.loss.conversations_listed || may_be_listed, || {
                format!("the conversations on {number:?} count as listed too early")
            })?;
            number.loss.conversations_listed = listed;
        }
        Ok(())
    }

    /// True if the carrier has taken the number away.
    pub fn is_lost(&self, number: &VirtualNumber) -> bool {
        self.numbers.get(number).is_some_and(|number| number.missing_since.is_some())
    }

    fn is_rotated(&self, number: &VirtualNumber) -> bool {
        self.numbers.get(number).is_some_and(|number| number.rotating_since.is_some())
    }

    /// True if live conversations are to leave the number.
    fn is_left(&self, number: &VirtualNumber) -> bool {
        self.numbers.get(number).is_some_and(|number| number.left_since().is_some())
    }

    /// True if somebody in a live conversation dials the number.
    pub fn is_dialled(&self, number: &VirtualNumber) -> bool {
        let live = self.conversations.values().filter(|conversation| conversation.is_live(self.now));
        let mut participants = live.flat_map(|conversation| &conversation.expected.participants);
        participants.any(|participant| participant.sees == *number)
    }

    /// The sides of a live conversation that dial a lost or rotated number.
    fn lost_sides(&self, id: ConversationId) -> Vec<Side> {
        let conversation = &self.conversations[&id];
        let lost = |side: &Side| self.is_left(&conversation.expected.participants[side.index()].sees);
        Side::BOTH.into_iter().filter(|side| conversation.is_live(self.now) && lost(side)).collect()
    }

    fn accept_other_numbers(&mut self, id: ConversationId, found: &Conversation) -> Verdict {
        let mut conversation = self.conversations[&id].clone();
        let before = conversation.expected.clone();
        let changed = |side: &Side| before.participants[side.index()].sees != found.participants[side.index()].sees;
        let healed: Vec<Side> = Side::BOTH.into_iter().filter(changed).collect();
        if healed.is_empty() {
            return Ok(());
        }
        let lost = self.lost_sides(id);
        ensure(healed.iter().all(|side| lost.contains(side)), || {
            format!("{before:?} got other numbers for {healed:?}, but only {lost:?} are to leave theirs")
        })?;
        let callers = Side::BOTH.map(|side| Caller::of(&before, side));
        let texts = lost.iter().any(|side| before.participants[side.index()].notification != Notification::Off);
        let dials = found.participants.each_ref().map(|participant| participant.sees.clone());
        match before.direction.receiver() {
            None => self.check_choice_of(&healed, &callers, &dials, texts, false)?,
            Some(receiver) => {
                for side in &healed {
                    let (caller, number) = (&callers[side.index()], &dials[side.index()]);
                    let is_held = *side == receiver && self.held_numbers(caller).contains(&number);
                    let is_unused = self.unused_numbers(caller).iter().any(|(unused, _)| unused.number == *number);
                    ensure(is_held || is_unused, || format!("{caller:?} gets {number}, which is not free"))?;
                }
            }
        }

        conversation.expected.revision += 1;
        for side in &healed {
            let participant = &mut conversation.expected.participants[side.index()];
            participant.keyed_as = keyed_as(&participant.number);
            let dials = dials[side.index()].clone();
            participant.previously_seen.push(std::mem::replace(&mut participant.sees, dials));
        }
        for side in healed.into_iter().filter(|side| before.direction.includes(*side)) {
            for old in keys_of(&before, side) {
                self.quarantine_route(&old, conversation.quarantine());
                self.routes.get_mut(&old).expect("it was put into quarantine").is_replaced = true;
            }
            self.assign_routes(&conversation, [side]);
        }
        self.conversations.insert(id, conversation);
        Ok(())
    }

    /// Takes over the states of the text messages about other numbers.
    fn accept_change_texts(&mut self, id: ConversationId, found: &Conversation, finished: bool) -> Verdict {
        let now = self.now;
        let Some(conversation) = self.conversations.get_mut(&id).filter(|conversation| conversation.is_live(now))
        else {
            return Ok(());
        };
        for (participant, found) in conversation.expected.participants.iter_mut().zip(&found.participants) {
            if participant.previously_seen.is_empty() || participant.notification == found.notification {
                continue;
            }
            ensure(participant.notification != Notification::Off, || {
                format!("{found:?} was texted, but is not to be")
            })?;
            participant.notification.clone_from(&found.notification);
        }
        let waits = |participant: &Participant| {
            !participant.previously_seen.is_empty() && participant.notification == Notification::Pending
        };
        let waiting = conversation.expected.participants.iter().find(|participant| waits(participant));
        ensure(!finished || waiting.is_none(), || format!("{waiting:?} was not texted"))
    }

    /// Checks that a run has healed what was due and could be healed, and that the rest is listed.
    fn check_healed(&self, table: &Table) -> Verdict {
        let was_due = |id: &ConversationId| self.heals.get(id).is_none_or(|due_at| *due_at <= self.now);
        for (id, conversation) in &self.conversations {
            for side in self.lost_sides(*id) {
                let caller = Caller::of(&conversation.expected, side);
                let free = self.unused_numbers(&caller);
                let is_held = caller.receives && !self.held_numbers(&caller).is_empty();
                ensure(!was_due(id) || free.is_empty() && !is_held, || {
                    format!("{conversation:?} {side:?} could get {free:?}")
                })?;
                ensure(table.heals.contains_key(id), || format!("{conversation:?} {side:?} is not listed"))?;
            }
        }
        let is_needed = |id: &ConversationId| self.conversations.contains_key(id) && !self.lost_sides(*id).is_empty();
        let left = table.heals.keys().find(|id| was_due(id) && !is_needed(id));
        ensure(left.is_none(), || format!("{left:?} is listed without a reason"))
    }
}

/// Checks the events of a step. If it `finished`, each loss and each change of a number is an event.
pub fn check_events(before: &Model, after: &Model, events: &[Value], finished: bool) -> Verdict {
    let (mut healed, mut lost, mut rotated) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for event in events {
        let detail = testkit::digits(event["detail"].clone());
        let text = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
        match event["detail-type"].as_str() {
            Some("Number lost") => drop(lost.insert(text("number"))),
            Some("Number found" | "Recording finished" | "Text relayed" | "Text delivered" | "Text failed") => {}
            Some("Number rotated") => drop(rotated.insert(text("number"))),
            Some(kind @ ("Dialled number lost" | "Dialled number rotated")) => {
                let id: ConversationId = text("conversation").as_str().try_into().unwrap();
                let side = if text("side") == "A" { Side::A } else { Side::B };
                let conversation =
                    &after.conversations.get(&id).ok_or_else(|| format!("{event} is of nobody"))?.expected;
                let participant = conversation.participant(side);
                let is_rotated = kind == "Dialled number rotated";
                let is_healed = text(if is_rotated { "moved" } else { "healed" }) == "true";
                let is_due =
                    if is_rotated { after.is_rotated(&participant.sees) } else { after.is_lost(&participant.sees) };
                let is_right = if is_healed { !participant.previously_seen.is_empty() } else { is_due };
                ensure(is_right, || format!("{event} is wrong for {participant:?}"))?;
                if is_healed {
                    healed.insert((id, side == Side::A));
                }
            }
            _ => return Err(format!("{event} is of an unknown kind")),
        }
    }
    if !finished {
        return Ok(());
    }
    for (id, conversation) in &after.conversations {
        for side in Side::BOTH {
            let dials = |model: &Model| {
                let conversation = model.conversations.get(id)?;
                Some(conversation.expected.participant(side).sees.clone())
            };
            let changed = dials(before).is_some() && dials(before) != dials(after);
            ensure(!changed || healed.contains(&(*id, side == Side::A)), || {
                format!("no event tells of the other number of {conversation:?} {side:?}: {events:?}")
            })?;
        }
    }
    let is_new =
        |number: &VirtualNumber| before.numbers.get(number).is_some_and(|number| number.state == NumberState::Ready);
    let now_lost = after.numbers.values().filter(|number| number.state == NumberState::Lost && is_new(&number.number));
    let untold = now_lost.map(|number| number.number.to_string()).find(|number| !lost.contains(number));
    ensure(untold.is_none(), || format!("no event tells of the loss of {untold:?}"))?;
    let is_new =
        |number: &PoolNumber| before.numbers.get(&number.number).is_none_or(|old| old.rotating_since.is_none());
    let now_rotated = after.numbers.values().filter(|number| number.rotating_since.is_some() && is_new(number));
    let untold = now_rotated.map(|number| number.number.to_string()).find(|number| !rotated.contains(number));
    ensure(untold.is_none(), || format!("no event tells of the rotation of {untold:?}"))
}
