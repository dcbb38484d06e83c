//! Calls about which the backend decides, at the decision URL of their conversation.
//!
//! The backend chooses a way, and never a phone number: what it answers leads to the other participant, to the support phone, or
//! to nobody. A block, an end or a limit that came before its answer is used holds all the same.

use jiff::Timestamp;

use crate::backend::{Backend, BackendError, Person, PhoneOfPerson, Question};
use crate::clock::SharedClock;
use crate::domain::attempt::Attempt;
use crate::domain::call_limits::CallLimits;
use crate::domain::conversation::{Conversation, ConversationId, SidePhone};
use crate::domain::decision::Decision;
use crate::domain::decision_url::{DecisionUrl, OnFailure};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::Destination;
use crate::domain::side::Side;
use crate::domain::stranger::{Stranger, StrangersCall};
use crate::domain::support::SupportPhone;
use crate::domain::verdict::{Reason, Say, Verdict, Way};
use crate::service::place_call::decide;
use crate::store::{Store, StoreError};
use crate::vonage::call_urls::letter;

/// Has the backend decide about calls.
pub struct BackendDecisions {
    /// The table.
    pub store: Store,
    /// The backend. None if the deployment has no decision URLs.
    pub backend: Option<Backend>,
    /// The phone that strangers and late callers reach.
    pub support: Option<SupportPhone>,
    /// The clock.
    pub clock: SharedClock,
}

/// The fate of a call after a decision.
#[derive(Debug)]
pub struct Fate {
    /// The conversation, if there is still one.
    pub conversation: Option<Conversation>,
    /// The way of the call. None if the caller only hears words.
    pub decision: Option<Decision>,
    /// The words of the backend for the caller.
    pub say: Option<Say>,
    /// The outcome, for the log.
    pub outcome: &'static str,
}

/// The fate of a stranger or a late caller after a decision, with the words of the backend.
#[derive(Debug)]
pub enum StrangersFate {
    /// The call goes on as without a decision.
    Continues,
    /// Nobody is called.
    Refused(Option<Say>),
    /// The caller is asked for a PIN.
    AskedForPin(Option<Say>),
    /// The caller is connected with the support phone.
    Supported(Option<Say>, Box<Decision>),
}

/// An answer about a call, before the present state of the conversation is considered.
struct Answer {
    way: Way,
    say: Option<Say>,
    outcome: &'static str,
    /// The revision of the conversation that it is about.
    revision: u32,
}

impl BackendDecisions {
    /// Returns the fate of a call to the side `callee`, whose caller would be connected now. `call` is Vonage's id of it.
    pub async fn decide(&self, id: ConversationId, callee: Side, call: Option<&str>) -> Result<Fate, StoreError> {
        let Some(asked) = self.store.conversation(id, self.clock.now()).await? else { return Ok(over()) };
        let caller = callee.other();
        let (answer, conversation) = match asked.decision().filter(|_| may_call(&asked, caller, self.clock.now())) {
            Some(decision) => self.answer(asked, caller, call, &decision).await?,
            None => {
                // A restored table may lack the address.
                let way = asked.handling.decision.map_or(Way::Connect(None), failed);
                (Answer { way, say: None, outcome: "not asked", revision: asked.revision }, Some(asked))
            }
        };
        let Some(conversation) = conversation else { return Ok(over()) };
        self.apply(conversation, caller, answer).await
    }

    /// Returns the answer that is remembered, or asks the backend. Returns the conversation as it is then: a block or an end may
    /// have come while the backend was asked.
    async fn answer(
        &self,
        asked: Conversation,
        caller: Side,
        call: Option<&str>,
        decision: &DecisionUrl,
    ) -> Result<(Answer, Option<Conversation>), StoreError> {
        let revision = asked.revision;
        if let Some(Verdict { way, say, .. }) = asked.verdicts.of(caller, revision, self.clock.now()).cloned() {
            return Ok((Answer { way, say, outcome: outcome(way), revision }, Some(asked)));
        }
        let answer = match self.ask(&asked, caller, call, &decision.url).await {
            Some(verdict) => {
                self.remember(&asked, caller, &verdict).await;
                let Verdict { way, say, .. } = verdict;
                Answer { way, say, outcome: outcome(way), revision }
            }
            None => Answer { way: failed(decision.on_failure), say: None, outcome: FAILED, revision },
        };
        Ok((answer, self.store.conversation(asked.id, self.clock.now()).await?))
    }

    /// Asks the backend. `None` without an answer that is understood.
    async fn ask(&self, conversation: &Conversation, caller: Side, call: Option<&str>, url: &str) -> Option<Verdict> {
        let now = self.clock.now();
        let Some(backend) = &self.backend else {
            tracing::warn!(conversation.id = %conversation.id, "a decision URL cannot be asked, because DECISIONS is off");
            return None;
        };
        let question = question(conversation, caller, call, now);
        backend.ask(url, &question, now).await.inspect_err(log).ok()
    }

    /// Remembers an answer. Without that the backend is asked again.
    async fn remember(&self, conversation: &Conversation, caller: Side, verdict: &Verdict) {
        let now = self.clock.now();
        let Some(verdicts) = conversation.verdicts.with(caller, verdict, conversation.revision, now) else { return };
        if let Err(error) = self.store.remember_verdicts(conversation, &verdicts).await {
            tracing::warn!(conversation.id = %conversation.id, cause = %error, "a decision was not remembered");
        }
    }

    /// Asks the backend about a stranger or a late caller. The call goes on as without a decision if there is none, or if its way
    /// leads to nobody. `call` is Vonage's id of it.
    pub async fn decide_about_stranger(
        &self,
        stranger: &StrangersCall,
        call: Option<&str>,
    ) -> Result<StrangersFate, StoreError> {
        let now = self.clock.now();
        let Some(backend) = &self.backend else { return Ok(StrangersFate::Continues) };
        let conversation = match stranger.conversation {
            Some(id) => self.store.conversation(id, now).await?,
            None => None,
        };
        let own = conversation.as_ref().and_then(|conversation| conversation.decision_url.as_deref());
        let Some(url) = own.or(backend.first_url()) else { return Ok(StrangersFate::Continues) };
        let question = Question {
            call,
            kind: kind(stranger.caller),
            conversation: stranger.conversation,
            reference: conversation.as_ref().and_then(|conversation| conversation.reference.as_ref()),
            caller: None,
            callee: None,
            dialled: (&stranger.dialled).into(),
            presented: None,
        };
        let Some(verdict) = backend.ask(url, &question, now).await.inspect_err(log).ok() else {
            return Ok(StrangersFate::Continues);
        };
        Ok(match verdict.way {
            Way::Refuse => StrangersFate::Refused(verdict.say),
            Way::Pin => StrangersFate::AskedForPin(verdict.say),
            Way::Support => match self.support(conversation.as_ref(), &stranger.dialled).await? {
                Some((phone, limits)) => {
                    let present_as = stranger.dialled.clone();
                    let decision = Decision::Support { phone, present_as, limits, conversation: stranger.conversation };
                    StrangersFate::Supported(verdict.say, Box::new(decision))
                }
                None => StrangersFate::Continues,
            },
            // There is nobody to connect a stranger to.
            Way::Continue | Way::Connect(_) => StrangersFate::Continues,
        })
    }

    /// Applies an answer to a call of the side `caller`, if that side would be connected now.
    async fn apply(&self, conversation: Conversation, caller: Side, answer: Answer) -> Result<Fate, StoreError> {
        let now = self.clock.now();
        let Answer { way, say, outcome, revision } = answer;
        // A read of the route may be a second old, and that of the conversation is not.
        let decision = match may_call(&conversation, caller, now) {
            true => decide(&self.store, &conversation, caller, now).await?,
            false if conversation.is_active(now) => Decision::Routed(Destination::Blocked(conversation.id)),
            false => Decision::Routed(Destination::Ended(conversation.id)),
        };
        if !matches!(decision, Decision::Routed(Destination::Participant { .. })) {
            let outcome = decision.outcome();
            return Ok(Fate { conversation: Some(conversation), decision: Some(decision), say: None, outcome });
        }
        let followed = match way {
            Way::Continue | Way::Connect(None) => Some(Some(decision.clone())),
            Way::Connect(Some(phone)) => {
                let is_same = conversation.revision == revision;
                let phone = if is_same { phone_at(&conversation, caller.other(), phone, now) } else { None };
                phone.map(|phone| Some(to_phone(decision.clone(), &conversation, phone, now)))
            }
            Way::Refuse => Some(None),
            Way::Support => self.to_support(&conversation, caller).await?.map(Some),
            Way::Pin => None,
        };
        let (decision, say, outcome) = match followed {
            Some(followed) => (followed, say, outcome),
            None => {
                tracing::warn!(conversation.id = %conversation.id, "the decision leads to no phone that may be called");
                let on_failure = conversation.handling.decision.unwrap_or(OnFailure::Refuse);
                (Some(decision).filter(|_| on_failure == OnFailure::Connect), None, FAILED)
            }
        };
        Ok(Fate { conversation: Some(conversation), decision, say, outcome })
    }

    /// Returns the connection of a participant with the support phone. `None` if there is none, or if it is a phone of the
    /// caller.
    async fn to_support(&self, conversation: &Conversation, caller: Side) -> Result<Option<Decision>, StoreError> {
        let dialled = &conversation.participant(caller).sees;
        let support = self.support(Some(conversation), dialled).await?;
        let is_callers = |phone: &RealNumber| conversation.phones(caller).any(|own| own.number.is_same_phone(phone));
        let decision = |(phone, limits)| Decision::Support {
            phone,
            present_as: dialled.clone(),
            limits,
            conversation: Some(conversation.id),
        };
        Ok(support.filter(|(phone, _)| !is_callers(phone)).map(decision))
    }

    /// Returns the support phone of the conversation, of the dialled number or of the deployment, with the limits of a call.
    async fn support(
        &self,
        conversation: Option<&Conversation>,
        dialled: &VirtualNumber,
    ) -> Result<Option<(RealNumber, CallLimits)>, StoreError> {
        let limits = conversation.map(|conversation| conversation.limits);
        if let Some(phone) = conversation.and_then(|conversation| conversation.late.support_phone.clone()) {
            return Ok(Some(phone).zip(limits));
        }
        let of_number = self.store.settings_in_call(dialled).await?.and_then(|settings| settings.support);
        let support = of_number.or_else(|| self.support.clone());
        Ok(support.map(|support| (support.phone, limits.unwrap_or(support.limits))))
    }
}

/// The outcome of a call about which the backend gave no answer that can be followed.
const FAILED: &str = "decision failed";

fn outcome(way: Way) -> &'static str {
    match way {
        Way::Continue | Way::Connect(_) => "decided to connect",
        Way::Pin => "decided for a PIN",
        Way::Refuse => "decided to refuse",
        Way::Support => "decided for support",
    }
}

fn kind(stranger: Stranger) -> &'static str {
    match stranger {
        Stranger::Late => "late",
        Stranger::Unknown => "unknown",
        Stranger::Hidden => "hidden",
    }
}

fn failed(on_failure: OnFailure) -> Way {
    match on_failure {
        OnFailure::Connect => Way::Connect(None),
        OnFailure::Refuse => Way::Refuse,
    }
}

/// The fate of a call whose conversation is gone.
fn over() -> Fate {
    Fate { conversation: None, decision: None, say: Some(Say::Sentence(Reason::Ended)), outcome: "ended" }
}

/// True if the side may call at `now`, as far as the conversation says.
fn may_call(conversation: &Conversation, caller: Side, now: Timestamp) -> bool {
    conversation.is_active(now) && !conversation.is_blocked(caller)
}

fn log(error: &BackendError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, cause, "the backend made no decision");
}

fn question<'a>(conversation: &'a Conversation, caller: Side, call: Option<&'a str>, now: Timestamp) -> Question<'a> {
    let person = |side: Side| {
        let participant = conversation.participant(side);
        let phone = |phone: SidePhone<'_>| PhoneOfPerson {
            name: participant.name_at(phone.index),
            is_open: phone.hours.is_none_or(|hours| hours.include(now)),
        };
        let phones = conversation.ringing_phones(side).map(phone).collect();
        Person { side: letter(side), label: participant.label.as_ref(), phones }
    };
    Question {
        call,
        kind: "participant",
        conversation: Some(conversation.id),
        reference: conversation.reference.as_ref(),
        caller: Some(person(caller)),
        callee: Some(person(caller.other())),
        dialled: (&conversation.participant(caller).sees).into(),
        presented: Some(conversation.masked_by(caller).into()),
    }
}

/// Returns the phone at this position of a side, if it is called at `now`.
fn phone_at(conversation: &Conversation, side: Side, position: u8, now: Timestamp) -> Option<SidePhone<'_>> {
    let phone = conversation.ringing_phones(side).nth(position.into())?;
    phone.hours.is_none_or(|hours| hours.include(now)).then_some(phone)
}

/// Makes `phone` the first one that is called. The others follow, if the conversation tries several.
fn to_phone(mut decision: Decision, conversation: &Conversation, phone: SidePhone<'_>, now: Timestamp) -> Decision {
    if let Decision::Routed(Destination::Participant { connect_to, attempt, handling, .. }) = &mut decision {
        let tries_several = handling.attempts() > 1 && conversation.ringing_phones(phone.side).count() > 1;
        *connect_to = phone.number.clone();
        *attempt = tries_several.then(|| Attempt::first(phone.index, now));
    }
    decision
}
