//! Rules for the end of retention. A run erases many conversations, and a crash can stop it anywhere. So the test reads from the
//! table which ones are gone, and checks that each of them was past its retention, and that a whole run leaves none.

use shared::service::retention::Retired;

use crate::model::{DAY, Model, Verdict, ensure};
use crate::table::Table;

impl Model {
    /// Takes over the erasures of a run; `done` is its result, unless the process crashed.
    pub fn accept_retention(&mut self, done: Option<&Retired>, table: &Table) -> Verdict {
        let over = self.conversations.iter().filter(|(_, conversation)| !conversation.is_readable(self.now));
        let over: Vec<_> = over.map(|(id, _)| *id).collect();
        for id in over.iter().filter(|id| !table.conversations.contains_key(id)) {
            self.erase(*id);
        }
        let Some(done) = done else { return Ok(()) };
        let is_due = self.retention.is_none_or(|(began_at, is_complete)| !is_complete || began_at + DAY <= self.now);
        ensure(is_due == (done.pages > 0), || format!("a pass began {:?} ago: {done:?}", self.retention))?;
        let left = over.iter().find(|id| self.conversations.contains_key(id));
        ensure(!is_due || left.is_none(), || format!("{left:?} is past its retention and not erased: {done:?}"))
    }
}
