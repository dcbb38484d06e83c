//! Repair of a table that was restored to an earlier time, by what the journal tells of the time since then.
//!
//! The steps have an order, so that a run which was killed can be repeated from the beginning:
//!
//! 1. Conversations are brought to their last recorded state, or ended. Standing masks that have changed since are closed.
//! 2. Route keys that were given away since then are kept from everybody else. Which ones these are is known only while the
//!    conversations are still there.
//!    Opt-outs are brought to their last state before anybody can be texted.
//! 3. Conversations that were erased are erased.
//! 4. The pool is compared with the account.
//! 5. The journal belongs to this table.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;

use crate::clock::{SharedClock, whole_second};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::VirtualNumber;
use crate::domain::route_keys::{RouteKey, Tenure};
use crate::retry;
use crate::service::provision::{Provisioner, Upkeep, WalkEnd};
use crate::store::{Kept, RecordedChange, RecordedKeys, Store, StoreError, Stored};

/// Maximum number of attempts at a conversation that others change at the same time.
const ATTEMPTS: u32 = 5;

/// Number of items of the journal that are worked on at the same time.
const AT_ONCE: usize = 16;

/// Repairs a restored table.
pub struct Restorer {
    /// The restored table, and the journal.
    pub store: Store,
    /// Compares the pool with the account.
    pub provisioner: Provisioner,
    /// The clock.
    pub clock: SharedClock,
}

/// The result of a repair. Numbers count what this run has changed.
#[derive(Debug, Default)]
pub struct Restored {
    /// Conversations that were brought to their last state.
    pub brought_up: usize,
    /// Conversations that this or an earlier run has ended, because their phones or numbers had changed, or because another
    /// conversation has got a number of theirs. The backend has to create them anew.
    pub ended_by_restore: BTreeSet<ConversationId>,
    /// Route keys that are kept from everybody else.
    pub kept_keys: usize,
    /// Erased conversations.
    pub erased: usize,
    /// People and numbers whose opt-out was made, or lifted, again.
    pub opt_outs: usize,
    /// Standing masks that lead to nobody until they are set again, because they have changed.
    pub closed_masks: BTreeSet<VirtualNumber>,
    /// Items that cannot be read. What they are about is not repaired.
    pub unreadable: usize,
    /// Conversations that are not repaired: an item cannot be read, or others changed them at the same time.
    pub failed: BTreeSet<ConversationId>,
    /// The result of the comparison with the account.
    pub pool: Upkeep,
    /// True if all numbers were compared.
    pub is_pool_compared: bool,
}

/// The effects of one item of the journal.
#[derive(Default)]
struct Repair {
    brought_up: usize,
    ended: Vec<ConversationId>,
    kept_keys: usize,
    erased: usize,
}

impl Restored {
    /// True if nothing is left to do.
    pub fn is_complete(&self) -> bool {
        self.unreadable == 0 && self.failed.is_empty() && self.is_pool_compared && self.pool.shortfalls.is_empty()
    }

    /// Adds what an item has led to. A failure that is only its own does not stop the others.
    fn add(&mut self, id: ConversationId, repair: Result<Repair, StoreError>) -> Result<(), StoreError> {
        match repair {
            Ok(Repair { brought_up, ended, kept_keys, erased }) => {
                self.brought_up += brought_up;
                self.ended_by_restore.extend(ended);
                self.kept_keys += kept_keys;
                self.erased += erased;
                return Ok(());
            }
            Err(StoreError::Unreadable(..)) => self.unreadable += 1,
            Err(StoreError::Contended(_)) => {}
            Err(error) => return Err(error),
        }
        self.failed.insert(id);
        Ok(())
    }

    fn add_unreadable(&mut self, items: &[Option<ConversationId>]) {
        self.unreadable += items.len();
        self.failed.extend(items.iter().flatten());
    }
}

impl Restorer {
    /// Repairs the table. Can be repeated, also after it was killed.
    pub async fn run(&self) -> Result<Restored, StoreError> {
        let mut done = Restored::default();
        self.for_each_change(&mut done, |change| self.bring_up(change)).await?;
        self.close_standing_masks(&mut done).await?;
        self.bring_up_opt_outs(&mut done).await?;
        self.keep_route_keys(&mut done).await?;
        // Once a conversation is erased, nothing tells which of its route keys the table lacked.
        let left = done.failed.clone();
        let erase = async |change: RecordedChange| match change.erased_at {
            Some(_) if !left.contains(&change.conversation) => self.erase(change.conversation).await,
            _ => Ok(Repair::default()),
        };
        self.for_each_change(&mut done, erase).await?;
        let (pool, end) = self.provisioner.compare_anew().await?;
        (done.pool, done.is_pool_compared) = (pool, end == WalkEnd::Complete);
        if done.is_pool_compared {
            self.store.take_journal(self.clock.now()).await?;
        }
        Ok(done)
    }

    /// Closes the standing masks that have changed after the time to which the table was restored: a phone of before may have
    /// been erased, and the journal does not know those of now.
    async fn close_standing_masks(&self, done: &mut Restored) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            let page = self.store.recorded_standing(from).await?;
            done.unreadable += page.unreadable.len();
            for recorded in page.found {
                match self.store.close_standing(&recorded, self.clock.now()).await {
                    Ok(true) => drop(done.closed_masks.insert(recorded.number)),
                    Ok(false) => {}
                    Err(StoreError::Unreadable(..)) => done.unreadable += 1,
                    Err(error) => return Err(error),
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Brings the opt-outs to their last recorded state: nobody is texted who has stopped texts since.
    async fn bring_up_opt_outs(&self, done: &mut Restored) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            let page = self.store.recorded_opt_outs(from).await?;
            done.unreadable += page.unreadable.len();
            for recorded in page.found {
                done.opt_outs += usize::from(self.store.restore_opt_out(&recorded, self.clock.now()).await?);
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn for_each_change(
        &self,
        done: &mut Restored,
        repair: impl AsyncFn(RecordedChange) -> Result<Repair, StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            let page = self.store.recorded_changes(from).await?;
            let is_new = |id: &Option<ConversationId>| id.is_none_or(|id| !done.failed.contains(&id));
            let unreadable: Vec<_> = page.unreadable.into_iter().filter(is_new).collect();
            done.add_unreadable(&unreadable);
            let repairs = page.found.into_iter().map(async |change| (change.conversation, repair(change).await));
            let mut repairs = stream::iter(repairs).buffer_unordered(AT_ONCE);
            while let Some((id, repaired)) = repairs.next().await {
                done.add(id, repaired)?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Brings a conversation to its last recorded state. If it has other phones or numbers by now, which the journal does not
    /// know, it ends: nobody reaches a phone from before.
    async fn bring_up(&self, mut change: RecordedChange) -> Result<Repair, StoreError> {
        let ended = |id| Repair { ended: vec![id], ..Repair::default() };
        for attempt in 0..ATTEMPTS {
            let (id, now) = (change.conversation, self.clock.now());
            let unchanged = if change.ended_by_restore { ended(id) } else { Repair::default() };
            let Some(before) = self.store.conversation(id, now).await? else { return Ok(unchanged) };
            let Some((mut after, mut next)) = brought_up(&before, &change, now) else { return Ok(unchanged) };
            if !next.ended_by_restore && !self.hold(&before, &after, now).await? {
                (after, next) = ended_now(after, next, now);
            }
            let (states, recorded) = ([&before, &after], Some(change.revision));
            if self.store.restore_conversation(states, &next, recorded, now).await? {
                let brought_up = Repair { brought_up: 1, ..Repair::default() };
                return Ok(if next.ended_by_restore { ended(id) } else { brought_up });
            }
            retry::pause(attempt).await;
            match self.store.recorded_change(id).await? {
                Some(newer) => change = newer,
                None => return Ok(Repair::default()),
            }
        }
        Err(StoreError::Contended("a conversation"))
    }

    /// Holds the number that those who only receive see, for a conversation that lasts longer than before. False if another
    /// conversation has it.
    async fn hold(&self, before: &Conversation, after: &Conversation, now: Timestamp) -> Result<bool, StoreError> {
        let until = after.quarantined_until(after.end());
        for phone in after.receiving_phones().filter(|_| after.end() > before.end()) {
            if self.store.hold((phone.caller, phone.sees), after.owner, until, now).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn keep_route_keys(&self, done: &mut Restored) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            let page = self.store.recorded_keys(from).await?;
            done.add_unreadable(&page.unreadable);
            let now = self.clock.now();
            let in_use = page.found.into_iter().filter(|keys| now < keys.quarantined_until);
            let repairs = in_use.map(async |keys| (keys.conversation, self.keep_keys_of(&keys).await));
            let mut repairs = stream::iter(repairs).buffer_unordered(AT_ONCE);
            while let Some((id, repaired)) = repairs.next().await {
                done.add(id, repaired)?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Keeps the route keys that a conversation got after the time to which the table was restored.
    async fn keep_keys_of(&self, recorded: &RecordedKeys) -> Result<Repair, StoreError> {
        let mut done = Repair::default();
        let stored = self.store.stored(recorded.conversation).await?;
        if let Stored::Conversation(known) = &stored {
            self.store.keep_pins(known, self.clock.now()).await?;
        }
        let known = match stored {
            // Erased before that time, or by a run of this after its keys were kept.
            Stored::Erased => return Ok(done),
            Stored::Conversation(known)
                if known.moves() == recorded.moves && recorded.keys.keys().all(|key| key.may_be_of(&known)) =>
            {
                return Ok(done);
            }
            Stored::Conversation(known) => Some(known),
            Stored::Nothing => None,
        };
        let mut first_failure = None;
        for (key, tenure) in &recorded.keys {
            match self.keep_key(recorded, (key, *tenure), known.as_deref(), &mut done).await {
                Ok(()) => {}
                // The other keys are kept all the same.
                Err(error @ (StoreError::Unreadable(..) | StoreError::Contended(_))) => {
                    first_failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        first_failure.map_or(Ok(done), Err)
    }

    /// Keeps a route key, after ending the conversation that uses it.
    async fn keep_key(
        &self,
        recorded: &RecordedKeys,
        key: (&RouteKey, Tenure),
        known: Option<&Conversation>,
        done: &mut Repair,
    ) -> Result<(), StoreError> {
        let (id, until) = (recorded.conversation, recorded.quarantined_until);
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            if let Some(known) = known
                && self.is_settled(known, key.0, now).await?
            {
                return Ok(());
            }
            match self.store.keep_key(id, key, until, now).await? {
                Kept::Before => return Ok(()),
                Kept::Now => {
                    done.kept_keys += 1;
                    return Ok(());
                }
                Kept::Live(other) => done.ended.extend(self.end(other).await?),
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("a route"))
    }

    /// True if the conversation has this route key in the table as it is, or had it before the one that has it now.
    async fn is_settled(&self, known: &Conversation, key: &RouteKey, now: Timestamp) -> Result<bool, StoreError> {
        if RouteKey::of(known).iter().any(|(present, _)| present == key) {
            return Ok(true);
        }
        let owner = self.store.key_owner(&key.caller, &key.dialled).await?.filter(|owner| owner.is_in_use(now));
        let is_of_another = owner.is_some_and(|owner| owner.conversation() != Some(known.id));
        Ok(is_of_another && key.may_be_of(known))
    }

    /// Ends a conversation that has a route key of another one. Returns it, if it was active.
    async fn end(&self, id: ConversationId) -> Result<Option<ConversationId>, StoreError> {
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            let before = self.store.conversation(id, now).await?.filter(|before| before.is_active(now));
            let Some(before) = before else { return Ok(None) };
            let recorded = match self.store.recorded_change(id).await {
                // As each other change, the end replaces what nobody can read.
                Err(StoreError::Unreadable(..)) => {
                    return Ok(self.store.end_conversation(id, now).await?.map(|ended| ended.id));
                }
                recorded => recorded?,
            };
            let revision = recorded.as_ref().map(|recorded| recorded.revision);
            let recorded = recorded.unwrap_or_else(|| RecordedChange::of(&before, None));
            let (after, next) = ended_now(before.clone(), recorded, now);
            if self.store.restore_conversation([&before, &after], &next, revision, now).await? {
                return Ok(Some(id));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("a conversation"))
    }

    async fn erase(&self, id: ConversationId) -> Result<Repair, StoreError> {
        let is_there = matches!(self.store.stored(id).await?, Stored::Conversation(_));
        let is_erased = is_there && self.store.erase_conversation(id, self.clock.now()).await?;
        Ok(Repair { erased: usize::from(is_erased), ..Repair::default() })
    }
}

/// Returns the state of a conversation according to a change of it, and what the journal has to say of that state. `None` if the
/// conversation has that state.
fn brought_up(
    before: &Conversation,
    change: &RecordedChange,
    now: Timestamp,
) -> Option<(Conversation, RecordedChange)> {
    let is_newer = change.revision > before.revision || change.ended_at.is_some();
    // An erasure after the end by time has changed nothing else, and the same two people may have their numbers back.
    let was_over = change.expires_at == before.expires_at && change.ended_at == Some(before.expires_at);
    if before.ended_at.is_some() || !is_newer || was_over {
        return None;
    }
    let after = Conversation {
        expires_at: change.expires_at,
        ended_at: change.ended_at,
        usage_limits: change.usage_limits.or(before.usage_limits),
        limit_reached_at: change.limit_reached_at,
        paused_until: change.paused_until,
        blocked: change.blocked,
        safety: change.safety,
        handling: change.handling,
        text_masking: change.text_masking,
        sliding_end: change.sliding_end,
        revision: change.revision.max(before.revision),
        ..before.clone()
    };
    if change.moves != before.moves() && after.is_active(now) {
        return Some(ended_now(after, change.clone(), now));
    }
    Some((after, change.clone()))
}

/// Ends a conversation that cannot be brought to its last state, or that has a route key of another one.
fn ended_now(after: Conversation, change: RecordedChange, now: Timestamp) -> (Conversation, RecordedChange) {
    let (ended_at, revision) = (Some(whole_second(now)), change.revision.max(after.revision) + 1);
    (
        Conversation { ended_at, revision, ..after },
        RecordedChange { ended_at, revision, ended_by_restore: true, ..change },
    )
}
