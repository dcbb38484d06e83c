//! The words of tenants: in calls, texts and cards, for participants and for strangers, each with the brand of whoever has the number.

use serde_json::{Value, json};
use shared::domain::language::Language;
use shared::domain::words::sentence::Spoken;
use shared::domain::words::{Utterance, Words};
use testkit::{Builder, DRIVER, Laptop, RIDER, text};

use crate::healing::dials;

const STRANGER: &str = "447700900555";

/// The words of `local/tests/tenant-words.json`, in which acme has all of its own, and beta only a brand.
const WORDS: [(&str, &str); 2] =
    [("BRAND", "Rides"), ("WORDS_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tenant-words.json"))];

/// The paths of the deployment itself and of its tenants, and their brands.
const OWNERS: [(&str, &str); 3] = [("", "Rides"), ("/t/acme", "Acme Rides"), ("/t/beta", "Beta Cabs")];

async fn laptop() -> Laptop {
    started(Laptop::builder()).await
}

/// Starts a laptop on which each owner has two numbers.
async fn started(builder: Builder) -> Laptop {
    let laptop = builder.env(&WORDS).numbers("GB", 2).start().await;
    for (path, _) in &OWNERS[1..] {
        let ordered = laptop.post(&format!("{path}/numbers"), &json!({"country": "GB", "count": 2})).await;
        assert_eq!(ordered.body["ready"], 2, "{ordered:?}");
    }
    laptop
}

async fn create(laptop: &Laptop, path: &str, fields: Value) -> Value {
    let mut body = json!({"participants": [{"number": format!("+{RIDER}"), "label": "Ann"},
                                           {"number": format!("+{DRIVER}"), "label": "Bob"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let created = laptop.post(&format!("{path}/conversations"), &body).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Returns the first words of a call, which are also those of its explanation.
async fn hears(laptop: &Laptop, from: &str, to: &str) -> String {
    let explained = laptop.get(&format!("/decisions?from={from}&to={to}")).await.body;
    let call = laptop.call(json!({"from": from, "to": to})).await;
    let said = text(&call["ncco"][0], "/text");
    assert!(text(&explained, "/hears").starts_with(said), "{explained} {call}");
    said.to_owned()
}

fn built_in(tag: &str, sentence: Spoken) -> String {
    match Words::default().speech(Some(&Language::try_from(tag).unwrap())).say(sentence) {
        Utterance::Talk(text, _) => text,
        Utterance::Audio(url) => panic!("{url}"),
    }
}

#[tokio::test]
async fn each_owner_speaks_and_texts_in_its_own_words() {
    let laptop = laptop().await;
    let mut invitations = Vec::new();
    for (path, brand) in OWNERS {
        let created = create(&laptop, path, json!({})).await;
        let dialled = dials(&created, 0);
        let is_acme = path == "/t/acme";
        let connecting = if is_acme { "is connecting you to Bob." } else { "connects you." };
        assert_eq!(hears(&laptop, RIDER, &dialled).await, format!("{brand} {connecting}"));
        invitations.push(format!("{brand}: dial +{dialled}."));
        laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
        let ended = if is_acme { format!("{brand} says goodbye.") } else { built_in("en", Spoken::Ended) };
        assert_eq!(hears(&laptop, RIDER, &dialled).await, ended);
        laptop.text(json!({"from": RIDER, "to": dialled, "text": "Hello?"})).await;
        let explained = laptop.words(RIDER).await.pop().unwrap();
        assert_eq!(explained == "Acme Rides: it is over.", is_acme, "{explained}");
    }
    let texts = laptop.words(RIDER).await;
    assert!(invitations.iter().all(|invitation| texts.contains(invitation)), "{invitations:?} {texts:?}");
    laptop.table().await;
}

#[tokio::test]
async fn stranger_hears_and_reads_whoever_has_the_number() {
    let laptop = laptop().await;
    let nobody = built_in("en", Spoken::Nobody);
    let [none, of_acme, of_beta] = OWNERS.map(|(path, _)| path);
    for (path, said) in [(none, nobody.as_str()), (of_acme, "Acme Rides does not know you."), (of_beta, &nobody)] {
        let shown = laptop.get(&format!("{path}/numbers")).await.body;
        let number = text(&shown, "/countries/0/numbers/0/number").to_owned();
        assert_eq!(hears(&laptop, STRANGER, &number).await, said);
        // A hidden caller hears the default language of whoever has the number.
        let hidden = hears(&laptop, "anonymous", &number).await;
        assert_eq!(hidden == "Hier ist Acme Rides. Bitte zeigen Sie Ihre Nummer.", path == of_acme, "{hidden}");
        for words in ["Hello", "STOP"] {
            laptop.advance(1);
            laptop.text(json!({"from": STRANGER, "to": number, "text": words})).await;
        }
        let texts = laptop.words(STRANGER).await;
        let of_acme = ["Acme Rides knows nobody here.", "Acme Rides stops."].map(str::to_owned);
        assert_eq!(texts.ends_with(&of_acme), path == "/t/acme", "{texts:?}");
        laptop.advance(1);
        laptop.text(json!({"from": "447700900556", "to": number, "text": "HELP"})).await;
    }
    let helped = laptop.words("447700900556").await;
    let brands = OWNERS.map(|(_, brand)| format!("{brand}: "));
    assert!(helped.iter().zip(&brands).all(|(text, brand)| text.starts_with(brand)), "{helped:?}");
    // Settings of a number keep its owner.
    let number = text(&laptop.get("/t/acme/numbers").await.body, "/countries/0/numbers/1/number").to_owned();
    let phone = json!({"support_phone": "+442079460000"});
    assert_eq!(laptop.patch(&format!("/numbers/{number}"), &phone).await.status, 200);
    assert_eq!(laptop.patch(&format!("/numbers/{number}"), &json!({"support_phone": null})).await.status, 200);
    assert_eq!(hears(&laptop, STRANGER, &number).await, "Acme Rides does not know you.");
    laptop.table().await;
}

#[tokio::test]
async fn words_of_a_number_are_in_languages_of_its_tenant() {
    let laptop = laptop().await;
    let words = json!({"words": {"nl": "Dag."}});
    for (path, status) in [("/t/acme", 200), ("/t/beta", 422), ("", 422)] {
        let shown = laptop.get(&format!("{path}/numbers")).await.body;
        let number = text(&shown, "/countries/0/numbers/0/number").to_owned();
        // A request of the deployment itself about it is judged in the same way.
        for scope in ["", path] {
            let changed = laptop.patch(&format!("{scope}/numbers/{number}"), &words).await;
            assert_eq!(changed.status, status, "{scope} {path} {changed:?}");
        }
    }
}

#[tokio::test]
async fn participant_of_a_tenant_hears_their_own_language() {
    let laptop = laptop().await;
    let participants = json!([{"number": format!("+{RIDER}"), "language": "fr"}, {"number": format!("+{DRIVER}")}]);
    let created = create(&laptop, "/t/acme", json!({ "participants": participants })).await;
    assert_eq!(hears(&laptop, RIDER, &dials(&created, 0)).await, built_in("fr", Spoken::Connecting));
    assert_eq!(hears(&laptop, DRIVER, &dials(&created, 1)).await, "Acme Rides is connecting you to the other person.");
}

#[tokio::test]
async fn late_caller_and_receiver_hear_the_tenants_words() {
    let laptop = laptop().await;
    let one_way = create(&laptop, "/t/acme", json!({"direction": "a_to_b", "lost_property": true})).await;
    let shown = text(&one_way, "/participants/0/masked_by").to_owned();
    assert_eq!(hears(&laptop, DRIVER, &shown).await, "Acme Rides only calls you.");
    let created = create(&laptop, "/t/acme", json!({"lost_property": true})).await;
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    let call = laptop.call(json!({"from": RIDER, "to": dials(&created, 0), "presses": ["1"]})).await;
    assert!(call.to_string().contains("Acme Rides asks."), "{call}");
    let texts = laptop.words(DRIVER).await;
    assert!(texts.iter().any(|text| text.starts_with("Acme Rides: Ann lost something")), "{texts:?}");
}

#[tokio::test]
async fn card_has_the_brand_of_the_tenant() {
    let laptop = laptop().await;
    for (path, brand) in OWNERS {
        let created = create(&laptop, path, json!({"contact_card": {"a": "Your driver"}})).await;
        assert_eq!(text(&created, "/contact_card/brand"), brand);
        // A request of the deployment itself about it.
        let changed = json!({"contact_card": {"b": "Your rider"}});
        let changed = laptop.patch(&format!("/conversations/{}", text(&created, "/id")), &changed).await.body;
        assert_eq!(text(&changed, "/contact_card/brand"), brand, "{changed}");
    }
}

#[tokio::test]
async fn typed_pin_is_asked_for_in_the_tenants_words() {
    let laptop = started(Laptop::builder().env(&[("PINS", "on")])).await;
    let created = create(&laptop, "/t/acme", json!({"pin": true})).await;
    let (to, pin) = (dials(&created, 0), text(&created, "/participants/0/pin").to_owned());
    let call = laptop.call(json!({"from": STRANGER, "to": to, "presses": [pin]})).await;
    let said = call.to_string();
    assert!(said.contains("The PIN of Acme Rides, please."), "{call}");
    assert!(said.contains("Acme Rides is connecting you to Bob."), "{call}");
    let wrong = laptop.call(json!({"from": "447700900557", "to": to, "presses": [""]})).await;
    assert!(wrong.to_string().contains("Acme Rides does not know you."), "{wrong}");
}

#[tokio::test]
async fn call_of_an_erased_conversation_goes_on_in_its_owners_words() {
    let laptop = laptop().await;
    // The default language of acme is German.
    for ((path, _), language) in OWNERS.into_iter().zip(["en", "de", "en"]) {
        let created = create(&laptop, path, json!({})).await;
        let id = text(&created, "/id");
        assert_eq!(laptop.delete(&format!("/conversations/{id}?erase=true")).await.status, 204);
        for step in ["join-a", "consent-b"] {
            let keys = json!({"from": RIDER, "to": dials(&created, 0), "uuid": "u", "conversation_uuid": "CON-1",
                              "dtmf": {"digits": "1", "timed_out": false}});
            let answer = laptop.signed_post(&format!("/webhooks/event/{id}/{step}"), &keys.to_string()).await;
            let said = text(&answer.body, "/0/text");
            assert_eq!((answer.status, said), (200, built_in(language, Spoken::Ended).as_str()), "{path} {step}");
        }
    }
}
