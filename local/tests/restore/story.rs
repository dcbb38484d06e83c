//! A day in which much happens after the time to which the table is restored.

use std::path::PathBuf;
use std::sync::Arc;

use local::restore::{Copied, on_laptop};
use local::settings::Settings;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::domain::conversation::ConversationId;
use shared::service::restore::Restored;
use testkit::{Laptop, string, text};

use crate::{Folder, copy};

const RESTORED: &str = "maskline-restored";

/// The people of a conversation, and what they and their backend know of it.
struct Pair {
    people: [String; 2],
    body: Value,
}

impl Pair {
    fn path(&self) -> String {
        format!("/conversations/{}", text(&self.body, "/id"))
    }

    fn id(&self) -> ConversationId {
        text(&self.body, "/id").try_into().unwrap()
    }

    /// The number that a side dials, or sees if it only receives.
    fn number(&self, side: usize) -> String {
        match self.body["participants"][side]["dials"].as_str() {
            Some(dials) => dials.to_owned(),
            None => string(&self.body["participants"][1 - side]["masked_by"]),
        }
    }
}

/// Creates a conversation of two people, with more members of the body.
async fn create(laptop: &Laptop, people: [&str; 2], more: Value) -> Pair {
    let mut order =
        json!({"participants": people.map(|digits| json!({"number": format!("+{digits}")})), "notify": false});
    order.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    Pair { people: people.map(str::to_owned), body: created.body }
}

/// Returns the phone that a call reaches.
async fn reached(laptop: &Laptop, from: &str, to: &str) -> Option<String> {
    let call = json!({"from": from, "to": to, "uuid": "u", "conversation_uuid": "CON-1"});
    let answer = laptop.signed_post("/webhooks/answer", &call.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body[1]["endpoint"][0]["number"].as_str().map(str::to_owned)
}

/// Returns what a caller hears who reaches nobody.
async fn heard(laptop: &Laptop, from: &str, to: &str) -> String {
    let call = json!({"from": from, "to": to, "uuid": "u", "conversation_uuid": "CON-1"});
    let answer = laptop.signed_post("/webhooks/answer", &call.to_string()).await;
    assert_eq!(answer.body.as_array().map(Vec::len), Some(1), "{answer:?}");
    string(&answer.body[0]["text"])
}

/// The two calls of a pair.
async fn reach_each_other(laptop: &Laptop, pair: &Pair) -> [Option<String>; 2] {
    let [a, b] = &pair.people;
    [reached(laptop, a, &pair.number(0)).await, reached(laptop, b, &pair.number(1)).await]
}

/// Checks that nobody of a pair is connected, and both hear that the conversation is over.
async fn assert_over(laptop: &Laptop, pair: &Pair, what: &str) {
    for side in [0, 1] {
        let words = heard(laptop, &pair.people[side], &pair.number(side)).await;
        // In English, or in French for French phones.
        assert!(words.contains("has ended") || words.contains("n'est plus valable"), "{what}: {words}");
    }
}

fn person(index: usize) -> String {
    format!("447700900{index:03}")
}

/// The conversations at the time to which the table is restored.
struct Before {
    untouched: Pair,
    ended: Pair,
    erased: Pair,
    extended: Pair,
    moved: Pair,
    healed: Pair,
    limited: Pair,
    blocked: Pair,
    one_way: Pair,
}

impl Before {
    async fn create(laptop: &Laptop) -> Self {
        let none = || json!({});
        let pair = async |first: usize, more: Value| create(laptop, [&person(first), &person(first + 1)], more).await;
        Self {
            untouched: pair(1, none()).await,
            ended: pair(3, none()).await,
            erased: pair(5, json!({"reference": "ride of Ms Rider"})).await,
            extended: pair(7, json!({"expires_in": 3600})).await,
            moved: pair(9, none()).await,
            healed: create(laptop, ["33612345678", "33612345679"], none()).await,
            limited: pair(11, json!({"max_calls": 1})).await,
            blocked: pair(15, none()).await,
            one_way: pair(13, json!({"direction": "a_to_b"})).await,
        }
    }
}

/// The conversations since that time.
struct Since {
    live: Pair,
    ended: Pair,
    erased: Pair,
    one_way: Pair,
    /// Of somebody who has a conversation from before too.
    of_known: Pair,
    /// The moved and the healed conversation as they are now.
    moved: Pair,
    healed: Pair,
    /// The number that Vonage took away, and the one that was rented.
    lost: String,
    rented: String,
    extended_until: String,
}

const NEW_PHONE: &str = "447700900099";

impl Since {
    async fn happen(laptop: &Laptop, before: &Before) -> Self {
        assert_eq!(laptop.delete(&before.ended.path()).await.status, 200);
        laptop.call(json!({"from": person(5), "to": before.erased.number(0)})).await;
        assert_eq!(laptop.delete(&format!("{}?erase=true", before.erased.path())).await.status, 204);
        let extended = laptop.patch(&before.extended.path(), &json!({"expires_in": 500_000})).await;
        assert_eq!(extended.status, 200, "{extended:?}");
        let change = json!({"participants": [{"number": format!("+{NEW_PHONE}")}, null]});
        let moved = laptop.patch(&before.moved.path(), &change).await;
        assert_eq!(moved.status, 200, "{moved:?}");
        let people = [NEW_PHONE.to_owned(), person(10)];
        let moved = Pair { people, body: moved.body };

        let lost = before.healed.number(0);
        let cancelled = laptop.vonage_form("/number/cancel", &[("country", "FR"), ("msisdn", &lost)]).await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        let report = laptop.run_schedule().await;
        assert_eq!(report["lost"], json!([lost]), "{report}");
        let healed = laptop.get(&before.healed.path()).await.body;
        let healed = Pair { people: before.healed.people.clone(), body: healed };
        assert_ne!(healed.number(0), lost, "it was healed");

        laptop.call(json!({"from": person(11), "to": before.limited.number(0), "talk_seconds": 30})).await;
        let blocked = laptop
            .patch(&before.blocked.path(), &json!({"blocked": "a", "missed_calls": ["say"], "text_masking": "refuse"}))
            .await;
        assert_eq!(blocked.status, 200, "{blocked:?}");
        let limited = laptop.get(&before.limited.path()).await.body;
        assert!(limited["limit_reached_at"].is_string(), "{limited}");
        let numbers = async || {
            let owned = laptop.owned_numbers().await;
            owned.iter().map(|number| string(&number["msisdn"])).collect::<std::collections::BTreeSet<_>>()
        };
        let known = numbers().await;
        laptop.rent("GB", 5).await;
        let rented = numbers().await.difference(&known).next().unwrap().clone();

        let pair = async |first: usize, more: Value| create(laptop, [&person(first), &person(first + 1)], more).await;
        let (ended, erased) = (pair(22, json!({})).await, pair(24, json!({})).await);
        assert_eq!(laptop.delete(&ended.path()).await.status, 200);
        assert_eq!(laptop.delete(&format!("{}?erase=true", erased.path())).await.status, 204);
        Self {
            live: pair(20, json!({})).await,
            ended,
            erased,
            one_way: pair(26, json!({"direction": "a_to_b"})).await,
            of_known: create(laptop, [&person(1), &person(28)], json!({})).await,
            moved,
            healed,
            lost,
            rented,
            extended_until: string(&extended.body["expires_at"]),
        }
    }

    /// Returns the pairs whose conversations the restored table does not know.
    fn unknown(&self) -> [(&'static str, &Pair); 5] {
        [
            ("live", &self.live),
            ("ended", &self.ended),
            ("erased", &self.erased),
            ("one-way", &self.one_way),
            ("of a known person", &self.of_known),
        ]
    }
}

/// A data file in which the story has happened, and its copy from before.
struct Told {
    data: PathBuf,
    copy: PathBuf,
    clock: ManualClock,
    before: Before,
    since: Since,
}

async fn told(folder: &Folder) -> Told {
    let (data, backup) = (folder.file("table.db"), folder.file("copy.db"));
    let laptop = Laptop::builder().data(&data, "maskline").numbers("GB", 4).numbers("FR", 3).start().await;
    let before = Before::create(&laptop).await;
    laptop.run_schedule().await;
    let clock = laptop.clock.clone();
    laptop.stack.stop().await;
    copy(&data, &backup);

    clock.advance(jiff::SignedDuration::from_mins(10));
    let laptop = Laptop::builder().data(&data, "maskline").clock(&clock).start().await;
    let since = Since::happen(&laptop, &before).await;
    laptop.table().await;
    laptop.stack.stop().await;
    Told { data, copy: backup, clock, before, since }
}

impl Told {
    async fn restore(&self) -> Restored {
        let copied = Copied { data: self.data.clone(), copy: self.copy.clone(), table: RESTORED.to_owned() };
        on_laptop(copied, Settings::default(), Arc::new(self.clock.clone())).await.unwrap()
    }

    /// Starts the functions on a table of the data file.
    async fn start(&self, table: &str) -> Laptop {
        Laptop::builder().data(&self.data, table).clock(&self.clock).start().await
    }
}

/// Puts the copy beside the present table, and repairs nothing.
async fn unrepaired(told: &Told) -> Laptop {
    let laptop = told.start("maskline-unrepaired").await;
    let copied = local::dynamodb::Dynamodb::open(Some(&told.copy)).unwrap();
    laptop.stack.database.as_ref().unwrap().copy_table(&copied, "maskline", "maskline-unrepaired").unwrap();
    laptop
}

#[tokio::test]
async fn table_without_a_repair_breaks_each_promise() {
    let folder = Folder::new();
    let told = told(&folder).await;
    let laptop = unrepaired(&told).await;
    let Told { before, since, .. } = &told;
    assert_eq!(laptop.get(&before.erased.path()).await.status, 200, "(a) what was erased is back");
    assert_eq!(reach_each_other(&laptop, &before.erased).await, [Some(person(6)), Some(person(5))]);
    for pair in [&before.ended, &before.moved, &before.limited] {
        let [a, b] = reach_each_other(&laptop, pair).await;
        assert!(a.is_some() && b.is_some(), "(b) what was ended connects");
    }
    let numbers = laptop.get("/numbers?country=FR").await.body;
    let states = numbers["countries"][0]["numbers"].as_array().unwrap().clone();
    let lost = states.iter().find(|number| number["number"] == since.lost).unwrap();
    assert_eq!(lost["state"], "ready", "(c) {lost}");
    for (what, pair) in since.unknown() {
        for side in [0, 1] {
            let keys = laptop.keys(&pair.people[side]).await;
            let number = pair.number(side);
            assert!(keys.iter().all(|key| key.as_str() != number), "(d) {what}: {number} is free for a stranger");
        }
    }
    // Nobody buys or releases numbers by what is not true any more.
    let asked = laptop.asked("/account/numbers").await;
    for report in [laptop.run_schedule().await, laptop.run_orders().await] {
        assert!(text(&report, "/failed").contains("maskline restore"), "{report}");
    }
    assert_eq!(laptop.asked("/account/numbers").await, asked);
    laptop.stack.stop().await;
}

#[tokio::test]
async fn repaired_table_keeps_each_promise() {
    let folder = Folder::new();
    let told = told(&folder).await;
    let restored = told.restore().await;
    assert!(restored.is_complete(), "{restored:?}");
    let moved = [told.before.moved.id(), told.before.healed.id()].into();
    assert_eq!(restored.ended_by_restore, moved, "what cannot be brought up");
    assert_eq!((restored.erased, restored.brought_up), (1, 5), "{restored:?}");
    assert_eq!(restored.kept_keys, 2 * 5 + 2, "five conversations, a new phone and a healed number: {restored:?}");
    let mut report = local::restore::report(&restored);
    // An id may have seven digits in a row.
    for id in &restored.ended_by_restore {
        report = report.replace(&id.to_string(), "");
    }
    let mut digits = report.split(|char: char| !char.is_ascii_digit());
    assert!(digits.all(|digits| digits.len() < 7), "no phone number: {report}");

    let again = told.restore().await;
    assert!(again.is_complete(), "{again:?}");
    assert_eq!(again.ended_by_restore, restored.ended_by_restore);
    assert_eq!((again.erased, again.brought_up, again.kept_keys, again.pool.lost.len()), (0, 0, 0, 0), "{again:?}");

    let laptop = told.start(RESTORED).await;
    laptop.table().await;
    nothing_erased_is_back(&laptop, &told).await;
    nothing_ended_connects(&laptop, &told).await;
    no_number_of_others_is_ready(&laptop, &told).await;
    no_key_leads_to_a_stranger(&laptop, &told).await;
    what_goes_on_goes_on(&laptop, &told).await;
    laptop.table().await;
    laptop.stack.stop().await;
}

async fn nothing_erased_is_back(laptop: &Laptop, told: &Told) {
    let Told { before, since, .. } = told;
    assert_eq!(laptop.get(&before.erased.path()).await.status, 404);
    assert_over(laptop, &before.erased, "erased").await;
    let table = laptop.table().await;
    assert!(table.items_with("ride of Ms Rider").is_empty());
    for pair in [&before.erased, &since.erased] {
        for phone in &pair.people {
            let items = table.items_with(phone);
            assert!(items.iter().all(|[pk, _]| *pk == format!("CALLER#{phone}")), "{items:?}");
        }
    }
    assert!(table.erasures.iter().any(|erasure| erasure.conversation == before.erased.id()), "Vonage is to redact");
}

async fn nothing_ended_connects(laptop: &Laptop, told: &Told) {
    let Told { before, since, .. } = told;
    for (what, pair) in [
        ("ended", &before.ended),
        ("moved, as before", &before.moved),
        ("moved, as it was", &since.moved),
        ("healed, as it was", &since.healed),
    ] {
        assert_over(laptop, pair, what).await;
    }
    for pair in [&before.ended, &before.moved, &before.healed] {
        assert_eq!(laptop.get(&pair.path()).await.body["state"], "ended");
    }
    assert_eq!(reach_each_other(laptop, &before.limited).await, [None, None]);
    assert_eq!(reach_each_other(laptop, &before.blocked).await, [None, Some(person(15))], "A is still blocked");
    let handled = laptop.get(&before.blocked.path()).await.body;
    assert_eq!(handled["text_masking"], "refuse");
    assert_eq!(handled["missed_calls"], json!(["say"]), "its calls are handled as they were: {handled}");
    let limited = laptop.get(&before.limited.path()).await.body;
    assert!(limited["limit_reached_at"].is_string(), "{limited}");
}

async fn no_number_of_others_is_ready(laptop: &Laptop, told: &Told) {
    let report = laptop.run_schedule().await;
    assert!(report.get("failed").is_none(), "the journal belongs to this table: {report}");
    let mut numbers = Vec::new();
    for country in laptop.get("/numbers").await.body["countries"].as_array().unwrap() {
        numbers.extend(country["numbers"].as_array().unwrap().clone());
    }
    let state = |digits: &str| {
        let found = numbers.iter().find(|number| number["number"] == digits);
        found.map(|number| string(&number["state"]))
    };
    assert_eq!(state(&told.since.lost).as_deref(), Some("lost"));
    assert_eq!(state(&told.since.rented).as_deref(), Some("ready"), "it was adopted");
}

async fn no_key_leads_to_a_stranger(laptop: &Laptop, told: &Told) {
    for (what, pair) in told.since.unknown() {
        assert_eq!(laptop.get(&pair.path()).await.status, 404, "{what}");
        for side in [0, 1] {
            let words = heard(laptop, &pair.people[side], &pair.number(side)).await;
            let is_right = words.contains("has ended") || what == "one-way" && words.contains("does not take calls");
            assert!(is_right, "{what}: {words}");
            // Neither the same two people nor a stranger gets the number.
            let theirs = create(laptop, [&pair.people[side], &pair.people[1 - side]], json!({})).await;
            let strangers = create(laptop, [&pair.people[side], &person(40 + side)], json!({})).await;
            for next in [&theirs, &strangers] {
                assert_ne!(next.number(0), pair.number(side), "{what}");
            }
            assert_ne!(theirs.number(1), pair.number(1 - side), "{what}");
        }
    }
}

async fn what_goes_on_goes_on(laptop: &Laptop, told: &Told) {
    let Told { before, since, .. } = told;
    assert_eq!(reach_each_other(laptop, &before.untouched).await, [Some(person(2)), Some(person(1))]);
    assert_eq!(reached(laptop, &person(13), &before.one_way.number(0)).await, Some(person(14)));
    let extended = laptop.get(&before.extended.path()).await.body;
    assert_eq!((text(&extended, "/state"), text(&extended, "/expires_at")), ("active", &*since.extended_until));
    laptop.advance(4000);
    assert_eq!(reach_each_other(laptop, &before.extended).await, [Some(person(8)), Some(person(7))]);
    // An hour later Vonage redacts what it has of the erased conversation, as far as the restored table knows it.
    laptop.stack.run_erasure_schedule().await.unwrap();
    assert!(laptop.table().await.erasures.is_empty());
}
