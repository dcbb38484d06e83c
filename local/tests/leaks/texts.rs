//! Texts between participants: neither a real number nor what is written is anywhere but on the phones.

use reqwest::Method;
use serde_json::{Value, json};

use crate::laptop::{DRIVER, REAL, RIDER, STRANGER, assert_nothing_leaked, builder, create, log};

/// The words that people write. They have no number, because numbers in it are passed on.
const WORDS: &str = "zanzibar quokka";

#[tokio::test]
async fn texts_leak_neither_numbers_nor_what_is_written() {
    let laptop = builder().numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let [rider, driver] = [0, 1].map(|side| created["participants"][side]["dials"].clone());
    for format in ["messages", "sms_form", "sms_query"] {
        for (from, to) in [(RIDER, &rider), (DRIVER, &driver), (STRANGER, &rider)] {
            laptop.text(json!({"from": from, "to": to, "text": WORDS, "format": format})).await;
        }
        laptop.text(json!({"from": RIDER, "to": rider, "text": WORDS, "format": format, "signing": "none"})).await;
        laptop.receipts(json!({"format": format, "keep": true})).await;
    }
    for (from, to) in [(DRIVER, &driver), (STRANGER, &rider)] {
        for words in ["HELP", "STOP", "START", "STOP"] {
            laptop.text(json!({"from": from, "to": to, "text": words})).await;
            laptop.advance(1);
        }
        let failing = json!({"operation": "*", "times": 9, "fault": {"kind": "error", "code": "InternalServerError"}});
        laptop.vonage(Method::POST, "/simulator/faults", failing).await;
        laptop.text(json!({"from": from, "to": to, "text": "START"})).await;
        laptop.no_more_faults().await;
    }
    laptop.text(json!({"from": RIDER, "to": rider, "text": WORDS})).await;
    laptop.receipts(json!({"format": "sms_form", "status": "failed", "err_code": "9", "keep": true})).await;
    laptop.text(json!({"from": DRIVER, "to": driver, "text": "START"})).await;
    for fault in [json!({"kind": "status", "status": 429}), json!({"kind": "close_after"}), json!({"kind": "not_json"})]
    {
        laptop.faults("/sms/json", 9, fault).await;
        laptop.text(json!({"from": RIDER, "to": rider, "text": WORDS})).await;
        laptop.no_more_faults().await;
    }
    for status in ["failed", "rejected"] {
        laptop.receipts(json!({"format": "sms_form", "status": status, "err_code": RIDER, "keep": true})).await;
    }
    let said = json!({"channel": "sms", "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "from": RIDER,
                      "to": rider, "text": WORDS, "timestamp": "2025-02-03T12:14:25Z"});
    for name in ["message_uuid", "to", "channel", "timestamp", "sms"] {
        for value in [json!(STRANGER), json!([RIDER]), json!(format!("+{DRIVER} x"))] {
            let mut message: Value = said.clone();
            message[name] = value;
            let answer = laptop.signed_post("/webhooks/message", &message.to_string()).await;
            REAL.assert_no_leak("an answer", &answer.body.to_string());
        }
    }
    for body in [format!("\"{WORDS}\""), format!("{{\"text\": \"{WORDS}\""), format!("text={WORDS}&from={RIDER}")] {
        let answer = laptop.signed_post("/webhooks/message", &body).await;
        assert!(answer.status == 400 && !answer.body.to_string().contains(WORDS), "{answer:?}");
    }
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    let shown = laptop.send(Method::GET, &path, "").await.body;
    REAL.assert_no_leak("the texts of a conversation", &shown["texts"].to_string());
    let written = |text: &str| text.contains(WORDS) || text.contains("zanzibar");
    assert!(!written(&shown.to_string()) && !written(&log()), "what was written is in an answer or a log");
    assert!(!laptop.items().await.iter().any(|item| written(&item.to_string())), "what was written is stored");
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn texts_by_messages_api_leak_neither_numbers_nor_words() {
    let laptop = builder().env(&[("TEXTS_BY", "messages-api")]).numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let words = "capybara tapir";
    let [rider, driver] = [0, 1].map(|side| created["participants"][side]["dials"].clone());
    for (from, to) in [(RIDER, &rider), (DRIVER, &driver), (STRANGER, &rider)] {
        laptop.text(json!({"from": from, "to": to, "text": words})).await;
    }
    // Vonage may quote the number and the text in an error.
    let body = json!({"type": format!("https://developer.vonage.com/api-errors/messages#{RIDER}"), "title": words,
                      "detail": format!("{words} to {DRIVER}"), "instance": DRIVER,
                      "invalid_parameters": [{"name": "text", "reason": format!("{words} {RIDER}")}]});
    let statuses =
        [401, 402, 422, 429, 500, 202].map(|status| json!({"kind": "status", "status": status, "body": body}));
    for fault in statuses.into_iter().chain([json!({"kind": "close_after"}), json!({"kind": "not_json"})]) {
        laptop.faults("/v1/messages", 9, fault).await;
        laptop.text(json!({"from": RIDER, "to": rider, "text": words})).await;
        laptop.no_more_faults().await;
    }
    for status in ["delivered", "failed", "rejected"] {
        laptop.receipts(json!({"status": status, "err_code": RIDER, "keep": true})).await;
    }
    assert!(laptop.asked("/v1/messages").await > 3 && laptop.asked("/sms/json").await == 0);
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    let shown = laptop.send(Method::GET, &path, "").await.body;
    REAL.assert_no_leak("the texts of a conversation", &shown["texts"].to_string());
    assert!(!shown.to_string().contains("tapir") && !log().contains("tapir"), "what was written is told");
    assert!(!laptop.items().await.iter().any(|item| item.to_string().contains("tapir")), "what was written is stored");
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn chats_leak_neither_numbers_nor_words() {
    const SENDER: &str = "447451999999";

    let senders = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", SENDER), ("RCS_SENDER", "Rides")];
    let laptop = builder().env(&senders).numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let (words, driver) = ("axolotl okapi", created["participants"][1]["dials"].clone());
    let body = json!({"type": format!("https://developer.vonage.com/api-errors/messages#{RIDER}"), "title": words,
                      "detail": format!("{words} to {DRIVER}"), "instance": DRIVER});
    let faults = [422, 500, 202].map(|status| json!({"kind": "status", "status": status, "body": body}));
    for (nth, fault) in faults.into_iter().chain([json!({"kind": "close_after"}), Value::Null]).enumerate() {
        if !fault.is_null() {
            laptop.faults("/v1/messages", 9, fault).await;
        }
        let (channel, to) = if nth % 2 == 0 { ("whatsapp", SENDER) } else { ("rcs", "Rides") };
        for from in [RIDER, STRANGER] {
            laptop.text(json!({"from": from, "to": to, "channel": channel, "text": words})).await;
        }
        laptop.text(json!({"from": DRIVER, "to": driver, "text": words})).await;
        laptop.no_more_faults().await;
    }
    for status in ["read", "rejected"] {
        laptop.receipts(json!({"status": status, "err_code": RIDER, "keep": true})).await;
    }
    let to_rider = laptop.texts(RIDER).await;
    assert!(to_rider.iter().any(|message| message["channel"] == "whatsapp"), "{to_rider:?}");
    assert!(to_rider.iter().all(|message| !message.to_string().contains(DRIVER)), "{to_rider:?}");
    assert!(!log().contains("okapi") && !log().contains("Jane Smith"), "the log has what was written, or a name");
    assert!(!laptop.items().await.iter().any(|item| item.to_string().contains("okapi")), "what was written is stored");
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn pictures_leak_neither_their_address_nor_what_is_written() {
    let people = ["12025550101", "12025550102"];
    let laptop = builder().env(&[("TEXTS_BY", "messages-api"), ("KEEP_TEXTS", "on")]).numbers("US", 2).start().await;
    let order = json!({"participants": people.map(|phone| json!({"number": format!("+{phone}")})), "notify": false});
    let created = laptop.post("/conversations", &order).await.body;
    let dials = created["participants"][0]["dials"].clone();
    let (address, words) = ("https://api-us.nexmo.com/v3/media/wombat-1b456509", "numbat picture");
    let files = json!([{"type": "image", "url": address}]);
    for fault in [Value::Null, json!({"kind": "status", "status": 422}), json!({"kind": "close_after"})] {
        if !fault.is_null() {
            laptop.faults("/v1/messages", 9, fault).await;
        }
        for from in [people[0], STRANGER] {
            laptop.text(json!({"from": from, "to": dials, "text": words, "files": files})).await;
        }
        laptop.no_more_faults().await;
    }
    let named = json!([{"type": "image", "url": format!("https://media.example/wombat/{}", people[0])}]);
    laptop.text(json!({"from": people[0], "to": dials, "text": words, "files": named})).await;
    laptop.receipts(json!({"keep": true})).await;
    let received = laptop.texts(people[1]).await;
    assert!(received.iter().all(|message| !message.to_string().contains("media.example")), "{received:?}");
    assert!(!log().contains("wombat") && !log().contains("numbat"), "the log has a picture");
    assert!(!laptop.items().await.iter().any(|item| item.to_string().contains("wombat")), "an address is stored");
    let events = laptop.stack.bus.events();
    assert!(!events.iter().any(|event| event.to_string().contains("wombat") || event.to_string().contains("numbat")));
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    let shown = laptop.send(Method::GET, &path, "").await.body;
    assert!(shown["texts"].to_string().contains("numbat") && !shown.to_string().contains("wombat"), "{shown}");
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn words_that_are_kept_are_in_the_table_and_one_answer_only() {
    let laptop = builder().env(&[("KEEP_TEXTS", "on")]).numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    // A word of its own, because the log is that of all tests.
    let kept = "kept axolotl";
    let rider = created["participants"][0]["dials"].clone();
    let sent = laptop.text(json!({"from": RIDER, "to": rider, "text": kept})).await[0].clone();
    laptop.deliver_again(sent["id"].as_str().unwrap(), json!({})).await;
    laptop.receipts(json!({"keep": true})).await;
    laptop.faults("/sms/json", 9, json!({"kind": "not_json"})).await;
    laptop.text(json!({"from": RIDER, "to": rider, "text": kept})).await;
    laptop.no_more_faults().await;
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    let shown = laptop.send(Method::GET, &path, "").await.body;
    assert_eq!(shown["texts"][1]["text"], kept);
    assert!(!log().contains("axolotl"), "what was written is in a log");
    assert!(!laptop.stack.bus.events().iter().any(|event| event.to_string().contains("axolotl")));
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn texts_of_the_backend_leak_neither_numbers_nor_words() {
    let laptop = builder().numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let path = format!("/conversations/{}/texts", created["id"].as_str().unwrap());
    let words = "walrus narwhal";
    let write = async |key: &str, body: String| {
        let request = laptop.request(Method::POST, &path).header("Idempotency-Key", key).body(body);
        let answer = laptop.answer(request).await;
        let shown = answer.body.to_string();
        REAL.assert_no_leak("an answer to a text", &shown);
        assert!(!shown.contains("narwhal"), "{shown}");
        answer.status
    };
    let body = |to: &str| json!({"to": to, "text": words}).to_string();
    assert_eq!((write("one", body("a")).await, write("one", body("a")).await), (201, 200));
    assert_eq!((write("one", body("b")).await, write("two", body("c")).await), (422, 422));
    write("three", format!("{{\"to\": \"a\", \"text\": \"{words}")).await;
    write("four", json!({"to": "a", "text": words, "quiet_hours": {"from": RIDER, "to": words}}).to_string()).await;
    for (key, fault) in [("five", json!({"kind": "close_after"})), ("six", json!({"kind": "not_json"}))] {
        laptop.faults("/sms/json", 9, fault).await;
        write(key, body("b")).await;
        laptop.no_more_faults().await;
    }
    laptop.receipts(json!({"keep": true})).await;
    assert!(!log().contains("narwhal"), "what the backend wrote is in a log");
    assert!(!laptop.items().await.iter().any(|item| item.to_string().contains("narwhal")), "it is stored");
    assert!(!laptop.stack.bus.events().iter().any(|event| event.to_string().contains("narwhal")));
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn receipts_of_invitations_leak_no_number() {
    for (api, format) in [("sms-api", "sms_form"), ("sms-api", "messages"), ("messages-api", "messages")] {
        let laptop = builder().env(&[("TEXTS_BY", api)]).numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        for (status, code) in
            [("failed", RIDER), ("rejected", "+44 7700 900147"), ("expired", DRIVER), ("delivered", "0")]
        {
            laptop.receipts(json!({"format": format, "status": status, "err_code": code, "keep": true})).await;
            let path = format!("/conversations/{}", created["id"].as_str().unwrap());
            let shown = laptop.send(Method::GET, &path, "").await.body;
            for side in 0..2 {
                let participant = &shown["participants"][side];
                let told = format!("{} {}", participant["notification"], participant["notification_reason"]);
                REAL.assert_no_leak("the state of an invitation", &told);
            }
        }
        let sent = laptop.simulator("requests").await.to_string();
        assert!(sent.contains(".na0.0."), "the reference is in the requests that are searched: {sent}");
        assert_nothing_leaked(&laptop).await;
    }
}

#[tokio::test]
async fn costs_of_a_tenant_are_sums_and_nothing_else() {
    let laptop = builder().start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let mut order = crate::laptop::conversation();
    order["notify"] = json!(true);
    let created = laptop.post("/t/acme/conversations", &order).await.body;
    let dialled = &created["participants"][0]["dials"];
    laptop.call(json!({"from": RIDER, "to": dialled, "talk_seconds": 42})).await;
    laptop.text(json!({"from": RIDER, "to": dialled, "text": WORDS})).await;
    laptop.receipts(json!({"keep": true})).await;
    // A number in the place of each id that the webhooks tell.
    let end = json!({"from": created["participants"][1]["dials"], "to": DRIVER, "status": "completed", "uuid": STRANGER,
                     "conversation_uuid": STRANGER, "direction": "outbound", "duration": "42", "price": "0.02"});
    laptop.signed_post("/webhooks/event", &end.to_string()).await;
    let path = format!("/t/acme/conversations/{}", created["id"].as_str().unwrap());
    assert_eq!(laptop.send(Method::DELETE, &format!("{path}?erase=true"), "").await.status, 204);
    let shown = laptop.get("/tenants/acme").await.body;
    assert_eq!(shown["spent"][0]["texts"], 3, "{shown}");
    REAL.assert_no_leak("the costs of a tenant", &shown.to_string());
    let sums = laptop.items().await.into_iter().filter(|item| item["pk"]["S"] == "TENANT#acme");
    let sums: Vec<_> = sums.collect();
    assert!(!sums.is_empty());
    REAL.assert_no_leak("the stored costs of a tenant", &json!(sums).to_string());
    assert_nothing_leaked(&laptop).await;
}
