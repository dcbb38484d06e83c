//! Crashes of the functions that note, keep and erase recordings.

use create_conversation::CreateConversation;
use end_conversation::EndConversation;
use event_webhook::EventWebhook;
use serde_json::{Value, json};
use shared::service::recordings;
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

/// Starts a laptop with a conversation, and returns it with the event of a message that its rider left. Nobody but the test fetches it.
async fn left_message() -> (Laptop, String, Value) {
    let laptop = builder().env(&[("KEEP_RECORDINGS_FUNCTION_NAME", "")]).numbers("GB", 2).start().await;
    let participants = PHONES.map(|number| json!({"number": format!("+{number}")}));
    let body = json!({"participants": participants, "notify": false, "missed_calls": ["voicemail"]});
    let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
    let call =
        json!({"from": PHONES[0], "to": created["participants"][0]["dials"], "callee": "busy", "presses": ["2"]});
    let told = laptop.call(call).await;
    (laptop, string(&created["id"]), told["recordings"][0].clone())
}

fn of_bus(laptop: &Laptop) -> usize {
    laptop.stack.bus.events().iter().filter(|event| event["detail-type"] == "Recording finished").count()
}

/// Returns the states of the stored recordings, and the number of items of work.
async fn stored(laptop: &Laptop) -> (Vec<String>, usize) {
    let items = laptop.items().await;
    let of = |partition: &str| -> Vec<Value> {
        let items = items.iter().filter(|item| item["pk"]["S"].as_str().unwrap().starts_with(partition));
        items.cloned().collect()
    };
    let states = of("RECORDINGS#").iter().map(|item| string(&item["state"]["S"])).collect();
    (states, of("RECORDING").len() - of("RECORDINGS#").len())
}

#[tokio::test]
async fn message_is_kept_and_texted_once_at_most_after_a_crash() {
    at_every_request("keep-recordings for a message", 8, async |mut scenario: Scenario| {
        let (laptop, id, event) = left_message().await;
        let recording = string(&event["recording_uuid"]).try_into().unwrap();
        let first = recordings::event(id.as_str().try_into().unwrap(), &recording);
        let vonage = &laptop.stack.vonage_url;
        scenario.run(&laptop, async |functions| drop(functions.keep_recordings(first.clone(), vonage).await)).await;
        for _ in 0..3 {
            laptop.advance(4 * 3600);
            laptop.stack.run_recordings_schedule().await.unwrap();
        }
        assert_eq!(stored(&laptop).await, (vec!["kept".to_owned()], 0));
        assert_eq!(laptop.stack.bucket.keys().len(), 1);
        let (texts, told) = (laptop.texts(PHONES[1]).await.len(), of_bus(&laptop));
        assert!(texts <= 1 && told >= 1, "{texts} text messages, {told} events");
        scenario
    })
    .await;
}

#[tokio::test]
async fn message_is_noted_wholly_or_not_at_all() {
    at_every_request("POST /webhooks/event/{id}/voicemail-b", 2, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("KEEP_RECORDINGS_FUNCTION_NAME", "")]).numbers("GB", 2).start().await;
        let participants = PHONES.map(|number| json!({"number": format!("+{number}")}));
        let body = json!({"participants": participants, "notify": false, "missed_calls": ["voicemail"]});
        let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
        let id = string(&created["id"]);
        let body = json!({"recording_url": format!("{}/v1/files/1", laptop.stack.vonage_url),
                          "recording_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "conversation_uuid": "CON-1"});
        let event = || events::step(&id, Some("voicemail-b"), &body, &laptop.signature(Some(&body.to_string())));
        let first = event();
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&first).await)).await;
        let (states, work) = stored(&laptop).await;
        assert_eq!(states.len(), work);
        let again = Functions::of(&laptop).answer::<EventWebhook>(&event()).await;
        assert_eq!((again.status, stored(&laptop).await), (204, (vec!["waiting".to_owned()], 1)));
        scenario
    })
    .await;
}

#[tokio::test]
async fn file_is_deleted_whatever_crashes() {
    at_every_request("DELETE of a conversation with a recording", 6, async |mut scenario: Scenario| {
        let (laptop, id, _) = left_message().await;
        laptop.advance(3600);
        laptop.stack.run_recordings_schedule().await.unwrap();
        assert_eq!(laptop.stack.bucket.keys().len(), 1);
        let vonage = &laptop.stack.vonage_url;
        let event = events::erasure(&id);
        scenario
            .run(&laptop, async |functions| {
                functions.answer::<EndConversation>(&event).await;
                functions.keep_recordings(json!({"source": "aws.events"}), vonage).await;
            })
            .await;
        Functions::of(&laptop).answer::<EndConversation>(&event).await;
        for _ in 0..3 {
            laptop.advance(4 * 3600);
            laptop.stack.run_erasure_schedule().await.unwrap();
            laptop.stack.run_recordings_schedule().await.unwrap();
        }
        assert!(laptop.stack.bucket.keys().is_empty(), "{:?}", laptop.stack.bucket.keys());
        assert_eq!(stored(&laptop).await, (vec![], 0));
        scenario
    })
    .await;
}

#[tokio::test]
async fn call_is_recorded_only_with_both_consents_after_a_crash() {
    for [caller, callee] in [["1", "1"], ["1", "2"], ["2", "1"]] {
        let what = format!("POST of consent-b with {caller} and of agree-b with {callee}");
        at_every_request(&what, 4, async |mut scenario: Scenario| {
            let laptop = builder().numbers("GB", 2).start().await;
            let participants = PHONES.map(|number| json!({"number": format!("+{number}")}));
            let body = json!({"participants": participants, "notify": false, "recording": "consent"});
            let created =
                Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
            let (id, dials) = (string(&created["id"]), string(&created["participants"][0]["dials"]));
            let pressed = |step: &str, leg: &str, digits: &str| {
                let body = json!({"from": PHONES[0], "to": dials, "uuid": leg, "conversation_uuid": "CON-1",
                                  "dtmf": {"digits": digits, "timed_out": false}});
                events::step(&id, Some(step), &body, &laptop.signature(Some(&body.to_string())))
            };
            let events = || [pressed("consent-b", "u", caller), pressed("agree-b", "v", callee)];
            let records = |body: &Value| body.to_string().contains("\"record\"");
            let both_agree = caller == "1" && callee == "1";
            let first = events();
            scenario
                .run(&laptop, async |functions| {
                    for event in &first {
                        let answer = functions.answer::<EventWebhook>(event).await;
                        assert!(both_agree || !records(&answer.body), "{answer:?}");
                    }
                })
                .await;
            // The callee pressed 1, and the caller's key is not stored, or it is.
            let [_, agree] = events();
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&agree).await;
            let items = laptop.items().await;
            let has_agreed = items.iter().any(|item| item["sk"]["S"] == "LEG#CON-1#u" && !item["agreed_at"].is_null());
            assert!(caller == "1" || !has_agreed, "{items:?}");
            assert_eq!(records(&answer.body), has_agreed && callee == "1", "{answer:?}");
            // Vonage asks again.
            for _ in 0..2 {
                let mut answers = Vec::new();
                for event in &events() {
                    answers.push(Functions::of(&laptop).answer::<EventWebhook>(event).await);
                }
                assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
                let connects = |action: &Value| action["action"] == "connect";
                assert!(answers[0].body.as_array().unwrap().iter().any(connects), "also without consent: {answers:?}");
                assert_eq!(records(&answers[1].body), both_agree, "{answers:?}");
            }
            scenario
        })
        .await;
    }
}
