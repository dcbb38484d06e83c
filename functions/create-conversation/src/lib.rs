//! `POST /conversations`: pairs two people.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Deserialize;
use shared::clock::SharedClock;
use shared::config::{ConfigError, Durations, Environment, VonageConfig};
use shared::conversation::{Label, Lifetime, Reference};
use shared::country::Country;
use shared::creation::{Creator, NewConversation, NewParticipant, PoolCache};
use shared::http::{self, Object, Problem};
use shared::lambda::{self, HttpFunction, RequestLine};
use shared::provisioning::Provisioner;
use shared::store::Store;
use shared::view::ConversationView;
use shared::vonage::Vonage;
use shared::vonage::number_insight::NumberInsight;
use shared::vonage::sms::SmsApi;

/// The creation of conversations.
pub struct CreateConversation {
    creator: Creator<NumberInsight, SmsApi>,
    durations: Durations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationBody {
    participants: Vec<Object<ParticipantBody>>,
    #[serde(default)]
    expires_in: Lifetime,
    #[serde(default)]
    quarantine: Option<u32>,
    #[serde(default = "yes")]
    notify: bool,
    #[serde(default)]
    reference: Option<Reference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParticipantBody {
    number: String,
    #[serde(default)]
    country: Option<Country>,
    #[serde(default)]
    label: Option<Label>,
}

impl HttpFunction for CreateConversation {
    const NAME: &'static str = "create-conversation";

    async fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = Vonage::new(VonageConfig::from_environment(env)?);
        let store = Store::connect(env).await?;
        Ok(Self {
            creator: Creator {
                provisioner: Provisioner::new(env, store.clone(), vonage.clone(), clock.clone())?,
                store,
                lookup: NumberInsight(vonage.clone()),
                texts: SmsApi(vonage),
                clock,
                fallback: env.fallback_countries()?,
                auto_rent_max: env.country_counts("AUTO_RENT_MAX")?,
                cache: PoolCache::default(),
            },
            durations: Durations::from_environment(env)?,
        })
    }

    async fn handle(&self, request: Request, line: &mut RequestLine) -> Result<Response<Body>, Problem> {
        let new = http::read_json::<ConversationBody>(&request)?.into_order(self.durations)?;
        let may_come_again = http::idempotent_request(&request)?;
        let ends_at = lambda::ends_at(&request, self.creator.clock.now());
        let created = self.creator.create(new, may_come_again, ends_at).await?;
        let (status, outcome) =
            if created.before { (StatusCode::OK, "again") } else { (StatusCode::CREATED, "created") };
        (line.outcome, line.conversation) = (outcome, Some(created.conversation.id));
        Ok(http::json(status, &ConversationView::new(&created.conversation, self.creator.clock.now())))
    }
}

fn yes() -> bool {
    true
}

impl ConversationBody {
    fn into_order(self, durations: Durations) -> Result<NewConversation, Problem> {
        let participants = <[Object<ParticipantBody>; 2]>::try_from(self.participants)
            .map_err(|all| Problem::invalid("participants", format!("There have to be two, not {}.", all.len())))?;
        let participants = participants.map(|Object(ParticipantBody { number, country, label })| NewParticipant {
            number,
            country,
            label,
        });
        let quarantine_seconds = self.quarantine.unwrap_or(durations.quarantine_seconds);
        let allowed = durations.allowed_quarantines();
        if !allowed.contains(&quarantine_seconds) {
            let (from, to) = (allowed.start(), allowed.end());
            return Err(Problem::invalid("quarantine", format!("Must be from {from} to {to} seconds.")));
        }
        Ok(NewConversation {
            participants,
            lifetime: self.expires_in,
            quarantine_seconds,
            notify: self.notify,
            reference: self.reference,
        })
    }
}
