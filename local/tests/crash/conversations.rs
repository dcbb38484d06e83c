//! `POST /conversations`.

use create_conversation::CreateConversation;
use serde_json::{Value, json};
use shared::domain::conversation::{Conversation, Notification};
use shared::domain::side::Side;

use crate::events;
use crate::story::{Answer, Functions, Story, at_every_request};
use crate::world::{World, text};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

fn order() -> Value {
    json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})), "notify": true})
}

fn creation(idempotency_key: Option<&str>) -> Value {
    events::creation(&order(), idempotency_key)
}

async fn ask(functions: &Functions, creation: &Value) -> Answer {
    functions.answer::<CreateConversation>(creation).await
}

/// The texts on all phones: to whom, and what they say.
async fn texts_of(world: &World) -> Vec<(String, String)> {
    let messages = world.simulator("messages").await;
    let messages = messages["messages"].as_array().unwrap().iter();
    messages.map(|message| (text(&message["to"]), text(&message["text"]))).collect()
}

/// How many texts each phone has got that tell it to dial the number that it has in the conversation.
async fn texts(world: &World, conversation: &Conversation) -> [usize; 2] {
    let texts = texts_of(world).await;
    Side::BOTH.map(|side| {
        let participant = conversation.participant(side);
        let is_about = |(to, text): &&(String, String)| {
            to == participant.number.expose() && text.contains(&format!("+{}", participant.dials))
        };
        texts.iter().filter(is_about).count()
    })
}

/// Nobody but a conversation's participants is texted, and nobody twice about the same one.
async fn check_texts(world: &World, conversations: &[Conversation]) {
    let mut about = 0;
    for conversation in conversations {
        let counts = texts(world, conversation).await;
        assert!(counts.iter().all(|count| *count <= 1), "{counts:?} {conversation:?}");
        about += counts.iter().sum::<usize>();
    }
    assert_eq!(texts_of(world).await.len(), about);
}

fn name(notification: &Notification) -> &'static str {
    match notification {
        Notification::Off => "off",
        Notification::Pending => "pending",
        Notification::Sent => "sent",
        Notification::Failed(_) => "failed",
        Notification::Unknown(_) => "unknown",
    }
}

/// What was written down of a participant's text when the run died, if there was a conversation by then, and how often
/// the text had been sent, decide what they are after the repetition.
fn check_fate(at_death: Option<(&str, usize)>, afterwards: (&str, usize)) {
    match at_death {
        // It was not begun: the repetition sends it.
        None | Some(("pending", 0)) => assert_eq!(afterwards, ("sent", 1)),
        // It was begun, and how that went will never be known: it is not sent again.
        Some(("unknown", count @ 0..=1)) => assert_eq!(afterwards, ("unknown", count)),
        Some(("sent", 1)) => assert_eq!(afterwards, ("sent", 1)),
        Some(other) => panic!("{other:?} when the run died"),
    }
}

#[tokio::test]
async fn a_creation_that_may_come_again_makes_one_conversation_and_texts_nobody_twice() {
    at_every_request("POST /conversations with an idempotency key", 8, async |mut story: Story| {
        let world = World::start(&[]).await.with_numbers("GB", 2).await;
        let creation = creation(Some("ride-42"));
        story.happen(&world, async |functions| drop(ask(&functions, &creation).await)).await;
        let at_death = match world.table().await.conversations.first() {
            Some(conversation) => Some((conversation.clone(), texts(&world, conversation).await)),
            None => None,
        };

        let answer = ask(&Functions::of(&world), &creation).await;
        assert_eq!(answer.status, if at_death.is_some() { 200 } else { 201 }, "{answer:?}");
        let table = world.table().await;
        let [conversation] = &table.conversations[..] else { panic!("{:?}", table.conversations) };
        assert_eq!((table.routes.len(), table.requests.len()), (2, 1));
        check_texts(&world, &table.conversations).await;
        let counts = texts(&world, conversation).await;
        for side in Side::BOTH {
            let fate = |conversation: &Conversation, counts: [usize; 2]| {
                (name(&conversation.participant(side).notification), counts[side.index()])
            };
            check_fate(
                at_death.as_ref().map(|(conversation, counts)| fate(conversation, *counts)),
                fate(conversation, counts),
            );
        }

        let again = ask(&Functions::of(&world), &creation).await;
        assert_eq!((again.status, &again.body["id"]), (200, &json!(conversation.id)), "{again:?}");
        let mut other = order();
        other["reference"] = json!("ride-43");
        let other = ask(&Functions::of(&world), &events::creation(&other, Some("ride-42"))).await;
        assert_eq!((other.status, &other.body["field"]), (422, &json!("Idempotency-Key")), "{other:?}");
        assert_eq!(texts(&world, conversation).await, counts);
        story
    })
    .await;
}

#[tokio::test]
async fn a_creation_is_there_as_a_whole_or_not_at_all() {
    at_every_request("POST /conversations", 8, async |mut story: Story| {
        let world = World::start(&[]).await.with_numbers("GB", 2).await;
        let creation = creation(None);
        story.happen(&world, async |functions| drop(ask(&functions, &creation).await)).await;
        let table = world.table().await;
        assert_eq!(table.routes.len(), 2 * table.conversations.len());

        let mut created = table.conversations.len();
        while created < 2 {
            let answer = ask(&Functions::of(&world), &creation).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            assert!(answer.body["participants"].as_array().unwrap().iter().all(|side| side["notification"] == "sent"));
            created += 1;
        }
        let refused = ask(&Functions::of(&world), &creation).await;
        assert_eq!((refused.status, &refused.body["live"]), (503, &json!(2)), "{refused:?}");
        let table = world.table().await;
        assert_eq!((table.conversations.len(), table.routes.len()), (2, 4), "every key is taken once");
        check_texts(&world, &table.conversations).await;
        story
    })
    .await;
}

#[tokio::test]
async fn a_creation_that_rents_a_number_rents_one_and_loses_none() {
    at_every_request("POST /conversations that rents", 15, async |mut story: Story| {
        let world = World::start(&[("AUTO_RENT_MAX", "GB=3")]).await;
        let creation = creation(Some("ride-42"));
        story.happen(&world, async |functions| drop(ask(&functions, &creation).await)).await;
        let answer = ask(&Functions::of(&world), &creation).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        let table = world.table().await;
        assert_eq!((table.conversations.len(), table.routes.len()), (1, 2));
        check_texts(&world, &table.conversations).await;
        assert_eq!(world.settled_pool().await.len(), 1);
        story
    })
    .await;
}
