//! `PATCH /numbers/{number}` with `tenant`: a number moves to another owner when nobody knows it any more, and takes nothing along.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, conversation, string, text};

use crate::healing::dials;

/// Starts a laptop on which acme has `count` numbers, and returns the first of them.
async fn with_numbers(count: usize) -> (Laptop, String) {
    let laptop = Laptop::builder().env(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "60")]).start().await;
    let ordered = laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": count})).await;
    assert_eq!(ordered.body["ready"], count, "{ordered:?}");
    let number = string(&ordered.body["added"][0]["number"]);
    (laptop, number)
}

async fn move_to(laptop: &Laptop, number: &str, tenant: Value) -> Answer {
    laptop.patch(&format!("/numbers/{number}"), &json!({ "tenant": tenant })).await
}

/// Runs the schedule when no request that ran at the time of the move can still use the number.
async fn pass(laptop: &Laptop, seconds: i64) -> Value {
    laptop.advance(seconds);
    laptop.run_schedule().await
}

async fn create(laptop: &Laptop, path: &str) -> Answer {
    laptop.post(&format!("{path}/conversations"), &conversation()).await
}

fn problem(answer: &Answer) -> (u16, &str) {
    (answer.status, text(&answer.body, "/type").rsplit(':').next().unwrap())
}

#[tokio::test]
async fn moved_number_serves_its_new_owner_only() {
    let (laptop, number) = with_numbers(1).await;
    for (from, to, path) in [("/t/acme", json!("beta"), "/t/beta"), ("/t/beta", Value::Null, "")] {
        let spent = laptop.spent().await;
        let moving = move_to(&laptop, &number, to.clone()).await;
        assert_eq!((moving.status, text(&moving.body, "/state"), &moving.body["moves_to"]), (200, "draining", &to));
        assert_eq!(move_to(&laptop, &number, to.clone()).await.body, moving.body, "again");
        // Nobody has it meanwhile, and its owner learns nothing of the other one.
        let of_owner = laptop.get(&format!("{from}/numbers/{number}")).await;
        assert_eq!((of_owner.status, of_owner.body.get("moves_to")), (200, None), "{of_owner:?}");
        for path in [from, path] {
            assert_ne!(create(&laptop, path).await.status, 201, "{path}");
        }
        assert_eq!(pass(&laptop, 61).await["moved"], json!([number]));
        let moved = laptop.get(&format!("{path}/numbers/{number}")).await;
        assert_eq!((moved.status, text(&moved.body, "/state")), (200, "ready"), "{moved:?}");
        assert_eq!(moved.body.get("tenant"), Some(&to).filter(|to| !to.is_null()), "{moved:?}");
        assert_eq!(laptop.spent().await, spent, "nothing is rented for it");
        assert_eq!(laptop.get(&format!("{from}/numbers/{number}")).await.status, 404);
        assert_ne!(create(&laptop, from).await.status, 201, "{from}");
        let created = create(&laptop, path).await;
        assert_eq!((created.status, dials(&created.body, 0)), (201, number.clone()), "{created:?}");
        laptop.delete(&format!("/conversations/{}", text(&created.body, "/id"))).await;
        laptop.settled_pool().await;
        laptop.advance(121);
    }
}

#[tokio::test]
async fn number_waits_for_the_last_quarantine_of_its_owner() {
    let (laptop, number) = with_numbers(1).await;
    let created = create(&laptop, "/t/acme").await.body;
    assert_eq!(move_to(&laptop, &number, json!("beta")).await.status, 200);
    assert_eq!(pass(&laptop, 61).await.get("moved"), None);
    let call = laptop.call(json!({"from": RIDER, "to": number})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER, "{call}");
    assert_eq!(laptop.delete(&format!("/t/acme/conversations/{}", text(&created, "/id"))).await.status, 200);
    assert_eq!(pass(&laptop, 30).await.get("moved"), None, "the quarantine goes on");
    laptop.table().await;
    assert_eq!(pass(&laptop, 61).await["moved"], json!([number]));
    assert_eq!(create(&laptop, "/t/beta").await.status, 201);
    laptop.table().await;
}

#[tokio::test]
async fn moved_number_takes_no_settings_and_no_health_along() {
    let (laptop, number) = with_numbers(1).await;
    let settings = json!({"words": {"en": "This is acme."}, "support_phone": "+442079460000"});
    assert_eq!(laptop.patch(&format!("/t/acme/numbers/{number}"), &settings).await.status, 200);
    let created = create(&laptop, "/t/acme").await.body;
    laptop.call(json!({"from": RIDER, "to": number})).await;
    assert_eq!(laptop.get(&format!("/numbers/{number}")).await.body["health"]["calls"], 1);
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    move_to(&laptop, &number, json!("beta")).await;
    assert_eq!(pass(&laptop, 61).await["moved"], json!([number]));
    let moved = laptop.get(&format!("/numbers/{number}")).await.body;
    for forgotten in ["words", "support_phone", "health"] {
        assert_eq!(moved.get(forgotten), None, "{moved}");
    }
    let call = laptop.call(json!({"from": "447700900555", "to": number})).await;
    assert!(call["phones"]["callee"].is_null() && !call.to_string().contains("acme"), "{call}");
    laptop.table().await;
}

#[tokio::test]
async fn move_is_given_up_for_the_same_owner_or_for_the_carrier() {
    let (laptop, number) = with_numbers(2).await;
    let path = format!("/numbers/{number}");
    move_to(&laptop, &number, json!("beta")).await;
    let stays = move_to(&laptop, &number, json!("acme")).await;
    assert_eq!(problem(&stays), (409, "number-not-ready"), "{stays:?}");
    let taken_back = laptop.patch(&path, &json!({"state": "ready"})).await;
    assert_eq!((text(&taken_back.body, "/state"), taken_back.body.get("moves_to")), ("ready", None), "{taken_back:?}");
    assert_eq!(move_to(&laptop, &number, json!("acme")).await.body, taken_back.body, "acme has it");
    // An order of the owner does not take it back, and rents another one.
    for tenant in ["beta", "gamma"] {
        assert_eq!(text(&move_to(&laptop, &number, json!(tenant)).await.body, "/moves_to"), tenant);
    }
    let ordered = laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await.body;
    assert_eq!((&ordered["ready"], ordered["added"].as_array().unwrap().len()), (&json!(2), 1), "{ordered}");
    let dropped = laptop.delete(&path).await.body;
    assert_eq!((text(&dropped, "/state"), dropped.get("moves_to")), ("draining", None), "{dropped}");
    assert_eq!(pass(&laptop, 61).await["cancelled"], json!([number]));
    assert_eq!(laptop.settled_pool().await.len(), 2);
}

#[tokio::test]
async fn number_that_leaves_or_is_set_aside_does_not_move() {
    let (laptop, number) = with_numbers(4).await;
    let numbers: Vec<_> = laptop.settled_pool().await.into_iter().collect();
    let foreign = laptop.patch(&format!("/t/acme/numbers/{number}"), &json!({"tenant": "acme"})).await;
    assert_eq!((foreign.status, text(&foreign.body, "/field")), (422, "tenant"), "{foreign:?}");
    let several = laptop.patch(&format!("/numbers/{number}"), &json!({"tenant": "beta", "words": null})).await;
    assert_eq!((several.status, text(&several.body, "/field")), (422, "tenant"), "{several:?}");
    let impossible = move_to(&laptop, &number, json!("Beta")).await;
    assert_eq!(impossible.status, 422, "{impossible:?}");
    assert_eq!(move_to(&laptop, "447451999999", json!("beta")).await.status, 404);
    assert_eq!(laptop.post(&format!("/numbers/{}/rotate", numbers[0]), &json!({})).await.status, 200);
    let standing = json!({"standing": {"phones": [{"number": "+447700900801"}]}});
    assert_eq!(laptop.patch(&format!("/numbers/{}", numbers[1]), &standing).await.status, 200);
    laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &numbers[2])]).await;
    laptop.run_schedule().await;
    for (number, refused) in numbers.iter().zip(["number-not-ready", "number-set-aside", "number-not-ready"]) {
        let answer = move_to(&laptop, number, json!("beta")).await;
        assert_eq!(problem(&answer), (409, refused), "{answer:?}");
    }
    // One that moves is rotated all the same, and then goes back to the carrier.
    assert_eq!(move_to(&laptop, &numbers[3], json!("beta")).await.status, 200);
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 1})).await;
    let rotated = laptop.send(Method::POST, &format!("/numbers/{}/rotate", numbers[3]), "{}".to_owned()).await;
    assert_eq!((rotated.status, rotated.body.get("moves_to")), (200, None), "{rotated:?}");
    let report = pass(&laptop, 61).await;
    assert_eq!(report["cancelled"], json!([numbers[0], numbers[3]]), "{report}");
    laptop.table().await;
}

#[tokio::test]
async fn number_off_the_list_is_not_bought_for_its_new_owner() {
    let (laptop, number) = with_numbers(1).await;
    move_to(&laptop, &number, json!("beta")).await;
    laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &number)]).await;
    let spent = laptop.spent().await;
    let report = pass(&laptop, 61).await;
    assert_eq!((report.get("moved"), &report["shortfall"][0]["reason"]), (None, &json!("unconfirmed")), "{report}");
    laptop.buy_by_hand("GB", &number).await;
    let bought = laptop.spent().await;
    assert_eq!(pass(&laptop, 61).await["moved"], json!([number]), "it is listed again");
    assert!(spent <= bought && laptop.spent().await == bought, "nothing was bought");
    laptop.settled_pool().await;
}
