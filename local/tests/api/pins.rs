//! PINs of callers from other phones.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, LeakSearch, RIDER, conversation, string, text};

use crate::healing::read;

/// A phone of no conversation.
const OTHER: &str = "447700900555";
const ASKED: &str = "Please enter your PIN of six digits.";
const AGAIN: &str = "That did not work.";

async fn laptop(more: &[(&str, &str)]) -> Laptop {
    Laptop::builder().env(&[&[("PINS", "on")], more].concat()).numbers("GB", 3).start().await
}

/// Creates a conversation of the rider and the driver with PINs and these fields.
async fn create(laptop: &Laptop, fields: Value) -> Value {
    create_of(laptop, [RIDER, DRIVER], fields).await
}

async fn create_of(laptop: &Laptop, phones: [&str; 2], fields: Value) -> Value {
    let mut order = conversation();
    (order["notify"], order["pin"]) = (json!(false), json!(true));
    for (side, phone) in phones.into_iter().enumerate() {
        order["participants"][side]["number"] = json!(format!("+{phone}"));
    }
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn pin(conversation: &Value, side: usize) -> &str {
    text(conversation, &format!("/participants/{side}/pin"))
}

fn dials(conversation: &Value, side: usize) -> &str {
    text(conversation, &format!("/participants/{side}/dials"))
}

/// Calls, types these PINs, and returns what the simulator tells.
async fn call(laptop: &Laptop, from: &str, to: &str, presses: &[&str]) -> Value {
    laptop.faultless_call(json!({"from": from, "to": to, "presses": presses})).await
}

fn heard(told: &Value) -> String {
    told["phones"]["caller"]["heard"].to_string()
}

/// Returns a PIN of nobody here.
fn wrong(conversations: &[&Value]) -> &'static str {
    let of = |side: usize| conversations.iter().map(move |one| &one["participants"][side]["pin"]);
    let some = ["000000", "000001", "000002", "000003", "000004"];
    some.into_iter().find(|free| of(0).chain(of(1)).all(|pin| pin != free)).unwrap()
}

#[tokio::test]
async fn pin_connects_a_caller_from_any_phone() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    assert_ne!(pin(&created, 0), pin(&created, 1));
    assert_eq!(pin(&read(&laptop, &created).await, 0), pin(&created, 0));
    for (nth, from) in ["anonymous", OTHER, "alice"].into_iter().enumerate() {
        let told = call(&laptop, from, dials(&created, 0), &[pin(&created, 0)]).await;
        let callee = &told["callees"][0];
        assert_eq!((&callee["number"], &callee["display"]), (&json!(DRIVER), &created["participants"][0]["masked_by"]));
        assert!(heard(&told).contains(ASKED), "{told}");
        let calls = read(&laptop, &created).await["calls"].clone();
        assert_eq!(calls.as_array().unwrap().len(), nth + 1, "{calls}");
        let found = |call: &&Value| call["conversation_uuid"] == told["conversation_uuid"];
        let record = calls.as_array().unwrap().iter().find(found).unwrap();
        assert_eq!((&record["caller"], &record["callee"]), (&json!(RIDER), &json!(DRIVER)));
        let legs = record["legs"].as_array().unwrap();
        let [inbound, outbound] = &legs[..] else { panic!("{record}") };
        assert!(inbound["pin_at"].is_string() && inbound["number"].is_null(), "{inbound}");
        assert_eq!((&inbound["status"], &outbound["number"]), (&json!("completed"), &json!(DRIVER)));
    }
}

#[tokio::test]
async fn wrong_pin_and_unknown_caller_hear_the_same() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    let over = create_of(&laptop, ["447700900011", "447700900012"], json!({})).await;
    laptop.delete(&format!("/conversations/{}", text(&over, "/id"))).await;
    let wrong = wrong(&[&created, &over]);
    let free = laptop
        .owned_numbers()
        .await
        .iter()
        .map(|number| string(&number["msisdn"]))
        .find(|number| (0..2).all(|side| dials(&created, side) != number && dials(&over, side) != number));
    let without = call(&laptop, "447700900556", free.as_deref().unwrap_or(dials(&created, 1)), &[wrong; 3]).await;
    assert_eq!(heard(&without).matches(AGAIN).count(), 2, "{without}");
    for (from, to, typed) in [
        (OTHER, dials(&created, 0), wrong),
        // The PIN of the other side, and one of a conversation that is over.
        ("447700900557", dials(&created, 0), pin(&created, 1)),
        ("447700900558", dials(&over, 0), pin(&over, 0)),
    ] {
        let told = call(&laptop, from, to, &[typed; 3]).await;
        assert_eq!(heard(&told), heard(&without));
        assert!(told["phones"]["callee"].is_null(), "{told}");
    }
    let none = call(&laptop, "447700900559", dials(&created, 0), &["#"]).await;
    assert!(!heard(&none).contains(AGAIN) && none["phones"]["callee"].is_null(), "{none}");
    assert_eq!(read(&laptop, &created).await["calls"], json!([]));
}

#[tokio::test]
async fn caller_may_mistype_twice() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    let wrong = wrong(&[&created]);
    let told = call(&laptop, "anonymous", dials(&created, 1), &[wrong, "12#", pin(&created, 1)]).await;
    assert_eq!(told["phones"]["callee"]["number"], RIDER, "{told}");
}

#[tokio::test]
async fn guesser_is_slowed_down_and_others_are_not() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    let (to, right, wrong) = (dials(&created, 0), pin(&created, 0), wrong(&[&created]));
    call(&laptop, OTHER, to, &[wrong; 3]).await;
    call(&laptop, OTHER, to, &[wrong, wrong]).await;
    assert!(call(&laptop, OTHER, to, &[right]).await["phones"]["callee"].is_null(), "five tries are used up");
    assert_eq!(call(&laptop, "447700900556", to, &[right]).await["phones"]["callee"]["number"], DRIVER);
    for _ in 0..5 {
        call(&laptop, "anonymous", to, &[wrong; 3]).await;
    }
    assert!(call(&laptop, "anonymous", to, &[right]).await["phones"]["callee"].is_null(), "fifteen are used up");
    for _ in 0..3 {
        let told = call(&laptop, "447700900556", to, &[right]).await;
        assert_eq!(told["phones"]["callee"]["number"], DRIVER, "a right one is given back");
    }
    laptop.advance(3 * 3600);
    for from in ["anonymous", OTHER] {
        assert_eq!(call(&laptop, from, to, &[right]).await["phones"]["callee"]["number"], DRIVER, "{from}");
    }
}

#[tokio::test]
async fn second_delivery_of_a_pin_has_the_same_answer() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    let typed = |digits: &str, call: &str| {
        json!({"from": OTHER, "to": dials(&created, 0), "uuid": format!("leg-of-{call}"), "conversation_uuid": call,
               "dtmf": {"digits": digits, "timed_out": false}})
        .to_string()
    };
    let wrong = wrong(&[&created]);
    for (digits, call, action) in [(pin(&created, 0), "CON-1", "connect"), (wrong, "CON-2", "input")] {
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(laptop.signed_post("/webhooks/event/pin/1", &typed(digits, call)).await);
        }
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body), "{answers:?}");
        assert_eq!(answers[0].body[1]["action"], action, "{answers:?}");
    }
    // The six wrong ones were one try, so four are left for this caller.
    for call in 3..7 {
        laptop.signed_post("/webhooks/event/pin/1", &typed(wrong, &format!("CON-{call}"))).await;
    }
    let last = laptop.signed_post("/webhooks/event/pin/1", &typed(pin(&created, 0), "CON-8")).await;
    assert_eq!(last.body[1]["action"], "input", "{last:?}");
    for path in ["/webhooks/event/pin/0", "/webhooks/event/pin/4", "/webhooks/event/pin/x"] {
        assert_eq!(laptop.signed_post(path, &typed("1", "CON-9")).await.status, 404, "{path}");
    }
    assert!(laptop.post("/webhooks/event/pin/1", &json!({})).await.status >= 400, "unsigned");
}

#[tokio::test]
async fn pin_follows_its_conversation() {
    let laptop = laptop(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "60")]).await;
    let created = create(&laptop, json!({"expires_in": 600})).await;
    let (path, to) = (format!("/conversations/{}", text(&created, "/id")), dials(&created, 0));
    assert_eq!(laptop.patch(&path, &json!({"expires_in": 7200})).await.status, 200);
    laptop.advance(900);
    assert_eq!(call(&laptop, "anonymous", to, &[pin(&created, 0)]).await["phones"]["callee"]["number"], DRIVER);
    // Who had the phone before knows the PIN.
    let change = json!({"participants": [{"number": "+447700900077"}, null]});
    let moved = laptop.patch(&path, &change).await.body;
    assert_ne!(pin(&moved, 0), pin(&created, 0));
    assert_eq!(pin(&moved, 1), pin(&created, 1));
    assert!(call(&laptop, "anonymous", to, &[pin(&created, 0)]).await["phones"]["callee"].is_null());
    assert_eq!(call(&laptop, "anonymous", to, &[pin(&moved, 0)]).await["phones"]["callee"]["number"], DRIVER);
    assert_eq!(laptop.patch(&path, &json!({"blocked": "a"})).await.status, 200);
    let blocked = call(&laptop, "anonymous", to, &[pin(&moved, 0)]).await;
    assert!(heard(&blocked).contains("not available") && blocked["phones"]["callee"].is_null(), "{blocked}");
    laptop.patch(&path, &json!({"blocked": null})).await;
    laptop.delete(&path).await;
    assert!(call(&laptop, "anonymous", to, &[pin(&moved, 0)]).await["phones"]["callee"].is_null());
}

#[tokio::test]
async fn pin_changes_when_a_further_phone_leaves() {
    let laptop = laptop(&[]).await;
    let mut people = conversation()["participants"].clone();
    people[1]["phones"] = json!([{"number": "+447700900012"}, {"number": "+447700900013"}]);
    let created = create(&laptop, json!({"participants": people})).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    let stays = json!({"participants": [null, {"phones": [{"number": "+447700900013"}]}]});
    let changed = laptop.patch(&path, &stays).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(pin(&read(&laptop, &created).await, 1), pin(&changed.body, 1), "the answer is what is stored");
    assert_eq!(pin(&changed.body, 0), pin(&created, 0));
    let old = call(&laptop, OTHER, dials(&created, 1), &[pin(&created, 1)]).await;
    assert!(old["phones"]["callee"].is_null() && heard(&old).contains(AGAIN), "who has left knows it: {old}");
    let new = call(&laptop, OTHER, dials(&created, 1), &[pin(&changed.body, 1)]).await;
    assert_eq!(new["callees"][0]["number"], RIDER, "{new}");
}

#[tokio::test]
async fn pin_goes_along_to_another_number() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    let taken = [("country", "GB"), ("msisdn", dials(&created, 0))];
    assert_eq!(laptop.vonage_form("/number/cancel", &taken).await.status, 200);
    laptop.run_schedule().await;
    let healed = read(&laptop, &created).await;
    assert_ne!(dials(&healed, 0), dials(&created, 0));
    let told = call(&laptop, "anonymous", dials(&healed, 0), &[pin(&created, 0)]).await;
    assert_eq!(told["phones"]["callee"]["number"], DRIVER, "{told}");
}

#[tokio::test]
async fn limits_and_guard_hold_for_calls_with_pin() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({"guard": "press_1", "missed_calls": ["text"], "max_calls": 2})).await;
    let to = dials(&created, 0);
    for (callee, joined) in [(json!("voicemail"), false), (json!({"does": "answers", "presses": ["1"]}), true)] {
        let placed = json!({"from": "anonymous", "to": to, "callee": callee, "presses": [pin(&created, 0)]});
        let told = laptop.call(placed).await;
        assert_eq!(told["phones"]["caller"]["connected"], joined, "{told}");
    }
    let texts = laptop.texts(DRIVER).await;
    assert!(texts.len() == 1 && text(&texts[0], "/text").starts_with("Missed call: "), "{texts:?}");
    let over = call(&laptop, "anonymous", to, &[pin(&created, 0)]).await;
    assert!(heard(&over).contains("used up its calls"), "{over}");
}

#[tokio::test]
async fn text_names_the_pin_only_if_asked() {
    let laptop = laptop(&[]).await;
    let named = create(&laptop, json!({"notify": true, "pin_in_text": true})).await;
    let texts = laptop.texts(RIDER).await;
    assert!(text(&texts[0], "/text").contains(pin(&named, 0)), "{texts:?}");
    let silent = create_of(&laptop, ["447700900011", "447700900012"], json!({"notify": true})).await;
    let texts = laptop.texts("447700900011").await;
    assert!(texts.len() == 1 && !text(&texts[0], "/text").contains(pin(&silent, 0)), "{texts:?}");
    let one_way = create_of(&laptop, ["447700900021", "447700900022"], json!({"direction": "a_to_b"})).await;
    assert!(one_way["participants"][0]["pin"].is_string() && one_way["participants"][1]["pin"].is_null(), "{one_way}");
    let told = call(&laptop, "anonymous", dials(&one_way, 0), &[pin(&one_way, 0)]).await;
    assert_eq!(told["phones"]["callee"]["number"], "447700900022", "{told}");
    assert_eq!(read(&laptop, &one_way).await["calls"][0]["legs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_is_asked_for_a_pin_by_default() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    assert!(created["participants"][0]["pin"].is_null());
    for from in ["anonymous", OTHER] {
        let told = call(&laptop, from, dials(&created, 0), &["123456"]).await;
        assert!(!heard(&told).contains(ASKED) && told["ncco"].as_array().unwrap().len() == 1, "{told}");
    }
    let mut order = conversation();
    order["pin"] = json!(true);
    let refused = laptop.post("/conversations", &order).await;
    assert_eq!((refused.status, &refused.body["field"]), (422, &json!("pin")), "{refused:?}");
    let body =
        json!({"from": OTHER, "to": dials(&created, 0), "uuid": "u", "conversation_uuid": "CON-1", "dtmf": "123456"});
    let answer = laptop.signed_post("/webhooks/event/pin/1", &body.to_string()).await;
    assert_eq!((answer.status, answer.body.as_array().unwrap().len()), (200, 1), "{answer:?}");
}

#[tokio::test]
async fn stranger_without_pin_reaches_the_support_phone() {
    let laptop = laptop(&[("SUPPORT_PHONE", "+442079460000")]).await;
    let created = create(&laptop, json!({})).await;
    let told = call(&laptop, OTHER, dials(&created, 0), &["#"]).await;
    assert_eq!(told["phones"]["callee"]["number"], "442079460000", "{told}");
    let decision = laptop.get(&format!("/decisions?from={OTHER}&to={}", dials(&created, 0))).await.body;
    assert_eq!((&decision["outcome"], &decision["connects"]), (&json!("PIN asked"), &Value::Null), "{decision}");
    assert!(text(&decision, "/hears").starts_with(ASKED), "{decision}");
}

#[tokio::test]
async fn erased_call_with_pin_is_redacted() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    let told = call(&laptop, OTHER, dials(&created, 0), &[pin(&created, 0)]).await;
    assert_eq!(laptop.delete(&format!("/conversations/{}?erase=true", text(&created, "/id"))).await.status, 204);
    // An event that comes late.
    let event = json!({"from": OTHER, "to": dials(&created, 0), "uuid": told["phones"]["caller"]["uuid"],
                       "conversation_uuid": told["conversation_uuid"], "status": "completed", "direction": "inbound"});
    assert_eq!(laptop.event(&event).await.status, 204);
    let items = laptop.items().await;
    let is_of_pin = |item: &&Value| ["PIN#", "CALL#"].iter().any(|prefix| text(item, "/pk/S").starts_with(prefix));
    let of_pins: Vec<_> = items.iter().filter(is_of_pin).collect();
    assert!(
        of_pins.len() > 3 && of_pins.iter().all(|item| !item.to_string().contains(pin(&created, 0))),
        "{of_pins:?}"
    );
    of_pins.iter().for_each(|item| LeakSearch::new([RIDER, OTHER]).assert_no_leak("an item", &item.to_string()));
    assert!(!items.iter().any(|item| text(item, "/sk/S").starts_with("LEG#")), "no leg is back");
}

#[tokio::test]
async fn right_pin_stays_right_if_the_tries_are_used_up_later() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({})).await;
    let typed = |call: usize, digits: &str| {
        json!({"from": OTHER, "to": dials(&created, 0), "uuid": format!("u{call}"), "dtmf": digits,
               "conversation_uuid": format!("CON-{call}")})
        .to_string()
    };
    let connects = async |call: usize, digits: &str| {
        let answer = laptop.signed_post("/webhooks/event/pin/1", &typed(call, digits)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body[1]["action"] == "connect"
    };
    let right = pin(&created, 0);
    assert!(connects(0, right).await);
    for call in 1..=5 {
        assert!(!connects(call, wrong(&[&created])).await);
    }
    assert!(!connects(6, right).await, "a try too many");
    // Vonage delivers the first webhook again.
    assert!(connects(0, right).await);
    assert!(!connects(6, right).await && !connects(1, wrong(&[&created])).await);
}

#[tokio::test]
async fn phone_that_typed_a_pin_is_remembered_until_the_end() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({"pin_remembers_phones": true, "max_calls": 5})).await;
    let to = dials(&created, 0);
    for from in ["anonymous", OTHER] {
        assert!(heard(&call(&laptop, from, to, &[pin(&created, 0)]).await).contains(ASKED), "{from}");
    }
    let told = call(&laptop, OTHER, to, &[]).await;
    assert!(!heard(&told).contains(ASKED), "{told}");
    let callee = &told["callees"][0];
    assert_eq!((&callee["number"], &callee["display"]), (&json!(DRIVER), &created["participants"][0]["masked_by"]));
    let asked = heard(&call(&laptop, "anonymous", to, &["#"]).await);
    assert!(asked.contains(ASKED), "nothing tells hidden callers apart: {asked}");
    let is = read(&laptop, &created).await;
    let phones = &is["participants"][0]["phones"];
    assert_eq!((&phones[0]["number"], &phones[0]["only_dials"]), (&json!(OTHER), &json!(true)), "{is}");
    assert_eq!((phones.as_array().unwrap().len(), &is["participants"][0]["pin"]), (1, &json!(pin(&created, 0))));
    assert_eq!(is["calls"].as_array().unwrap().len(), 3, "{is}");
    let back = json!({"from": DRIVER, "to": dials(&created, 1), "callees": {DRIVER: "busy", RIDER: "busy"}});
    let rung: Vec<_> =
        laptop.call(back).await["callees"].as_array().unwrap().iter().map(|one| one["number"].clone()).collect();
    assert_eq!(rung, [json!(RIDER)], "a remembered phone is not called");
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    let late = call(&laptop, OTHER, to, &[]).await;
    assert!(!heard(&late).contains(ASKED) && late["phones"]["callee"].is_null(), "{late}");
}

#[tokio::test]
async fn remembered_phone_is_forgotten_with_its_pin() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({"pin_remembers_phones": true})).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    call(&laptop, OTHER, dials(&created, 0), &[pin(&created, 0)]).await;
    let changed = laptop.patch(&path, &json!({"participants": [{"phones": []}, null]})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_ne!(pin(&changed.body, 0), pin(&created, 0), "its owner knows the old one");
    let told = call(&laptop, OTHER, dials(&created, 0), &[pin(&created, 0); 3]).await;
    assert!(told["phones"]["callee"].is_null(), "{told}");
    let told = call(&laptop, "447700900556", dials(&created, 0), &[pin(&changed.body, 0)]).await;
    assert_eq!(told["phones"]["callee"]["number"], DRIVER, "the new one remembers phones too");
    assert!(!heard(&call(&laptop, "447700900556", dials(&created, 0), &[]).await).contains(ASKED));
}

#[tokio::test]
async fn no_more_phones_are_remembered_than_a_side_has() {
    let laptop = laptop(&[]).await;
    let created = create(&laptop, json!({"pin_remembers_phones": true})).await;
    for nth in 0..12 {
        let from = format!("4477009006{nth:02}");
        let told = call(&laptop, &from, dials(&created, 0), &[pin(&created, 0)]).await;
        assert_eq!(told["phones"]["callee"]["number"], DRIVER, "{nth}: {told}");
    }
    let is = read(&laptop, &created).await;
    assert_eq!(is["participants"][0]["phones"].as_array().unwrap().len(), 9, "{is}");
    let other = call(&laptop, DRIVER, dials(&created, 0), &[pin(&created, 0)]).await;
    assert_eq!(other["phones"]["callee"]["number"], DRIVER, "{other}");
    assert!(is["participants"][1]["phones"].as_array().is_none_or(Vec::is_empty), "{is}");
}

#[tokio::test]
async fn phone_that_only_dials_is_never_called() {
    let laptop = laptop(&[]).await;
    let mut order = conversation();
    order["participants"][1]["phones"] = json!([{"number": "+447700900777", "only_dials": true}]);
    let created = laptop.post("/conversations", &order).await.body;
    let back =
        laptop.call(json!({"from": RIDER, "to": dials(&created, 0), "callees": {DRIVER: "busy", RIDER: "busy"}})).await;
    assert_eq!(back["callees"].as_array().unwrap().len(), 1, "{back}");
    let told = laptop.call(json!({"from": "447700900777", "to": dials(&created, 1)})).await;
    assert_eq!(told["callees"][0]["number"], RIDER, "{told}");
    let path = format!("/conversations/{}", text(&created, "/id"));
    let phones = json!([{"number": "+447700900777"}]);
    let changed = laptop.patch(&path, &json!({"participants": [null, {"phones": phones}]})).await;
    assert!(changed.body["participants"][1]["phones"][0]["only_dials"].is_null(), "{changed:?}");
    let back =
        laptop.call(json!({"from": RIDER, "to": dials(&created, 0), "callees": {DRIVER: "busy", RIDER: "busy"}})).await;
    assert_eq!(back["callees"].as_array().unwrap().len(), 2, "it is called from now on: {back}");
}
