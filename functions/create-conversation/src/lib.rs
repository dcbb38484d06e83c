//! `POST /conversations`: pairs two people.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Deserialize;
use shared::clock::SharedClock;
use shared::config::{ConfigError, Durations, Environment, VonageConfig};
use shared::conversation::{Label, Lifetime, Reference};
use shared::country::Country;
use shared::creation::{Creator, NewConversation, NewParticipant};
use shared::http::{self, Object, Problem};
use shared::lambda::HttpFunction;
use shared::store::Store;
use shared::view::ConversationView;
use shared::vonage::Vonage;
use shared::vonage::number_insight::NumberInsight;
use shared::vonage::sms::SmsApi;

/// The creation of conversations.
pub struct CreateConversation {
    creator: Creator<NumberInsight, SmsApi>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationBody {
    participants: Vec<Object<ParticipantBody>>,
    #[serde(default)]
    expires_in: Lifetime,
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
        Ok(Self {
            creator: Creator {
                store: Store::connect(env).await?,
                lookup: NumberInsight(vonage.clone()),
                texts: SmsApi(vonage),
                clock,
                quarantine_seconds: Durations::from_environment(env)?.quarantine_seconds,
            },
        })
    }

    async fn handle(&self, request: Request) -> Result<Response<Body>, Problem> {
        let new = http::read_json::<ConversationBody>(&request)?.try_into()?;
        let conversation = self.creator.create(new).await?;
        Ok(http::json(StatusCode::CREATED, &ConversationView::new(&conversation, self.creator.clock.now())))
    }
}

fn yes() -> bool {
    true
}

impl TryFrom<ConversationBody> for NewConversation {
    type Error = Problem;

    fn try_from(body: ConversationBody) -> Result<Self, Problem> {
        let participants = <[Object<ParticipantBody>; 2]>::try_from(body.participants)
            .map_err(|all| Problem::invalid("participants", format!("There have to be two, not {}.", all.len())))?;
        let participants = participants.map(|Object(ParticipantBody { number, country, label })| NewParticipant {
            number,
            country,
            label,
        });
        Ok(Self { participants, lifetime: body.expires_in, notify: body.notify, reference: body.reference })
    }
}
