//! Calls with people at the phones, as the console places them.

use serde_json::{Value, json};

use crate::account::{Account, DIALLED, MASK, statuses};
use crate::support::{CALLEE, CALLER, Vonage};

/// Returns a `connect` to the callee, which rings for some seconds.
fn connect(seconds: u8) -> Value {
    json!({"action": "connect", "from": MASK, "timeout": seconds, "endpoint": [{"type": "phone", "number": CALLEE}]})
}

fn input(account: &Account) -> Value {
    json!({"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 3, "timeOut": 10},
           "eventUrl": [format!("{}/input", account.app.base)]})
}

async fn place(account: &Account) -> Value {
    account.vonage.call(json!({"from": CALLER, "to": DIALLED, "by_hand": true})).await
}

async fn does(vonage: &Vonage, call: &Value, what: &str, body: Value) -> u16 {
    let path = format!("/simulator/calls/{}/{what}", call["conversation_uuid"].as_str().unwrap());
    vonage.control("POST", &path, body).await.0
}

#[tokio::test]
async fn phone_rings_until_its_owner_takes_the_call_or_not() {
    let account = Account::start().await;
    for (what, body, status) in [("answer", Value::Null, "answered"), ("hang-up", json!({"by": "callee"}), "rejected")]
    {
        account.app.answers(json!([connect(45)]));
        let call = place(&account).await;
        assert_eq!(statuses(&call), ["ringing"], "it is reported from its first moment");
        let ringing = account.report(&call).await;
        assert_eq!(
            (statuses(&ringing), &ringing["callees"][0]["display"]),
            (vec!["answered", "ringing"], &json!(MASK))
        );
        assert_eq!(does(&account.vonage, &call, what, body).await, 200);
        assert_eq!(statuses(&account.report(&call).await)[1], status);
        does(&account.vonage, &call, "hang-up", json!({"by": "caller"})).await;
    }
}

#[tokio::test]
async fn phone_that_nobody_answers_stops_ringing() {
    let account = Account::start().await;
    account.app.answers(json!([connect(1), input(&account)]));
    let call = place(&account).await;
    account.report(&call).await;
    // The input after the connect takes the keys, so the phone has stopped by then.
    while statuses(&account.report(&call).await)[1] == "ringing" {
        tokio::task::yield_now().await;
    }
    assert_eq!(statuses(&account.report(&call).await), ["answered", "unanswered"]);
    does(&account.vonage, &call, "hang-up", json!({"by": "caller"})).await;
}

#[tokio::test]
async fn keys_pressed_one_by_one_are_those_of_an_input() {
    let account = Account::start().await;
    account.app.answers(json!([input(&account)]));
    let call = place(&account).await;
    for key in ["1", "2", "3"] {
        assert_eq!(does(&account.vonage, &call, "press", json!({"keys": key})).await, 200);
    }
    let ended = account.report(&call).await;
    assert_eq!(ended["phones"]["caller"]["pressed"], json!(["123"]));
    assert_eq!(account.app.received("/input")[0].data["dtmf"], json!({"digits": "123", "timed_out": false}));
}

#[tokio::test]
async fn number_taken_away_is_neither_rented_nor_on_sale() {
    let account = Account::start().await;
    let path = format!("/simulator/numbers/{DIALLED}");
    assert_eq!(account.vonage.control("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(account.vonage.control("DELETE", &path, Value::Null).await.0, 404);
    let dialled = account.vonage.call(json!({"from": CALLER, "to": DIALLED})).await;
    assert_eq!(dialled["conversation_uuid"], Value::Null);
    assert_ne!(account.vonage.buy("GB", DIALLED).await.0, 200);
}
