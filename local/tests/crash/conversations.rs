//! Crashes of `POST /conversations`.

use create_conversation::CreateConversation;
use serde_json::{Value, json};
use shared::domain::conversation::{Conversation, Notification};
use shared::domain::side::Side;
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Answer, Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

fn body() -> Value {
    json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})), "notify": true})
}

fn creation(idempotency_key: Option<&str>) -> Value {
    events::creation(&body(), idempotency_key)
}

async fn send(functions: &Functions, creation: &Value) -> Answer {
    functions.answer::<CreateConversation>(creation).await
}

/// Receiver and content of all text messages.
async fn texts_of(laptop: &Laptop) -> Vec<(String, String)> {
    let messages = laptop.simulator("messages").await;
    let messages = messages["messages"].as_array().unwrap().iter();
    messages.map(|message| (string(&message["to"]), string(&message["text"]))).collect()
}

/// Number of text messages to each participant that name the number which this participant dials.
async fn texts(laptop: &Laptop, conversation: &Conversation) -> [usize; 2] {
    let texts = texts_of(laptop).await;
    Side::BOTH.map(|side| {
        let participant = conversation.participant(side);
        let is_about = |(to, text): &&(String, String)| {
            to == participant.number.expose() && text.contains(&format!("+{}", participant.sees))
        };
        texts.iter().filter(is_about).count()
    })
}

/// Checks that only participants get a text message, and at most one for each conversation.
async fn check_texts(laptop: &Laptop, conversations: &[Conversation]) {
    let mut about = 0;
    for conversation in conversations {
        let counts = texts(laptop, conversation).await;
        assert!(counts.iter().all(|count| *count <= 1), "{counts:?} {conversation:?}");
        about += counts.iter().sum::<usize>();
    }
    assert_eq!(texts_of(laptop).await.len(), about);
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

/// Checks the final state of a text message. It depends on the state and the number of messages at the crash, if the
/// conversation was stored by then.
fn check_notification(at_crash: Option<(&str, usize)>, after_replay: (&str, usize)) {
    match at_crash {
        // Sending had not started, so the replay sends it.
        None | Some(("pending", 0)) => assert_eq!(after_replay, ("sent", 1)),
        // Sending had started with an unknown outcome, so the replay does not send it again.
        Some(("unknown", count @ 0..=1)) => assert_eq!(after_replay, ("unknown", count)),
        Some(("sent", 1)) => assert_eq!(after_replay, ("sent", 1)),
        Some(other) => panic!("unexpected notification and number of messages at the crash: {other:?}"),
    }
}

#[tokio::test]
async fn replayed_creation_is_complete_after_a_crash() {
    at_every_request("POST /conversations with an idempotency key", 8, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let creation = creation(Some("ride-42"));
        scenario.run(&laptop, async |functions| drop(send(&functions, &creation).await)).await;
        let at_crash = match laptop.table().await.conversations.first() {
            Some(conversation) => Some((conversation.clone(), texts(&laptop, conversation).await)),
            None => None,
        };

        let answer = send(&Functions::of(&laptop), &creation).await;
        assert_eq!(answer.status, if at_crash.is_some() { 200 } else { 201 }, "{answer:?}");
        let table = laptop.table().await;
        let [conversation] = &table.conversations[..] else { panic!("{:?}", table.conversations) };
        assert_eq!((table.routes.len(), table.requests.len()), (2, 1));
        check_texts(&laptop, &table.conversations).await;
        let counts = texts(&laptop, conversation).await;
        for side in Side::BOTH {
            let state = |conversation: &Conversation, counts: [usize; 2]| {
                (name(&conversation.participant(side).notification), counts[side.index()])
            };
            check_notification(
                at_crash.as_ref().map(|(conversation, counts)| state(conversation, *counts)),
                state(conversation, counts),
            );
        }

        let again = send(&Functions::of(&laptop), &creation).await;
        assert_eq!((again.status, &again.body["id"]), (200, &json!(conversation.id)), "{again:?}");
        let mut other = body();
        other["reference"] = json!("ride-43");
        let other = send(&Functions::of(&laptop), &events::creation(&other, Some("ride-42"))).await;
        assert_eq!((other.status, &other.body["field"]), (422, &json!("Idempotency-Key")), "{other:?}");
        assert_eq!(texts(&laptop, conversation).await, counts);
        scenario
    })
    .await;
}

/// One person is invited by RCS, and the other one by SMS.
#[tokio::test]
async fn invitation_on_a_channel_is_sent_once_after_a_crash() {
    let settings = [("TEXTS_BY", "messages-api"), ("RCS_SENDER", "Rides")];
    at_every_request("POST /conversations with an invitation by RCS", 10, async |mut scenario: Scenario| {
        let laptop = builder().env(&settings).numbers("GB", 2).start().await;
        let mut body = body();
        body["participants"][0]["channel"] = json!("rcs");
        let creation = events::creation(&body, Some("ride-42"));
        scenario.run(&laptop, async |functions| drop(send(&functions, &creation).await)).await;
        let states = |conversation: &Conversation, counts: [usize; 2]| {
            Side::BOTH.map(|side| (name(&conversation.participant(side).notification), counts[side.index()]))
        };
        let at_crash = match laptop.table().await.conversations.first() {
            Some(conversation) => Some(states(conversation, texts(&laptop, conversation).await)),
            None => None,
        };
        for _ in 0..2 {
            let answer = send(&Functions::of(&laptop), &creation).await;
            assert!(answer.status < 300, "{answer:?}");
        }
        let table = laptop.table().await;
        let [conversation] = &table.conversations[..] else { panic!("{:?}", table.conversations) };
        check_texts(&laptop, &table.conversations).await;
        let after = states(conversation, texts(&laptop, conversation).await);
        for side in Side::BOTH {
            check_notification(at_crash.map(|states| states[side.index()]), after[side.index()]);
        }
        let received = laptop.texts(PHONES[0]).await;
        assert!(received.iter().all(|message| message["channel"] == "rcs"), "{received:?}");
        scenario
    })
    .await;
}

#[tokio::test]
async fn creation_is_atomic_on_a_crash() {
    at_every_request("POST /conversations", 8, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let creation = creation(None);
        scenario.run(&laptop, async |functions| drop(send(&functions, &creation).await)).await;
        let table = laptop.table().await;
        assert_eq!(table.routes.len(), 2 * table.conversations.len());

        let mut created = table.conversations.len();
        while created < 2 {
            let answer = send(&Functions::of(&laptop), &creation).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            assert!(answer.body["participants"].as_array().unwrap().iter().all(|side| side["notification"] == "sent"));
            created += 1;
        }
        let refused = send(&Functions::of(&laptop), &creation).await;
        assert_eq!((refused.status, &refused.body["live"]), (409, &json!(2)), "{refused:?}");
        let table = laptop.table().await;
        assert_eq!((table.conversations.len(), table.routes.len()), (2, 4), "every route is in use once");
        check_texts(&laptop, &table.conversations).await;
        scenario
    })
    .await;
}

/// A creation that dies leaves a hold at most, and never a number that somebody reaches a stranger by.
#[tokio::test]
async fn one_way_creation_is_atomic_on_a_crash() {
    at_every_request("POST /conversations that is one-way", 9, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let mut body = body();
        body["direction"] = json!("a_to_b");
        let creation = events::creation(&body, None);
        scenario.run(&laptop, async |functions| drop(send(&functions, &creation).await)).await;
        // This checks holds, lines and routes.
        let table = laptop.table().await;
        assert_eq!(table.routes.len(), table.conversations.len());
        let held: Vec<_> = table.holds.keys().cloned().collect();
        assert!(held.len() <= 1 && table.lines.len() <= 1, "{held:?}");

        // Two runs may have used both of the caller's numbers.
        let is_undisturbed = table.conversations.len() < 2;
        if is_undisturbed {
            let answer = send(&Functions::of(&laptop), &creation).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        let table = laptop.table().await;
        let [(receiver, mask)] = &table.holds.keys().cloned().collect::<Vec<_>>()[..] else {
            panic!("{:?}", table.holds)
        };
        assert!(held.iter().all(|held| *held == (receiver.clone(), mask.clone())), "the hold of before is used");
        let shown = table.conversations.iter().map(|conversation| conversation.masked_by(Side::A).as_str());
        assert!(shown.into_iter().all(|shown| shown == mask) && receiver == PHONES[1], "{receiver} {mask}");
        // A creation whose table fails leaves the line to a later one.
        assert!(table.lines.len() == 1 || !is_undisturbed && table.lines.is_empty());
        check_texts(&laptop, &table.conversations).await;
        // The other number is the only one that the receiver can still dial.
        body["direction"] = json!("both");
        for (status, person) in [(201, 8), (409, 9)] {
            body["participants"][0]["number"] = json!(format!("+44770090000{person}"));
            let answer = send(&Functions::of(&laptop), &events::creation(&body, None)).await;
            assert_eq!(answer.status, status, "{answer:?}");
        }
        laptop.table().await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn refused_creation_succeeds_later_in_spite_of_a_crash() {
    at_every_request("POST /conversations that lacks a number", 6, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("AUTO_RENT_MAX", "GB=3")]).start().await;
        let creation = creation(Some("ride-42"));
        scenario.run(&laptop, async |functions| drop(send(&functions, &creation).await)).await;
        laptop.stack.background_runs_finished().await;
        let mut answer = send(&Functions::of(&laptop), &creation).await;
        if answer.status == 503 {
            laptop.stack.background_runs_finished().await;
            answer = send(&Functions::of(&laptop), &creation).await;
        }
        // A second run may have created it.
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        let table = laptop.table().await;
        assert_eq!((table.conversations.len(), table.routes.len()), (1, 2));
        check_texts(&laptop, &table.conversations).await;
        assert_eq!(laptop.settled_pool().await.len(), 1);
        scenario
    })
    .await;
}

#[tokio::test]
async fn text_that_is_asked_for_comes_once_in_spite_of_a_crash() {
    at_every_request("POST /conversations/{id}/notifications", 3, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = laptop.create_with(json!({"notify": false})).await;
        let event = events::notification(&string(&created["id"]), "a");
        scenario.run(&laptop, async |functions| drop(send(&functions, &event).await)).await;
        let again = send(&Functions::of(&laptop), &event).await;
        assert_eq!(again.status, 200, "{again:?}");
        let (texts, state) = (texts_of(&laptop).await.len(), string(&again.body["participants"][0]["notification"]));
        // A run that died after its claim leaves a text of which nobody knows if it was sent.
        assert!(texts == 1 || texts == 0 && state == "unknown", "{texts} {state}");
        assert_eq!(again.body["participants"][1]["notification"], "off");
        laptop.table().await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn contact_card_by_mms_comes_once_after_a_crash() {
    at_every_request("POST /conversations with a contact card", 9, async |mut scenario: Scenario| {
        let variables = [("TEXTS_BY", "messages-api"), ("PUBLIC_URL", "https://calls.company.example")];
        let laptop = builder().env(&variables).start().await;
        let numbers = json!({"country": "US", "count": 2, "features": ["VOICE", "SMS", "MMS"]});
        assert_eq!(laptop.post("/numbers", &numbers).await.status, 200);
        let [rider, driver] = ["12025550101", "12025550102"];
        let people = [rider, driver].map(|phone| json!({"number": format!("+{phone}")}));
        let body = json!({"participants": people, "contact_card": {"a": "Your driver"}});
        let creation = events::creation(&body, Some("ride-42"));
        scenario.run(&laptop, async |functions| drop(send(&functions, &creation).await)).await;
        let at_crash = laptop.texts(rider).await.len();
        for _ in 0..2 {
            let answer = send(&Functions::of(&laptop), &creation).await;
            assert!([200, 201].contains(&answer.status), "{answer:?}");
            let state = string(&answer.body["participants"][0]["notification"]);
            // Where the table did not say if the number has MMS, it is the link.
            let received = laptop.texts(rider).await;
            match state.as_str() {
                "sent" => assert_eq!(received.len(), 1, "{received:?}"),
                "unknown" => assert_eq!(received.len(), at_crash, "{received:?}"),
                other => panic!("{other}: {received:?}"),
            }
        }
        scenario
    })
    .await;
}
