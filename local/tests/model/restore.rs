//! At the end of a case, the table is restored to its state after an earlier step and repaired by the journal. The model knows what
//! is true now, so nothing may be there that contradicts it.

use std::collections::{BTreeMap, BTreeSet};

use dynoxide::types::Item;
use jiff::Timestamp;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::VirtualNumber;
use shared::domain::pool::NumberState;
use shared::domain::route::{Destination, destination};
use shared::service::restore::Restored;
use shared::store::Store;

use crate::case::Case;
use crate::database::TABLE;
use crate::model::{RouteKey, Verdict, ensure};
use crate::phones::{dialling_keys, keys_of, moves};
use crate::scenario::canonical;
use crate::table::Table;

/// The name of the restored table.
pub const RESTORED: &str = "restored";

/// The table after some step.
pub struct Snapshot {
    items: Vec<Item>,
    conversations: BTreeMap<ConversationId, Conversation>,
}

impl Case {
    pub async fn snapshot(&self) -> Snapshot {
        let items = self.system.database.items(TABLE).await;
        Snapshot { items, conversations: self.table.conversations.clone() }
    }

    /// Restores the snapshot, repairs it, and checks it. The case is over then: a repair also writes the journal.
    pub async fn check_restored(&mut self, snapshot: Snapshot) -> Verdict {
        let (store, done) = self.system.restore(&snapshot.items).await;
        ensure(done.failed.is_empty() && done.unreadable == 0 && done.is_pool_compared, || format!("{done:?}"))?;
        let items = self.system.database.items(RESTORED).await;
        let restored = Table::of_all(&items);
        self.check_erased_ones(&store).await?;
        self.check_live_ones(&snapshot.conversations, &restored)?;
        self.check_kept_keys(&restored, &done)?;
        self.check_ready_ones(&restored).await?;
        let what = |count: usize, what: &str| (count > 0).then(|| what.to_owned());
        let kinds = [
            what(done.brought_up, "brought up"),
            what(done.ended_by_restore.len(), "ended"),
            what(done.kept_keys, "kept a key"),
            what(done.erased, "erased"),
            what(done.pool.lost.len(), "lost a number"),
        ];
        kinds.into_iter().flatten().for_each(|kind| self.coverage.count("restore", &kind));
        let again = self.system.restore(&[]).await.1;
        let changed = (again.brought_up, again.kept_keys, again.erased, again.pool.lost.len());
        ensure(changed == (0, 0, 0, 0) && again.ended_by_restore == done.ended_by_restore, || {
            format!("a second repair changes something: {again:?}")
        })
    }

    async fn check_erased_ones(&self, store: &Store) -> Verdict {
        for id in self.model.erased.keys() {
            let found = store.conversation(*id, self.model.now).await.unwrap();
            ensure(found.is_none(), || format!("{id:?} was erased, and is back: {found:?}"))?;
        }
        Ok(())
    }

    /// Checks that a call connects as it does now or to nobody, and that conversations with the phones and numbers of then go on.
    fn check_live_ones(&self, then: &BTreeMap<ConversationId, Conversation>, restored: &Table) -> Verdict {
        let now = self.model.now;
        for (key, owner) in &restored.routes {
            let found = destination(Some(owner.clone()), now);
            let right = self.model.destination(key);
            let is_nobody = !matches!(found, Destination::Participant { .. });
            ensure(is_nobody || is_same(&found, &right), || {
                format!("a call on {key:?} leads to {found:?}; now to {right:?}")
            })?;
        }
        for (id, conversation) in self.model.conversations.iter().filter(|(_, found)| found.is_live(now)) {
            let is = &conversation.expected;
            if then.get(id).is_none_or(|one| moves(&one.participants) != moves(&is.participants)) {
                continue;
            }
            for key in dialling_keys(is) {
                let found = destination(restored.routes.get(&key).cloned(), now);
                let right = self.model.destination(&key);
                ensure(is_same(&found, &right), || {
                    format!("{is:?} goes on, but {key:?} reaches {found:?}; expected {right:?}")
                })?;
            }
        }
        Ok(())
    }

    /// Checks that each route key in use is in use for as long as it is now. The quarantine of a conversation that the repair has
    /// ended begins with that.
    fn check_kept_keys(&self, restored: &Table, done: &Restored) -> Verdict {
        let now = self.model.now;
        let at_least = |id: &ConversationId, until: Timestamp| match self.model.conversations.get(id) {
            Some(ended) if done.ended_by_restore.contains(id) => until.min(self.model.second() + ended.quarantine()),
            _ => until,
        };
        let until = |key: &RouteKey| restored.routes.get(key).map(|owner| owner.quarantined_until());
        for (key, route) in self.model.routes.iter().filter(|(_, route)| route.is_in_use(now) && !route.is_hold()) {
            let kept = until(key);
            let needed = route.owner().map(|id| at_least(&id, route.quarantined_until));
            ensure(kept >= needed, || {
                format!("{key:?} of {route:?} is kept until {kept:?}, and then leads to a stranger")
            })?;
        }
        for conversation in self.model.conversations.values().filter(|found| now < found.quarantined_until()) {
            let Some(side) = conversation.expected.direction.receiver() else { continue };
            for key in keys_of(&conversation.expected, side) {
                let kept = until(&key);
                let needed = at_least(&conversation.expected.id, conversation.quarantined_until());
                ensure(kept >= Some(needed), || {
                    format!("{conversation:?} shows a number that is kept until {kept:?}")
                })?;
            }
        }
        Ok(())
    }

    async fn check_ready_ones(&self, restored: &Table) -> Verdict {
        let rented = self.system.rented().await;
        let ready = restored.numbers.values().filter(|number| number.state == NumberState::Ready);
        let ready: BTreeSet<&VirtualNumber> = ready.map(|number| &number.number).collect();
        let others = ready.iter().find(|number| !rented.contains(number.as_str()));
        ensure(others.is_none(), || format!("{others:?} is ready, and not ours"))?;
        let given: BTreeSet<&VirtualNumber> =
            restored.parts.values().flat_map(|part| part.numbers()).map(|ready| &ready.number).collect();
        ensure(given == ready, || format!("{given:?} are given to conversations, and {ready:?} are ready"))
    }
}

/// True if a call leads to the same person. The journal does not know in which spelling the same phone is dialled by now.
fn is_same(found: &Destination, right: &Destination) -> bool {
    let respelled = |destination: &Destination| {
        let mut respelled = destination.clone();
        if let Destination::Participant { connect_to, .. } = &mut respelled {
            *connect_to = canonical(connect_to);
        }
        respelled
    };
    respelled(found) == respelled(right)
}
