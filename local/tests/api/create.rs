//! `POST /conversations`.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

/// Checks that a refused conversation left nothing behind.
async fn nothing_is_left(laptop: &Laptop) {
    for phone in [RIDER, DRIVER] {
        assert!(laptop.keys(phone).await.is_empty());
        assert!(laptop.texts(phone).await.is_empty());
    }
}

#[tokio::test]
async fn create_returns_masks_and_numbers_to_dial() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["reference"] = json!("ride-42");
    order["expires_in"] = json!(3600);
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!((answer.status, answer.content_type()), (201, "application/json"));
    let conversation = answer.body;
    assert_eq!(
        conversation["participants"],
        json!([
            {"number": RIDER, "country": "GB", "verified_by": "numbering-plan", "label": "your rider",
             "language": "en-GB", "masked_by": "447451000002", "dials": "447451000001", "notification": "sent"},
            {"number": DRIVER, "country": "GB", "verified_by": "numbering-plan", "label": "your driver",
             "language": "en-GB", "masked_by": "447451000001", "dials": "447451000002", "notification": "sent"},
        ])
    );
    assert_eq!((&conversation["state"], &conversation["reference"]), (&json!("active"), &json!("ride-42")));
    let time = |name: &str| text(&conversation, name).parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("/expires_at").as_second() - time("/created_at").as_second(), 3600);
}

#[tokio::test]
async fn create_accepts_numbers_in_usual_spellings() {
    let laptop = Laptop::builder().numbers("GB", 8).numbers("US", 8).start().await;
    for (number, country, read) in [
        (json!("+44 (0)7700 900003"), Value::Null, "447700900003"),
        (json!("0044-7700-900004"), Value::Null, "447700900004"),
        (json!("07700 900005"), json!("GB"), "447700900005"),
        (json!("(201) 555-0123"), json!("US"), "12015550123"),
    ] {
        let order = json!({"participants": [{"number": "+447700900001"}, {"number": number, "country": country}]});
        let answer = laptop.post("/conversations", &order).await;
        assert_eq!(answer.body["participants"][1]["number"], read, "{answer:?}");
    }
}

#[tokio::test]
async fn two_spellings_of_one_phone_are_one_participant() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 2)
        .start()
        .await;
    let pair = async |a: &str, b: &str| {
        let order = json!({"participants": [{"number": a}, {"number": b}], "notify": false});
        laptop.post("/conversations", &order).await
    };
    for (a, b) in [("+54 11 2345 6789", "+5491123456789"), ("+52 55 1234 5678", "+5215512345678")] {
        let refused = pair(a, b).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[1].number"), "{refused:?}");
    }
    // Both numbers are in use for the person, whatever the spelling.
    for (spelling, other, status) in [
        ("+5491123456789", "+447700900002", 201),
        ("+541123456789", "+447700900003", 201),
        ("+5491123456789", "+447700900004", 409),
    ] {
        assert_eq!(pair(spelling, other).await.status, status, "{spelling}");
    }
}

#[tokio::test]
async fn create_gives_each_side_number_of_its_country() {
    let laptop = Laptop::builder().numbers("GB", 1).numbers("US", 1).start().await;
    let order = json!({"participants": [{"number": "+447700900001"}, {"number": "+12015550150"}]});
    let conversation = laptop.post("/conversations", &order).await.body;
    assert_eq!(conversation["participants"][0]["dials"], "447451000001");
    assert_eq!(conversation["participants"][1]["dials"], "12015550100");
    let call = laptop.call(json!({"from": "12015550150", "to": "12015550100"})).await;
    assert_eq!(
        call["phones"]["callee"],
        json!({"number": RIDER, "display": "447451000001", "rang": true, "answered": true})
    );
}

#[tokio::test]
async fn text_comes_from_number_to_dial_and_names_other_side() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    for (side, phone, other, others_number) in
        [(0, RIDER, "your driver", "900002"), (1, DRIVER, "your rider", "900001")]
    {
        let [message] = laptop.texts(phone).await.try_into().unwrap();
        let dials = text(&conversation["participants"][side], "/dials");
        assert_eq!(message["from"], dials);
        let said = text(&message, "/text");
        assert!(said.contains(&format!("+{dials}")) && said.contains(other), "{said}");
        assert!(!said.contains(others_number), "{said}");
    }
}

#[tokio::test]
async fn text_contains_label_of_any_language_unchanged() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["participants"][1]["label"] = json!("вашего водителя 🚕");
    laptop.post("/conversations", &order).await;
    assert!(text(&laptop.texts(RIDER).await[0], "/text").contains("вашего водителя 🚕"));
}

#[tokio::test]
async fn country_that_does_not_exist_is_answered_with_one_that_does() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let existing = laptop.create().await;
    let path = format!("/conversations/{}", text(&existing, "/id"));
    for (code, meant) in [("UK", Some("GB")), ("EN", Some("GB")), ("gb", Some("GB")), ("XX", None), ("AQ", None)] {
        let phone = json!({"number": "07700 900001", "country": code});
        let create = laptop.post("/conversations", &json!({"participants": [phone, {"number": DRIVER}]})).await;
        let update = laptop.patch(&path, &json!({"participants": [phone, null]})).await;
        let order = laptop.post("/numbers", &json!({"country": code, "count": 1})).await;
        for refused in [create, update, order] {
            let field = text(&refused.body, "/field");
            assert_eq!(refused.status, 422, "{refused:?}");
            assert!(field == "country" || field == "participants[0].country", "{refused:?}");
            let suggestion = meant.map_or("such as GB.".to_owned(), |meant| format!("perhaps {meant} is meant."));
            assert!(text(&refused.body, "/detail").ends_with(&suggestion), "{refused:?}");
        }
        let report = laptop.stack.run_invocation(&json!({"source": "maskline.demand", "country": code})).await.unwrap();
        assert!(text(&report, "/failed").contains("the event's country is not"), "{report}");
    }
    assert_eq!(laptop.asked("/number/search").await, 1, "only for the numbers at the start");
}

#[tokio::test]
async fn create_prefers_numbers_that_can_send_texts() {
    let laptop = Laptop::start().await;
    let landline = json!({"country": "GB", "count": 1, "features": ["VOICE"], "type": "landline"});
    laptop.post("/numbers", &landline).await;
    laptop.rent("GB", 3).await;
    let conversation = laptop.create().await;
    for side in [0, 1] {
        let participant = &conversation["participants"][side];
        assert!(text(participant, "/dials").starts_with("4474"), "{participant}");
        assert_eq!(participant["notification"], "sent");
    }
}

#[tokio::test]
async fn create_sends_no_texts_without_notify() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["notify"] = json!(false);
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.body["participants"][0]["notification"], "off");
    assert_eq!(laptop.asked("/sms/json").await, 0);
}

#[tokio::test]
async fn conversation_stays_after_refused_text() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let part = json!({"message-count": "1", "messages": [{"status": "29", "error-text": "Non White-listed Destination 447700900001"}]});
    let refuses_rider =
        json!({"path": "/sms/json", "contains": RIDER, "fault": {"kind": "status", "status": 200, "body": part}});
    laptop.vonage(Method::POST, "/simulator/faults", refuses_rider).await;
    let conversation = laptop.create().await;
    let read = laptop.get(&format!("/conversations/{}", text(&conversation, "/id"))).await.body;
    for conversation in [&conversation, &read] {
        let [rider, driver] = [0, 1].map(|side| &conversation["participants"][side]);
        assert_eq!((&rider["notification"], &driver["notification"]), (&json!("failed"), &json!("sent")));
        assert!(text(rider, "/notification_reason").contains("trial account"), "{rider}");
        assert!(!text(rider, "/notification_reason").contains(RIDER));
    }
    let call = laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"]})).await;
    assert_eq!(call["phones"]["caller"]["connected"], true);
}

#[tokio::test]
async fn text_is_unknown_and_not_repeated_after_lost_answer() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.faults("/sms/json", 2, json!({"kind": "close_after"})).await;
    let conversation = laptop.create().await;
    assert_eq!(conversation["participants"][0]["notification"], "unknown");
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.asked("/sms/json").await), (1, 2));
}

#[tokio::test]
async fn create_names_field_and_stores_nothing_on_bad_body() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let with = |pointer: &str, value: Value| {
        let mut order = conversation();
        *order.pointer_mut(pointer).unwrap() = value;
        order
    };
    let and = |name: &str, value: Value| {
        let mut order = conversation();
        order[name] = value;
        order
    };
    let one = json!({"participants": [{"number": "+447700900001"}]});
    let three = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}, {"number": "+447700900003"}]});
    for (body, status, field) in [
        (one, 422, "participants"),
        (three, 422, "participants"),
        (json!({}), 422, "participants"),
        (json!({"participants": [{"number": "+447700900001"}, {}]}), 422, "participants[1].number"),
        (json!({"participants": [["+447700900001"], ["+447700900002"]]}), 422, "participants[0]"),
        (json!({"participants": ["+447700900001", "+447700900002"]}), 422, "participants[0]"),
        (and("+447700900009", json!(1)), 422, ""),
        (json!({"participants": "two"}), 422, "participants"),
        (with("/participants/0/number", json!(447700900001u64)), 422, "participants[0].number"),
        (with("/participants/0/number", json!("hello")), 422, "participants[0].number"),
        (with("/participants/0/number", json!("+44 7700 900002")), 422, "participants[1].number"),
        (with("/participants/1/number", json!("+44 20 1")), 422, "participants[1].number"),
        (with("/participants/1/number", json!("+44 1111 111111")), 422, "participants[1].number"),
        (with("/participants/1/number", json!("+447451000001")), 422, "participants[1].number"),
        (with("/participants/1/number", json!("+33644630001")), 422, "participants[1].country"),
        (
            json!({"participants": [{"number": "07700900001"}, {"number": "+447700900002"}]}),
            422,
            "participants[0].country",
        ),
        (with("/participants/1/country", json!("gb")), 422, "participants[1].country"),
        (with("/participants/1/country", json!("UK")), 422, "participants[1].country"),
        (with("/participants/1/country", json!("XX")), 422, "participants[1].country"),
        (with("/participants/1/country", json!("")), 422, "participants[1].country"),
        (with("/participants/0/label", json!("x".repeat(41))), 422, "participants[0].label"),
        (with("/participants/0/label", json!("your \u{202E}revird")), 422, "participants[0].label"),
        (with("/participants/0/label", json!("your driver\u{2028}call now")), 422, "participants[0].label"),
        (with("/participants/0/label", json!("\u{200B}")), 422, "participants[0].label"),
        (and("expires_in", json!(59)), 422, "expires_in"),
        (and("expires_in", json!(170 * 86_400 + 1)), 422, "expires_in"),
        (and("expires_in", json!(-60)), 422, "expires_in"),
        (and("expires_in", json!("3600")), 422, "expires_in"),
        (and("notify", json!("yes")), 422, "notify"),
        (and("quarantine", json!(7199)), 422, "quarantine"),
        (and("quarantine", json!(30 * 86_400 + 1)), 422, "quarantine"),
        (and("reference", json!("")), 422, "reference"),
        (and("reference", json!("ride \"42\"")), 422, "reference"),
        (and("reference", json!("ride\u{2066}42")), 422, "reference"),
        (and("webhook", json!("https://example.com")), 422, "webhook"),
        (
            json!({"participants": [{"number": "+447700900001", "nick": "Ann"}, {"number": "+447700900002"}]}),
            422,
            "participants[0].nick",
        ),
        (and("expires_in", json!("x, expected 447700900001")), 422, "expires_in"),
        (json!([]), 422, ""),
        (json!("+447700900001"), 422, ""),
    ] {
        let answer = laptop.post("/conversations", &body).await;
        assert_eq!((answer.status, answer.content_type()), (status, "application/problem+json"), "{body} {answer:?}");
        assert_eq!(answer.body["field"].as_str().unwrap_or_default(), field, "{body} {answer:?}");
        assert_eq!(answer.body["status"], status);
        assert!(text(&answer.body, "/type").starts_with("urn:maskline:problem:"));
        assert!(!text(&answer.body, "/detail").is_empty());
        assert!(!answer.body.to_string().contains("7700900"), "{answer:?}");
    }
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("{} {}", 422),
        ("{\"participants\": []} {}", 400),
        ("nope", 400),
        (&" ".repeat(16 * 1024 + 1), 413),
    ] {
        let answer = laptop.send(Method::POST, "/conversations", body.to_owned()).await;
        assert_eq!((answer.status, answer.content_type()), (status, "application/problem+json"), "{body}");
    }
    nothing_is_left(&laptop).await;
}

#[tokio::test]
async fn concurrent_creates_of_same_caller_share_no_route_key() {
    let laptop = Laptop::builder().numbers("GB", 8).start().await;
    let create = async |number: usize| {
        let other = format!("+4477009001{number:02}");
        laptop
            .post(
                "/conversations",
                &json!({"participants": [{"number": "+447700900001"}, {"number": other}], "notify": false}),
            )
            .await
    };
    let (a, b, c, d, e, f) = tokio::join!(create(1), create(2), create(3), create(4), create(5), create(6));
    let mut dials: Vec<String> = Vec::new();
    for answer in [a, b, c, d, e, f] {
        assert_eq!(answer.status, 201, "{answer:?}");
        dials.push(text(&answer.body, "/participants/0/dials").to_owned());
    }
    dials.sort();
    dials.dedup();
    assert_eq!(dials.len(), 6);
}

#[tokio::test]
async fn text_is_repeated_only_when_vonage_cannot_have_sent_it() {
    let throttled = json!({"message-count": "1", "messages": [{"status": "1", "error-text": "Throttled"}]});
    for (fault, notification, asked) in [
        (json!({"kind": "status", "status": 429, "retry_after": 0}), "sent", 4),
        (json!({"kind": "status", "status": 200, "body": throttled}), "sent", 4),
        (json!({"kind": "status", "status": 500}), "unknown", 2),
        (json!({"kind": "truncated"}), "unknown", 2),
        (json!({"kind": "not_json"}), "unknown", 2),
        (json!({"kind": "status", "status": 429, "retry_after": 3600}), "failed", 2),
    ] {
        let laptop = Laptop::builder().numbers("GB", 2).start().await;
        laptop.faults("/sms/json", 2, fault.clone()).await;
        let conversation = laptop.create().await;
        for (side, phone) in [(0, RIDER), (1, DRIVER)] {
            assert_eq!(conversation["participants"][side]["notification"], notification, "{fault}");
            assert!(laptop.texts(phone).await.len() <= 1, "{fault}");
        }
        assert_eq!(laptop.asked("/sms/json").await, asked, "{fault}");
    }
}
