//! Answers to callers who may not see real numbers: all operations of the API, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use local::decision_backend::{DecisionBackend, Reply};
use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use testkit::{Answer, ApiDescription, Laptop, text};

use crate::laptop::{DRIVER, NEW_PHONE, REAL, RIDER, STRANGER, builder, conversation};

/// The phone of [`STRANGER`] as it is shown to those who may not see it.
const MASKED: &str = "+44…369";

/// A laptop, and all that its API has answered, by operation.
struct Walk {
    laptop: Laptop,
    answers: BTreeMap<String, String>,
}

/// Returns the names of the parameters in a path, and the path with `values` in their places.
fn filled(path: &str, values: &[(&str, &str)]) -> (bool, String) {
    let filled = values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
    (!filled.contains('{'), filled)
}

impl Walk {
    async fn start(numbers: &str, backend: &DecisionBackend) -> Self {
        let settings = [("REVEAL_NUMBERS", numbers), ("WEBHOOK_URL", &backend.url)];
        Self { laptop: builder().env(&settings).start().await, answers: BTreeMap::new() }
    }

    fn note(&mut self, operation: &str, answer: &str) {
        self.answers.entry(operation.to_owned()).or_default().push_str(answer);
    }

    /// Carries out an operation, which must succeed.
    async fn ask(&mut self, operation: &str, path: &str, body: Value) -> Value {
        let (method, _) = operation.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request =
            self.laptop.request(method.clone(), path).header("Idempotency-Key", format!("{operation} {path}"));
        let body = if method == Method::GET || method == Method::DELETE { String::new() } else { body.to_string() };
        let answer: Answer = self.laptop.answer(request.body(body)).await;
        assert!((200..300).contains(&answer.status), "{operation}: {answer:?}");
        self.note(operation, &format!("{:?} {}", answer.headers, answer.body));
        answer.body
    }

    /// Carries out an operation that leads elsewhere, or whose answer is not JSON.
    async fn fetch(&mut self, operation: &str, path: &str) {
        let client = shared::vonage::http_client(None).no_proxy().redirect(Policy::none()).build().unwrap();
        let answer = client.get(format!("{}{path}", self.laptop.stack.gateway_url)).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        assert!(status == 200 || status == 302, "{operation}: {status}");
        let body = answer.text().await.unwrap();
        self.note(operation, &format!("{headers:?} {body}"));
    }

    /// Carries out all operations of the API.
    async fn everything(&mut self) {
        let spare = self.numbers().await;
        let (id, dials) = self.people().await;
        self.calls(&id, &dials).await;
        self.recordings(&id, &dials).await;
        let list = format!("/conversations?number=%2B{RIDER}");
        self.ask("GET /conversations", &list, json!(null)).await;
        for from in [RIDER, STRANGER] {
            self.ask("GET /decisions", &format!("/decisions?from=%2B{from}&to={dials}"), json!(null)).await;
        }
        let path = format!("/conversations/{id}");
        let phones = json!([null, {"number": format!("+{NEW_PHONE}"), "phones": [{"number": format!("+{STRANGER}")}]}]);
        self.ask("PATCH /conversations/{id}", &path, json!({"participants": phones})).await;
        self.ask("POST /conversations/{id}/notifications", &format!("{path}/notifications"), json!({"to": "b"})).await;
        let words = json!({"to": "a", "text": "Your car is here."});
        self.ask("POST /conversations/{id}/texts", &format!("{path}/texts"), words).await;
        self.ask("POST /events/replay", "/events/replay", json!({"conversation": id})).await;
        let support = json!({"support_phone": format!("+{STRANGER}")});
        self.ask("PUT /tenants/{tenant}", "/tenants/acme", support).await;
        self.ask("POST /setup", "/setup", json!({"dry_run": true})).await;
        // What only reads, also if it is new.
        for operation in ApiDescription::get().operations().filter(|operation| operation.method == "get") {
            let key = format!("GET {}", operation.path);
            let parameters = [("id", &*id), ("tenant", "acme"), ("number", &*spare)];
            let (is_known, path) = filled(operation.path, &parameters);
            if is_known && !self.answers.contains_key(&key) && key != "GET /erasures/{id}" {
                self.ask(&key, &path, json!(null)).await;
            }
        }
        self.ask("DELETE /conversations/{id}", &path, json!(null)).await;
        let erasure = self.ask("POST /erasures", "/erasures", json!({"number": format!("+{RIDER}")})).await;
        self.ask("GET /erasures/{id}", &format!("/erasures/{}", text(&erasure, "/id")), json!(null)).await;
    }

    /// The operations on numbers. Returns a number that is a standing mask.
    async fn numbers(&mut self) -> String {
        self.ask("POST /numbers", "/numbers", json!({"country": "GB", "count": 5})).await;
        self.ask("GET /numbers/requirements", "/numbers/requirements?country=GB", json!(null)).await;
        let pool = self.ask("GET /numbers", "/numbers", json!(null)).await;
        let [standing, rotated, drained] =
            [0, 1, 2].map(|nth| text(&pool, &format!("/countries/0/numbers/{nth}/number")).to_owned());
        self.ask("POST /numbers/{number}/rotate", &format!("/numbers/{rotated}/rotate"), json!({})).await;
        self.ask("DELETE /numbers/{number}", &format!("/numbers/{drained}"), json!(null)).await;
        let phone = |digits: &str| json!({"number": format!("+{digits}")});
        let mask = json!({"phones": [phone(RIDER), phone(DRIVER)], "blocked": [format!("+{STRANGER}")]});
        let path = format!("/numbers/{standing}");
        self.ask("PATCH /numbers/{number}", &path, json!({"standing": mask})).await;
        standing
    }

    /// A conversation of three phones. Returns its id, and the number that the rider dials.
    async fn people(&mut self) -> (String, String) {
        let mut order = conversation();
        order["support_phone"] = json!(format!("+{STRANGER}"));
        order["missed_calls"] = json!(["voicemail"]);
        order["contact_card"] = json!({"a": "Your driver", "b": "Your rider"});
        order["participants"][1]["phones"] = json!([{"number": format!("+{STRANGER}"), "name": "Anna"}]);
        let create = "POST /conversations";
        let created = self.ask(create, "/conversations", order.clone()).await;
        let again = self.ask(create, "/conversations", order.clone()).await;
        assert_eq!(created["id"], again["id"]);
        order["dry_run"] = json!(true);
        self.ask(create, "/conversations?", order).await;
        let url = text(&created, "/contact_card/a/url");
        let card = url.strip_prefix(&self.laptop.stack.gateway_url).unwrap().to_owned();
        self.fetch("GET /cards/{card}", &card).await;
        (text(&created, "/id").to_owned(), text(&created, "/participants/0/dials").to_owned())
    }

    /// The operations on calls that are up.
    async fn calls(&mut self, id: &str, dials: &str) {
        let path = format!("/conversations/{id}/calls");
        let script = json!({"callees": {RIDER: {"does": "answers", "presses": ["1"]}}, "lives": true});
        assert_eq!(self.laptop.vonage(Method::PUT, "/simulator/created-calls", script).await.status, 204);
        let placed = self.ask("POST /conversations/{id}/calls", &path, json!({"from": "a"})).await;
        self.laptop.advance(3);
        self.ask("GET /conversations/{id}/calls", &path, json!(null)).await;
        let call = format!("{path}/{}", text(&placed, "/conversation_uuid"));
        let talk = "POST /conversations/{id}/calls/{call}/talk";
        self.ask(talk, &format!("{call}/talk"), json!({"text": "Gate 12."})).await;
        self.ask("DELETE /conversations/{id}/calls/{call}", &call, json!(null)).await;
        self.laptop.text(json!({"from": RIDER, "to": dials, "text": "on my way"})).await;
    }

    /// A message after a missed call, and the two ways to hear it.
    async fn recordings(&mut self, id: &str, dials: &str) {
        let callees = json!({DRIVER: "busy", STRANGER: "busy"});
        let call =
            json!({"from": RIDER, "to": dials, "callees": callees, "presses": ["2", "#"], "message_seconds": 20});
        self.laptop.call(call).await;
        self.laptop.stack.background_runs_finished().await;
        let list = "GET /conversations/{id}/recordings";
        let kept = self.ask(list, &format!("/conversations/{id}/recordings"), json!(null)).await;
        let file = text(&kept, "/recordings/0/path").to_owned();
        self.fetch("GET /conversations/{id}/recordings/{recording}", &file).await;
        let words = self.laptop.words(DRIVER).await;
        let link = words.iter().find_map(|words| Some(words[words.find("/recordings/")?..].to_owned())).unwrap();
        self.fetch("GET /recordings/{token}", &link).await;
    }
}

#[tokio::test]
async fn no_operation_shows_a_number_without_the_permission() {
    let backend = DecisionBackend::start(Reply::Raw(200, String::new())).await.unwrap();
    let mut all = Walk::start("all", &backend).await;
    all.everything().await;
    let operations: BTreeSet<String> = ApiDescription::get()
        .operations()
        .map(|operation| format!("{} {}", operation.method.to_uppercase(), operation.path))
        .collect();
    assert_eq!(all.answers.keys().cloned().collect::<BTreeSet<_>>(), operations, "the walk misses an operation");
    let with_numbers = |walk: &Walk, has: fn(&str) -> bool| -> BTreeSet<String> {
        let those = walk.answers.iter().filter(|(_, answer)| has(answer));
        those.map(|(operation, _)| operation.clone()).collect()
    };
    let shown = with_numbers(&all, |answer| REAL.find_in(answer).is_some());
    assert!(shown.len() > 10, "{shown:?}");

    let mut permitted = Walk::start("permitted", &backend).await;
    permitted.everything().await;
    for (operation, answer) in &permitted.answers {
        REAL.assert_no_leak(operation, answer);
    }
    let masked = with_numbers(&permitted, |answer| answer.contains("+44…"));
    assert_eq!(masked, shown, "the same answers have masked numbers");
    assert!(permitted.answers["POST /conversations"].contains(MASKED));
    assert!(with_numbers(&all, |answer| answer.contains("+44…")).is_empty());
}
