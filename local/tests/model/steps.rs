//! The steps of a case, as proptest generates them. A step refers to its objects by position ("the third last
//! conversation") and resolves them when it runs. So a case still makes sense when proptest removes steps from it.

use proptest::prelude::*;
use shared::domain::call_handling::CallHandling;
use shared::domain::guard::Guard;
use shared::domain::missed_calls::Measure;
use shared::domain::side::{Blocked, Side, WhoDials};

use crate::attempts::Try;
use crate::carrier::SmsOutcome;
use crate::connection::Moment;
use crate::late::LateAction;
use crate::legs::{CALLS, STATUSES};
use crate::missed_calls::Asked;
use crate::phones::{FurtherSpec, any_hours};
use crate::pin_steps::PinAction;
use crate::placing::PlaceAction;
use crate::recordings::any_recording;
use crate::safety::PressAction;
use crate::scenario::{ARGENTINE, Kind, LANGUAGES, PEOPLE};
use crate::teams::TeamChange;
use crate::texting::{Chatting, Texting};

/// Most steps of one case.
pub const MOST_STEPS: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Moves the clock by this number of milliseconds.
    Wait(i64),
    /// Moves the clock to the `nth` next time at which a route expires or leaves quarantine, or to one millisecond
    /// before it.
    WaitForBoundary {
        nth: usize,
        just_before: bool,
    },
    /// Moves the clock by days, so that the table may delete expired items.
    WaitForDays(i64),
    /// Deletes some of the items whose TTL has passed. DynamoDB deletes them late and in any order.
    Sweep {
        some: u64,
    },
    Call {
        caller: PhoneRef,
        number: usize,
    },
    Do(Action),
    /// Runs two actions at the same time.
    Concurrently(Action, Action),
    /// Runs an action in a process that crashes at its request number `nth` to the table, perhaps while another process
    /// runs the `concurrent` action.
    Crash {
        action: Action,
        nth: u8,
        moment: Moment,
        concurrent: Option<Action>,
    },
    /// Vonage takes a number away, and the schedule runs; the process may crash at a request of healing. Single actions
    /// seldom come in this order while a conversation lives.
    Lose {
        number: usize,
        crash: Option<(u8, Moment)>,
    },
    /// A number is rotated, and the schedule runs; the process may crash at a request of healing.
    Rotate {
        number: usize,
        crash: Option<(u8, Moment)>,
    },
    /// Vonage gives a number back, and the schedule runs.
    Find(usize),
    /// Somebody calls in the `nth` live conversation that has more to do about calls than to connect them, and Vonage asks what comes
    /// next, perhaps of a process that crashes at a request. Single steps seldom come in this order while it lives.
    Ring {
        nth: usize,
        side: Side,
        all: Vec<Asked>,
        crash: Option<(u8, Moment)>,
    },
    /// Somebody calls in the `nth` live conversation whose other side has several phones, and nobody takes the call. The phones
    /// may change meanwhile. Single steps seldom come in this order while it lives.
    Hunt {
        nth: usize,
        side: Side,
        tries: Vec<Try>,
    },
    /// Somebody who is not known types a PIN, no PIN in so many calls, and the PIN again, perhaps in a process that crashes. Single steps
    /// seldom use up what is allowed.
    Guess {
        pin: usize,
        from: usize,
        calls: u8,
        crash: Option<(u8, Moment)>,
    },
    /// Somebody calls in the `nth` live conversation with the safety key, and presses it. Both keys are told at the same time,
    /// and again.
    Protect {
        nth: usize,
        side: Side,
        crash: Option<(u8, Moment)>,
    },
    /// Somebody calls in the `nth` live conversation with recordings. Both agree or not, and Vonage tells of what it records; it
    /// has the file only after some requests.
    Record {
        nth: usize,
        side: Side,
        agrees: [bool; 2],
        late: u8,
        crash: Option<(u8, Moment)>,
    },
    /// Somebody calls in the `nth` live conversation, and it ends with its calls while this one is answered.
    CutOff {
        nth: usize,
        side: Side,
        is_known: bool,
        crash: Option<(u8, Moment)>,
    },
    /// Somebody calls in the `nth` live conversation whose end slides, and the events of the call come twice.
    Use {
        nth: usize,
        side: Side,
        crash: Option<(u8, Moment)>,
    },
    /// Somebody calls in the `nth` live conversation of the tenant, and the prices of both legs are told twice. Single steps seldom come
    /// in this order while it lives.
    Bill {
        nth: usize,
        side: Side,
        crash: Option<(u8, Moment)>,
    },
    /// The `nth` live conversation with care for late callers ends. One side asks for a call twice, at the same time or after a crash,
    /// and then the other one, if it agrees.
    LoseProperty {
        nth: usize,
        caller: Side,
        agrees: bool,
        crash: Option<(u8, Moment)>,
    },
    /// Something happens to texts between participants.
    Text(Texting),
    /// A participant writes to the deployment's sender on WhatsApp or RCS.
    Chat(Chatting),
    /// A participant of the `nth` live conversation texts, and Vonage delivers it twice at the same time as an action, which may end,
    /// erase, change or move that conversation.
    TextDuring {
        nth: usize,
        side: Side,
        action: Action,
    },
    /// The retention of most conversations ends, and the schedule runs; the process may crash at one of its requests.
    Age(Option<(u8, Moment)>),
}

/// An action of a client or of the schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Create(NewConversationSpec, Vec<SmsOutcome>),
    /// Sends the `nth` last request with an idempotency key again, or another request with that key.
    CreateAgain {
        nth: usize,
        otherwise: bool,
    },
    End(ConversationRef),
    Erase(ConversationRef),
    /// Erases a person by number, in a request and in runs of the schedule.
    EraseNumber(PhoneRef),
    Update {
        which: ConversationRef,
        phone: Option<(Side, PhoneRef)>,
        lifetime: Option<u64>,
        /// Languages of sides A and B, by their places among those of the scenario.
        languages: [Option<usize>; 2],
        /// The sides that are blocked from then on.
        blocked: Option<Option<Blocked>>,
    },
    /// Blocks sides, or nobody any more.
    Block(ConversationRef, Option<Blocked>),
    /// Changes the handling of calls: text messages about missed ones, and a guard.
    Handle {
        which: ConversationRef,
        texts: bool,
        guarded: bool,
        attempts: Option<u8>,
    },
    /// Changes the phones of a side.
    Team {
        which: ConversationRef,
        side: Side,
        change: TeamChange,
    },
    Drain(usize),
    /// Rotates the `nth` number, of those that somebody dials if there are some.
    Rotate(usize),
    /// Moves the `nth` number to the tenant, or to the deployment itself.
    Move(usize, bool),
    AddNumber(Kind),
    /// Orders so many numbers more than there are, or fewer, in a request without time.
    PlaceOrder(Kind, i8),
    /// Runs the schedule of orders.
    Orders,
    /// Runs the schedule, except for its last part.
    Upkeep,
    /// Runs the last part of the schedule: healing of conversations on lost and rotated numbers.
    Heal,
    /// Runs the schedule that erases what is past its retention.
    Retain,
    /// Vonage takes the `nth` number of the account away.
    TakeAway(usize),
    /// Vonage gives the `nth` number back that it took away, without its link to the application.
    GiveBack(usize),
    /// An event of the `nth` last call that was connected arrives, if it has happened by now: the callee's leg or the caller's,
    /// and the status at this position.
    Event {
        call: usize,
        callee: bool,
        status: usize,
    },
    /// Vonage asks what comes next in the `nth` last call that was connected.
    Next {
        call: usize,
        asked: Asked,
    },
    /// Somebody who is not known types a PIN.
    Pin(PinAction),
    /// A late caller presses a key.
    Late(LateAction),
    /// A request places a call.
    Place(PlaceAction),
    /// Vonage tells of the `nth` last recording.
    Recorded(usize),
    /// Runs the schedule of recordings.
    Keep,
    /// A request ends the `nth` last call that was connected.
    HangUp(usize),
    /// The caller presses keys in a call.
    Press(PressAction),
}

/// Parameters of a conversation to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConversationSpec {
    pub people: [PhoneRef; 2],
    /// True if the tenant creates it, else the deployment itself.
    pub of_tenant: bool,
    pub direction: WhoDials,
    pub lifetime: u64,
    pub quarantine: u32,
    pub notify: bool,
    /// The idempotency key.
    pub key: Option<u8>,
    /// The limit of its calls.
    pub max_calls: Option<u64>,
    /// Languages of sides A and B, by their places among those of the scenario.
    pub languages: [Option<usize>; 2],
    /// The limit of its calls of a day. One that has no other limit.
    pub max_calls_per_day: Option<u64>,
    /// The limit of its minutes. One that has no other limit.
    pub max_minutes: Option<u64>,
    pub handling: CallHandling,
    /// The further phones of sides A and B.
    pub further: [Vec<FurtherSpec>; 2],
    /// The hours of their first phones, by their places.
    pub hours: [Option<usize>; 2],
    /// True if those who may dial get PINs.
    pub pin: bool,
    /// True if late callers may ask for a call.
    pub lost_property: bool,
    /// Seconds from the last call to the end, if that slides.
    pub slides: Option<u64>,
}

/// A reference to a phone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PhoneRef {
    Person(usize),
    /// The Argentine's phone in its other spelling.
    OtherSpelling,
    /// A phone that the carrier does not know.
    Invalid,
    /// A number that is in the pool or was in it.
    Virtual(usize),
}

/// A reference to a conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConversationRef {
    /// The `nth` last one.
    Last(usize),
    Unknown,
}

impl Step {
    pub fn any() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let concurrent = prop::option::weighted(0.3, Action::of_client());
        let lose = (0..8usize, prop::option::of((0..30u8, moment.clone())));
        let rotate = (0..8usize, prop::option::of((0..30u8, moment.clone())));
        let age = prop::option::of((0..40u8, moment.clone()));
        let crash = (Action::any(), 0..9u8, moment.clone(), concurrent);
        let uses = (0..4usize, side(), prop::option::weighted(0.4, (0..9u8, moment.clone())));
        let bill = (0..4usize, side(), prop::option::weighted(0.4, (0..9u8, moment.clone())));
        let ring = (0..4usize, side(), Asked::some(), prop::option::weighted(0.3, (0..5u8, moment)));
        prop_oneof![
            24 => (1..100_000i64).prop_map(Self::Wait),
            14 => (0..4usize, any::<bool>())
                .prop_map(|(nth, just_before)| Self::WaitForBoundary { nth, just_before }),
            1 => (1..40i64).prop_map(Self::WaitForDays),
            3 => any::<u64>().prop_map(|some| Self::Sweep { some }),
            24 => (PhoneRef::any(), 0..8usize).prop_map(|(caller, number)| Self::Call { caller, number }),
            100 => Action::any().prop_map(Self::Do),
            16 => (Action::of_client(), Action::of_client()).prop_map(|(one, other)| Self::Concurrently(one, other)),
            7 => lose.prop_map(|(number, crash)| Self::Lose { number, crash }),
            4 => rotate.prop_map(|(number, crash)| Self::Rotate { number, crash }),
            3 => (0..8usize).prop_map(Self::Find),
            2 => age.prop_map(Self::Age),
            2 => Self::guess(),
            9 => Self::any_hunt(),
            24 => Self::any_texting(),
            8 => Self::text_during(),
            8 => Self::any_chat(),
            4 => Self::any_protect(),
            14 => Self::any_record(),
            4 => Self::any_cut_off(),
            4 => Self::lose_property(),
            6 => uses.prop_map(|(nth, side, crash)| Self::Use { nth, side, crash }),
            4 => bill.prop_map(|(nth, side, crash)| Self::Bill { nth, side, crash }),
            8 => ring.prop_map(|(nth, side, all, crash)| Self::Ring { nth, side, all, crash }),
            30 => crash.prop_map(|(action, nth, moment, concurrent)| Self::Crash { action, nth, moment, concurrent }),
        ]
    }
}

impl Action {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            30 => Self::of_client(),
            2 => Kind::any().prop_map(Self::AddNumber),
            2 => (Kind::any(), -1..3i8).prop_map(|(kind, more)| Self::PlaceOrder(kind, more)),
            2 => Just(Self::Orders),
            2 => Just(Self::Upkeep),
            2 => Just(Self::Heal),
            2 => PhoneRef::any().prop_map(Self::EraseNumber),
            2 => Just(Self::Retain),
            2 => Just(Self::Keep),
        ]
    }

    fn event() -> impl Strategy<Value = Self> {
        let (call, status) = (0..CALLS, 0..STATUSES.len());
        (call, any::<bool>(), status).prop_map(|(call, callee, status)| Self::Event { call, callee, status })
    }

    /// An action of a client, or of Vonage, that may happen at any time.
    fn of_client() -> impl Strategy<Value = Self> {
        let outcome = prop_oneof![4 => Just(SmsOutcome::Accepted), 1 => Just(SmsOutcome::Refused), 1 => Just(SmsOutcome::NoAnswer)];
        let lifetime = 60..=600u64;
        let phone = prop::option::weighted(0.7, (side(), PhoneRef::any()));
        let with_block = prop::option::weighted(0.2, blocked());
        let update = (ConversationRef::any(), phone, prop::option::of(lifetime), languages(), with_block).prop_map(
            |(which, phone, lifetime, languages, blocked)| Self::Update { which, phone, lifetime, languages, blocked },
        );
        let block = (ConversationRef::any(), blocked()).prop_map(|(which, blocked)| Self::Block(which, blocked));
        let handle = (ConversationRef::any(), any::<bool>(), any::<bool>(), prop::option::weighted(0.3, 1..=4u8))
            .prop_map(|(which, texts, guarded, attempts)| Self::Handle { which, texts, guarded, attempts });
        let team = (ConversationRef::any(), side(), TeamChange::any()).prop_map(|(which, side, change)| Self::Team {
            which,
            side,
            change,
        });
        prop_oneof![
            60 => (NewConversationSpec::any(), prop::collection::vec(outcome, 0..=2))
                .prop_map(|(order, outcomes)| Self::Create(order, outcomes)),
            12 => (0..4usize, prop::bool::weighted(0.2))
                .prop_map(|(nth, otherwise)| Self::CreateAgain { nth, otherwise }),
            14 => ConversationRef::any().prop_map(Self::End),
            9 => ConversationRef::any().prop_map(Self::Erase),
            18 => update,
            8 => block,
            5 => handle,
            10 => team,
            4 => (0..8usize).prop_map(Self::Drain),
            3 => (0..8usize).prop_map(Self::Rotate),
            4 => (0..8usize, any::<bool>()).prop_map(|(nth, to_tenant)| Self::Move(nth, to_tenant)),
            3 => (0..8usize).prop_map(Self::TakeAway),
            3 => (0..8usize).prop_map(Self::GiveBack),
            24 => Self::event(),
            12 => (0..CALLS, Asked::any()).prop_map(|(call, asked)| Self::Next { call, asked }),
            24 => PinAction::any().prop_map(Self::Pin),
            10 => LateAction::any().prop_map(Self::Late),
            3 => (0..CALLS).prop_map(Self::HangUp),
            3 => (0..3usize).prop_map(Self::Recorded),
            6 => PressAction::any().prop_map(Self::Press),
            16 => PlaceAction::any(ConversationRef::any()).prop_map(Self::Place),
        ]
    }
}

impl NewConversationSpec {
    fn any() -> impl Strategy<Value = Self> {
        let key = prop::option::weighted(0.2, 0..5u8);
        let direction = prop_oneof![6 => Just(WhoDials::Both), 2 => Just(WhoDials::AToB), 1 => Just(WhoDials::BToA)];
        // Some last for longer than the margin of a hold.
        let lifetime = prop_oneof![20 => 60..=600u64, 1 => 60..=400_000u64];
        let limits = prop_oneof![
            4 => Just((None, None, None)),
            6 => (1..3u64).prop_map(|calls| (Some(calls), None, None)),
            2 => (1..3u64).prop_map(|calls| (None, Some(calls), None)),
            2 => (1..4u64).prop_map(|minutes| (None, None, Some(minutes))),
        ];
        let texts = (any::<bool>(), key, any::<bool>(), any::<bool>(), prop::bool::weighted(0.3));
        let ends = (lifetime, 60..=600u32, prop::option::weighted(0.3, 60..=600u64));
        (PhoneRef::two(), direction, ends, texts, limits, languages(), handling(), phones()).prop_map(
            |(
                people,
                direction,
                (lifetime, quarantine, slides),
                (notify, key, pin, lost_property, of_tenant),
                limits,
                languages,
                handling,
                phones,
            )| {
                let (max_calls, max_calls_per_day, max_minutes) = limits;
                let (further, hours, max_attempts, max_ring_seconds) = phones;
                // A side with several phones has a number of attempts.
                let max_attempts = further.iter().any(|all| !all.is_empty()).then_some(max_attempts);
                let max_ring_seconds = max_ring_seconds.filter(|_| max_attempts.is_some());
                let handling = CallHandling { max_attempts, max_ring_seconds, ..handling };
                Self {
                    people,
                    of_tenant,
                    direction,
                    lifetime,
                    quarantine,
                    notify,
                    key,
                    max_calls,
                    max_calls_per_day,
                    max_minutes,
                    handling,
                    further,
                    hours,
                    languages,
                    pin,
                    lost_property,
                    slides,
                }
            },
        )
    }
}

impl PhoneRef {
    pub fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            20 => (0..PEOPLE.len()).prop_map(Self::Person),
            4 => Just(Self::OtherSpelling),
            1 => Just(Self::Invalid),
            1 => (0..8usize).prop_map(Self::Virtual),
        ]
    }
}

impl PhoneRef {
    /// Two phones. In most cases both are of people.
    fn two() -> impl Strategy<Value = [Self; 2]> {
        let people = (0..PEOPLE.len(), 1..PEOPLE.len())
            .prop_map(|(one, further)| [one, (one + further) % PEOPLE.len()].map(Self::Person));
        let other = (0..PEOPLE.len()).prop_map(|one| [Self::Person(one), Self::OtherSpelling]);
        let one_phone = Just([Self::Person(ARGENTINE.0), Self::OtherSpelling]);
        prop_oneof![40 => people, 8 => other, 1 => one_phone, 2 => [Self::any(), Self::any()]]
    }
}

impl ConversationRef {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![30 => (0..5usize).prop_map(Self::Last), 1 => Just(Self::Unknown)]
    }
}

/// The handling of calls, beyond connecting them.
fn handling() -> impl Strategy<Value = CallHandling> {
    let text = || vec![Measure::Text];
    let texts = || vec![Measure::Text, Measure::CallBack];
    let of_missed_calls = prop_oneof![
        3 => Just((Vec::new(), Guard::None)),
        1 => Just((text(), Guard::None)),
        2 => Just((texts(), Guard::None)),
        1 => Just((Vec::new(), Guard::Press1)),
        2 => Just((texts(), Guard::Press1)),
    ];
    (of_missed_calls, any_recording(), prop::bool::weighted(0.3)).prop_map(
        |((mut measures, guard), (recording, takes_messages), safety_key)| {
            measures.extend(takes_messages.then_some(Measure::Voicemail));
            CallHandling { missed_calls: measures.into(), guard, recording, safety_key, ..CallHandling::default() }
        },
    )
}

/// Further phones, hours of the first ones, and the most attempts with the seconds for which they may ring together.
type Phones = ([Vec<FurtherSpec>; 2], [Option<usize>; 2], u8, Option<u32>);

fn phones() -> impl Strategy<Value = Phones> {
    let hours = || prop_oneof![4 => Just(None), 1 => any_hours()];
    let rings = prop::option::of(prop::sample::select(vec![15, 20, 40]));
    ([FurtherSpec::some(), FurtherSpec::some()], [hours(), hours()], 1..=4u8, rings)
}

fn languages() -> impl Strategy<Value = [Option<usize>; 2]> {
    let language = || prop::option::weighted(0.2, 0..LANGUAGES.len());
    [language(), language()]
}

fn blocked() -> impl Strategy<Value = Option<Blocked>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Blocked::A)),
        1 => Just(Some(Blocked::B)),
        1 => Just(Some(Blocked::Both)),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}
