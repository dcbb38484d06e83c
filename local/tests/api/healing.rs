//! Numbers that Vonage takes away: the events about them, and the live conversations on them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, LeakSearch, RIDER, conversation, string, text};

const QUICK: [(&str, &str); 2] = [("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "100")];

/// Takes a number away from the account, as Vonage does when the balance is used up.
async fn take_away(laptop: &Laptop, number: &str) {
    let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", number)]).await;
    assert_eq!(taken.status, 200);
}

/// Returns the details of the events of this kind.
pub fn events(laptop: &Laptop, kind: &str) -> Vec<Value> {
    let events = laptop.stack.bus.events();
    for event in &events {
        assert_eq!(event["source"], "maskline");
        LeakSearch::new([RIDER, DRIVER]).assert_no_leak("an event", &event.to_string());
    }
    events
        .into_iter()
        .filter(|event| event["detail-type"] == kind)
        .map(|event| testkit::digits(event["detail"].clone()))
        .collect()
}

/// The sides and outcomes in the events about conversations.
fn told(laptop: &Laptop) -> Vec<(String, bool)> {
    let told = events(laptop, "Dialled number lost").into_iter();
    told.map(|event| (string(&event["side"]), event["healed"] == "true")).collect()
}

/// Returns the conversation as it is now.
pub async fn read(laptop: &Laptop, conversation: &Value) -> Value {
    let read = laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await;
    assert_eq!(read.status, 200, "{read:?}");
    read.body
}

pub fn dials(conversation: &Value, side: usize) -> String {
    string(&conversation["participants"][side]["dials"])
}

/// Returns what the answer webhook says to a call.
async fn answer(laptop: &Laptop, from: &str, dialled: &str) -> Value {
    let body = json!({"from": from, "to": dialled, "uuid": "0779a56d002f1c7f47f82ef5fe84ab79",
                      "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"});
    laptop.signed_post("/webhooks/answer", &body.to_string()).await.body
}

/// Fails unless a call reaches the other participant, who sees this number.
pub async fn assert_connects(laptop: &Laptop, from: &str, dialled: &str, to: &str, shown: &str) {
    let ncco = answer(laptop, from, dialled).await;
    assert_eq!((text(&ncco, "/1/endpoint/0/number"), text(&ncco, "/1/from")), (to, shown), "{ncco}");
}

async fn assert_ended(laptop: &Laptop, from: &str, dialled: &str) {
    let ncco = answer(laptop, from, dialled).await;
    assert!(text(&ncco, "/0/text").contains("has ended") && ncco.as_array().unwrap().len() == 1, "{ncco}");
}

pub async fn assert_replaced(laptop: &Laptop, from: &str, dialled: &str) {
    let ncco = answer(laptop, from, dialled).await;
    assert!(text(&ncco, "/0/text").contains("number for this conversation has changed"), "{ncco}");
    assert_eq!(ncco.as_array().unwrap().len(), 1, "{ncco}");
}

/// A conversation whose first participant has got another number.
struct Healed {
    laptop: Laptop,
    conversation: Value,
    old: String,
    new: String,
}

async fn healed(environment: &[(&str, &str)]) -> Healed {
    let laptop = Laptop::builder().env(environment).numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let old = dials(&before, 0);
    take_away(&laptop, &old).await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["lost"], &report["healing"]["healed"]), (&json!([old]), &json!(1)), "{report}");
    let conversation = read(&laptop, &before).await;
    let new = dials(&conversation, 0);
    Healed { laptop, conversation, old, new }
}

#[tokio::test]
async fn loss_and_return_of_a_number_are_one_event_each() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    take_away(&laptop, "447451000001").await;
    for _ in 0..2 {
        laptop.run_schedule().await;
        let [lost] = events(&laptop, "Number lost").try_into().unwrap();
        assert_eq!((text(&lost, "/country"), text(&lost, "/number")), ("GB", "447451000001"));
        assert!(text(&lost, "/at").parse::<i64>().is_ok() && lost.as_object().unwrap().len() == 3, "{lost}");
    }
    laptop.buy_by_hand("GB", "447451000001").await;
    for _ in 0..2 {
        laptop.run_schedule().await;
        let [found] = events(&laptop, "Number found").try_into().unwrap();
        assert_eq!(text(&found, "/number"), "447451000001");
    }
    assert_eq!(laptop.stack.bus.events().len(), 2);
    laptop.table().await;
}

#[tokio::test]
async fn event_that_the_bus_refused_is_sent_by_the_next_run() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let bus = {
        let asked = asked.clone();
        let put = async move |body: String| {
            let mut asked = asked.lock().unwrap();
            asked.push(body);
            match asked.len() {
                1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                2 => json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]})
                    .to_string()
                    .into_response(),
                _ => json!({"FailedEntryCount": 0, "Entries": []}).to_string().into_response(),
            }
        };
        testkit::serve(Router::new().route("/", post(put))).await
    };
    let laptop = Laptop::builder().env(&[("AWS_ENDPOINT_URL_EVENTBRIDGE", &bus)]).numbers("GB", 2).start().await;
    take_away(&laptop, "447451000001").await;
    for _ in 0..5 {
        laptop.run_schedule().await;
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 3, "two refusals, and no repetition after a success: {asked:?}");
    assert!(asked.iter().all(|body| body == &asked[0] && body.contains("Number lost")), "{asked:?}");
}

#[tokio::test]
async fn without_a_bus_nothing_is_sent_and_nothing_stays_due() {
    let laptop = Laptop::builder().env(&[("EVENT_BUS_NAME", "")]).numbers("GB", 2).start().await;
    take_away(&laptop, "447451000001").await;
    laptop.run_schedule().await;
    assert_eq!(laptop.stack.bus.events(), Vec::<Value>::new());
    assert!(laptop.table().await.pool.iter().all(|number| number.loss.unannounced_loss.is_none()));
}

#[tokio::test]
async fn lost_number_is_shown_and_reported_once_where_healing_is_off() {
    let laptop = Laptop::builder().env(&[("HEAL_LOST_NUMBERS", "off")]).numbers("GB", 3).start().await;
    let before = laptop.create().await;
    take_away(&laptop, &dials(&before, 0)).await;
    for _ in 0..3 {
        laptop.run_schedule().await;
        laptop.advance(61);
        assert_eq!(told(&laptop), [("A".to_owned(), false)]);
    }
    let shown = read(&laptop, &before).await;
    assert_eq!(dials(&shown, 0), dials(&before, 0));
    let pool = laptop.get("/numbers").await.body;
    let numbers = pool["countries"][0]["numbers"].as_array().unwrap();
    let lost = numbers.iter().find(|number| number["state"] == "lost").unwrap();
    assert_eq!(shown["participants"][0]["dials_lost_since"], lost["missing_since"]);
    assert_eq!(shown["participants"][1].get("dials_lost_since"), None);
    assert_eq!(laptop.texts(RIDER).await.len(), 1);

    laptop.buy_by_hand("GB", &dials(&before, 0)).await;
    laptop.run_schedule().await;
    assert_eq!(read(&laptop, &before).await["participants"][0].get("dials_lost_since"), None);
    assert_connects(&laptop, RIDER, &dials(&before, 0), DRIVER, &dials(&before, 1)).await;
    // Another loss is reported again.
    take_away(&laptop, &dials(&before, 0)).await;
    laptop.advance(61);
    laptop.run_schedule().await;
    assert_eq!(told(&laptop).len(), 2);
    laptop.advance(86_400);
    laptop.run_schedule().await;
    assert_eq!((told(&laptop).len(), laptop.table().await.heals), (2, Vec::new()));
}

#[tokio::test]
async fn healing_that_is_switched_on_later_heals() {
    let laptop = Laptop::builder().env(&[("HEAL_LOST_NUMBERS", "off")]).numbers("GB", 3).start().await;
    let before = laptop.create().await;
    take_away(&laptop, &dials(&before, 0)).await;
    laptop.run_schedule().await;
    laptop.advance(61);
    laptop.run_schedule().await;
    let on = laptop.stack.environment.clone().with([("HEAL_LOST_NUMBERS".to_owned(), "on".to_owned())]);
    let event = json!({"source": "aws.events"});
    let schedule = local::gateway::NumbersSchedule::new(&on, Arc::new(laptop.clock.clone()), event).unwrap();
    assert_eq!(schedule.tick().await.unwrap()["healing"]["healed"], 1);
    assert_eq!(told(&laptop), [("A".to_owned(), false), ("A".to_owned(), true)]);
}

#[tokio::test]
async fn participant_gets_another_number_and_one_text() {
    let Healed { laptop, conversation, old, new } = healed(&[]).await;
    let kept = dials(&conversation, 1);
    assert!(new != old && new != kept, "{conversation}");
    assert_eq!(conversation["participants"][1]["masked_by"], json!(new));
    assert_eq!(conversation["participants"][0]["notification"], "sent");
    assert_eq!(conversation["participants"][0].get("dials_lost_since"), None);
    assert_connects(&laptop, RIDER, &new, DRIVER, &kept).await;
    assert_connects(&laptop, DRIVER, &kept, RIDER, &new).await;

    for _ in 0..2 {
        let (rider, driver) = (laptop.texts(RIDER).await, laptop.texts(DRIVER).await);
        assert_eq!((rider.len(), driver.len()), (2, 1), "{rider:?}");
        assert_eq!(text(&rider[1], "/from"), new);
        let told_to_call = format!("The number for reaching your driver has changed. Call +{new} from now on.");
        assert!(text(&rider[1], "/text").starts_with(&told_to_call), "{rider:?}");
        let [event] = events(&laptop, "Dialled number lost").try_into().unwrap();
        let expected = json!({"conversation": conversation["id"], "reference": "", "side": "A", "healed": "true",
                              "revision": "1"});
        assert_eq!(event, expected);
        laptop.advance(61);
        laptop.run_schedule().await;
    }
    assert_eq!(laptop.table().await.heals, []);
}

#[tokio::test]
async fn healed_participant_hears_and_reads_the_own_words() {
    let words = [("BRAND", "Rides"), ("WORDS_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/words.json"))];
    let laptop = Laptop::builder().env(&words).numbers("GB", 5).start().await;
    let mut order = testkit::conversation();
    (order["reference"], order["participants"][1]["language"]) = (json!("ride-42"), json!("fr"));
    let before = laptop.post("/conversations", &order).await.body;
    for side in [0, 1] {
        take_away(&laptop, &dials(&before, side)).await;
    }
    laptop.run_schedule().await;
    let after = read(&laptop, &before).await;
    let [rider, driver] = [0, 1].map(|side| dials(&after, side));
    assert!(rider != dials(&before, 0) && driver != dials(&before, 1), "{after}");
    let connecting = answer(&laptop, RIDER, &rider).await;
    assert_eq!(connecting[0]["text"], "Rides is connecting you to your driver, about ride-42.");
    let connecting = answer(&laptop, DRIVER, &driver).await;
    assert_eq!(
        (&connecting[0]["text"], &connecting[0]["language"]),
        (&json!("Nous vous mettons en relation."), &json!("fr-FR"))
    );
    let texts = laptop.texts(DRIVER).await;
    let expected = format!(
        "Le numéro pour joindre your rider a changé. Appelez désormais le +{driver}. Cela fonctionne uniquement depuis ce téléphone."
    );
    assert_eq!(texts[1]["text"], expected);
}

#[tokio::test]
async fn refused_text_of_lost_number_heals_its_conversations_at_once() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let old = dials(&before, 0);
    take_away(&laptop, &old).await;
    let number = testkit_number(&old);
    laptop.stack.run_invocation(&shared::service::demand::check_event(&number)).await.unwrap();
    assert_eq!(told(&laptop), [("A".to_owned(), true)]);
    assert_eq!(events(&laptop, "Number lost").len(), 1);
    assert_ne!(dials(&read(&laptop, &before).await, 0), old);
}

fn testkit_number(digits: &str) -> shared::domain::phone::VirtualNumber {
    shared::domain::phone::PhoneNumber::try_from(digits).unwrap().into()
}

#[tokio::test]
async fn both_participants_change_if_both_numbers_are_lost() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let before = laptop.create().await;
    let old = [dials(&before, 0), dials(&before, 1)];
    for number in &old {
        take_away(&laptop, number).await;
    }
    assert_eq!(laptop.run_schedule().await["healing"]["healed"], 2);
    let after = read(&laptop, &before).await;
    let new = [dials(&after, 0), dials(&after, 1)];
    assert_eq!(old.iter().chain(&new).collect::<BTreeSet<_>>().len(), 4, "{old:?} {new:?}");
    assert_connects(&laptop, RIDER, &new[0], DRIVER, &new[1]).await;
    assert_connects(&laptop, DRIVER, &new[1], RIDER, &new[0]).await;
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (2, 2));
    laptop.table().await;
}

#[tokio::test]
async fn conversation_without_texts_is_healed_silently() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let mut order = conversation();
    order["notify"] = json!(false);
    order["reference"] = json!("ride-42");
    let before = laptop.post("/conversations", &order).await.body;
    take_away(&laptop, &dials(&before, 1)).await;
    laptop.run_schedule().await;
    let after = read(&laptop, &before).await;
    assert_ne!(dials(&after, 1), dials(&before, 1));
    assert_eq!(after["participants"][1]["notification"], "off");
    assert_eq!(laptop.asked("/sms/json").await, 0);
    let [event] = events(&laptop, "Dialled number lost").try_into().unwrap();
    assert_eq!((text(&event, "/reference"), text(&event, "/side")), ("ride-42", "B"));
}

#[tokio::test]
async fn without_a_free_number_it_is_rented_and_healed_later() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=2")]).numbers("GB", 1).start().await;
    let before = laptop.create().await;
    take_away(&laptop, "447451000001").await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["healing"]["healed"], &report["healing"]["unhealed"]), (&json!(0), &json!(2)), "{report}");
    let unhealed = [("A".to_owned(), false), ("B".to_owned(), false)];
    assert_eq!(told(&laptop), unhealed);
    assert_eq!(laptop.table().await.demands.len(), 1);
    assert!(read(&laptop, &before).await["participants"][1]["dials_lost_since"].is_string());

    laptop.advance(61);
    let report = laptop.run_schedule().await;
    assert_eq!((report["rented"].as_array().unwrap().len(), &report["healing"]["healed"]), (1, &json!(2)), "{report}");
    let after = read(&laptop, &before).await;
    let new = dials(&after, 0);
    assert_ne!(new, "447451000001");
    assert_eq!(dials(&after, 1), new);
    assert_eq!(told(&laptop)[2..], [("A".to_owned(), true), ("B".to_owned(), true)]);
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (2, 2));
}

#[tokio::test]
async fn number_that_comes_back_before_healing_works_again() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let before = laptop.create().await;
    take_away(&laptop, "447451000001").await;
    laptop.run_schedule().await;
    laptop.buy_by_hand("GB", "447451000001").await;
    laptop.advance(61);
    laptop.run_schedule().await;
    assert_eq!(read(&laptop, &before).await["participants"], before["participants"]);
    assert_connects(&laptop, RIDER, "447451000001", DRIVER, "447451000001").await;
    assert_eq!(laptop.table().await.heals, []);
    // A second loss is another one.
    take_away(&laptop, "447451000001").await;
    laptop.run_schedule().await;
    assert_eq!(told(&laptop).len(), 4);
}

#[tokio::test]
async fn old_number_that_is_back_reaches_nobody_in_quarantine() {
    let Healed { laptop, old, new, .. } = healed(&QUICK).await;
    laptop.buy_by_hand("GB", &old).await;
    laptop.run_schedule().await;
    assert_replaced(&laptop, RIDER, &old).await;
    let others =
        json!({"participants": [{"number": format!("+{RIDER}")}, {"number": "+447700900009"}], "notify": false});
    let given = async || {
        let created = laptop.post("/conversations", &others).await.body;
        (dials(&created, 0), string(&created["id"]))
    };
    let (first, id) = given().await;
    assert!(first != old && first != new, "{first}");
    assert_eq!(laptop.delete(&format!("/conversations/{id}")).await.status, 200);
    let stranger =
        json!({"participants": [{"number": format!("+{RIDER}")}, {"number": "+447700900010"}], "notify": false});
    assert_eq!(laptop.post("/conversations", &stranger).await.status, 409, "all of the rider's numbers are in use");
    laptop.advance(99);
    assert_replaced(&laptop, RIDER, &old).await;
    laptop.advance(2);
    assert!([&old, &first].contains(&&given().await.0));
    laptop.table().await;
}

#[tokio::test]
async fn end_and_change_leave_the_quarantine_of_the_old_number() {
    let Healed { laptop, conversation, old, new } = healed(&QUICK).await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    let until = async |dialled: &str| {
        let routes = laptop.table().await.routes;
        routes.get(&(RIDER.to_owned(), dialled.to_owned())).unwrap().quarantined_until
    };
    let of_old = until(&old).await;
    laptop.advance(10);
    assert_eq!(laptop.patch(&path, &json!({"expires_in": 86_000})).await.status, 200);
    assert_eq!(until(&old).await, of_old);
    let new_phone = json!({"participants": [{"number": "+447700900009"}, null]});
    let changed = laptop.patch(&path, &new_phone).await.body;
    assert_eq!(dials(&changed, 0), new);
    assert_connects(&laptop, "447700900009", &new, DRIVER, &dials(&changed, 1)).await;
    assert_ended(&laptop, RIDER, &new).await;
    laptop.advance(10);
    assert_eq!(laptop.delete(&path).await.body["state"], "ended");
    assert_eq!(until(&old).await, of_old);
    assert!(until(&new).await > of_old);
}

#[tokio::test]
async fn late_event_of_the_old_number_belongs_to_the_conversation() {
    let Healed { laptop, conversation, old, new } = healed(&[]).await;
    laptop.call(json!({"from": RIDER, "to": new, "talk_seconds": 30})).await;
    let event = json!({"headers": {}, "from": RIDER, "to": old, "status": "completed", "direction": "inbound",
                       "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "timestamp": format!("{:.3}", laptop.clock.now()),
                       "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "duration": "42"});
    assert_eq!(laptop.event(&event).await.status, 204);
    let calls = read(&laptop, &conversation).await["calls"].clone();
    let callers: Vec<_> = calls.as_array().unwrap().iter().map(|call| text(call, "/caller")).collect();
    assert_eq!(callers, [RIDER, RIDER], "{calls}");
}

#[tokio::test]
async fn erasure_after_healing_leaves_tombstones_of_all_numbers() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let before = laptop.create().await;
    laptop.call(json!({"from": RIDER, "to": dials(&before, 0), "talk_seconds": 30})).await;
    let path = format!("/conversations/{}", text(&before, "/id"));
    let new_phone = json!({"participants": [{"number": "+447700900009"}, null]});
    assert_eq!(laptop.patch(&path, &new_phone).await.status, 200);
    let old = dials(&before, 1);
    take_away(&laptop, &old).await;
    laptop.run_schedule().await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 2);
    assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
    let table = laptop.table().await;
    assert_eq!((table.routes.len(), table.erased_routes.len(), table.legs.len()), (0, 4, 0));
    assert!(table.erased_routes.contains_key(&(DRIVER.to_owned(), old.clone())));
    // Both legs, two invitations, and the text message about the change.
    assert_eq!(table.redactions.len(), 2 + 2 + 1);
    for phone in [RIDER, DRIVER, "447700900009"] {
        assert!(table.items_with(phone).iter().all(|[pk, _]| *pk == format!("CALLER#{phone}")));
    }
    laptop.buy_by_hand("GB", &old).await;
    laptop.run_schedule().await;
    assert_ended(&laptop, DRIVER, &old).await;
}

#[tokio::test]
async fn unreadable_item_does_not_keep_others_from_being_healed() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let item = json!({"pk": {"S": "HEAL"}, "sk": {"S": "CONVERSATION#0"}, "due_at": {"N": "1"}});
    let put = laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": item})).await;
    assert_eq!(put.status, 200, "{put:?}");
    take_away(&laptop, &dials(&before, 0)).await;
    let healing = laptop.run_schedule().await["healing"].clone();
    assert_eq!((&healing["healed"], &healing["failed"]), (&json!(1), &json!(1)), "{healing}");
}

#[tokio::test]
async fn ended_conversation_on_a_lost_number_is_left_alone() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let before = laptop.create().await;
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&before, "/id"))).await.status, 200);
    take_away(&laptop, &dials(&before, 0)).await;
    laptop.run_schedule().await;
    assert_eq!(dials(&read(&laptop, &before).await, 0), dials(&before, 0));
    assert_eq!(told(&laptop), []);
    assert_eq!(laptop.table().await.heals, []);
}

#[tokio::test]
async fn side_that_only_receives_is_shown_another_number() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let mut order = conversation();
    order["direction"] = json!("a_to_b");
    let created = [RIDER, "447700900003"].map(|caller| {
        let mut order = order.clone();
        order["participants"][0]["number"] = json!(format!("+{caller}"));
        order
    });
    let mut before = Vec::new();
    for order in created {
        before.push(laptop.post("/conversations", &order).await.body);
    }
    let mask = |conversation: &Value| string(&conversation["participants"][0]["masked_by"]);
    let old = mask(&before[0]);
    assert_eq!(mask(&before[1]), old, "both share it");
    take_away(&laptop, &old).await;
    let texts = [laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()];
    let report = laptop.run_schedule().await;
    let callers_on_it = before.iter().filter(|conversation| dials(conversation, 0) == old).count();
    assert_eq!(report["healing"]["healed"], json!(2 + callers_on_it), "{report}");
    let mut masks = BTreeSet::new();
    for (conversation, caller) in before.iter().zip([RIDER, "447700900003"]) {
        let after = read(&laptop, conversation).await;
        assert_ne!(mask(&after), old);
        assert_connects(&laptop, caller, &dials(&after, 0), DRIVER, &mask(&after)).await;
        let refused = answer(&laptop, DRIVER, &mask(&after)).await;
        assert!(text(&refused, "/0/text").contains("does not take calls from you"), "{refused}");
        masks.insert(mask(&after));
    }
    assert_eq!(masks.len(), 1, "one number serves all of them again");
    let after = [laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()];
    assert_eq!((after[1], texts[1]), (0, 0), "who only receives gets no text message");
    laptop.table().await;
}
