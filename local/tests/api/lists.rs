//! `GET /conversations` without a phone: by reference, by virtual number, by time, and all.

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::conversation::ConversationId;
use testkit::{Builder, DRIVER, Laptop, RIDER, string, text};

use crate::healing::{dials, read};

fn builder() -> Builder {
    Laptop::builder().env(&[("LIST_CONVERSATIONS", "on")])
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

fn pair(a: &str, b: &str, reference: Option<&str>) -> Value {
    let participants = json!([{"number": format!("+{a}")}, {"number": format!("+{b}")}]);
    json!({"participants": participants, "notify": false, "reference": reference})
}

/// Creates a conversation a second after the one before.
async fn create(laptop: &Laptop, order: &Value) -> Value {
    create_in(laptop, "", order).await
}

async fn create_in(laptop: &Laptop, scope: &str, order: &Value) -> Value {
    laptop.advance(1);
    let created = laptop.post(&format!("{scope}/conversations"), order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Creates conversations of the rider, with others.
async fn create_some(laptop: &Laptop, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for nth in 0..count {
        all.push(create(laptop, &pair(RIDER, &format!("447700900{}", 100 + nth), None)).await);
    }
    all
}

async fn list(laptop: &Laptop, query: &str) -> Value {
    list_in(laptop, "", query).await
}

async fn list_in(laptop: &Laptop, scope: &str, query: &str) -> Value {
    let listed = laptop.get(&format!("{scope}/conversations?{query}")).await;
    assert_eq!(listed.status, 200, "{query}: {listed:?}");
    listed.body
}

fn ids(page: &Value) -> Vec<String> {
    page["conversations"].as_array().unwrap().iter().map(|conversation| string(&conversation["id"])).collect()
}

/// Returns the ids of all pages, and the number of pages.
async fn pages(laptop: &Laptop, scope: &str, query: &str) -> (Vec<String>, usize) {
    let (mut found, mut count, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = list_in(laptop, scope, &format!("{query}{cursor}")).await;
        found.extend(ids(&page));
        count += 1;
        assert!(count < 100, "the pages never end: {page}");
        let Some(next) = page["next"].as_str() else { return (found, count) };
        cursor = format!("&cursor={next}");
    }
}

/// Returns the ids of conversations, the last one first.
fn newest_first<'c>(conversations: impl IntoIterator<Item = &'c Value>) -> Vec<String> {
    let mut ids: Vec<_> = conversations.into_iter().map(|conversation| string(&conversation["id"])).collect();
    ids.reverse();
    ids
}

#[tokio::test]
async fn deployment_without_lists_says_what_to_switch_on() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = create(&laptop, &pair(RIDER, DRIVER, Some("ride-42"))).await;
    for query in ["", "reference=ride-42", "masked_by=%2B447451000001", "state=active", "limit=1"] {
        let refused = laptop.get(&format!("/conversations?{query}")).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "number"), "{query}: {refused:?}");
        assert!(text(&refused.body, "/detail").contains("LIST_CONVERSATIONS"), "{refused:?}");
    }
    assert!(laptop.table().await.lists.is_empty());
    // What is read anyway can be chosen from.
    for (query, is_shown) in [("reference=ride-42", true), ("reference=ride-43", false), ("reference=Ride-42", false)] {
        let listed = list(&laptop, &format!("number=%2B{RIDER}&{query}")).await;
        assert_eq!(!ids(&listed).is_empty(), is_shown, "{query}");
    }
    let masked_by = format!("number=%2B{RIDER}&masked_by=%2B{}", dials(&conversation, 0));
    assert_eq!(ids(&list(&laptop, &masked_by).await), [text(&conversation, "/id")]);
}

#[tokio::test]
async fn lists_have_what_each_filter_and_all_together_ask_for() {
    let laptop = builder().numbers("GB", 4).start().await;
    let first = create(&laptop, &pair(RIDER, DRIVER, Some("Fahrt 42 – Köln"))).await;
    let second = create(&laptop, &pair(RIDER, "447700900103", Some("ride-43"))).await;
    let third = create(&laptop, &pair("447700900104", "447700900105", Some("ride-43"))).await;
    assert_eq!(laptop.delete(&path(&second)).await.status, 200);
    let all = [&first, &second, &third];
    let everything = list(&laptop, "").await;
    assert_eq!((ids(&everything), everything.get("next")), (newest_first(all), None));
    for (shown, conversation) in everything["conversations"].as_array().unwrap().iter().rev().zip(all) {
        let mut read = read(&laptop, conversation).await;
        read.as_object_mut().unwrap().remove("calls");
        assert_eq!(*shown, read, "as it is shown by itself, but without calls");
    }
    for (query, expected) in [
        ("reference=Fahrt%2042%20%E2%80%93%20K%C3%B6ln", vec![&first]),
        ("reference=ride-43", vec![&second, &third]),
        ("reference=ride-4", vec![]),
        ("reference=ride-43&state=active", vec![&third]),
        ("reference=ride-43&state=ended", vec![&second]),
        ("reference=ride-43&number=%2B447700900001", vec![&second]),
        ("state=active", vec![&first, &third]),
        ("number=%2B447700900001&state=active", vec![&first]),
    ] {
        assert_eq!(ids(&list(&laptop, query).await), newest_first(expected), "{query}");
    }
    for side in [0, 1] {
        let number = dials(&third, side);
        let of_number = all.into_iter().filter(|one| [dials(one, 0), dials(one, 1)].contains(&number));
        for plus in ["%2B", "+", "%20"] {
            assert_eq!(
                ids(&list(&laptop, &format!("masked_by={plus}{number}")).await),
                newest_first(of_number.clone())
            );
        }
        let both = list(&laptop, &format!("masked_by=%2B{number}&reference=ride-43&state=active")).await;
        assert_eq!(ids(&both), [text(&third, "/id")]);
    }
    laptop.table().await;
}

#[tokio::test]
async fn times_bound_every_list() {
    let laptop = builder().numbers("GB", 4).start().await;
    let all = create_some(&laptop, 3).await;
    let created = |nth: usize| text(&all[nth], "/created_at");
    let number = format!("number=%2B{RIDER}&limit=1");
    for list_of in ["limit=1", &number] {
        for (query, expected) in [
            (format!("created_from={}", created(1)), &all[1..]),
            (format!("created_until={}", created(1)), &all[..1]),
            (format!("created_from={}&created_until={}", created(1), created(2)), &all[1..2]),
            ("created_from=2999-01-01T00:00:00Z".to_owned(), &[]),
            ("created_until=1970-01-01T00:00:00Z".to_owned(), &[]),
            ("created_until=1969-01-01T00:00:00Z".to_owned(), &[]),
        ] {
            let found = pages(&laptop, "", &format!("{list_of}&{query}")).await.0;
            assert_eq!(found, newest_first(expected), "{list_of} {query}");
        }
    }
    // A cursor outside of the times leaves them as they are.
    let newest = text(&all[2], "/id");
    let older = list(&laptop, &format!("created_from={}&cursor={newest}", created(1))).await;
    assert_eq!(ids(&older), [text(&all[1], "/id")]);
    let none = list(&laptop, &format!("created_from={}&cursor={newest}", created(2))).await;
    assert_eq!(none, json!({"conversations": []}));
}

#[tokio::test]
async fn pages_of_all_have_every_conversation_once() {
    let laptop = builder().numbers("GB", 12).start().await;
    let expected = newest_first(&create_some(&laptop, 11).await);
    for limit in [1, 2, 3, 10, 11, 100] {
        let (found, count) = pages(&laptop, "", &format!("limit={limit}")).await;
        assert_eq!((&found, count), (&expected, 11_usize.div_ceil(limit)), "{limit}");
    }
    let first_page = list(&laptop, "limit=4").await;
    let next = text(&first_page, "/next");
    // A new one is before the page, and an erased one is missing.
    laptop.delete(&format!("/conversations/{}?erase=true", expected[5])).await;
    create(&laptop, &pair(DRIVER, "447700900199", None)).await;
    let second_page = list(&laptop, &format!("limit=2&cursor={next}")).await;
    assert_eq!(ids(&second_page), [expected[4].as_str(), expected[6].as_str()]);
}

#[tokio::test]
async fn pages_without_a_match_go_on_to_the_end() {
    let laptop = builder().numbers("GB", 8).start().await;
    let all = create_some(&laptop, 7).await;
    assert_eq!(laptop.delete(&path(&all[0])).await.status, 200);
    let page = list(&laptop, "state=ended&limit=2").await;
    assert_eq!((ids(&page).len(), page["next"].is_string()), (0, true), "{page}");
    let (found, count) = pages(&laptop, "", "state=ended&limit=2").await;
    assert_eq!((found, count), (newest_first([&all[0]]), 4));
}

#[tokio::test]
async fn number_that_was_rotated_keeps_its_conversations() {
    let quick = [("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "100")];
    let laptop = builder().env(&quick).numbers("GB", 3).start().await;
    let listed = create(&laptop, &pair(RIDER, DRIVER, None)).await;
    let (old, kept) = (dials(&listed, 0), dials(&listed, 1));
    assert_eq!(laptop.post(&format!("/numbers/{old}/rotate"), &json!({})).await.status, 200);
    laptop.advance(1);
    laptop.run_schedule().await;
    let new = dials(&read(&laptop, &listed).await, 0);
    assert_ne!(new, old);
    for number in [&old, &kept, &new] {
        let found = list(&laptop, &format!("masked_by=%2B{number}")).await;
        assert_eq!(ids(&found), [text(&listed, "/id")], "{number}");
    }
    assert_eq!(laptop.table().await.lists.len(), 4, "of all, and of three numbers");
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&listed))).await.status, 204);
    assert!(laptop.table().await.lists.is_empty());
}

#[tokio::test]
async fn reference_is_in_no_list_and_erasure_leaves_nothing() {
    let laptop = builder().numbers("GB", 6).start().await;
    let reference = "ride of Ms Rider";
    let mut short = pair(RIDER, DRIVER, Some(reference));
    short["expires_in"] = json!(60);
    for order in [pair(RIDER, DRIVER, Some(reference)), pair(RIDER, "447700900103", None), short] {
        create(&laptop, &order).await;
    }
    let table = laptop.table().await;
    assert_eq!(table.lists.len(), 4 + 3 + 4);
    let items = table.items_with(reference);
    assert!(items.len() == 2 && items.iter().all(|[_, sk]| sk == "CONVERSATION"), "{items:?}");
    let newest = list(&laptop, "limit=1").await;
    assert_eq!(laptop.delete(&format!("/conversations/{}?erase=true", ids(&newest)[0])).await.status, 204);
    assert_eq!(ids(&list(&laptop, "").await).len(), 2);
    laptop.post("/erasures", &json!({"number": "+447700900103"})).await;
    assert_eq!(laptop.table().await.lists.len(), 4);
    // The end of retention: hidden at once, deleted by the schedule.
    laptop.advance(33 * 86_400);
    assert_eq!(list(&laptop, "").await, json!({"conversations": []}));
    laptop.stack.run_erasure_schedule().await.unwrap();
    assert!(laptop.table().await.lists.is_empty());
}

#[tokio::test]
async fn conversation_is_erased_whatever_the_setting_is_then() {
    let laptop = builder().numbers("GB", 3).start().await;
    let listed = create(&laptop, &pair(RIDER, DRIVER, Some("ride-42"))).await;
    let builder = Laptop::builder().env(&[("HASH_KEY", "another-hash-key-of-32-characters")]);
    let without = builder.beside(&laptop, "maskline").start().await;
    let other = create(&without, &pair(RIDER, "447700900103", Some("ride-42"))).await;
    assert_eq!(laptop.table().await.lists.len(), 4);
    // It is in the list of its phones only.
    assert_eq!(ids(&list(&laptop, "").await), [text(&listed, "/id")]);
    assert_eq!(ids(&list(&laptop, &format!("number=%2B{RIDER}")).await), newest_first([&listed, &other]));
    for conversation in [&listed, &other] {
        assert_eq!(without.delete(&format!("{}?erase=true", path(conversation))).await.status, 204);
    }
    assert!(laptop.table().await.lists.is_empty());
}

/// Starts a laptop with lists, on which the deployment itself and two tenants have two numbers each.
async fn with_tenants() -> Laptop {
    let laptop = builder().numbers("GB", 2).start().await;
    for tenant in ["acme", "beta"] {
        let ordered = laptop.post(&format!("/t/{tenant}/numbers"), &json!({"country": "GB", "count": 2})).await;
        assert_eq!(ordered.body["ready"], 2, "{ordered:?}");
    }
    laptop
}

#[tokio::test]
async fn tenant_lists_its_own_and_the_deployment_all() {
    let laptop = with_tenants().await;
    let order = pair(RIDER, DRIVER, Some("ride-42"));
    let mut all = Vec::new();
    for _ in 0..2 {
        for scope in ["", "/t/acme", "/t/beta"] {
            all.push(create_in(&laptop, scope, &order).await);
        }
    }
    for query in ["limit=1", "reference=ride-42&limit=1", "reference=ride-42&state=active", ""] {
        assert_eq!(pages(&laptop, "", query).await.0, newest_first(&all), "{query}");
        for (scope, own) in [("/t/acme", [&all[1], &all[4]]), ("/t/beta", [&all[2], &all[5]])] {
            assert_eq!(pages(&laptop, scope, query).await.0, newest_first(own), "{scope} {query}");
        }
        assert_eq!(pages(&laptop, "/t/none", query).await, (Vec::new(), 1), "{query}");
    }
    let number = dials(&all[1], 0);
    let query = format!("masked_by=%2B{number}");
    let of_acme = newest_first([&all[1], &all[4]]);
    assert_eq!(ids(&list(&laptop, &query).await), of_acme);
    assert_eq!(ids(&list_in(&laptop, "/t/acme", &query).await), of_acme);
    assert_eq!(ids(&list_in(&laptop, "/t/beta", &query).await), [""; 0]);
    laptop.table().await;
}

#[tokio::test]
async fn thousands_of_others_take_pages_and_show_none_of_their_ids() {
    let laptop = with_tenants().await;
    let own = create_in(&laptop, "/t/acme", &pair(RIDER, DRIVER, None)).await;
    let (number, since) = (dials(&own, 0), laptop.clock_now());
    let of_other = |nth: i64| {
        let at = Timestamp::from_millisecond(since.as_millisecond() + 1 + nth / 3).unwrap();
        let sk = format!("CONVERSATION#{}", ConversationId::generate(at));
        json!({"PutRequest": {"Item": {"pk": {"S": format!("LIST#NUMBER#{number}")}, "sk": {"S": sk},
                                       "v": {"N": "1"}, "tenant": {"S": "beta"}}}})
    };
    let others: Vec<Value> = (0..5_100).map(of_other).collect();
    for some in others.chunks(25) {
        let written = laptop.dynamodb("BatchWriteItem", json!({"RequestItems": {"maskline": some}})).await;
        assert_eq!(written.status, 200, "{written:?}");
    }
    let query = format!("masked_by=%2B{number}");
    let first = list_in(&laptop, "/t/acme", &query).await;
    let next = text(&first, "/next").to_owned();
    assert!(ids(&first).is_empty() && next.ends_with("0000000000000000"), "only a time: {first}");
    let second = list_in(&laptop, "/t/acme", &format!("{query}&cursor={next}")).await;
    assert_eq!((ids(&second), second.get("next")), (newest_first([&own]), None));
}

#[tokio::test]
async fn wrong_parameters_of_lists_are_refused() {
    let laptop = builder().start().await;
    for (query, field) in [
        ("country=GB", "country"),
        ("reference=", "reference"),
        ("reference=a%22b", "reference"),
        ("reference=a&reference=b", "reference"),
        ("masked_by=447451000001", "masked_by"),
        ("masked_by=hello", "masked_by"),
        ("masked_by=", "masked_by"),
        ("state=over", "state"),
        ("created_from=yesterday", "created_from"),
        ("created_until=2026-11-25", "created_until"),
        ("created_from=2026-11-25T00:00:00Z&created_until=2026-11-25T00:00:00Z", "created_until"),
        ("cursor=1", "cursor"),
        ("limit=101", "limit"),
        ("refrence=a", "refrence"),
    ] {
        let refused = laptop.get(&format!("/conversations?{query}")).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, field), "{query}: {refused:?}");
    }
}
