//! Creations that run against each other, against ends and against the drain of a number.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::SignedDuration;
use serde_json::json;
use shared::clock::Clock;
use shared::domain::conversation::{Conversation, Notification};
use shared::domain::phone::VirtualNumber;
use shared::domain::side::Side;
use shared::service::demand::Renting;
use shared::service::provision::{Drained, Provisioner};
use shared::store::IdempotentRequest;
use testkit::Laptop;
use tokio::sync::watch;

use crate::sandboxes::{
    Refusal, Sandbox, Sandboxes, at_once, create, create_once, dialled, provisioner, random, random_pair, rounds, start,
};

const NUMBERS: usize = 5;

/// Number of concurrent creations.
const TASKS: usize = 32;

async fn laptop() -> (Laptop, Sandboxes) {
    let (laptop, sandboxes) = start(&[]).await;
    laptop.rent("GB", NUMBERS).await;
    (laptop, sandboxes)
}

/// Checks that the table has exactly the created conversations, and that each participant got one text message.
async fn check(laptop: &Laptop, sandboxes: &Sandboxes, created: &[Conversation]) {
    let table = laptop.table().await;
    let stored: BTreeSet<_> = table.conversations.iter().map(|conversation| conversation.id).collect();
    assert_eq!(stored, created.iter().map(|conversation| conversation.id).collect());
    let mut texts = sandboxes.outbox.texts();
    texts.sort();
    let sides = created.iter().flat_map(|conversation| Side::BOTH.map(|side| conversation.participant(side)));
    let mut expected: Vec<_> = sides.map(|side| (side.number.expose().to_owned(), side.sees.to_string())).collect();
    expected.sort();
    assert_eq!(texts, expected);
}

fn split(outcomes: Vec<Result<Conversation, Refusal>>) -> (Vec<Conversation>, Vec<Refusal>) {
    let (created, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    (created.into_iter().flatten().collect(), refused.into_iter().filter_map(Result::err).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_person_gets_one_conversation_per_number() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let pairs: Vec<_> = (1..=TASKS).map(|other| [0, other]).collect();
        let (created, refused) = split(sandboxes.create(&pairs).await);
        assert_eq!((created.len(), dialled(0, &created)), (NUMBERS, laptop.settled_pool().await));
        for refusal in refused {
            assert_eq!(refusal.person, 0);
            refusal.check(NUMBERS, Renting::Off);
        }
        check(&laptop, &sandboxes, &created).await;
        assert_eq!(laptop.table().await.routes.len(), 2 * NUMBERS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creation_is_refused_only_without_a_free_number() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let pairs: Vec<_> = (0..TASKS).map(|_| random_pair(6)).collect();
        let (created, refused) = split(sandboxes.create(&pairs).await);
        assert!(!refused.is_empty(), "6 people with {NUMBERS} numbers can have 15 conversations");
        for refusal in &refused {
            refusal.check(NUMBERS, Renting::Off);
            assert_eq!(dialled(refusal.person, &created).len(), NUMBERS, "{refusal:?}");
        }
        check(&laptop, &sandboxes, &created).await;
        // Any two people who both have a free number can still get a conversation.
        let mut all = created;
        while let Some(pair) = pair_with_free_numbers(&all) {
            all.push(create(sandboxes.of(0), pair).await.unwrap());
        }
        check(&laptop, &sandboxes, &all).await;
    }
}

fn pair_with_free_numbers(conversations: &[Conversation]) -> Option<[usize; 2]> {
    let mut free = (0..6).filter(|person| dialled(*person, conversations).len() < NUMBERS);
    Some([free.next()?, free.next()?])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn route_is_given_again_only_after_its_quarantine() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let sandboxes = Arc::new(sandboxes);
        let outcomes = at_once((0..16).map(|task| create_and_end(sandboxes.clone(), task))).await;
        let (created, refused) = split(outcomes.into_iter().flatten().collect());
        refused.iter().for_each(|refusal| refusal.check(NUMBERS, Renting::Off));
        check(&laptop, &sandboxes, &created).await;
        assert!(created.len() > 15, "too few conversations were created: {}", created.len());
        // After all quarantines every number is free for everybody.
        laptop.advance(200);
        let (again, _) = split(sandboxes.create(&(1..=8).map(|other| [0, other]).collect::<Vec<_>>()).await);
        assert_eq!(again.len(), NUMBERS);
        check(&laptop, &sandboxes, &[created, again].concat()).await;
    }
}

/// Creates conversations and ends some of them, with two concurrent requests each, while time passes.
async fn create_and_end(sandboxes: Arc<Sandboxes>, task: usize) -> Vec<Result<Conversation, Refusal>> {
    let mut outcomes = Vec::new();
    for turn in 0..6 {
        let sandbox = sandboxes.of(task + turn);
        let outcome = create(sandbox.clone(), random_pair(6)).await;
        match (&outcome, random(3)) {
            (Ok(conversation), 0..=1) => {
                let now = sandboxes.clock.now();
                let end = || sandbox.store.end_conversation(conversation.id, now);
                let (first, second) = tokio::join!(end(), end());
                assert_eq!(first.unwrap(), second.unwrap());
            }
            _ => sandboxes.clock.advance(SignedDuration::from_secs(5)),
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// A number that is drained while conversations are created.
struct Drain {
    number: VirtualNumber,
    /// Number of creations that have started.
    started: watch::Sender<usize>,
    is_drained: AtomicBool,
}

impl Drain {
    async fn run(self: Arc<Self>, provisioner: Provisioner) {
        self.started.subscribe().wait_for(|started| *started > TASKS).await.unwrap();
        assert!(matches!(provisioner.drain(&self.number).await.unwrap(), Drained::Draining(_)));
        self.is_drained.store(true, Ordering::SeqCst);
    }

    /// Creates conversations of new people until one starts after the drain. Returns those before, and that one.
    async fn create(self: Arc<Self>, sandbox: Sandbox, task: usize) -> (Vec<Conversation>, Conversation) {
        let mut before = Vec::new();
        for person in (1000 * (task + 1)..).step_by(2) {
            self.started.send_modify(|started| *started += 1);
            let starts_after = self.is_drained.load(Ordering::SeqCst);
            let conversation = create(sandbox.clone(), [person, person + 1]).await.unwrap();
            if starts_after {
                return (before, conversation);
            }
            before.push(conversation);
        }
        unreachable!("the drain never ended")
    }

    fn is_used_in(&self, conversation: &Conversation) -> bool {
        Side::BOTH.iter().any(|side| conversation.participant(*side).sees == self.number)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creation_after_a_drain_does_not_get_the_drained_number() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let number = laptop.table().await.pool[0].number.clone();
        let drain = Arc::new(Drain { number, started: watch::Sender::new(0), is_drained: AtomicBool::new(false) });
        let drained = tokio::spawn(drain.clone().run(provisioner(&laptop).await));
        let created = at_once((0..TASKS).map(|task| drain.clone().create(sandboxes.of(task), task))).await;
        drained.await.unwrap();

        let (before, after): (Vec<_>, Vec<_>) = created.into_iter().unzip();
        assert!(!after.iter().any(|conversation| drain.is_used_in(conversation)), "{after:?}");
        let before = before.concat();
        assert!(
            before.iter().any(|conversation| drain.is_used_in(conversation)),
            "the number was not in use before the drain"
        );
        check(&laptop, &sandboxes, &[before, after].concat()).await;
        check_cancellation_after_the_last_quarantine(&laptop, &drain.number).await;
    }
}

async fn check_cancellation_after_the_last_quarantine(laptop: &Laptop, drained: &VirtualNumber) {
    for (seconds, cancelled) in [(61, vec![]), (60, vec![drained])] {
        laptop.advance(seconds);
        let report = laptop.run_schedule().await;
        assert_eq!(report["cancelled"], json!(cancelled), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_concurrent_replays_create_one_conversation() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = laptop().await;
        let request = IdempotentRequest { key_hash: "key".to_owned(), fingerprint: "body".to_owned() };
        let run = |index| create_once(sandboxes.of(index), [1, 2], request.clone());
        let answers = at_once((0..16).map(run)).await;
        assert_eq!(answers.iter().filter(|created| !created.is_replay).count(), 1);
        let last = run(0).await;
        assert!(answers.iter().all(|created| created.conversation.id == last.conversation.id));
        assert!(last.conversation.participants.iter().all(|side| side.notification == Notification::Sent), "{last:?}");
        check(&laptop, &sandboxes, std::slice::from_ref(&last.conversation)).await;
        assert_eq!(laptop.table().await.routes.len(), 2);
    }
}

#[tokio::test]
async fn text_is_left_to_a_replay_if_the_deadline_is_near() {
    let (laptop, sandboxes) = laptop().await;
    let request = || IdempotentRequest { key_hash: "key".to_owned(), fingerprint: "body".to_owned() };
    let order = || crate::sandboxes::new_conversation([1, 2]);
    let deadline = sandboxes.clock.now() + SignedDuration::from_secs(6);
    let late = sandboxes.of(0).create(order(), Some(request()), Some(deadline)).await.unwrap().conversation;
    let notifications =
        |conversation: &Conversation| Side::BOTH.map(|side| conversation.participant(side).notification.clone());
    assert_eq!(notifications(&late), [Notification::Pending, Notification::Pending]);
    assert_eq!(sandboxes.outbox.texts(), []);
    let again = sandboxes.of(1).create(order(), Some(request()), None).await.unwrap();
    assert!(again.is_replay);
    assert_eq!(notifications(&again.conversation), [Notification::Sent, Notification::Sent]);
    check(&laptop, &sandboxes, &[again.conversation]).await;
}
