//! Messages that callers leave after a missed call.

use reqwest::redirect::Policy;
use serde_json::{Value, json};
use testkit::{Builder, DRIVER, Laptop, RIDER, conversation, string, text};

/// Creates a conversation of the rider and the driver with these measures, without the invitations.
async fn create(laptop: &Laptop, measures: Value) -> Value {
    let mut order = conversation();
    order["notify"] = json!(false);
    order["missed_calls"] = measures;
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// Has the rider call the driver, whose line is busy, and press these keys.
async fn call(laptop: &Laptop, conversation: &Value, presses: Value) -> Value {
    let dials = text(conversation, "/participants/0/dials");
    let call = json!({"from": RIDER, "to": dials, "callee": "busy", "presses": presses, "message_seconds": 20});
    let told = laptop.faultless_call(call).await;
    laptop.stack.background_runs_finished().await;
    told
}

async fn recordings(laptop: &Laptop, conversation: &Value) -> Vec<Value> {
    let listed = laptop.get(&format!("/conversations/{}/recordings", text(conversation, "/id"))).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.body["recordings"].as_array().unwrap().clone()
}

/// Returns the events about recordings on the bus.
fn events(laptop: &Laptop) -> Vec<Value> {
    let events = laptop.stack.bus.events().into_iter();
    events.filter(|event| event["detail-type"] == "Recording finished").collect()
}

/// Returns the path of the link in a text message.
fn link(laptop: &Laptop, message: &Value) -> String {
    let words = text(message, "/text");
    words.rsplit(' ').next().unwrap().strip_prefix(&laptop.stack.gateway_url).unwrap().to_owned()
}

/// Follows one redirect, and returns the file.
async fn file(laptop: &Laptop, path: &str) -> Vec<u8> {
    let one_by_one = shared::vonage::http_client(None).no_proxy().redirect(Policy::none()).build().unwrap();
    let redirect = one_by_one.get(format!("{}{path}", laptop.stack.gateway_url)).send().await.unwrap();
    assert_eq!((redirect.status().as_u16(), &redirect.headers()["cache-control"]), (302, &"no-store".parse().unwrap()));
    let address = redirect.headers()["location"].to_str().unwrap().to_owned();
    let file = one_by_one.get(&address).send().await.unwrap();
    assert_eq!(file.status(), 200);
    let unsigned = one_by_one.get(address.split('?').next().unwrap()).send().await.unwrap();
    assert_eq!(unsigned.status(), 403, "the bucket gives nothing away");
    file.bytes().await.unwrap().to_vec()
}

fn builder() -> Builder {
    Laptop::builder().numbers("GB", 2)
}

#[tokio::test]
async fn message_is_kept_and_offered_once_to_the_other_one() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["call_back", "voicemail"])).await;
    assert_eq!(created["missed_calls"], json!(["say", "call_back", "voicemail"]));
    let told = call(&laptop, &created, json!(["2", "#"])).await;
    let heard = told["phones"]["caller"]["heard"].to_string();
    for words in ["press 1", "press 2", "after the tone", "pass on your message"] {
        assert!(heard.contains(words), "{words}: {heard}");
    }
    let kept = recordings(&laptop, &created).await;
    let [recording] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(
        (&recording["kind"], &recording["state"], &recording["called_by"]),
        (&json!("voicemail"), &json!("kept"), &json!("a"))
    );
    assert_eq!(recording["conversation_uuid"], told["conversation_uuid"]);
    assert!(recording["duration"].as_u64().is_some_and(|seconds| (20..22).contains(&seconds)), "{recording}");

    let texts = laptop.texts(DRIVER).await;
    assert!(texts.len() == 1 && laptop.texts(RIDER).await.is_empty(), "{texts:?}");
    let (label, mask) = (text(&created, "/participants/0/label"), &created["participants"][1]["dials"]);
    assert!(text(&texts[0], "/text").starts_with(&format!("Voice message: {label}. Listen: http")), "{texts:?}");
    assert_eq!(&texts[0]["from"], mask, "from the mask of the caller");
    let by_link = file(&laptop, &link(&laptop, &texts[0])).await;
    assert_eq!(by_link, file(&laptop, text(recording, "/path")).await);
    assert_eq!(by_link.len() as u64, recording["size"].as_u64().unwrap());

    let told = events(&laptop);
    assert!(told.len() == 1 && told[0]["detail"]["recording"] == recording["id"], "{told:?}");
    assert_eq!((&told[0]["detail"]["state"], &told[0]["detail"]["conversation"]), (&json!("kept"), &created["id"]));
    let names = laptop.stack.bucket.keys();
    assert_eq!(names, [format!("{}/{}.mp3", text(&created, "/id"), text(recording, "/id"))]);
    laptop.advance(3600);
    laptop.stack.run_recordings_schedule().await.unwrap();
    assert_eq!((laptop.texts(DRIVER).await.len(), events(&laptop).len()), (1, 1));
}

#[tokio::test]
async fn link_works_for_three_days_and_for_its_token_only() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    call(&laptop, &created, json!(["2"])).await;
    let path = link(&laptop, &laptop.texts(DRIVER).await[0]);
    assert_eq!(laptop.get(&path[..path.len() - 1]).await.status, 404);
    assert!(!laptop.items().await.iter().any(|item| item.to_string().contains(path.rsplit('/').next().unwrap())));
    file(&laptop, &path).await;
    laptop.advance(3 * 86_400);
    assert_eq!(laptop.get(&path).await.status, 404, "not any more");
    let recording = &recordings(&laptop, &created).await[0];
    file(&laptop, text(recording, "/path")).await;
    laptop.advance(27 * 86_400);
    let answer = laptop.get(text(recording, "/path")).await;
    assert_eq!(answer.status, 404, "kept for 30 days: {answer:?}");
}

#[tokio::test]
async fn message_is_fetched_later_if_vonage_does_not_have_it_yet() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    laptop.faults("*", 3, json!({"kind": "status", "status": 404})).await;
    call(&laptop, &created, json!(["2"])).await;
    assert_eq!(recordings(&laptop, &created).await[0]["state"], "waiting");
    let path = format!(
        "/conversations/{}/recordings/{}",
        text(&created, "/id"),
        text(&recordings(&laptop, &created).await[0], "/id")
    );
    assert_eq!(laptop.get(&path).await.status, 404, "not yet");
    for expected in [0, 0, 1] {
        laptop.advance(4 * 3600);
        laptop.stack.run_recordings_schedule().await.unwrap();
        assert_eq!(laptop.texts(DRIVER).await.len(), expected);
    }
    assert_eq!(recordings(&laptop, &created).await[0]["state"], "kept");
}

#[tokio::test]
async fn recording_is_given_up_when_vonage_has_deleted_it() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    laptop.faults("*", 1, json!({"kind": "status", "status": 500})).await;
    call(&laptop, &created, json!(["2"])).await;
    laptop.advance(30 * 86_400);
    let report = laptop.stack.run_recordings_schedule().await.unwrap();
    assert_eq!(report["given_up"], 1, "{report}");
    let told = events(&laptop);
    assert!(told.len() == 1 && told[0]["detail"]["state"] == "failed", "{told:?}");
    assert!(laptop.texts(DRIVER).await.is_empty());
}

#[tokio::test]
async fn application_token_is_sent_to_no_stranger() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    let path = format!("/webhooks/event/{}/voicemail-b", text(&created, "/id"));
    let event = json!({"recording_url": format!("{}/v1/files/1", laptop.stack.gateway_url), "size": 1,
                       "recording_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "conversation_uuid": "CON-1"});
    let answer = laptop.signed_post(&path, &event.to_string()).await;
    assert_eq!(answer.status, 204);
    laptop.stack.background_runs_finished().await;
    assert_eq!(recordings(&laptop, &created).await[0]["state"], "waiting");
    assert!(laptop.stack.bucket.keys().is_empty());
    assert!(laptop.post(&path, &event).await.status >= 400, "Vonage signs it");
}

#[tokio::test]
async fn event_of_a_message_may_come_twice() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    let told = call(&laptop, &created, json!(["2"])).await;
    let (path, event) = (format!("/webhooks/event/{}/voicemail-b", text(&created, "/id")), &told["recordings"][0]);
    for _ in 0..2 {
        assert_eq!(laptop.signed_post(&path, &event.to_string()).await.status, 204);
        laptop.stack.background_runs_finished().await;
    }
    let seen = (recordings(&laptop, &created).await.len(), laptop.texts(DRIVER).await.len(), events(&laptop).len());
    assert_eq!(seen, (1, 1, 1));
    let file = text(event, "/recording_url").strip_prefix(&laptop.stack.vonage_url).unwrap();
    assert_eq!(laptop.asked(file).await, 1, "fetched once");
}

#[tokio::test]
async fn file_is_erased_with_its_conversation() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    call(&laptop, &created, json!(["2"])).await;
    let (path, id) = (link(&laptop, &laptop.texts(DRIVER).await[0]), string(&created["id"]));
    assert_eq!(laptop.stack.bucket.keys().len(), 1);
    assert_eq!(laptop.post("/erasures", &json!({"number": format!("+{RIDER}")})).await.body["state"], "done");
    assert_eq!(laptop.get(&path).await.status, 404, "at once");
    assert_eq!(laptop.get(&format!("/conversations/{id}/recordings")).await.status, 404);
    laptop.stack.run_recordings_schedule().await.unwrap();
    assert!(laptop.stack.bucket.keys().is_empty());
    laptop.advance(61 * 60);
    let report = laptop.stack.run_recordings_schedule().await.unwrap();
    assert_eq!(report["erased"], 1, "{report}");
    laptop.stack.run_erasure_schedule().await.unwrap();
    laptop.advance(3600);
    laptop.stack.run_erasure_schedule().await.unwrap();
    let left = laptop.items().await.into_iter().filter(|item| text(item, "/pk/S").starts_with("RECORDING"));
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn message_is_erased_also_if_no_more_are_taken() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    call(&laptop, &created, json!(["2"])).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert_eq!(laptop.patch(&path, &json!({"missed_calls": ["say"]})).await.status, 200);
    assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
    laptop.stack.run_recordings_schedule().await.unwrap();
    assert!(laptop.stack.bucket.keys().is_empty());
}

#[tokio::test]
async fn message_after_an_erasure_is_not_stored() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    let path = format!("/conversations/{}?erase=true", text(&created, "/id"));
    assert_eq!(laptop.delete(&path).await.status, 204);
    let event = json!({"recording_url": format!("{}/v1/files/1", laptop.stack.vonage_url),
                       "recording_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "conversation_uuid": "CON-1"});
    let path = format!("/webhooks/event/{}/voicemail-b", text(&created, "/id"));
    assert_eq!(laptop.signed_post(&path, &event.to_string()).await.status, 204);
    let stored = laptop.items().await.into_iter().filter(|item| text(item, "/pk/S").starts_with("RECORDING"));
    assert_eq!(stored.count(), 0);
}

#[tokio::test]
async fn message_of_ended_conversation_is_kept_and_not_texted() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    laptop.faults("*", 1, json!({"kind": "status", "status": 404})).await;
    call(&laptop, &created, json!(["2"])).await;
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await.status, 200);
    laptop.advance(3600);
    laptop.stack.run_recordings_schedule().await.unwrap();
    assert_eq!(recordings(&laptop, &created).await[0]["state"], "kept");
    assert!(laptop.texts(DRIVER).await.is_empty() && events(&laptop).len() == 1);
}

#[tokio::test]
async fn who_presses_nothing_leaves_no_message() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    for presses in [json!([null]), json!(["1"]), json!(["3"])] {
        let told = call(&laptop, &created, presses).await;
        let heard = told["phones"]["caller"]["heard"].to_string();
        assert!(heard.contains("press 2") && !heard.contains("press 1") && heard.contains("Goodbye"), "{heard}");
    }
    assert!(recordings(&laptop, &created).await.is_empty() && laptop.texts(DRIVER).await.is_empty());
}

#[tokio::test]
async fn voicemail_is_refused_where_nothing_is_recorded() {
    let laptop = builder().env(&[("RECORDING_DAYS", "0")]).start().await;
    let mut order = conversation();
    order["missed_calls"] = json!(["voicemail"]);
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!((answer.status, &answer.body["field"]), (422, &json!("missed_calls")));
    assert!(text(&answer.body, "/detail").contains("RECORDING_DAYS and the private key"), "{answer:?}");
}

#[tokio::test]
async fn schedule_fetches_if_the_invocation_fails() {
    let laptop = builder().env(&[("KEEP_RECORDINGS_FUNCTION_NAME", "nobody")]).start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    call(&laptop, &created, json!(["2"])).await;
    assert_eq!(recordings(&laptop, &created).await[0]["state"], "waiting");
    laptop.advance(15 * 60);
    laptop.stack.run_recordings_schedule().await.unwrap();
    assert_eq!((laptop.texts(DRIVER).await.len(), laptop.stack.bucket.keys().len()), (1, 1));
}

#[tokio::test]
async fn list_of_recordings_has_pages() {
    let laptop = builder().start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    for _ in 0..3 {
        call(&laptop, &created, json!(["2"])).await;
    }
    let (path, mut seen, mut cursor) =
        (format!("/conversations/{}/recordings", text(&created, "/id")), 0, String::new());
    loop {
        let page = laptop.get(&format!("{path}?limit=2{cursor}")).await.body;
        seen += page["recordings"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, 3);
    assert_eq!(laptop.get(&format!("{path}?cursor=447700900001")).await.status, 422);
}

#[tokio::test]
async fn text_to_a_conversation_that_is_erased_meanwhile_is_redacted() {
    let laptop = builder().env(&[("KEEP_RECORDINGS_FUNCTION_NAME", "nobody")]).start().await;
    let created = create(&laptop, json!(["voicemail"])).await;
    call(&laptop, &created, json!(["2"])).await;
    laptop.advance(15 * 60);
    laptop.fault("/sms/json", json!({"kind": "delay", "milliseconds": 400})).await;
    let path = format!("/conversations/{}?erase=true", text(&created, "/id"));
    let erase = async {
        while laptop.asked("/sms/json").await == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(laptop.delete(&path).await.status, 204);
    };
    let (run, ()) = tokio::join!(laptop.stack.run_recordings_schedule(), erase);
    assert_eq!(run.unwrap()["kept"], 1);
    laptop.advance(61 * 60);
    laptop.stack.run_erasure_schedule().await.unwrap();
    assert!(laptop.texts(DRIVER).await.is_empty(), "redacted at Vonage");
}
