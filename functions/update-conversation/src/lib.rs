//! `PATCH /conversations/{id}` changes the expiry of a conversation, its limits, its handling of calls, its participants' languages
//! and phones, or who is blocked. The virtual numbers stay the same.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Deserialize;
use shared::clock::SharedClock;
use shared::config::{ConfigError, DecisionUrls, Environment, VonageConfig};
use shared::domain::attempt::Attempt;
use shared::domain::call_handling::CallHandling;
use shared::domain::card_link::CardKey;
use shared::domain::channel::{BrandSenders, ChosenChannel};
use shared::domain::conversation::FurtherPhone;
use shared::domain::country::Country;
use shared::domain::decision_url::DecisionUrl;
use shared::domain::guard::Guard;
use shared::domain::language::Language;
use shared::domain::lifetime::Lifetime;
use shared::domain::missed_calls::MissedCalls;
use shared::domain::side::{Blocked, Side};
use shared::domain::text::Label;
use shared::domain::text_masking::TextMasking;
use shared::domain::usage::{MaxCount, MaxSpend, UsageLimits};
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, ContactCardBody, FurtherPhoneBody, NumberReaders, Object, Problem, Query, TenantClaim};
use shared::edge::request_log::RequestLog;
use shared::edge::view::ConversationView;
use shared::service::create::NewFurtherPhone;
use shared::service::pool_cache::PoolCache;
use shared::service::update::{Change, HandlingChange, NewPhone, SlidingEndChange, Updater};
use shared::service::verify_number::NumberVerifier;
use shared::store::Store;
use shared::vonage::Vonage;
use shared::vonage::carrier_lookup::CarrierLookup;

/// The function that changes conversations.
pub struct UpdateConversation {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    readers: NumberReaders,
    updater: Updater<CarrierLookup>,
    /// The decision URLs, if the deployment has some.
    decision_urls: Option<DecisionUrls>,
    /// The deployment's senders on channels.
    senders: BrandSenders,
    card_key: CardKey,
    public_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default)]
    expires_in: Option<Lifetime>,
    /// Null for an end that does not slide any more.
    #[serde(default, deserialize_with = "http::given")]
    extend_on_use: Option<Option<Lifetime>>,
    #[serde(default)]
    latest_end: Option<Timestamp>,
    /// As at creation, with null for the participant who does not change.
    #[serde(default)]
    participants: Option<Vec<Option<Object<ParticipantBody>>>>,
    #[serde(default)]
    max_calls: Option<MaxCount>,
    #[serde(default)]
    max_calls_per_day: Option<MaxCount>,
    #[serde(default)]
    max_minutes: Option<MaxCount>,
    #[serde(default)]
    max_spend: Option<MaxSpend>,
    #[serde(default)]
    missed_calls: Option<MissedCalls>,
    #[serde(default)]
    guard: Option<Guard>,
    #[serde(default)]
    safety_key: Option<bool>,
    #[serde(default)]
    max_attempts: Option<u8>,
    #[serde(default)]
    max_ring_seconds: Option<u32>,
    #[serde(default)]
    text_masking: Option<TextMasking>,
    /// With null nobody gets a card any more.
    #[serde(default, deserialize_with = "http::given")]
    contact_card: Option<Option<Object<ContactCardBody>>>,
    /// Null blocks nobody.
    #[serde(default, deserialize_with = "http::given")]
    blocked: Option<Option<Blocked>>,
    /// With null the backend decides about no call any more.
    #[serde(default, deserialize_with = "http::given")]
    decision: Option<Option<Object<DecisionUrl>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParticipantBody {
    #[serde(default)]
    number: Option<String>,
    #[serde(default)]
    country: Option<Country>,
    #[serde(default)]
    language: Option<Language>,
    /// Null leaves the channel to the participant.
    #[serde(default, deserialize_with = "http::given")]
    channel: Option<Option<ChosenChannel>>,
    #[serde(default)]
    name: Option<Label>,
    /// All further phones from now on.
    #[serde(default)]
    phones: Option<Vec<Object<FurtherPhoneBody>>>,
}

/// The changes of both participants.
#[derive(Default)]
struct People {
    phone: Option<NewPhone>,
    further: [Option<Vec<NewFurtherPhone>>; 2],
    languages: [Option<Language>; 2],
    channels: [Option<Option<ChosenChannel>>; 2],
    names: [Option<Label>; 2],
}

impl HttpFunction for UpdateConversation {
    const NAME: &'static str = "update-conversation";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = Vonage::new(VonageConfig::from_environment(env)?);
        let verifier = NumberVerifier::from_environment(env, &vonage, clock.clone())?;
        let (store, cache) = (Store::connect(env)?.with_journal(env)?, PoolCache::default());
        let updater = Updater { store, verifier, words: env.words()?, clock, pin_key: env.pin_key()?, cache };
        let (card_key, public_url) = (CardKey::new(&env.hash_key()?.0), env.public_url()?);
        Ok(Self {
            tenant_claim: TenantClaim::from_environment(env),
            readers: NumberReaders::from_environment(env)?,
            updater,
            decision_urls: env.decision_urls()?,
            senders: env.brand_senders()?,
            card_key,
            public_url,
        })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        let lookup = async {
            if let Some(lookup) = &self.updater.verifier.lookup {
                lookup.warm_up().await;
            }
        };
        tokio::join!(self.updater.store.warm_up(), lookup);
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        Query::refuse(&request)?;
        let id = http::conversation_of(&request, &self.updater.store).await?;
        (log.outcome, log.conversation) = ("changed", Some(id));
        let mut change: Change = http::read_json::<ChangeBody>(&request)?.try_into()?;
        change.expected = http::expected_revisions(&request)?;
        http::check_latest_end(change.sliding_end.latest, self.updater.clock.now())?;
        http::check_decision(change.decision.as_ref().and_then(Option::as_ref), self.decision_urls.as_ref())?;
        http::check_channels(change.channels.map(Option::flatten), &self.senders, http::scope(&request)?)?;
        let conversation = self.updater.update(id, &change).await?;
        log.concerns(&conversation);
        let links = http::card_links(self.public_url.as_deref(), &request, &self.card_key);
        let view = ConversationView::new(&conversation, self.readers.reveal_to(&request), self.updater.clock.now());
        let answer = http::json(StatusCode::OK, &view.with_card_links(&conversation, links.as_ref()));
        Ok(http::with_revision(answer, &conversation))
    }
}

impl TryFrom<ChangeBody> for Change {
    type Error = Problem;

    fn try_from(body: ChangeBody) -> Result<Self, Problem> {
        let is_about_people = body.participants.is_some();
        let People { phone, further, languages, channels, names } =
            body.participants.map(change_of_people).transpose()?.unwrap_or_default();
        let ChangeBody { missed_calls, guard, safety_key, max_attempts, max_ring_seconds, .. } = body;
        let handling = HandlingChange { missed_calls, guard, safety_key, max_attempts, max_ring_seconds };
        if !(1..=Attempt::MOST).contains(&max_attempts.unwrap_or(1)) {
            return Err(Problem::invalid("max_attempts", format!("Must be from 1 to {}.", Attempt::MOST)));
        }
        if max_ring_seconds.is_some_and(|seconds| !(10..=CallHandling::MOST_RING_SECONDS).contains(&seconds)) {
            let detail = format!("Must be from 10 to {} seconds.", CallHandling::MOST_RING_SECONDS);
            return Err(Problem::invalid("max_ring_seconds", detail));
        }
        let limits = UsageLimits {
            max_calls: body.max_calls,
            max_calls_per_day: body.max_calls_per_day,
            max_minutes: body.max_minutes,
            max_spend: body.max_spend,
        };
        let sliding_end = SlidingEndChange { after_use: body.extend_on_use, latest: body.latest_end };
        let keeps_end = body.expires_in.is_none() && sliding_end == SlidingEndChange::default();
        let keeps_handling = handling == HandlingChange::default() && body.decision.is_none();
        let keeps_calls = limits.is_none() && keeps_handling && body.blocked.is_none();
        let keeps_texts = body.text_masking.is_none() && body.contact_card.is_none();
        if !is_about_people && keeps_calls && keeps_texts && keeps_end {
            let detail = "The change is empty. Give expires_in, extend_on_use, participants, a limit, blocked, contact_card, \
                          decision, text_masking, or a handling of calls.";
            return Err(Problem::invalid("", detail));
        }
        Ok(Self {
            expected: None,
            lifetime: body.expires_in,
            sliding_end,
            phone,
            further,
            names,
            handling,
            text_masking: body.text_masking,
            contact_card: body
                .contact_card
                .map(|cards| cards.map(|Object(cards)| cards.try_into()).transpose())
                .transpose()?,
            decision: body.decision.map(|decision| decision.map(|Object(decision)| decision)),
            languages,
            channels,
            limits,
            blocked: body.blocked,
        })
    }
}

/// Returns the changes of both participants.
fn change_of_people(participants: Vec<Option<Object<ParticipantBody>>>) -> Result<People, Problem> {
    let at_fault = |detail: &str| Problem::invalid("participants", detail);
    let both = <[Option<Object<ParticipantBody>>; 2]>::try_from(participants)
        .map_err(|_| at_fault("Must have two elements, with null for the participant who does not change."))?;
    let (mut people, mut is_empty) = (People::default(), true);
    for (side, participant) in Side::BOTH.into_iter().zip(both) {
        let Some(Object(participant)) = participant else { continue };
        let ParticipantBody { number, country, language, channel, name, phones } = participant;
        let keeps_all = language.is_none() && channel.is_none() && name.is_none() && phones.is_none();
        match number {
            Some(_) if people.phone.is_some() => {
                return Err(at_fault("Only one participant can have a new number."));
            }
            Some(number) => people.phone = Some(NewPhone { side, number, country }),
            None if country.is_some() || keeps_all => {
                return Err(at_fault(
                    "A participant who changes must have a new number, a language, a channel, a name or phones.",
                ));
            }
            None => {}
        }
        let most = FurtherPhone::MOST_OF_A_SIDE - 1;
        if let Some(count) = phones.as_ref().map(Vec::len).filter(|count| *count > most) {
            let field = format!("participants[{}].phones", side.index());
            return Err(Problem::invalid(field, format!("Must have at most {most} elements, not {count}.")));
        }
        let phones = phones.map(|phones| phones.into_iter().map(|Object(phone)| phone.into()).collect());
        people.further[side.index()] = phones;
        people.languages[side.index()] = language;
        people.channels[side.index()] = channel;
        people.names[side.index()] = name;
        is_empty = false;
    }
    match is_empty {
        true => Err(at_fault("One participant must have a new number, a language, a channel, a name or phones.")),
        false => Ok(people),
    }
}
