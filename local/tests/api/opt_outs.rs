//! Key words of texts, and the people who want no texts from a number.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

use crate::healing::{dials, read};

const DAY: i64 = 24 * 3600;

async fn laptop() -> Laptop {
    Laptop::builder().numbers("GB", 2).start().await
}

/// Has the participant on this side write.
async fn write(laptop: &Laptop, conversation: &Value, side: usize, words: &str) -> Value {
    let from = [RIDER, DRIVER][side];
    let sent = laptop.text(json!({"from": from, "to": dials(conversation, side), "text": words})).await;
    assert_eq!(sent[0]["deliveries"], json!([200]), "{sent:?}");
    laptop.advance(1);
    sent[0].clone()
}

#[tokio::test]
async fn stop_ends_texts_to_its_writer_and_start_lets_them_again() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"notify": false})).await;
    write(&laptop, &conversation, 1, " Stop! ").await;
    assert_eq!(laptop.words(RIDER).await.len(), 0, "it is not passed on");
    let told = laptop.words(DRIVER).await;
    assert!(told.len() == 1 && told[0].starts_with("You get no more texts from this number."), "{told:?}");
    let shown = read(&laptop, &conversation).await;
    assert!(shown["participants"][1]["texts_stopped_at"].is_string(), "{shown}");
    assert!(shown["participants"][0].get("texts_stopped_at").is_none(), "{shown}");
    write(&laptop, &conversation, 0, "Where are you?").await;
    assert_eq!(laptop.words(DRIVER).await.len(), 1, "no text reaches the driver");
    let told = laptop.words(RIDER).await;
    assert!(told.len() == 1 && told[0].contains("gets no texts from this number"), "{told:?}");
    let shown = read(&laptop, &conversation).await["texts"][0].clone();
    assert_eq!(
        (&shown["state"], &shown["reason"]),
        (&json!("failed"), &json!("its reader has stopped texts from this number"))
    );
    // The other direction is another number.
    write(&laptop, &conversation, 1, "I write all the same").await;
    assert_eq!(laptop.words(RIDER).await[1], "I write all the same");
    write(&laptop, &conversation, 1, "start").await;
    assert!(laptop.words(DRIVER).await[1].starts_with("You get texts from this number again."));
    assert!(read(&laptop, &conversation).await["participants"][1].get("texts_stopped_at").is_none());
    write(&laptop, &conversation, 0, "Hello again").await;
    assert_eq!(laptop.words(DRIVER).await[2], "Hello again");
    assert_eq!(laptop.words(RIDER).await.len(), 2, "neither key word was passed on");
    laptop.table().await;
}

#[tokio::test]
async fn start_of_one_who_has_stopped_nothing_is_a_text() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"notify": false})).await;
    let sent = write(&laptop, &conversation, 0, "Start").await;
    for words_of_chat in ["Cancel", "yes", "end"] {
        write(&laptop, &conversation, 0, words_of_chat).await;
    }
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert_eq!(laptop.words(DRIVER).await, ["Start", "Cancel", "yes", "end"]);
    assert!(laptop.words(RIDER).await.is_empty());
}

#[tokio::test]
async fn key_words_that_come_again_or_late_change_nothing() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"notify": false})).await;
    let is_stopped = async || read(&laptop, &conversation).await["participants"][1].get("texts_stopped_at").is_some();
    let stop = write(&laptop, &conversation, 1, "STOP").await;
    let again = async |sent: &Value| laptop.deliver_again(text(sent, "/id"), json!({"same_signature": true})).await;
    assert_eq!(again(&stop).await["deliveries"], json!([200]));
    write(&laptop, &conversation, 1, "stop").await;
    assert_eq!(laptop.words(DRIVER).await.len(), 1, "a second wish is not answered");
    let start = write(&laptop, &conversation, 1, "START").await;
    laptop.advance(3600);
    again(&stop).await;
    assert!(!is_stopped().await, "the last wish holds");
    write(&laptop, &conversation, 1, "stop").await;
    laptop.advance(3600);
    again(&start).await;
    assert!(is_stopped().await, "the last wish holds");
    assert_eq!(laptop.words(DRIVER).await.len(), 3);
    assert!(laptop.words(RIDER).await.is_empty(), "no key word is passed on");
}

#[tokio::test]
async fn opt_out_outlives_the_conversation_and_the_choice_avoids_it() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let first = laptop.create_with(json!({"notify": false})).await;
    write(&laptop, &first, 0, "STOP").await;
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await.status, 200);
    laptop.advance(2 * DAY);
    let second = laptop.create_with(json!({"notify": true})).await;
    assert_ne!(dials(&second, 0), dials(&first, 0), "another number, although they had this one");
    assert_eq!(dials(&second, 1), dials(&first, 1), "the driver keeps his");
    assert_eq!(second["participants"][0]["notification"], "sent");
    assert!(laptop.words(RIDER).await[1].contains("call +"));
}

#[tokio::test]
async fn number_that_is_not_wanted_is_given_if_it_is_the_only_one() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let first = laptop.create_with(json!({"notify": false})).await;
    write(&laptop, &first, 0, "STOP").await;
    laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await;
    laptop.advance(2 * DAY);
    let asked = laptop.asked("/sms/json").await;
    let second = laptop.create_with(json!({"notify": true})).await;
    let rider = &second["participants"][0];
    assert_eq!(rider["notification"], "failed");
    assert_eq!(rider["notification_reason"], "its reader has stopped texts from this number");
    assert_eq!(second["participants"][1]["notification"], "sent");
    assert_eq!(laptop.asked("/sms/json").await, asked + 1, "only the driver is texted");
    assert!(read(&laptop, &second).await["participants"][0]["texts_stopped_at"].is_string());
    let call = laptop.call(json!({"from": RIDER, "to": dials(&second, 0), "talk_seconds": 5})).await;
    assert!(call.to_string().contains(DRIVER), "calls work: {call}");
}

#[tokio::test]
async fn missed_call_is_not_texted_to_one_who_wants_no_texts() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"notify": false, "missed_calls": ["text"]})).await;
    write(&laptop, &conversation, 1, "STOP").await;
    let asked = laptop.asked("/sms/json").await;
    laptop.call(json!({"from": RIDER, "to": dials(&conversation, 0), "callee": "unanswered", "presses": []})).await;
    assert_eq!(laptop.asked("/sms/json").await, asked);
}

#[tokio::test]
async fn help_is_answered_once_a_day_and_passed_on() {
    let laptop = Laptop::builder().numbers("GB", 2).env(&[("BRAND", "Rides")]).start().await;
    let conversation = laptop.create_with(json!({"notify": false})).await;
    write(&laptop, &conversation, 0, "Help").await;
    write(&laptop, &conversation, 0, "HELP!").await;
    let told = laptop.words(RIDER).await;
    assert!(told.len() == 1 && told[0].starts_with("Rides: This number passes calls"), "{told:?}");
    assert_eq!(laptop.words(DRIVER).await, ["Help", "HELP!"]);
    // A stranger gets this answer, and no explanation.
    let stranger = "447700900077";
    laptop.text(json!({"from": stranger, "to": dials(&conversation, 0), "text": "info"})).await;
    assert!(laptop.words(stranger).await[0].starts_with("Rides: "));
    assert_eq!(laptop.texts(stranger).await.len(), 1);
    let asked = laptop.asked("/sms/json").await;
    laptop.text(json!({"from": stranger, "to": dials(&conversation, 0), "text": "STOP"})).await;
    laptop.advance(2 * DAY);
    laptop.text(json!({"from": stranger, "to": dials(&conversation, 0), "text": "info"})).await;
    laptop.text(json!({"from": stranger, "to": dials(&conversation, 0), "text": "hello"})).await;
    assert_eq!(laptop.asked("/sms/json").await, asked + 1, "only the stop is confirmed");
}

#[tokio::test]
async fn carrier_answers_key_words_itself_on_american_numbers() {
    let laptop = Laptop::builder().numbers("US", 2).start().await;
    let (rider, driver) = ("12025550101", "12025550102");
    let phones = json!([{"number": format!("+{rider}")}, {"number": format!("+{driver}")}]);
    let conversation = laptop.create_with(json!({"participants": phones, "notify": false})).await;
    let say = async |from: &str, side: usize, words: &str| {
        laptop.text(json!({"from": from, "to": dials(&conversation, side), "text": words})).await;
        laptop.advance(1);
    };
    say(driver, 1, "Cancel").await;
    say(driver, 1, "HELP").await;
    assert_eq!(laptop.words(rider).await, ["HELP"]);
    assert_eq!(laptop.asked("/sms/json").await, 1, "nobody is answered twice");
    assert!(read(&laptop, &conversation).await["participants"][1]["texts_stopped_at"].is_string());
    say(driver, 1, "START").await;
    say(rider, 0, "Hello").await;
    assert_eq!(laptop.words(driver).await, ["Hello"]);
}

#[tokio::test]
async fn receipt_of_an_opt_out_makes_the_same_block() {
    for format in ["messages", "sms_form"] {
        let laptop = laptop().await;
        let conversation = laptop.create_with(json!({"notify": false})).await;
        let pair = json!({"phone": DRIVER, "sender": dials(&conversation, 1), "opted_out": true});
        assert_eq!(laptop.vonage(reqwest::Method::PUT, "/simulator/opt-outs", pair).await.status, 204);
        write(&laptop, &conversation, 0, "are you there?").await;
        laptop.receipts(json!({"format": format, "keep": true})).await;
        assert!(read(&laptop, &conversation).await["participants"][1]["texts_stopped_at"].is_string());
        let asked = laptop.asked("/sms/json").await;
        write(&laptop, &conversation, 0, "hello?").await;
        assert!(laptop.words(RIDER).await[0].contains("gets no texts from this number"), "{format}");
        assert_eq!(laptop.asked("/sms/json").await, asked + 1, "only the explanation");
        // The same receipt after the person takes texts again, here and at the carrier.
        let pair = json!({"phone": DRIVER, "sender": dials(&conversation, 1), "opted_out": false});
        laptop.vonage(reqwest::Method::PUT, "/simulator/opt-outs", pair).await;
        write(&laptop, &conversation, 1, "START").await;
        let first = &read(&laptop, &conversation).await["texts"][1];
        let reference = format!("{}.{}", text(&conversation, "/id"), text(first, "/id"));
        let again = json!({"message_uuid": "0A01", "to": DRIVER, "from": dials(&conversation, 1), "channel": "sms",
                           "status": "undeliverable", "error": {"title": "9"}, "client_ref": reference});
        assert_eq!(laptop.signed_post("/webhooks/message-status", &again.to_string()).await.status, 200);
        assert!(read(&laptop, &conversation).await["participants"][1].get("texts_stopped_at").is_none(), "{format}");
    }
}

#[tokio::test]
async fn erasure_by_number_forgets_the_opt_outs_of_the_phone() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"notify": false})).await;
    write(&laptop, &conversation, 1, "STOP").await;
    let path = format!("/conversations/{}?erase=true", text(&conversation, "/id"));
    assert_eq!(laptop.delete(&path).await.status, 204);
    let opt_outs = async || {
        let items = laptop.items().await;
        items.iter().filter(|item| text(item, "/sk/S").starts_with("DECLINES#")).count()
    };
    assert_eq!(opt_outs().await, 1, "it is the person's, and outlives the conversation");
    let erasure = json!({"number": format!("+{DRIVER}")});
    assert!([200, 201, 202].contains(&laptop.post("/erasures", &erasure).await.status));
    assert_eq!(opt_outs().await, 0);
    let journal = laptop.journal().await;
    assert!(!journal.iter().any(|item| text(item, "/sk/S") == "OPT-OUT"), "{journal:?}");
}
