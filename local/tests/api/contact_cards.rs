//! Contact cards: the link to one, and what it leads to.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

fn cards() -> Value {
    json!({"contact_card": {"a": "Your driver", "b": "Your rider", "brand": "Rides"}})
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// A card as a phone reads it: the name and the number.
#[derive(Debug, PartialEq)]
struct Card {
    name: String,
    number: String,
}

/// Fetches a card, as a browser does.
async fn fetch(url: &str) -> reqwest::Response {
    local::loopback_client().get(url).send().await.unwrap()
}

async fn read(url: &str) -> Card {
    let response = fetch(url).await;
    assert_eq!(response.status(), 200, "{url}");
    for (name, value) in [
        ("content-type", "text/vcard; charset=utf-8"),
        ("content-disposition", "attachment; filename=\"contact.vcf\""),
        ("cache-control", "private, no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    let vcard = response.text().await.unwrap();
    for number in [RIDER, DRIVER] {
        assert!(!vcard.contains(&number[2..]), "a real number: {vcard}");
    }
    let unfolded = vcard.replace("\r\n ", "");
    let value = |name: &str| {
        let line = unfolded.split("\r\n").find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")
    };
    assert!(vcard.starts_with("BEGIN:VCARD\r\nVERSION:3.0\r\n") && vcard.ends_with("END:VCARD\r\n"), "{vcard}");
    Card { name: value("FN:"), number: value("TEL;TYPE=CELL,VOICE:") }
}

fn card(name: &str, number: &Value) -> Card {
    Card { name: name.to_owned(), number: format!("+{}", number.as_str().unwrap()) }
}

#[tokio::test]
async fn text_has_the_link_to_a_card_with_the_masking_number() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut fields = cards();
    fields["notify"] = json!(true);
    let created = laptop.create_with(fields).await;
    for (side, phone, name) in [("a", RIDER, "Your driver (Rides)"), ("b", DRIVER, "Your rider (Rides)")] {
        let url = text(&created, &format!("/contact_card/{side}/url"));
        let words = laptop.words(phone).await;
        assert!(words.len() == 1 && words[0].ends_with(&format!(" Save this contact: {url}")), "{words:?}");
        let sees = &created["participants"][usize::from(side == "b")]["dials"];
        assert_eq!(read(url).await, card(name, sees));
        assert_eq!(laptop.get(&path(&created)).await.body["contact_card"][side]["url"], url);
    }
    assert_eq!(created["contact_card"]["brand"], "Rides");
}

#[tokio::test]
async fn link_is_in_the_language_of_its_reader() {
    let laptop = Laptop::builder().env(&[("BRAND", "Fahrten")]).numbers("GB", 2).start().await;
    let order = json!({"participants": [{"number": format!("+{RIDER}"), "language": "de"}, {"number": format!("+{DRIVER}")}],
                       "contact_card": {"a": "Ihr Fahrer"}});
    let created = laptop.post("/conversations", &order).await.body;
    let words = laptop.words(RIDER).await.concat();
    assert!(words.contains("Kontakt speichern: http"), "{words}");
    let other = laptop.words(DRIVER).await.concat();
    assert!(!other.contains("http"), "no card for B: {other}");
    let read = read(text(&created, "/contact_card/a/url")).await;
    assert_eq!(read.name, "Ihr Fahrer (Fahrten)", "the brand of the deployment");
}

#[tokio::test]
async fn card_ends_with_the_conversation_or_by_request() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(cards()).await;
    let url = text(&created, "/contact_card/a/url");
    let renamed = laptop.patch(&path(&created), &json!({"contact_card": {"a": "Anna, your driver; 5\\5"}})).await;
    assert_eq!(text(&renamed.body, "/contact_card/a/url"), url);
    assert_eq!(read(url).await.name, "Anna, your driver; 5\\5");
    assert!(renamed.body["contact_card"]["b"].is_null(), "{renamed:?}");
    assert_eq!(fetch(text(&created, "/contact_card/b/url")).await.status(), 404);
    assert!(laptop.patch(&path(&created), &json!({"contact_card": null})).await.body["contact_card"].is_null());
    assert_eq!(fetch(url).await.status(), 404);
    laptop.patch(&path(&created), &cards()).await;
    assert_eq!(fetch(url).await.status(), 200);
    let ended = laptop.delete(&path(&created)).await.body;
    assert!(ended["contact_card"]["a"]["url"].is_null());
    let gone = fetch(url).await;
    assert_eq!(
        (gone.status().as_u16(), gone.headers()["content-type"].to_str().unwrap()),
        (404, "application/problem+json")
    );
    let expires = laptop.create_with(json!({"contact_card": {"a": "Your driver"}, "expires_in": 60})).await;
    laptop.advance(60);
    assert_eq!(fetch(text(&expires, "/contact_card/a/url")).await.status(), 404);
}

#[tokio::test]
async fn token_that_nobody_has_signed_leads_to_nothing() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(cards()).await;
    let url = text(&created, "/contact_card/a/url");
    let id = text(&created, "/id");
    let base = url.split_once("/cards/").unwrap().0;
    let other = url.replace(&format!("{id}a"), &format!("{id}b"));
    for wrong in
        [other.as_str(), &url.replace(".vcf", ""), &format!("{base}/cards/{id}.vcf"), &format!("{base}/cards/a.vcf")]
    {
        assert_eq!(fetch(wrong).await.status(), 404, "{wrong}");
    }
}

#[tokio::test]
async fn card_of_a_replaced_number_has_the_present_one() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let created = laptop.create_with(cards()).await;
    let url = text(&created, "/contact_card/a/url").to_owned();
    let before = created["participants"][0]["dials"].clone();
    let number = before.as_str().unwrap();
    let rotated = laptop.post(&format!("/numbers/{number}/rotate"), &json!({})).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    laptop.run_schedule().await;
    let after = laptop.get(&path(&created)).await.body["participants"][0]["dials"].clone();
    assert_ne!(before, after);
    assert_eq!(read(&url).await, card("Your driver (Rides)", &after));
}

#[tokio::test]
async fn text_about_a_replaced_number_has_the_link_once() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let mut fields = cards();
    fields["notify"] = json!(true);
    let created = laptop.create_with(fields).await;
    let number = text(&created, "/participants/0/dials");
    assert_eq!(laptop.post(&format!("/numbers/{number}/rotate"), &json!({})).await.status, 200);
    for _ in 0..2 {
        laptop.run_schedule().await;
    }
    let (words, url) = (laptop.words(RIDER).await, text(&created, "/contact_card/a/url"));
    let after = laptop.get(&path(&created)).await.body["participants"][0]["dials"].clone();
    assert!(words.len() == 2 && words[1].contains(after.as_str().unwrap()), "{words:?}");
    assert!(words[1].ends_with(&format!(" Save this contact: {url}")), "{words:?}");
    assert_eq!(read(url).await, card("Your driver (Rides)", &after));
    assert_eq!(laptop.words(DRIVER).await.len(), 1, "the driver's number is as it was");
    // By another address, if the deployment has one.
    let laptop = Laptop::builder().env(&[("PUBLIC_URL", "https://rides.example/")]).numbers("GB", 3).start().await;
    let mut fields = cards();
    fields["notify"] = json!(true);
    let created = laptop.create_with(fields).await;
    let number = text(&created, "/participants/0/dials");
    laptop.post(&format!("/numbers/{number}/rotate"), &json!({})).await;
    laptop.run_schedule().await;
    assert!(laptop.words(RIDER).await[1].contains("https://rides.example/cards/"), "{:?}", laptop.words(RIDER).await);
}

#[tokio::test]
async fn names_that_cannot_be_in_a_card_are_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    for wrong in [
        json!({}),
        json!({"brand": "Rides"}),
        json!({"a": "Your\ndriver"}),
        json!({"a": ""}),
        json!({"a": "x".repeat(41)}),
        json!({"a": "Your driver", "brand": "x".repeat(41)}),
        json!({"a": "Your driver", "c": "x"}),
        json!(["Your driver"]),
    ] {
        let order = json!({"contact_card": wrong});
        let mut body = testkit::conversation();
        body["contact_card"] = wrong.clone();
        let statuses = [laptop.post("/conversations", &body).await, laptop.patch(&path(&created), &order).await];
        assert!(statuses.iter().all(|answer| [400, 422].contains(&answer.status)), "{wrong}: {statuses:?}");
    }
    let answer = laptop.send(Method::GET, "/cards/x.vcf", "").await;
    assert_eq!(answer.status, 404);
}

/// Starts a stack that texts by this API from numbers of the US, which have MMS.
async fn in_the_us(texts_by: &str) -> Laptop {
    let variables = [("TEXTS_BY", texts_by), ("PUBLIC_URL", "https://calls.company.example")];
    let laptop = Laptop::builder().env(&variables).start().await;
    let order = json!({"country": "US", "count": 2, "features": ["VOICE", "SMS", "MMS"]});
    assert_eq!(laptop.post("/numbers", &order).await.status, 200);
    laptop
}

const AMERICANS: [&str; 2] = ["12025550101", "12025550102"];

fn order_of_americans() -> Value {
    let people = AMERICANS.map(|phone| json!({"number": format!("+{phone}")}));
    json!({"participants": people, "contact_card": {"a": "Your driver", "brand": "Rides"}})
}

#[tokio::test]
async fn card_comes_by_mms_where_the_number_has_it() {
    let laptop = in_the_us("messages-api").await;
    let created = laptop.post("/conversations", &order_of_americans()).await.body;
    let received = laptop.texts(AMERICANS[0]).await;
    assert_eq!(received.len(), 1, "{received:?}");
    let file = &received[0]["files"][0];
    assert_eq!((text(file, "/type"), &file["url"]), ("vcard", &created["contact_card"]["a"]["url"]), "{file}");
    let words = text(&received[0], "/text");
    assert!(words.contains(text(&created, "/participants/0/dials")) && !words.contains("https://"), "{words}");
    assert_eq!(laptop.texts(AMERICANS[1]).await[0].get("files"), None, "the other one has no card");
    laptop.receipts(json!({})).await;
    let shown = laptop.get(&path(&created)).await.body;
    let states = [0, 1].map(|side| text(&shown, &format!("/participants/{side}/notification")).to_owned());
    assert_eq!(states, ["delivered", "delivered"]);
    // So does that of another number.
    let number = text(&created, "/participants/0/dials");
    laptop.post("/numbers", &json!({"country": "US", "count": 3, "features": ["VOICE", "SMS", "MMS"]})).await;
    assert_eq!(laptop.post(&format!("/numbers/{number}/rotate"), &json!({})).await.status, 200);
    laptop.run_schedule().await;
    let received = laptop.texts(AMERICANS[0]).await;
    assert_eq!((received.len(), text(&received[1], "/files/0/type")), (2, "vcard"), "{received:?}");
    laptop.table().await;
}

#[tokio::test]
async fn card_is_a_link_where_no_mms_can_bring_it() {
    let is_link = |received: &[Value]| {
        assert_eq!((received.len(), received[0].get("files")), (1, None), "{received:?}");
        assert!(text(&received[0], "/text").contains("https://calls.company.example/cards/"), "{received:?}");
    };
    let laptop = in_the_us("sms-api").await;
    laptop.post("/conversations", &order_of_americans()).await;
    is_link(&laptop.texts(AMERICANS[0]).await);
    // No MMS in the country of the phone.
    let variables = [("TEXTS_BY", "messages-api"), ("PUBLIC_URL", "https://calls.company.example")];
    let laptop = Laptop::builder().env(&variables).numbers("GB", 2).start().await;
    laptop.create_with(json!({"notify": true, "contact_card": {"a": "Your driver"}})).await;
    is_link(&laptop.texts(RIDER).await);
    // Vonage refuses the MMS, such as without a registration.
    let laptop = in_the_us("messages-api").await;
    let kind = "https://developer.vonage.com/api-errors/messages#1120";
    let fault = json!({"kind": "status", "status": 422, "body": {"type": kind, "title": "Invalid sender"}});
    let rule = json!({"path": "/v1/messages", "contains": "vcard", "fault": fault});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    let created = laptop.post("/conversations", &order_of_americans()).await.body;
    assert_eq!(created["participants"][0]["notification"], "sent");
    is_link(&laptop.texts(AMERICANS[0]).await);
}
