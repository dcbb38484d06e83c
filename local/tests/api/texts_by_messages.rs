//! Texts by the Messages API: `TEXTS_BY=messages-api`.

use serde_json::{Value, json};
use testkit::{Builder, DRIVER, Laptop, RIDER, text};

fn builder() -> Builder {
    Laptop::builder().env(&[("TEXTS_BY", "messages-api")]).numbers("GB", 2)
}

/// Has the rider text the driver.
async fn write(laptop: &Laptop, conversation: &Value, words: &str) -> Value {
    let to = text(conversation, "/participants/0/dials");
    let sent = laptop.text(json!({"from": RIDER, "to": to, "text": words})).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent[0].clone()
}

/// Returns the latest text of a conversation.
async fn shown(laptop: &Laptop, conversation: &Value) -> Value {
    let read = laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await;
    assert_eq!(read.status, 200, "{read:?}");
    read.body["texts"][0].clone()
}

#[tokio::test]
async fn every_text_message_goes_by_the_messages_api() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({"notify": true})).await;
    assert!(created["participants"].as_array().unwrap().iter().all(|one| one["notification"] == "sent"), "{created}");
    write(&laptop, &created, "Coming € 🚕").await;
    let stranger = json!({"from": "447700900077", "to": text(&created, "/participants/0/dials"), "text": "hello"});
    laptop.text(stranger).await;
    let order = json!({"to": "a", "text": "Your car is here."});
    let path = format!("/conversations/{}/texts", text(&created, "/id"));
    let request = laptop.request(reqwest::Method::POST, &path).header("Idempotency-Key", "ride-1");
    let written = laptop.answer(request.body(order.to_string())).await;
    assert_eq!((written.status, text(&written.body, "/state")), (201, "sent"), "{written:?}");
    assert_eq!((laptop.asked("/v1/messages").await, laptop.asked("/sms/json").await), (5, 0));
    assert_eq!(laptop.words(DRIVER).await.last().unwrap(), "Coming € 🚕");
    assert_eq!(laptop.words(RIDER).await.last().unwrap(), "Your car is here.");
    laptop.table().await;
}

#[tokio::test]
async fn status_webhooks_tell_the_state_and_the_price() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({})).await;
    write(&laptop, &created, &"a".repeat(200)).await;
    let sent = shown(&laptop, &created).await;
    assert_eq!((text(&sent, "/state"), &sent["segments"], &sent["price"]), ("sent", &json!(2), &Value::Null));
    for status in ["accepted", "delivered", "accepted"] {
        laptop.receipts(json!({"status": status, "keep": true})).await;
    }
    let delivered = shown(&laptop, &created).await;
    assert_eq!((text(&delivered, "/state"), text(&delivered, "/price")), ("delivered", "0.0666"), "{delivered}");
    // The account's setting for the SMS API changes nothing.
    laptop.receipts(json!({"format": "sms_form"})).await;
    assert_eq!(shown(&laptop, &created).await, delivered);
}

#[tokio::test]
async fn rejected_after_202_is_failed_with_its_reason() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({})).await;
    write(&laptop, &created, "hello").await;
    laptop.receipts(json!({"status": "rejected", "err_code": "6"})).await;
    let failed = shown(&laptop, &created).await;
    assert_eq!(
        (text(&failed, "/state"), text(&failed, "/reason")),
        ("failed", "a filter against spam held it back (code 1210)")
    );
    assert_eq!(laptop.texts(DRIVER).await.len(), 1, "it is not sent again");
}

#[tokio::test]
async fn opted_out_phone_gets_no_more_texts_after_the_webhook() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({})).await;
    let pair = json!({"phone": DRIVER, "sender": text(&created, "/participants/1/dials"), "opted_out": true});
    assert_eq!(laptop.vonage(reqwest::Method::PUT, "/simulator/opt-outs", pair).await.status, 204);
    write(&laptop, &created, "are you there?").await;
    assert_eq!(shown(&laptop, &created).await["state"], "sent");
    laptop.receipts(json!({})).await;
    let failed = shown(&laptop, &created).await;
    assert!(text(&failed, "/reason").contains("opted out") && text(&failed, "/reason").contains("1240"), "{failed}");
    let asked = laptop.asked("/v1/messages").await;
    write(&laptop, &created, "still there?").await;
    assert_eq!(shown(&laptop, &created).await["state"], "failed");
    // The writer is told, and the driver is not texted.
    assert_eq!(laptop.asked("/v1/messages").await, asked + 1);
    assert!(laptop.texts(DRIVER).await.is_empty());
}

#[tokio::test]
async fn text_over_1000_characters_goes_in_numbered_messages() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({})).await;
    let words = "word ".repeat(300);
    write(&laptop, &created, words.trim_end()).await;
    let mut received = laptop.words(DRIVER).await;
    received.sort();
    assert_eq!(received.len(), 2, "{received:?}");
    assert!(received[0].starts_with("(1/2) word ") && received[1].starts_with("(2/2) word "), "{received:?}");
    assert_eq!(received.concat().matches("word").count(), 300);
    let sent = shown(&laptop, &created).await;
    assert_eq!((text(&sent, "/state"), &sent["segments"]), ("sent", &json!(11)));
    laptop.receipts(json!({})).await;
    assert_eq!(shown(&laptop, &created).await["state"], "delivered");
}

#[tokio::test]
async fn second_message_that_fails_leaves_the_text_unknown() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({})).await;
    let fault = json!({"kind": "status", "status": 422});
    let rule = json!({"path": "/v1/messages", "contains": "(2/2)", "fault": fault});
    assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/faults", rule).await.status, 204);
    let sent = write(&laptop, &created, &"word ".repeat(300)).await;
    assert_eq!(sent["deliveries"], json!([200]));
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert_eq!(laptop.words(DRIVER).await.len(), 1, "the first one is not sent twice");
    assert_eq!(shown(&laptop, &created).await["state"], "unknown");
    laptop.receipts(json!({})).await;
    assert_eq!(shown(&laptop, &created).await["state"], "delivered", "all that Vonage took");
}

#[tokio::test]
async fn text_that_was_certainly_not_sent_goes_later() {
    for (fault, sent_now) in [
        (json!({"kind": "status", "status": 429}), false),
        (json!({"kind": "status", "status": 401}), false),
        (json!({"kind": "status", "status": 402}), false),
        (json!({"kind": "status", "status": 422}), true),
    ] {
        let laptop = builder().start().await;
        let created = laptop.create_with(json!({})).await;
        laptop.faults("/v1/messages", 100, fault.clone()).await;
        let sent = write(&laptop, &created, "later").await;
        assert_eq!(sent["deliveries"].to_string().contains("200"), sent_now, "{fault} {sent}");
        laptop.no_more_faults().await;
        laptop.advance(60);
        assert_eq!(laptop.deliver_again(text(&sent, "/id"), json!({})).await["deliveries"], json!([200]));
        let (received, state) = (laptop.words(DRIVER).await.len(), shown(&laptop, &created).await["state"].clone());
        let expected = if sent_now { (0, json!("failed")) } else { (1, json!("sent")) };
        assert_eq!((received, state), expected, "{fault}");
    }
}

#[tokio::test]
async fn text_whose_answer_is_lost_is_never_sent_again() {
    for fault in [
        json!({"kind": "close_after"}),
        json!({"kind": "truncated"}),
        json!({"kind": "status_after", "status": 500}),
        json!({"kind": "status_after", "status": 202}),
    ] {
        let laptop = builder().start().await;
        let created = laptop.create_with(json!({})).await;
        laptop.fault("/v1/messages", fault.clone()).await;
        let sent = write(&laptop, &created, &"a".repeat(200)).await;
        assert_eq!(sent["deliveries"], json!([200]), "{fault}");
        laptop.deliver_again(text(&sent, "/id"), json!({})).await;
        assert_eq!(laptop.words(DRIVER).await.len(), 1, "{fault}");
        assert_eq!(shown(&laptop, &created).await["state"], "unknown", "{fault}");
        // One webhook tells of both of its segments.
        laptop.receipts(json!({})).await;
        assert_eq!(shown(&laptop, &created).await["state"], "delivered", "{fault}");
    }
}

#[tokio::test]
async fn slow_answer_is_waited_for_and_a_missing_one_is_unknown() {
    let laptop = builder().env(&[("VONAGE_TIME_LIMIT_MS", "1000")]).start().await;
    let created = laptop.create_with(json!({})).await;
    laptop.fault("/v1/messages", json!({"kind": "delay", "milliseconds": 200})).await;
    write(&laptop, &created, "slow").await;
    assert_eq!(shown(&laptop, &created).await["state"], "sent");
    laptop.advance(1);
    laptop.fault("/v1/messages", json!({"kind": "hang_after"})).await;
    write(&laptop, &created, "lost").await;
    assert_eq!(shown(&laptop, &created).await["state"], "unknown");
    assert_eq!(laptop.words(DRIVER).await, ["slow", "lost"]);
}

#[tokio::test]
async fn sender_that_is_refused_is_checked_as_by_the_sms_api() {
    let laptop = builder().start().await;
    let body = json!({"type": "https://developer.vonage.com/api-errors/messages#1120", "title": "Invalid sender",
                      "detail": format!("{RIDER} is not allowed"), "instance": "bf0ca0bf"});
    laptop.faults("/v1/messages", 9, json!({"kind": "status", "status": 422, "body": body})).await;
    let created = laptop.create_with(json!({"notify": true})).await;
    for participant in created["participants"].as_array().unwrap() {
        assert_eq!(participant["notification"], "failed", "{created}");
    }
    assert!(!created.to_string().contains("is not allowed"), "{created}");
}

#[tokio::test]
async fn erasure_redacts_messages_by_their_product() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({"notify": true})).await;
    write(&laptop, &created, "hello").await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert!([200, 202, 204].contains(&laptop.delete(&format!("{path}?erase=true")).await.status));
    laptop.advance(2 * 3600);
    laptop.stack.run_erasure_schedule().await.unwrap();
    let messages = laptop.vonage(reqwest::Method::GET, "/simulator/messages", Value::Null).await.body;
    let messages = messages["messages"].as_array().unwrap().clone();
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message["text"] == "REDACTED"), "{messages:?}");
}

#[tokio::test]
async fn text_whose_answer_was_lost_is_redacted_after_an_erasure() {
    for (by, path) in [("messages-api", "/v1/messages"), ("sms-api", "/sms/json")] {
        let laptop = Laptop::builder().env(&[("TEXTS_BY", by)]).numbers("GB", 2).start().await;
        let created = laptop.create_with(json!({"notify": false})).await;
        laptop.fault(path, json!({"kind": "close_after"})).await;
        write(&laptop, &created, "I am at the station.").await;
        assert_eq!(shown(&laptop, &created).await["state"], "unknown", "{by}");
        let redactions = async || {
            let items = laptop.items().await;
            items.iter().filter(|item| text(item, "/pk/S") == "REDACTION").count()
        };
        let erased = format!("/conversations/{}?erase=true", text(&created, "/id"));
        assert_eq!((laptop.delete(&erased).await.status, redactions().await), (204, 1), "{by}: the text as it came");
        for _ in 0..2 {
            let told = laptop.receipts(json!({"keep": true})).await;
            assert_eq!(told[0]["deliveries"], json!([200]), "{told:?}");
            assert_eq!(redactions().await, 2, "{by}: and as it was passed on");
        }
        laptop.table().await;
    }
}
