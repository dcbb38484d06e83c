//! `PATCH /conversations/{id}` changes the expiry of a conversation, its limits, its participants' languages, the phone of one of
//! them, or who is blocked. The virtual numbers stay the same.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::{Deserialize, Deserializer};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::domain::conversation::Lifetime;
use shared::domain::country::Country;
use shared::domain::language::Language;
use shared::domain::side::{Blocked, Side};
use shared::domain::usage::{MaxCount, MaxSpend, UsageLimits};
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Object, Problem};
use shared::edge::request_log::RequestLog;
use shared::edge::view::ConversationView;
use shared::service::pool_cache::PoolCache;
use shared::service::update::{Change, NewPhone, Updater};
use shared::service::verify_number::NumberVerifier;
use shared::store::Store;
use shared::vonage::Vonage;
use shared::vonage::carrier_lookup::CarrierLookup;

/// The function that changes conversations.
pub struct UpdateConversation {
    updater: Updater<CarrierLookup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default)]
    expires_in: Option<Lifetime>,
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
    /// Null blocks nobody.
    #[serde(default, deserialize_with = "given")]
    blocked: Option<Option<Blocked>>,
}

/// Tells a null from a field that is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Blocked>>, D::Error> {
    Deserialize::deserialize(value).map(Some)
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
}

impl HttpFunction for UpdateConversation {
    const NAME: &'static str = "update-conversation";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = Vonage::new(VonageConfig::from_environment(env)?);
        let verifier = NumberVerifier::from_environment(env, &vonage, clock.clone())?;
        let (store, cache) = (Store::connect(env)?.with_journal(env)?, PoolCache::default());
        Ok(Self { updater: Updater { store, verifier, words: env.words()?, clock, pin_key: env.pin_key()?, cache } })
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
        let id = http::conversation_id(&request)?;
        (log.outcome, log.conversation) = ("changed", Some(id));
        let change = http::read_json::<ChangeBody>(&request)?.try_into()?;
        let conversation = self.updater.update(id, &change).await?;
        log.concerns(&conversation);
        Ok(http::json(StatusCode::OK, &ConversationView::new(&conversation, self.updater.clock.now())))
    }
}

impl TryFrom<ChangeBody> for Change {
    type Error = Problem;

    fn try_from(body: ChangeBody) -> Result<Self, Problem> {
        let (phone, languages) = body.participants.map(change_of_people).transpose()?.unwrap_or_default();
        let limits = UsageLimits {
            max_calls: body.max_calls,
            max_calls_per_day: body.max_calls_per_day,
            max_minutes: body.max_minutes,
            max_spend: body.max_spend,
        };
        let keeps_people = phone.is_none() && languages.iter().all(Option::is_none);
        if keeps_people && body.expires_in.is_none() && limits.is_none() && body.blocked.is_none() {
            let detail = "The change is empty. Give expires_in, participants, a limit or blocked.";
            return Err(Problem::invalid("", detail));
        }
        Ok(Self { lifetime: body.expires_in, phone, languages, limits, blocked: body.blocked })
    }
}

/// Returns the new phone of one participant, and the new languages of both.
fn change_of_people(
    participants: Vec<Option<Object<ParticipantBody>>>,
) -> Result<(Option<NewPhone>, [Option<Language>; 2]), Problem> {
    let at_fault = |detail: &str| Problem::invalid("participants", detail);
    let both = <[Option<Object<ParticipantBody>>; 2]>::try_from(participants)
        .map_err(|_| at_fault("Must have two elements, with null for the participant who does not change."))?;
    let (mut phones, mut languages) = (Vec::new(), [None, None]);
    for (side, participant) in Side::BOTH.into_iter().zip(both) {
        let Some(Object(ParticipantBody { number, country, language })) = participant else { continue };
        match number {
            Some(number) => phones.push(NewPhone { side, number, country }),
            None if country.is_some() || language.is_none() => {
                return Err(at_fault("A participant who changes must have a new number or a language."));
            }
            None => {}
        }
        languages[side.index()] = language;
    }
    match phones.len() {
        0 if languages.iter().all(Option::is_none) => {
            Err(at_fault("One participant must have a new number or a language."))
        }
        0 | 1 => Ok((phones.pop(), languages)),
        _ => Err(at_fault("Only one participant can have a new number.")),
    }
}
