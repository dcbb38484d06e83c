//! Crashes of the event webhook while it gives a call its turn.

use event_webhook::EventWebhook;
use serde_json::{Value, json};
use shared::clock::{Clock, whole_millisecond};
use shared::domain::pace::Pace;
use testkit::{Laptop, text};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

fn asked(laptop: &Laptop) -> Value {
    let call = json!({"then": [{"action": "connect", "limit": 600}], "hold": {"action": "talk"}, "too_many": {"action": "talk"}});
    let body = json!({"payload": call, "conversation_uuid": "CON-1"});
    events::step("turn", None, &body, &laptop.signature(Some(&body.to_string())))
}

#[tokio::test]
async fn call_gets_a_turn_after_a_crash() {
    for (calls, requests) in [("1", 2), ("2", 2)] {
        at_every_request("POST /webhooks/event/turn", requests, async |mut scenario: Scenario| {
            let laptop = builder().env(&[("MAX_CALLS_PER_SECOND", calls)]).start().await;
            let event = asked(&laptop);
            scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
            let again = Functions::of(&laptop).answer::<EventWebhook>(&asked(&laptop)).await;
            assert_eq!((again.status, &again.body[0]["action"]), (200, &json!("connect")), "{again:?}");
            let items = laptop.items().await;
            assert!(items.iter().all(|item| text(item, "/pk/S") == "PACE"), "{items:?}");
            scenario
        })
        .await;
    }
}

#[tokio::test]
async fn turns_after_a_crash_are_within_the_pace() {
    at_every_request("POST /webhooks/event/turn of a call that waits", 2, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("MAX_CALLS_PER_SECOND", "1")]).start().await;
        let event = asked(&laptop);
        let waits = std::cell::RefCell::new(None);
        scenario
            .run(&laptop, async |functions| {
                // Three others wait.
                let (store, pace, now) = (laptop.store(), Pace::of(1).unwrap(), whole_millisecond(laptop.clock.now()));
                for _ in 0..3 {
                    let next = store.next_turn().await.unwrap();
                    store.take_turn(pace, next, now).await.unwrap();
                }
                let answer = functions.answer::<EventWebhook>(&event).await;
                *waits.borrow_mut() = (answer.status == 200).then(|| answer.body[0]["timeout"].as_f64());
            })
            .await;
        // A turn of which the answer was lost is not used.
        assert!(waits.borrow().is_none_or(|wait| wait.is_some_and(|wait| wait >= 3.0)), "{waits:?}");
        scenario
    })
    .await;
}
