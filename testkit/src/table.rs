//! The whole table, read by a scan, and what must be true of it at any moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared::domain::conversation::{Conversation, ConversationId, SidePhone};
use shared::domain::listing::List;
use shared::domain::number_erasure::NumberErasure;
use shared::domain::number_settings::NumberSettings;
use shared::domain::order::OpenOrder;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::route::{Hold, KeyOwner, Route, RouteTombstone};
use shared::domain::route_keys::RouteKey;
use shared::domain::side::Side;
use shared::domain::tenant::Owner;
use shared::domain::tenant_cost::Spent;
use shared::domain::usage::{Tally, Usage};
use shared::store::{Demand, Erasure, Heal, Line, RecordedChange, Redaction};

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
    /// The costs of tenants, by tenant and month.
    pub tenant_costs: BTreeMap<(String, String), Spent>,
    /// The counted prices of legs, each with its conversation and its month.
    leg_costs: Vec<(ConversationId, String, Spent)>,
    /// The conversations of texts of which a price is counted.
    priced_texts: Vec<ConversationId>,
    /// The conversation of each recording.
    pub recordings: Vec<ConversationId>,
    /// The usage of conversations with limits.
    pub usage: BTreeMap<ConversationId, Usage>,
    /// The routes by caller and dialled number.
    pub routes: BTreeMap<(String, String), Route>,
    /// The tombstones of routes whose conversation was erased.
    pub erased_routes: BTreeMap<(String, String), RouteTombstone>,
    /// The holds of route keys whose callers only receive.
    pub holds: BTreeMap<(String, String), Hold>,
    /// The numbers under which phones only receive.
    pub lines: BTreeMap<String, Line>,
    /// The erasures that the schedule has to finish.
    pub erasures: Vec<Erasure>,
    /// The erasures by number that are running.
    pub number_erasures: Vec<NumberErasure>,
    /// The conversations that are listed under a phone, by phone, each with its TTL in seconds.
    pub participations: BTreeMap<(String, ConversationId), i64>,
    /// The conversations in lists without a phone, by the list's name, each with its TTL in seconds.
    pub lists: BTreeMap<(String, ConversationId), i64>,
    /// The tenant as whose each conversation is listed.
    listed_as: BTreeMap<(String, ConversationId), Option<String>>,
    /// The carrier records that Vonage has to redact.
    pub redactions: Vec<Redaction>,
    /// Every item as text, with its item key.
    items: Vec<([String; 2], String)>,
    /// The pool.
    pub pool: Vec<PoolNumber>,
    /// The monthly cost in the ledger.
    pub monthly_cost: Decimal,
    /// The counts of numbers in the ledger, by country and state.
    counts: BTreeMap<String, i64>,
    /// The rent in the ledger, by country.
    costs: BTreeMap<String, Decimal>,
    /// The numbers that are listed as needing work, by country and kind of work.
    work: BTreeSet<(String, String, String)>,
    /// The demand for numbers.
    pub demands: Vec<Demand>,
    /// The open orders.
    pub orders: Vec<OpenOrder>,
    /// The conversations of requests with an idempotency key.
    pub requests: Vec<String>,
    /// The ready numbers.
    ready: BTreeSet<String>,
    /// Version and count of each part of the ready numbers.
    parts: BTreeMap<String, (u64, usize)>,
    /// The same, as the item of all versions has them.
    part_states: BTreeMap<String, (u64, usize)>,
    /// The virtual numbers that no participant can have as a phone, without released ones.
    own_numbers: BTreeSet<String>,
    /// The tenants of own numbers.
    own_tenants: BTreeMap<String, String>,
    /// The settings of numbers.
    pub settings: BTreeMap<String, NumberSettings>,
    /// The phones that are listed as named by standing masks, by mask and phone.
    standing_phones: BTreeSet<(String, String)>,
    /// The revision of the last change of each standing mask, in the journal.
    standing_changes: BTreeMap<String, u64>,
    /// The times from which numbers are lost, as their conversations see them.
    losses: BTreeMap<String, i64>,
    /// Rotated numbers of the pool, as their conversations see them.
    rotations: BTreeMap<String, i64>,
    /// The conversations on lost numbers for which something is left to do.
    pub heals: Vec<Heal>,
    /// The last change of each conversation, in the journal.
    pub changes: BTreeMap<ConversationId, RecordedChange>,
    /// The route keys of each conversation, in the journal.
    pub keys: BTreeMap<ConversationId, Keys>,
}

/// The route keys of a conversation in the journal.
#[derive(Debug, PartialEq, Eq)]
pub struct Keys {
    /// The keys, each with the word for its tenure.
    pub keys: BTreeMap<RouteKey, String>,
    /// Number of replaced phones and numbers.
    pub moves: usize,
    /// The end of the quarantine, in seconds since 1970.
    pub until: i64,
}

impl Table {
    pub(crate) fn of(items: &[Value], journal: &[Value]) -> Self {
        let mut table = Self::default();
        for item in items {
            table.insert(plain_members(item));
        }
        for item in journal {
            table.insert_recorded(plain_members(item));
        }
        table
    }

    fn insert_recorded(&mut self, item: Map<String, Value>) {
        let (pk, sk) = (string(&item["pk"]), string(&item["sk"]));
        match (pk.split_once('#').unwrap_or((&pk, "")), sk.as_str()) {
            (("CONVERSATION", id), "CHANGE") => drop(self.changes.insert(id.try_into().unwrap(), read(item))),
            (("CONVERSATION", id), "KEYS") => {
                assert_eq!(item["ttl"], item["quarantined_until"], "it lives as long as a tombstone: {item:?}");
                let keys = item.iter().filter(|(name, _)| name.starts_with(is_digit));
                let keys = keys.map(|(key, word)| (RouteKey::try_from(key.as_str()).unwrap(), string(word))).collect();
                let moves = item.get("moves").and_then(Value::as_u64).unwrap_or_default().try_into().unwrap();
                let keys = Keys { keys, moves, until: item["quarantined_until"].as_i64().unwrap() };
                self.keys.insert(id.try_into().unwrap(), keys);
            }
            (("STANDING", number), "STANDING") => {
                self.standing_changes.insert(number.to_owned(), item["revision"].as_u64().unwrap());
            }
            (("OPT-OUT", _), "OPT-OUT") => assert!(item["person"].is_string() && item["ttl"].is_i64(), "{item:?}"),
            (("TABLE", ""), "TABLE") => {}
            _ => panic!("an item of a new kind in the journal: {item:?}"),
        }
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
                            ["erased", "expires_at", "pk", "quarantined_until", "since", "sk", "ttl", "v"]
                        );
                        assert_eq!(item["ttl"].as_i64(), Some(erased.quarantined_until.as_second()));
                        self.erased_routes.insert(key, erased);
                    }
                    KeyOwner::Held(hold) => {
                        assert_eq!(
                            names_without_tenant(&item),
                            ["expires_at", "held_at", "pk", "quarantined_until", "sk", "ttl", "v"]
                        );
                        assert_eq!(item["ttl"].as_i64(), Some(hold.quarantined_until.as_second()));
                        self.holds.insert(key, hold);
                    }
                }
            }
            (("CALLER", caller), ("RECEIVES", _)) => drop(self.lines.insert(caller.to_owned(), read(item))),
            (("CALLER", _), ("DECLINES", _)) => {
                let expected: &[&str] = match item.contains_key("lifted_at") {
                    true => &["lifted_at", "pk", "since", "sk", "ttl", "v"],
                    false => &["pk", "since", "sk", "ttl", "v"],
                };
                assert_eq!(names(&item), expected);
            }
            (("CALLER", _), ("POOL", _)) if item.contains_key("ttl") => {}
            (("CALLER", number), ("POOL", _)) => {
                self.own_numbers.insert(number.to_owned());
                self.own_tenants.extend(item.get("tenant").map(|tenant| (number.to_owned(), string(tenant))));
                self.losses.extend(item.get("lost_since").map(|since| (number.to_owned(), since.as_i64().unwrap())));
                let rotated = item.get("rotating_since").map(|since| (number.to_owned(), since.as_i64().unwrap()));
                self.rotations.extend(rotated);
            }
            (("CALLER", number), ("SETTINGS", _)) => drop(self.settings.insert(number.to_owned(), read(item))),
            (("PHONE", phone), ("STANDING", mask)) => {
                assert_eq!(names(&item), ["pk", "since", "sk", "v"]);
                self.standing_phones.insert((mask.to_owned(), phone.to_owned()));
            }
            (("PHONE", _), ("CHAT", _)) => {
                assert_eq!(names(&item), ["channel", "pk", "sk", "ttl", "v", "wrote_at"]);
            }
            (("HEAL", ""), _) => self.heals.push(read(item)),
            (("CONVERSATION", _), ("CONVERSATION", _)) if !item.contains_key("erased_at") => {
                self.conversations.push(read(item));
            }
            (("CONVERSATION", _), ("CONVERSATION", _)) if item.contains_key("participants") => {
                self.erasing.push(read(item));
            }
            (("CONVERSATION", id), ("CONVERSATION", _)) => {
                assert_eq!(names_without_tenant(&item), ["erased_at", "pk", "sk", "ttl", "v"]);
                self.erased.insert(id.try_into().unwrap());
            }
            (("PHONE", phone), ("CONVERSATION", id)) => {
                assert_eq!(names_without_tenant(&item), ["pk", "since", "sk", "ttl", "v"]);
                let tenant = item.get("tenant").map(string);
                self.listed_as.insert((phone.to_owned(), id.try_into().unwrap()), tenant);
                self.participations.insert((phone.to_owned(), id.try_into().unwrap()), item["ttl"].as_i64().unwrap());
            }
            (("LIST", list), ("CONVERSATION", id)) => {
                assert_eq!(names_without_tenant(&item), ["pk", "sk", "ttl", "v"]);
                let key = (list.to_owned(), id.try_into().unwrap());
                self.listed_as.insert(key.clone(), item.get("tenant").map(string));
                self.lists.insert(key, item["ttl"].as_i64().unwrap());
            }
            (("CONVERSATION", id), ("LEG", _)) => {
                let id = id.try_into().unwrap();
                self.legs.push(id);
                if let Some(month) = item.get("spent_in") {
                    let spent = Spent::on_leg(parsed(&item["direction"]), &read(item.clone())).unwrap();
                    self.leg_costs.push((id, string(month), spent));
                }
            }
            (("CONVERSATION", id), ("USAGE", _)) => {
                let count = |name: &str| item[name].as_u64().unwrap();
                let spend = item["spend"].to_string().parse().unwrap();
                let usage = Usage { calls: count("calls"), seconds: count("seconds"), spend };
                self.usage.insert(id.try_into().unwrap(), usage);
            }
            (("ERASURE", ""), _) => {
                assert_eq!(names(&item), ["conversation", "due_at", "erased_at", "pk", "sk", "v"]);
                self.erasures.push(read(item));
            }
            (("FORGET", ""), _) => {
                let erasure: NumberErasure = read(item);
                assert!(erasure.number.is_some() && erasure.done_at.is_none(), "{erasure:?}");
                self.number_erasures.push(erasure);
            }
            (("FORGET", _), _) => {
                let expected =
                    ["conversations_erased", "conversations_failed", "done_at", "id", "pk", "sk", "ttl", "v"];
                assert_eq!(names(&item), expected);
            }
            (("REDACTION", ""), _) => {
                assert_eq!(names(&item), ["direction", "due_at", "id", "pk", "product", "since", "sk", "ttl", "v"]);
                self.redactions.push(read(item));
            }
            (("RECORDINGS", id), ("RECORDING", _)) => self.recordings.push(id.try_into().unwrap()),
            (("RECORDING", ""), _) => assert!(item["task"].is_string() && item["ttl"].is_i64(), "{item:?}"),
            (("TEXTS", id), ("TEXT", _)) => {
                let content = ["text", "message", "words"].iter().find(|name| item.contains_key(**name));
                assert!(content.is_none(), "what was written is stored: {item:?}");
                assert!(!item.contains_key("spent_on") || item.contains_key("tenant"), "of no tenant: {item:?}");
                self.priced_texts.extend(item.get("spent_on").map(|_| ConversationId::try_from(id).unwrap()));
                self.recordings.push(id.try_into().unwrap());
            }
            (("TEXT", _), ("DAY", _)) => assert!(item["texts"].is_u64() && item["ttl"].is_i64(), "{item:?}"),
            (("TEXT", _), ("KEYWORD", _)) => assert_eq!(names(&item), ["known_until", "pk", "sk", "ttl", "v"]),
            (("TEXT", _), _) => {
                // A text of the backend has the fingerprint of its request too.
                let all = ["conversation", "fingerprint", "known_until", "pk", "sk", "text", "ttl", "v"];
                let expected = all.into_iter().filter(|name| *name != "fingerprint" || item.contains_key(*name));
                assert_eq!(names(&item), expected.collect::<Vec<_>>());
            }
            (("HEALTH", _), ("NUMBER", _)) => assert!(item["ttl"].is_i64(), "{item:?}"),
            (("EXPLAINED", _), ("TO" | "DAY", _)) => assert!(item["ttl"].is_i64(), "{item:?}"),
            (("LINK", _), _) => {
                assert_eq!(names(&item), ["conversation", "expires_at", "pk", "recording", "sk", "ttl", "v"]);
            }
            (("REQUEST", _), _) => self.requests.push(string(&item["conversation"])),
            (("POOL", ""), ("LEDGER", _)) => self.insert_ledger(&item),
            (("POOL", ""), ("READY", _)) => self.insert_part_states(&item),
            (("READY", tenant), _) if !tenant.contains('#') => self.insert_part_states(&item),
            (("READY", part), _) => {
                let version = item["version"].as_u64().unwrap();
                let part = part.to_owned();
                let numbers = item.into_iter().map(|(name, _)| name).filter(|name| name.starts_with(is_digit));
                let before = self.ready.len();
                self.ready.extend(numbers);
                self.parts.insert(part, (version, self.ready.len() - before));
            }
            (("TENANT", ""), _) => assert!(item["tenant"].is_string(), "{item:?}"),
            (("TENANT", tenant), ("COST", part)) => self.insert_tenant_cost(tenant, part, &item),
            (("POOL", ""), ("HELD" | "LOOK" | "WALK", _)) | (("RETENTION", ""), _) => {}
            (("DEMAND", ""), _) => self.demands.push(read(item)),
            (("ORDER", ""), _) => self.orders.push(read(item)),
            (("POOL", pool), (work @ ("UNFINISHED" | "DRAINING" | "LOST" | "STANDING"), number)) => {
                self.work.insert((pool.to_owned(), work.to_owned(), number.to_owned()));
            }
            (("POOL", _), ("NUMBER", _)) => self.pool.push(read(item)),
            _ => panic!("an item of a new kind: {item:?}"),
        }
    }

    fn insert_tenant_cost(&mut self, tenant: &str, part: &str, item: &Map<String, Value>) {
        let sums = ["call_cost", "calls", "seconds", "text_cost", "texts"];
        let is_known = |name: &&str| sums.contains(name) || ["pk", "sk", "ttl", "v"].contains(name);
        assert!(item.keys().all(|name| is_known(&name.as_str())), "more than sums: {item:?}");
        let amount = |name: &str| item.get(name).map_or(Decimal::ZERO, |sum| sum.to_string().parse().unwrap());
        let count = |name: &str| item.get(name).map_or(0, |sum| sum.as_i64().unwrap());
        let month = part.split_once('#').unwrap().0.to_owned();
        self.tenant_costs.entry((tenant.to_owned(), month)).or_default().add(Spent {
            calls: count("calls"),
            seconds: count("seconds"),
            call_cost: amount("call_cost"),
            texts: count("texts"),
            text_cost: amount("text_cost"),
        });
    }

    fn insert_part_states(&mut self, item: &Map<String, Value>) {
        for (name, value) in item.iter().filter(|(name, _)| name.contains('#')) {
            let (version, count) = self.part_states.entry(name.trim_end_matches("#count").to_owned()).or_default();
            match name.ends_with("#count") {
                true => *count = value.as_u64().unwrap().try_into().unwrap(),
                false => *version = value.as_u64().unwrap(),
            }
        }
    }

    fn insert_ledger(&mut self, item: &Map<String, Value>) {
        let decimal = |value: &Value| value.to_string().parse::<Decimal>().unwrap();
        self.monthly_cost = item.get("monthly_cost").map(decimal).unwrap_or_default();
        for (name, value) in item {
            match name.rsplit_once('#') {
                Some((pool, "cost")) => drop(self.costs.insert(pool.to_owned(), decimal(value))),
                Some(_) => drop(self.counts.insert(name.clone(), value.as_i64().unwrap())),
                None => {}
            }
        }
    }

    /// Checks what must be true of the table at any moment, even if a run has died or is still active.
    pub(crate) fn check(&self, now: Timestamp) {
        self.check_conversations(now);
        self.check_keys(now);
        self.check_routes(now);
        self.check_lines(now);
        self.check_erased(now);
        self.check_participations();
        self.check_lists();
        self.check_owners(now);
        self.check_tenant_costs();
        self.check_pool();
        self.check_standing_masks(now);
        self.check_journal(now);
    }

    /// Checks that the costs of tenants are the sums of the prices that are noted as counted. What was erased stays in the sums only.
    fn check_tenant_costs(&self) {
        let all = self.conversations.iter().chain(&self.erasing);
        let owners: BTreeMap<ConversationId, Owner> = all.map(|one| (one.id, one.owner)).collect();
        let mut noted: BTreeMap<(String, String), Spent> = BTreeMap::new();
        for (id, month, spent) in &self.leg_costs {
            // The legs of an erased conversation go one after the other.
            let Some(owner) = owners.get(id) else { continue };
            let tenant = owner.tenant().unwrap_or_else(|| panic!("a price of no tenant is noted in {id}"));
            noted.entry((tenant.to_string(), month.clone())).or_default().add(*spent);
        }
        let is_whole = self.erased.is_empty() && self.erasing.is_empty();
        for (of, noted) in &noted {
            assert!(self.tenant_costs.contains_key(of), "nothing is counted for {of:?}: {noted:?}");
        }
        for (of, counted) in &self.tenant_costs {
            let noted = noted.get(of).copied().unwrap_or_default();
            let of_calls = |spent: Spent| (spent.calls, spent.seconds, spent.call_cost);
            match is_whole {
                true => assert_eq!(of_calls(*counted), of_calls(noted), "{of:?}"),
                false => assert!(counted.call_cost >= noted.call_cost && counted.calls >= noted.calls, "{of:?}"),
            }
        }
        let texts: i64 = self.tenant_costs.values().map(|spent| spent.texts).sum();
        let noted = i64::try_from(self.priced_texts.len()).unwrap();
        assert!(texts >= noted, "{texts} texts are counted, and {noted} are noted");
    }

    /// Checks that standing masks are out of pairing, that those which connect calls have no live conversation, and that each
    /// phone which they name leads to them.
    fn check_standing_masks(&self, now: Timestamp) {
        let standing = self.settings.iter().filter_map(|(number, of)| Some((number, of.standing.as_ref()?, of)));
        let mut named = BTreeSet::new();
        for (number, mask, settings) in standing.clone() {
            named.extend(mask.named().into_iter().map(|phone| (number.clone(), phone.expose().to_owned())));
            assert!(!self.ready.contains(number), "{number} is given to conversations");
            assert!(self.standing_changes[number] <= settings.revision, "the journal knows a later change of {number}");
            let live = self.routes.iter().filter(|((_, dialled), route)| dialled == number && route.is_live(now));
            assert!(!mask.is_open || live.count() == 0, "{number} connects calls, and has live conversations");
        }
        assert_eq!(self.standing_phones, named, "the phones that lead to standing masks");
        let set_aside = self.pool.iter().filter(|number| number.set_aside).map(|number| number.number.to_string());
        let masks: BTreeSet<_> = standing.map(|(number, ..)| number.clone()).collect();
        assert_eq!(set_aside.collect::<BTreeSet<_>>(), masks, "the numbers that are set aside");
    }

    /// Checks that the journal has the last change of each conversation, and its route keys until the quarantine is over.
    fn check_journal(&self, now: Timestamp) {
        for conversation in &self.conversations {
            let id = conversation.id;
            let found = self.changes.get(&id);
            match found {
                // A restored conversation that was ended has phones and numbers from before.
                Some(found) => {
                    let moves = if conversation.ended_at.is_some() { found.moves } else { conversation.moves() };
                    let flags = RecordedChange { moves, ended_by_restore: found.ended_by_restore, ..found.clone() };
                    let expected = RecordedChange::of(conversation, None);
                    let expected = RecordedChange { moves, ended_by_restore: flags.ended_by_restore, ..expected };
                    assert_eq!(*found, expected, "{conversation:?}");
                }
                None => assert_eq!(conversation.revision, 0, "no change of {conversation:?} is recorded"),
            }
            if now < quarantined_until(conversation) {
                let found = self.keys.get(&id).unwrap_or_else(|| panic!("no keys of {conversation:?} are recorded"));
                assert_eq!(found.until, quarantined_until(conversation).as_second(), "{conversation:?}");
                let is_restored = conversation.ended_at.is_some() && found.moves > conversation.moves();
                assert!(is_restored || found.moves == conversation.moves(), "{found:?} {conversation:?}");
                for (key, tenure) in RouteKey::of(conversation) {
                    assert_eq!(found.keys.get(&key).map(String::as_str), Some(tenure.as_str()), "{conversation:?}");
                }
                let others = found.keys.keys().find(|key| !key.may_be_of(conversation));
                assert!(is_restored || others.is_none(), "{others:?} is no key of {conversation:?}");
            }
        }
        for id in self.erased.iter().chain(self.erasing.iter().map(|conversation| &conversation.id)) {
            assert!(self.changes.get(id).is_some_and(|change| change.erased_at.is_some()), "{id} is erased");
        }
    }

    /// Checks that a conversation has its routes until its quarantine is over, or the same two people have them again in the
    /// next one, and that the number which a participant who only receives sees is held for as long.
    fn check_conversations(&self, now: Timestamp) {
        for conversation in &self.conversations {
            let quarantined_until = quarantined_until(conversation);
            let phones = Side::BOTH.into_iter().flat_map(|side| conversation.phones(side));
            for phone in phones.filter(|_| now < quarantined_until) {
                let side = phone.side;
                let key = (phone.number.expose().to_owned(), phone.sees.to_string());
                if conversation.direction.receiver() == Some(side) {
                    let hold = self.holds.get(&key).unwrap_or_else(|| panic!("no hold {key:?} of {conversation:?}"));
                    assert!(quarantined_until <= hold.quarantined_until, "{hold:?} {conversation:?}");
                    continue;
                }
                if self.is_given_back(&key, conversation) {
                    continue;
                }
                let route = self.routes.get(&key).unwrap_or_else(|| panic!("no route {key:?} of {conversation:?}"));
                let expected = Route {
                    since: route.since,
                    history: route.history.clone(),
                    looked_up: route.looked_up,
                    names: route.names.clone(),
                    overlap_until: route.overlap_until,
                    left_seconds: self.left_seconds(conversation, side, route),
                    ..Route::of_phone(conversation, phone)
                };
                let expires_at = end(conversation);
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

    /// Returns what a route has to leave for a call. With a limit for the price it depends on rates, which are not read here.
    fn left_seconds(&self, conversation: &Conversation, side: Side, route: &Route) -> Option<u32> {
        let limits = &conversation.usage_limits;
        if limits.max_spend.is_some() || end(conversation) != conversation.expires_at {
            return route.left_seconds;
        }
        let sum = self.usage.get(&conversation.id).copied().unwrap_or_default();
        conversation.seconds_left(&Tally { sum, ..Tally::default() }, side)
    }

    /// True if the route key belongs to a later conversation of the same two people, or did before that was erased.
    fn is_given_back(&self, key: &(String, String), ended: &Conversation) -> bool {
        let erased = self.erased_routes.get(key);
        if let Some(erased) = erased.filter(|erased| erased.conversation != ended.id) {
            return end(ended) <= erased.since;
        }
        let Some(route) = self.routes.get(key).filter(|route| route.conversation != ended.id) else { return false };
        let [a, b] = ended.participants.each_ref().map(|participant| participant.number.canonical());
        let other = if a.expose() == key.0 { b } else { a };
        let has_come_back = end(ended) <= route.since && route.history.contains(&ended.id);
        let owner = self.conversations.iter().chain(&self.erasing).find(|owner| owner.id == route.conversation);
        // The other one may have got another phone since.
        let has_had = |owner: &Conversation| {
            owner.participant(route.side.other()).all_numbers().any(|phone| phone.is_same_phone(&other))
        };
        has_come_back && route.overlap_until.is_some() && owner.is_some_and(has_had)
    }

    /// Checks that no route key ever belonged to two conversations at once, quarantines included, except one after the other
    /// of the same two people.
    fn check_keys(&self, now: Timestamp) {
        let mut owners: BTreeMap<(&str, &str), Vec<&Conversation>> = BTreeMap::new();
        let of_receivers = self.holds.keys().map(|(caller, dialled)| (caller.as_str(), dialled.as_str()));
        let of_receivers: BTreeSet<_> = of_receivers.collect();
        for conversation in self.conversations.iter().chain(&self.erasing) {
            // Another number is dialled only from some time after the creation on.
            let since_creation = |side: &Side| conversation.participant(*side).previously_seen.is_empty();
            for phone in conversation.dialling_phones().filter(|phone| since_creation(&phone.side)) {
                let key = (phone.number.expose(), phone.sees.as_str());
                owners.entry(key).or_default().push(conversation);
                let held_since = of_receivers.get(&key).map(|_| quarantined_until(conversation));
                assert!(held_since.is_none_or(|end| end <= now), "{key:?} is held, and belongs to {conversation:?}");
            }
        }
        for (key, mut owners) in owners {
            owners.sort_by_key(|conversation| (conversation.created_at, end(conversation)));
            for pair in owners.windows(2) {
                let [first, next] = [pair[0], pair[1]];
                let rested = quarantined_until(first) <= next.created_at;
                let theirs = people(first) == people_at_creation(next) && end(first) <= next.created_at;
                let kept = quarantined_until(first) <= quarantined_until(next);
                assert!(rested || theirs && kept, "{key:?} belonged to two at once: {pair:?}");
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
            let has_seen = participant.all_seen().any(|number| number.as_str() == dialled);
            assert!(owner.direction.includes(route.side) && has_seen, "{route:?} {owner:?}");
            let is_key = |phone: SidePhone<'_>| phone.number.expose() == caller && phone.sees.as_str() == dialled;
            let is_current = owner.phones(route.side).any(is_key);
            assert!(is_current || route.expires_at <= now, "{caller} {route:?} {owner:?}");
        }
    }

    /// Checks that the number under which a phone only receives is held for as long as that says.
    fn check_lines(&self, now: Timestamp) {
        for (caller, line) in self.lines.iter().filter(|(_, line)| now < line.held_until) {
            let hold = self.holds.get(&(caller.clone(), line.number.to_string()));
            assert!(hold.is_some_and(|hold| line.held_until <= hold.quarantined_until), "{caller} {line:?} {hold:?}");
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
        let recorded = self.recordings.iter().find(|id| self.erased.contains(id));
        assert_eq!(recorded, None, "a recording of an erased conversation is left");
        let remembered = self.routes.values().flat_map(|route| route.history.iter().chain([&route.conversation]));
        for id in remembered {
            assert!(!self.erased.contains(id), "a route still tells of {id}, which is erased");
        }
        for (key, erased) in &self.erased_routes {
            let mut gone = self.erasing.iter().map(|conversation| conversation.id).chain(self.erased.iter().copied());
            let is_gone = gone.any(|id| id == erased.conversation);
            // A restored table does not know the conversation, or not the key.
            let known = self.conversations.iter().find(|conversation| conversation.id == erased.conversation);
            let is_over = known.is_none_or(|conversation| conversation.ended_at.is_some());
            let is_kept = is_over && self.keys.contains_key(&erased.conversation);
            assert!(is_gone || is_kept, "{key:?} {erased:?}");
        }
    }

    /// Checks that a conversation is listed under each phone that its item names, as long as it is kept, and that no other
    /// is listed.
    fn check_participations(&self) {
        let mut left = self.participations.clone();
        for conversation in self.conversations.iter().chain(&self.erasing) {
            let kept_until = (quarantined_until(conversation) + SignedDuration::from_hours(395 * 24)).as_second();
            let phones = conversation.participants.iter().flat_map(|participant| participant.all_numbers());
            let phones: BTreeSet<_> = phones.map(|phone| phone.canonical().expose().to_owned()).collect();
            for phone in phones {
                let ttl = left.remove(&(phone.clone(), conversation.id));
                let ttl = ttl.unwrap_or_else(|| panic!("{conversation:?} is not listed under {phone}"));
                assert!(kept_until <= ttl, "{ttl} for {kept_until}: {conversation:?}");
            }
        }
        assert!(left.is_empty(), "listed, and in no conversation: {left:?}");
    }

    /// Checks that a conversation is in each list that its mark promises, as long as it is kept, and that no other is there.
    fn check_lists(&self) {
        let mut left = self.lists.clone();
        for conversation in self.conversations.iter().chain(&self.erasing) {
            let kept_until = (quarantined_until(conversation) + SignedDuration::from_hours(395 * 24)).as_second();
            for list in conversation.lists() {
                let ttl = left.remove(&(name_of(&list), conversation.id));
                let ttl = ttl.unwrap_or_else(|| panic!("{conversation:?} is not in {list:?}"));
                assert!(kept_until <= ttl, "{ttl} for {kept_until}: {conversation:?}");
            }
        }
        assert!(left.is_empty(), "in a list, and stored no more: {left:?}");
    }

    /// Checks that nothing crosses from one owner to another: a conversation has numbers of its owner only, and is listed as its owner's.
    /// A number moves to another owner only after its last quarantine.
    fn check_owners(&self, now: Timestamp) {
        let owners: BTreeMap<_, _> = self.pool.iter().map(|number| (&number.number, number.owner)).collect();
        for number in &self.pool {
            let settings = self.settings.get(number.number.as_str());
            let owner = settings.map(|settings| settings.owner).unwrap_or_default();
            assert_eq!(owner, number.owner, "strangers hear whoever has {}", number.number);
            let known = self.own_tenants.get(number.number.as_str()).cloned();
            assert_eq!(known, number.owner.tenant().map(String::from), "the owner of {}", number.number);
        }
        let in_use = self.routes.iter().filter(|(_, route)| now < route.quarantined_until);
        let routes = in_use.map(|(key, route)| (key, route.owner));
        let held = self.holds.iter().filter(|(_, hold)| now < hold.quarantined_until);
        // What is held in a restored table is of nobody.
        let holds = held.map(|(key, hold)| (key, hold.owner)).filter(|(_, owner)| !owner.is_deployment());
        for ((caller, dialled), owner) in routes.chain(holds) {
            let has_it =
                owners.iter().find(|(number, _)| number.as_str() == dialled).map_or(owner, |(_, has_it)| *has_it);
            assert_eq!(has_it, owner, "{caller} dials {dialled}, and another owner has it");
        }
        for conversation in self.conversations.iter().chain(&self.erasing) {
            let seen = conversation.participants.iter().map(|participant| &participant.sees);
            for number in seen.filter(|_| now < quarantined_until(conversation)) {
                let owner = owners.get(number).copied().unwrap_or(conversation.owner);
                assert_eq!(owner, conversation.owner, "{number} is of another owner than {conversation:?}");
            }
            let listed = self.listed_as.iter().filter(|((_, id), _)| *id == conversation.id);
            let tenant = conversation.owner.tenant().map(|tenant| tenant.to_string());
            assert!(listed.into_iter().all(|(_, listed)| *listed == tenant), "{conversation:?}");
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
        assert_eq!(self.parts, self.part_states);
        assert_eq!(self.own_numbers, numbers(false), "the numbers that are nobody's own phone");
        let missing = self.pool.iter().filter_map(|number| Some((number.number.to_string(), number.missing_since?)));
        let missing = missing.map(|(number, since)| (number, since.as_second())).collect();
        assert_eq!(self.losses, missing, "the lost numbers, as conversations see them");
        let rotated = self.pool.iter().filter_map(|number| Some((number.number.to_string(), number.rotating_since?)));
        let rotated = rotated.map(|(number, since)| (number, since.as_second())).collect();
        assert_eq!(self.rotations, rotated, "the rotated numbers, as conversations see them");
        let rents: Decimal = self.pool.iter().map(PoolNumber::rent).sum();
        assert_eq!(self.monthly_cost, rents, "the ledger: {:?}", self.pool);
        self.check_counts();
    }

    /// Checks that the counts, the rents and the lists of work agree with the pool's numbers.
    fn check_counts(&self) {
        let (mut counts, mut costs, mut work) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for number in &self.pool {
            let pool = number.pool().to_string();
            let state = string(&serde_json::to_value(number.state).unwrap());
            *counts.entry(format!("{pool}#{state}")).or_insert(0) += 1;
            *costs.entry(pool.clone()).or_insert(Decimal::ZERO) += number.rent();
            let kind = match number.state {
                NumberState::Renting | NumberState::Linking => "UNFINISHED",
                NumberState::Draining | NumberState::SettingAside => "DRAINING",
                NumberState::Lost => "LOST",
                NumberState::Standing => "STANDING",
                NumberState::Ready => continue,
            };
            work.insert((pool, kind.to_owned(), number.number.to_string()));
        }
        let stored = |(_, count): &(&String, &i64)| **count != 0;
        let in_ledger: BTreeMap<_, _> =
            self.counts.iter().filter(stored).map(|(name, count)| (name.clone(), *count)).collect();
        assert_eq!(in_ledger, counts, "the ledger's counts: {:?}", self.pool);
        costs.retain(|_, cost| !cost.is_zero());
        let in_ledger = self.costs.iter().filter(|(_, cost)| !cost.is_zero());
        let in_ledger: BTreeMap<_, _> = in_ledger.map(|(country, cost)| (country.clone(), *cost)).collect();
        assert_eq!(in_ledger, costs, "the ledger's rents: {:?}", self.pool);
        assert_eq!(self.work, work, "the numbers that need work: {:?}", self.pool);
    }
}

fn end(conversation: &Conversation) -> Timestamp {
    conversation.ended_at.unwrap_or(conversation.expires_at)
}

fn quarantined_until(conversation: &Conversation) -> Timestamp {
    conversation.quarantined_until(end(conversation))
}

/// Returns the phones of the participants of a conversation, in the canonical spelling.
fn people(conversation: &Conversation) -> BTreeSet<String> {
    let phones = conversation.participants.iter();
    phones.map(|participant| participant.number.canonical().expose().to_owned()).collect()
}

/// Returns the first phones of the participants of a conversation, in the canonical spelling.
fn people_at_creation(conversation: &Conversation) -> BTreeSet<String> {
    let first = conversation.participants.iter().map(|one| one.previous_numbers.first().unwrap_or(&one.number));
    first.map(|number| number.canonical().expose().to_owned()).collect()
}

/// Returns the names of an item's members, without that of a tenant.
fn names_without_tenant(item: &Map<String, Value>) -> Vec<&str> {
    names(item).into_iter().filter(|name| *name != "tenant").collect()
}

/// Returns the partition of a list behind its prefix.
fn name_of(list: &List) -> String {
    match list {
        List::All(Owner::Deployment, part) => format!("ALL#{part}"),
        List::All(Owner::Tenant(tenant), part) => format!("ALL#{tenant}#{part}"),
        List::Reference(hash) => format!("REFERENCE#{}", hash.as_str()),
        List::MaskedBy(number) => format!("NUMBER#{number}"),
    }
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

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
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
