//! A deployment to measure: the laptop's table and Vonage behind TLS, with a pool and a conversation in it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Bytes;
use local::decision_backend::SECRET;
use local::dynamodb::Dynamodb;
use local::gateway::sign_event;
use local::settings::Settings;
use local::stack::{Options, Stack};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::BenchError;
use crate::process::Program;
use crate::tls::{Authority, TlsFront};

/// A request to a function, with a check of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A call of the rider, who must be connected to the driver.
    Answer,
    /// One read by the floor.
    Floor,
    /// A call for which the answer webhook has failed.
    Fallback,
    /// An event of a leg.
    Event,
    /// A text that is passed on.
    Text,
    /// A new conversation of two people without one, with text messages.
    Create,
    /// A conversation with a call.
    Get,
    /// A new phone for a participant.
    Update,
    /// The end of a conversation.
    End,
    /// The calls of a conversation that are up.
    Calls,
    /// The pool.
    Numbers,
    /// The schedule of the pool.
    Schedule,
}

impl Request {
    /// Returns the number of requests to DynamoDB and Vonage of a warm function; `local/tests/api/costs.rs` counts them.
    pub fn requests(self) -> u32 {
        match self {
            Self::Fallback => 0,
            Self::Answer | Self::Floor => 1,
            Self::Event | Self::End => 2,
            // The conversation, its calls and its texts, at the same time.
            Self::Get | Self::Numbers => 3,
            // The route, the claim and the outcome, and Vonage.
            Self::Text => 3 + 1,
            // A read, a query, and the connection to Vonage.
            Self::Calls => 2 + 1,
            Self::Create => 5 + 4,
            Self::Update => 6 + 1,
            Self::Schedule => 12 + 2,
        }
    }
}

/// The deployment.
pub struct Deployment {
    /// The laptop stack in it.
    pub stack: Stack,
    /// The file with the certificate of the authority that signed its certificates.
    certificate: String,
    table: TlsFront,
    vonage: TlsFront,
    http: reqwest::Client,
    database: Dynamodb,
    conversation: Value,
    stop_table: tokio::sync::oneshot::Sender<()>,
}

/// A call of a conversation with a feature.
pub struct FeatureCall {
    /// The event of the answer webhook.
    pub event: Bytes,
    /// The number that it must be connected to.
    pub other: String,
    /// Size of the caller's route in bytes of DynamoDB's JSON.
    pub route_bytes: usize,
}

/// The decision URL that conversations may name. Nothing here asks it.
pub const DECISION_URL: &str = "https://backend.example/decide";

const RIDER: &str = "447700900001";
const DRIVER: &str = "447700900002";
const TABLE: &str = "maskline";

/// Returns the two people of conversation number `n` of those that fill the table.
fn rider(n: u64) -> String {
    format!("4475{n:08}")
}

fn driver(n: u64) -> String {
    format!("4476{n:08}")
}

impl Deployment {
    /// Starts it with certificates of `authority` and `numbers` numbers in its pool.
    pub async fn start(authority: &Authority, numbers: usize) -> Result<Self, BenchError> {
        let certificate = authority.certificate();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let dynamodb_url = format!("http://{}", listener.local_addr()?);
        let (stop_table, stop) = tokio::sync::oneshot::channel();
        let database = Dynamodb::open(None)?;
        tokio::spawn(database.clone().serve(listener, async move {
            let _ = stop.await;
        }));
        let table = authority.front(&dynamodb_url, &["http/1.1"]).await?;
        let decisions = [("DECISIONS", "on"), ("DECISION_URLS", DECISION_URL), ("DECISION_SECRET", SECRET)];
        let environment = decisions.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let options = Options { dynamodb_url: Some(dynamodb_url), environment, ..Options::default() };
        let stack = Stack::start(options).await?;
        let vonage = authority.front(&stack.vonage_url, &["h2", "http/1.1"]).await?;
        let http = local::loopback_client();
        let conversation = Value::Null;
        let mut deployment = Self { stack, certificate, table, vonage, http, database, conversation, stop_table };
        deployment.api(Method::POST, "/numbers", json!({"country": "GB", "count": numbers})).await?;
        deployment.conversation = deployment.create(RIDER, DRIVER).await?;
        Ok(deployment)
    }

    /// Stops it.
    pub async fn stop(self) {
        self.stack.stop().await;
        let _ = self.stop_table.send(());
    }

    /// Returns the program that runs `command`, a file and its arguments, in this deployment.
    pub fn program(&self, command: &[&Path]) -> Program {
        let command = command.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        Program { command, environment: self.environment() }
    }

    /// Returns a function's environment variables, as Lambda would set them.
    fn environment(&self) -> Vec<(String, String)> {
        let dials = self.conversation["participants"][0]["dials"].as_str().unwrap_or_default();
        let differing = [
            // The floor reads the item that the answer to the rider reads.
            ("PK", format!("CALLER#{RIDER}")),
            ("SK", format!("NUMBER#{dials}")),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.table.url.clone()),
            // The published figures have two lookups in a creation, more than the default.
            ("NUMBER_LOOKUP", "number-insight".to_owned()),
            ("VONAGE_API_URL", self.vonage.url.clone()),
            ("VONAGE_REST_URL", self.vonage.url.clone()),
            ("SSL_CERT_FILE", self.certificate.clone()),
            // A busy machine must not be measured as a failing table.
            ("DYNAMODB_TIME_LIMIT_MS", "20000".to_owned()),
            ("VONAGE_TIME_LIMIT_MS", "20000".to_owned()),
            ("NODE_EXTRA_CA_CERTS", self.certificate.clone()),
            ("AWS_LAMBDA_FUNCTION_NAME", "bench".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
        ];
        let own = self.stack.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        own.chain(differing.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    async fn api(&self, method: Method, path: &str, body: Value) -> Result<Value, BenchError> {
        let url = format!("{}{path}", self.stack.gateway_url);
        let answer = self.http.request(method, url).json(&body).send().await?.error_for_status()?;
        let mut answer: Value = answer.json().await?;
        // Vonage sends it as digits alone.
        if let Some(Value::String(dials)) = answer.pointer_mut("/participants/0/dials") {
            *dials = dials.trim_start_matches('+').to_owned();
        }
        Ok(answer)
    }

    async fn create(&self, a: &str, b: &str) -> Result<Value, BenchError> {
        let participants = [a, b].map(|number| json!({"number": format!("+{number}")}));
        self.api(Method::POST, "/conversations", json!({"participants": participants, "notify": false})).await
    }

    /// Creates a conversation of two new people by a request that `change` has changed. Returns a call of the first one, or of a
    /// stranger to the same number.
    pub async fn call_with(&self, change: fn(&mut Value), is_stranger: bool) -> Result<FeatureCall, BenchError> {
        let (caller, other) = (nobody(), nobody());
        let participants = [&caller, &other].map(|number| json!({"number": format!("+{number}")}));
        let mut request = json!({"participants": participants, "notify": false});
        change(&mut request);
        let conversation = self.api(Method::POST, "/conversations", request).await?;
        let of_caller = format!("CALLER#{caller}");
        let is_route = |item: &Value| item["pk"]["S"] == of_caller && item["sk"]["S"] != "POOL";
        let route = self.database.items(TABLE)?.into_iter().find(is_route);
        let from = if is_stranger { nobody() } else { caller };
        let event = self.answer_event(&from, &conversation["participants"][0]["dials"])?.into();
        Ok(FeatureCall { event, other, route_bytes: route.map_or(0, |route| route.to_string().len()) })
    }

    /// Creates a conversation of two people who are in no other one, and returns it.
    async fn another(&self) -> Result<String, BenchError> {
        let conversation = self.create(&nobody(), &nobody()).await?;
        Ok(id_of(&conversation))
    }

    /// Fills the table up to `count` conversations: copies of the first one, each with its own two people.
    pub fn fill(&self, count: u64) -> Result<(), BenchError> {
        let id = id_of(&self.conversation);
        let mut originals = Vec::new();
        for item in self.database.items(TABLE)? {
            let text = item.to_string();
            if text.contains(&id) {
                originals.push(text);
            }
        }
        let copies = |n: u64| {
            let (rider, driver, copy) = (rider(n), driver(n), format!("{}{n:010}", &id[..id.len() - 10]));
            let texts =
                originals.iter().map(|text| text.replace(RIDER, &rider).replace(DRIVER, &driver).replace(&id, &copy));
            texts.map(|text| serde_json::from_str(&text)).collect::<Vec<Result<Value, _>>>()
        };
        let mut next = 1;
        while next < count {
            let until = count.min(next + 20_000);
            self.database.import(TABLE, (next..until).flat_map(&copies).collect::<Result<_, _>>()?)?;
            next = until;
        }
        Ok(())
    }

    /// Makes `count` numbers ready, as that many purchases would have, in place of those that were.
    pub fn replace_pool(&self, count: usize) -> Result<(), BenchError> {
        let mut versions = json!({"pk": {"S": "POOL"}, "sk": {"S": "READY"}});
        let mut items = Vec::new();
        for (index, first) in (0..count).step_by(NUMBERS_IN_A_PART).enumerate() {
            let name = format!("GB#44#{index}");
            let last = count.min(first + NUMBERS_IN_A_PART);
            let mut part = json!({"pk": {"S": format!("READY#{name}")}, "sk": {"S": "READY"}, "version": {"N": "9"}});
            for nth in first..last {
                part[ready_number(nth)] = json!({"BOOL": true});
            }
            versions[format!("{name}#count")] = json!({"N": (last - first).to_string()});
            versions[name] = json!({"N": "9"});
            items.push(part);
        }
        items.push(versions);
        Ok(self.database.import(TABLE, items)?)
    }

    /// Returns a new person with routes under the first `count` numbers of the replaced pool, each like the rider's.
    pub fn hub(&self, count: usize) -> Result<String, BenchError> {
        let (rider, person) = (format!("CALLER#{RIDER}"), nobody());
        let is_route = |item: &Value| item["pk"]["S"] == rider && item["sk"]["S"] != "POOL";
        let route = self.database.items(TABLE)?.into_iter().find(is_route);
        let route = route.ok_or_else(|| BenchError::Function("the rider has no route".to_owned()))?;
        let copy = |nth: usize| {
            let mut copy = route.clone();
            copy["pk"] = json!({"S": format!("CALLER#{person}")});
            copy["sk"] = json!({"S": format!("NUMBER#{}", ready_number(nth))});
            copy
        };
        self.database.import(TABLE, (0..count).map(copy).collect())?;
        Ok(person)
    }

    /// Returns a call of a [`hub`](Self::hub) with a route, and the number that it must be connected to.
    pub fn call_of_hub(&self, hub: &str) -> Result<(Bytes, &'static str), BenchError> {
        Ok((self.answer_event(hub, &json!(ready_number(0)))?.into(), DRIVER))
    }

    /// Returns a call of the rider of conversation number `n`, and the number that it must be connected to.
    pub fn call(&self, n: u64) -> Result<(Bytes, String), BenchError> {
        let (rider, driver) = if n == 0 { (RIDER.to_owned(), DRIVER.to_owned()) } else { (rider(n), driver(n)) };
        Ok((self.answer_event(&rider, &self.conversation["participants"][0]["dials"])?.into(), driver))
    }

    fn answer_event(&self, from: &str, to: &Value) -> Result<String, BenchError> {
        let call = "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
        let body = json!({"from": from, "to": to, "uuid": "aaaaaaaabbbbccccdddd0123456789ab",
                          "conversation_uuid": call, "endpoint_type": "phone",
                          "region_url": "https://api-us-3.vonage.com"});
        signed(include_str!("../../events/answer-webhook-rider-calls.json"), &body)
    }

    fn leg_event(&self) -> Result<String, BenchError> {
        let (to, now) = (&self.conversation["participants"][0]["dials"], jiff::Timestamp::now());
        let call = "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
        let body = json!({"from": RIDER, "to": to, "uuid": "aaaaaaaabbbbccccdddd0123456789ab", "direction": "inbound",
                          "conversation_uuid": call, "status": "answered", "timestamp": now, "start_time": now,
                          "rate": "0.00720000", "network": "23410"});
        signed(include_str!("../../events/event-webhook-answered.json"), &body)
    }

    fn text(&self) -> Result<String, BenchError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("aaaaaaaa-bbbb-cccc-dddd-{:012}", NEXT.fetch_add(1, Ordering::Relaxed));
        let body = json!({"channel": "sms", "message_uuid": id, "from": RIDER, "text": "I am at the station.",
                          "to": self.conversation["participants"][0]["dials"]});
        signed(include_str!("../../events/message-webhook.json"), &body)
    }

    /// Returns a person with `count` conversations, each with a different person.
    pub async fn holder_of(&self, count: usize) -> Result<String, BenchError> {
        let person = nobody();
        for _ in 0..count {
            self.create(&person, &nobody()).await?;
        }
        Ok(person)
    }

    /// Returns the event that creates a conversation of `person` with a new person.
    pub fn creation_of(&self, person: &str) -> Result<Bytes, BenchError> {
        let participants = [("rider", person.to_owned()), ("driver", nobody())]
            .map(|(label, number)| json!({"number": format!("+{number}"), "label": format!("your {label}")}));
        let body = json!({"participants": participants, "expires_in": 86_400, "notify": true, "reference": "ride-42"});
        Ok(with_body(include_str!("../../events/create-conversation.json"), &body)?.into())
    }

    /// Returns an event for `request`, each time a new one.
    pub async fn event(&self, request: Request) -> Result<Bytes, BenchError> {
        let event = match request {
            Request::Answer => self.answer_event(RIDER, &self.conversation["participants"][0]["dials"])?,
            Request::Floor => include_str!("../../events/answer-webhook-rider-calls.json").to_owned(),
            Request::Fallback => include_str!("../../events/fallback-webhook.json").to_owned(),
            Request::Event => self.leg_event()?,
            Request::Text => self.text()?,
            Request::Create => return self.creation_of(&nobody()),
            Request::Get => with_id(include_str!("../../events/get-conversation.json"), &id_of(&self.conversation))?,
            Request::Update => {
                let event = with_id(include_str!("../../events/update-conversation.json"), &self.another().await?)?;
                with_body(&event, &json!({"participants": [null, {"number": format!("+{}", nobody())}]}))?
            }
            Request::End => with_id(include_str!("../../events/end-conversation.json"), &self.another().await?)?,
            Request::Calls => with_id(include_str!("../../events/control-call-list.json"), &id_of(&self.conversation))?,
            Request::Numbers => include_str!("../../events/provision-numbers-show.json").to_owned(),
            Request::Schedule => json!({"source": "aws.events", "public_url": self.stack.gateway_url}).to_string(),
        };
        Ok(event.into())
    }

    /// Checks that `request` got the right answer.
    pub fn check(&self, request: Request, answer: &Value) -> Result<(), BenchError> {
        let status = |expected: u16| answer["statusCode"] == expected;
        let body = || serde_json::from_str::<Value>(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
        let right = match request {
            Request::Answer => status(200) && body()[1]["endpoint"][0]["number"] == DRIVER,
            Request::Floor => status(200) && answer["body"] == "found",
            Request::Fallback => status(200) && body()[0]["action"] == "talk",
            Request::Event => status(204),
            Request::Text => status(200),
            Request::Create => status(201) && body()["participants"][1]["notification"] == "sent",
            Request::Get => status(200) && body()["id"] == self.conversation["id"],
            Request::Update => status(200),
            Request::End => status(200) && body()["state"] == "ended",
            Request::Calls => status(200) && body()["calls"].is_array(),
            Request::Numbers => status(200) && body()["countries"][0]["country"] == "GB",
            Request::Schedule => answer.is_object() && !answer.to_string().contains("fail"),
        };
        if right { Ok(()) } else { Err(BenchError::Function(format!("{request:?} was answered with {answer}"))) }
    }
}

/// Number of ready numbers in one item of the table, as the product stores them.
const NUMBERS_IN_A_PART: usize = 4000;

/// Returns a number of a replaced pool.
fn ready_number(nth: usize) -> String {
    format!("44745{nth:07}")
}

/// Returns a new phone, in a range that is in use: every judge of numbers refuses others.
pub fn nobody() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("447911{:06}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn id_of(conversation: &Value) -> String {
    conversation["id"].as_str().unwrap_or_default().to_owned()
}

fn with_body(event: &str, body: &Value) -> Result<String, BenchError> {
    let mut event: Value = serde_json::from_str(event)?;
    event["body"] = json!(body.to_string());
    Ok(event.to_string())
}

fn signed(event: &str, body: &Value) -> Result<String, BenchError> {
    Ok(sign_event(&with_body(event, body)?, &Settings::default())?)
}

/// Returns `event` with the id of another conversation.
fn with_id(event: &str, id: &str) -> Result<String, BenchError> {
    let mut event: Value = serde_json::from_str(event)?;
    event["rawPath"] = json!(format!("/conversations/{id}"));
    event["requestContext"]["http"]["path"] = event["rawPath"].clone();
    event["pathParameters"] = json!({"id": id});
    Ok(event.to_string())
}
