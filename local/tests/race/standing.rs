//! A number that is made a standing mask while conversations want it.

use std::pin::Pin;

use serde_json::json;
use shared::clock::Clock;
use shared::domain::call_limits::CallLimits;
use shared::domain::conversation::Conversation;
use shared::domain::phone::PhoneNumber;
use shared::domain::route::{Callee, Destination};
use shared::domain::side::Side;
use shared::domain::standing::StandingMask;
use shared::service::provision::SettingsChange;
use testkit::Laptop;

use crate::sandboxes::{at_once, create, phone, provisioner, rounds, start};

/// Number of concurrent creations.
const TASKS: usize = 31;

type Task = Pin<Box<dyn Future<Output = Option<Conversation>> + Send>>;

fn change() -> SettingsChange {
    let number = PhoneNumber::try_from("447700900801").unwrap().into();
    let standing = StandingMask {
        is_open: false,
        phones: vec![Callee { number, phone: 0, hours: None }],
        blocked: Default::default(),
        blocks_hidden: false,
        language: None,
        limits: CallLimits::with_max_call(60),
    };
    SettingsChange { standing: Some(Some(standing)), ..SettingsChange::default() }
}

/// True if anybody who dials the number is connected.
async fn connects_anybody(laptop: &Laptop, number: &str) -> bool {
    let call = json!({"from": "447700900555", "to": number, "uuid": "u", "conversation_uuid": "CON-1"});
    let answer = laptop.signed_post("/webhooks/answer", &call.to_string()).await;
    answer.body[1]["endpoint"][0]["number"] == "447700900801"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conversation_and_standing_mask_never_both_have_a_number() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = start(&[]).await;
        laptop.rent("GB", 3).await;
        let number = laptop.table().await.pool[0].number.clone();
        let (provisioner, mask) = (provisioner(&laptop).await, number.clone());
        let set: Task = Box::pin(async move {
            provisioner.change_number(&mask, &change()).await.unwrap();
            None
        });
        let creations = (0..TASKS).map(|task| -> Task {
            let creation = create(sandboxes.of(task), [2 * task, 2 * task + 1]);
            Box::pin(async move { creation.await.ok() })
        });
        let created: Vec<_> = at_once(creations.chain([set])).await.into_iter().flatten().collect();
        assert_eq!(created.len(), TASKS, "two numbers are enough for all");
        laptop.advance(30);
        let uses =
            |conversation: &Conversation| Side::BOTH.iter().any(|side| conversation.participant(*side).sees == number);
        // The scan does not begin before the last creation could still use the number, and by then these conversations are over.
        laptop.run_schedule().await;
        assert!(!connects_anybody(&laptop, number.as_str()).await);
        for conversation in created.iter().filter(|conversation| uses(conversation)) {
            let side = Side::BOTH.into_iter().find(|side| conversation.participant(*side).sees == number).unwrap();
            let caller = &conversation.participant(side).number;
            let found = laptop.store().destination(caller, &number, laptop.clock.now()).await.unwrap();
            assert!(matches!(found, Destination::Participant { .. }), "the conversation goes on: {found:?}");
        }
        laptop.table().await;
        laptop.advance(31);
        laptop.run_schedule().await;
        let in_use = created.iter().any(uses);
        assert_eq!(connects_anybody(&laptop, number.as_str()).await, !in_use, "the quarantine goes on");
        laptop.table().await;
        let later = create(sandboxes.of(0), [900, 901]).await.unwrap();
        assert!(!uses(&later), "{later:?}");
        laptop.advance(61);
        laptop.run_schedule().await;
        assert!(connects_anybody(&laptop, number.as_str()).await);
        laptop.table().await;
        assert_eq!(phone(900), later.participant(Side::A).number.expose());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_a_number_at_once_leave_one_of_them() {
    for _ in 0..rounds() {
        let (laptop, _sandboxes) = start(&[]).await;
        laptop.rent("GB", 2).await;
        let number = laptop.table().await.pool[0].number.clone();
        let mut tasks: Vec<Task> = Vec::new();
        for index in 0..8 {
            let (provisioner, number) = (provisioner(&laptop).await, number.clone());
            let removed = SettingsChange { standing: Some(None), ..SettingsChange::default() };
            let change = if index % 2 == 0 { change() } else { removed };
            tasks.push(Box::pin(async move {
                // Losing every race is an answer too.
                provisioner.change_number(&number, &change).await.ok();
                None
            }));
        }
        at_once(tasks).await;
        // It checks that the number is either ready, or set aside for a mask whose phones lead to it.
        laptop.table().await;
    }
}
