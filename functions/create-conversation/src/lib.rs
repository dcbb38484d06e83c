//! `POST /conversations` creates a conversation of two people.

mod notifications;
mod plan;

use std::ops::RangeInclusive;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use shared::clock::SharedClock;
use shared::config::{ConfigError, DecisionUrls, Durations, Environment, VonageConfig};
use shared::domain::attempt::Attempt;
use shared::domain::call_handling::CallHandling;
use shared::domain::call_limits::CallLimits;
use shared::domain::call_recording::CallRecording;
use shared::domain::card_link::CardKey;
use shared::domain::channel::ChosenChannel;
use shared::domain::conversation::FurtherPhone;
use shared::domain::country::Country;
use shared::domain::decision_url::DecisionUrl;
use shared::domain::guard::Guard;
use shared::domain::hours::NewHours;
use shared::domain::language::Language;
use shared::domain::late::LateCare;
use shared::domain::lifetime::Lifetime;
use shared::domain::missed_calls::MissedCalls;
use shared::domain::phone::parse::UnreadableNumber;
use shared::domain::phone::{PhoneNumber, RealNumber, is_masked};
use shared::domain::pin::{PinIssuer, PinKey};
use shared::domain::quiet_hours::UsualQuietHours;
use shared::domain::side::WhoDials;
use shared::domain::sliding_end::SlidingEnd;
use shared::domain::tenant::Owner;
use shared::domain::text::{Label, Reference};
use shared::domain::text_masking::TextMasking;
use shared::domain::usage::{MaxCount, MaxSpend, UsageLimits};
use shared::domain::words::own_text::OwnTexts;
use shared::edge::deadline;
use shared::edge::function::HttpFunction;
use shared::edge::http::{
    self, ContactCardBody, FurtherPhoneBody, NumberReaders, Object, Problem, Query, RequestHasher, TenantClaim,
};
use shared::edge::request_log::RequestLog;
use shared::edge::view::ConversationView;
use shared::service::create::{Creator, Invitations, NewConversation, NewParticipant, ROUTES_READ, USAGE_TIME_LIMIT};
use shared::service::demand::DemandRecorder;
use shared::service::pool_cache::PoolCache;
use shared::service::verify_number::NumberVerifier;
use shared::store::Store;
use shared::vonage::Vonage;
use shared::vonage::carrier_lookup::CarrierLookup;
use shared::vonage::texts::Texts;

use crate::plan::PlanView;

/// The function that creates conversations.
pub struct CreateConversation {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    readers: NumberReaders,
    creator: Creator<CarrierLookup, Texts>,
    usual: Usual,
    /// Limits of a conversation that has none of its own.
    usage_limits: UsageLimits,
    /// The secret of PINs, if the deployment has them.
    pin_key: Option<PinKey>,
    /// The decision URLs, if the deployment has some.
    decision_urls: Option<DecisionUrls>,
    /// True if the deployment keeps recordings.
    keeps_recordings: bool,
    hasher: RequestHasher,
    card_key: CardKey,
    public_url: Option<String>,
    /// The hours in which nobody is texted.
    quiet_hours: Option<UsualQuietHours>,
}

/// The usual settings of a conversation. They hold where a request says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Usual {
    /// Its durations.
    pub durations: Durations,
    /// The handling of its calls.
    pub handling: CallHandling,
    /// The masking of contact details in its texts.
    pub text_masking: TextMasking,
    /// True if its late callers may press 1 because of lost property.
    pub lost_property: bool,
}

/// The body of a request.
pub struct Decoded {
    /// The conversation.
    pub new: NewConversation,
    /// True if the answer tells what would be created, and nothing is done.
    pub is_dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationBody {
    participants: Vec<Object<ParticipantBody>>,
    #[serde(default)]
    direction: WhoDials,
    #[serde(default)]
    expires_in: Lifetime,
    #[serde(default)]
    extend_on_use: Option<Lifetime>,
    #[serde(default)]
    latest_end: Option<Timestamp>,
    #[serde(default)]
    quarantine: Option<u32>,
    #[serde(default)]
    max_call_seconds: Option<u32>,
    #[serde(default)]
    ring_seconds: Option<u32>,
    #[serde(default)]
    warn_minutes: Option<u8>,
    #[serde(default)]
    missed_calls: Option<MissedCalls>,
    #[serde(default)]
    guard: Option<Guard>,
    #[serde(default)]
    recording: Option<CallRecording>,
    #[serde(default)]
    safety_key: Option<bool>,
    #[serde(default)]
    max_attempts: Option<u8>,
    #[serde(default)]
    max_ring_seconds: Option<u32>,
    #[serde(default)]
    text_masking: Option<TextMasking>,
    #[serde(default)]
    max_calls: Option<MaxCount>,
    #[serde(default)]
    max_calls_per_day: Option<MaxCount>,
    #[serde(default)]
    max_minutes: Option<MaxCount>,
    #[serde(default)]
    max_spend: Option<MaxSpend>,
    #[serde(default)]
    contact_card: Option<Object<ContactCardBody>>,
    #[serde(default)]
    decision: Option<Object<DecisionUrl>>,
    #[serde(default)]
    lost_property: Option<bool>,
    #[serde(default)]
    support_phone: Option<String>,
    #[serde(default)]
    late_words: Option<OwnTexts>,
    #[serde(default)]
    pin: bool,
    #[serde(default)]
    pin_in_text: bool,
    #[serde(default)]
    pin_remembers_phones: bool,
    #[serde(default = "yes")]
    notify: bool,
    /// Null for text messages at any hour.
    #[serde(default, deserialize_with = "http::given")]
    quiet_hours: Option<Option<IgnoredAny>>,
    #[serde(default)]
    reference: Option<Reference>,
    /// True if the answer tells what would be created, and nothing is done.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParticipantBody {
    number: String,
    #[serde(default)]
    country: Option<Country>,
    #[serde(default)]
    label: Option<Label>,
    #[serde(default)]
    language: Option<Language>,
    #[serde(default)]
    channel: Option<ChosenChannel>,
    #[serde(default)]
    hours: Option<Object<NewHours>>,
    #[serde(default)]
    name: Option<Label>,
    #[serde(default)]
    phones: Vec<Object<FurtherPhoneBody>>,
}

impl HttpFunction for CreateConversation {
    const NAME: &'static str = "create-conversation";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = Vonage::new(VonageConfig::from_environment(env)?);
        let store = Store::connect(env)?.with_journal(env)?;
        Ok(Self {
            tenant_claim: TenantClaim::from_environment(env),
            readers: NumberReaders::from_environment(env)?,
            creator: Creator {
                senders: env.brand_senders()?,
                demand: DemandRecorder::new(env, store.clone(), clock.clone())?,
                text_time_limit: vonage.time_limit(),
                store,
                verifier: NumberVerifier::from_environment(env, &vonage, clock.clone())?,
                texts: Texts::from_environment(env, vonage, clock.clone())?,
                words: env.words()?,
                clock,
                fallback: env.countries("FALLBACK_COUNTRIES")?,
                lists: env.list_key()?,
                cache: PoolCache::default(),
                routes_read: ROUTES_READ,
                usage_time_limit: USAGE_TIME_LIMIT,
            },
            usual: Usual {
                durations: Durations::from_environment(env)?,
                handling: env.call_handling()?,
                text_masking: env.text_masking()?,
                lost_property: env.cares_for_lost_property()?,
            },
            usage_limits: env.usage_limits()?,
            pin_key: env.pin_key()?,
            decision_urls: env.decision_urls()?,
            keeps_recordings: env.recordings_kept_for()?.is_some(),
            hasher: RequestHasher::new(&env.hash_key()?),
            card_key: CardKey::new(&env.hash_key()?.0),
            public_url: env.public_url()?,
            quiet_hours: env.quiet_hours()?,
        })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        let Creator { verifier, texts, .. } = &self.creator;
        // The first request to Vonage: a lookup, or else a text message.
        let vonage = async {
            match &verifier.lookup {
                Some(lookup) => lookup.warm_up().await,
                None => texts.warm_up().await,
            }
        };
        tokio::join!(self.creator.warm_up(), vonage);
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        Query::refuse(&request)?;
        let reveal = self.readers.reveal_to(&request);
        let links = http::card_links(self.public_url.as_deref(), &request, &self.card_key);
        if request.path_parameters_ref().is_some_and(|parameters| parameters.first("id").is_some()) {
            let quiet_hours = self.quiet_hours.clone();
            let invitations = Invitations { card_links: links, quiet_hours, ..Invitations::default() };
            let deadline = deadline::of_work(&request, self.creator.clock.now());
            return notifications::send(&self.creator, &invitations, &request, deadline, reveal, log).await;
        }
        let Decoded { mut new, is_dry_run } =
            decode(&request, self.usual, self.pin_key.as_ref(), self.creator.clock.now())?;
        new.owner = http::scope(&request)?;
        if new.handling.records() && !self.keeps_recordings {
            let detail = "This deployment keeps no recordings. It needs RECORDING_DAYS and the private key of its Voice \
                          application.";
            let field = if new.handling.recording.is_off() { "missed_calls" } else { "recording" };
            return Err(Problem::invalid(field, detail));
        }
        if let Some(words) = &new.late.words {
            http::check_voices("late_words", words, self.creator.words.of(new.owner))?;
        }
        http::check_decision(new.decision.as_ref(), self.decision_urls.as_ref())?;
        let channels = new.participants.each_ref().map(|participant| participant.channel);
        http::check_channels(channels, &self.creator.senders, new.owner)?;
        if let Some(cards) = new.contact_card.take() {
            new.contact_card = Some(cards.or_brand(self.creator.words.of(new.owner).brand()));
            new.invitations.card_links.clone_from(&links);
        }
        if is_dry_run {
            log.outcome = "planned";
            let planned = Box::pin(self.creator.plan(&new)).await?;
            let view = PlanView::new(&new, &planned, reveal, self.creator.clock.now());
            return Ok(http::json(StatusCode::OK, &view));
        }
        new.usual_limits = self.usage_limits;
        new.invitations.quiet_hours.clone_from(&self.quiet_hours);
        let may_come_again = self.hasher.idempotent_request(&request)?;
        let deadline = deadline::of_work(&request, self.creator.clock.now());
        let created = self.creator.create(new, may_come_again, deadline).await?;
        let (status, outcome) =
            if created.is_replay { (StatusCode::OK, "again") } else { (StatusCode::CREATED, "created") };
        log.outcome = outcome;
        log.concerns(&created.conversation);
        let view = ConversationView::new(&created.conversation, reveal, self.creator.clock.now());
        let answer = http::json(status, &view.with_card_links(&created.conversation, links.as_ref()));
        Ok(http::with_revision(answer, &created.conversation))
    }
}

/// Decodes and checks the body of a request. `usual` holds where the body says nothing, and `pin_key` is the secret of PINs, if
/// the deployment has them.
pub fn decode(request: &Request, usual: Usual, pin_key: Option<&PinKey>, now: Timestamp) -> Result<Decoded, Problem> {
    let body: ConversationBody = http::read_json(request)?;
    let is_dry_run = body.dry_run;
    Ok(Decoded { new: body.into_order(usual, pin_key, now)?, is_dry_run })
}

fn within(field: &str, seconds: u32, allowed: RangeInclusive<u32>) -> Result<(), Problem> {
    let (from, to) = (allowed.start(), allowed.end());
    let detail = || format!("Must be from {from} to {to} seconds.");
    if allowed.contains(&seconds) { Ok(()) } else { Err(Problem::invalid(field, detail())) }
}

impl From<ParticipantBody> for NewParticipant {
    fn from(body: ParticipantBody) -> Self {
        let ParticipantBody { number, country, label, language, channel, hours, name, phones } = body;
        let hours = hours.map(|Object(NewHours(hours))| hours);
        let further = phones.into_iter().map(|Object(phone)| phone.into());
        Self { number, country, label, language, channel, hours, name, further: further.collect() }
    }
}

fn has_several_phones(participants: &[NewParticipant; 2]) -> bool {
    participants.iter().flat_map(|participant| &participant.further).any(|phone| !phone.only_dials)
}

fn yes() -> bool {
    true
}

impl ConversationBody {
    /// Returns the warning before the end of a call. Where calls cannot be spoken into, none can be asked for.
    fn warn_minutes(&self, durations: Durations) -> Result<u8, Problem> {
        match (self.warn_minutes, durations.warn_minutes) {
            (Some(own), _) if own > CallLimits::MAX_WARN_MINUTES => {
                Err(Problem::invalid("warn_minutes", format!("Must be from 0 to {}.", CallLimits::MAX_WARN_MINUTES)))
            }
            (Some(1..), None) => Err(http::call_control_off()),
            (own, usual) => Ok(own.or(usual).unwrap_or_default()),
        }
    }

    fn into_order(self, usual: Usual, pin_key: Option<&PinKey>, now: Timestamp) -> Result<NewConversation, Problem> {
        let at_any_hour = self.texts_at_any_hour()?;
        let sliding_end = self.sliding_end(now)?;
        let (pins, late) = (self.pins(pin_key)?, self.late_care(usual.lost_property)?);
        let Usual { durations, handling: usual_handling, text_masking, .. } = usual;
        let warn_minutes = self.warn_minutes(durations)?;
        let participants = <[Object<ParticipantBody>; 2]>::try_from(self.participants)
            .map_err(|all| Problem::invalid("participants", format!("Must have two elements, not {}.", all.len())))?;
        for (side, Object(participant)) in participants.iter().enumerate() {
            let count = participant.phones.len();
            if count >= FurtherPhone::MOST_OF_A_SIDE {
                let detail = format!("Must have at most {} elements, not {count}.", FurtherPhone::MOST_OF_A_SIDE - 1);
                return Err(Problem::invalid(format!("participants[{side}].phones"), detail));
            }
        }
        let participants = participants.map(|Object(participant)| participant.into());
        let max_call_seconds = self.max_call_seconds.unwrap_or(durations.max_call_seconds);
        within("max_call_seconds", max_call_seconds, durations.allowed_max_call_seconds())?;
        let usual = CallLimits::with_max_call(max_call_seconds);
        let ring_seconds = self.ring_seconds.unwrap_or(usual.ring_seconds);
        let limits = CallLimits { ring_seconds, warn_minutes, ..usual };
        within("ring_seconds", limits.ring_seconds, limits.allowed_ring_seconds())?;
        let handling = CallHandling {
            missed_calls: self.missed_calls.unwrap_or(usual_handling.missed_calls),
            guard: self.guard.unwrap_or(usual_handling.guard),
            recording: self.recording.unwrap_or(usual_handling.recording),
            safety_key: self.safety_key.unwrap_or(usual_handling.safety_key),
            max_attempts: self.max_attempts.or_else(|| has_several_phones(&participants).then_some(Attempt::USUAL)),
            max_ring_seconds: self.max_ring_seconds,
            decision: None,
        };
        if !(1..=Attempt::MOST).contains(&handling.attempts()) {
            return Err(Problem::invalid("max_attempts", format!("Must be from 1 to {}.", Attempt::MOST)));
        }
        if let Some(seconds) = handling.max_ring_seconds {
            within("max_ring_seconds", seconds, limits.ring_seconds..=CallHandling::MOST_RING_SECONDS)?;
        }
        let least = limits.least_call_seconds(handling);
        if max_call_seconds < least {
            let detail = format!("Must be at least {least} seconds with these ringing times, guard and missed_calls.");
            return Err(Problem::invalid("max_call_seconds", detail));
        }
        let quarantine_seconds = self.quarantine.unwrap_or(durations.quarantine_seconds);
        within("quarantine", quarantine_seconds, Durations::allowed_quarantines(limits))?;
        Ok(NewConversation {
            owner: Owner::Deployment,
            participants,
            direction: self.direction,
            lifetime: self.expires_in,
            sliding_end,
            quarantine_seconds,
            limits,
            handling,
            text_masking: self.text_masking.unwrap_or(text_masking),
            contact_card: self.contact_card.map(|Object(cards)| cards.try_into()).transpose()?,
            invitations: Invitations { at_any_hour, ..Invitations::default() },
            decision: self.decision.map(|Object(decision)| decision),
            late,
            usage_limits: UsageLimits {
                max_calls: self.max_calls,
                max_calls_per_day: self.max_calls_per_day,
                max_minutes: self.max_minutes,
                max_spend: self.max_spend,
            },
            usual_limits: UsageLimits::default(),
            pins,
            notify: self.notify,
            reference: self.reference,
        })
    }

    /// True if the text messages are sent in the quiet hours of the deployment too.
    fn texts_at_any_hour(&self) -> Result<bool, Problem> {
        match self.quiet_hours {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(_)) => Err(Problem::invalid("quiet_hours", "Must be null here. QUIET_HOURS has the hours.")),
        }
    }

    /// Reads the rule by which the end slides.
    fn sliding_end(&self, now: Timestamp) -> Result<Option<SlidingEnd>, Problem> {
        http::check_latest_end(self.latest_end, now)?;
        if self.extend_on_use.is_none() && self.latest_end.is_some() {
            return Err(Problem::invalid("latest_end", "Needs extend_on_use."));
        }
        Ok(self.extend_on_use.map(|after_use| SlidingEnd::new(after_use, self.latest_end, now)))
    }

    /// Reads the care for late callers.
    fn late_care(&self, usual_lost_property: bool) -> Result<LateCare, Problem> {
        let (support_phone, words) = (self.support_phone()?, self.late_words.clone());
        if words.as_ref().is_some_and(|words| words.longest() > LateCare::MOST_CHARACTERS) {
            let detail = format!("Must have at most {} characters in each language.", LateCare::MOST_CHARACTERS);
            return Err(Problem::invalid("late_words", detail));
        }
        let lost_property = self.lost_property.unwrap_or(usual_lost_property);
        Ok(LateCare { lost_property, support_phone, words, ..LateCare::default() })
    }

    /// Reads the phone that late callers reach.
    fn support_phone(&self) -> Result<Option<RealNumber>, Problem> {
        let Some(written) = &self.support_phone else { return Ok(None) };
        if is_masked(written) {
            return Err(Problem::from(UnreadableNumber::Masked).at("support_phone"));
        }
        let phone = written.strip_prefix('+').and_then(|digits| PhoneNumber::try_from(digits).ok());
        let malformed = || Problem::invalid("support_phone", "Must be a phone number such as +442079460000.");
        phone.map(RealNumber::from).map(Some).ok_or_else(malformed)
    }

    fn pins(&self, key: Option<&PinKey>) -> Result<Option<PinIssuer>, Problem> {
        match key {
            _ if !self.pin && self.pin_in_text => Err(Problem::invalid("pin_in_text", "Needs pin.")),
            _ if !self.pin && self.pin_remembers_phones => Err(Problem::invalid("pin_remembers_phones", "Needs pin.")),
            _ if !self.pin => Ok(None),
            Some(key) => Ok(Some(PinIssuer {
                key: key.clone(),
                in_texts: self.pin_in_text,
                remembers_phones: self.pin_remembers_phones,
            })),
            None => Err(Problem::invalid("pin", "This deployment has no PINs. Set PINS=on to have them.")),
        }
    }
}
