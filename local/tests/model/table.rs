//! Reads and deletes items of the whole table inside the test process. A dump over HTTP after each step would take
//! longer than the steps.

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

use crate::scenario::number;

const TABLE: &str = "maskline";

/// The content of the table at one moment.
#[derive(Debug, Default)]
pub struct Table {
    pub conversations: BTreeMap<ConversationId, Conversation>,
    pub routes: BTreeMap<(RealNumber, VirtualNumber), KeyOwner>,
    /// The erased conversations.
    pub erased: BTreeSet<ConversationId>,
    /// Ids of the carrier records to redact.
    pub redactions: BTreeSet<String>,
    /// Conversation and fingerprint by the hash of the idempotency key.
    pub requests: BTreeMap<String, (ConversationId, String)>,
    pub numbers: BTreeMap<VirtualNumber, PoolNumber>,
    /// Numbers that nobody can use as their own phone, each with the end of that time.
    pub own_numbers: BTreeMap<VirtualNumber, Option<Timestamp>>,
    /// The ready list: country of each number, and true if it can send text messages.
    pub ready: BTreeMap<VirtualNumber, (String, bool)>,
    /// The version of the ready list, as stored in the list and in its own item.
    pub ready_versions: [i64; 2],
    /// The monthly rent of all numbers.
    pub monthly_cost: Option<String>,
    /// Peak usage by country and day.
    pub peak_usage: BTreeMap<(String, Date), usize>,
    /// TTL of each item that has one.
    pub ttl: BTreeMap<(String, String), Timestamp>,
}

/// Longest time for which an eventually consistent read may return a previous state. It is a second less than the
/// shortest quarantine, because a conversation ends at the beginning of a second.
const OUT_OF_DATE: SignedDuration = SignedDuration::from_secs(59);

/// Reads the table. It keeps the items of the last dump with their parsed form, because few items change in one step,
/// and the states before recent changes.
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
    /// Dumps the table at `now`.
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

    /// The items that an eventually consistent read of a route may return at `now`, each with its meaning.
    pub fn possible_stale_reads(
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
                assert!(item["erased_at"].is_null(), "erasure of a conversation was not finished: {item}");
                self.conversations.insert(of.try_into().unwrap(), parsed(item));
            }
            ("REQUEST", None, "REQUEST") => {
                let remembered = (parsed(&item["conversation"]), parsed(&item["fingerprint"]));
                self.requests.insert(of.to_owned(), remembered);
            }
            ("ERASURE", None, _) => {}
            ("REDACTION", None, _) => drop(self.redactions.insert(parsed(&item["id"]))),
            ("POOL", Some(dialled), _) => drop(self.numbers.insert(dialled, parsed(item))),
            ("POOL", None, "LEDGER") => self.monthly_cost = Some(item["monthly_cost"].to_string()),
            ("POOL", None, "READY") => self.add_ready(item),
            ("POOL", None, "READY-VERSION") => self.ready_versions[1] = item["version"].as_i64().unwrap(),
            ("POOL", None, _) if sk.starts_with("HELD#") => self.add_marks(&sk[5..], item),
            _ => panic!("unknown item: {pk} {sk}"),
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
        for (name, peak_usage) in item.as_object().unwrap().iter().filter(|(name, _)| name.len() == 2) {
            if let Some(peak_usage) = peak_usage.as_u64() {
                self.peak_usage.insert((name.clone(), day.parse().unwrap()), peak_usage.try_into().unwrap());
            }
        }
    }

    /// Deletes `some` of the items whose TTL has passed at `now`. Returns their keys.
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
        other => panic!("key attribute {name} is not a string: {other:?}"),
    });
    (pk, sk)
}

/// Converts an item to the JSON that its type parses.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.clone().into(),
        AttributeValue::N(digits) => digits.parse::<i64>().map_or_else(|_| digits.clone().into(), Value::from),
        AttributeValue::BOOL(value) => (*value).into(),
        AttributeValue::NULL(_) => Value::Null,
        AttributeValue::SS(texts) => texts.clone().into(),
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(values) => values.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        other => panic!("attribute of an unexpected type: {other:?}"),
    }
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("item cannot be parsed: {error}: {value}"))
}
