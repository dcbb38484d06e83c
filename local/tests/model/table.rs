//! The whole table, read and deleted from in the process itself: over HTTP a look after each step would take longer
//! than the steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dynoxide::Database;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::types::{AttributeValue, Item};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::PoolNumber;
use shared::domain::route::KeyOwner;

use crate::world::number;

const TABLE: &str = "maskline";

/// What the table holds at one moment.
#[derive(Debug, Default)]
pub struct Table {
    pub conversations: BTreeMap<ConversationId, Conversation>,
    pub routes: BTreeMap<(RealNumber, VirtualNumber), KeyOwner>,
    /// Those that are erased.
    pub erased: BTreeSet<ConversationId>,
    /// The ids of what Vonage is to redact.
    pub redactions: BTreeSet<String>,
    /// By the hash of the idempotency key: conversation and fingerprint.
    pub requests: BTreeMap<String, (ConversationId, String)>,
    pub numbers: BTreeMap<VirtualNumber, PoolNumber>,
    /// Who is known to be no person, and until when.
    pub own_numbers: BTreeMap<VirtualNumber, Option<Timestamp>>,
    /// The list of ready numbers, and whether each can send texts.
    pub ready: BTreeMap<VirtualNumber, (String, bool)>,
    /// The version of the list, as the list says and as its own item says.
    pub ready_versions: [i64; 2],
    /// The rent of all numbers.
    pub monthly_cost: Option<String>,
    /// By country and day.
    pub held: BTreeMap<(String, Date), usize>,
    /// When the table may delete each item that it may delete at all.
    pub ttl: BTreeMap<(String, String), Timestamp>,
}

/// For how long an eventually consistent read may find what was there before. As long as that, and less than a second
/// longer, a key is nobody's after an end, because a conversation ends at the beginning of a second.
const OUT_OF_DATE: SignedDuration = SignedDuration::from_secs(59);

/// Items as they were when they were looked at last, with what they mean: few change from one step to the next. And what
/// they were before.
#[derive(Default)]
pub struct Reader {
    seen: HashMap<(String, String), (Item, Value)>,
    changes: Vec<Change>,
}

struct Change {
    at: Timestamp,
    key: (String, String),
    before: Option<Item>,
}

impl Reader {
    /// The table at `now`.
    pub fn read(&mut self, database: &Database, now: Timestamp) -> Table {
        let mut table = Table::default();
        let request = ScanRequest { table_name: TABLE.to_owned(), ..ScanRequest::default() };
        let answer = database.scan(request).unwrap();
        let mut gone = std::mem::take(&mut self.seen);
        self.changes.retain(|change| now < change.at + OUT_OF_DATE);
        for item in answer.items.unwrap_or_default() {
            let key = key(&item);
            let seen = gone.remove(&key);
            let (item, value) = match seen {
                Some(seen) if seen.0 == item => seen,
                changed => {
                    let before = changed.map(|(before, _)| before);
                    self.changes.push(Change { at: now, key: key.clone(), before });
                    let value = plain(&AttributeValue::M(item.clone()));
                    (item, value)
                }
            };
            table.add(&key, &value);
            self.seen.insert(key, (item, value));
        }
        let gone = gone.into_iter().map(|(key, (item, _))| Change { at: now, key, before: Some(item) });
        self.changes.extend(gone);
        table
    }

    /// All that an eventually consistent read of a route may find at `now`, and what each means.
    pub fn may_be_found(
        &self,
        route: &(RealNumber, VirtualNumber),
        now: Timestamp,
    ) -> Vec<(Option<Item>, Option<KeyOwner>)> {
        let key = (format!("CALLER#{}", route.0.expose()), format!("NUMBER#{}", route.1));
        let present = self.seen.get(&key).map(|(item, _)| item.clone());
        let recent = self.changes.iter().filter(|change| change.key == key && now < change.at + OUT_OF_DATE);
        let items = recent.map(|change| change.before.clone()).chain([present]);
        let meaning = |item: &Item| parsed(&plain(&AttributeValue::M(item.clone())));
        items.map(|item| (item.clone(), item.as_ref().map(meaning))).collect()
    }
}

impl Table {
    fn add(&mut self, key: &(String, String), item: &Value) {
        let time = |name: &str| item[name].as_i64().map(|second| Timestamp::from_second(second).unwrap());
        if let Some(ttl) = time("ttl") {
            self.ttl.insert(key.clone(), ttl);
        }
        let (pk, sk) = (key.0.as_str(), key.1.as_str());
        let (kind, of) = pk.split_once('#').unwrap_or((pk, ""));
        let dialled = sk.strip_prefix("NUMBER#").map(number::<VirtualNumber>);
        match (kind, dialled, sk) {
            ("CALLER", Some(dialled), _) => drop(self.routes.insert((number(of), dialled), parsed(item))),
            ("CALLER", None, "POOL") => drop(self.own_numbers.insert(number(of), time("ttl"))),
            ("CONVERSATION", None, "CONVERSATION") if item["participants"].is_null() => {
                self.erased.insert(of.try_into().unwrap());
            }
            ("CONVERSATION", None, "CONVERSATION") => {
                assert!(item["erased_at"].is_null(), "nobody has finished {item}");
                self.conversations.insert(of.try_into().unwrap(), parsed(item));
            }
            ("REQUEST", None, "REQUEST") => {
                let asked = (parsed(&item["conversation"]), parsed(&item["fingerprint"]));
                self.requests.insert(of.to_owned(), asked);
            }
            ("ERASURE", None, _) => {}
            ("REDACTION", None, _) => drop(self.redactions.insert(parsed(&item["id"]))),
            ("POOL", Some(dialled), _) => drop(self.numbers.insert(dialled, parsed(item))),
            ("POOL", None, "LEDGER") => self.monthly_cost = Some(item["monthly_cost"].to_string()),
            ("POOL", None, "READY") => self.add_ready(item),
            ("POOL", None, "READY-VERSION") => self.ready_versions[1] = item["version"].as_i64().unwrap(),
            ("POOL", None, _) if sk.starts_with("HELD#") => self.add_marks(&sk[5..], item),
            _ => panic!("an item that nobody knows: {pk} {sk}"),
        }
    }

    fn add_ready(&mut self, item: &Value) {
        self.ready_versions[0] = item["version"].as_i64().unwrap();
        for (name, entry) in item.as_object().unwrap() {
            if entry.is_object() {
                self.ready.insert(number(name), (parsed(&entry["country"]), parsed(&entry["texts"])));
            }
        }
    }

    fn add_marks(&mut self, day: &str, item: &Value) {
        for (name, held) in item.as_object().unwrap().iter().filter(|(name, _)| name.len() == 2) {
            if let Some(held) = held.as_u64() {
                self.held.insert((name.clone(), day.parse().unwrap()), held.try_into().unwrap());
            }
        }
    }

    /// Deletes `some` of the items that DynamoDB may delete at `now`, and gives their keys.
    pub fn sweep(&self, database: &Database, now: Timestamp, some: u64) -> BTreeSet<(String, String)> {
        let over = self.ttl.iter().filter(|(_, ttl)| **ttl <= now).map(|(key, _)| key.clone());
        let over: BTreeSet<_> =
            over.enumerate().filter(|(index, _)| some >> (index % 64) & 1 == 1).map(|(_, key)| key).collect();
        for (pk, sk) in &over {
            let key = [("pk", pk), ("sk", sk)].map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone())));
            let request = DeleteItemRequest { table_name: TABLE.to_owned(), key: key.into(), ..Default::default() };
            database.delete_item(request).unwrap();
        }
        over
    }
}

fn key(item: &Item) -> (String, String) {
    let [pk, sk] = ["pk", "sk"].map(|name| match &item[name] {
        AttributeValue::S(text) => text.clone(),
        other => panic!("{name} is {other:?}"),
    });
    (pk, sk)
}

/// An item as the JSON that its type reads.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.clone().into(),
        AttributeValue::N(digits) => digits.parse::<i64>().map_or_else(|_| digits.clone().into(), Value::from),
        AttributeValue::BOOL(value) => (*value).into(),
        AttributeValue::NULL(_) => Value::Null,
        AttributeValue::SS(texts) => texts.clone().into(),
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(values) => values.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        other => panic!("a value of a kind that the table does not use: {other:?}"),
    }
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("{error}: {value}"))
}
