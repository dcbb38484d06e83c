//! Standing masks: numbers that anybody may dial, and that lead to one participant or team.

use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, string, text};

const FIRST: &str = "447700900801";
const SECOND: &str = "447700900802";
const STRANGER: &str = "447700900555";

fn of(phones: &[&str]) -> Value {
    let phone = |digits: &&str| json!({"number": format!("+{digits}")});
    json!({"phones": phones.iter().map(phone).collect::<Vec<_>>()})
}

/// Returns the first of the ready numbers.
async fn ready_number(laptop: &Laptop) -> String {
    let pool = laptop.get("/numbers").await.body;
    let numbers = pool["countries"][0]["numbers"].as_array().unwrap().clone();
    string(&numbers.iter().find(|number| number["state"] == "ready").unwrap()["number"])
}

async fn set(laptop: &Laptop, number: &str, standing: &Value) -> Value {
    let changed = laptop.patch(&format!("/numbers/{number}"), &json!({"standing": standing})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    changed.body
}

async fn shown(laptop: &Laptop, number: &str) -> Value {
    laptop.get(&format!("/numbers/{number}")).await.body
}

/// Sets a standing mask, and has the schedule open it.
async fn opened(laptop: &Laptop, standing: &Value) -> String {
    let number = ready_number(laptop).await;
    set(laptop, &number, standing).await;
    laptop.advance(61);
    assert_eq!(laptop.run_schedule().await["standing"], json!([number]));
    assert_eq!(shown(laptop, &number).await["standing"]["open"], true);
    number
}

/// Returns the actions of a call, after a comparison with what is said about such a call.
async fn answer(laptop: &Laptop, from: &str, to: &str) -> Value {
    let body = json!({"from": from, "to": to, "conversation_uuid": "CON-1"}).to_string();
    let ncco = laptop.signed_post("/webhooks/answer", &body).await.body;
    let decision = laptop.get(&format!("/decisions?from={from}&to={to}")).await.body;
    let said: Vec<_> = ncco.as_array().unwrap().iter().filter_map(|action| action["text"].as_str()).collect();
    assert_eq!(decision["hears"], said.join(" "), "{decision}");
    assert_eq!(decision["connects"]["number"], ncco[1]["endpoint"][0]["number"], "{decision}");
    ncco
}

/// Returns the phone that a call reaches.
async fn reached(laptop: &Laptop, from: &str, to: &str) -> Value {
    answer(laptop, from, to).await[1]["endpoint"][0]["number"].clone()
}

#[tokio::test]
async fn anybody_reaches_the_participant_and_no_real_number_is_shown() {
    let laptop = Laptop::builder().env(&[("PINS", "on")]).numbers("GB", 3).start().await;
    let number = opened(&laptop, &of(&[FIRST])).await;
    let told = laptop.call(json!({"from": STRANGER, "to": number, "talk_seconds": 5})).await;
    assert_eq!(told["callees"][0]["number"], FIRST, "{told}");
    assert_eq!(told["callees"][0]["display"], json!(number), "the mask itself");
    assert!(told["events"].as_array().unwrap().iter().all(|event| event["http_status"] == 204), "{told}");
    assert_eq!(reached(&laptop, "anonymous", &number).await, FIRST, "a hidden caller is not asked for a PIN");
    let own = answer(&laptop, FIRST, &number).await;
    assert!(own[1]["endpoint"].is_null(), "not itself: {own}");
    let decision = laptop.get(&format!("/decisions?from={STRANGER}&to={number}")).await.body;
    let item = json!({"kind": "standing_mask", "number": number, "phones": 1, "blocked": 0});
    assert_eq!((&decision["outcome"], &decision["items"]), (&json!("standing mask"), &json!([item])));
    let table = laptop.table().await;
    assert!(table.legs.is_empty(), "calls to standing masks are in no record");
}

#[tokio::test]
async fn team_is_tried_in_order_and_caller_hears_the_end() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let number = opened(&laptop, &of(&[FIRST, SECOND])).await;
    let call = |callees: Value| json!({"from": STRANGER, "to": number, "callees": callees});
    let told = laptop.call(call(json!({FIRST: "busy"}))).await;
    let rang: Vec<_> = told["callees"].as_array().unwrap().iter().map(|phone| text(phone, "/number")).collect();
    assert_eq!(rang, [FIRST, SECOND], "{told}");
    assert_eq!(told["phones"]["caller"]["connected"], true, "{told}");
    let told = laptop.call(call(json!({FIRST: "busy", SECOND: "unanswered"}))).await;
    assert!(told["phones"]["caller"]["heard"].to_string().contains("Nobody answers"), "{told}");
    // The same event again leads to the same phone, and one of an old list to nobody.
    let event = |to: &str| {
        json!({"from": number, "to": to, "status": "busy", "uuid": "u-1", "conversation_uuid": "CON-1",
               "direction": "outbound", "timestamp": format!("{:.3}", laptop.clock.now())})
    };
    let since = laptop.clock.now().as_second();
    let path = format!("/webhooks/event/standing/1.0.{since}");
    for _ in 0..2 {
        let next = laptop.signed_post(&path, &event(FIRST).to_string()).await;
        assert_eq!(next.body[0]["endpoint"][0]["number"], SECOND, "{next:?}");
    }
    set(&laptop, &number, &of(&[FIRST])).await;
    let next = laptop.signed_post(&path, &event(FIRST).to_string()).await.body;
    assert!(next.as_array().unwrap().iter().all(|action| action["action"] == "talk"), "{next}");
    let bad = laptop.signed_post("/webhooks/event/standing/x", "{}").await;
    assert_eq!(bad.status, 404);
}

#[tokio::test]
async fn blocked_caller_hears_neutral_words() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let mut standing = of(&[FIRST]);
    (standing["blocked"], standing["block_hidden"]) = (json!([format!("+{STRANGER}")]), json!(true));
    standing["language"] = json!("de");
    let number = opened(&laptop, &standing).await;
    for from in [STRANGER, "anonymous"] {
        let ncco = answer(&laptop, from, &number).await;
        assert_eq!(ncco[0]["text"], "Sie werden verbunden.", "{ncco}");
        assert!(ncco.as_array().unwrap().len() == 2 && ncco[1]["action"] == "talk", "{ncco}");
        let decision = laptop.get(&format!("/decisions?from={from}&to={number}")).await.body;
        assert_eq!(decision["outcome"], "blocked");
    }
    assert_eq!(reached(&laptop, "447700900556", &number).await, FIRST);
    standing["blocked"] = json!([]);
    assert_eq!(set(&laptop, &number, &standing).await["standing"]["open"], true, "a change needs no new scan");
    assert_eq!(reached(&laptop, STRANGER, &number).await, FIRST);
}

#[tokio::test]
async fn number_opens_only_when_its_conversations_are_over() {
    let laptop = Laptop::builder().env(&[("QUARANTINE_SECONDS", "7200")]).numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let dials = string(&created["participants"][0]["dials"]);
    let changed = set(&laptop, &dials, &of(&[FIRST])).await;
    assert_eq!((&changed["state"], &changed["standing"]["open"]), (&json!("setting_aside"), &json!(false)));
    let sizes = |pool: &Value| {
        let country = &pool["countries"][0];
        ["ready", "setting_aside", "standing"].map(|name| country[name].as_u64().unwrap())
    };
    assert_eq!(sizes(&laptop.get("/numbers").await.body), [1, 1, 0]);
    laptop.advance(61);
    laptop.run_schedule().await;
    assert_eq!(shown(&laptop, &dials).await["state"], "setting_aside");
    assert_eq!(reached(&laptop, RIDER, &dials).await, DRIVER, "the conversation goes on");
    assert_eq!(reached(&laptop, STRANGER, &dials).await, json!(null), "nobody else reaches anybody yet");
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    laptop.advance(3600);
    laptop.run_schedule().await;
    assert_eq!(reached(&laptop, RIDER, &dials).await, json!(null), "a late caller is not led to a stranger");
    laptop.advance(3601);
    laptop.run_schedule().await;
    assert_eq!(reached(&laptop, RIDER, &dials).await, FIRST);
    let pool = laptop.get("/numbers?state=standing").await.body;
    assert_eq!((sizes(&pool), &pool["countries"][0]["numbers"][0]["number"]), ([1, 0, 1], &json!(dials)));
    for status in [201, 409] {
        assert_eq!(laptop.post("/conversations", &testkit::conversation()).await.status, status, "one number is left");
    }
    // Given back, it serves conversations again, and strangers reach nobody.
    let changed = laptop.patch(&format!("/numbers/{dials}"), &json!({"standing": null})).await.body;
    assert_eq!((&changed["state"], changed.get("standing")), (&json!("ready"), None));
    assert_eq!(reached(&laptop, STRANGER, &dials).await, json!(null));
    assert_eq!(laptop.post("/conversations", &testkit::conversation()).await.status, 201);
    laptop.table().await;
}

#[tokio::test]
async fn standing_mask_survives_the_loss_of_its_number() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let number = opened(&laptop, &of(&[FIRST])).await;
    let form = [("country", "GB"), ("msisdn", &number)];
    assert_eq!(laptop.vonage_form("/number/cancel", &form).await.status, 200);
    laptop.run_schedule().await;
    assert_eq!(shown(&laptop, &number).await["state"], "lost");
    laptop.table().await;
    let refused = laptop.delete(&format!("/numbers/{number}")).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:number-set-aside"));
    laptop.buy_by_hand("GB", &number).await;
    laptop.run_schedule().await;
    laptop.advance(61);
    laptop.run_schedule().await;
    assert_eq!(shown(&laptop, &number).await["state"], "standing");
    assert_eq!(reached(&laptop, STRANGER, &number).await, FIRST);
    assert_eq!(laptop.patch(&format!("/numbers/{number}"), &json!({"standing": null})).await.status, 200);
    assert_eq!(laptop.delete(&format!("/numbers/{number}")).await.body["state"], "draining");
    laptop.table().await;
}

#[tokio::test]
async fn erasure_by_number_finds_phones_of_standing_masks() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let mut standing = of(&[FIRST, SECOND]);
    standing["blocked"] = json!([format!("+{STRANGER}")]);
    let number = opened(&laptop, &standing).await;
    for phone in [FIRST, STRANGER, SECOND] {
        laptop.advance(1);
        let erased = laptop.post("/erasures", &json!({"number": format!("+{phone}")})).await;
        assert_eq!((erased.status, &erased.body["state"]), (202, &json!("done")), "{erased:?}");
        laptop.table().await;
        let left = laptop.items().await.iter().any(|item| item.to_string().contains(phone));
        assert!(!left, "{phone} is in the table");
        let expected = if phone == SECOND { json!(null) } else { json!(SECOND) };
        assert_eq!(reached(&laptop, "447700900556", &number).await, expected);
    }
    let shown = shown(&laptop, &number).await;
    assert_eq!(
        (&shown["state"], &shown["standing"]["phones"]),
        (&json!("standing"), &json!([])),
        "it waits for others"
    );
}

#[tokio::test]
async fn standing_mask_that_would_fail_in_a_call_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let number = ready_number(&laptop).await;
    let path = format!("/numbers/{number}");
    let eleven: Vec<_> = (0..11).map(|index| format!("4477009008{index:02}")).collect();
    let eleven: Vec<_> = eleven.iter().map(String::as_str).collect();
    let many: Vec<_> = (0..101).map(|index| format!("+447700901{index:03}")).collect();
    for (standing, field) in [
        (of(&[]), "standing.phones"),
        (of(&eleven), "standing.phones"),
        (of(&[FIRST, FIRST]), "standing.phones[1].number"),
        (of(&[&number]), "standing.phones[0].number"),
        (json!({"phones": [{"number": "07700 900801"}]}), "standing.phones[0].number"),
        (json!({"phones": [{"number": format!("+{FIRST}")}], "blocked": many[..]}), "standing.blocked"),
        (json!({"phones": [{"number": format!("+{FIRST}")}], "blocked": many[..95]}), "standing"),
        (json!({"phones": [{"number": format!("+{FIRST}")}], "blocked": ["x"]}), "standing.blocked[0]"),
    ] {
        let refused = laptop.patch(&path, &json!({"standing": standing})).await;
        assert_eq!((refused.status, &refused.body["field"]), (422, &json!(field)), "{refused:?}");
    }
    assert_eq!(shown(&laptop, &number).await["state"], "ready");
    laptop.delete(&path).await;
    let refused = laptop.patch(&path, &json!({"standing": of(&[FIRST])})).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:number-not-ready"));
}
