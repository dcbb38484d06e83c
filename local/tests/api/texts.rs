//! Texts between participants.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

use crate::healing::{dials, read};

const HOUR: i64 = 3600;

async fn laptop() -> Laptop {
    Laptop::builder().numbers("GB", 2).start().await
}

/// Has the rider text the driver.
async fn write(laptop: &Laptop, conversation: &Value, words: &str) -> Value {
    let sent = laptop.text(json!({"from": RIDER, "to": dials(conversation, 0), "text": words})).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent[0].clone()
}

#[tokio::test]
async fn text_reaches_the_other_one_from_the_mask_and_back() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let sent = write(&laptop, &conversation, "I am at the station €").await;
    assert_eq!(sent["deliveries"], json!([200]), "{sent}");
    let received = laptop.texts(DRIVER).await;
    assert_eq!((received.len(), &received[0]["text"]), (1, &json!("I am at the station €")));
    assert_eq!(received[0]["from"], conversation["participants"][0]["masked_by"]);
    laptop.advance(1);
    let back = json!({"from": DRIVER, "to": received[0]["from"], "text": "Coming 🚕"});
    laptop.text(back).await;
    assert_eq!(laptop.words(RIDER).await, ["Coming 🚕"]);
    let texts = read(&laptop, &conversation).await["texts"].clone();
    assert_eq!(texts.as_array().unwrap().len(), 2);
    for (position, side) in [(0, "b"), (1, "a")] {
        let shown = &texts[position];
        assert_eq!((&shown["from"], &shown["state"], &shown["segments"]), (&json!(side), &json!("sent"), &json!(1)));
        assert_eq!((text(shown, "/price"), text(shown, "/currency")), ("0.0333", "EUR"));
    }
    assert!(!texts.to_string().contains("station"), "{texts}");
    laptop.table().await;
}

#[tokio::test]
async fn text_that_comes_again_is_passed_on_once() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"expires_in": 60})).await;
    for fault in ["lose_answer", "duplicate", "at_once", "unsigned"] {
        let rule = json!({"webhook": "inbound_url", "contains": fault, "fault": {"kind": fault}});
        assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/faults", rule).await.status, 204);
        let sent = write(&laptop, &conversation, fault).await;
        assert!(sent["deliveries"].to_string().contains("200"), "{sent}");
        // With the signature of the first time too, and hours after the end.
        for (later, how) in [(1, json!({})), (HOUR, json!({"same_signature": true})), (20 * HOUR, json!({}))] {
            laptop.advance(later);
            let again = laptop.deliver_again(text(&sent, "/id"), how).await;
            assert_eq!(again["deliveries"], json!([200]), "{fault}");
        }
        laptop.advance(-21 * HOUR - 1);
        assert_eq!(laptop.words(DRIVER).await.iter().filter(|words| *words == fault).count(), 1, "{fault}");
    }
    assert_eq!((laptop.texts(DRIVER).await.len(), laptop.texts(RIDER).await.len()), (4, 0), "nobody is told otherwise");
}

#[tokio::test]
async fn text_that_comes_hours_late_reaches_nobody_else() {
    let laptop = Laptop::builder().env(&[("QUARANTINE_SECONDS", "60"), ("MAX_CALL_SECONDS", "60")]);
    let laptop = laptop.numbers("GB", 2).start().await;
    let first = laptop.create_with(json!({"expires_in": 60})).await;
    // Nobody answers for an hour, and the rider's next conversation has the same number.
    let outage = json!({"operation": "*", "times": 1000, "fault": {"kind": "error", "code": "InternalServerError"}});
    laptop.vonage(reqwest::Method::POST, "/simulator/faults", outage).await;
    let sent = write(&laptop, &first, "to the first driver").await;
    assert!(!sent["deliveries"].to_string().contains("200"), "{sent}");
    laptop.no_more_faults().await;
    laptop.advance(HOUR);
    let other = "447700900077";
    let next = laptop
        .create_with(json!({"participants": [{"number": format!("+{RIDER}")}, {"number": format!("+{other}")}]}))
        .await;
    assert!([0, 1].map(|side| dials(&next, side)).contains(&dials(&first, 0)), "the same number: {next}");
    assert_eq!(laptop.deliver_again(text(&sent, "/id"), json!({})).await["deliveries"], json!([200]));
    assert!(laptop.words(other).await.is_empty() && laptop.words(DRIVER).await.is_empty());
}

#[tokio::test]
async fn text_that_vonage_did_not_take_goes_with_a_later_delivery() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    laptop.faults("/sms/json", 100, json!({"kind": "status", "status": 429})).await;
    let sent = write(&laptop, &conversation, "later").await;
    assert!(!sent["deliveries"].to_string().contains("200"), "{sent}");
    assert!(read(&laptop, &conversation).await["texts"].is_null(), "the claim was given up");
    laptop.no_more_faults().await;
    laptop.advance(60);
    assert_eq!(laptop.deliver_again(text(&sent, "/id"), json!({})).await["deliveries"], json!([200]));
    assert_eq!(laptop.words(DRIVER).await, ["later"]);
}

#[tokio::test]
async fn text_whose_outcome_is_not_known_is_never_sent_again() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    laptop.fault("/sms/json", json!({"kind": "close_after"})).await;
    let sent = write(&laptop, &conversation, "maybe").await;
    assert_eq!(sent["deliveries"], json!([200]));
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert_eq!(laptop.words(DRIVER).await, ["maybe"]);
    let shown = read(&laptop, &conversation).await["texts"][0].clone();
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("unknown"), &json!("no response from Vonage")));
    // Its receipt finds it, although its id never came.
    laptop.receipts(json!({})).await;
    assert_eq!(read(&laptop, &conversation).await["texts"][0]["state"], "delivered");
}

#[tokio::test]
async fn receipts_decide_the_state_in_any_order() {
    for format in ["messages", "sms_form", "sms_json", "sms_query"] {
        let laptop = laptop().await;
        let conversation = laptop.create_with(json!({})).await;
        let state = async || read(&laptop, &conversation).await["texts"][0].clone();
        write(&laptop, &conversation, &"a".repeat(200)).await;
        assert_eq!((&state().await["segments"], &state().await["state"]), (&json!(2), &json!("sent")));
        for (status, reversed, keep) in [("accepted", false, true), ("delivered", true, true), ("buffered", true, true)]
        {
            let how = json!({"format": format, "status": status, "reversed": reversed, "keep": keep});
            let told = laptop.receipts(how).await;
            assert!(told.len() == 2 && told.iter().all(|one| one["deliveries"] == json!([200])), "{told:?}");
        }
        let delivered = state().await;
        assert_eq!(delivered["state"], "delivered", "{format}: {delivered}");
        assert!(delivered["delivered_at"].is_string() && delivered["reason"].is_null());
        let twice = laptop.receipts(json!({"format": format, "keep": false})).await;
        assert!(twice.iter().all(|one| one["deliveries"] == json!([200])), "{twice:?}");
        assert_eq!(state().await, delivered, "{format}");
    }
}

#[tokio::test]
async fn phone_that_opted_out_is_accepted_and_then_fails() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let pair = json!({"phone": DRIVER, "sender": dials(&conversation, 1), "opted_out": true});
    assert_eq!(laptop.vonage(reqwest::Method::PUT, "/simulator/opt-outs", pair).await.status, 204);
    write(&laptop, &conversation, "are you there?").await;
    assert_eq!(read(&laptop, &conversation).await["texts"][0]["state"], "sent");
    laptop.receipts(json!({"format": "sms_form"})).await;
    let shown = read(&laptop, &conversation).await["texts"][0].clone();
    assert_eq!(shown["state"], "failed");
    assert!(text(&shown, "/reason").contains("opted out") && text(&shown, "/reason").contains("code 9"), "{shown}");
    assert!(laptop.texts(DRIVER).await.is_empty());
}

#[tokio::test]
async fn stranger_is_told_once_a_day_that_nobody_gets_the_text() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let (stranger, number) = ("447700900077", dials(&conversation, 0));
    for round in 0..3 {
        let sent = laptop.text(json!({"from": stranger, "to": number, "text": format!("hello {round}")})).await;
        assert_eq!(sent[0]["deliveries"], json!([200]));
    }
    let told = laptop.texts(stranger).await;
    assert_eq!((told.len(), &told[0]["from"]), (1, &json!(number)), "{told:?}");
    assert!(text(&told[0], "/text").contains("cannot deliver your message"), "{told:?}");
    laptop.advance(25 * HOUR);
    laptop.text(json!({"from": stranger, "to": number, "text": "again"})).await;
    assert_eq!(laptop.texts(stranger).await.len(), 2, "the next day");
    // A French phone is told in French.
    laptop.text(json!({"from": "33612345678", "to": number, "text": "bonjour"})).await;
    assert!(laptop.words("33612345678").await[0].starts_with("Votre message"));
    assert!(laptop.texts(DRIVER).await.is_empty() && laptop.texts(RIDER).await.is_empty());
}

#[tokio::test]
async fn machines_and_own_numbers_are_never_answered() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let (one, other) = (dials(&conversation, 0), dials(&conversation, 1));
    for from in ["60017", "Vonage", "AMAZON", &one, &other] {
        let sent = laptop.text(json!({"from": from, "to": one, "text": "your code is 1234"})).await;
        assert_eq!(sent[0]["deliveries"], json!([200]), "{from}");
    }
    assert_eq!(laptop.asked("/sms/json").await, 0);
}

#[tokio::test]
async fn explanations_from_one_number_have_a_limit() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let number = dials(&conversation, 0);
    for nth in 0..103 {
        laptop.text(json!({"from": format!("447700901{nth:03}"), "to": number, "text": "hello"})).await;
    }
    assert_eq!(laptop.asked("/sms/json").await, 100);
}

#[tokio::test]
async fn ended_blocked_limited_and_one_way_hold_for_texts() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let ended = laptop.create_with(json!({})).await;
    let path = format!("/conversations/{}", text(&ended, "/id"));
    assert_eq!(laptop.patch(&path, &json!({"blocked": "a"})).await.status, 200);
    write(&laptop, &ended, "blocked").await;
    assert!(laptop.texts(DRIVER).await.is_empty());
    assert!(laptop.words(RIDER).await[0].contains("cannot deliver your message"));
    assert_eq!(laptop.patch(&path, &json!({"blocked": null})).await.status, 200);
    write(&laptop, &ended, "free").await;
    assert_eq!(laptop.words(DRIVER).await, ["free"]);
    assert_eq!(laptop.delete(&path).await.status, 200);
    laptop.advance(25 * HOUR);
    let over = laptop.create_with(json!({"max_calls": 1, "expires_in": 60})).await;
    laptop.call(json!({"from": RIDER, "to": dials(&over, 0), "talk_seconds": 5})).await;
    write(&laptop, &over, "one too many").await;
    laptop.advance(61);
    laptop.advance(25 * HOUR);
    let (receiver, caller) = ("447700900078", "447700900079");
    let phones = json!([{"number": format!("+{caller}")}, {"number": format!("+{receiver}")}]);
    let one_way = laptop.create_with(json!({"participants": phones, "direction": "a_to_b"})).await;
    laptop.text(json!({"from": caller, "to": dials(&one_way, 0), "text": "on my way"})).await;
    let received = laptop.texts(receiver).await;
    assert_eq!((received.len(), &received[0]["text"]), (1, &json!("on my way")));
    laptop.text(json!({"from": receiver, "to": received[0]["from"], "text": "thanks"})).await;
    assert!(laptop.words(caller).await.is_empty());
    assert!(laptop.words(receiver).await[1].contains("cannot deliver your message"));
    assert_eq!(laptop.words(DRIVER).await, ["free"]);
}

#[tokio::test]
async fn late_writer_is_told_that_the_conversation_is_over() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await.status, 200);
    write(&laptop, &conversation, "one more thing").await;
    assert!(laptop.words(RIDER).await[0].contains("has ended"), "{:?}", laptop.words(RIDER).await);
    assert!(laptop.texts(DRIVER).await.is_empty());
}

#[tokio::test]
async fn text_goes_to_the_first_phone_in_its_hours() {
    let laptop = laptop().await;
    let (first, second) = ("447700900081", "447700900082");
    let never = json!({"days": ["mon"], "from": "00:00", "to": "00:01", "zone": "UTC"});
    let side = json!({"number": format!("+{first}"), "hours": never, "phones": [{"number": format!("+{second}")}]});
    let order = json!({"participants": [{"number": format!("+{RIDER}")}, side]});
    let conversation = laptop.create_with(order).await;
    laptop.advance(120);
    write(&laptop, &conversation, "anybody?").await;
    assert_eq!((laptop.words(first).await.len(), laptop.words(second).await), (0, vec!["anybody?".to_owned()]));
    laptop.text(json!({"from": second, "to": dials(&conversation, 1), "text": "me"})).await;
    assert_eq!(laptop.words(RIDER).await, ["me"]);
}

#[tokio::test]
async fn shape_of_the_sms_api_is_taken_with_its_own_signature_only() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let number = dials(&conversation, 0);
    for format in ["sms_form", "sms_json", "sms_query"] {
        for (signing, taken) in [("none", false), ("sha256", true), ("sha512", true)] {
            let words = format!("{format} {signing} a&b=c");
            let sent = json!({"from": RIDER, "to": number, "text": words, "format": format, "signing": signing});
            let told = laptop.text(sent).await;
            let is_taken = told[0]["deliveries"] == json!([200]);
            assert_eq!(is_taken, taken, "{words}: {told:?}");
            assert_eq!(laptop.words(DRIVER).await.contains(&words), taken, "{words}");
        }
    }
    // Vonage asks without parameters when a number is linked.
    for path in ["/webhooks/message", "/webhooks/message-status"] {
        assert_eq!(laptop.get(path).await.status, 200);
        assert_eq!(laptop.send(reqwest::Method::POST, path, "").await.status, 200);
        assert_eq!(laptop.get(&format!("{path}?msisdn=1")).await.status, 503, "not signed");
    }
}

#[tokio::test]
async fn parts_of_a_long_text_are_passed_on_as_they_come() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let long = format!("{}{}{}", "a".repeat(153), "b".repeat(153), "c".repeat(20));
    let send = async |parts: Value| {
        let text = json!({"from": RIDER, "to": dials(&conversation, 0), "text": long, "format": "sms_form",
                          "parts": parts});
        laptop.text(text).await.len()
    };
    assert_eq!(send(json!({"arrive": [3, 1]})).await, 2, "the second one never comes");
    let received = laptop.words(DRIVER).await;
    assert_eq!(received, [format!("(3/3) {}", "c".repeat(20)), format!("(1/3) {}", "a".repeat(153))]);
    assert_eq!(send(json!({"unnamed": true})).await, 3, "a network without concat");
    assert_eq!(laptop.words(DRIVER).await[2..], ["a".repeat(153), "b".repeat(153), "c".repeat(20)]);
    // The Messages API joins them.
    laptop.advance(1);
    write(&laptop, &conversation, &long).await;
    assert_eq!(laptop.words(DRIVER).await[5], long);
    assert_eq!(read(&laptop, &conversation).await["texts"][0]["segments"], 3);
}

#[tokio::test]
async fn erased_conversation_leaves_no_text_and_redacts_them() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    write(&laptop, &conversation, "secret").await;
    let path = format!("/conversations/{}?erase=true", text(&conversation, "/id"));
    assert_eq!(laptop.delete(&path).await.status, 204);
    let items = laptop.items().await;
    let of_kind = |kind: &str| items.iter().filter(|item| text(item, "/pk/S").starts_with(kind)).count();
    assert_eq!((of_kind("TEXTS#"), of_kind("REDACTION")), (0, 2), "the text as it came and as it went");
    laptop.receipts(json!({})).await;
    laptop.advance(2 * HOUR);
    laptop.stack.run_erasure_schedule().await.unwrap();
    assert!(!laptop.items().await.iter().any(|item| text(item, "/pk/S") == "REDACTION"));
    assert_eq!(laptop.texts(DRIVER).await.len(), 0, "redacted");
    laptop.table().await;
}

#[tokio::test]
async fn text_that_is_sent_during_an_erasure_is_redacted_too() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    laptop.fault("/sms/json", json!({"kind": "delay", "milliseconds": 1500})).await;
    let erase = async {
        let is_claimed = async || laptop.items().await.iter().any(|item| text(item, "/pk/S").starts_with("TEXTS#"));
        while !is_claimed().await {
            tokio::task::yield_now().await;
        }
        laptop.delete(&format!("/conversations/{}?erase=true", text(&conversation, "/id"))).await
    };
    let (sent, erased) = tokio::join!(write(&laptop, &conversation, "goodbye"), erase);
    assert_eq!((&sent["deliveries"], erased.status), (&json!([200]), 204));
    let items = laptop.items().await;
    let of_kind = |kind: &str| items.iter().filter(|item| text(item, "/pk/S").starts_with(kind)).count();
    assert_eq!((of_kind("TEXTS#"), of_kind("REDACTION")), (0, 2), "the text as it came and as it went");
}

#[tokio::test]
async fn picture_is_not_dropped_in_silence() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let picture = json!({"channel": "mms", "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "message_type": "image",
                         "to": dials(&conversation, 0), "from": RIDER,
                         "image": {"url": "https://example.com/image.jpg"}});
    for _ in 0..2 {
        assert_eq!(laptop.signed_post("/webhooks/message", &picture.to_string()).await.status, 200);
    }
    assert!(laptop.words(RIDER).await[0].contains("pictures and other files are not passed on here"));
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (1, 0));
}

#[tokio::test]
async fn phones_that_answer_by_themselves_come_to_an_end() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    for (phone, words) in [(RIDER, "I am driving"), (DRIVER, "I cannot talk now")] {
        let reply = json!({"phone": phone, "text": words});
        assert_eq!(laptop.vonage(reqwest::Method::PUT, "/simulator/auto-replies", reply).await.status, 204);
    }
    write(&laptop, &conversation, "Hello").await;
    // 60 in each direction, and the explanation to the one whose text is the 61st.
    assert_eq!((laptop.texts(DRIVER).await.len(), laptop.texts(RIDER).await.len()), (60, 61));
    let last = laptop.words(RIDER).await.pop().unwrap();
    assert!(last.contains("too many messages"), "{last}");
    // The rider's phone answers the explanation too, and is not told again.
    let items = laptop.items().await;
    let refused = items.iter().filter(|item| item["refused"]["BOOL"] == true);
    let reasons: Vec<_> = refused.map(|item| text(item, "/problem/S")).collect();
    assert_eq!(reasons, ["its writer has sent too many texts in a short time"; 2]);
    laptop.table().await;
}

#[tokio::test]
async fn texts_of_a_day_have_a_limit_in_each_direction() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"expires_in": 200_000})).await;
    for _ in 0..6 {
        for nth in 0..60 {
            write(&laptop, &conversation, &format!("text {nth}")).await;
        }
        laptop.advance(HOUR);
    }
    assert_eq!(laptop.texts(DRIVER).await.len(), 300);
    laptop.text(json!({"from": DRIVER, "to": dials(&conversation, 1), "text": "so many"})).await;
    assert_eq!(laptop.words(RIDER).await.last().unwrap(), "so many");
    laptop.advance(24 * HOUR);
    write(&laptop, &conversation, "the next day").await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 301);
}

#[tokio::test]
async fn text_that_was_not_sent_does_not_count() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let no_credit = json!({"message-count": "1", "messages": [{"status": "9", "error-text": "Quota Exceeded"}]});
    laptop.faults("/sms/json", 1000, json!({"kind": "status", "status": 200, "body": no_credit})).await;
    let sent = write(&laptop, &conversation, "later").await;
    for _ in 0..15 {
        laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    }
    laptop.no_more_faults().await;
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert_eq!(laptop.words(DRIVER).await, ["later"], "none of its 80 deliveries counts");
}

#[tokio::test]
async fn text_of_1600_characters_is_passed_on_in_segments() {
    let laptop = laptop().await;
    for (words_of_it, segments) in [("a".repeat(1600), 11), ("ж".repeat(1600), 24), ("😀".repeat(800), 25)] {
        let conversation = laptop.create_with(json!({"max_calls": 1})).await;
        write(&laptop, &conversation, &words_of_it).await;
        assert_eq!(laptop.words(DRIVER).await.pop().unwrap(), words_of_it);
        let shown = read(&laptop, &conversation).await["texts"][0].clone();
        assert_eq!((&shown["state"], &shown["segments"]), (&json!("sent"), &json!(segments)), "{shown}");
        let price: f64 = shown["price"].as_f64().or_else(|| shown["price"].as_str()?.parse().ok()).unwrap();
        assert!((price - 0.0333 * f64::from(segments)).abs() < 1e-6, "{shown}");
        let told = laptop.receipts(json!({})).await;
        assert_eq!(told.len(), segments as usize, "a receipt for each");
        assert_eq!(read(&laptop, &conversation).await["texts"][0]["state"], "delivered");
        laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
        laptop.advance(25 * HOUR);
    }
}

#[tokio::test]
async fn text_that_vonage_refuses_as_too_long_is_told_to_its_writer() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    for length in [3200, 3201] {
        write(&laptop, &conversation, &"b".repeat(length)).await;
        laptop.advance(1);
    }
    assert_eq!(laptop.words(DRIVER).await, ["b".repeat(3200)]);
    assert!(laptop.words(RIDER).await[0].contains("cannot deliver your message"));
    let shown = read(&laptop, &conversation).await["texts"][0].clone();
    assert_eq!(shown["state"], "failed");
    assert!(text(&shown, "/reason").contains("too long"), "{shown}");
}
