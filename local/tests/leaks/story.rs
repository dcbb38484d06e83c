//! A whole conversation without failures.

use local::decision_backend::{DecisionBackend, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::laptop::{
    DRIVER, NEW_PHONE, REAL, RIDER, STRANGER, assert_log_has_no_leak, assert_nothing_leaked, builder, call,
    conversation, create, listen, log,
};

#[tokio::test]
async fn demo_logs_no_real_number() {
    listen();
    local::demo::run(local::settings::Settings::default(), local::demo::Story::Full).await.unwrap();
    assert_log_has_no_leak();
}

#[tokio::test]
async fn whole_conversation_leaks_no_number() {
    let laptop = builder().env(&[("HEADROOM", "GB=1"), ("AUTO_RENT_MAX", "GB=5")]).numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    let dials = [0, 1].map(|side| created["participants"][side]["dials"].clone());
    call(&laptop, json!(RIDER), &dials[0], Some(DRIVER)).await;
    call(&laptop, json!(format!(" {DRIVER}")), &dials[1], Some(RIDER)).await;
    for callee in ["busy", "rejects", "unreachable", "unanswered"] {
        laptop.call(json!({"from": RIDER, "to": dials[0], "callee": callee})).await;
    }
    for stranger in [json!(STRANGER), json!("anonymous"), json!("+44 7700 900369"), Value::Null] {
        call(&laptop, stranger, &dials[0], None).await;
    }
    let new_phone = json!({"participants": [null, {"number": "07700 900471", "country": "GB"}], "expires_in": 3600});
    assert_eq!(laptop.send(Method::PATCH, &path, new_phone.to_string()).await.status, 200);
    call(&laptop, json!(RIDER), &dials[0], Some(NEW_PHONE)).await;
    call(&laptop, json!(DRIVER), &dials[1], None).await;
    assert_eq!(laptop.send(Method::GET, &path, "").await.body["calls"].as_array().unwrap().len(), 8);

    // A second conversation, for which a number is rented at once, and its replay; the idempotency key is a real number.
    let mut other = conversation();
    other["participants"][1]["number"] = json!("07700 900369");
    for status in [201, 200] {
        assert_eq!(laptop.post_with_key("+44 7700 900147", &other).await.status, status);
    }
    // A one-way conversation: the driver only receives. The events of the driver's leg have an address of their own.
    let mut one_way = conversation();
    (one_way["direction"], one_way["participants"][0]["number"]) = (json!("a_to_b"), json!(format!("+{STRANGER}")));
    let one_way = laptop.post("/conversations", &one_way).await.body;
    call(&laptop, json!(STRANGER), &one_way["participants"][0]["dials"], Some(DRIVER)).await;
    call(&laptop, json!(DRIVER), &one_way["participants"][0]["masked_by"], None).await;
    // Four other phones: one of them calls a side of three, of which the last one answers.
    let [caller, first, second, third] = [192, 193, 194, 195].map(|nth| format!("447700900{nth}"));
    let phone = |number: &str| json!({"number": format!("+{number}"), "name": "Anna"});
    let mut several = json!({"participants": [phone(&caller), phone(&first)]});
    several["participants"][1]["phones"] = json!([phone(&second), phone(&third)]);
    let several = laptop.post("/conversations", &several).await;
    assert_eq!(several.status, 201, "{several:?}");
    let dialled = &several.body["participants"][0]["dials"];
    let callees = json!({first: "busy", second: "unanswered"});
    let told = laptop.call(json!({"from": caller, "to": dialled, "callees": callees})).await;
    assert_eq!(told["callees"].as_array().unwrap().len(), 3, "{told}");
    for id in [one_way["id"].as_str().unwrap(), DRIVER] {
        let event = json!({"from": DRIVER, "to": STRANGER, "direction": "outbound", "status": "busy", "uuid": DRIVER});
        laptop.signed_post(&format!("/webhooks/event/{id}"), &event.to_string()).await;
    }
    laptop.run_schedule().await;
    assert_eq!(laptop.send(Method::DELETE, &path, "").await.status, 200);
    call(&laptop, json!(RIDER), &dials[0], None).await;
    assert_eq!(laptop.send(Method::DELETE, &format!("{path}?erase=true"), "").await.status, 204);
    call(&laptop, json!(RIDER), &dials[0], None).await;
    laptop.run_schedule().await;
    // The conversations of a phone, page by page, and its erasure.
    let number = "number=%2B44%207700%20900369&limit=1";
    let listed = laptop.get(&format!("/conversations?{number}")).await.body;
    assert_eq!(listed["conversations"].as_array().unwrap().len(), 1);
    let next = listed["next"].as_str().unwrap();
    REAL.assert_no_leak("a cursor", next);
    assert_eq!(laptop.get(&format!("/conversations?{number}&cursor={next}")).await.status, 200);
    // A phone where it does not belong.
    for query in ["reference=%2B44%207700%20900369", "masked_by=%2B447700900369&state=active"] {
        let listed = laptop.get(&format!("/conversations?{query}")).await;
        assert_eq!((listed.status, &listed.body["conversations"]), (200, &json!([])), "{query}");
    }
    let asked = format!("/decisions?from=%2B447700900369&to={}", dials[0].as_str().unwrap());
    let decision = laptop.get(&asked).await.body;
    REAL.assert_no_leak("the words of a decision", &format!("{}{}", decision["rule"], decision["hears"]));
    let erasure = laptop.post("/erasures", &json!({"number": "07700 900369", "country": "GB"})).await;
    REAL.assert_no_leak("an erasure by number", &erasure.body.to_string());
    assert_eq!((erasure.status, erasure.body["state"].as_str()), (202, Some("done")));
    let shown = laptop.get(&format!("/erasures/{}", erasure.body["id"].as_str().unwrap())).await;
    assert_eq!(shown.body, erasure.body);
    assert_eq!(laptop.get(&format!("/conversations?{number}")).await.body["conversations"], json!([]));
    laptop.stack.run_erasure_schedule().await.unwrap();
    let dialled = dials[0].as_str().unwrap();
    assert_eq!(laptop.send(Method::DELETE, &format!("/numbers/{dialled}"), "").await.status, 200);
    assert_nothing_leaked(&laptop).await;
}

/// Placed calls, words into them, their end, and the steps in between.
#[tokio::test]
async fn controlled_calls_leak_no_number() {
    let laptop = builder().numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    let script = json!({"callees": {RIDER: {"does": "answers", "presses": ["1"]}}, "lives": true});
    assert_eq!(laptop.vonage(Method::PUT, "/simulator/created-calls", script).await.status, 204);
    let order = laptop.request(Method::POST, &format!("{path}/calls")).header("Idempotency-Key", RIDER);
    let placed = laptop.answer(order.body(r#"{"from": "a"}"#)).await;
    let call = placed.body["conversation_uuid"].as_str().unwrap();
    let told = laptop.simulator(&format!("calls/{call}")).await;
    REAL.assert_no_leak("the NCCOs", &told["nccos"].to_string().replace(DRIVER, "the callee"));
    laptop.advance(3);
    let calls = format!("{path}/calls/{call}");
    let refused = laptop.post(&format!("{calls}/talk"), &json!({"text": format!("Call +{DRIVER}.")})).await;
    REAL.assert_no_leak("a refusal", &refused.body.to_string());
    assert_eq!(laptop.post(&format!("{calls}/talk"), &json!({"text": "Gate 12."})).await.status, 200);
    for step in ["placed-a", "join-a", "join-b"] {
        let body =
            json!({"from": DRIVER, "to": RIDER, "uuid": DRIVER, "conversation_uuid": RIDER, "dtmf": {"digits": "2"}});
        let answer = laptop
            .signed_post(&format!("/webhooks/event{}/{step}", &path["/conversations".len()..]), &body.to_string())
            .await;
        REAL.assert_no_leak("the answer of a step", &answer.body.to_string());
    }
    assert_eq!(laptop.delete(&format!("{path}/calls/{RIDER}")).await.status, 404);
    assert_eq!(laptop.delete(&calls).await.status, 200);
    assert_eq!(laptop.delete(&format!("{path}?hang_up=true")).await.status, 200);
    laptop.stack.background_runs_finished().await;
    assert_nothing_leaked(&laptop).await;
}

/// Every NCCO, text message and step of calls with guard, and of calls that nobody takes.
#[tokio::test]
async fn guarded_and_missed_calls_leak_no_number() {
    let laptop = builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["guard"] = json!("press_1");
    order["missed_calls"] = json!(["text", "call_back", "voicemail"]);
    let created = laptop.post("/conversations", &order).await.body;
    let [rider, driver] = [0, 1].map(|side| created["participants"][side]["dials"].clone());
    for callee in [
        json!("busy"),
        json!("voicemail"),
        json!({"does": "screens", "owner": "accepts", "presses": ["1"]}),
        json!({"does": "declines", "presses": ["7"]}),
    ] {
        let call = laptop.call(json!({"from": RIDER, "to": rider, "callee": callee, "presses": ["1"]})).await;
        let (ncco, heard) =
            (call["ncco"].to_string(), format!("{}{}", call["phones"]["caller"]["heard"], call["callees"][0]["heard"]));
        // The one real number in an NCCO is that of the phone to connect.
        REAL.assert_no_leak("an NCCO", &ncco.replace(DRIVER, "the callee"));
        REAL.assert_no_leak("what people hear", &heard);
        assert_eq!(call["callees"][0]["display"], driver, "{call}");
    }
    laptop.call(json!({"from": RIDER, "to": rider, "callee": "busy", "presses": ["2"], "message_seconds": 9})).await;
    laptop.stack.background_runs_finished().await;
    let path = format!("/conversations/{}/recordings", created["id"].as_str().unwrap());
    let recordings = laptop.get(&path).await.body;
    assert_eq!(recordings["recordings"][0]["state"], "kept", "{recordings}");
    REAL.assert_no_leak("recordings", &format!("{recordings}{:?}", laptop.stack.bucket.keys()));
    for (phone, texts) in [(DRIVER, 4), (RIDER, 1)] {
        let received = laptop.texts(phone).await;
        assert_eq!(received.len(), texts, "{received:?}");
        received.iter().for_each(|message| REAL.assert_no_leak("a text message", &message["text"].to_string()));
    }
    for step in ["guard-b", "after-b", "menu-b", "menu-a", "voicemail-b", DRIVER] {
        let path = format!("/webhooks/event/{}/{step}", created["id"].as_str().unwrap());
        let body =
            json!({"from": DRIVER, "to": RIDER, "uuid": DRIVER, "conversation_uuid": RIDER, "dtmf": {"digits": "1"}});
        let answer = laptop.signed_post(&path, &body.to_string()).await;
        REAL.assert_no_leak("the answer of a step", &answer.body.to_string());
    }
    assert_nothing_leaked(&laptop).await;
}

/// The safety key in a call, and the block that it makes.
#[tokio::test]
async fn safety_key_leaks_no_number() {
    let laptop = builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["safety_key"] = json!(true);
    let created = laptop.post("/conversations", &order).await.body;
    for (from, side, other) in [(RIDER, 0, DRIVER), (DRIVER, 1, RIDER)] {
        let to = &created["participants"][side]["dials"];
        let call = laptop.call(json!({"from": from, "to": to, "presses_during_call": ["*9"]})).await;
        REAL.assert_no_leak("an NCCO", &call["nccos"].to_string().replace(other, "the callee"));
        REAL.assert_no_leak("what the caller hears", &call["phones"]["caller"]["heard"].to_string());
    }
    let path = format!("/webhooks/event/{}/safety-b", created["id"].as_str().unwrap());
    let body =
        json!({"from": DRIVER, "to": RIDER, "uuid": DRIVER, "conversation_uuid": RIDER, "dtmf": {"digits": "*9"}});
    REAL.assert_no_leak("the answer", &laptop.signed_post(&path, &body.to_string()).await.body.to_string());
    laptop.stack.background_runs_finished().await;
    assert_nothing_leaked(&laptop).await;
}

/// Lost property after the end, and its text message.
#[tokio::test]
async fn lost_property_leaks_no_number() {
    let laptop = builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["lost_property"] = json!(true);
    let created = laptop.post("/conversations", &order).await.body;
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    assert_eq!(laptop.send(Method::DELETE, &path, "").await.status, 200);
    for (from, side, other) in [(RIDER, 0, DRIVER), (DRIVER, 1, RIDER)] {
        let to = &created["participants"][side]["dials"];
        let call = laptop.call(json!({"from": from, "to": to, "presses": ["1"]})).await;
        REAL.assert_no_leak("an NCCO", &call["nccos"].to_string().replace(other, "the callee"));
        REAL.assert_no_leak("what the caller hears", &call["phones"]["caller"]["heard"].to_string());
    }
    assert_nothing_leaked(&laptop).await;
}

/// Calls in which a PIN is typed, right and wrong: it is in the conversation and in what was asked for, and nowhere else.
#[tokio::test]
async fn pin_is_in_no_log_and_in_no_other_item() {
    let laptop = builder().env(&[("PINS", "on")]).numbers("GB", 2).start().await;
    let mut order = conversation();
    order["pin"] = json!(true);
    let created = laptop.post("/conversations", &order).await.body;
    let [pin, other] = [0, 1].map(|side| created["participants"][side]["pin"].as_str().unwrap().to_owned());
    let dials = &created["participants"][0]["dials"];
    for from in [json!("anonymous"), json!(STRANGER)] {
        let call = laptop.call(json!({"from": from, "to": dials, "presses": [other, pin]})).await;
        assert_eq!(call["phones"]["callee"]["number"], DRIVER, "{call}");
        REAL.assert_no_leak("what the caller hears", &call["phones"]["caller"]["heard"].to_string());
    }
    for item in laptop.items().await {
        assert!(item["sk"]["S"] == "CONVERSATION" || !item.to_string().contains(&pin), "{item}");
    }
    // Times have six digits behind the point.
    let log = log();
    let is_alone = |at: usize| {
        let around = [log[..at].chars().next_back(), log[at + pin.len()..].chars().next()];
        around.iter().flatten().all(|c| !c.is_ascii_alphanumeric() && *c != '.')
    };
    assert!(!log.match_indices(&pin).any(|(at, _)| is_alone(at)), "the log has a PIN");
    assert_nothing_leaked(&laptop).await;
}

/// The questions to a backend, and answers of it that name numbers.
#[tokio::test]
async fn decisions_of_the_backend_leak_no_number() {
    let backend = DecisionBackend::start(Reply::Never).await.unwrap();
    let settings = [("DECISIONS", "all"), ("DECISION_TIME_LIMIT_MS", "200"), ("SUPPORT_PHONE", "+447700900471")];
    let laptop = builder().env(&backend.variables()).env(&settings).numbers("GB", 3).start().await;
    let mut order = conversation();
    order["decision"] = json!({"url": format!("{}?tenant=7", backend.url), "on_failure": "refuse"});
    order["participants"][1]["phones"] = json!([{"number": format!("+{STRANGER}"), "name": "Anna"}]);
    let created = laptop.post("/conversations", &order).await.body;
    let dialled = &created["participants"][0]["dials"];
    let named = json!({"action": "connect", "number": DRIVER});
    for (reply, reaches) in [
        (Reply::Never, None),
        (Reply::Raw(200, format!("call {DRIVER}")), None),
        (Reply::Json(named), None),
        (Reply::Json(json!({"action": "refuse", "say": {"text": format!("Call +{DRIVER}.")}})), None),
        (Reply::Json(json!({"action": "refuse", "say": {"sentence": DRIVER}})), None),
        (Reply::Redirect(format!("http://127.0.0.1/{DRIVER}")), None),
        (Reply::Json(json!({"action": "support"})), Some(NEW_PHONE)),
        (Reply::Json(json!({"action": "connect", "phone": 1})), Some(STRANGER)),
        (Reply::Json(json!({"action": "connect"})), Some(DRIVER)),
    ] {
        backend.replies(reply);
        let told = laptop.call(json!({"from": RIDER, "to": dialled})).await;
        assert_eq!(told["phones"]["callee"]["number"].as_str(), reaches, "{told}");
        let nccos = told["nccos"].to_string();
        REAL.assert_no_leak("the NCCOs", &reaches.map_or(nccos.clone(), |number| nccos.replace(number, "the callee")));
    }
    for action in ["support", "refuse", "continue"] {
        backend.replies(Reply::Json(json!({"action": action})));
        let told = laptop.call(json!({"from": testkit::RIDER, "to": dialled})).await;
        REAL.assert_no_leak("the NCCOs", &told["nccos"].to_string().replace(NEW_PHONE, "the support"));
    }
    for question in backend.received() {
        REAL.assert_no_leak("a question to the backend", &question.body);
        REAL.assert_no_leak("its headers", &format!("{:?}", question.headers));
    }
    let refused = json!({"decision": {"url": format!("https://backend.example/{DRIVER}"), "on_failure": "connect"}});
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    assert_eq!(laptop.patch(&path, &refused).await.status, 422);
    assert_nothing_leaked(&laptop).await;
}

/// A standing mask with a team and a block list: it is set, called, refused and erased.
#[tokio::test]
async fn standing_mask_leaks_no_number() {
    let laptop = builder().numbers("GB", 2).start().await;
    let pool = laptop.get("/numbers").await.body;
    let number = pool["countries"][0]["numbers"][0]["number"].as_str().unwrap();
    let path = format!("/numbers/{number}");
    let phone = |digits: &str| json!({"number": format!("+{digits}")});
    let mut standing = json!({"phones": [phone(RIDER), phone(DRIVER)], "blocked": [format!("+{NEW_PHONE}")]});
    assert_eq!(laptop.patch(&path, &json!({"standing": standing})).await.status, 200);
    laptop.advance(61);
    laptop.run_schedule().await;
    for (from, callees) in [(STRANGER, json!({RIDER: "busy"})), (STRANGER, json!({RIDER: "busy", DRIVER: "busy"}))] {
        let call = laptop.call(json!({"from": from, "to": number, "callees": callees})).await;
        let ncco = call["nccos"].to_string().replace(RIDER, "the first").replace(DRIVER, "the second");
        REAL.assert_no_leak("an NCCO", &ncco);
        REAL.assert_no_leak("what the caller hears", &call["phones"]["caller"]["heard"].to_string());
        assert_eq!(call["callees"][0]["display"], number, "{call}");
    }
    for from in [NEW_PHONE, RIDER, "anonymous"] {
        laptop.call(json!({"from": from, "to": number})).await;
    }
    standing["phones"][1]["number"] = json!(format!("{DRIVER}x"));
    let refused = laptop.patch(&path, &json!({"standing": standing})).await;
    REAL.assert_no_leak("a refusal", &refused.body.to_string());
    let event = json!({"from": DRIVER, "to": STRANGER, "direction": "outbound", "status": "busy", "uuid": DRIVER,
                       "conversation_uuid": RIDER});
    for attempt in ["1.0.1800000000", DRIVER] {
        let answer = laptop.signed_post(&format!("/webhooks/event/standing/{attempt}"), &event.to_string()).await;
        REAL.assert_no_leak("the answer of a step", &answer.body.to_string());
    }
    let asked = format!("/decisions?from=%2B{NEW_PHONE}&to={number}");
    let decision = laptop.get(&asked).await.body;
    REAL.assert_no_leak("a decision", &decision.to_string());
    assert_eq!(laptop.post("/erasures", &json!({"number": format!("+{DRIVER}")})).await.body["state"], "done");
    assert_eq!(laptop.delete(&path).await.status, 409);
    assert_nothing_leaked(&laptop).await;
}
