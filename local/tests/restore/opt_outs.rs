//! Opt-outs in a table that was restored to an earlier time.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

const RESTORED: &str = "maskline-restored";

#[tokio::test]
async fn after_a_repair_the_last_wish_of_each_person_holds() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({"expires_in": 7200})).await;
    let say = async |laptop: &Laptop, side: usize, words: &str| {
        let to = text(&conversation, &format!("/participants/{side}/dials"));
        let sent = laptop.text(json!({"from": if side == 0 { RIDER } else { DRIVER }, "to": to, "text": words})).await;
        assert_eq!(sent[0]["deliveries"], json!([200]), "{sent:?}");
        laptop.advance(1);
    };
    say(&laptop, 0, "STOP").await;
    laptop.copy_table(RESTORED).await;
    say(&laptop, 0, "START").await;
    say(&laptop, 1, "STOP").await;
    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    for opt_outs in [2, 0] {
        let restored = local::restore::repair(&environment, Arc::new(laptop.clock.clone())).await.unwrap();
        assert_eq!((restored.opt_outs, restored.unreadable), (opt_outs, 0), "{restored:?}");
    }
    let repaired = Laptop::builder().beside(&laptop, RESTORED).start().await;
    let shown: Value = repaired.get(&format!("/conversations/{}", text(&conversation, "/id"))).await.body;
    let stopped = [0, 1].map(|side| shown["participants"][side].get("texts_stopped_at").is_some());
    assert_eq!(stopped, [false, true], "{shown}");
    repaired.table().await;
}
