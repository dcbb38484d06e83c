//! Erasures by number, against each other and against creations and changes with the same phone.

use std::sync::Arc;

use shared::clock::{Clock, SharedClock};
use shared::domain::conversation::ConversationId;
use shared::domain::number_erasure::NumberErasure;
use shared::domain::phone::PhoneNumber;
use shared::service::forget::Forgetter;
use testkit::Laptop;

use crate::sandboxes::{Sandboxes, at_once, create, phone, rounds, start};

const NUMBERS: usize = 12;

/// The person who wants to be forgotten.
const PERSON: usize = 0;

#[derive(Clone, Copy)]
enum Operation {
    Forget,
    /// A run of the schedule.
    Run,
    /// An erasure of one conversation of the person.
    Erase(ConversationId),
    End(ConversationId),
    /// A conversation of the person with this other one.
    Create(usize),
}

#[derive(Debug)]
enum Outcome {
    Forgotten(NumberErasure),
    Created(ConversationId),
    Other,
}

async fn forget(laptop: &Laptop) -> NumberErasure {
    let (store, clock) = (laptop.store(), Arc::new(laptop.clock.clone()) as SharedClock);
    let person = PhoneNumber::try_from(phone(PERSON)).unwrap().into();
    Box::pin(Forgetter { store: &store, clock: &clock, deadline: None }.begin(&person)).await.unwrap()
}

async fn run(laptop: &Laptop) {
    let (store, clock) = (laptop.store(), Arc::new(laptop.clock.clone()) as SharedClock);
    Box::pin(Forgetter { store: &store, clock: &clock, deadline: None }.run()).await.unwrap();
}

async fn perform(laptop: Arc<Laptop>, sandboxes: Arc<Sandboxes>, operation: Operation) -> Outcome {
    match operation {
        Operation::Forget => return Outcome::Forgotten(forget(&laptop).await),
        Operation::Run => run(&laptop).await,
        Operation::Erase(id) => {
            assert!(laptop.store().erase_conversation(id, laptop.clock.now()).await.unwrap());
        }
        Operation::End(id) => drop(laptop.store().end_conversation(id, laptop.clock.now()).await.unwrap()),
        Operation::Create(other) => {
            if let Ok(created) = create(sandboxes.of(other), [PERSON, other]).await {
                return Outcome::Created(created.id);
            }
        }
    }
    Outcome::Other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_erasures_at_once_erase_all_that_was_before_once() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = start(&[]).await;
        laptop.rent("GB", NUMBERS).await;
        let (laptop, sandboxes) = (Arc::new(laptop), Arc::new(sandboxes));
        let mut before = Vec::new();
        for other in 1..=8 {
            before.push(create(sandboxes.of(other), [PERSON, other]).await.unwrap().id);
        }
        let stranger = create(sandboxes.of(0), [50, 51]).await.unwrap();
        laptop.advance(1);
        let operations = [
            Operation::Forget,
            Operation::Create(20),
            Operation::Run,
            Operation::Forget,
            Operation::Create(21),
            Operation::Erase(before[3]),
            Operation::End(before[5]),
            Operation::Run,
            Operation::Create(22),
        ];
        let outcomes = at_once(operations.map(|operation| perform(laptop.clone(), sandboxes.clone(), operation))).await;
        run(&laptop).await;

        let table = laptop.table().await;
        assert_eq!((table.erasing.len(), table.number_erasures.len()), (0, 0));
        assert!(before.iter().all(|id| table.erased.contains(id)), "{outcomes:?}");
        assert!(table.conversations.contains(&stranger), "{outcomes:?}");
        let (mut counted, mut created) = (0, Vec::new());
        for outcome in &outcomes {
            match outcome {
                Outcome::Forgotten(erasure) => {
                    let done = laptop.store().number_erasure(erasure.id, laptop.clock.now()).await.unwrap().unwrap();
                    assert!(done.done_at.is_some(), "{done:?}");
                    counted += done.conversations_erased;
                }
                Outcome::Created(id) => created.push(*id),
                Outcome::Other => {}
            }
        }
        // Those that were created in the same millisecond may have come before or after.
        let gone = created.iter().filter(|id| table.erased.contains(id)).count();
        assert_eq!(table.conversations.len(), 1 + created.len() - gone);
        let all = (before.len() + gone) as u64;
        assert!([all, all - 1].contains(&counted), "one may have been erased by itself: {counted} of {all}");

        // What comes later stays.
        laptop.advance(86_400 * 3);
        let later = create(sandboxes.of(1), [PERSON, 1]).await.unwrap();
        run(&laptop).await;
        assert!(laptop.table().await.conversations.contains(&later));
    }
}
