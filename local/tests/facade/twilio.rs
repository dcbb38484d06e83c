//! The API of Twilio Proxy.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use local::commands::facade::Facade;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, LeakSearch, RIDER, text};

use crate::{PHONES, conversations, lossy, start};

const SERVICE: &str = "KS0123456789abcdef0123456789abcdef";
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

/// The data file of a test, which ends with it.
struct Data(PathBuf);

impl Data {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("maskline-{}.proxy", uuid::Uuid::new_v4())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
        // SQLite's own.
        let _ = std::fs::remove_file(format!("{}-journal", self.path()));
    }
}

/// A backend with a client of Twilio.
struct Backend {
    facade: Facade,
    http: reqwest::Client,
}

impl Backend {
    async fn new(laptop: &Laptop, data: &Data) -> Self {
        Self::at(&laptop.stack.gateway_url, data, &[]).await
    }

    async fn at(url: &str, data: &Data, more: &[&str]) -> Self {
        let usual = ["twilio-proxy", "--url", url, "--port", "0", "--data", data.path(), "--service", SERVICE];
        let facade = start(&[&usual, more].concat(), &[]).await.unwrap();
        Self { facade, http: local::loopback_client() }
    }

    async fn ask(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.request(method, format!("{}/v1/Services{path}", self.facade.url));
        let request = request.basic_auth(ACCOUNT, Some("any"));
        Answer::to(if form.is_empty() { request } else { request.form(form) }).await
    }

    /// Asks about the Service.
    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, &format!("/{SERVICE}{path}"), &[]).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.ask(Method::POST, &format!("/{SERVICE}{path}"), form).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, &format!("/{SERVICE}{path}"), &[]).await
    }

    /// Creates a Session, and returns its path.
    async fn session(&self, form: &[(&str, &str)]) -> String {
        let created = self.post("/Sessions", form).await;
        assert_eq!(created.status, 201, "{created:?}");
        format!("/Sessions/{}", text(&created.body, "/sid"))
    }

    async fn add(&self, session: &str, phone: &str) -> Answer {
        self.post(&format!("{session}/Participants"), &[("Identifier", phone)]).await
    }

    /// Creates a Session with both people, one after the other.
    async fn pair(&self, form: &[(&str, &str)]) -> String {
        let session = self.session(form).await;
        for phone in PHONES {
            let added = self.add(&session, phone).await;
            assert_eq!(added.status, 201, "{added:?}");
        }
        session
    }

    async fn restarted(self, laptop: &Laptop, data: &Data) -> Self {
        self.facade.stop().await;
        Self::new(laptop, data).await
    }
}

fn list<'a>(answer: &'a Answer, key: &str) -> &'a Vec<Value> {
    assert_eq!((answer.status, &answer.body["meta"]["key"]), (200, &json!(key)), "{answer:?}");
    answer.body[key].as_array().unwrap()
}

/// Checks that an answer is an error as Twilio writes it.
fn refused(answer: &Answer, status: u16, code: u32) {
    let expected = (&json!(code), &json!(status), &json!(format!("https://www.twilio.com/docs/errors/{code}")));
    let body = &answer.body;
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!((&body["code"], &body["status"], &body["more_info"]), expected, "{answer:?}");
    LeakSearch::new([RIDER, DRIVER]).assert_no_leak("an error", text(body, "/message"));
}

#[tokio::test]
async fn two_people_of_a_session_reach_each_other_until_it_closes() {
    let laptop = Laptop::builder().machine_clock().numbers("GB", 2).start().await;
    let data = Data::new();
    let backend = Backend::new(&laptop, &data).await;
    let session = backend.session(&[("UniqueName", "ride-42"), ("Ttl", "3600"), ("Mode", "voice-and-message")]).await;
    let alone = backend.add(&session, PHONES[0]).await;
    assert_eq!((alone.status, &alone.body["proxy_identifier"]), (201, &Value::Null), "its number is not known yet");
    assert_eq!(backend.add(&session, PHONES[1]).await.status, 201);
    let people = backend.get(&format!("{session}/Participants")).await;
    let [rider, driver] = list(&people, "participants").as_slice() else { panic!("{people:?}") };
    assert_eq!((text(rider, "/identifier"), text(driver, "/identifier")), (RIDER, DRIVER));
    let [conversation] = conversations(&laptop).await.try_into().unwrap();
    assert_eq!(conversation["participants"][0]["dials"], rider["proxy_identifier"]);
    assert_eq!((text(&conversation, "/reference"), &conversation["extend_on_use"]), ("ride-42", &json!(3600)));
    assert_eq!(conversation["participants"][0]["notification"], "off", "the backend tells people itself");
    assert_eq!(backend.get("/Sessions/ride-42").await.body["status"], "open");

    let call = json!({"from": RIDER, "to": rider["proxy_identifier"], "talk_seconds": 42});
    let placed = laptop.faultless_call(call.clone()).await;
    assert_eq!(placed["phones"]["callee"]["number"], DRIVER);
    let fetched = backend.get(&session).await.body;
    assert_eq!(
        (text(&fetched, "/status"), &fetched["ttl"], text(&fetched, "/unique_name")),
        ("in-progress", &json!(3600), "ride-42")
    );
    let message = backend
        .post(
            &format!("{session}/Participants/{}/MessageInteractions", text(rider, "/sid")),
            &[("Body", "It is here.")],
        )
        .await;
    assert_eq!((message.status, text(&message.body, "/outbound_participant_sid")), (201, text(rider, "/sid")));
    assert_eq!(laptop.words(RIDER).await, ["It is here."]);
    let interactions = backend.get(&format!("{session}/Interactions")).await;
    let of = |kind: &str| list(&interactions, "interactions").iter().find(|one| one["type"] == kind).unwrap();
    let call_sides = ["inbound_participant_sid", "outbound_participant_sid"].map(|name| &of("voice")[name]);
    assert_eq!(call_sides, [&rider["sid"], &driver["sid"]]);
    assert_eq!(
        (text(of("voice"), "/data"), text(of("voice"), "/outbound_resource_status")),
        (r#"{"duration":"42"}"#, "completed")
    );
    assert_eq!(
        backend.get(&format!("{session}/Interactions/{}", text(of("message"), "/sid"))).await.body,
        *of("message")
    );

    let closed = backend.post(&session, &[("Status", "closed")]).await;
    assert_eq!(
        (closed.status, text(&closed.body, "/status"), text(&closed.body, "/closed_reason")),
        (200, "closed", "api")
    );
    assert!(laptop.call(call).await["phones"]["callee"].is_null());
    assert_eq!(backend.post(&session, &[("Status", "closed")]).await.status, 200);
    refused(&backend.post(&session, &[("Status", "in-progress")]).await, 400, 80607);
    refused(&backend.add(&session, "+447700900003").await, 400, 80607);
    assert_eq!(backend.delete(&session).await.status, 204);
    refused(&backend.get(&session).await, 404, 20404);
    assert!(conversations(&laptop).await.is_empty());
}

#[tokio::test]
async fn repeated_requests_create_one_session_and_one_conversation() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let data = Data::new();
    let backend = Backend::new(&laptop, &data).await;
    let session = backend.session(&[("UniqueName", "ride-42")]).await;
    assert_eq!(backend.session(&[("UniqueName", "ride-42")]).await, session);
    for phone in [PHONES[0], PHONES[0], PHONES[1], PHONES[1], "+44 7700 900001"] {
        let added = backend.add(&session, phone).await;
        assert_eq!(
            (added.status, text(&added.body, "/session_sid")),
            (201, &session["/Sessions/".len()..]),
            "{added:?}"
        );
    }
    assert_eq!(conversations(&laptop).await.len(), 1);
    refused(&backend.post("/Sessions", &[("UniqueName", "ride-42")]).await, 400, 80603);
    refused(&backend.add(&session, "+447700900003").await, 400, 80609);
    let people = PHONES.map(|phone| json!({"Identifier": phone, "FriendlyName": "Somebody"}).to_string());
    let whole = [("UniqueName", "ride-43"), ("Participants", &people[0]), ("Participants", &people[1])];
    let again = backend.session(&whole).await;
    assert_eq!(backend.session(&whole).await, again);
    assert_eq!(conversations(&laptop).await.len(), 2);
    let people = backend.get(&format!("{again}/Participants")).await;
    assert!(
        list(&people, "participants")
            .iter()
            .all(|one| one["friendly_name"] == "Somebody" && one["proxy_identifier"].is_string())
    );
    let (one, two) =
        tokio::join!(backend.pair(&[("UniqueName", "ride-44")]), backend.pair(&[("UniqueName", "ride-44")]));
    assert_eq!((one, conversations(&laptop).await.len()), (two, 3));
}

#[tokio::test]
async fn session_is_the_same_after_a_restart_in_every_state() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let data = Data::new();
    let backend = Backend::new(&laptop, &data).await;
    let session = backend.session(&[("Ttl", "600")]).await;
    let backend = backend.restarted(&laptop, &data).await;
    assert_eq!(backend.add(&session, PHONES[0]).await.status, 201);
    let backend = backend.restarted(&laptop, &data).await;
    let second = backend.add(&session, PHONES[1]).await;
    assert_eq!(second.status, 201, "{second:?}");
    let (fetched, people) =
        (backend.get(&session).await.body, backend.get(&format!("{session}/Participants")).await.body);
    let backend = backend.restarted(&laptop, &data).await;
    let path = format!("{session}/Participants/{}", text(&second.body, "/sid"));
    let without_urls =
        |body: &Value| [&body["sid"], &body["ttl"], &body["date_expiry"], &body["status"]].map(Clone::clone);
    assert_eq!(without_urls(&backend.get(&session).await.body), without_urls(&fetched));
    assert_eq!(backend.get(&path).await.body["proxy_identifier"], people["participants"][1]["proxy_identifier"]);
    assert_eq!(conversations(&laptop).await.len(), 1);
}

#[tokio::test]
async fn lost_answer_is_asked_for_again_and_creates_nothing_twice() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let data = Data::new();
    let backend = Backend::at(&lossy(&laptop.stack.gateway_url, 2).await, &data, &[]).await;
    let session = backend.session(&[]).await;
    assert_eq!(backend.add(&session, PHONES[0]).await.status, 201);
    // The answer to the creation is lost, and that to the next attempt too.
    refused(&backend.add(&session, PHONES[1]).await, 503, 20503);
    refused(&backend.get(&session).await, 503, 20503);
    let backend = backend.restarted(&laptop, &data).await;
    let added = backend.add(&session, PHONES[1]).await;
    assert_eq!((added.status, added.body["proxy_identifier"].is_string()), (201, true), "{added:?}");
    assert_eq!(conversations(&laptop).await.len(), 1);
}

#[tokio::test]
async fn empty_pool_is_told_and_the_session_goes_on_when_it_is_filled() {
    let laptop = Laptop::start().await;
    let data = Data::new();
    let backend = Backend::new(&laptop, &data).await;
    let session = backend.session(&[("UniqueName", "ride-42")]).await;
    assert_eq!(backend.add(&session, PHONES[0]).await.status, 201);
    refused(&backend.add(&session, PHONES[1]).await, 400, 80206);
    let people = backend.get(&format!("{session}/Participants")).await;
    assert_eq!(list(&people, "participants").len(), 1, "who was refused is not in it");
    let people = PHONES.map(|phone| json!({"Identifier": phone}).to_string());
    let whole = [("UniqueName", "ride-43"), ("Participants", people[0].as_str()), ("Participants", people[1].as_str())];
    refused(&backend.post("/Sessions", &whole).await, 400, 80206);
    assert_eq!(list(&backend.get("/Sessions").await, "sessions").len(), 1, "a refused creation leaves nothing");
    laptop.rent("GB", 2).await;
    assert_eq!(backend.add(&session, PHONES[1]).await.status, 201);
    assert_eq!(backend.post("/Sessions", &whole).await.status, 201);
}

#[tokio::test]
async fn what_is_not_there_or_not_possible_is_refused_in_twilios_form() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let data = Data::new();
    let backend = Backend::new(&laptop, &data).await;
    let session = backend.pair(&[]).await;
    let unknown = "0".repeat(32);
    for path in [
        format!("/{SERVICE}/Sessions/KC{unknown}"),
        format!("/{SERVICE}/Sessions/ride-1"),
        format!("/KS{unknown}/Sessions"),
        format!("/{SERVICE}{session}/Participants/KP{unknown}"),
        format!("/{SERVICE}{session}/Interactions/KI{unknown}"),
        format!("/{SERVICE}/PhoneNumbers"),
    ] {
        refused(&backend.ask(Method::GET, &path, &[]).await, 404, 20404);
    }
    let people = backend.get(&format!("{session}/Participants")).await.body;
    let rider = text(&people, "/participants/0/sid");
    refused(&backend.delete(&format!("{session}/Participants/{rider}")).await, 405, 20004);
    refused(&backend.ask(Method::POST, "", &[("UniqueName", "rides")]).await, 405, 20004);
    refused(&backend.post("/Sessions", &[("Mode", "voice-only")]).await, 400, 80701);
    let waiting = backend.session(&[]).await;
    for wrong in ["messenger:4829103752", "07700900003", "+449090123456"] {
        refused(&backend.add(&waiting, wrong).await, 400, 80404);
    }
    refused(&backend.post(&waiting, &[("Status", "open")]).await, 400, 80608);
    let anybody = backend.http.get(format!("{}/v1/Services", backend.facade.url));
    refused(&Answer::to(anybody).await, 401, 20003);
}

#[tokio::test]
async fn end_of_a_session_moves_before_and_after_it_is_paired() {
    let laptop = Laptop::builder().machine_clock().numbers("GB", 2).start().await;
    let data = Data::new();
    let backend = Backend::new(&laptop, &data).await;
    let in_hours = |hours| (laptop.clock_now() + jiff::SignedDuration::from_hours(hours)).to_string();
    let session = backend.session(&[("Ttl", "600")]).await;
    assert_eq!(backend.post(&session, &[("DateExpiry", &in_hours(2))]).await.status, 200);
    for phone in PHONES {
        backend.add(&session, phone).await;
    }
    let [conversation] = conversations(&laptop).await.try_into().unwrap();
    let minutes = |conversation: &Value| {
        let ends: jiff::Timestamp = text(conversation, "/expires_at").parse().unwrap();
        (ends.as_second() - laptop.clock_now().as_second()) / 60
    };
    assert!((115..=120).contains(&minutes(&conversation)) && conversation["extend_on_use"].is_null(), "{conversation}");
    let changed = backend.post(&session, &[("Ttl", "1800")]).await;
    let [conversation] = conversations(&laptop).await.try_into().unwrap();
    assert_eq!((&changed.body["ttl"], &conversation["extend_on_use"]), (&json!(1800), &json!(1800)), "{changed:?}");
    assert!((25..=30).contains(&minutes(&conversation)), "{conversation}");
}

#[tokio::test]
async fn sessions_are_listed_in_pages_and_erased_ones_are_not() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let data = Data::new();
    let backend = Backend::new(&laptop, &data).await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.insert(0, backend.pair(&[]).await);
    }
    expected.insert(0, backend.session(&[]).await);
    let all = conversations(&laptop).await;
    let erased = all.iter().find(|one| expected[1].ends_with(text(one, "/reference"))).unwrap();
    laptop.delete(&format!("/conversations/{}?erase=true", text(erased, "/id"))).await;
    expected.remove(1);
    let (mut found, mut next) =
        (Vec::new(), Some(format!("{}/v1/Services/{SERVICE}/Sessions?PageSize=2", backend.facade.url)));
    while let Some(url) = next {
        let page = Answer::to(backend.http.get(url).basic_auth(ACCOUNT, Some("any"))).await;
        found.extend(list(&page, "sessions").iter().map(|session| format!("/Sessions/{}", text(session, "/sid"))));
        next = page.body["meta"]["next_page_url"].as_str().map(str::to_owned);
    }
    assert_eq!(found, expected);
    let services = backend.ask(Method::GET, "", &[]).await;
    assert_eq!(text(&list(&services, "services")[0], "/sid"), SERVICE);
}

#[tokio::test]
async fn session_from_elsewhere_has_the_id_of_its_conversation() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let (data, imported) = (Data::new(), Data::new());
    let id = text(&laptop.create().await, "/id").to_owned();
    let old = format!("KC{}", "4".repeat(32));
    std::fs::write(&imported.0, format!("{}\n", json!({"session": old, "conversation": id}))).unwrap();
    let backend = Backend::at(&laptop.stack.gateway_url, &data, &["--imported", imported.path()]).await;
    let bits = id.parse::<ulid::Ulid>().unwrap().0;
    for sid in [old, format!("KC{bits:032x}")] {
        let people = backend.get(&format!("/Sessions/{sid}/Participants")).await;
        let [rider, _] = list(&people, "participants").as_slice() else { panic!("{people:?}") };
        assert_eq!((text(rider, "/identifier"), text(rider, "/session_sid")), (RIDER, sid.as_str()));
    }
}

#[tokio::test]
async fn service_of_a_tenant_sees_that_tenants_sessions_only() {
    let laptop = Laptop::start().await;
    for tenant in ["acme", "beta"] {
        laptop.post(&format!("/t/{tenant}/numbers"), &json!({"country": "GB", "count": 2})).await;
    }
    let (data, other) = (Data::new(), format!("KS{}", "b".repeat(32)));
    let acme = format!("KS{}=acme", "a".repeat(32));
    let services = ["--service", &acme, "--service", &format!("{other}=beta")];
    let backend = Backend::at(&laptop.stack.gateway_url, &data, &services).await;
    let people = PHONES.map(|phone| json!({"Identifier": phone}).to_string());
    let whole = [("UniqueName", "ride-1"), ("Participants", people[0].as_str()), ("Participants", people[1].as_str())];
    let own = format!("/{}/Sessions", &acme[..34]);
    let created = backend.ask(Method::POST, &own, &whole).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(conversations(&laptop).await[0]["tenant"], "acme");
    let sid = text(&created.body, "/sid");
    assert_eq!(backend.ask(Method::GET, &format!("{own}/ride-1"), &[]).await.status, 200);
    for name in [sid, "ride-1"] {
        refused(&backend.ask(Method::GET, &format!("/{other}/Sessions/{name}"), &[]).await, 404, 20404);
    }
    let id = conversations(&laptop).await[0]["id"].as_str().unwrap().parse::<ulid::Ulid>().unwrap().0;
    refused(&backend.ask(Method::GET, &format!("/{other}/Sessions/KC{id:032x}"), &[]).await, 404, 20404);
}

#[tokio::test]
async fn other_machines_are_let_in_with_the_token_only() {
    let laptop = Laptop::start().await;
    let data = Data::new();
    let arguments = [
        "twilio-proxy",
        "--url",
        &laptop.stack.gateway_url,
        "--port",
        "0",
        "--data",
        data.path(),
        "--service",
        SERVICE,
        "--listen",
        "0.0.0.0",
    ];
    let refusal = start(&arguments, &[]).await.unwrap_err();
    assert!(refusal.contains("MASKLINE_FACADE_TOKEN"), "{refusal}");
    let facade = start(&arguments, &[("MASKLINE_FACADE_TOKEN", "secret")]).await.unwrap();
    let url = facade.url.replace("0.0.0.0", "127.0.0.1");
    for (password, status) in [("secret", 200), ("Secret", 401), ("", 401)] {
        let request = laptop.http.get(format!("{url}/v1/Services")).basic_auth(ACCOUNT, Some(password));
        assert_eq!(Answer::to(request).await.status, status, "{password}");
    }
    assert!(start(&["chime", "--voice-connector", "abc", "--listen", "0.0.0.0"], &[]).await.is_err());
    let taken = start(&arguments[..arguments.len() - 2], &[]).await.unwrap_err();
    assert!(taken.contains("in use by another process"), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_has_no_real_number() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let data = Data::new();
    let mut program = Command::new(env!("CARGO_BIN_EXE_maskline"))
        .args(["facade", "twilio-proxy", "--url", &laptop.stack.gateway_url, "--port", "0"])
        .args(["--data", data.path(), "--service", SERVICE])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(program.stdout.take().unwrap()), &mut line).unwrap();
    let url = line.rsplit(' ').next().unwrap().trim().to_owned();
    let ask = async |method: Method, path: &str, form: &[(&str, &str)]| {
        let request = laptop.http.request(method, format!("{url}/v1/Services/{SERVICE}{path}"));
        Answer::to(request.basic_auth(ACCOUNT, Some("any")).form(form)).await
    };
    let created = ask(Method::POST, "/Sessions", &[("UniqueName", RIDER)]).await;
    let session = format!("/Sessions/{}", text(&created.body, "/sid"));
    for phone in [PHONES[0], PHONES[1], "+447700900003", "07700900001"] {
        ask(Method::POST, &format!("{session}/Participants"), &[("Identifier", phone), ("FriendlyName", RIDER)]).await;
    }
    ask(Method::GET, &format!("/Sessions/{RIDER}"), &[]).await;
    ask(Method::GET, &format!("/Sessions/+{DRIVER}"), &[]).await;
    ask(Method::POST, "/Sessions", &[(PHONES[0], PHONES[1])]).await;
    program.kill().unwrap();
    let log = String::from_utf8(program.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.contains("v1/Services/…/Sessions/…/Participants") && log.contains("refused"), "{log}");
    LeakSearch::new([RIDER, DRIVER, "447700900003"]).assert_log_has_no_leak(&log);
    let file = String::from_utf8_lossy(&std::fs::read(&data.0).unwrap()).into_owned();
    assert!(!file.contains("7700900002"), "the phones of a paired Session are not in the file");
}
