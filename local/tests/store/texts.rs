//! Claims of texts.

use jiff::Timestamp;
use shared::domain::call::Direction;
use shared::domain::carrier_record::{CarrierRecord, Product};
use shared::domain::conversation::Conversation;
use shared::domain::relayed_text::RelayedText;
use shared::domain::side::Side;
use shared::domain::text_message::TextSize;
use shared::store::{Store, TextClaim};

use crate::{DRIVER, after, conversation, create, phone, table, virtual_number};

/// Claims a text of the rider, as a run does that has read the route before.
async fn claim(store: &Store, conversation: &Conversation, id: &str, now: Timestamp) -> TextClaim {
    let inbound =
        CarrierRecord { id: id.to_owned(), product: Product::Messages, direction: Direction::Inbound, channel: None };
    let text = RelayedText::claimed(Side::A, TextSize { segments: 1, messages: None }, inbound, now);
    let (senders, driver) = ([virtual_number(2).into()], phone(DRIVER));
    store.claim_text(conversation.id, &text, conversation.rests_until(), Some((&senders, &driver))).await.unwrap()
}

#[tokio::test]
async fn text_is_claimed_neither_after_an_end_nor_after_an_erasure() {
    let store = table().await;
    let (ended, erased) = (conversation([1, 2]), conversation([3, 4]));
    for conversation in [&ended, &erased] {
        create(&store, conversation).await.unwrap();
        assert_eq!(claim(&store, conversation, &format!("{}-1", conversation.id), after(1)).await, TextClaim::Claimed);
    }
    store.end_conversation(ended.id, after(2)).await.unwrap();
    assert!(store.erase_conversation(erased.id, after(2)).await.unwrap());
    for conversation in [&ended, &erased] {
        let late = claim(&store, conversation, &format!("{}-2", conversation.id), after(3)).await;
        assert_eq!(late, TextClaim::Over, "{}", conversation.id);
    }
    assert_eq!(store.texts(ended.id, None, 5).await.unwrap().texts.len(), 1);
    assert!(store.texts(erased.id, None, 5).await.unwrap().texts.is_empty(), "no erasure would find it any more");
}
