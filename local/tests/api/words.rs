//! The languages of participants, and a deployment's own words, in calls and text messages.

use serde_json::{Value, json};
use shared::domain::language::Language;
use shared::domain::text_message;
use shared::domain::words::Words;
use shared::domain::words::sentence::{Spoken, Text};
use shared::domain::words::{Utterance, shipped};
use testkit::{DRIVER, Laptop, RIDER, text};

/// The words of `local/tests/words.json`, which needs a brand.
const OWN: [(&str, &str); 2] =
    [("BRAND", "Rides"), ("WORDS_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/words.json"))];

/// Returns the sentence that is built in.
fn said(tag: &str, sentence: Spoken) -> String {
    match Words::default().speech(Some(&Language::try_from(tag).unwrap())).say(sentence) {
        Utterance::Talk(text, _) => text,
        Utterance::Audio(url) => panic!("{url}"),
    }
}

/// Returns the first action that a call gets.
async fn first_action(laptop: &Laptop, from: &str, to: &Value) -> Value {
    laptop.call(json!({"from": from, "to": to})).await["ncco"][0].clone()
}

fn pair(rider: Value, driver: Value) -> Value {
    let (mut rider, mut driver) = (rider, driver);
    (rider["number"], driver["number"]) = (json!(format!("+{RIDER}")), json!(format!("+{DRIVER}")));
    (rider["label"], driver["label"]) = (json!("Ann"), json!("Bob"));
    json!({"participants": [rider, driver], "reference": "ride-42"})
}

#[tokio::test]
async fn each_hears_and_reads_the_own_language() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let order = pair(json!({"language": "DE"}), json!({"language": "pt-br"}));
    let created = laptop.post("/conversations", &order).await.body;
    for (side, phone, tag, spoken) in [(0, RIDER, "de", "de-DE"), (1, DRIVER, "pt-BR", "pt-BR")] {
        let participant = &created["participants"][side];
        assert_eq!(participant["language"], tag);
        let action = first_action(&laptop, phone, &participant["dials"]).await;
        let expected = json!({"action": "talk", "text": said(tag, Spoken::Connecting), "language": spoken});
        assert_eq!(action, expected);
        let number = text(participant, "/dials");
        let invitation = shipped::with_tag(&tag[..2]).unwrap()[Text::Invitation.key()].as_str().unwrap();
        let other = ["Bob", "Ann"][side];
        let invitation = invitation.replace("{label}", other).replace("{number}", &format!("+{number}"));
        assert_eq!(laptop.texts(phone).await[0]["text"], invitation);
    }
    let id = text(&created, "/id");
    laptop.delete(&format!("/conversations/{id}")).await;
    let action = first_action(&laptop, RIDER, &created["participants"][0]["dials"]).await;
    assert_eq!(action["text"], said("de", Spoken::Ended));
}

#[tokio::test]
async fn language_is_guessed_from_country_or_that_of_deployment() {
    let laptop = Laptop::builder()
        .env(&[("DEFAULT_LANGUAGE", "fr"), ("CALLABLE_COUNTRIES", "*"), ("FALLBACK_COUNTRIES", "GB")])
        .numbers("GB", 2)
        .start()
        .await;
    for (number, other, language) in [
        ("+4915112345678", "+447700900001", "de-DE"),
        ("+48601234567", "+447700900002", "fr"),
        ("+447700900005", "+447700900003", "en-GB"),
    ] {
        let order = json!({"participants": [{"number": number}, {"number": other}]});
        let created = laptop.post("/conversations", &order).await.body;
        let participant = &created["participants"][0];
        assert_eq!(participant["language"], language, "{created}");
        let read = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
        assert_eq!(read["participants"][0]["language"], language);
        let action = first_action(&laptop, number.trim_start_matches('+'), &participant["dials"]).await;
        assert_eq!(action["text"], said(language, Spoken::Connecting));
    }
}

#[tokio::test]
async fn caller_without_route_hears_language_of_calling_code() {
    let laptop = Laptop::builder().env(&[("DEFAULT_LANGUAGE", "it")]).numbers("GB", 1).start().await;
    let dialled = json!("447451000001");
    for (from, tag, sentence) in [
        ("4915112345678", "de", Spoken::Nobody),
        ("447700900003", "en", Spoken::Nobody),
        ("12015550123", "it", Spoken::Nobody),
        ("48601234567", "it", Spoken::Nobody),
        ("anonymous", "it", Spoken::CallerHidden),
    ] {
        assert_eq!(first_action(&laptop, from, &dialled).await["text"], said(tag, sentence), "{from}");
    }
}

#[tokio::test]
async fn language_changes_without_a_new_phone() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    let dials = [0, 1].map(|side| created["participants"][side]["dials"].clone());
    let changed = laptop.patch(&path, &json!({"participants": [null, {"language": "es"}]})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let mut expected = created["participants"].clone();
    expected[1]["language"] = json!("es");
    assert_eq!(changed.body["participants"], expected);
    assert_eq!(laptop.get(&path).await.body["participants"], expected);
    assert_eq!(first_action(&laptop, DRIVER, &dials[1]).await["text"], said("es", Spoken::Connecting));
    assert_eq!(first_action(&laptop, RIDER, &dials[0]).await["text"], said("en", Spoken::Connecting));
    // Both at once, one of them with a new phone, which keeps a language that is not given.
    let both = json!({"participants": [{"language": "hi"}, {"number": "+447700900009"}]});
    let changed = laptop.patch(&path, &both).await.body;
    let languages = [0, 1].map(|side| changed["participants"][side]["language"].clone());
    assert_eq!(languages, [json!("hi"), json!("es")], "{changed}");
    laptop.advance(1);
    assert_eq!(first_action(&laptop, "447700900009", &dials[1]).await["text"], said("es", Spoken::Connecting));
    assert_eq!(first_action(&laptop, RIDER, &dials[0]).await["text"], said("hi", Spoken::Connecting));
    let again = json!({"participants": [null, {"number": "+447700900010", "language": "ar"}]});
    assert_eq!(laptop.patch(&path, &again).await.body["participants"][1]["language"], "ar");
    laptop.advance(1);
    assert_eq!(first_action(&laptop, "447700900010", &dials[1]).await["text"], said("ar", Spoken::Connecting));
}

#[tokio::test]
async fn malformed_language_is_refused_by_its_field() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let path = format!("/conversations/{}", text(&laptop.create().await, "/id"));
    for wrong in ["english", "en_GB", "", "de-DE-AT"] {
        let answer = laptop.post("/conversations", &pair(json!({"language": wrong}), json!({}))).await;
        assert_eq!((answer.status, text(&answer.body, "/field")), (422, "participants[0].language"), "{answer:?}");
        assert!(text(&answer.body, "/detail").contains("Must be a language tag such as en or pt-BR"), "{answer:?}");
        let answer = laptop.patch(&path, &json!({"participants": [{"language": wrong}, null]})).await;
        assert_eq!((answer.status, text(&answer.body, "/field")), (422, "participants[0].language"), "{answer:?}");
    }
    for nothing in [json!({}), json!({"country": "GB"}), json!({"language": "de", "country": "GB"})] {
        let answer = laptop.patch(&path, &json!({"participants": [nothing, null]})).await;
        assert_eq!((answer.status, text(&answer.body, "/field")), (422, "participants"), "{answer:?}");
    }
}

#[tokio::test]
async fn own_words_are_said_with_brand_and_as_recording() {
    let laptop = Laptop::builder().env(&OWN).numbers("GB", 2).start().await;
    let created = laptop.post("/conversations", &pair(json!({"language": "en"}), json!({"language": "de"}))).await.body;
    let [rider, driver] = [0, 1].map(|side| &created["participants"][side]);
    let invitation = format!("Rides: call Bob at +{}. Reference ride-42.", text(rider, "/dials"));
    assert_eq!(laptop.texts(RIDER).await[0]["text"], invitation);
    let path = format!("/conversations/{}", text(&created, "/id"));
    let connecting = |label: &str| format!("Rides is connecting you to {label}, about ride-42.");
    assert_eq!(first_action(&laptop, RIDER, &rider["dials"]).await["text"], connecting("Bob"));
    let new_phone = json!({"participants": [{"number": "+447700900009"}, null]});
    assert_eq!(laptop.patch(&path, &new_phone).await.status, 200);
    laptop.advance(1);
    assert_eq!(first_action(&laptop, "447700900009", &rider["dials"]).await["text"], connecting("Bob"));
    laptop.delete(&path).await;
    let action = first_action(&laptop, DRIVER, &driver["dials"]).await;
    assert_eq!(action, json!({"action": "stream", "streamUrl": ["https://words.example/de/ended.mp3"]}));
}

#[tokio::test]
async fn route_has_names_only_if_they_are_spoken() {
    for (variables, has_names) in [(OWN.as_slice(), true), (&[], false)] {
        let laptop = Laptop::builder().env(variables).numbers("GB", 2).start().await;
        laptop.post("/conversations", &pair(json!({}), json!({}))).await;
        let items = laptop.items().await;
        let is_route = |item: &&Value| item["present_as"]["S"].is_string();
        let routes: Vec<&Value> = items.iter().filter(is_route).collect();
        assert_eq!(routes.len(), 2);
        for route in routes {
            let names = &route["names"]["M"];
            assert_eq!(
                [&names["label"]["S"], &names["reference"]["S"]].map(Value::is_string),
                [has_names; 2],
                "{route}"
            );
        }
    }
}

#[tokio::test]
async fn added_language_is_spoken_and_lends_what_it_lacks() {
    let laptop = Laptop::builder().env(&OWN).numbers("GB", 2).start().await;
    let created = laptop.post("/conversations", &pair(json!({"language": "nl-BE"}), json!({}))).await.body;
    let rider = &created["participants"][0];
    let action = first_action(&laptop, RIDER, &rider["dials"]).await;
    assert_eq!(action, json!({"action": "talk", "text": "Een moment, alstublieft.", "language": "nl-NL"}));
    assert_eq!(laptop.texts(RIDER).await[0]["text"], format!("Bel Bob op +{}.", text(rider, "/dials")));
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    let action = first_action(&laptop, RIDER, &rider["dials"]).await;
    assert_eq!((&action["text"], &action["language"]), (&json!(said("en", Spoken::Ended)), &json!("en-GB")));
}

#[tokio::test]
async fn fallback_speaks_the_language_of_the_deployment() {
    let laptop = Laptop::builder().env(&[("DEFAULT_LANGUAGE", "fr-CA")]).start().await;
    let problem = &shipped::with_tag("fr").unwrap()["fallback.problem"];
    let ncco = laptop.get("/webhooks/fallback").await.body;
    assert_eq!(ncco, json!([{"action": "talk", "text": problem, "language": "fr-FR"}]));
}

/// The carrier bills as many parts as the documentation counts.
#[tokio::test]
async fn texts_have_the_parts_that_are_counted() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for (nth, shipped) in shipped::all().iter().enumerate() {
        let [number, other] = [10, 20].map(|first| format!("4477009000{}", first + nth));
        let language = json!({"number": format!("+{number}"), "language": shipped.tag});
        let order = json!({"participants": [language, {"number": format!("+{other}"), "label": "Bob"}]});
        let created = laptop.post("/conversations", &order).await.body;
        let mut parts = 0;
        for phone in [&number, &other] {
            parts += text_message::parts(text(&laptop.texts(phone).await[0], "/text"));
        }
        let key = format!("CONVERSATION#{}", text(&created, "/id"));
        let items = laptop.items().await;
        let item = items.iter().find(|item| item["pk"]["S"] == *key && item["sk"]["S"] == "CONVERSATION").unwrap();
        // Vonage gives each part an id.
        assert_eq!(item["carrier_records"]["L"].as_array().unwrap().len(), parts, "{}", shipped.tag);
    }
}
