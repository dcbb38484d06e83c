//! The whole table, read by a scan, which no function may do, and what has to be true of it at any moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reqwest::Client;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::route::{KeyOwner, Route, RouteTombstone};
use shared::domain::side::Side;
use shared::store::{Erasure, Redaction};

use super::text;

/// All items, by what they are.
#[derive(Debug, Default)]
pub struct Table {
    pub conversations: Vec<Conversation>,
    /// Those that are being erased, and are nobody's any more.
    pub erasing: Vec<Conversation>,
    /// The ids of those that are erased.
    pub erased: BTreeSet<ConversationId>,
    /// The conversation of each leg.
    pub legs: Vec<ConversationId>,
    /// By caller and dialled number.
    pub routes: BTreeMap<(String, String), Route>,
    /// What is left of routes whose conversation was erased.
    pub erased_routes: BTreeMap<(String, String), RouteTombstone>,
    /// What the schedule is to see to.
    pub erasures: Vec<Erasure>,
    /// What Vonage is to redact.
    pub redactions: Vec<Redaction>,
    /// Every item: its keys, and all of it as text.
    items: Vec<([String; 2], String)>,
    pub pool: Vec<PoolNumber>,
    pub monthly_cost: Decimal,
    /// The conversations that requests with an idempotency key have led to.
    pub requests: Vec<String>,
    /// The list that numbers are chosen from, with its version and the version that stands by itself.
    ready: BTreeSet<String>,
    ready_versions: [u64; 2],
    /// The numbers that nobody can have as the own phone, without those that were given back.
    own_numbers: BTreeSet<String>,
}

/// Neither the embedded DynamoDB nor AWS's Local verifies a signature, but it has to be there.
const UNVERIFIED: &str = "AWS4-HMAC-SHA256 Credential=laptop/20260101/us-east-1/dynamodb/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=0";

impl Table {
    pub(super) async fn read(http: &Client, endpoint: &str, name: &str) -> Self {
        let mut table = Self::default();
        let mut scan = json!({"TableName": name, "ConsistentRead": true});
        loop {
            let request =
                http.post(endpoint).header("authorization", UNVERIFIED).header("x-amz-date", "20260101T000000Z");
            let request = request.header("x-amz-target", "DynamoDB_20120810.Scan");
            let request = request.header("content-type", "application/x-amz-json-1.0").body(scan.to_string());
            let page: Value = request.send().await.unwrap().json().await.unwrap();
            for item in page["Items"].as_array().unwrap_or_else(|| panic!("{page}")) {
                table.insert(plain_members(item));
            }
            match page.get("LastEvaluatedKey") {
                Some(key) => scan["ExclusiveStartKey"] = key.clone(),
                None => return table,
            }
        }
    }

    fn insert(&mut self, item: Map<String, Value>) {
        let (pk, sk) = (text(&item["pk"]), text(&item["sk"]));
        self.items.push(([pk.clone(), sk.clone()], Value::Object(item.clone()).to_string()));
        match (pk.split_once('#').unwrap_or((&pk, "")), sk.split_once('#').unwrap_or((&sk, ""))) {
            (("CALLER", caller), ("NUMBER", dialled)) => {
                let key = (caller.to_owned(), dialled.to_owned());
                match read(item.clone()) {
                    KeyOwner::Route(route) => drop(self.routes.insert(key, route)),
                    KeyOwner::Erased(erased) => {
                        assert_eq!(
                            names(&item),
                            ["erased", "expires_at", "pk", "quarantined_until", "since", "sk", "ttl"]
                        );
                        assert_eq!(item["ttl"].as_i64(), Some(erased.quarantined_until.as_second()));
                        self.erased_routes.insert(key, erased);
                    }
                }
            }
            (("CALLER", _), ("POOL", _)) if item.contains_key("ttl") => {}
            (("CALLER", number), ("POOL", _)) => drop(self.own_numbers.insert(number.to_owned())),
            (("CONVERSATION", _), ("CONVERSATION", _)) if !item.contains_key("erased_at") => {
                self.conversations.push(read(item));
            }
            (("CONVERSATION", _), ("CONVERSATION", _)) if item.contains_key("participants") => {
                self.erasing.push(read(item));
            }
            (("CONVERSATION", id), ("CONVERSATION", _)) => {
                assert_eq!(names(&item), ["erased_at", "pk", "sk", "ttl"]);
                self.erased.insert(id.try_into().unwrap());
            }
            (("CONVERSATION", id), ("LEG", _)) => self.legs.push(id.try_into().unwrap()),
            (("ERASURE", ""), _) => {
                assert_eq!(names(&item), ["conversation", "erased_at", "pk", "sk"]);
                self.erasures.push(read(item));
            }
            (("REDACTION", ""), _) => {
                assert_eq!(names(&item), ["direction", "due_at", "id", "pk", "product", "since", "sk", "ttl"]);
                self.redactions.push(read(item));
            }
            (("REQUEST", _), _) => self.requests.push(text(&item["conversation"])),
            (("POOL", ""), ("LEDGER", _)) => self.monthly_cost = item["monthly_cost"].to_string().parse().unwrap(),
            (("POOL", ""), ("READY", _)) => {
                self.ready_versions[0] = item["version"].as_u64().unwrap();
                self.ready = item.into_iter().map(|(name, _)| name).filter(|name| name.starts_with(is_digit)).collect();
            }
            (("POOL", ""), ("READY-VERSION", _)) => self.ready_versions[1] = item["version"].as_u64().unwrap(),
            (("POOL", ""), ("HELD" | "ON-DEMAND" | "LOOK", _)) => {}
            (("POOL", _), ("NUMBER", _)) => self.pool.push(read(item)),
            _ => panic!("an item of a new kind: {item:?}"),
        }
    }

    /// What has to be true of the table at any moment, whatever has died or runs.
    pub(super) fn check(&self, now: Timestamp) {
        self.check_conversations(now);
        self.check_keys();
        self.check_routes(now);
        self.check_erased(now);
        self.check_pool();
    }

    /// A conversation has both of its routes, until its quarantine is over and others may have them.
    fn check_conversations(&self, now: Timestamp) {
        for conversation in &self.conversations {
            let quarantined_until = quarantined_until(conversation);
            for side in Side::BOTH.into_iter().filter(|_| now < quarantined_until) {
                let participant = conversation.participant(side);
                let key = (participant.number.expose().to_owned(), participant.dials.to_string());
                let route = self.routes.get(&key).unwrap_or_else(|| panic!("no route {key:?} of {conversation:?}"));
                let expected =
                    Route { since: route.since, earlier: route.earlier.clone(), ..Route::of(conversation, side) };
                let expires_at = conversation.ended_at.unwrap_or(conversation.expires_at);
                assert_eq!(*route, Route { expires_at, quarantined_until, ..expected }, "{key:?}");
            }
        }
        let of_legs = self.legs.iter().map(ConversationId::to_string);
        for id in self.requests.iter().cloned().chain(of_legs) {
            let kept = self.conversations.iter().chain(&self.erasing).map(|conversation| conversation.id);
            let mut known = kept.chain(self.erased.iter().copied());
            assert!(known.any(|known| known.to_string() == id), "{id} is missing");
        }
    }

    /// No key ever belonged to two conversations at once, their quarantines included.
    fn check_keys(&self) {
        let mut owners: BTreeMap<(&str, &str), Vec<&Conversation>> = BTreeMap::new();
        for conversation in self.conversations.iter().chain(&self.erasing) {
            for participant in &conversation.participants {
                let key = (participant.number.expose(), participant.dials.as_str());
                owners.entry(key).or_default().push(conversation);
            }
        }
        for (key, mut owners) in owners {
            owners.sort_by_key(|conversation| conversation.created_at);
            for pair in owners.windows(2) {
                assert!(quarantined_until(pair[0]) <= pair[1].created_at, "{key:?} belonged to two at once: {pair:?}");
            }
        }
    }

    /// A route belongs to a conversation, and connects nobody if it is that of a phone which its participant gave up.
    fn check_routes(&self, now: Timestamp) {
        for ((caller, dialled), route) in &self.routes {
            let mut conversations = self.conversations.iter().chain(&self.erasing);
            let owner = conversations.find(|conversation| conversation.id == route.conversation);
            let owner = owner.unwrap_or_else(|| panic!("{caller} dials {dialled} in no conversation: {route:?}"));
            let participant = owner.participant(route.side);
            assert_eq!(participant.dials.as_str(), dialled);
            assert!(participant.number.expose() == caller || route.expires_at <= now, "{caller} {route:?} {owner:?}");
        }
    }

    /// What is being erased connects nobody, and the schedule knows of it; of what is erased there is nothing left but
    /// keys in quarantine.
    fn check_erased(&self, now: Timestamp) {
        for conversation in &self.erasing {
            let id = conversation.id;
            assert!(conversation.ended_at.is_some_and(|end| end <= now), "{conversation:?}");
            assert!(self.erasures.iter().any(|erasure| erasure.conversation == id), "nobody finishes {conversation:?}");
            let mut routes = self.routes.values().filter(|route| route.conversation == id);
            assert!(routes.all(|route| route.expires_at <= now), "{conversation:?}");
        }
        let remembered = self.routes.values().flat_map(|route| route.earlier.iter().chain([&route.conversation]));
        for id in remembered {
            assert!(!self.erased.contains(id), "a route still tells of {id}, which is erased");
        }
        for (key, erased) in &self.erased_routes {
            let mut gone = self.erasing.iter().map(|conversation| conversation.id).chain(self.erased.iter().copied());
            assert!(gone.any(|id| id == erased.conversation), "{key:?} {erased:?}");
        }
    }

    /// The keys of all items that hold `text`.
    pub fn items_with(&self, text: &str) -> Vec<&[String; 2]> {
        self.items.iter().filter(|(_, item)| item.contains(text)).map(|(keys, _)| keys).collect()
    }

    /// What follows from the pool's numbers does follow.
    fn check_pool(&self) {
        let numbers = |ready: bool| {
            let meant = self.pool.iter().filter(move |number| !ready || number.state == NumberState::Ready);
            meant.map(|number| number.number.to_string()).collect::<BTreeSet<_>>()
        };
        assert_eq!(self.ready, numbers(true), "the list of what is given to conversations");
        assert_eq!(self.ready_versions[0], self.ready_versions[1]);
        assert_eq!(self.own_numbers, numbers(false), "the numbers that are nobody's own phone");
        let rents: Decimal = self.pool.iter().filter_map(|number| number.monthly_cost).sum();
        assert_eq!(self.monthly_cost, rents, "the ledger: {:?}", self.pool);
    }
}

fn quarantined_until(conversation: &Conversation) -> Timestamp {
    conversation.quarantined_until(conversation.ended_at.unwrap_or(conversation.expires_at))
}

/// The names of an item's members.
fn names(item: &Map<String, Value>) -> Vec<&str> {
    let mut names: Vec<_> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn is_digit(first: char) -> bool {
    first.is_ascii_digit()
}

fn read<T: DeserializeOwned>(item: Map<String, Value>) -> T {
    serde_json::from_value(Value::Object(item)).unwrap()
}

/// DynamoDB's JSON without its types.
fn plain(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "N" => serde_json::from_str(value.as_str().unwrap()).unwrap(),
        "L" => value.as_array().unwrap().iter().map(plain).collect(),
        "M" => Value::Object(plain_members(value)),
        _ => value.clone(),
    }
}

fn plain_members(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}
