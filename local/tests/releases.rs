//! Two releases at once on one table: this one, and the one whose `maskline` the variable names. Both serve a storm of creations,
//! changes, ends, erasures and calls, and run their schedules. `just releases REVISION` builds the other one and runs this.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Answer, Laptop, text};

/// The variable with the path of the other release's `maskline`.
const OTHER: &str = "MASKLINE_OTHER_RELEASE";

/// Number of workers. Each one has conversations of its own, and all share the people.
const WORKERS: usize = 4;
/// Number of operations of a worker.
const OPERATIONS: usize = 250;
const PEOPLE: usize = 8;

/// The other release.
struct Other {
    process: Child,
    /// Kept open, because the process also writes after its start.
    _output: BufReader<ChildStdout>,
    addresses: Addresses,
    dynamodb: String,
}

/// Where a release serves, and its simulated Vonage.
#[derive(Clone)]
struct Addresses {
    gateway: String,
    vonage: String,
}

impl Other {
    fn start() -> Self {
        let program = std::env::var(OTHER).expect("the path of the other release's maskline");
        let ports = ["--port", "0", "--dynamodb-port", "0", "--vonage-port", "0"];
        let process = Command::new(program).args(ports).stdout(Stdio::piped()).spawn();
        let mut process = process.unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut address = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line.trim_end().rsplit(' ').next().unwrap().to_owned()
        };
        let [gateway, dynamodb, vonage] = [address(), address(), address()];
        assert!(vonage.starts_with("http://"), "it did not start");
        Self { process, _output: output, addresses: Addresses { gateway, vonage }, dynamodb }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A conversation of a worker, as its answers have shown it.
struct Known {
    id: String,
    phones: [usize; 2],
    dials: [String; 2],
    is_active: bool,
}

/// Counts of what a worker has seen.
#[derive(Default)]
struct Counts {
    created: usize,
    connected: usize,
    changed: usize,
    over: usize,
}

/// Who may reach whom by which number: caller, dialled number and callee of all conversations of all workers.
type Reachable = Arc<Mutex<HashSet<(usize, String, usize)>>>;

struct Worker {
    reachable: Reachable,
    http: reqwest::Client,
    releases: [Addresses; 2],
    own: Vec<Known>,
    counts: Counts,
    random: fastrand::Rng,
    key: usize,
}

fn phone(person: usize) -> String {
    format!("4477{person:08}")
}

impl Worker {
    /// Sends a request to either release, and fails if that fails.
    async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>, key: Option<&str>) -> Answer {
        let release = self.random.usize(..2);
        self.ask_of(release, method, path, body, key).await
    }

    async fn ask_of(
        &self,
        release: usize,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.releases[release].gateway));
        request = body.into_iter().fold(request, |request, body| request.body(body.to_string()));
        request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        let answer = Answer::to(request).await;
        let is_refusal = ["no-number-free", "contended"]
            .iter()
            .any(|kind| answer.body["type"].as_str().is_some_and(|kind_of| kind_of.ends_with(kind)));
        assert!(answer.status < 500 || is_refusal, "release {release}, {path}: {answer:?}");
        answer
    }

    async fn create(&mut self) {
        let first = self.random.usize(..PEOPLE);
        let phones = [first, (first + 1 + self.random.usize(..PEOPLE - 1)) % PEOPLE];
        let participants = phones.map(|person| json!({"number": format!("+{}", phone(person))}));
        let order = json!({"participants": participants, "notify": self.random.bool(), "quarantine": 7200});
        self.key += 1;
        let (key, release) = (format!("{}-{}", self.random.u64(..), self.key), self.random.usize(..2));
        let created = self.ask_of(release, Method::POST, "/conversations", Some(&order), Some(&key)).await;
        if created.status != 201 {
            // A release of before refuses with 503.
            assert!([409, 503].contains(&created.status), "{created:?}");
            return;
        }
        let again = self.ask_of(release, Method::POST, "/conversations", Some(&order), Some(&key)).await;
        assert_eq!((again.status, &again.body["id"]), (200, &created.body["id"]), "{again:?}");
        let dials = [0, 1].map(|side| text(&created.body, &format!("/participants/{side}/dials")).to_owned());
        self.own.push(Known { id: text(&created.body, "/id").to_owned(), phones, dials, is_active: true });
        self.may_reach(self.own.len() - 1, phones);
        self.counts.created += 1;
    }

    /// Notes that the participants of a conversation may reach each other with these phones.
    fn may_reach(&self, index: usize, phones: [usize; 2]) {
        let dials = &self.own[index].dials;
        let of_sides = [0, 1].map(|side| (phones[side], dials[side].clone(), phones[1 - side]));
        self.reachable.lock().unwrap().extend(of_sides);
    }

    /// Places a call on a conversation, and checks whom it reaches.
    async fn call(&mut self, index: usize) {
        let (side, release) = (self.random.usize(..2), self.random.usize(..2));
        let Known { phones, dials, is_active, .. } = &self.own[index];
        let call = json!({"from": phone(phones[side]), "to": dials[side]});
        let sent = self.http.post(format!("{}/simulator/calls", self.releases[release].vonage)).body(call.to_string());
        let call = Answer::to(sent.header("content-type", "application/json")).await;
        assert_eq!((call.status, text(&call.body, "/answered_by")), (200, "answer_url"), "{call:?}");
        let callee = call.body["phones"]["callee"]["number"].as_str();
        // After the end, the same two people may have got their numbers back.
        let is_right = match callee {
            Some(callee) if !is_active => {
                let reachable = self.reachable.lock().unwrap();
                callee == phone(phones[1 - side])
                    || reachable
                        .iter()
                        .filter(|(caller, dialled, _)| *caller == phones[side] && *dialled == dials[side])
                        .any(|(.., person)| phone(*person) == callee)
            }
            callee => callee.map(str::to_owned) == is_active.then(|| phone(phones[1 - side])),
        };
        assert!(is_right, "release {release}: {call:?}");
        for event in call.body["events"].as_array().unwrap() {
            assert_eq!(event["http_status"], 204, "{call:?}");
        }
        self.counts.connected += usize::from(callee.is_some());
        self.counts.over += usize::from(callee.is_none());
    }

    async fn change(&mut self, index: usize) {
        let (side, longer) = (self.random.usize(..2), self.random.bool());
        // A phone that nobody else has.
        let person = self.random.usize(PEOPLE..100_000);
        let path = format!("/conversations/{}", self.own[index].id);
        let mut participants = json!([null, null]);
        participants[side] = json!({"number": format!("+{}", phone(person))});
        let body = if longer { json!({"expires_in": 90_000}) } else { json!({"participants": participants}) };
        if !longer {
            let mut phones = self.own[index].phones;
            phones[side] = person;
            self.may_reach(index, phones);
        }
        let changed = self.ask(Method::PATCH, &path, Some(&body), None).await;
        let known = &mut self.own[index];
        match changed.status {
            200 if !longer => known.phones[side] = person,
            200 => {}
            status => assert!([404, 409, 422].contains(&status) || status == 503, "{changed:?}"),
        }
        assert!(known.is_active || changed.status != 200, "{changed:?}");
        self.counts.changed += usize::from(changed.status == 200);
    }

    async fn end(&mut self, index: usize, erase: bool) {
        let path = format!("/conversations/{}{}", self.own[index].id, if erase { "?erase=true" } else { "" });
        let ended = self.ask(Method::DELETE, &path, None, None).await;
        assert!([200, 204, 404].contains(&ended.status), "{ended:?}");
        self.own[index].is_active = false;
        let path = format!("/conversations/{}", self.own[index].id);
        for release in 0..2 {
            let read = self.ask_of(release, Method::GET, &path, None, None).await;
            assert!(read.status == 404 || !erase && read.body["state"] == "ended", "release {release}: {read:?}");
        }
    }

    async fn run(mut self) -> Counts {
        for _ in 0..OPERATIONS {
            let choice = self.random.usize(..20);
            if self.own.is_empty() || choice < 4 {
                self.create().await;
                continue;
            }
            // Mostly one of the last ones, because most earlier ones have ended.
            let back = self.random.usize(..self.own.len().min(6));
            let index = self.own.len() - 1 - back;
            match choice {
                4..=5 => self.end(index, false).await,
                6 => self.end(index, true).await,
                7..=10 => self.change(index).await,
                _ => self.call(index).await,
            }
        }
        for index in 0..self.own.len() {
            if self.own[index].is_active {
                self.call(index).await;
            }
        }
        self.counts
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs another release's binary, which `just releases` builds"]
async fn two_releases_serve_a_storm_on_one_table() {
    let other = Other::start();
    let http = local::loopback_client();
    // The other one rents, so that both simulated accounts own the numbers.
    let order = json!({"country": "GB", "count": 12}).to_string();
    let rented = Answer::to(http.post(format!("{}/numbers", other.addresses.gateway)).body(order)).await;
    assert_eq!(rented.body["ready"], 12, "{rented:?}");
    let laptop = Arc::new(Laptop::builder().dynamodb_url(&other.dynamodb).start().await);
    let this = Addresses { gateway: laptop.stack.gateway_url.clone(), vonage: laptop.stack.vonage_url.clone() };
    let reachable = Reachable::default();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let releases = [this.clone(), other.addresses.clone()];
            let random = fastrand::Rng::with_seed(seed.wrapping_add(worker as u64));
            let (http, reachable, own, counts) = (http.clone(), reachable.clone(), Vec::new(), Counts::default());
            tokio::spawn(Worker { reachable, http, releases, own, counts, random, key: 0 }.run())
        })
        .collect();
    while !workers.iter().all(tokio::task::JoinHandle::is_finished) {
        // The other release has the machine's clock.
        laptop.clock.advance(Timestamp::now().duration_since(laptop.clock.now()));
        let report = laptop.run_schedule().await;
        assert!(report["failed"].is_null(), "{report}");
        laptop.stack.run_erasure_schedule().await.unwrap();
    }
    let mut all = Counts::default();
    for worker in workers {
        let Counts { created, connected, changed, over } = worker.await.unwrap();
        all.created += created;
        all.connected += connected;
        all.changed += changed;
        all.over += over;
    }
    // The table itself is not checked: the other release may not know all of its items.
    let Counts { created, connected, changed, over } = all;
    println!("{created} conversations, {changed} changes, {connected} calls connected, {over} after the end");
    assert!([created, connected, changed, over].iter().all(|count| *count > 20), "the storm was too quiet");
}
