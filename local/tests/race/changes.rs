//! Changes of a conversation against each other, against its end, and against creations that want the same keys.

use std::sync::Arc;

use shared::callable::Callable;
use shared::clock::Clock;
use shared::conversation::{Conversation, ConversationId, Lifetime, Side};
use shared::update::{Change, NewPhone, UpdateError, Updater};

use crate::sandboxes::{Directory, Sandboxes, at_once, create, phone, rounds, start, store};
use crate::world::World;

/// What is done to a conversation, and to people who are to come into it.
#[derive(Clone, Copy, Debug)]
enum Act {
    Phone(Side, usize),
    Lifetime(u64),
    End,
    /// A conversation of two others.
    Create([usize; 2]),
}

#[derive(Debug)]
enum Outcome {
    Changed,
    Ended,
    MaskTaken,
    Created(ConversationId),
    /// No number was free for one of the two.
    Refused,
}

async fn act(world: Arc<World>, sandboxes: Arc<Sandboxes>, id: ConversationId, act: Act) -> Outcome {
    let (lifetime, phone) = match act {
        Act::End => {
            let now = world.clock.now();
            store(&world).await.end_conversation(id, now).await.unwrap().unwrap();
            return Outcome::Ended;
        }
        Act::Create(pair) => {
            let created = create(sandboxes.of(pair[1]), pair).await;
            return created.map_or(Outcome::Refused, |conversation| Outcome::Created(conversation.id));
        }
        Act::Lifetime(seconds) => (Some(Lifetime::try_from(seconds).unwrap()), None),
        Act::Phone(side, person) => {
            (None, Some(NewPhone { side, number: format!("+{}", phone(person)), country: None }))
        }
    };
    let updater = Updater {
        store: store(&world).await,
        lookup: Directory,
        callable: Callable::default(),
        clock: Arc::new(world.clock.clone()),
    };
    match updater.update(id, &Change { lifetime, phone }).await {
        Ok(_) => Outcome::Changed,
        Err(UpdateError::Ended) => Outcome::Ended,
        Err(UpdateError::MaskTaken { .. }) => Outcome::MaskTaken,
        Err(error) => panic!("{act:?}: {error}"),
    }
}

const NUMBERS: usize = 3;

/// Somebody who holds every number, so that nobody's mask is free for this phone.
const BUSY: usize = 2;

async fn race(acts: &[Act]) -> (Vec<Outcome>, Conversation) {
    let (world, sandboxes) = start(&[]).await;
    let (world, sandboxes) = (Arc::new(world.with_numbers("GB", NUMBERS).await), Arc::new(sandboxes));
    let neighbours: Vec<_> = (100..100 + NUMBERS).map(|other| [BUSY, other]).collect();
    sandboxes.create(&neighbours).await.into_iter().for_each(|created| drop(created.unwrap()));
    let conversation = create(sandboxes.of(0), [0, 1]).await.unwrap();
    let before = world.table().await;

    let outcomes = at_once(acts.iter().map(|one| act(world.clone(), sandboxes.clone(), conversation.id, *one))).await;
    let after = world.table().await;
    for neighbour in before.conversations.iter().filter(|other| other.id != conversation.id) {
        assert!(after.conversations.contains(neighbour), "{neighbour:?} has changed");
    }
    for ((caller, number), route) in before.routes.iter().filter(|(_, route)| route.conversation != conversation.id) {
        assert_eq!(after.routes.get(&(caller.clone(), number.clone())), Some(route));
    }
    for outcome in &outcomes {
        if let Outcome::Created(id) = outcome {
            assert!(after.conversations.iter().any(|stored| stored.id == *id), "{id} is missing");
        }
    }
    let stored = after.conversations.into_iter().find(|stored| stored.id == conversation.id).unwrap();
    (outcomes, stored)
}

fn count(outcomes: &[Outcome], is_meant: fn(&Outcome) -> bool) -> usize {
    outcomes.iter().filter(|outcome| is_meant(outcome)).count()
}

fn changes(outcomes: &[Outcome]) -> usize {
    count(outcomes, |outcome| matches!(outcome, Outcome::Changed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_once_come_one_after_the_other() {
    for _ in 0..rounds() {
        let acts = [
            Act::Phone(Side::A, 3),
            Act::Phone(Side::A, 4),
            Act::Phone(Side::B, 5),
            Act::Phone(Side::A, BUSY),
            Act::Lifetime(600),
            Act::Lifetime(900),
        ];
        let (outcomes, conversation) = race(&acts).await;
        assert!(matches!(outcomes[3], Outcome::MaskTaken), "{outcomes:?}");
        assert_eq!((changes(&outcomes), conversation.revision), (5, 5), "{outcomes:?}");
        let [a, b] = &conversation.participants;
        assert!([3, 4].map(phone).iter().any(|digits| a.number.expose() == digits), "{conversation:?}");
        assert_eq!(b.number.expose(), phone(5));
        let lifetime = conversation.expires_at.as_second() - conversation.created_at.as_second();
        assert!([600, 900].contains(&lifetime), "{conversation:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_has_ended_does_not_change_any_more() {
    for _ in 0..rounds() {
        let acts = [Act::Phone(Side::A, 3), Act::End, Act::Lifetime(600), Act::Phone(Side::B, 5), Act::End];
        let (outcomes, conversation) = race(&acts).await;
        let (changes, ended_at) = (changes(&outcomes), conversation.ended_at);
        assert_eq!(conversation.revision as usize, changes + 1, "{outcomes:?}");
        assert_eq!(ended_at, Some(conversation.created_at), "the clock stands still");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_phone_that_comes_into_a_conversation_takes_no_key_that_a_creation_takes() {
    for _ in 0..rounds() {
        let acts = [Act::Phone(Side::A, 3), Act::Create([3, 50]), Act::Create([3, 51]), Act::Create([3, 52])];
        let (outcomes, conversation) = race(&acts).await;
        let has_come = conversation.participants[0].number.expose() == phone(3);
        assert_eq!(has_come, matches!(outcomes[0], Outcome::Changed), "{outcomes:?}");
        assert!(has_come || matches!(outcomes[0], Outcome::MaskTaken), "{outcomes:?}");
        let created = count(&outcomes, |outcome| matches!(outcome, Outcome::Created(_)));
        assert_eq!(created + usize::from(has_come), NUMBERS, "person 3 has as many keys as there are numbers");
    }
}
