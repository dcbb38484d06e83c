//! Receipts of invitations: sent is not delivered.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, string, text};

use crate::healing::{dials, read};

/// Returns the states of the invitations to both participants.
async fn states(laptop: &Laptop, conversation: &Value) -> [String; 2] {
    let shown = read(laptop, conversation).await;
    [0, 1].map(|side| string(&shown["participants"][side]["notification"]))
}

/// Delivers a receipt of this invitation, whose message the phone has got.
async fn tell(laptop: &Laptop, conversation: &Value, name: &str, message: &str, status: &str) -> u16 {
    let client_ref = format!("{}.{name}", text(conversation, "/id"));
    let receipt = json!({"message_uuid": message, "to": RIDER, "from": dials(conversation, 0), "status": status,
                         "channel": "sms", "timestamp": "2025-02-03T12:14:25Z", "client_ref": client_ref,
                         "error": {"title": "1180"}});
    laptop.signed_post("/webhooks/message-status", &receipt.to_string()).await.status
}

#[tokio::test]
async fn invitation_is_delivered_when_its_receipts_say_so() {
    for (api, formats) in
        [("sms-api", &["messages", "sms_form", "sms_json", "sms_query"][..]), ("messages-api", &["messages"])]
    {
        for format in formats {
            let laptop = Laptop::builder().env(&[("TEXTS_BY", api)]).numbers("GB", 2).start().await;
            let created = laptop.create().await;
            assert_eq!(states(&laptop, &created).await, ["sent", "sent"]);
            let of = |phone: &str, status: &str| json!({"to": phone, "format": format, "status": status, "keep": true});
            laptop.receipts(of(RIDER, "accepted")).await;
            assert_eq!(states(&laptop, &created).await, ["sent", "sent"], "{api} {format}");
            for _ in 0..2 {
                let told = laptop.receipts(of(RIDER, "delivered")).await;
                assert_eq!((told.len(), &told[0]["deliveries"]), (1, &json!([200])), "{told:?}");
                assert_eq!(states(&laptop, &created).await, ["delivered", "sent"], "{api} {format}");
            }
            // A late receipt of something else changes nothing.
            laptop.receipts(of(RIDER, "failed")).await;
            laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
            laptop.receipts(of(DRIVER, "delivered")).await;
            assert_eq!(states(&laptop, &created).await, ["delivered", "delivered"], "after the end");
            let listed = laptop.get(&format!("/conversations?number=%2B{RIDER}")).await.body;
            assert_eq!(listed["conversations"][0]["participants"][0]["notification"], "delivered", "{listed}");
            laptop.table().await;
        }
    }
}

#[tokio::test]
async fn invitation_that_did_not_arrive_says_why() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let failed = json!({"to": RIDER, "status": "failed", "err_code": "3", "format": "sms_form", "keep": true});
    laptop.receipts(failed).await;
    laptop.receipts(json!({"to": DRIVER, "status": "failed", "err_code": "9"})).await;
    let shown = read(&laptop, &created).await;
    let of = |side: usize| {
        let participant = &shown["participants"][side];
        (string(&participant["notification"]), string(&participant["notification_reason"]))
    };
    assert_eq!(of(0), ("undelivered".to_owned(), "the phone is absent (code 3)".to_owned()));
    assert!(of(1).0 == "undelivered" && of(1).1.contains("opted out"), "{shown}");
    assert!(shown["participants"][1]["texts_stopped_at"].is_string(), "a receipt of an opt-out is followed");
    let sent = laptop.asked("/sms/json").await;
    // The phone is on again.
    laptop.receipts(json!({"to": RIDER, "format": "sms_form"})).await;
    let shown = read(&laptop, &created).await;
    assert_eq!(shown["participants"][0]["notification"], "delivered");
    assert!(shown["participants"][0].get("notification_reason").is_none(), "{shown}");
    assert_eq!(laptop.asked("/sms/json").await, sent, "nothing is sent again");
}

#[tokio::test]
async fn invitation_of_several_parts_needs_all_receipts() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["participants"][1]["label"] = json!("\u{43c}".repeat(40));
    let created = laptop.post("/conversations", &order).await.body;
    let first = string(&laptop.texts(RIDER).await[0]["message_id"]);
    assert_eq!(tell(&laptop, &created, "na0.0.s3", &first, "delivered").await, 200);
    assert_eq!(states(&laptop, &created).await, ["sent", "sent"]);
    let told = laptop.receipts(json!({"to": RIDER, "reversed": true})).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(states(&laptop, &created).await, ["delivered", "sent"]);
}

#[tokio::test]
async fn each_person_of_a_side_has_a_state_of_their_own() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["participants"][1]["phones"] =
        json!([{"number": "+447700900085", "name": "Ann"}, {"number": "+447700900086"}]);
    let created = laptop.post("/conversations", &order).await.body;
    laptop.receipts(json!({"to": "447700900085"})).await;
    let driver = read(&laptop, &created).await["participants"][1].clone();
    let of = |phone: usize| &driver["phones"][phone]["notification"];
    assert_eq!((&driver["notification"], of(0), of(1)), (&json!("sent"), &json!("delivered"), &json!("off")));
}

#[tokio::test]
async fn late_receipt_says_nothing_about_another_invitation() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let created = laptop.create().await;
    let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &dials(&created, 0))]).await;
    assert_eq!(taken.status, 200);
    laptop.run_schedule().await;
    let ids: Vec<String> = laptop.texts(RIDER).await.iter().map(|text| string(&text["message_id"])).collect();
    let [about_old, about_new] = &ids[..] else { panic!("{ids:?}") };
    assert_eq!(tell(&laptop, &created, "na0.0.s1", about_old, "undeliverable").await, 200);
    assert_eq!(states(&laptop, &created).await, ["sent", "sent"], "the text about the new number is on its way");
    assert_eq!(tell(&laptop, &created, "na0.1.s1", about_new, "delivered").await, 200);
    assert_eq!(states(&laptop, &created).await, ["delivered", "sent"]);
    let path = format!("/conversations/{}", text(&created, "/id"));
    let moved = json!({"participants": [{"number": "+447700900087"}, null]});
    assert_eq!(laptop.patch(&path, &moved).await.status, 200);
    laptop.receipts(json!({})).await;
    assert_eq!(states(&laptop, &created).await, ["off", "delivered"], "the new phone has got none");
}

#[tokio::test]
async fn receipt_finds_an_invitation_whose_answer_was_lost() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.faults("/sms/json", 2, json!({"kind": "close_after"})).await;
    let created = laptop.create().await;
    assert_eq!(states(&laptop, &created).await, ["unknown", "unknown"]);
    laptop.receipts(json!({"to": RIDER, "status": "buffered", "keep": true})).await;
    assert_eq!(states(&laptop, &created).await, ["sent", "unknown"]);
    laptop.receipts(json!({"to": RIDER, "keep": true})).await;
    assert_eq!(states(&laptop, &created).await, ["delivered", "unknown"]);
    // Its id is known from the receipt alone, and is redacted like others. That of the driver comes after the erasure.
    let redactions = async || {
        let items = laptop.items().await;
        items.iter().filter(|item| text(item, "/pk/S") == "REDACTION").count()
    };
    assert_eq!(laptop.delete(&format!("/conversations/{}?erase=true", text(&created, "/id"))).await.status, 204);
    assert_eq!(redactions().await, 1);
    for _ in 0..2 {
        let told = laptop.receipts(json!({"to": DRIVER, "keep": true})).await;
        assert_eq!(told[0]["deliveries"], json!([200]), "{told:?}");
        assert_eq!(redactions().await, 2);
    }
    assert!(!laptop.items().await.iter().any(|item| item.get("invitation_receipts").is_some()));
    laptop.table().await;
}

#[tokio::test]
async fn receipt_that_is_not_understood_changes_nothing() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    for name in ["na0.0", "nc0.0.s1", "na0.0.s1.1", "na99999999999999999999.0.s1", "x"] {
        assert_eq!(tell(&laptop, &created, name, "0A01", "delivered").await, 200, "{name}");
    }
    // Of a phone that the conversation does not have.
    assert_eq!(tell(&laptop, &created, "na7.0.s1", "0A01", "delivered").await, 200);
    assert_eq!(states(&laptop, &created).await, ["sent", "sent"]);
    let gone = json!({"id": "01M81PZXZPCX9PBRT5SWKY25Z7", "participants": created["participants"]});
    assert_eq!(tell(&laptop, &gone, "na0.0.s1", "0A01", "delivered").await, 200);
    laptop.table().await;
}

#[tokio::test]
async fn receipts_count_in_a_restored_table_too() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    laptop.receipts(json!({"to": RIDER, "keep": true})).await;
    laptop.copy_table("maskline-restored").await;
    laptop.receipts(json!({"to": DRIVER, "keep": true})).await;
    assert_eq!(states(&laptop, &created).await, ["delivered", "delivered"]);
    let environment = [("TABLE_NAME".to_owned(), "maskline-restored".to_owned())];
    let environment = laptop.stack.environment.clone().with(environment);
    local::restore::repair(&environment, std::sync::Arc::new(laptop.clock.clone())).await.unwrap();
    let repaired = Laptop::builder().beside(&laptop, "maskline-restored").start().await;
    assert_eq!(states(&repaired, &created).await, ["delivered", "sent"], "receipts are not in the journal");
    let message = string(&laptop.texts(DRIVER).await[0]["message_id"]);
    for _ in 0..2 {
        assert_eq!(tell(&repaired, &created, "nb0.0.s1", &message, "delivered").await, 200);
    }
    assert_eq!(states(&repaired, &created).await, ["delivered", "delivered"]);
    repaired.table().await;
}
