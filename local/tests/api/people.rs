//! `GET /conversations?number=`: the conversations of a phone.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

const OTHER: &str = "447700900009";

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

fn pair(a: &str, b: &str) -> Value {
    json!({"participants": [{"number": format!("+{a}")}, {"number": format!("+{b}")}], "notify": false})
}

async fn create(laptop: &Laptop, order: &Value) -> Value {
    // Ids of different milliseconds are in the order of their creations.
    laptop.advance(1);
    let created = laptop.post("/conversations", order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Returns the answer for a phone, with more parameters.
async fn list(laptop: &Laptop, phone: &str, more: &str) -> Value {
    let listed = laptop.get(&format!("/conversations?number=%2B{phone}{more}")).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.body
}

fn ids(listed: &Value) -> Vec<&str> {
    listed["conversations"].as_array().unwrap().iter().map(|conversation| text(conversation, "/id")).collect()
}

async fn ids_of(laptop: &Laptop, phone: &str) -> Vec<String> {
    ids(&list(laptop, phone, "").await).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn list_has_all_conversations_of_a_phone_newest_first() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let first = create(&laptop, &pair(RIDER, DRIVER)).await;
    let second = create(&laptop, &pair(OTHER, RIDER)).await;
    create(&laptop, &pair(OTHER, DRIVER)).await;
    let listed = list(&laptop, RIDER, "").await;
    assert_eq!(ids(&listed), [text(&second, "/id"), text(&first, "/id")]);
    assert!(listed.get("next").is_none(), "{listed}");
    for conversation in listed["conversations"].as_array().unwrap() {
        let mut shown = laptop.get(&path(conversation)).await.body;
        shown.as_object_mut().unwrap().remove("calls");
        assert_eq!(*conversation, shown, "as it is shown by itself, but without calls");
    }
    let nobody = list(&laptop, "447700900999", "").await;
    assert_eq!(nobody, json!({"conversations": []}));
    let national = laptop.get("/conversations?number=07700%20900001&country=GB").await;
    assert_eq!(national.body, listed);
}

#[tokio::test]
async fn list_shows_usage_and_losses_as_read_of_one_does() {
    let laptop = Laptop::builder().env(&[("HEAL_LOST_NUMBERS", "off")]).numbers("GB", 2).start().await;
    let mut order = pair(RIDER, DRIVER);
    order["max_calls"] = json!(9);
    let conversation = create(&laptop, &order).await;
    let dials = text(&conversation, "/participants/0/dials");
    laptop.call(json!({"from": RIDER, "to": dials, "talk_seconds": 42})).await;
    let form = [("country", "GB"), ("msisdn", dials)];
    assert_eq!(laptop.vonage_form("/number/cancel", &form).await.status, 200);
    laptop.advance(3600);
    laptop.run_schedule().await;
    let listed = list(&laptop, RIDER, "").await;
    let mut shown = laptop.get(&path(&conversation)).await.body;
    shown.as_object_mut().unwrap().remove("calls");
    assert_eq!(listed["conversations"], json!([shown]));
    assert_eq!(shown["usage"]["calls"], 1);
    assert!(shown["participants"][0]["dials_lost_since"].is_string(), "{shown}");
}

#[tokio::test]
async fn list_finds_former_phones_receivers_and_ended_ones() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let mut order = pair(RIDER, DRIVER);
    order["direction"] = json!("a_to_b");
    let one_way = create(&laptop, &order).await;
    let id = text(&one_way, "/id").to_owned();
    assert_eq!(ids_of(&laptop, DRIVER).await, [id.as_str()], "who only receives");
    let new_phone = json!({"participants": [{"number": format!("+{OTHER}")}, null]});
    assert_eq!(laptop.patch(&path(&one_way), &new_phone).await.status, 200);
    assert_eq!(laptop.delete(&path(&one_way)).await.status, 200);
    for phone in [RIDER, OTHER, DRIVER] {
        assert_eq!(ids_of(&laptop, phone).await, [id.as_str()], "{phone}");
    }
    // 30 days after its quarantine of one day.
    laptop.advance(31 * 86_400 - 1);
    assert_eq!(ids_of(&laptop, RIDER).await, [id.as_str()]);
    laptop.advance(1);
    assert_eq!(ids_of(&laptop, RIDER).await, [""; 0]);
}

#[tokio::test]
async fn change_of_the_end_leaves_the_list_as_it_is() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = create(&laptop, &pair(RIDER, DRIVER)).await;
    let new_phone = json!({"participants": [{"number": format!("+{OTHER}")}, null]});
    laptop.patch(&path(&conversation), &new_phone).await;
    let before = laptop.table().await.participations;
    assert_eq!(before.len(), 3);
    for expires_in in [100 * 86_400, 3_600, 50 * 86_400] {
        assert_eq!(laptop.patch(&path(&conversation), &json!({"expires_in": expires_in})).await.status, 200);
    }
    laptop.delete(&path(&conversation)).await;
    assert_eq!(laptop.table().await.participations, before);
}

#[tokio::test]
async fn pages_have_every_conversation_once() {
    let laptop = Laptop::builder().numbers("GB", 8).start().await;
    let mut created = Vec::new();
    for person in 0..7 {
        created.push(text(&create(&laptop, &pair(RIDER, &format!("44770090002{person}"))).await, "/id").to_owned());
    }
    created.reverse();
    for limit in [1, 2, 3, 6, 7, 100] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = list(&laptop, RIDER, &format!("&limit={limit}{cursor}")).await;
            assert!(ids(&page).len() <= limit);
            found.extend(ids(&page).into_iter().map(str::to_owned));
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            assert!(!next.contains("900001") && created.iter().any(|id| id == next), "{next}");
            cursor = format!("&cursor={next}");
        }
        assert_eq!((&found, pages), (&created, 7_usize.div_ceil(limit)), "{limit}");
    }
    // A new one is before the page, and an erased one is missing.
    laptop.delete(&format!("/conversations/{}?erase=true", created[1])).await;
    create(&laptop, &pair(RIDER, "447700900030")).await;
    let page = list(&laptop, RIDER, &format!("&limit=2&cursor={}", created[0])).await;
    assert_eq!(ids(&page), [created[2].as_str(), created[3].as_str()]);
}

#[tokio::test]
async fn both_spellings_of_a_phone_have_one_list() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 2)
        .start()
        .await;
    let conversation = create(&laptop, &pair("5491123456789", DRIVER)).await;
    let respelled = json!({"participants": [{"number": "+541123456789"}, null]});
    for _ in 0..2 {
        for spelling in ["541123456789", "5491123456789"] {
            assert_eq!(ids_of(&laptop, spelling).await, [text(&conversation, "/id")], "{spelling}");
        }
        assert_eq!(items_of_lists(&laptop).await, 2);
        assert_eq!(laptop.patch(&path(&conversation), &respelled).await.status, 200);
    }
    laptop.delete(&format!("{}?erase=true", path(&conversation))).await;
    assert_eq!(items_of_lists(&laptop).await, 0);
}

/// Returns the number of items in the lists of all phones.
async fn items_of_lists(laptop: &Laptop) -> usize {
    laptop.items().await.iter().filter(|item| text(item, "/pk/S").starts_with("PHONE#")).count()
}

#[tokio::test]
async fn wrong_parameters_are_refused_and_not_repeated() {
    let laptop = Laptop::start().await;
    for (query, field) in [
        ("", "number"),
        ("number=", "number"),
        ("number=hello", "number"),
        ("number=+447700900001&country=GB", "number"),
        ("number=%2B447700900001&number=%2B447700900002", "number"),
        ("number=07700900001", "country"),
        ("number=07700900001&country=UK", "country"),
        ("number=%2B447700900001&country=FR", "country"),
        ("number=%2B447700900001&limit=0", "limit"),
        ("number=%2B447700900001&limit=101", "limit"),
        ("number=%2B447700900001&limit=all", "limit"),
        ("number=%2B447700900001&cursor=447700900001", "cursor"),
        ("number=%2B447700900001&cursor=", "cursor"),
        ("number=%2B447700900001&after=1", "after"),
        ("number=%2B447700900001&447700900001=", ""),
    ] {
        let refused = laptop.get(&format!("/conversations?{query}")).await;
        let field_at_fault = refused.body["field"].as_str().unwrap_or_default();
        assert_eq!((refused.status, field_at_fault), (422, field), "{query}: {refused:?}");
        assert!(!refused.body.to_string().contains("900001"), "{refused:?}");
    }
}

#[tokio::test]
async fn conversation_may_have_had_more_phones_than_a_transaction() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = create(&laptop, &pair(RIDER, DRIVER)).await;
    for person in 100..220 {
        let phone = json!({"participants": [{"number": format!("+447700900{person}")}, null]});
        assert_eq!(laptop.patch(&path(&conversation), &phone).await.status, 200);
    }
    assert_eq!(laptop.patch(&path(&conversation), &json!({"expires_in": 9 * 86_400})).await.status, 200);
    assert_eq!(laptop.table().await.participations.len(), 122);
    assert_eq!(laptop.delete(&path(&conversation)).await.status, 200);
    laptop.table().await;
    for phone in [RIDER, "447700900150", "447700900219"] {
        assert_eq!(ids_of(&laptop, phone).await.len(), 1, "{phone}");
    }
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&conversation))).await.status, 204);
    assert!(laptop.table().await.participations.is_empty());
}

#[tokio::test]
async fn list_may_have_conversations_of_one_state_only() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let ended = create(&laptop, &pair(RIDER, DRIVER)).await;
    assert_eq!(laptop.delete(&path(&ended)).await.status, 200);
    let mut short = pair(RIDER, DRIVER);
    short["expires_in"] = json!(60);
    let expired = create(&laptop, &short).await;
    laptop.advance(61);
    let active = create(&laptop, &pair(RIDER, DRIVER)).await;
    for (state, conversation) in [("ended", &ended), ("expired", &expired), ("active", &active)] {
        let page = laptop.get(&format!("/conversations?number=%2B{RIDER}&state={state}")).await.body;
        let ids: Vec<_> = page["conversations"].as_array().unwrap().iter().map(|found| &found["id"]).collect();
        assert_eq!(ids, [&conversation["id"]], "{state}");
    }
    // A page is read before its states are looked at, so it may be empty and not the last one.
    let page = laptop.get(&format!("/conversations?number=%2B{RIDER}&state=ended&limit=1")).await.body;
    assert_eq!((&page["conversations"], page["next"].is_null()), (&json!([]), false), "{page}");
}
