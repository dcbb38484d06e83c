//! The whole table, read by a scan, and what must be true of it at any moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::route::{KeyOwner, Route, RouteTombstone};
use shared::domain::side::Side;
use shared::store::{Demand, Erasure, Redaction};

use crate::string;

/// All items by kind.
#[derive(Debug, Default)]
pub struct Table {
    /// The conversations that are neither erased nor being erased.
    pub conversations: Vec<Conversation>,
    /// The conversations that are being erased.
    pub erasing: Vec<Conversation>,
    /// The ids of erased conversations.
    pub erased: BTreeSet<ConversationId>,
    /// The conversation of each leg.
    pub legs: Vec<ConversationId>,
    /// The routes by caller and dialled number.
    pub routes: BTreeMap<(String, String), Route>,
    /// The tombstones of routes whose conversation was erased.
    pub erased_routes: BTreeMap<(String, String), RouteTombstone>,
    /// The erasures that the schedule has to finish.
    pub erasures: Vec<Erasure>,
    /// The carrier records that Vonage has to redact.
    pub redactions: Vec<Redaction>,
    /// Every item as text, with its item key.
    items: Vec<([String; 2], String)>,
    /// The pool.
    pub pool: Vec<PoolNumber>,
    /// The monthly cost in the ledger.
    pub monthly_cost: Decimal,
    /// The demand for numbers.
    pub demands: Vec<Demand>,
    /// The conversations of requests with an idempotency key.
    pub requests: Vec<String>,
    /// The ready list, with its own version and the version in the item of its own.
    ready: BTreeSet<String>,
    ready_versions: [u64; 2],
    /// The virtual numbers that no participant can have as a phone, without released ones.
    own_numbers: BTreeSet<String>,
}

impl Table {
    pub(crate) fn of(items: &[Value]) -> Self {
        let mut table = Self::default();
        for item in items {
            table.insert(plain_members(item));
        }
        table
    }

    fn insert(&mut self, item: Map<String, Value>) {
        let (pk, sk) = (string(&item["pk"]), string(&item["sk"]));
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
            (("REQUEST", _), _) => self.requests.push(string(&item["conversation"])),
            (("POOL", ""), ("LEDGER", _)) => self.monthly_cost = item["monthly_cost"].to_string().parse().unwrap(),
            (("POOL", ""), ("READY", _)) => {
                self.ready_versions[0] = item["version"].as_u64().unwrap();
                self.ready = item.into_iter().map(|(name, _)| name).filter(|name| name.starts_with(is_digit)).collect();
            }
            (("POOL", ""), ("READY-VERSION", _)) => self.ready_versions[1] = item["version"].as_u64().unwrap(),
            (("POOL", ""), ("HELD" | "LOOK", _)) => {}
            (("DEMAND", ""), _) => self.demands.push(read(item)),
            (("POOL", _), ("NUMBER", _)) => self.pool.push(read(item)),
            _ => panic!("an item of a new kind: {item:?}"),
        }
    }

    /// Checks what must be true of the table at any moment, even if a run has died or is still active.
    pub(crate) fn check(&self, now: Timestamp) {
        self.check_conversations(now);
        self.check_keys();
        self.check_routes(now);
        self.check_erased(now);
        self.check_pool();
    }

    /// Checks that a conversation has both of its routes until its quarantine is over.
    fn check_conversations(&self, now: Timestamp) {
        for conversation in &self.conversations {
            let quarantined_until = quarantined_until(conversation);
            for side in Side::BOTH.into_iter().filter(|_| now < quarantined_until) {
                let participant = conversation.participant(side);
                let key = (participant.number.expose().to_owned(), participant.dials.to_string());
                let route = self.routes.get(&key).unwrap_or_else(|| panic!("no route {key:?} of {conversation:?}"));
                let expected =
                    Route { since: route.since, history: route.history.clone(), ..Route::new(conversation, side) };
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

    /// Checks that no route key ever belonged to two conversations at once, quarantines included.
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

    /// Checks that a route belongs to a conversation, and that it has expired if its participant has another phone now.
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

    /// Checks that a conversation that is being erased has no open route and is on the schedule, and that only
    /// tombstones are left of an erased one.
    fn check_erased(&self, now: Timestamp) {
        for conversation in &self.erasing {
            let id = conversation.id;
            assert!(conversation.ended_at.is_some_and(|end| end <= now), "{conversation:?}");
            assert!(self.erasures.iter().any(|erasure| erasure.conversation == id), "nobody finishes {conversation:?}");
            let mut routes = self.routes.values().filter(|route| route.conversation == id);
            assert!(routes.all(|route| route.expires_at <= now), "{conversation:?}");
        }
        let remembered = self.routes.values().flat_map(|route| route.history.iter().chain([&route.conversation]));
        for id in remembered {
            assert!(!self.erased.contains(id), "a route still tells of {id}, which is erased");
        }
        for (key, erased) in &self.erased_routes {
            let mut gone = self.erasing.iter().map(|conversation| conversation.id).chain(self.erased.iter().copied());
            assert!(gone.any(|id| id == erased.conversation), "{key:?} {erased:?}");
        }
    }

    /// Returns the item keys of all items that contain `text`.
    pub fn items_with(&self, text: &str) -> Vec<&[String; 2]> {
        self.items.iter().filter(|(_, item)| item.contains(text)).map(|(keys, _)| keys).collect()
    }

    /// Checks that the ready list, the own numbers and the ledger agree with the pool's numbers.
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

/// Returns the names of an item's members.
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

/// Returns DynamoDB's JSON without its types.
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
