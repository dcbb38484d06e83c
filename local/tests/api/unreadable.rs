//! Items of the table that cannot be read: damaged ones, and those of a newer release. They harm only themselves.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::store::ItemKind;
use testkit::{DRIVER, Laptop, RIDER, string, text};

const NOBODY: &str = "Sorry, this number cannot connect you. Please call from the phone that you gave us. Goodbye.";

/// The numbers of the pool.
const NUMBERS: [&str; 4] = ["447451000001", "447451000002", "447451000003", "447451000004"];

/// The two forms of an unreadable item.
#[derive(Debug, Clone, Copy)]
enum Spoiled {
    /// Its version is one that nobody has written yet.
    Newer,
    /// Every attribute has a value of a wrong type.
    Damaged,
}

impl Spoiled {
    const BOTH: [Self; 2] = [Self::Newer, Self::Damaged];

    /// Returns the item under this key that is like `sample`, but cannot be read.
    fn of(self, [pk, sk]: &[String; 2], sample: Option<&Value>) -> Value {
        let names =
            ["conversation", "country", "due_at", "expires_at", "quarantined_until", "routes", "state", "wanted"];
        let guessed = || names.map(|name| (name.to_owned(), json!({"N": "1"}))).into_iter().collect();
        let mut item: Map<String, Value> = sample.and_then(Value::as_object).cloned().unwrap_or_else(guessed);
        match self {
            Self::Newer => drop(item.insert("v".to_owned(), json!({"N": "99"}))),
            Self::Damaged => item.values_mut().for_each(|value| *value = json!({"M": {}})),
        }
        item.extend([("pk".to_owned(), json!({"S": pk})), ("sk".to_owned(), json!({"S": sk}))]);
        Value::Object(item)
    }
}

fn key_of(item: &Value) -> [String; 2] {
    ["pk", "sk"].map(|name| text(item, &format!("/{name}/S")).to_owned())
}

/// Returns the name of the table in which the item is.
fn table_of(item: &Value) -> &'static str {
    let [pk, sk] = key_of(item);
    if ItemKind::of(&pk, &sk).is_some_and(ItemKind::is_of_journal) { "maskline-journal" } else { "maskline" }
}

async fn put(laptop: &Laptop, item: &Value) {
    let put = laptop.dynamodb("PutItem", json!({"TableName": table_of(item), "Item": item})).await;
    assert_eq!(put.status, 200, "{put:?}");
}

async fn item(laptop: &Laptop, key: &[String; 2]) -> Option<Value> {
    let items = laptop.items().await.into_iter().chain(laptop.journal().await);
    items.into_iter().find(|item| key_of(item) == *key)
}

/// Puts an unreadable item in the place of the item under this key, and returns both.
async fn spoil(laptop: &Laptop, how: Spoiled, key: [String; 2]) -> (Value, Option<Value>) {
    let before = item(laptop, &key).await;
    let spoiled = how.of(&key, before.as_ref());
    put(laptop, &spoiled).await;
    (spoiled, before)
}

/// Returns item keys of this kind whose items may be unreadable while all that is asked for works: beside the `good`
/// conversation, and beside the routes of `caller`, who is about to get one. Every number is in use for that caller, but the
/// last one.
fn neighbours(kind: ItemKind, good: &str, caller: &str) -> Vec<[String; 2]> {
    let other = "01M81PZXZPCX9PBRT5SWKY25Z7";
    let key = |pk: &str, sk: &str| vec![[pk.to_owned(), sk.to_owned()]];
    match kind {
        ItemKind::Route => {
            let route = |number: &&str| [format!("CALLER#{caller}"), format!("NUMBER#{number}")];
            NUMBERS[..3].iter().map(route).collect()
        }
        ItemKind::Line => key(&format!("CALLER#{caller}"), "RECEIVES"),
        ItemKind::OwnNumber => key(&format!("CALLER#{}", NUMBERS[3]), "POOL"),
        ItemKind::NumberSettings => key(&format!("CALLER#{}", NUMBERS[3]), "SETTINGS"),
        ItemKind::Conversation => key(&format!("CONVERSATION#{other}"), "CONVERSATION"),
        ItemKind::Participation => key(&format!("PHONE#{caller}"), &format!("CONVERSATION#{other}")),
        ItemKind::Listed => key("LIST#ALL#3", &format!("CONVERSATION#{other}")),
        ItemKind::StandingPhone => key(&format!("PHONE#{caller}"), &format!("STANDING#{}", NUMBERS[3])),
        ItemKind::StandingChange => key(&format!("STANDING#{}", NUMBERS[3]), "STANDING"),
        ItemKind::Leg => key(&format!("CONVERSATION#{good}"), "LEG#CON-1#2"),
        ItemKind::Usage => key(&format!("CONVERSATION#{good}"), "USAGE"),
        ItemKind::Number => key("POOL#GB", &format!("NUMBER#{}", NUMBERS[3])),
        ItemKind::Work => key("POOL#GB", &format!("UNFINISHED#{}", NUMBERS[3])),
        ItemKind::Order => key("ORDER", "SE"),
        ItemKind::AccountWalk => key("POOL", "WALK"),
        ItemKind::ReadyPart => key("READY#JE#44#0", "READY"),
        ItemKind::Demand => key("DEMAND", "SE"),
        ItemKind::RouteScan => ["LOOK", "LOOK#HEAL"].map(|sk| ["POOL".to_owned(), sk.to_owned()]).into(),
        ItemKind::RetentionPass => key("RETENTION", "PASS"),
        ItemKind::PeakUsage => key("POOL", "HELD#GB#2999-01-01"),
        ItemKind::Request => key("REQUEST#1", "REQUEST"),
        ItemKind::Erasure => key("ERASURE", &format!("CONVERSATION#{other}")),
        ItemKind::NumberErasure => key("FORGET", other),
        ItemKind::Redaction => key("REDACTION", "sms#1"),
        ItemKind::Pin => key(&format!("PIN#{}", NUMBERS[3]), "PIN#1"),
        ItemKind::PinTries => key(&format!("PIN#{}", NUMBERS[3]), "TRIES#ALL"),
        ItemKind::PinCall => key("CALL#CON-9", "PIN"),
        ItemKind::Heal => key("HEAL", &format!("CONVERSATION#{other}")),
        ItemKind::Recording => key(&format!("RECORDINGS#{good}"), "RECORDING#aaaaaaaa"),
        ItemKind::RecordingWork => key("RECORDING", &format!("{other}#aaaaaaaa")),
        ItemKind::RecordingLink => key("LINK#1", "LINK"),
        ItemKind::Warning => key("WARNING", "00000000001#CON-1"),
        ItemKind::Text => key(&format!("TEXTS#{good}"), &format!("TEXT#{other}")),
        ItemKind::TextClaim => key("TEXT#1", "TEXT"),
        ItemKind::TextsOfDay => key(&format!("TEXT#{good}"), "DAY#A#2026-11-30"),
        ItemKind::KeywordClaim => key("TEXT#1", "KEYWORD"),
        ItemKind::OptOut => key(&format!("CALLER#{caller}"), &format!("DECLINES#{}", NUMBERS[3])),
        ItemKind::OptOutChange => key(&format!("OPT-OUT#{caller}#{}", NUMBERS[3]), "OPT-OUT"),
        ItemKind::Chat => key(&format!("PHONE#{caller}"), "CHAT"),
        ItemKind::Explanation => key(&format!("EXPLAINED#{}", NUMBERS[3]), "TO#1"),
        ItemKind::ExplanationsOfDay => key(&format!("EXPLAINED#{}", NUMBERS[3]), "DAY#2026-11-30"),
        ItemKind::NumberHealth => {
            key(&format!("HEALTH#{}", jiff::Timestamp::now().strftime("%Y-%m-%d")), &format!("NUMBER#{}", NUMBERS[3]))
        }
        ItemKind::TenantSettings => key("TENANT", "TENANT#acme"),
        ItemKind::TenantCost => key("TENANT#acme", "COST#2026-12#00"),
        ItemKind::PaceTurns => key("PACE", "TURNS"),
        ItemKind::PaceShare => key("PACE", "SHARE#0"),
        // Also the good conversation's own: only a restore reads them.
        ItemKind::RouteKeys => [other, good].map(|id| [format!("CONVERSATION#{id}"), "KEYS".to_owned()]).into(),
        ItemKind::Change => [other, good].map(|id| [format!("CONVERSATION#{id}"), "CHANGE".to_owned()]).into(),
        // There is one of each; see the tests below.
        ItemKind::Ledger | ItemKind::ReadyParts | ItemKind::JournalOwner => Vec::new(),
    }
}

fn order(a: &str, b: &str) -> Value {
    json!({"participants": [{"number": format!("+{a}")}, {"number": format!("+{b}")}]})
}

async fn create(laptop: &Laptop, a: &str, b: &str) -> Value {
    let created = laptop.post("/conversations", &order(a, b)).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Returns how often a number was bought, and how many the account owns.
async fn bought(laptop: &Laptop) -> (usize, usize) {
    (laptop.asked("/number/buy").await, laptop.owned_numbers().await.len())
}

fn dials(conversation: &Value) -> &str {
    text(conversation, "/participants/0/dials")
}

/// Places a call from the first participant, and checks that it reaches the second one.
async fn assert_connects(laptop: &Laptop, conversation: &Value, [caller, callee]: [&str; 2], what: &str) {
    let call = laptop.call(json!({"from": caller, "to": dials(conversation), "events": "in_order"})).await;
    assert_eq!(call["ncco"][1]["endpoint"][0]["number"], callee, "{what}: {call}");
    for event in call["events"].as_array().unwrap() {
        assert_eq!(event["http_status"], 204, "{what}: {call}");
    }
}

/// Runs all schedules, and checks that no step failed.
async fn run_schedules(laptop: &Laptop, what: &str) {
    for report in [
        laptop.run_schedule().await,
        laptop.run_orders().await,
        laptop.stack.run_erasure_schedule().await.unwrap(),
        laptop.stack.run_recordings_schedule().await.unwrap(),
        laptop.stack.run_warnings().await.unwrap(),
    ] {
        let shortfall = report.get("shortfall").and_then(Value::as_array);
        assert!(report.get("failed").is_none() && shortfall.is_none_or(Vec::is_empty), "{what}: {report}");
    }
}

/// Uses every function and every schedule while an item of this kind is unreadable.
async fn use_everything(laptop: &Laptop, kind: ItemKind, how: Spoiled, round: usize) {
    let what = format!("{kind:?} {how:?}");
    let [rider, driver, caller, callee] = [0, 1, 2, 3].map(|index| format!("447700900{}", 100 + round * 4 + index));
    let good = create(laptop, &rider, &driver).await;
    let mut spoiled = Vec::new();
    for key in neighbours(kind, text(&good, "/id"), &caller) {
        spoiled.push(spoil(laptop, how, key).await);
    }
    let bought = bought(laptop).await;
    assert_connects(laptop, &good, [&rider, &driver], &what).await;
    let read = laptop.get(&path(&good)).await;
    assert_eq!((read.status, read.body["calls"].as_array().map(Vec::len)), (200, Some(1)), "{what}: {read:?}");
    assert_eq!(laptop.get(&format!("{}/texts", path(&good))).await.body, json!({"texts": []}), "{what}");
    let second = create(laptop, &caller, &callee).await;
    let keeps_off = |(item, _): &(Value, Option<Value>)| !key_of(item)[1].ends_with(dials(&second));
    assert!(kind != ItemKind::Route || spoiled.iter().all(keeps_off), "{what}: {second}");
    assert_connects(laptop, &second, [&caller, &callee], &what).await;
    let listed = laptop.get(&format!("/conversations?number=%2B{caller}")).await;
    let ids = listed.body["conversations"].as_array().unwrap().iter().map(|found| &found["id"]);
    assert_eq!(ids.collect::<Vec<_>>(), [&second["id"]], "{what}: {listed:?}");
    let all = laptop.get("/conversations").await;
    let ids: BTreeSet<_> =
        all.body["conversations"].as_array().unwrap().iter().map(|found| text(found, "/id")).collect();
    assert_eq!(ids, [text(&second, "/id"), text(&good, "/id")].into(), "{what}: {all:?}");
    let changed = laptop.patch(&path(&second), &json!({"expires_in": 7200})).await;
    assert_eq!(changed.status, 200, "{what}: {changed:?}");
    assert_eq!(laptop.delete(&path(&second)).await.status, 200, "{what}");
    assert_eq!(laptop.get("/numbers").await.status, 200, "{what}");
    let forgotten = laptop.post("/erasures", &json!({"number": format!("+{callee}")})).await;
    assert_eq!((forgotten.status, text(&forgotten.body, "/state")), (202, "done"), "{what}: {forgotten:?}");
    run_schedules(laptop, &what).await;
    for (item, before) in spoiled {
        let key = key_of(&item);
        let found = self::item(laptop, &key).await;
        let begins_again = matches!(kind, ItemKind::AccountWalk | ItemKind::RouteScan | ItemKind::RetentionPass);
        assert!(begins_again || found.as_ref() == Some(&item), "{what}: {found:?}");
        let key = json!({"pk": {"S": key[0]}, "sk": {"S": key[1]}});
        laptop.dynamodb("DeleteItem", json!({"TableName": table_of(&item), "Key": key})).await;
        if let Some(before) = before {
            put(laptop, &before).await;
        }
    }
    let erased = laptop.delete(&format!("{}?erase=true", path(&good))).await;
    assert!(erased.status < 300, "{what}: {erased:?}");
    assert_eq!(self::bought(laptop).await, bought, "{what}");
}

/// Uses everything once for each kind of item.
async fn spoil_each_kind(how: Spoiled) {
    let builder = Laptop::builder().env(&[("LIST_CONVERSATIONS", "on")]);
    let laptop = builder.numbers("GB", 4).numbers("JE", 1).start().await;
    for (round, kind) in ItemKind::ALL.iter().enumerate() {
        use_everything(&laptop, *kind, how, round).await;
    }
    laptop.table().await;
}

#[tokio::test]
async fn item_of_a_newer_release_harms_no_other() {
    spoil_each_kind(Spoiled::Newer).await;
}

#[tokio::test]
async fn damaged_item_harms_no_other() {
    spoil_each_kind(Spoiled::Damaged).await;
}

#[tokio::test]
async fn every_stored_item_says_its_version() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    assert_connects(&laptop, &conversation, [RIDER, DRIVER], "a call").await;
    assert!(laptop.delete(&format!("{}?erase=true", path(&conversation))).await.status < 300);
    laptop.delete(&format!("/numbers/{}", NUMBERS[0])).await;
    laptop.run_schedule().await;
    for item in laptop.items().await.into_iter().chain(laptop.journal().await) {
        let [pk, sk] = key_of(&item);
        let kind = ItemKind::of(&pk, &sk).unwrap_or_else(|| panic!("an item of an unknown kind: {item}"));
        assert_eq!(item["v"]["N"], kind.versions().written.to_string(), "{item}");
    }
}

#[tokio::test]
async fn unreadable_route_connects_nobody_and_is_no_failure() {
    for how in Spoiled::BOTH {
        let laptop = Laptop::builder().numbers("GB", 2).start().await;
        let conversation = laptop.create().await;
        let key = [format!("CALLER#{RIDER}"), format!("NUMBER#{}", dials(&conversation))];
        spoil(&laptop, how, key).await;
        let call = json!({"from": RIDER, "to": dials(&conversation), "uuid": "u", "conversation_uuid": "CON-1"});
        let answer = laptop.signed_post("/webhooks/answer", &call.to_string()).await;
        assert_eq!((answer.status, text(&answer.body, "/0/text")), (200, NOBODY), "{answer:?}");
        let back = laptop.call(json!({"from": DRIVER, "to": conversation["participants"][1]["dials"]})).await;
        assert_eq!(back["ncco"][1]["endpoint"][0]["number"], RIDER, "the other side still calls: {back}");
    }
}

#[tokio::test]
async fn unreadable_route_keeps_its_number_from_release() {
    for how in Spoiled::BOTH {
        let laptop = Laptop::builder().numbers("GB", 2).start().await;
        let key = ["CALLER#447700900150".to_owned(), format!("NUMBER#{}", NUMBERS[1])];
        let (item, _) = spoil(&laptop, how, key).await;
        assert_eq!(laptop.delete(&format!("/numbers/{}", NUMBERS[1])).await.status, 200);
        for _ in 0..3 {
            laptop.advance(2 * 86_400);
            laptop.run_schedule().await;
            assert_eq!(laptop.owned_numbers().await.len(), 2, "{how:?}");
        }
        let key = json!({"pk": item["pk"], "sk": item["sk"]});
        laptop.dynamodb("DeleteItem", json!({"TableName": "maskline", "Key": key})).await;
        laptop.advance(2 * 86_400);
        laptop.run_schedule().await;
        assert_eq!(laptop.owned_numbers().await.len(), 1, "{how:?}");
    }
}

#[tokio::test]
async fn unreadable_item_that_is_asked_for_is_an_error_of_its_own() {
    for how in Spoiled::BOTH {
        let laptop = Laptop::builder().numbers("GB", 2).start().await;
        let key = "01M81PZXZPCX9PBRT5SWKY25Z7";
        let conversation = laptop.post_with_key(key, &order(RIDER, DRIVER)).await.body;
        let path = path(&conversation);
        spoil(&laptop, how, [format!("CONVERSATION#{}", text(&conversation, "/id")), "CONVERSATION".to_owned()]).await;
        spoil(&laptop, how, ["POOL#GB".to_owned(), format!("NUMBER#{}", NUMBERS[1])]).await;
        spoil(&laptop, how, ["ORDER".to_owned(), "SE".to_owned()]).await;
        let items = laptop.items().await;
        let request = items.iter().map(key_of).find(|[pk, _]| pk.starts_with("REQUEST#")).unwrap();
        spoil(&laptop, how, request).await;
        let before = (bought(&laptop).await, laptop.texts(RIDER).await.len());
        let extension = json!({"expires_in": 7200}).to_string();
        for (method, path, body) in [
            (Method::GET, path.clone(), String::new()),
            (Method::PATCH, path.clone(), extension),
            (Method::DELETE, path.clone(), String::new()),
            (Method::DELETE, format!("{path}?erase=true"), String::new()),
            (Method::DELETE, format!("/numbers/{}", NUMBERS[1]), String::new()),
            (Method::POST, "/numbers".to_owned(), json!({"country": "SE", "count": 1}).to_string()),
        ] {
            let answer = laptop.send(method.clone(), &path, body).await;
            let kind = string(&answer.body["type"]);
            assert_eq!((answer.status, kind.as_str()), (500, "urn:maskline:problem:unreadable"), "{method} {path}");
        }
        let again = laptop.post_with_key(key, &order(RIDER, DRIVER)).await;
        assert_eq!(again.status, 500, "{again:?}");
        assert_connects(&laptop, &conversation, [RIDER, DRIVER], "its routes can be read").await;
        assert_eq!((bought(&laptop).await, laptop.texts(RIDER).await.len()), before);
    }
}

#[tokio::test]
async fn nothing_is_bought_while_the_totals_are_unreadable() {
    let totals = [("LEDGER", Spoiled::Newer), ("LEDGER", Spoiled::Damaged), ("READY", Spoiled::Newer)];
    for (kind, how) in totals.into_iter().chain(Spoiled::BOTH.map(|how| ("TABLE", how))) {
        let variables = [("HEADROOM", "GB=3"), ("AUTO_RENT_MAX", "GB=9")];
        let laptop = Laptop::builder().env(&variables).numbers("GB", 3).start().await;
        let conversation = laptop.create().await;
        laptop.run_schedule().await;
        laptop.stack.background_runs_finished().await;
        let before = bought(&laptop).await;
        let partition = if kind == "TABLE" { "TABLE" } else { "POOL" };
        spoil(&laptop, how, [partition.to_owned(), kind.to_owned()]).await;
        assert_connects(&laptop, &conversation, [RIDER, DRIVER], kind).await;
        assert_eq!(laptop.get(&path(&conversation)).await.status, 200, "{kind}");
        laptop.post("/conversations", &order("447700900150", "447700900151")).await;
        if kind == "LEDGER" {
            assert_eq!(laptop.get("/numbers").await.status, 500);
            assert_eq!(laptop.post("/numbers", &json!({"country": "GB", "count": 9})).await.status, 500);
        }
        laptop.run_schedule().await;
        laptop.run_orders().await;
        laptop.stack.background_runs_finished().await;
        assert_eq!(bought(&laptop).await, before, "{kind} {how:?}");
        assert_eq!(laptop.delete(&path(&conversation)).await.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn unreadable_number_is_not_counted_as_missing() {
    for how in Spoiled::BOTH {
        let laptop = Laptop::builder().env(&[("HEADROOM", "GB=3")]).numbers("GB", 3).start().await;
        laptop.run_schedule().await;
        let before = bought(&laptop).await;
        spoil(&laptop, how, ["POOL#GB".to_owned(), format!("NUMBER#{}", NUMBERS[1])]).await;
        for _ in 0..3 {
            laptop.advance(900);
            laptop.run_schedule().await;
        }
        assert_eq!(bought(&laptop).await, before, "{how:?}");
    }
}
