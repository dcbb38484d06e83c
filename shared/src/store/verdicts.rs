//! The answers of the backend that hold for further calls: an attribute of the conversation, which a call reads anyway.

use super::item::{self, Key};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::conversation::Conversation;
use crate::domain::verdict::RememberedVerdicts;

impl Store {
    /// Remembers answers about an active conversation, if it is as it was read. They are not a change of it.
    pub async fn remember_verdicts(
        &self,
        conversation: &Conversation,
        verdicts: &RememberedVerdicts,
    ) -> Result<(), StoreError> {
        let remember = Write::update(Key::Conversation(conversation.id))
            .set("verdicts = :verdicts")
            .when("revision = :seen AND attribute_not_exists(ended_at)")
            .bind(":verdicts", item::value(verdicts)?)
            .bind(":seen", item::integer(conversation.revision));
        self.update(remember).await.map(drop)
    }
}
