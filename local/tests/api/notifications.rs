//! `POST /conversations/{id}/notifications`.

use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

async fn notify(laptop: &Laptop, created: &Value, body: Value) -> Answer {
    laptop.post(&format!("/conversations/{}/notifications", text(created, "/id")), &body).await
}

fn states(answer: &Value) -> [&str; 2] {
    [0, 1].map(|side| text(answer, &format!("/participants/{side}/notification")))
}

#[tokio::test]
async fn failed_texts_are_sent_again_and_sent_ones_are_not() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.faults("/sms/json", 2, json!({"kind": "status", "status": 429, "retry_after": 3600})).await;
    let created = laptop.create().await;
    assert_eq!(states(&created), ["failed", "failed"]);
    laptop.no_more_faults().await;
    assert_eq!(states(&notify(&laptop, &created, json!({"to": "a"})).await.body), ["sent", "failed"]);
    for _ in 0..2 {
        assert_eq!(states(&notify(&laptop, &created, json!({})).await.body), ["sent", "sent"]);
    }
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (1, 1));
}

#[tokio::test]
async fn text_that_may_have_arrived_is_not_sent_again() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.faults("/sms/json", 2, json!({"kind": "status", "status": 500})).await;
    let created = laptop.create().await;
    laptop.no_more_faults().await;
    assert_eq!(states(&notify(&laptop, &created, json!({"to": "a"})).await.body), ["unknown", "unknown"]);
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (0, 0));
}

#[tokio::test]
async fn new_phone_gets_its_text_if_asked_for() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let change = json!({"participants": [{"number": "+447700900009"}, null]});
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert_eq!(states(&laptop.patch(&path, &change).await.body), ["off", "sent"]);
    assert_eq!(states(&notify(&laptop, &created, json!({})).await.body), ["off", "sent"], "nobody asked for it");
    assert_eq!(states(&notify(&laptop, &created, json!({"to": "b"})).await.body), ["off", "sent"]);
    for _ in 0..2 {
        assert_eq!(states(&notify(&laptop, &created, json!({"to": "a"})).await.body), ["sent", "sent"]);
    }
    assert_eq!(laptop.words("447700900009").await.len(), 1);
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (1, 1));
}

#[tokio::test]
async fn requests_at_once_send_one_text() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"notify": false})).await;
    let ask = async || notify(&laptop, &created, json!({"to": "a"})).await.status;
    let statuses = tokio::join!(ask(), ask(), ask(), ask());
    assert_eq!(statuses, (200, 200, 200, 200));
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (1, 0));
}

#[tokio::test]
async fn side_that_only_receives_and_an_ended_conversation_get_none() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"direction": "a_to_b"})).await;
    assert_eq!(states(&notify(&laptop, &created, json!({"to": "b"})).await.body), ["off", "off"]);
    assert!(laptop.texts(DRIVER).await.is_empty());
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    let ended = notify(&laptop, &created, json!({"to": "a"})).await;
    assert_eq!((ended.status, text(&ended.body, "/type")), (409, "urn:maskline:problem:conversation-ended"));
    let unknown = json!({"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"});
    assert_eq!(notify(&laptop, &unknown, json!({})).await.status, 404);
    assert_eq!(notify(&laptop, &created, json!({"to": "c"})).await.status, 422);
}
