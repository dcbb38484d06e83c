//! Creations of which one side only receives, against each other and against those that want the same keys.

use std::collections::BTreeSet;

use shared::domain::conversation::Conversation;
use shared::domain::side::{Side, WhoDials};
use shared::service::create::{CreationError, NewConversation};
use testkit::Laptop;

use crate::sandboxes::{Sandbox, Sandboxes, at_once, new_conversation, random, rounds, start};

const NUMBERS: usize = 5;

/// The person who receives in every conversation of these tests.
const RECEIVER: usize = 0;

async fn laptop() -> (Laptop, Sandboxes) {
    let (laptop, sandboxes) = start(&[]).await;
    laptop.rent("GB", NUMBERS).await;
    (laptop, sandboxes)
}

fn one_way(caller: usize) -> NewConversation {
    NewConversation { direction: WhoDials::AToB, ..new_conversation([caller, RECEIVER]) }
}

/// Creates a conversation, or returns `None` if no number is free.
async fn create(sandbox: Sandbox, new: NewConversation) -> Option<Conversation> {
    match sandbox.create(new, None, None).await {
        Ok(created) => Some(created.conversation),
        Err(CreationError::NoneFree(..)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Creates all of `new` at the same moment.
async fn create_all(sandboxes: &Sandboxes, new: Vec<NewConversation>) -> Vec<Option<Conversation>> {
    at_once(new.into_iter().enumerate().map(|(index, new)| create(sandboxes.of(index), new))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_first_callers_agree_on_one_number() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let created = create_all(&sandboxes, (1..=50).map(one_way).collect()).await;
        let masks = created.iter().map(|created| created.as_ref().unwrap().masked_by(Side::A).to_string());
        assert_eq!(masks.collect::<BTreeSet<_>>().len(), 1);
        let table = laptop.table().await;
        assert_eq!((table.conversations.len(), table.routes.len()), (50, 50));
        assert_eq!((table.holds.len(), table.lines.len()), (1, 1));
        // Those who dial got a text message each, and the receiver none.
        assert_eq!(sandboxes.outbox.texts().len(), 50);
        // Later the hold becomes longer, for fifty at once.
        laptop.advance(86_400 * 2);
        let later = create_all(&sandboxes, (51..=100).map(one_way).collect()).await;
        let masks = later.iter().map(|created| created.as_ref().unwrap().masked_by(Side::A).to_string());
        assert_eq!(masks.collect::<BTreeSet<_>>().len(), 1);
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn receiver_and_dialler_never_get_the_same_key() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let mut new: Vec<_> = (1..=12).map(one_way).collect();
        for other in 13..=24 {
            new.insert(random(new.len() + 1), new_conversation([RECEIVER, other]));
        }
        let created = create_all(&sandboxes, new).await;
        let created: Vec<_> = created.into_iter().flatten().collect();
        // The table is checked for keys that belong to two.
        let table = laptop.table().await;
        assert_eq!(table.conversations.len(), created.len());
        let both = created.iter().filter(|conversation| conversation.direction.is_both()).count();
        assert_eq!(
            both + table.holds.len(),
            NUMBERS,
            "each number is dialled or seen, and a refusal is for want of numbers"
        );
        let one_way = created.len() - both;
        assert!(one_way == 12 || one_way == 0 && both == NUMBERS || table.holds.len() == 1, "{one_way} {both}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_two_people_race_in_both_directions() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let directions = [WhoDials::AToB, WhoDials::BToA, WhoDials::Both];
        let new = (0..24).map(|nth| NewConversation { direction: directions[nth % 3], ..new_conversation([1, 2]) });
        let created = create_all(&sandboxes, new.collect()).await;
        let table = laptop.table().await;
        assert_eq!(table.conversations.len(), created.iter().flatten().count());
        assert!(table.holds.len() <= 2 * NUMBERS);
    }
}
