//! Sides with several phones, which a call tries one after the other.

use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, conversation, string, text};

use crate::healing::read;

/// The driver's other phones.
const SECOND: &str = "447700900012";
const THIRD: &str = "447700900013";

fn phones(numbers: &[&str]) -> Value {
    numbers.iter().map(|number| json!({"number": format!("+{number}")})).collect()
}

/// Returns the order of a conversation in which the driver has these further phones.
fn order(further: &Value, fields: &Value) -> Value {
    let mut order = conversation();
    order["notify"] = json!(false);
    order["participants"][1]["phones"] = further.clone();
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    order
}

/// Creates a conversation in which the driver has two further phones.
async fn create(laptop: &Laptop, fields: Value) -> Value {
    let answer = laptop.post("/conversations", &order(&phones(&[SECOND, THIRD]), &fields)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// Has the rider call the driver, whose phones behave like `callees`.
async fn ring(laptop: &Laptop, created: &Value, callees: Value) -> Value {
    let call = json!({"from": RIDER, "to": text(created, "/participants/0/dials"), "callees": callees});
    laptop.faultless_call(call).await
}

/// Returns the phones that rang, in order.
fn rang(told: &Value) -> Vec<&str> {
    told["callees"].as_array().unwrap().iter().map(|phone| text(phone, "/number")).collect()
}

fn heard(told: &Value) -> String {
    told["phones"]["caller"]["heard"].to_string()
}

fn is_connected(told: &Value) -> bool {
    told["phones"]["caller"]["connected"] == true
}

/// Returns hours of all day on days that are today, or are not, on the laptop's clock.
fn hours(laptop: &Laptop, today: bool) -> Value {
    let weekday = laptop.clock.now().to_zoned(jiff::tz::TimeZone::UTC).weekday();
    let index = usize::try_from(weekday.to_monday_zero_offset()).unwrap();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    // The day after tomorrow is not today, also if the test runs at midnight.
    let day = if today { vec![days[index], days[(index + 1) % 7]] } else { vec![days[(index + 3) % 7]] };
    json!({"days": day, "from": "00:00", "to": "24:00", "zone": "UTC"})
}

#[tokio::test]
async fn call_tries_phones_in_order_until_one_answers() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    assert_eq!(
        (&created["max_attempts"], created["participants"][1]["phones"][1]["number"].as_str()),
        (&json!(3), Some(THIRD))
    );
    let mask = text(&created, "/participants/1/dials");
    for (callees, expected, joins) in [
        (json!({}), &[DRIVER][..], true),
        (json!({DRIVER: "busy"}), &[DRIVER, SECOND], true),
        (json!({DRIVER: "busy", SECOND: "unanswered"}), &[DRIVER, SECOND, THIRD], true),
        (json!({DRIVER: "unreachable", SECOND: "rejects", THIRD: "timeout"}), &[DRIVER, SECOND, THIRD], false),
    ] {
        let told = ring(&laptop, &created, callees.clone()).await;
        assert_eq!((rang(&told), is_connected(&told)), (expected.to_vec(), joins), "{callees}");
        let shown: Vec<_> = told["callees"].as_array().unwrap().iter().map(|phone| text(phone, "/display")).collect();
        assert!(shown.iter().all(|shown| *shown == mask), "{told}");
        let calls = read(&laptop, &created).await["calls"].clone();
        let id = text(&told, "/conversation_uuid");
        let call = calls.as_array().unwrap().iter().find(|call| call["conversation_uuid"] == id).unwrap();
        let legs: Vec<_> = call["legs"].as_array().unwrap()[1..].iter().collect();
        let numbers: Vec<_> = legs.iter().map(|leg| (text(leg, "/number"), leg["attempt"].as_u64().unwrap())).collect();
        assert_eq!(numbers, expected.iter().copied().zip(1..).collect::<Vec<_>>(), "{call}");
        assert_eq!((text(call, "/callee"), call["connected_at"].is_string()), (*expected.last().unwrap(), joins));
    }
    laptop.table().await;
}

#[tokio::test]
async fn every_phone_of_a_side_dials_the_same_number() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    let (dials, mask) = (text(&created, "/participants/1/dials"), text(&created, "/participants/0/dials"));
    for phone in [DRIVER, SECOND, THIRD] {
        let told = laptop.call(json!({"from": phone, "to": dials})).await;
        assert_eq!((rang(&told), text(&told, "/callees/0/display")), (vec![RIDER], mask));
        let path = format!("/conversations?number=%2B{phone}");
        assert_eq!(laptop.get(&path).await.body["conversations"][0]["id"], created["id"]);
    }
    let calls = read(&laptop, &created).await["calls"].clone();
    let callers: Vec<_> = calls.as_array().unwrap().iter().map(|call| text(call, "/caller")).collect();
    assert!([DRIVER, SECOND, THIRD].iter().all(|phone| callers.contains(phone)), "{callers:?}");

    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await.status, 200);
    for phone in [DRIVER, SECOND, THIRD] {
        let told = laptop.call(json!({"from": phone, "to": dials})).await;
        assert!(rang(&told).is_empty() && heard(&told).contains("has ended"), "{told}");
    }
    laptop.table().await;
}

#[tokio::test]
async fn call_ends_after_most_attempts_and_most_ringing() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_attempts": 2, "missed_calls": ["say"]})).await;
    let told = ring(&laptop, &created, json!({DRIVER: "busy", SECOND: "busy"})).await;
    assert_eq!((rang(&told), heard(&told).contains("line is busy")), (vec![DRIVER, SECOND], true), "{}", heard(&told));
    laptop.delete(&format!("/conversations/{}?erase=true", text(&created, "/id"))).await;

    let created = create(&laptop, json!({"ring_seconds": 20, "max_ring_seconds": 30})).await;
    let told = ring(&laptop, &created, json!({DRIVER: "timeout", SECOND: "timeout"})).await;
    assert_eq!(rang(&told), [DRIVER, SECOND], "30 seconds of ringing are over");
    let nccos = told["nccos"].as_array().unwrap();
    let timeouts: Vec<_> = nccos.iter().flat_map(|told| told["ncco"].as_array().unwrap()).collect();
    let timeouts: Vec<_> = timeouts.iter().filter_map(|action| action["timeout"].as_u64()).collect();
    assert!(timeouts.len() == 2 && timeouts[0] == 20 && (5..=10).contains(&timeouts[1]), "{timeouts:?}");
}

#[tokio::test]
async fn missed_call_is_texted_only_after_the_last_attempt() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"missed_calls": ["text"]})).await;
    let told = ring(&laptop, &created, json!({DRIVER: "busy", SECOND: "busy"})).await;
    assert!(is_connected(&told) && laptop.texts(DRIVER).await.is_empty(), "{told}");
    let told = ring(&laptop, &created, json!({DRIVER: "busy", SECOND: "busy", THIRD: "unanswered"})).await;
    assert!(heard(&told).contains("Nobody answers"), "{}", heard(&told));
    assert_eq!(laptop.texts(DRIVER).await.len(), 1);
    assert!(laptop.texts(SECOND).await.is_empty() && laptop.texts(THIRD).await.is_empty());
}

#[tokio::test]
async fn guard_stands_before_every_attempt() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"guard": "press_1"})).await;
    let callees = json!({DRIVER: "busy", SECOND: {"does": "declines", "presses": ["2"]},
                         THIRD: {"does": "answers", "presses": ["1"]}});
    let told = ring(&laptop, &created, callees).await;
    assert_eq!((rang(&told), is_connected(&told)), (vec![DRIVER, SECOND, THIRD], true), "{told}");
    let joined: Vec<_> = told["callees"].as_array().unwrap().iter().map(|phone| phone["joined"] == true).collect();
    assert_eq!(joined, [false, false, true]);
    let call = &read(&laptop, &created).await["calls"][0];
    let accepted = call["legs"].as_array().unwrap().iter().filter(|leg| leg["accepted_at"].is_string());
    assert_eq!(accepted.map(|leg| text(leg, "/number")).collect::<Vec<_>>(), [THIRD], "{call}");
    assert_eq!(text(call, "/callee"), THIRD);

    let told = ring(&laptop, &created, json!({DRIVER: "voicemail", SECOND: "voicemail", THIRD: "voicemail"})).await;
    assert!(!is_connected(&told) && heard(&told).contains("Nobody answers"), "{told}");
    laptop.table().await;
}

#[tokio::test]
async fn phone_is_called_in_its_hours_only() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let (open, closed) = (hours(&laptop, true), hours(&laptop, false));
    let mut order = order(
        &json!([{"number": format!("+{SECOND}"), "hours": open.clone()},
                                  {"number": format!("+{THIRD}"), "hours": closed.clone()}]),
        &json!({}),
    );
    order["participants"][1]["hours"] = closed.clone();
    let created = laptop.post("/conversations", &order).await.body;
    assert_eq!(
        (&created["participants"][1]["hours"], &created["participants"][1]["phones"][0]["hours"]),
        (&closed, &open)
    );
    let told = ring(&laptop, &created, json!({})).await;
    assert_eq!((rang(&told), is_connected(&told)), (vec![SECOND], true));
    let told = ring(&laptop, &created, json!({SECOND: "busy"})).await;
    assert_eq!((rang(&told), is_connected(&told)), (vec![SECOND], false), "the third one is closed");
    // All three dial at any time.
    let told = laptop.call(json!({"from": THIRD, "to": text(&created, "/participants/1/dials")})).await;
    assert_eq!(rang(&told), [RIDER]);

    laptop.advance(3 * 86_400 - 100);
    let told = ring(&laptop, &created, json!({})).await;
    assert!(rang(&told).is_empty(), "it lasts for a day");
    order["participants"][1]["hours"] = hours(&laptop, false);
    for phone in order["participants"][1]["phones"].as_array_mut().unwrap() {
        phone["hours"] = hours(&laptop, false);
    }
    let created = laptop.post("/conversations", &order).await.body;
    let told = ring(&laptop, &created, json!({})).await;
    assert!(rang(&told).is_empty() && heard(&told).contains("is not available"), "{}", heard(&told));
    let asked = format!("/decisions?from=%2B{RIDER}&to=%2B{}", text(&created, "/participants/0/dials"));
    let decision = laptop.get(&asked).await.body;
    assert_eq!((text(&decision, "/outcome"), &decision["connects"]), ("outside hours", &Value::Null), "{decision}");
}

#[tokio::test]
async fn number_has_to_be_free_for_every_phone_of_a_side() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut other = conversation();
    (other["notify"], other["participants"]) = (json!(false), phones(&[THIRD, "447700900020"]));
    let other = laptop.post("/conversations", &other).await.body;
    let used = text(&other, "/participants/0/dials");
    let created = create(&laptop, json!({})).await;
    assert_ne!(text(&created, "/participants/1/dials"), used, "the third phone dials it already");
    // Both numbers are in use by one of its phones.
    let mut third = order(&phones(&[THIRD]), &json!({}));
    third["participants"][0]["number"] = json!("+447700900021");
    third["participants"][1]["number"] = json!("+447700900022");
    let refused = laptop.post("/conversations", &third).await;
    assert_eq!(
        (refused.status, text(&refused.body, "/type")),
        (409, "urn:maskline:problem:no-number-free"),
        "{refused:?}"
    );
    laptop.table().await;
}

#[tokio::test]
async fn call_of_several_attempts_counts_once() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_calls": 2, "max_minutes": 30})).await;
    for calls in [1, 2] {
        let told = ring(&laptop, &created, json!({DRIVER: "busy", SECOND: "unanswered"})).await;
        assert_eq!((rang(&told), is_connected(&told)), (vec![DRIVER, SECOND, THIRD], true), "{calls}");
        let usage = read(&laptop, &created).await["usage"].clone();
        assert_eq!((&usage["calls"], &usage["seconds"]), (&json!(calls), &json!(60 * calls)), "{usage}");
    }
    // The limit holds for all phones of both sides.
    for (from, side) in [(RIDER, 0), (SECOND, 1)] {
        let told = laptop.call(json!({"from": from, "to": created["participants"][side]["dials"]})).await;
        assert!(rang(&told).is_empty() && heard(&told).contains("used up"), "{told}");
    }
    laptop.table().await;
}

#[tokio::test]
async fn several_phones_only_receive_under_held_numbers() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"direction": "a_to_b"})).await;
    let told = ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    assert_eq!((rang(&told), is_connected(&told)), (vec![DRIVER, SECOND], true));
    assert_eq!(read(&laptop, &created).await["calls"][0]["legs"].as_array().unwrap().len(), 3);
    let mask = text(&created, "/participants/0/masked_by");
    for phone in [DRIVER, SECOND, THIRD] {
        let told = laptop.call(json!({"from": phone, "to": mask})).await;
        assert!(heard(&told).contains("does not take calls from you"), "{told}");
    }
    // Another one of the same line needs no other number.
    let mut second = order(&phones(&[SECOND, THIRD]), &json!({"direction": "a_to_b"}));
    second["participants"][0]["number"] = json!("+447700900031");
    let second = laptop.post("/conversations", &second).await.body;
    assert_eq!(text(&second, "/participants/0/masked_by"), mask);
    laptop.table().await;
}

#[tokio::test]
async fn lost_number_is_replaced_for_all_phones_of_a_side() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let created = create(&laptop, json!({})).await;
    let old = text(&created, "/participants/1/dials").to_owned();
    let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &old)]).await;
    assert_eq!(taken.status, 200);
    laptop.run_schedule().await;
    let healed = read(&laptop, &created).await;
    let new = text(&healed, "/participants/1/dials");
    assert_ne!(new, old);
    for phone in [DRIVER, SECOND, THIRD] {
        assert_eq!(rang(&laptop.call(json!({"from": phone, "to": new})).await), [RIDER]);
    }
    let told = ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    assert_eq!((rang(&told), text(&told, "/callees/1/display")), (vec![DRIVER, SECOND], new));
    laptop.table().await;
}

#[tokio::test]
async fn erasure_by_a_further_phone_leaves_nothing_of_it() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    let erased = laptop.post("/erasures", &json!({"number": format!("+{THIRD}")})).await;
    assert_eq!((erased.status, text(&erased.body, "/state")), (202, "done"), "{erased:?}");
    assert_eq!(laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.status, 404);
    let told = ring(&laptop, &created, json!({})).await;
    assert!(rang(&told).is_empty(), "{told}");
    let table = laptop.table().await;
    for phone in [RIDER, DRIVER, SECOND, THIRD] {
        let left = table.items_with(phone);
        assert!(left.iter().all(|[pk, _]| pk.starts_with("CALLER#")), "only tombstones: {left:?}");
    }
}

#[tokio::test]
async fn impossible_phones_are_refused_with_their_field() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let many: Vec<String> = (0..10).map(|nth| format!("4477009002{nth:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let hours = |hours: Value| json!([{"number": format!("+{SECOND}"), "hours": hours}]);
    for (further, fields, field) in [
        (phones(&[SECOND, RIDER]), json!({}), "participants[1].phones[1].number"),
        (phones(&[DRIVER]), json!({}), "participants[1].phones[0].number"),
        (phones(&[SECOND, SECOND]), json!({}), "participants[1].phones[1].number"),
        (phones(&[SECOND, "447451000001"]), json!({}), "participants[1].phones[1].number"),
        (phones(&["0"]), json!({}), "participants[1].phones[0].number"),
        (phones(&many), json!({}), "participants[1].phones"),
        (phones(&[SECOND]), json!({"max_attempts": 0}), "max_attempts"),
        (phones(&[SECOND]), json!({"max_attempts": 11}), "max_attempts"),
        (phones(&[SECOND]), json!({"max_ring_seconds": 44}), "max_ring_seconds"),
        (phones(&[SECOND]), json!({"max_ring_seconds": 601}), "max_ring_seconds"),
        (phones(&[SECOND]), json!({"max_call_seconds": 60}), "max_call_seconds"),
        (
            hours(json!({"days": [], "from": "09:00", "to": "17:00", "zone": "UTC"})),
            json!({}),
            "participants[1].phones[0].hours",
        ),
        (
            hours(json!({"days": ["mon"], "from": "9", "to": "17:00", "zone": "UTC"})),
            json!({}),
            "participants[1].phones[0].hours.from",
        ),
        (
            hours(json!({"days": ["mon"], "from": "09:00", "to": "17:00", "zone": "Atlantis"})),
            json!({}),
            "participants[1].phones[0].hours",
        ),
    ] {
        let refused = laptop.post("/conversations", &order(&further, &fields)).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, field), "{refused:?}");
    }
    assert!(laptop.table().await.conversations.is_empty());
}

#[tokio::test]
async fn first_phone_changes_while_the_others_stay() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    let to = |number: &str| json!({"participants": [null, {"number": format!("+{number}")}]});
    assert_eq!(laptop.patch(&path, &to(THIRD)).await.status, 422, "it is in the conversation already");
    let new = "447700900040";
    assert_eq!(laptop.patch(&path, &to(new)).await.status, 200);
    let told = ring(&laptop, &created, json!({new: "busy"})).await;
    assert_eq!(rang(&told), [new, SECOND]);
    let dials = string(&created["participants"][1]["dials"]);
    let told = laptop.call(json!({"from": DRIVER, "to": dials})).await;
    assert!(rang(&told).is_empty() && heard(&told).contains("has ended"), "{told}");
    assert_eq!(rang(&laptop.call(json!({"from": THIRD, "to": dials})).await), [RIDER]);
    laptop.table().await;
}

/// A person in a team.
fn member(number: &str, name: &str, language: &str) -> Value {
    json!({"number": format!("+{number}"), "name": name, "language": language})
}

#[tokio::test]
async fn each_member_of_a_team_is_invited_once() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let further = json!([member(SECOND, "Anna", "de"), {"number": format!("+{THIRD}")}]);
    let mut order = order(&further, &json!({"notify": true}));
    order["participants"][1]["name"] = json!("Robin");
    for status in [201, 200] {
        let created = laptop.post_with_key("team", &order).await;
        assert_eq!(created.status, status, "{created:?}");
        let driver = &created.body["participants"][1];
        assert_eq!((text(driver, "/name"), text(driver, "/notification")), ("Robin", "sent"));
        assert_eq!((text(driver, "/phones/0/notification"), text(driver, "/phones/1/notification")), ("sent", "off"));
        let invited = laptop.texts(SECOND).await;
        assert_eq!((invited.len(), &invited[0]["from"]), (1, &driver["dials"]));
        assert!(text(&invited[0], "/text").contains(text(driver, "/dials")), "{invited:?}");
        let counts =
            [laptop.texts(DRIVER).await.len(), laptop.texts(THIRD).await.len(), laptop.texts(RIDER).await.len()];
        assert_eq!(counts, [1, 0, 1], "a phone without a name is of the same person");
    }
    let created = laptop.post_with_key("team", &order).await.body;
    ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    let calls = read(&laptop, &created).await["calls"].clone();
    let names: Vec<_> = calls[0]["legs"].as_array().unwrap()[1..].iter().map(|leg| text(leg, "/name")).collect();
    assert_eq!(names, ["Robin", "Anna"], "{calls}");
    laptop.table().await;
}

#[tokio::test]
async fn members_join_and_leave_by_patch() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    let (path, new) = (format!("/conversations/{}", text(&created, "/id")), "447700900050");
    let dials = text(&created, "/participants/1/dials");
    ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    let further = json!([{"number": format!("+{THIRD}")}, member(new, "Cleo", "fr")]);
    let changed = laptop.patch(&path, &json!({"participants": [null, {"phones": further}]})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let numbers: Vec<_> = changed.body["participants"][1]["phones"].as_array().unwrap().iter().collect();
    assert_eq!(numbers.iter().map(|phone| text(phone, "/number")).collect::<Vec<_>>(), [THIRD, new]);
    assert!(laptop.texts(new).await.is_empty(), "a change texts nobody");

    let told = ring(&laptop, &created, json!({DRIVER: "busy", THIRD: "busy"})).await;
    assert_eq!((rang(&told), is_connected(&told)), (vec![DRIVER, THIRD, new], true));
    assert_eq!(rang(&laptop.call(json!({"from": new, "to": dials})).await), [RIDER]);
    let told = laptop.call(json!({"from": SECOND, "to": dials})).await;
    assert!(rang(&told).is_empty() && heard(&told).contains("has ended"), "who has left reaches nobody: {told}");
    // The record still has the phone that has left.
    let calls = read(&laptop, &created).await["calls"].clone();
    assert!(calls.to_string().contains(SECOND), "{calls}");
    for phone in [SECOND, new] {
        let listed = laptop.get(&format!("/conversations?number=%2B{phone}")).await.body;
        assert_eq!(listed["conversations"][0]["id"], created["id"], "{phone}");
    }
    laptop.table().await;

    // It comes back, and then nobody is left behind the first phone.
    for (further, left) in [(phones(&[SECOND]), vec![SECOND]), (json!([]), Vec::new())] {
        let changed = laptop.patch(&path, &json!({"participants": [null, {"phones": further}]})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let told = ring(&laptop, &created, json!({DRIVER: "busy"})).await;
        assert_eq!(rang(&told), [&[DRIVER][..], &left].concat());
        laptop.table().await;
    }
    let told = laptop.call(json!({"from": SECOND, "to": dials})).await;
    assert!(heard(&told).contains("has ended"), "{told}");
}

#[tokio::test]
async fn phone_that_is_asked_for_twice_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    for (first, second) in [(SECOND, SECOND), ("447700900050", "447700900050")] {
        let change = json!({"participants": [null, {"phones": phones(&[THIRD, first, second])}]});
        let refused = laptop.patch(&path, &change).await;
        let field = "participants[1].phones[2].number";
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, field), "{refused:?}");
    }
    assert_eq!(read(&laptop, &created).await["participants"], created["participants"]);
}

#[tokio::test]
async fn second_phone_becomes_the_first_when_that_leaves() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    let change = json!({"participants": [null, {"number": format!("+{SECOND}"), "phones": phones(&[THIRD])}]});
    let changed = laptop.patch(&path, &change).await;
    assert_eq!((changed.status, text(&changed.body, "/participants/1/number")), (200, SECOND), "{changed:?}");
    let told = ring(&laptop, &created, json!({SECOND: "busy"})).await;
    assert_eq!((rang(&told), is_connected(&told)), (vec![SECOND, THIRD], true));
    let dials = text(&created, "/participants/1/dials");
    assert_eq!(rang(&laptop.call(json!({"from": SECOND, "to": dials})).await), [RIDER]);
    assert!(rang(&laptop.call(json!({"from": DRIVER, "to": dials})).await).is_empty());
    laptop.table().await;
}

#[tokio::test]
async fn joining_phone_needs_the_number_of_its_side_free() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    let dials = text(&created, "/participants/1/dials");
    // A phone that dials both numbers in other conversations.
    let busy = "447700900060";
    for other in ["447700900061", "447700900062"] {
        let mut order = conversation();
        (order["notify"], order["participants"]) = (json!(false), phones(&[busy, other]));
        assert_eq!(laptop.post("/conversations", &order).await.status, 201);
    }
    for (further, status, field) in [
        (phones(&[busy]), 409, "participants[1].phones[0].number"),
        (phones(&[SECOND, RIDER]), 422, "participants[1].phones[1].number"),
        (phones(&[DRIVER]), 422, "participants[1].phones[0].number"),
        (phones(&[dials]), 422, "participants[1].phones[0].number"),
        (phones(&["0"]), 422, "participants[1].phones[0].number"),
    ] {
        let refused = laptop.patch(&path, &json!({"participants": [null, {"phones": further}]})).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (status, field), "{refused:?}");
    }
    let told = ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    assert_eq!(rang(&told), [DRIVER, SECOND], "nothing has changed");
    laptop.table().await;
}

#[tokio::test]
async fn handling_of_calls_is_changed_by_patch() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    let told = ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    assert!(!heard(&told).contains("line is busy"), "{}", heard(&told));
    let changed = laptop.patch(&path, &json!({"missed_calls": ["say"], "guard": "press_1"})).await;
    assert_eq!((changed.status, &changed.body["guard"]), (200, &json!("press_1")), "{changed:?}");
    let told = ring(&laptop, &created, json!({DRIVER: "busy"})).await;
    assert!(heard(&told).contains("line is busy"), "{}", heard(&told));
    let told = ring(&laptop, &created, json!({DRIVER: "declines"})).await;
    assert!(!is_connected(&told), "{told}");
    laptop.table().await;
    let changed = laptop.patch(&path, &json!({"missed_calls": [], "guard": "none"})).await;
    assert!(changed.body["guard"].is_null() && changed.body["missed_calls"].is_null(), "{changed:?}");
    assert!(is_connected(&ring(&laptop, &created, json!({DRIVER: "declines"})).await));
    let voicemail = laptop.patch(&path, &json!({"missed_calls": ["voicemail"]})).await;
    assert_eq!((voicemail.status, text(&voicemail.body, "/field")), (422, "missed_calls"), "{voicemail:?}");
    let long = laptop.patch(&path, &json!({"max_attempts": 11})).await;
    assert_eq!((long.status, text(&long.body, "/field")), (422, "max_attempts"));
    laptop.table().await;
}
