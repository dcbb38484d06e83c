//! `GET /conversations/{id}/texts`: all texts of a conversation in pages.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, string, text};

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Has the two people write to each other in turn, a text a second.
async fn write(laptop: &Laptop, conversation: &Value, count: usize) {
    for nth in 0..count {
        laptop.advance(1);
        let (from, side) = if nth.is_multiple_of(2) { (RIDER, 0) } else { (DRIVER, 1) };
        let dials = &conversation["participants"][side]["dials"];
        laptop.text(json!({"from": from, "to": dials, "text": "Hello"})).await;
    }
}

async fn page(laptop: &Laptop, conversation: &Value, query: &str) -> Value {
    let listed = laptop.get(&format!("{}/texts?{query}", path(conversation))).await;
    assert_eq!(listed.status, 200, "{query}: {listed:?}");
    listed.body
}

/// Returns the texts of all pages, and the number of pages.
async fn pages(laptop: &Laptop, conversation: &Value, limit: usize) -> (Vec<Value>, usize) {
    let (mut found, mut count, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = page(laptop, conversation, &format!("limit={limit}{cursor}")).await;
        found.extend(page["texts"].as_array().unwrap().iter().cloned());
        count += 1;
        assert!(count < 100, "the pages never end: {page}");
        let Some(next) = page["next"].as_str() else { return (found, count) };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn pages_of_texts_have_every_text_once_latest_first() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    assert_eq!(page(&laptop, &conversation, "").await, json!({"texts": []}));
    write(&laptop, &conversation, 6).await;
    laptop.advance(1);
    let written = laptop.request(reqwest::Method::POST, &format!("{}/texts", path(&conversation)));
    let written = written.header("Idempotency-Key", "k").body(json!({"to": "a", "text": "Hello"}).to_string());
    assert_eq!(laptop.answer(written).await.status, 201);
    let shown = laptop.get(&path(&conversation)).await.body["texts"].clone();
    let all = shown.as_array().unwrap();
    let from: Vec<_> = all.iter().map(|one| text(one, "/from")).collect();
    assert_eq!(from, ["backend", "b", "a", "b", "a", "b", "a"]);
    for limit in [1, 2, 3, 6, 7, 100] {
        let (found, count) = pages(&laptop, &conversation, limit).await;
        assert_eq!((&found, count), (all, 7_usize.div_ceil(limit)), "{limit}");
    }
    // One that comes meanwhile is before the page.
    let cursor = format!("limit=2&cursor={}", text(&all[1], "/id"));
    let before = page(&laptop, &conversation, &cursor).await;
    write(&laptop, &conversation, 1).await;
    assert_eq!(page(&laptop, &conversation, &cursor).await, before);
    assert_eq!(before["texts"], json!(all[2..4]));
}

#[tokio::test]
async fn more_texts_than_a_conversation_shows_are_in_pages() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    write(&laptop, &conversation, 52).await;
    let shown = laptop.get(&path(&conversation)).await.body;
    assert_eq!((shown["texts"].as_array().unwrap().len(), &shown["texts_cut"]), (50, &json!(true)));
    let (found, count) = pages(&laptop, &conversation, 50).await;
    assert_eq!((found.len(), count), (52, 2));
    assert_eq!(json!(found[..50]), shown["texts"]);
}

#[tokio::test]
async fn texts_of_nobody_of_erased_ones_and_of_others_are_absent() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    write(&laptop, &conversation, 2).await;
    let texts = format!("{}/texts", path(&conversation));
    assert_eq!(laptop.get(&format!("/t/acme{texts}")).await.status, 404, "it is the deployment's own");
    assert_eq!(laptop.get("/conversations/01M81PZXZPCX9PBRT5SWKY25Z7/texts").await.status, 404);
    for (query, field) in [("limit=0", "limit"), ("limit=101", "limit"), ("cursor=1", "cursor"), ("after=1", "after")] {
        let refused = laptop.get(&format!("{texts}?{query}")).await;
        assert_eq!((refused.status, string(&refused.body["field"]).as_str()), (422, field), "{query}: {refused:?}");
    }
    assert_eq!(laptop.delete(&path(&conversation)).await.status, 200);
    assert_eq!(page(&laptop, &conversation, "").await["texts"].as_array().unwrap().len(), 2, "after the end too");
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&conversation))).await.status, 204);
    assert_eq!(laptop.get(&texts).await.status, 404);
}
