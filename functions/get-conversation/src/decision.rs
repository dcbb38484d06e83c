//! `GET /decisions`: what a call from a caller id to a number meets, at a time.

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;
use shared::domain::call_handling::CallHandling;
use shared::domain::call_limits::CallLimits;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::decision::{Decision, StandingCall, StandingConnection};
use shared::domain::decision_url::DecisionUrl;
use shared::domain::number_settings::NumberSettings;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::phone::parse::UnreadableNumber;
use shared::domain::phone::{E164, RealNumber, Reveal, ShownNumber, VirtualNumber, is_masked};
use shared::domain::route::{Destination, KeyOwner};
use shared::domain::side::{Blocked, Side};
use shared::domain::support::SupportPhone;
use shared::domain::words::{Speech, Words};
use shared::edge::http::{Problem, Query, with_plus};
use shared::service::explain::{Explanation, explain};
use shared::store::{Store, StoreError};
use shared::vonage::{event, ncco};

/// The longest caller id that is read, in bytes. It is longer than any that a network sends.
const MOST_CALLER_BYTES: usize = 256;

/// The call that a request asks about.
pub(crate) struct DecisionQuery {
    from: String,
    pub(crate) dialled: VirtualNumber,
    at: Timestamp,
}

impl DecisionQuery {
    /// Reads the parameters `from`, `to` and `at`, which is `now` if it is not given.
    pub(crate) fn read(request: &Request, now: Timestamp) -> Result<Self, Problem> {
        let query = Query::read(request, &["from", "to", "at"])?;
        let from = query.value("from").filter(|from| !from.is_empty()).ok_or_else(|| {
            Problem::invalid("from", "This parameter is required. A withheld number is written as anonymous.")
        })?;
        if from.len() > MOST_CALLER_BYTES {
            return Err(Problem::invalid("from", format!("Has more than {MOST_CALLER_BYTES} bytes.")));
        }
        if is_masked(from) {
            return Err(Problem::from(UnreadableNumber::Masked).at("from"));
        }
        let to = query.value("to").ok_or_else(|| Problem::invalid("to", "This parameter is required."))?;
        let (from, to) = (with_plus(from), with_plus(to));
        let dialled = event::dialled(&to).ok_or_else(|| Problem::invalid("to", "Is no phone number in E.164."))?;
        let at = query.value("at").map(str::parse).transpose();
        let at =
            at.map_err(|_| Problem::invalid("at", "Must be a time as in RFC 3339, such as 2026-11-25T22:21:37Z."))?;
        Ok(Self { from: from.into_owned(), dialled, at: at.unwrap_or(now) })
    }

    fn caller(&self) -> CallerId {
        CallerId::read(Some(&self.from), Some(&self.dialled))
    }

    /// Returns the words for the caller of an explained call.
    pub(crate) fn speech<'w>(&self, words: &'w Words, explained: &Explanation) -> Speech<'w> {
        let of_number = || explained.settings.as_ref()?.addressee();
        let words = words.of(explained.speaker());
        let speech = words.speech_of_call(&self.caller(), explained.addressee().or_else(of_number).as_ref());
        speech.with_own(explained.settings.as_ref().and_then(|settings| settings.words.as_ref()))
    }

    /// Explains the call by the table alone.
    pub(crate) async fn explain(&self, store: &Store, now: Timestamp) -> Result<Explanation, StoreError> {
        let caller = self.caller();
        let mut explained = explain(store, caller.clone(), &self.dialled, [self.at, now]).await?;
        let (settings, mask) = (explained.settings.as_ref(), Some(&self.dialled));
        let standing = |decision| NumberSettings::or_standing(settings, decision, &caller, mask, self.at);
        explained.decision = explained.decision.map(standing);
        Ok(explained)
    }

    /// True if a backend that decides about strangers and late callers would be asked first.
    pub(crate) fn asks_about_stranger(&self, explained: &Explanation, now: Timestamp) -> bool {
        self.at >= now && explained.decision.as_ref().is_some_and(|decision| decision.stranger().is_some())
    }

    /// Adds the ways of strangers and late callers to what the table says.
    pub(crate) fn take_other_ways(
        &self,
        explained: &mut Explanation,
        support: Option<&SupportPhone>,
        has_pins: bool,
        now: Timestamp,
    ) {
        let caller = self.caller();
        let Some(decision) = explained.decision.take() else { return };
        // Nobody knows if there were PINs or a support phone before.
        let elsewhere = (has_pins && self.at >= now, support.filter(|_| self.at >= now));
        let settings = explained.settings.as_ref();
        explained.decision =
            Some(NumberSettings::or_elsewhere(settings, elsewhere, decision, &caller, Some(&self.dialled)));
    }
}

#[derive(Serialize)]
pub(crate) struct DecisionView {
    /// As in the log, or `not known`.
    outcome: &'static str,
    at: Timestamp,
    conversation: Option<ConversationId>,
    rule: &'static str,
    certain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<&'static str>,
    items: Vec<ItemView>,
    /// The words that the caller hears. `None` if that is not known.
    hears: Option<String>,
    /// The address at which the backend would be asked. It is not asked now.
    #[serde(skip_serializing_if = "Option::is_none")]
    asks: Option<DecisionUrl>,
    /// If the backend is asked, the connection that is made if it wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    connects: Option<ConnectionView>,
}

/// An item that decided.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ItemView {
    Route {
        caller: ShownNumber,
        number: E164,
        conversation: ConversationId,
        side: Side,
        since: Timestamp,
        expires_at: Timestamp,
        quarantined_until: Timestamp,
    },
    /// The rest of a route after an erasure.
    Tombstone {
        caller: ShownNumber,
        number: E164,
        conversation: ConversationId,
        since: Timestamp,
        expires_at: Timestamp,
        quarantined_until: Timestamp,
    },
    /// The mark of a caller who only receives.
    Hold {
        caller: ShownNumber,
        number: E164,
        since: Timestamp,
        quarantined_until: Timestamp,
    },
    Unreadable {
        caller: ShownNumber,
        number: E164,
    },
    /// The settings of the number, which is a standing mask.
    StandingMask {
        number: E164,
        phones: usize,
        blocked: usize,
    },
    Conversation {
        id: ConversationId,
        created_at: Timestamp,
        expires_at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        ended_at: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_reached_at: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        paused_until: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        blocked: Option<Blocked>,
        quarantined_until: Timestamp,
    },
}

/// The connection of a call.
#[derive(Serialize)]
struct ConnectionView {
    side: Option<Side>,
    number: ShownNumber,
    from: E164,
    ring_seconds: u32,
    max_call_seconds: u32,
    talk_seconds: u32,
    /// True if the limits of the conversation cut the call short.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_cut_short: bool,
}

impl DecisionView {
    /// Returns the view for somebody to whom real numbers are shown as `reveal` says.
    pub(crate) fn new(
        explained: &Explanation,
        dialled: &VirtualNumber,
        speech: &Speech<'_>,
        asks_first: bool,
        reveal: Reveal,
    ) -> Self {
        let Explanation { decision, at, owners, conversation, callee, doubt, settings } = explained;
        let asks_backend = decision.as_ref().is_some_and(Decision::asks_backend);
        let is_unreadable = owners.0.iter().any(|(_, owner)| owner.is_none());
        let (outcome, rule) = match decision {
            Some(Decision::Routed(Destination::Nobody)) if is_unreadable => (
                Decision::UNKNOWN_CALLER,
                "What is stored for this caller and this number cannot be read, so it leads to nobody.",
            ),
            Some(_) if asks_first => (
                Decision::BACKEND_ASKED,
                "The caller reaches no other participant, so the backend is asked first. Without a decision the rest holds.",
            ),
            Some(decision) => (decision.outcome(), decision.rule()),
            None => ("not known", "The table no longer tells who had this number for this caller then."),
        };
        let mut items: Vec<_> = owners
            .0
            .iter()
            .map(|(caller, owner)| ItemView::new(reveal.show(caller), dialled, owner.as_ref()))
            .collect();
        let standing = settings.as_ref().and_then(|settings| settings.standing.as_ref());
        items.extend(standing.filter(|_| matches!(decision, Some(Decision::Standing(_)))).map(|standing| {
            let (phones, blocked) = (standing.phones.len(), standing.blocked.len());
            ItemView::StandingMask { number: dialled.into(), phones, blocked }
        }));
        items.extend(conversation.as_ref().map(|conversation| ItemView::Conversation {
            id: conversation.id,
            created_at: conversation.created_at,
            expires_at: conversation.expires_at,
            ended_at: conversation.ended_at,
            limit_reached_at: conversation.limit_reached_at,
            paused_until: conversation.paused_until.filter(|until| explained.at < *until),
            blocked: conversation.blocked,
            quarantined_until: conversation.rests_until(),
        }));
        Self {
            outcome,
            at: *at,
            conversation: decision.as_ref().and_then(Decision::conversation),
            rule,
            certain: doubt.is_none(),
            doubt: doubt.map(|doubt| doubt.sentence()),
            items,
            hears: hears(decision.clone(), speech),
            asks: conversation.as_ref().filter(|_| asks_backend).and_then(Conversation::decision),
            connects: decision.as_ref().and_then(|decision| ConnectionView::new(decision, *callee, reveal)),
        }
    }
}

/// Returns the words that the caller hears. `None` if that is not known, as before a decision of the backend.
fn hears(decision: Option<Decision>, speech: &Speech<'_>) -> Option<String> {
    let decision = decision.filter(|decision| !decision.asks_backend())?;
    Some(ncco::spoken(&ncco::decided(decision, speech, None)))
}

impl ItemView {
    fn new(caller: ShownNumber, number: &VirtualNumber, owner: Option<&KeyOwner>) -> Self {
        let number = E164::from(number);
        match owner {
            Some(KeyOwner::Route(route)) => Self::Route {
                caller,
                number,
                conversation: route.conversation,
                side: route.side,
                since: route.since,
                expires_at: route.expires_at,
                quarantined_until: route.quarantined_until,
            },
            Some(KeyOwner::Erased(erased)) => Self::Tombstone {
                caller,
                number,
                conversation: erased.conversation,
                since: erased.since,
                expires_at: erased.expires_at,
                quarantined_until: erased.quarantined_until,
            },
            Some(KeyOwner::Held(hold)) => {
                Self::Hold { caller, number, since: hold.held_at, quarantined_until: hold.quarantined_until }
            }
            None => Self::Unreadable { caller, number },
        }
    }
}

impl ConnectionView {
    fn new(decision: &Decision, callee: Option<Side>, reveal: Reveal) -> Option<Self> {
        let without_conversation = |phone: &RealNumber, from: &VirtualNumber, limits: CallLimits| Self {
            side: None,
            number: reveal.show(phone),
            from: from.into(),
            ring_seconds: limits.ring_seconds,
            max_call_seconds: limits.max_call_seconds,
            talk_seconds: limits.talk_seconds(CallHandling::default()),
            is_cut_short: false,
        };
        match decision {
            Decision::Support { phone, present_as, limits, .. } => {
                return Some(without_conversation(phone, present_as, *limits));
            }
            Decision::Standing(StandingCall::Connects(StandingConnection { phone, mask, limits, .. })) => {
                return Some(without_conversation(phone, mask, *limits));
            }
            _ => {}
        }
        let Decision::Routed(Destination::Participant {
            connect_to, present_as, limits, left_seconds, handling, ..
        }) = decision
        else {
            return None;
        };
        let (talk_seconds, is_cut_short) = limits.talk_seconds_within(*left_seconds, *handling);
        Some(Self {
            side: callee,
            number: reveal.show(connect_to),
            from: present_as.into(),
            ring_seconds: limits.ring_seconds,
            max_call_seconds: limits.max_call_seconds,
            talk_seconds,
            is_cut_short,
        })
    }
}
