//! Item keys, and the conversion of values to items and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::kinds::{ItemKind, VERSION};
use crate::domain::carrier_record::{CarrierRecord, Product};
use crate::domain::channel::Sender;
use crate::domain::conversation::ConversationId;
use crate::domain::country::Country;
use crate::domain::listing::List;
use crate::domain::number_erasure::ErasureId;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::pool::Work;
use crate::domain::ready_pool::PartName;
use crate::domain::recording::RecordingId;
use crate::domain::relayed_text::TextId;
use crate::domain::side::Side;
use crate::domain::tenant::{Owner, Pool, Tenant};
use crate::domain::tenant_cost::Month;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Prefix of the sort key of a route and of a number in the pool.
pub(super) const NUMBER_PREFIX: &str = "NUMBER#";
/// Prefix of the sort key of a mark of peak usage.
pub(super) const PEAK_USAGE_PREFIX: &str = "HELD#";
/// Prefix of the partition of a conversation.
pub(super) const CONVERSATION_PREFIX: &str = "CONVERSATION#";
/// Prefix of a leg's sort key.
pub(super) const LEG_PREFIX: &str = "LEG#";
/// Sort key of [`Key::Conversation`].
pub(super) const CONVERSATION: &str = "CONVERSATION";
/// A text before all sort keys of a conversation's partition.
pub(super) const BEFORE_CONVERSATION: &str = "C";
/// Prefix of the sort key of a participation, and of a conversation in any other list.
pub(super) const LISTED_PREFIX: &str = "CONVERSATION#";
/// Sort key of [`Key::Usage`].
pub(super) const USAGE: &str = "USAGE";
/// Sort key of [`Key::RouteKeys`].
pub(super) const ROUTE_KEYS: &str = "KEYS";
/// Sort key of [`Key::Change`].
pub(super) const CHANGE: &str = "CHANGE";
/// Prefix of the sort key of [`Key::StandingPhone`], and of the partition of [`Key::StandingChange`].
pub(super) const STANDING_PREFIX: &str = "STANDING#";
/// Sort key of [`Key::StandingChange`].
pub(super) const STANDING_CHANGE: &str = "STANDING";
/// Prefix of the sort key of [`Key::OptOut`]. It comes before that of a route, so whoever reads the first routes of a caller has read all
/// opt-outs.
pub(super) const OPT_OUT_PREFIX: &str = "DECLINES#";
/// Sort key of [`Key::Chat`].
pub(super) const CHAT: &str = "CHAT";
/// Sort key of [`Key::OptOutChange`], and the beginning of its partition.
pub(super) const OPT_OUT_CHANGE: &str = "OPT-OUT";
/// Partition and sort key of [`Key::JournalOwner`].
const JOURNAL_OWNER: &str = "TABLE";

/// Key of an item.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Route {
        caller: &'a RealNumber,
        dialled: &'a VirtualNumber,
    },
    /// The number under which a caller only receives.
    Line(&'a RealNumber),
    /// Mark of a number of the pool, in the partition that the number would have as a caller. So the query for a
    /// caller's routes also shows, at no cost, that the caller is one of our own numbers.
    OwnNumber(&'a VirtualNumber),
    /// The settings of a number of the pool, in the partition of its mark, so that they are known without its country.
    NumberSettings(&'a VirtualNumber),
    Conversation(ConversationId),
    /// A conversation that a phone is or was in, by the phone in its canonical spelling.
    Participation {
        phone: &'a RealNumber,
        conversation: ConversationId,
    },
    /// A conversation in a list other than that of a phone.
    Listed {
        list: &'a List,
        conversation: ConversationId,
    },
    Leg {
        conversation: ConversationId,
        conversation_uuid: &'a str,
        uuid: &'a str,
    },
    /// The usage of a conversation with limits, in an item of its own so that counting is no change of the conversation.
    Usage(ConversationId),
    Number {
        pool: Pool,
        number: &'a VirtualNumber,
    },
    /// Mark of a number that needs work, in the partition of the pool's numbers. So these few are found without reading
    /// the others.
    Work {
        pool: Pool,
        work: Work,
        number: &'a VirtualNumber,
    },
    /// The open order of a pool.
    Order(Pool),
    /// Progress of the comparison of the pool with the account.
    AccountWalk,
    /// Totals of all rented numbers. Its version keeps two runs from buying the same number twice.
    Ledger,
    /// Versions of all parts of the ready numbers of an owner, in an item of their own so that they are cheap to read.
    ReadyParts(Owner),
    /// A part of the ready numbers.
    ReadyPart(&'a PartName),
    /// Number of ready numbers that refused creations of a country need.
    Demand(Country),
    /// Progress of a scan of the table for routes.
    RouteScan(ScanPurpose),
    /// Progress of the pass through all conversations for those past their retention. It has a partition of its own, because
    /// the function that erases has no permission on those of the pool.
    RetentionPass,
    /// Mark of the peak usage of a country, by the day until which it counts.
    PeakUsage(Country, Date),
    /// An idempotent request, by the hash of its idempotency key.
    Request(&'a str),
    /// A started erasure, which the schedule settles.
    Erasure(ConversationId),
    /// A running erasure by number.
    NumberErasure(ErasureId),
    /// An erasure by number that is done, in a partition of its own, so that it is not among the running ones.
    PastNumberErasure(ErasureId),
    /// A carrier record that Vonage has to redact.
    Redaction(&'a CarrierRecord),
    /// A live conversation on a lost number, which the schedule heals.
    Heal(ConversationId),
    /// A PIN of a participant on a virtual number, by its hash.
    Pin {
        number: &'a VirtualNumber,
        hash: &'a str,
    },
    /// The tries of PINs on a virtual number: of a caller, of all hidden ones, or of all.
    PinTries {
        number: &'a VirtualNumber,
        by: &'a str,
    },
    /// A call whose caller was asked for a PIN, by Vonage's id of the call.
    PinCall(&'a str),
    /// A recording, in a partition of the conversation's recordings, so that the pages of its calls do not read them.
    Recording(ConversationId, &'a RecordingId),
    /// The next step of a recording.
    RecordingWork(ConversationId, &'a RecordingId),
    /// A link to a recording, by the hash of its token.
    RecordingLink(&'a str),
    /// A warning that a call is about to end, by the time at which it is due.
    Warning {
        due_at: Timestamp,
        call: &'a str,
    },
    /// A text, in a partition of the conversation's texts.
    Text(ConversationId, TextId),
    /// The claim of a text, by the carrier's id of it as it came.
    TextClaim(&'a str),
    /// The chat of a phone in its canonical spelling.
    Chat(&'a RealNumber),
    /// The explanation that a person got from one of our senders, by a hash of that person's phone.
    Explanation {
        sender: &'a Sender<'a>,
        to: &'a str,
    },
    /// The wish of a person, whose phone is in its canonical spelling, for no texts from one of our senders.
    OptOut {
        person: &'a RealNumber,
        sender: &'a Sender<'a>,
    },
    /// The claim of a key word, by the carrier's id of its text.
    KeywordClaim(&'a str),
    /// The number of explanations from one of our senders on a day.
    ExplanationsOfDay {
        sender: &'a Sender<'a>,
        day: Date,
    },
    /// The number of texts that one side of a conversation has written on a day.
    TextsOfDay {
        conversation: ConversationId,
        from: Side,
        day: Date,
    },
    /// The health of a number on a day, in a partition of the day.
    NumberHealth {
        day: Date,
        number: &'a VirtualNumber,
    },
    /// The turns of calls.
    PaceTurns,
    /// A share of the pace of calls, by its number.
    PaceShare(u16),
    /// The route keys of a conversation, in the journal.
    RouteKeys(ConversationId),
    /// The last change of a conversation, in the journal.
    Change(ConversationId),
    /// A standing mask that names a phone, by the phone in its canonical spelling.
    StandingPhone {
        phone: &'a RealNumber,
        mask: &'a VirtualNumber,
    },
    /// The last change of a standing mask, in the journal.
    StandingChange(&'a VirtualNumber),
    /// The last change of an opt-out, in the journal.
    OptOutChange {
        person: &'a RealNumber,
        sender: &'a Sender<'a>,
    },
    /// The settings of a tenant, in one partition with those of the others, so that they can be listed.
    TenantSettings(Tenant),
    /// A part of the sums of what calls and texts of a tenant have cost in a month.
    TenantCost {
        tenant: Tenant,
        month: Month,
        part: u64,
    },
    /// The name of the table to which the journal belongs, in the journal.
    JournalOwner,
}

/// The reason for a scan of the table for routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanPurpose {
    /// The routes to draining numbers, which keep them from being released.
    Draining,
    /// The live routes to lost numbers.
    Healing,
}

/// Sort key of [`Key::OwnNumber`].
pub(super) const OWN_NUMBER: &str = "POOL";
/// Sort key of [`Key::Line`]. It comes right after the own number's, so that one query reads both and nothing else.
pub(super) const LINE: &str = "RECEIVES";

impl Key<'_> {
    pub(super) fn item(self) -> Item {
        let (pk, sk) = match self {
            Key::Route { caller, dialled } => (caller_partition(caller.expose()), format!("{NUMBER_PREFIX}{dialled}")),
            Key::Line(caller) => (caller_partition(caller.expose()), LINE.to_owned()),
            Key::OwnNumber(number) => (caller_partition(number.as_str()), OWN_NUMBER.to_owned()),
            Key::NumberSettings(number) => (caller_partition(number.as_str()), "SETTINGS".to_owned()),
            Key::Conversation(id) => (conversation_partition(id), CONVERSATION.to_owned()),
            Key::Participation { phone, conversation } => (phone_partition(phone), listed(conversation)),
            Key::Listed { list, conversation } => (list_partition(list), listed(conversation)),
            Key::Leg { conversation, conversation_uuid, uuid } => {
                (conversation_partition(conversation), format!("{LEG_PREFIX}{conversation_uuid}#{uuid}"))
            }
            Key::Usage(id) => (conversation_partition(id), USAGE.to_owned()),
            Key::Number { pool, number } => (pool_partition(pool), format!("{NUMBER_PREFIX}{number}")),
            Key::Work { pool, work, number } => (pool_partition(pool), format!("{}{number}", work_prefix(work))),
            Key::Order(pool) => (ORDER_PARTITION.to_owned(), pool.to_string()),
            Key::AccountWalk => (POOL_PARTITION.to_owned(), "WALK".to_owned()),
            Key::Ledger => (POOL_PARTITION.to_owned(), "LEDGER".to_owned()),
            Key::ReadyParts(Owner::Deployment) => (POOL_PARTITION.to_owned(), READY.to_owned()),
            Key::ReadyParts(Owner::Tenant(tenant)) => (format!("{READY}#{tenant}"), READY.to_owned()),
            Key::ReadyPart(part) => (format!("{READY}#{part}"), READY.to_owned()),
            Key::Demand(country) => (DEMAND_PARTITION.to_owned(), country.to_string()),
            Key::RouteScan(ScanPurpose::Draining) => (POOL_PARTITION.to_owned(), "LOOK".to_owned()),
            Key::RouteScan(ScanPurpose::Healing) => (POOL_PARTITION.to_owned(), "LOOK#HEAL".to_owned()),
            Key::RetentionPass => ("RETENTION".to_owned(), "PASS".to_owned()),
            Key::Heal(id) => (HEAL_PARTITION.to_owned(), conversation_partition(id)),
            Key::Pin { number, hash } => (pin_partition(number), format!("PIN#{hash}")),
            Key::PinTries { number, by } => (pin_partition(number), format!("TRIES#{by}")),
            Key::PinCall(call) => (format!("CALL#{call}"), "PIN".to_owned()),
            Key::Recording(conversation, id) => {
                (recordings_partition(conversation), format!("{RECORDING_PREFIX}{}", id.as_str()))
            }
            Key::RecordingWork(conversation, id) => {
                (RECORDING_WORK_PARTITION.to_owned(), format!("{conversation}#{}", id.as_str()))
            }
            Key::RecordingLink(hash) => (format!("LINK#{hash}"), "LINK".to_owned()),
            Key::Warning { due_at, call } => (WARNING_PARTITION.to_owned(), format!("{}#{call}", due_key(due_at))),
            Key::Text(conversation, id) => (texts_partition(conversation), format!("{TEXT_PREFIX}{id}")),
            Key::TextClaim(id) => (format!("TEXT#{id}"), "TEXT".to_owned()),
            Key::Chat(phone) => (phone_partition(phone), CHAT.to_owned()),
            Key::Explanation { sender, to } => (explained_partition(sender), format!("TO#{to}")),
            Key::ExplanationsOfDay { sender, day } => (explained_partition(sender), format!("DAY#{day}")),
            Key::OptOut { person, sender } => (caller_partition(person.expose()), format!("{OPT_OUT_PREFIX}{sender}")),
            Key::TextsOfDay { conversation, from, day } => {
                (format!("TEXT#{conversation}"), format!("DAY#{from:?}#{day}"))
            }
            Key::KeywordClaim(id) => (format!("TEXT#{id}"), "KEYWORD".to_owned()),
            Key::OptOutChange { person, sender } => {
                (format!("{OPT_OUT_CHANGE}#{}#{sender}", person.expose()), OPT_OUT_CHANGE.to_owned())
            }
            Key::NumberHealth { day, number } => (health_partition(day), format!("{NUMBER_PREFIX}{number}")),
            Key::PaceTurns => (PACE_PARTITION.to_owned(), "TURNS".to_owned()),
            Key::PaceShare(number) => (PACE_PARTITION.to_owned(), format!("SHARE#{number}")),
            Key::RouteKeys(id) => (conversation_partition(id), ROUTE_KEYS.to_owned()),
            Key::Change(id) => (conversation_partition(id), CHANGE.to_owned()),
            Key::StandingPhone { phone, mask } => (phone_partition(phone), format!("{STANDING_PREFIX}{mask}")),
            Key::StandingChange(mask) => (format!("{STANDING_PREFIX}{mask}"), STANDING_CHANGE.to_owned()),
            Key::TenantSettings(tenant) => (TENANT_PARTITION.to_owned(), format!("{TENANT_PREFIX}{tenant}")),
            Key::TenantCost { tenant, month, part } => {
                (tenant_partition(tenant), format!("{TENANT_COST_PREFIX}{month}#{part:02}"))
            }
            Key::JournalOwner => (JOURNAL_OWNER.to_owned(), JOURNAL_OWNER.to_owned()),
            Key::PeakUsage(country, until) => {
                (POOL_PARTITION.to_owned(), format!("{PEAK_USAGE_PREFIX}{country}#{until}"))
            }
            Key::Request(hash) => (format!("REQUEST#{hash}"), "REQUEST".to_owned()),
            Key::Erasure(id) => (ERASURE_PARTITION.to_owned(), conversation_partition(id)),
            Key::NumberErasure(id) => (NUMBER_ERASURE_PARTITION.to_owned(), id.to_string()),
            Key::PastNumberErasure(id) => (format!("{NUMBER_ERASURE_PARTITION}#{id}"), "DONE".to_owned()),
            Key::Redaction(record) => {
                (REDACTION_PARTITION.to_owned(), format!("{}{}", redaction_prefix(record.product), record.id))
            }
        };
        HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
    }

    /// Returns the kind of the item.
    pub(super) fn kind(self) -> ItemKind {
        match self {
            Key::Route { .. } => ItemKind::Route,
            Key::Line(_) => ItemKind::Line,
            Key::OwnNumber(_) => ItemKind::OwnNumber,
            Key::NumberSettings(_) => ItemKind::NumberSettings,
            Key::Conversation(_) => ItemKind::Conversation,
            Key::Participation { .. } => ItemKind::Participation,
            Key::Listed { .. } => ItemKind::Listed,
            Key::Leg { .. } => ItemKind::Leg,
            Key::Usage(_) => ItemKind::Usage,
            Key::Number { .. } => ItemKind::Number,
            Key::Work { .. } => ItemKind::Work,
            Key::Order(_) => ItemKind::Order,
            Key::AccountWalk => ItemKind::AccountWalk,
            Key::Ledger => ItemKind::Ledger,
            Key::ReadyParts(_) => ItemKind::ReadyParts,
            Key::ReadyPart(_) => ItemKind::ReadyPart,
            Key::Demand(_) => ItemKind::Demand,
            Key::RouteScan(_) => ItemKind::RouteScan,
            Key::RetentionPass => ItemKind::RetentionPass,
            Key::PeakUsage(..) => ItemKind::PeakUsage,
            Key::Request(_) => ItemKind::Request,
            Key::Erasure(_) => ItemKind::Erasure,
            Key::NumberErasure(_) | Key::PastNumberErasure(_) => ItemKind::NumberErasure,
            Key::Redaction(_) => ItemKind::Redaction,
            Key::Heal(_) => ItemKind::Heal,
            Key::Pin { .. } => ItemKind::Pin,
            Key::PinTries { .. } => ItemKind::PinTries,
            Key::PinCall(_) => ItemKind::PinCall,
            Key::Recording(..) => ItemKind::Recording,
            Key::RecordingWork(..) => ItemKind::RecordingWork,
            Key::RecordingLink(_) => ItemKind::RecordingLink,
            Key::Warning { .. } => ItemKind::Warning,
            Key::Text(..) => ItemKind::Text,
            Key::TextClaim(_) => ItemKind::TextClaim,
            Key::Chat(_) => ItemKind::Chat,
            Key::Explanation { .. } => ItemKind::Explanation,
            Key::ExplanationsOfDay { .. } => ItemKind::ExplanationsOfDay,
            Key::TextsOfDay { .. } => ItemKind::TextsOfDay,
            Key::OptOut { .. } => ItemKind::OptOut,
            Key::KeywordClaim(_) => ItemKind::KeywordClaim,
            Key::OptOutChange { .. } => ItemKind::OptOutChange,
            Key::NumberHealth { .. } => ItemKind::NumberHealth,
            Key::PaceTurns => ItemKind::PaceTurns,
            Key::PaceShare(_) => ItemKind::PaceShare,
            Key::RouteKeys(_) => ItemKind::RouteKeys,
            Key::Change(_) => ItemKind::Change,
            Key::StandingPhone { .. } => ItemKind::StandingPhone,
            Key::StandingChange(_) => ItemKind::StandingChange,
            Key::TenantSettings(_) => ItemKind::TenantSettings,
            Key::TenantCost { .. } => ItemKind::TenantCost,
            Key::JournalOwner => ItemKind::JournalOwner,
        }
    }

    /// Returns the version in which its item is written.
    pub(super) fn version(self) -> AttributeValue {
        integer(self.kind().versions().written)
    }

    /// Builds an item with nothing but its key and its version.
    pub(super) fn bare(self) -> Item {
        let mut item = self.item();
        item.insert(VERSION.to_owned(), self.version());
        item
    }

    /// Builds the item of `body` under this key. The table may delete it after `delete_after`.
    pub(super) fn with(self, body: &impl Serialize, delete_after: Option<Timestamp>) -> Result<Item, StoreError> {
        let mut item: Item = serde_dynamo::to_item(body)?;
        item.extend(self.bare());
        if let Some(time) = delete_after {
            item.insert("ttl".to_owned(), seconds(time));
        }
        Ok(item)
    }
}

/// Partition of the items of the pool as a whole.
pub(super) const POOL_PARTITION: &str = "POOL";

/// Sort key of what lists ready numbers, and the beginning of its partition.
const READY: &str = "READY";

/// Partition of the settings of tenants.
pub(super) const TENANT_PARTITION: &str = "TENANT";

/// Prefix of the sort key of the settings of a tenant, and of the partition of its costs.
pub(super) const TENANT_PREFIX: &str = "TENANT#";

/// Prefix of the sort key of the costs of a tenant.
pub(super) const TENANT_COST_PREFIX: &str = "COST#";

/// Returns the partition of the costs of a tenant.
pub(super) fn tenant_partition(tenant: Tenant) -> String {
    format!("{TENANT_PREFIX}{tenant}")
}

/// Partition of the open orders.
pub(super) const ORDER_PARTITION: &str = "ORDER";

/// Partition of the demand for numbers.
pub(super) const DEMAND_PARTITION: &str = "DEMAND";

/// Partition of the started erasures.
pub(super) const ERASURE_PARTITION: &str = "ERASURE";

/// Partition of the running erasures by number.
pub(super) const NUMBER_ERASURE_PARTITION: &str = "FORGET";

/// Partition of the live conversations on lost numbers.
pub(super) const HEAL_PARTITION: &str = "HEAL";
pub(super) const WARNING_PARTITION: &str = "WARNING";

/// Partition of the pace of calls.
const PACE_PARTITION: &str = "PACE";

/// Partition of the carrier records that Vonage has to redact.
pub(super) const REDACTION_PARTITION: &str = "REDACTION";

/// Partition of the work on recordings.
pub(super) const RECORDING_WORK_PARTITION: &str = "RECORDING";

/// Prefix of the sort key of a recording.
pub(super) const RECORDING_PREFIX: &str = "RECORDING#";

/// Returns the partition of the recordings of a conversation.
pub(super) fn recordings_partition(id: ConversationId) -> String {
    format!("RECORDINGS#{id}")
}

/// Prefix of the sort key of a text.
pub(super) const TEXT_PREFIX: &str = "TEXT#";

/// Returns the partition of the texts of a conversation.
pub(super) fn texts_partition(id: ConversationId) -> String {
    format!("TEXTS#{id}")
}

/// Returns the partition of the health of all numbers on a day.
pub(super) fn health_partition(day: Date) -> String {
    format!("HEALTH#{day}")
}

fn explained_partition(sender: &Sender<'_>) -> String {
    format!("EXPLAINED#{sender}")
}

pub(super) fn caller_partition(caller: &str) -> String {
    format!("CALLER#{caller}")
}

/// Returns the partition of the conversations of a phone, which has to be in its canonical spelling.
pub(super) fn phone_partition(phone: &RealNumber) -> String {
    format!("PHONE#{}", phone.expose())
}

/// Returns the partition of a list of conversations.
pub(super) fn list_partition(list: &List) -> String {
    match list {
        List::All(Owner::Deployment, part) => format!("LIST#ALL#{part}"),
        List::All(Owner::Tenant(tenant), part) => format!("LIST#ALL#{tenant}#{part}"),
        List::Reference(hash) => format!("LIST#REFERENCE#{}", hash.as_str()),
        List::MaskedBy(number) => format!("LIST#NUMBER#{number}"),
    }
}

/// Returns the sort key of a conversation in a list.
pub(super) fn listed(id: ConversationId) -> String {
    format!("{LISTED_PREFIX}{id}")
}

fn pin_partition(number: &VirtualNumber) -> String {
    format!("PIN#{number}")
}

pub(super) fn conversation_partition(id: ConversationId) -> String {
    format!("{CONVERSATION_PREFIX}{id}")
}

pub(super) fn pool_partition(pool: Pool) -> String {
    format!("POOL#{pool}")
}

/// Returns the prefix of the sort key of a mark of this kind of work.
pub(super) fn work_prefix(work: Work) -> &'static str {
    match work {
        Work::Unfinished => "UNFINISHED#",
        Work::Draining => "DRAINING#",
        Work::Lost => "LOST#",
        Work::Standing => "STANDING#",
    }
}

/// Returns the prefix of the sort key of a redaction of this product.
pub(super) fn redaction_prefix(product: Product) -> String {
    format!("{}#", product.as_str())
}

/// Returns a time as the beginning of a sort key, so that keys are in the order of time.
pub(super) fn due_key(time: Timestamp) -> String {
    format!("{:011}", time.as_second())
}

/// Encodes a time in seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_second().to_string())
}

/// Encodes a time in milliseconds since 1970.
pub(super) fn milliseconds(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_millisecond().to_string())
}

/// Encodes a whole number.
pub(super) fn integer(number: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(super) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Encodes any value.
pub(super) fn value(value: impl Serialize) -> Result<AttributeValue, StoreError> {
    Ok(serde_dynamo::to_attribute_value(value)?)
}

/// Decodes an attribute's value.
pub(super) fn decode<T: DeserializeOwned>(value: AttributeValue) -> Result<T, StoreError> {
    Ok(serde_dynamo::from_attribute_value(value)?)
}

pub(super) fn partition(item: &Item) -> &str {
    item.get("pk").and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

pub(super) fn sort_key(item: &Item) -> &str {
    item.get("sk").and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Returns the conversation in the partition key of an item.
pub(super) fn conversation_of(item: &Item) -> Option<ConversationId> {
    ConversationId::try_from(partition(item).strip_prefix("CONVERSATION#")?).ok()
}

/// True if an item under this key is in the journal and not in the table.
pub(super) fn is_of_journal(item: &Item) -> bool {
    [ROUTE_KEYS, CHANGE, STANDING_CHANGE, OPT_OUT_CHANGE, JOURNAL_OWNER].contains(&sort_key(item))
}

/// Returns the virtual number in the sort key of a route.
pub(super) fn dialled(item: &Item) -> Option<VirtualNumber> {
    number_after(NUMBER_PREFIX, item)
}

/// Returns the sender in the sort key of an opt-out.
pub(super) fn declined(item: &Item) -> Option<Sender<'static>> {
    Sender::try_from(sort_key(item).strip_prefix(OPT_OUT_PREFIX)?.to_owned()).ok()
}

fn number_after(prefix: &str, item: &Item) -> Option<VirtualNumber> {
    let digits = sort_key(item).strip_prefix(prefix)?;
    PhoneNumber::try_from(digits).ok().map(VirtualNumber::from)
}

/// Decodes an item.
pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let name = check_version(&item)?;
    serde_dynamo::from_item(item).map_err(|error| StoreError::malformed(name, &error))
}

/// Fails if the item has a version that this release does not read. Returns the name of its kind.
pub(super) fn check_version(item: &Item) -> Result<&'static str, StoreError> {
    let kind = ItemKind::of(partition(item), sort_key(item));
    let name = kind.map_or("an item of an unknown kind", ItemKind::name);
    let Some(version) = item.get(VERSION) else { return Ok(name) };
    let latest = kind.map_or(1, |kind| kind.versions().read);
    match version.as_n().ok().and_then(|version| version.parse::<u64>().ok()) {
        Some(version) if version <= latest => Ok(name),
        Some(version) => Err(StoreError::Unreadable(name, format!("its version is {version}"))),
        None => Err(StoreError::Unreadable(name, "its version is no number".to_owned())),
    }
}

/// Attribute of the owner, if that is a tenant.
pub(super) const TENANT: &str = "tenant";

/// Returns the owner of what an item stores. `None` if that cannot be read: then it is nobody's.
pub(super) fn owner(item: &Item) -> Option<Owner> {
    let Some(tenant) = item.get(TENANT) else { return Some(Owner::Deployment) };
    Some(Owner::Tenant(Tenant::try_from(tenant.as_s().ok()?.as_str()).ok()?))
}

/// Returns the time in the attribute `name`.
pub(super) fn time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_second(item.get(name)?.as_n().ok()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call::Direction;
    use crate::domain::channel::Channel;
    use crate::domain::listing::Part;

    #[test]
    fn each_key_is_of_its_kind() {
        let phone = PhoneNumber::try_from("447700900001").unwrap();
        let (caller, number) = (&RealNumber::from(phone.clone()), &VirtualNumber::from(phone));
        let sender = &Sender::from(number);
        let (id, country) = (ConversationId::generate(Timestamp::UNIX_EPOCH), Country::try_from("GB").unwrap());
        let record =
            &CarrierRecord { product: Product::Sms, id: "1".to_owned(), direction: Direction::Outbound, channel: None };
        let tenant = Owner::Tenant(Tenant::try_from("acme").unwrap());
        let [pool, of_tenant] = [Owner::Deployment, tenant].map(|owner| Pool { owner, country });
        let [part, part_of_tenant] = [pool, of_tenant].map(|pool| PartName::first(pool, number));
        let recording = &RecordingId::try_from("aaaaaaaa").unwrap();
        let lists = [List::All(tenant, Part::all().next().unwrap()), List::MaskedBy(number.clone())];
        let lists = lists.each_ref().map(|list| Key::Listed { list, conversation: id });
        let mut kinds = Vec::new();
        let work = crate::domain::pool::Work::ALL.map(|work| Key::Work { pool, work, number });
        let scans = [ScanPurpose::Draining, ScanPurpose::Healing].map(Key::RouteScan);
        let others = [
            Key::Route { caller, dialled: number },
            Key::Line(caller),
            Key::OwnNumber(number),
            Key::NumberSettings(number),
            Key::Conversation(id),
            Key::Participation { phone: caller, conversation: id },
            Key::Leg { conversation: id, conversation_uuid: "CON-1", uuid: "2" },
            Key::Usage(id),
            Key::Number { pool, number },
            Key::Number { pool: of_tenant, number },
            Key::Order(pool),
            Key::Order(of_tenant),
            Key::AccountWalk,
            Key::Ledger,
            Key::ReadyParts(Owner::Deployment),
            Key::ReadyParts(tenant),
            Key::ReadyPart(&part),
            Key::ReadyPart(&part_of_tenant),
            Key::Demand(country),
            Key::RetentionPass,
            Key::PeakUsage(country, Date::MAX),
            Key::Request("1"),
            Key::Erasure(id),
            Key::NumberErasure(ErasureId::generate(Timestamp::UNIX_EPOCH)),
            Key::PastNumberErasure(ErasureId::generate(Timestamp::UNIX_EPOCH)),
            Key::Redaction(record),
            Key::Heal(id),
            Key::Pin { number, hash: "1" },
            Key::PinTries { number, by: "ALL" },
            Key::PinCall("CON-1"),
            Key::Recording(id, recording),
            Key::RecordingWork(id, recording),
            Key::RecordingLink("1"),
            Key::Warning { due_at: Timestamp::UNIX_EPOCH, call: "CON-1" },
            Key::Text(id, TextId::generate(Timestamp::UNIX_EPOCH)),
            Key::TextClaim("1"),
            Key::Chat(caller),
            Key::Explanation { sender, to: "1" },
            Key::ExplanationsOfDay { sender, day: Date::MAX },
            Key::OptOut { person: caller, sender },
            Key::OptOut { person: caller, sender: &Sender::Brand(Channel::Rcs) },
            Key::KeywordClaim("1"),
            Key::TextsOfDay { conversation: id, from: Side::A, day: Date::MAX },
            Key::OptOutChange { person: caller, sender },
            Key::NumberHealth { day: Date::MAX, number },
            Key::PaceTurns,
            Key::PaceShare(0),
            Key::RouteKeys(id),
            Key::Change(id),
            Key::StandingPhone { phone: caller, mask: number },
            Key::StandingChange(number),
            Key::TenantSettings(Tenant::try_from("acme").unwrap()),
            Key::TenantCost {
                tenant: Tenant::try_from("acme").unwrap(),
                month: Month::of(Timestamp::UNIX_EPOCH),
                part: 7,
            },
            Key::JournalOwner,
        ];
        for key in others.into_iter().chain(work).chain(scans).chain(lists) {
            let item = key.item();
            assert_eq!(ItemKind::of(partition(&item), sort_key(&item)), Some(key.kind()), "{item:?}");
            assert_eq!(is_of_journal(&item), key.kind().is_of_journal(), "{item:?}");
            kinds.push(key.kind());
        }
        assert!(ItemKind::ALL.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    }

    #[test]
    fn item_of_a_newer_version_is_not_read_and_not_quoted() {
        let with = |version: AttributeValue| {
            let mut item = Key::Ledger.item();
            item.insert(VERSION.to_owned(), version);
            item
        };
        assert!(check_version(&Key::Ledger.item()).is_ok(), "from before there were versions");
        assert!(check_version(&with(integer(1u64))).is_ok());
        for version in [integer(2u64), string("447700900001")] {
            let error = check_version(&with(version)).unwrap_err();
            assert!(matches!(error, StoreError::Unreadable("the ledger", _)), "{error}");
            assert!(!error.to_string().contains("447700900001"), "{error}");
        }
    }
}
