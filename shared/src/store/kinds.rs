//! The kinds of items, and the versions of their forms.
//!
//! During a deployment the previous and the present release use one table. So a release that brings a new form of an item
//! only reads it, and the next release writes it: first `read` is raised, then `written`.

/// Declares the kinds, each with its name in errors and logs.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// The kinds of items.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ItemKind { $($(#[$doc])* $kind,)* }

        impl ItemKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Returns its name, in words that can begin a sentence about it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// A route, a tombstone or a hold.
    Route = "a route",
    /// The number under which a caller only receives.
    Line = "a line",
    /// The mark of a number of the pool.
    OwnNumber = "an own number",
    /// The settings of a number of the pool.
    NumberSettings = "the settings of a number",
    /// A conversation, or the note that there was one.
    Conversation = "a conversation",
    /// A conversation that a phone is or was in.
    Participation = "a participation",
    /// A conversation in a list other than that of a phone.
    Listed = "a conversation in a list",
    /// A leg.
    Leg = "a leg",
    /// The usage of a conversation with limits.
    Usage = "the usage of a conversation",
    /// A number of the pool.
    Number = "a number of the pool",
    /// The mark of a number that needs work.
    Work = "a mark of work",
    /// The open order of a pool.
    Order = "an order",
    /// Progress of the comparison with the account.
    AccountWalk = "the comparison with the account",
    /// Totals of all rented numbers.
    Ledger = "the ledger",
    /// Versions of all parts of the ready numbers.
    ReadyParts = "the versions of the ready numbers",
    /// A part of the ready numbers.
    ReadyPart = "a part of the ready numbers",
    /// Ready numbers that refused creations need.
    Demand = "a demand",
    /// Progress of a scan for routes.
    RouteScan = "a route scan",
    /// Progress of the pass through all conversations.
    RetentionPass = "the progress of the retention",
    /// Peak usage of a country.
    PeakUsage = "a mark of peak usage",
    /// An idempotent request.
    Request = "a request",
    /// A started erasure.
    Erasure = "an erasure",
    /// An erasure by number, running or done.
    NumberErasure = "an erasure by number",
    /// A carrier record to redact.
    Redaction = "a redaction",
    /// A live conversation on a lost number.
    Heal = "a heal",
    /// A PIN of a participant, by its hash.
    Pin = "a PIN",
    /// The tries of PINs of a caller, or of all callers of a number.
    PinTries = "the tries of PINs",
    /// A call whose caller was asked for a PIN.
    PinCall = "a call with PIN",
    /// A recording of a conversation.
    Recording = "a recording",
    /// The next step of a recording.
    RecordingWork = "the work on a recording",
    /// The token of a link to a recording.
    RecordingLink = "the link to a recording",
    /// A warning that a call is about to end.
    Warning = "a warning",
    /// A text that is passed on.
    Text = "a text",
    /// The claim of a text.
    TextClaim = "the claim of a text",
    /// The chat of a phone.
    Chat = "a chat",
    /// The explanation that a person got.
    Explanation = "an explanation",
    /// The number of explanations of a day.
    ExplanationsOfDay = "the explanations of a day",
    /// The wish of a person for no texts from one of our senders.
    OptOut = "an opt-out",
    /// The claim of a key word.
    KeywordClaim = "the claim of a key word",
    /// The number of texts of one side of a conversation on a day.
    TextsOfDay = "the texts of a day",
    /// The health of a number on a day.
    NumberHealth = "the health of a number",
    /// The turns of calls.
    PaceTurns = "the turns of calls",
    /// A share of the pace of calls.
    PaceShare = "a share of the pace",
    /// The route keys of a conversation, in the journal.
    RouteKeys = "the route keys of a conversation",
    /// The last change of a conversation, in the journal.
    Change = "a change of a conversation",
    /// A standing mask that names a phone.
    StandingPhone = "a phone of a standing mask",
    /// The last change of a standing mask, in the journal.
    StandingChange = "a change of a standing mask",
    /// The last change of an opt-out, in the journal.
    OptOutChange = "a change of an opt-out",
    /// The settings of a tenant.
    TenantSettings = "the settings of a tenant",
    /// A part of the costs of a tenant in a month.
    TenantCost = "the costs of a tenant",
    /// The name of the table to which the journal belongs.
    JournalOwner = "the name of the journal's table",
}

/// Attribute of the version.
pub(super) const VERSION: &str = "v";

/// Versions of the form of one kind of item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The version that this release writes.
    pub written: u64,
    /// The latest version that this release reads. It reads all earlier ones.
    pub read: u64,
}

impl ItemKind {
    /// Returns the versions of this kind. Items without a version are from before there were any, and read as 1.
    ///
    /// A version is for a change that an earlier release would misread. A further attribute that it may ignore needs none.
    pub fn versions(self) -> Versions {
        Versions { written: 1, read: 1 }
    }

    /// True if its items are in the journal and not in the table.
    pub fn is_of_journal(self) -> bool {
        matches!(self, Self::RouteKeys | Self::Change | Self::StandingChange | Self::OptOutChange | Self::JournalOwner)
    }

    /// Returns the kind of the item under this key.
    pub fn of(pk: &str, sk: &str) -> Option<Self> {
        let word = |key: &str| key.split('#').next().unwrap_or_default().to_owned();
        let is_of_country = pk.contains('#');
        // The parts of a tenant lie beside its lists, under its name alone: `READY#acme`.
        let is_of_tenant = pk.matches('#').count() == 1;
        Some(match (word(pk).as_str(), word(sk).as_str()) {
            ("CALLER", "NUMBER") => Self::Route,
            ("CALLER", "RECEIVES") => Self::Line,
            ("CALLER", "POOL") => Self::OwnNumber,
            ("CALLER", "SETTINGS") => Self::NumberSettings,
            ("CALLER", "DECLINES") => Self::OptOut,
            ("OPT-OUT", "OPT-OUT") => Self::OptOutChange,
            ("CONVERSATION", "CONVERSATION") => Self::Conversation,
            ("PHONE", "CONVERSATION") => Self::Participation,
            ("LIST", "CONVERSATION") => Self::Listed,
            ("PHONE", "STANDING") => Self::StandingPhone,
            ("PHONE", "CHAT") => Self::Chat,
            ("STANDING", "STANDING") => Self::StandingChange,
            ("CONVERSATION", "LEG") => Self::Leg,
            ("CONVERSATION", "USAGE") => Self::Usage,
            ("CONVERSATION", "KEYS") => Self::RouteKeys,
            ("CONVERSATION", "CHANGE") => Self::Change,
            ("TABLE", "TABLE") => Self::JournalOwner,
            ("POOL", "NUMBER") if is_of_country => Self::Number,
            ("POOL", "UNFINISHED" | "DRAINING" | "LOST" | "STANDING") if is_of_country => Self::Work,
            ("POOL", "WALK") => Self::AccountWalk,
            ("POOL", "LEDGER") => Self::Ledger,
            ("POOL", "READY") => Self::ReadyParts,
            ("POOL", "LOOK") => Self::RouteScan,
            ("POOL", "HELD") => Self::PeakUsage,
            ("READY", "READY") if is_of_tenant => Self::ReadyParts,
            ("READY", "READY") => Self::ReadyPart,
            ("ORDER", _) => Self::Order,
            ("DEMAND", _) => Self::Demand,
            ("REQUEST", "REQUEST") => Self::Request,
            ("ERASURE", _) => Self::Erasure,
            ("FORGET", _) => Self::NumberErasure,
            ("RETENTION", "PASS") => Self::RetentionPass,
            ("REDACTION", _) => Self::Redaction,
            ("HEAL", _) => Self::Heal,
            ("PIN", "PIN") => Self::Pin,
            ("PIN", "TRIES") => Self::PinTries,
            ("CALL", "PIN") => Self::PinCall,
            ("RECORDINGS", "RECORDING") => Self::Recording,
            ("RECORDING", _) => Self::RecordingWork,
            ("LINK", "LINK") => Self::RecordingLink,
            ("WARNING", _) => Self::Warning,
            ("TEXTS", "TEXT") => Self::Text,
            ("TEXT", "TEXT") => Self::TextClaim,
            ("TEXT", "DAY") => Self::TextsOfDay,
            ("TEXT", "KEYWORD") => Self::KeywordClaim,
            ("EXPLAINED", "TO") => Self::Explanation,
            ("EXPLAINED", "DAY") => Self::ExplanationsOfDay,
            ("HEALTH", "NUMBER") => Self::NumberHealth,
            ("TENANT", "TENANT") => Self::TenantSettings,
            ("TENANT", "COST") => Self::TenantCost,
            ("PACE", "TURNS") => Self::PaceTurns,
            ("PACE", "SHARE") => Self::PaceShare,
            _ => return None,
        })
    }
}
