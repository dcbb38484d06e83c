//! Reads and deletes items of the whole table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dynoxide::types::{AttributeValue, Item};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::domain::call::Status;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::country::Country;
use shared::domain::number_settings::NumberSettings;
use shared::domain::order::OpenOrder;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::PoolNumber;
use shared::domain::ready_pool::{PartName, ReadyNumber, ReadyPart};
use shared::domain::recording::Recording;
use shared::domain::recording_work::RecordingWork;
use shared::domain::relayed_text::AcceptedPart;
use shared::domain::route::KeyOwner;
use shared::domain::route_keys::RouteKey;
use shared::domain::side::Side;
use shared::domain::tenant::Owner;
use shared::domain::tenant_cost::Spent;
use shared::domain::usage::{CallsByDay, Counted, Usage};
use shared::store::{Line, PartState, PinCall, PlacedCall, RecordedChange};

use crate::database::{Database, text};
use crate::legs::{STATUSES, StoredLeg};
use crate::missed_calls::Telling;
use crate::owners::{Costs, StoredText, paid_on};
use crate::pins::{KnownCall, TriesKey};
use crate::placing::KnownOrder;
use crate::recordings::RecordingKey;
use crate::safety::PressedKeys;
use crate::scenario::number;

/// The content of the table at one moment.
#[derive(Debug, Default, PartialEq)]
pub struct Table {
    pub conversations: BTreeMap<ConversationId, Conversation>,
    pub routes: BTreeMap<(RealNumber, VirtualNumber), KeyOwner>,
    /// The TTL of each.
    pub route_ttl: BTreeMap<(RealNumber, VirtualNumber), Timestamp>,
    /// The numbers under which phones only receive.
    pub lines: BTreeMap<RealNumber, Line>,
    /// The conversations of phones.
    pub participations: BTreeMap<(RealNumber, ConversationId), Participation>,
    /// The conversations in lists without a phone, by the list's partition.
    pub lists: BTreeSet<(String, ConversationId)>,
    /// Number of erasures by number that are not done.
    pub running_number_erasures: usize,
    /// The erased conversations.
    pub erased: BTreeSet<ConversationId>,
    /// Start of the present or the last pass of retention, and true if it is complete.
    pub retention: Option<(Timestamp, bool)>,
    /// Ids of the carrier records to redact.
    pub redactions: BTreeSet<String>,
    /// Conversation and fingerprint by the hash of the idempotency key.
    pub requests: BTreeMap<String, (ConversationId, String)>,
    pub numbers: BTreeMap<VirtualNumber, PoolNumber>,
    /// Numbers that nobody can use as their own phone, each with the end of that time.
    pub own_numbers: BTreeMap<VirtualNumber, Option<Timestamp>>,
    /// The parts of the ready numbers.
    pub parts: BTreeMap<PartName, ReadyPart>,
    /// The same parts, as the item of all versions describes them.
    pub part_states: BTreeMap<PartName, PartState>,
    /// The monthly rent of all numbers.
    pub monthly_cost: Option<String>,
    /// The counts of numbers in the ledger, by country and state, where they are not zero.
    pub counts: BTreeMap<String, i64>,
    /// The numbers that are listed as needing work, each with its partition and kind of work.
    pub work: BTreeSet<(String, String)>,
    /// The open orders.
    pub orders: BTreeMap<Country, OpenOrder>,
    /// Peak usage by country and day.
    pub peak_usage: BTreeMap<(Country, Date), usize>,
    /// The times from which numbers of the pool are lost, as conversations see them.
    pub losses: BTreeMap<VirtualNumber, Timestamp>,
    /// Rotated numbers of the pool, as their conversations see them.
    pub rotations: BTreeMap<VirtualNumber, Timestamp>,
    /// The conversations that are listed for healing, each with the time of its next try.
    pub heals: BTreeMap<ConversationId, Timestamp>,
    /// The times at which people were last told of missed calls.
    pub told: BTreeMap<Telling, Timestamp>,
    /// The participants to whom PINs lead, by number and hash.
    pub pins: BTreeMap<(VirtualNumber, String), (ConversationId, Side)>,
    /// The times from which all tries of PINs are allowed again.
    pub pin_tries: BTreeMap<TriesKey, Timestamp>,
    /// The calls whose callers typed PINs.
    pub pin_calls: BTreeMap<String, KnownCall>,
    /// The requests to place calls, by the hash of the idempotency key.
    pub placed_calls: BTreeMap<String, KnownOrder>,
    /// The recordings, what is left to do about them, and the links to them by the hashes of their tokens.
    pub recordings: BTreeMap<RecordingKey, Recording>,
    pub recording_work: BTreeMap<RecordingKey, RecordingWork>,
    pub links: BTreeMap<String, RecordingKey>,
    /// The owners in the settings of numbers.
    pub settings: BTreeMap<VirtualNumber, Owner>,
    /// The costs of the tenant.
    pub costs: Costs,
    /// Number of calls that count for the health of numbers.
    pub health: u64,
    /// The legs of calls by conversation and id.
    pub legs: BTreeMap<(ConversationId, String), StoredLeg>,
    /// The usage of the calls of conversations with limits.
    pub usage: BTreeMap<ConversationId, Usage>,
    /// Their calls by day.
    pub days: BTreeMap<ConversationId, CallsByDay>,
    /// The texts of conversations.
    pub texts: BTreeMap<(ConversationId, String), StoredText>,
    /// The conversations whose erasure is not settled.
    pub erasures: BTreeSet<ConversationId>,
    /// The last change of each conversation, in the journal.
    pub changes: BTreeMap<ConversationId, RecordedChange>,
    /// The route keys of each conversation, in the journal.
    pub keys: BTreeMap<ConversationId, RecordedKeys>,
    /// TTL of each item of the table that has one.
    pub ttl: BTreeMap<(String, String), Timestamp>,
}

/// A conversation in the list of a phone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Participation {
    /// The time from which the phone is in the conversation.
    pub since: Timestamp,
    pub ttl: Option<Timestamp>,
}

/// The route keys of a conversation in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedKeys {
    /// Each with its tenure.
    pub keys: BTreeMap<(RealNumber, VirtualNumber), String>,
    pub moves: usize,
    pub until: Timestamp,
}

/// Longest time for which an eventually consistent read may return a previous state. It is a second less than the
/// shortest quarantine, because a conversation ends at the beginning of a second.
const OUT_OF_DATE: SignedDuration = SignedDuration::from_secs(59);

/// Reads the table. It keeps the items of the last read with what each means, because few items change in one step, and the
/// states before recent changes.
#[derive(Default)]
pub struct Reader {
    seen: HashMap<(String, String), (Item, Table)>,
    changes: Vec<Change>,
}

struct Change {
    at: Timestamp,
    key: (String, String),
    before: Option<Item>,
}

impl Reader {
    /// Brings `table` up to the state of the table and the journal at `now`.
    pub async fn update(&mut self, table: &mut Table, database: &Database, now: Timestamp) {
        self.changes.retain(|change| now < change.at + OUT_OF_DATE);
        let changes = database.take_changes().await;
        // First all that is gone: what one item said before, another may say now.
        for ([_, pk, sk], _) in &changes {
            let key = (pk.clone(), sk.clone());
            let before = self.seen.remove(&key).map(|(item, part)| {
                table.remove_all(&part);
                item
            });
            self.changes.push(Change { at: now, key, before });
        }
        for ([_, pk, sk], item) in changes {
            let Some(item) = item else { continue };
            let part = Table::of(&item);
            table.add_all(&part);
            self.seen.insert((pk, sk), (item, part));
        }
    }

    /// True if these are the items that were read last.
    pub fn has_all<'a>(&self, mut items: impl Iterator<Item = &'a Item>) -> bool {
        let mut count = 0;
        let is_known = |item: &'a Item| {
            count += 1;
            self.seen.get(&(text(item, "pk"), text(item, "sk"))).is_some_and(|(known, _)| known == item)
        };
        items.all(is_known) && count == self.seen.len()
    }

    /// Returns the table that has all that was read, and nothing else.
    pub fn table(&self) -> Table {
        let mut table = Table::default();
        self.seen.values().for_each(|(_, part)| table.add_all(part));
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

/// Does the same with each collection of two tables.
macro_rules! for_each_collection {
    ($table:expr, $part:expr, $do:ident) => {
        for_each_collection!($table, $part, $do: conversations routes route_ttl lines participations lists erased redactions requests numbers
            own_numbers parts part_states counts settings work orders peak_usage losses rotations heals told pins pin_tries
            pin_calls
            placed_calls recordings recording_work links legs usage days texts erasures changes keys ttl)
    };
    ($table:expr, $part:expr, $do:ident: $($name:ident)*) => {
        $($table.$name.$do(&$part.$name);)*
    };
}

/// A map or a set.
trait Collection {
    fn add_all(&mut self, part: &Self);
    fn remove_all(&mut self, part: &Self);
}

impl<K: Ord + Clone, V: Clone> Collection for BTreeMap<K, V> {
    fn add_all(&mut self, part: &Self) {
        self.extend(part.iter().map(|(key, value)| (key.clone(), value.clone())));
    }

    fn remove_all(&mut self, part: &Self) {
        part.keys().for_each(|key| drop(self.remove(key)));
    }
}

impl<K: Ord + Clone> Collection for BTreeSet<K> {
    fn add_all(&mut self, part: &Self) {
        self.extend(part.iter().cloned());
    }

    fn remove_all(&mut self, part: &Self) {
        part.iter().for_each(|key| _ = self.remove(key));
    }
}

impl Table {
    /// Returns the table that has these items only.
    pub fn of_all(items: &[Item]) -> Self {
        let mut table = Self::default();
        items.iter().for_each(|item| table.add_all(&Self::of(item)));
        table
    }

    fn of(item: &Item) -> Self {
        let mut table = Self::default();
        table.add_item(&(text(item, "pk"), text(item, "sk")), &plain(&AttributeValue::M(item.clone())));
        table
    }

    fn add_all(&mut self, part: &Self) {
        for_each_collection!(self, part, add_all);
        self.health += part.health;
        self.costs.add(part.costs);
        self.running_number_erasures += part.running_number_erasures;
        self.retention = part.retention.or(self.retention);
        self.monthly_cost = part.monthly_cost.clone().or(self.monthly_cost.take());
    }

    fn remove_all(&mut self, part: &Self) {
        for_each_collection!(self, part, remove_all);
        self.health -= part.health;
        self.costs.remove(part.costs);
        self.running_number_erasures -= part.running_number_erasures;
        self.retention = self.retention.filter(|_| part.retention.is_none());
        self.monthly_cost = self.monthly_cost.take().filter(|_| part.monthly_cost.is_none());
    }

    fn add_item(&mut self, key: &(String, String), item: &Value) {
        let time = |name: &str| item[name].as_i64().map(|second| Timestamp::from_second(second).unwrap());
        let (pk, sk) = (key.0.as_str(), key.1.as_str());
        if let Some(ttl) = time("ttl").filter(|_| !["KEYS", "CHANGE", "OPT-OUT"].contains(&sk)) {
            self.ttl.insert(key.clone(), ttl);
        }
        let (kind, of) = pk.split_once('#').unwrap_or((pk, ""));
        let dialled = sk.strip_prefix("NUMBER#").map(number::<VirtualNumber>);
        if (kind, sk) == ("CONVERSATION", "CONVERSATION") {
            let all = [("told_0", 0, false), ("told_1", 1, false), ("asked_0", 0, true), ("asked_1", 1, true)];
            let told = all.into_iter().filter_map(|(name, side, asks)| Some((side, asks, time(name)?)));
            self.told.extend(told.map(|(side, asks, at)| ((of.try_into().unwrap(), side, asks), at)));
        }
        match (kind, dialled, sk) {
            ("CALLER", Some(dialled), _) => {
                let key = (number(of), dialled);
                self.route_ttl.extend(time("ttl").map(|ttl| (key.clone(), ttl)));
                self.routes.insert(key, parsed(item));
            }
            ("CALLER", None, "RECEIVES") => drop(self.lines.insert(number(of), parsed(item))),
            ("CALLER", None, "POOL") => {
                self.own_numbers.insert(number(of), time("ttl"));
                let is_in_pool = time("ttl").is_none();
                self.losses.extend(time("lost_since").filter(|_| is_in_pool).map(|since| (number(of), since)));
                self.rotations.extend(time("rotating_since").filter(|_| is_in_pool).map(|since| (number(of), since)));
            }
            ("CALLER", None, "SETTINGS") => {
                self.settings.insert(number(of), parsed::<NumberSettings>(item).owner);
            }
            ("TENANT", None, _) if sk.starts_with("COST#") => {
                self.costs.spent.add(spent(item));
            }
            ("HEAL", None, _) => drop(self.heals.insert(parsed(&item["conversation"]), time("due_at").unwrap())),
            ("CONVERSATION", None, "CONVERSATION") if item["participants"].is_null() => {
                self.erased.insert(of.try_into().unwrap());
            }
            ("CONVERSATION", None, "CONVERSATION") => {
                assert!(item["erased_at"].is_null(), "erasure of a conversation was not finished: {item}");
                self.conversations.insert(of.try_into().unwrap(), parsed(item));
            }
            ("PHONE", None, "CHAT") => {}
            ("PHONE", None, _) => {
                let id = sk.strip_prefix("CONVERSATION#").unwrap().try_into().unwrap();
                let since = Timestamp::from_millisecond(item["since"].as_i64().unwrap()).unwrap();
                self.participations.insert((number(of), id), Participation { since, ttl: time("ttl") });
            }
            ("LIST", None, _) => {
                let id = sk.strip_prefix("CONVERSATION#").unwrap().try_into().unwrap();
                self.lists.insert((of.to_owned(), id));
            }
            ("PIN", None, _) => {
                let (what, by) = sk.split_once('#').unwrap();
                let key = (number(of), by.to_owned());
                match what {
                    "PIN" => drop(self.pins.insert(key, (parsed(&item["conversation"]), parsed(&item["side"])))),
                    _ => drop(self.pin_tries.insert(key, time("free_at").unwrap())),
                }
            }
            ("CALL", None, "PIN") => {
                let PinCall { tries, accepted } = parsed(item);
                let accepted = accepted.map(|accepted| (accepted.conversation, accepted.side));
                self.pin_calls.insert(of.to_owned(), (tries, accepted));
            }
            ("HEALTH", Some(_), _) => self.health += item["calls"].as_u64().unwrap(),
            ("FORGET", None, "DONE") => assert!(item["number"].is_null(), "the phone is forgotten: {item}"),
            ("FORGET", None, _) => self.running_number_erasures += 1,
            ("RETENTION", None, "PASS") => {
                self.retention = Some((time("began_at").unwrap(), item["is_complete"].as_bool().unwrap()));
            }
            ("CONVERSATION", None, "CHANGE") => drop(self.changes.insert(of.try_into().unwrap(), parsed(item))),
            ("CONVERSATION", None, "KEYS") => {
                let keys = item.as_object().unwrap().iter();
                let keys = keys.filter_map(|(name, word)| Some((RouteKey::try_from(name.as_str()).ok()?, word)));
                let keys = keys.map(|(key, word)| ((key.caller, key.dialled), parsed(word))).collect();
                let until = time("quarantined_until").unwrap();
                assert_eq!(time("ttl"), Some(until), "{item}");
                let moves = parsed(&item["moves"]);
                self.keys.insert(of.try_into().unwrap(), RecordedKeys { keys, moves, until });
            }
            ("REQUEST", None, "REQUEST") if !item["claimed_at"].is_null() => {
                let PlacedCall { fingerprint, claimed_at, call, .. } = parsed(item);
                let until = time("remembered_until").unwrap();
                self.placed_calls.insert(of.to_owned(), KnownOrder { fingerprint, claimed_at, call, until });
            }
            ("REQUEST", None, "REQUEST") => {
                let remembered = (parsed(&item["conversation"]), parsed(&item["fingerprint"]));
                self.requests.insert(of.to_owned(), remembered);
            }
            ("CONVERSATION", None, "USAGE") => {
                self.usage.insert(of.try_into().unwrap(), usage(item));
                let days = item["days"].as_object().into_iter().flatten();
                let days = days.map(|(day, calls)| (day.parse().unwrap(), calls.as_u64().unwrap()));
                self.days.insert(of.try_into().unwrap(), days.collect());
            }
            ("CONVERSATION", None, _) if sk.starts_with("LEG#") => {
                let uuid = sk.rsplit('#').next().unwrap().to_owned();
                let status = |status: &&Status| !item[format!("at_{}", status.as_str())].is_null();
                let statuses = STATUSES.iter().filter(status).copied().collect();
                let usage = if item["counted"].is_null() { Usage::default() } else { usage(&item["counted"]) };
                let counted = Counted { usage, day: item["counted"]["day"].as_str().map(|day| day.parse().unwrap()) };
                let is_paid = item["spent_in"].is_string();
                let paid = paid_on(parsed(&item["direction"]), &parsed(item)).filter(|_| is_paid);
                self.costs.noted.add(paid.unwrap_or_default());
                self.legs.insert(
                    (of.try_into().unwrap(), uuid),
                    StoredLeg {
                        statuses,
                        phone: (parsed(&item["side"]), parsed(&item["phone"])),
                        is_accepted: time("accepted_at").is_some(),
                        has_agreed: time("agreed_at").is_some(),
                        counted,
                        paid,
                        keys: PressedKeys { stars: times(&item["star_keys"]), nines: times(&item["nine_keys"]) },
                    },
                );
            }
            ("RECORDINGS", None, _) => {
                let recording: Recording = parsed(item);
                let key = (recording.conversation, recording.id.as_str().to_owned());
                assert_eq!(of, key.0.to_string(), "{item}");
                self.recordings.insert(key, recording);
            }
            ("RECORDING", None, _) => {
                let work: RecordingWork = parsed(item);
                self.recording_work.insert((work.conversation, work.recording.as_str().to_owned()), work);
            }
            ("LINK", None, "LINK") => {
                let recording = (parsed(&item["conversation"]), parsed(&item["recording"]));
                self.links.insert(of.to_owned(), recording);
            }
            ("ERASURE", None, _) => drop(self.erasures.insert(parsed(&item["conversation"]))),
            ("REDACTION", None, _) => drop(self.redactions.insert(parsed(&item["id"]))),
            ("POOL", Some(dialled), _) => drop(self.numbers.insert(dialled, parsed(item))),
            ("POOL", None, "LEDGER") => {
                self.monthly_cost = Some(item["monthly_cost"].to_string());
                let counts = item.as_object().unwrap().iter().filter(|(name, _)| name.contains('#'));
                let counts = counts.filter(|(name, _)| !name.ends_with("#cost"));
                let counts = counts.map(|(name, count)| (name.clone(), count.as_i64().unwrap()));
                self.counts = counts.filter(|(_, count)| *count != 0).collect();
            }
            ("ORDER", None, country) => drop(self.orders.insert(crate::scenario::country(country), parsed(item))),
            ("POOL", None, _) if ["UNFINISHED#", "DRAINING#", "LOST#"].iter().any(|kind| sk.starts_with(kind)) => {
                self.work.insert((of.to_owned(), sk.to_owned()));
            }
            ("POOL", None, "READY") => self.add_part_states(item),
            ("READY", None, "READY") if !of.contains('#') => self.add_part_states(item),
            ("READY", None, "READY") => self.add_part(of, item),
            ("POOL", None, _) if sk.starts_with("HELD#") => self.add_mark(&sk[5..], item),
            ("TEXTS", None, _) => {
                let id = of.try_into().unwrap();
                assert!(item["refused"].is_null() || item["parts"].as_array().is_none_or(Vec::is_empty), "{item}");
                let text = stored_text(item);
                self.costs.noted.add(text.paid);
                self.texts.insert((id, sk.to_owned()), text);
            }
            ("TEXT" | "EXPLAINED" | "OPT-OUT", None, _) => {}
            ("CALLER", None, _) if sk.starts_with("DECLINES#") => {}
            ("TABLE", None, "TABLE") => {}
            _ => panic!("unknown item: {pk} {sk}"),
        }
    }

    fn add_part_states(&mut self, item: &Value) {
        for (name, value) in item.as_object().unwrap().iter().filter(|(name, _)| name.contains('#')) {
            let value = value.as_u64().unwrap();
            match name.strip_suffix("#count") {
                Some(name) => self.part_states.entry(part_name(name)).or_default().count = value.try_into().unwrap(),
                None => self.part_states.entry(part_name(name)).or_default().version = value,
            }
        }
    }

    fn add_part(&mut self, name: &str, item: &Value) {
        let name = part_name(name);
        let entries = item.as_object().unwrap().iter();
        let numbers = entries.filter_map(|(digits, texts)| {
            Some(ReadyNumber { texts: texts.as_bool()?, number: number(digits), country: name.country })
        });
        let part = ReadyPart::new(item["version"].as_u64().unwrap(), numbers.collect::<Vec<_>>());
        self.parts.insert(name, part);
    }

    fn add_mark(&mut self, name: &str, item: &Value) {
        let (country, day) = name.split_once('#').unwrap();
        let routes = item["routes"].as_u64().unwrap().try_into().unwrap();
        self.peak_usage.insert((crate::scenario::country(country), day.parse().unwrap()), routes);
    }

    /// Deletes `some` of the items whose TTL has passed at `now`. Returns their keys.
    pub async fn sweep(&self, database: &Database, now: Timestamp, some: u64) -> BTreeSet<(String, String)> {
        let over = self.ttl.iter().filter(|(_, ttl)| **ttl <= now).map(|(key, _)| key.clone());
        let over: BTreeSet<_> =
            over.enumerate().filter(|(index, _)| some >> (index % 64) & 1 == 1).map(|(_, key)| key).collect();
        for (pk, sk) in &over {
            database.delete(pk, sk).await;
        }
        over
    }
}

fn usage(value: &Value) -> Usage {
    let count = |name: &str| value[name].as_u64().unwrap();
    let spend = value["spend"].to_string().trim_matches('"').parse().unwrap();
    Usage { calls: count("calls"), seconds: count("seconds"), spend }
}

fn spent(item: &Value) -> Spent {
    let count = |name: &str| item[name].as_i64().unwrap_or_default();
    let amount = |name: &str| match &item[name] {
        Value::Null => Decimal::ZERO,
        amount => amount.to_string().trim_matches('"').parse().unwrap(),
    };
    let (calls, seconds, texts) = (count("calls"), count("seconds"), count("texts"));
    Spent { calls, seconds, call_cost: amount("call_cost"), texts, text_cost: amount("text_cost") }
}

fn stored_text(item: &Value) -> StoredText {
    let parts: Vec<AcceptedPart> = item["parts"].as_array().into_iter().flatten().map(parsed).collect();
    let notes = item["spent_on"].as_array().into_iter().flatten();
    let notes: BTreeSet<&str> = notes.map(|note| note.as_str().unwrap()).collect();
    let prices = |is_meant: &dyn Fn(&AcceptedPart) -> bool| {
        let priced = parts.iter().filter(|part| is_meant(part)).filter_map(|part| part.price.as_deref());
        let prices: Vec<Decimal> = priced.map(|price| price.parse().unwrap()).collect();
        Spent { texts: (!prices.is_empty()).into(), text_cost: prices.into_iter().sum(), ..Spent::default() }
    };
    StoredText { price: prices(&|_| true), paid: prices(&|part| notes.contains(&*part.id)) }
}

fn times(set: &Value) -> BTreeSet<i64> {
    set.as_array().into_iter().flatten().map(|time| time.as_i64().unwrap()).collect()
}

fn part_name(written: &str) -> PartName {
    let words: Vec<_> = written.split('#').collect();
    let (owner, words) = match words[..] {
        [tenant, country, calling_code, index] => {
            (Owner::Tenant(tenant.try_into().unwrap()), [country, calling_code, index])
        }
        [country, calling_code, index] => (Owner::Deployment, [country, calling_code, index]),
        _ => panic!("not the name of a part: {written}"),
    };
    let [country, calling_code, index] = words;
    let (country, calling_code) = (crate::scenario::country(country), calling_code.to_owned());
    PartName { owner, country, calling_code, index: index.parse().unwrap() }
}

/// Converts an item to the JSON that its type parses.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.clone().into(),
        AttributeValue::N(digits) => digits.parse::<i64>().map_or_else(|_| digits.clone().into(), Value::from),
        AttributeValue::BOOL(value) => (*value).into(),
        AttributeValue::NULL(_) => Value::Null,
        AttributeValue::SS(texts) => texts.clone().into(),
        AttributeValue::NS(numbers) => {
            numbers.iter().map(|digits| Value::from(digits.parse::<i64>().unwrap())).collect()
        }
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(values) => values.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        other => panic!("attribute of an unexpected type: {other:?}"),
    }
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("item cannot be parsed: {error}: {value}"))
}
