//! Calls about which the backend decides.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use local::decision_backend::{DecisionBackend, Received, Reply, SECRET};
use ring::hmac;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

const UNAVAILABLE: &str = "not available at the moment";
const SUPPORT: &str = "442079460000";

async fn start(reply: Reply, more: &[(&str, &str)]) -> (DecisionBackend, Laptop) {
    let backend = DecisionBackend::start(reply).await.unwrap();
    let laptop = Laptop::builder().env(&backend.variables()).env(more).numbers("GB", 3).start().await;
    (backend, laptop)
}

async fn create(laptop: &Laptop, backend: &DecisionBackend, on_failure: &str, more: Value) -> Value {
    let mut fields = json!({"decision": {"url": backend.url, "on_failure": on_failure}});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    laptop.create_with(fields).await
}

fn dials(conversation: &Value, side: usize) -> &str {
    text(conversation, &format!("/participants/{side}/dials"))
}

async fn call(laptop: &Laptop, conversation: &Value) -> Value {
    laptop.faultless_call(json!({"from": RIDER, "to": dials(conversation, 0)})).await
}

fn heard(told: &Value) -> String {
    told["phones"]["caller"]["heard"].to_string()
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// The signature by Standard Webhooks, computed here: HMAC-SHA256 of id, time and body with a full stop between them.
fn signature(question: &Received) -> String {
    let header = |name: &str| question.headers[name].to_str().unwrap();
    let key = BASE64_STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), question.body);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref()))
}

#[tokio::test]
async fn backend_connects_after_a_signed_question() {
    let (backend, laptop) = start(Reply::Json(json!({"action": "connect"})), &[]).await;
    let created = create(&laptop, &backend, "refuse", json!({"reference": "ride-42"})).await;
    let decision = json!({"url": backend.url, "on_failure": "refuse"});
    assert_eq!(created["decision"], decision);
    assert_eq!(laptop.get(&path(&created)).await.body["decision"], decision);
    let told = call(&laptop, &created).await;
    assert_eq!(told["callees"][0]["number"], DRIVER);
    assert_eq!(told["callees"][0]["display"], created["participants"][0]["masked_by"]);
    assert!(heard(&told).contains("Connecting your call") && !heard(&told).contains(UNAVAILABLE), "{told}");

    let [question] = &backend.received()[..] else { panic!("asked once") };
    assert_eq!(question.headers["webhook-signature"], signature(question).as_str());
    assert_eq!(question.headers["webhook-timestamp"], laptop.clock.now().as_second().to_string().as_str());
    let body = testkit::digits(serde_json::from_str(&question.body).unwrap());
    assert_eq!(body["type"], "call.decision");
    let person =
        |side: &str, label: &str| json!({"side": side, "label": label, "phones": [{"name": null, "is_open": true}]});
    assert_eq!(
        body["data"],
        json!({"call": told["conversation_uuid"], "kind": "participant", "conversation": created["id"], "reference": "ride-42",
               "caller": person("a", "your rider"), "callee": person("b", "your driver"),
               "dialled": created["participants"][0]["dials"], "presented": created["participants"][0]["masked_by"]})
    );
    assert!(!question.body.contains(RIDER) && !question.body.contains(DRIVER), "{}", question.body);
    let calls = laptop.get(&path(&created)).await.body["calls"].clone();
    assert_eq!((&calls[0]["caller"], &calls[0]["callee"]), (&json!(RIDER), &json!(DRIVER)), "{calls}");
}

#[tokio::test]
async fn backend_refuses_with_its_words() {
    let (backend, laptop) = start(Reply::Json(json!({"action": "refuse"})), &[]).await;
    let created = create(&laptop, &backend, "connect", json!({})).await;
    for (answer, words) in [
        (json!({"action": "refuse"}), UNAVAILABLE),
        (
            json!({"action": "refuse", "say": {"text": "Your driver waits at gate 12."}}),
            "Your driver waits at gate 12.",
        ),
        (json!({"action": "refuse", "say": {"sentence": "call.day-used-up"}}), "tomorrow"),
    ] {
        backend.replies(Reply::Json(answer));
        let told = call(&laptop, &created).await;
        assert!(heard(&told).contains(words) && told["phones"]["callee"].is_null(), "{told}");
    }
}

#[tokio::test]
async fn without_an_answer_the_conversation_decides() {
    let (backend, laptop) = start(Reply::Never, &[("DECISION_TIME_LIMIT_MS", "100")]).await;
    let [connects, refuses] = [
        create(&laptop, &backend, "connect", json!({})).await,
        laptop
            .create_with(json!({"decision": {"url": backend.url, "on_failure": "refuse"},
                "participants": [{"number": "+447700900011"}, {"number": "+447700900012"}]}))
            .await,
    ];
    let elsewhere = DecisionBackend::start(Reply::Json(json!({"action": "connect"}))).await.unwrap();
    let connect = r#"{"action": "connect"}"#;
    for reply in [
        Reply::Never,
        Reply::Raw(200, "garbage".to_owned()),
        Reply::Raw(200, String::new()),
        Reply::Raw(200, format!("{connect}{}", " ".repeat(5_000))),
        Reply::Raw(200, json!({"action": "connect", "number": "+447700900077"}).to_string()),
        Reply::Raw(201, connect.to_owned()),
        Reply::Raw(500, connect.to_owned()),
        Reply::Redirect(elsewhere.url.clone()),
        Reply::Json(json!({"action": "connect", "phone": 1})),
        Reply::Json(json!({"action": "support"})),
    ] {
        backend.replies(reply.clone());
        let told = call(&laptop, &connects).await;
        assert_eq!(told["callees"][0]["number"], DRIVER, "{reply:?}: {told}");
        let told = laptop.call(json!({"from": "447700900011", "to": dials(&refuses, 0)})).await;
        assert!(told["phones"]["callee"].is_null() && heard(&told).contains(UNAVAILABLE), "{reply:?}: {told}");
    }
    assert!(elsewhere.received().is_empty(), "no redirect is followed");
    drop(backend);
    assert_eq!(call(&laptop, &connects).await["callees"][0]["number"], DRIVER, "nothing listens");
}

#[tokio::test]
async fn backend_chooses_support_or_a_phone_of_the_team() {
    let more = [("SUPPORT_PHONE", "+442079460000")];
    let (backend, laptop) = start(Reply::Json(json!({"action": "support"})), &more).await;
    let team = json!({"participants": [{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}"),
        "phones": [{"number": "+447700900007", "name": "Anna"}, {"number": "+447700900008", "name": "Ben"}]}]});
    let created = create(&laptop, &backend, "refuse", team).await;
    let told = call(&laptop, &created).await;
    assert_eq!(told["callees"][0]["number"], SUPPORT);
    assert_eq!(told["callees"][0]["display"], created["participants"][0]["dials"]);
    let question: Value = serde_json::from_str(&backend.received()[0].body).unwrap();
    let phone = |name: Value| json!({"name": name, "is_open": true});
    assert_eq!(
        question["data"]["callee"]["phones"],
        json!([phone(Value::Null), phone(json!("Anna")), phone(json!("Ben"))])
    );
    backend.replies(Reply::Json(json!({"action": "connect", "phone": 1})));
    let call = json!({"from": RIDER, "to": dials(&created, 0), "callees": {"447700900007": "busy"}});
    let told = laptop.call(call).await;
    let rang: Vec<_> = told["callees"].as_array().unwrap().iter().map(|phone| phone["number"].clone()).collect();
    assert_eq!(rang, ["447700900007", DRIVER], "the others follow in their order");
    assert_eq!(backend.received().len(), 2, "one question for a call");
}

#[tokio::test]
async fn remembered_answer_holds_until_its_end_or_a_change() {
    let answer = |action: &str| Reply::Json(json!({"action": action, "cache_seconds": 60}));
    let (backend, laptop) = start(answer("connect"), &[]).await;
    let created = create(&laptop, &backend, "refuse", json!({})).await;
    for _ in 0..3 {
        assert_eq!(call(&laptop, &created).await["callees"][0]["number"], DRIVER);
    }
    assert_eq!(backend.received().len(), 1);
    laptop.call(json!({"from": DRIVER, "to": dials(&created, 1)})).await;
    assert_eq!(backend.received().len(), 2, "each side has its own answer");
    // A block holds at once.
    assert_eq!(laptop.patch(&path(&created), &json!({"blocked": "a"})).await.status, 200);
    let told = call(&laptop, &created).await;
    assert!(told["phones"]["callee"].is_null() && backend.received().len() == 2, "{told}");
    assert_eq!(laptop.patch(&path(&created), &json!({"blocked": null})).await.status, 200);
    backend.replies(answer("refuse"));
    assert!(call(&laptop, &created).await["phones"]["callee"].is_null(), "a change makes the backend be asked again");
    laptop.advance(60);
    backend.replies(answer("connect"));
    assert_eq!(call(&laptop, &created).await["callees"][0]["number"], DRIVER);
    assert_eq!(backend.received().len(), 4);
    laptop.table().await;
}

#[tokio::test]
async fn decision_url_is_changed_and_removed() {
    let (backend, laptop) = start(Reply::Json(json!({"action": "refuse"})), &[]).await;
    let created = laptop.create_with(json!({})).await;
    assert!(created["decision"].is_null());
    assert_eq!(call(&laptop, &created).await["callees"][0]["number"], DRIVER);
    let decision = json!({"url": format!("{}?tenant=7", backend.url), "on_failure": "connect"});
    let changed = laptop.patch(&path(&created), &json!({"decision": decision})).await;
    assert_eq!((changed.status, &changed.body["decision"]), (200, &decision));
    assert!(call(&laptop, &created).await["phones"]["callee"].is_null());
    let asked = format!("/decisions?from=%2B{RIDER}&to=%2B{}", dials(&created, 0));
    let explained = laptop.get(&asked).await.body;
    assert_eq!((&explained["outcome"], &explained["asks"]), (&json!("backend asked"), &decision), "{explained}");
    assert!(explained["hears"].is_null() && explained["connects"]["number"] == DRIVER, "{explained}");
    assert_eq!(backend.received().len(), 1, "an explanation does not ask");
    let removed = laptop.patch(&path(&created), &json!({"decision": null})).await;
    assert!(removed.status == 200 && removed.body["decision"].is_null(), "{removed:?}");
    assert_eq!(call(&laptop, &created).await["callees"][0]["number"], DRIVER);
    assert_eq!(laptop.get(&asked).await.body["outcome"], "routed");
    laptop.table().await;
}

#[tokio::test]
async fn only_allowed_urls_are_taken() {
    let (backend, laptop) = start(Reply::Never, &[]).await;
    let created = laptop.create_with(json!({})).await;
    let with = |decision: Value| {
        let mut order = conversation();
        order["decision"] = decision;
        order
    };
    let of = |url: &str| json!({"url": url, "on_failure": "refuse"});
    for (decision, status, field) in [
        (of("https://elsewhere.example/decide"), 422, "decision.url"),
        (of(&format!("{}/more", backend.url)), 422, "decision.url"),
        (of("decide"), 422, "decision.url"),
        (json!({"url": backend.url}), 422, "decision.on_failure"),
        (json!({"url": backend.url, "on_failure": "hang up"}), 422, "decision.on_failure"),
    ] {
        for answer in [
            laptop.post("/conversations", &with(decision.clone())).await,
            laptop.patch(&path(&created), &json!({"decision": decision})).await,
        ] {
            assert_eq!((answer.status, &answer.body["field"]), (status, &json!(field)), "{decision}: {answer:?}");
        }
    }
    let off = Laptop::builder().numbers("GB", 2).start().await;
    let answer = off.post("/conversations", &with(of(&backend.url))).await;
    assert_eq!((answer.status, &answer.body["field"]), (422, &json!("decision")), "{answer:?}");
}

#[tokio::test]
async fn placed_calls_and_consent_ask_the_backend_once() {
    let (backend, laptop) = start(Reply::Json(json!({"action": "connect"})), &[]).await;
    let created = create(&laptop, &backend, "refuse", json!({"recording": "consent"})).await;
    let dialled = json!({"from": RIDER, "to": dials(&created, 0), "presses": ["1"],
                         "callee": {"does": "answers", "presses": ["1"]}});
    let told = laptop.call(dialled).await;
    assert_eq!((&told["callees"][0]["number"], backend.received().len()), (&json!(DRIVER), 1), "{told}");
    let answers = |presses: &[&str]| json!({"does": "answers", "presses": presses});
    let script = json!({"callees": {RIDER: answers(&["1", "1"]), DRIVER: answers(&["1"])}});
    assert_eq!(laptop.vonage(reqwest::Method::PUT, "/simulator/created-calls", script).await.status, 204);
    let order = laptop.request(reqwest::Method::POST, &format!("{}/calls", path(&created)));
    let placed = laptop.answer(order.header("Idempotency-Key", "one").body(r#"{"from": "a"}"#)).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    backend.has_received(2).await;
    assert_eq!(backend.received().len(), 2);
}

#[tokio::test]
async fn backend_decides_about_strangers_and_late_callers() {
    let more = [("DECISIONS", "all"), ("PINS", "on"), ("SUPPORT_PHONE", "+442079460000")];
    let (backend, laptop) = start(Reply::Json(json!({"action": "refuse"})), &more).await;
    let created = laptop.create_with(json!({"reference": "ride-42"})).await;
    let ended =
        laptop.create_with(json!({"participants": [{"number": "+447700900011"}, {"number": "+447700900012"}]})).await;
    assert_eq!(laptop.delete(&path(&ended)).await.status, 200);
    let to = dials(&created, 0);
    let call = async |from: &str| laptop.call(json!({"from": from, "to": to, "presses": ["#"]})).await;
    for (kind, from) in [("unknown", "447700900555"), ("hidden", "anonymous"), ("late", "447700900011")] {
        let dialled = if kind == "late" { dials(&ended, 0) } else { to };
        backend.replies(Reply::Json(json!({"action": "refuse", "say": {"text": "We are closed."}})));
        let told = laptop.call(json!({"from": from, "to": dialled})).await;
        assert_eq!(told["phones"]["caller"]["heard"], json!(["We are closed."]), "{kind}: {told}");
        let question = testkit::digits(serde_json::from_str(&backend.received().last().unwrap().body).unwrap());
        let conversation = if kind == "late" { ended["id"].clone() } else { Value::Null };
        assert_eq!(
            question["data"],
            json!({"call": told["conversation_uuid"], "kind": kind, "conversation": conversation, "reference": null,
                   "caller": null, "callee": null, "dialled": dialled, "presented": null})
        );
    }
    for (reply, heard_words, callee) in [
        (Reply::Json(json!({"action": "support"})), "support", json!(SUPPORT)),
        (Reply::Json(json!({"action": "pin"})), "enter your PIN", json!(SUPPORT)),
        (Reply::Json(json!({"action": "continue"})), "enter your PIN", json!(SUPPORT)),
        (Reply::Json(json!({"action": "connect"})), "enter your PIN", json!(SUPPORT)),
        (Reply::Raw(500, String::new()), "enter your PIN", json!(SUPPORT)),
        (Reply::Json(json!({"action": "refuse"})), UNAVAILABLE, Value::Null),
    ] {
        backend.replies(reply.clone());
        let told = call("447700900555").await;
        assert!(heard(&told).contains(heard_words), "{reply:?}: {told}");
        assert_eq!(told["phones"]["callee"]["number"], callee, "{reply:?}: {told}");
    }
    let asked = backend.received().len();
    let told = laptop.call(json!({"from": RIDER, "to": to})).await;
    assert_eq!(told["callees"][0]["number"], DRIVER, "whoever has a conversation is connected without a question");
    let explained = laptop.get(&format!("/decisions?from=%2B447700900555&to=%2B{to}")).await.body;
    assert_eq!((&explained["outcome"], backend.received().len()), (&json!("backend asked"), asked), "{explained}");
    assert!(explained["hears"].as_str().unwrap().contains("enter your PIN"), "{explained}");
}
