//! Fetches recordings from Vonage into the deployment's own bucket, tells of them, and deletes those of erased conversations.
//!
//! The event webhook invokes it for each new recording, and a schedule goes on with all that is not done. The webhook also has it text
//! people with a channel about calls. It has no route: it has the application's private key and may write to the bucket, and nobody
//! outside reaches it.

use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::domain::conversation::ConversationId;
use shared::domain::recording::RecordingId;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::Problem;
use shared::edge::request_log::RequestLog;
use shared::event_bus::EventBus;
use shared::recording_files::RecordingFiles;
use shared::service::call_texts::{CALL_TEXTS_SOURCE, CallTextOrder};
use shared::service::recordings::{KeptRecordings, RECORDINGS_SOURCE, RecordingKeeper};
use shared::store::{Store, StoreError};
use shared::vonage::Vonage;
use shared::vonage::application_token::ApplicationToken;
use shared::vonage::recordings::RecordingsApi;
use shared::vonage::texts::Texts;

/// The function that keeps recordings.
pub struct KeepRecordings {
    keeper: RecordingKeeper<Texts>,
}

/// The event of an invocation for one recording.
#[derive(Deserialize)]
struct OneRecording {
    conversation: ConversationId,
    recording: RecordingId,
}

impl HttpFunction for KeepRecordings {
    const NAME: &'static str = "keep-recordings";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = Vonage::new(VonageConfig::from_environment(env)?);
        let kept_for = env.recordings_kept_for()?;
        // Without recordings no key is needed: those that are there are only deleted.
        let token = kept_for.map(|_| ApplicationToken::from_environment(env, clock.clone())).transpose()?;
        let api = token.map(|token| RecordingsApi::new(vonage.clone(), token, env)).transpose()?;
        Ok(Self {
            keeper: RecordingKeeper {
                store: Store::connect(env)?,
                files: RecordingFiles::from_environment(env)?.ok_or(ConfigError::Missing("RECORDINGS_BUCKET"))?,
                vonage: api,
                kept_for: kept_for.unwrap_or(SignedDuration::ZERO),
                texts: Texts::from_environment(env, vonage, clock.clone())?,
                senders: env.brand_senders()?,
                bus: EventBus::from_environment(env)?,
                words: env.words()?,
                clock,
            },
        })
    }

    async fn warm_up(&self) {
        // Nobody waits for it.
    }

    async fn handle(&self, _: Request, _: &mut RequestLog) -> Result<Response<Body>, Problem> {
        Err(Problem::not_found("This function has no route."))
    }
}

impl ScheduledFunction for KeepRecordings {
    async fn tick(&self, event: Value, deadline: Option<Timestamp>) -> Value {
        if event["source"] == CALL_TEXTS_SOURCE {
            return self.text(&event).await;
        }
        let done = match event["source"] == RECORDINGS_SOURCE {
            true => match OneRecording::deserialize(&event) {
                Ok(one) => self.keeper.first_try(one.conversation, &one.recording).await,
                Err(_) => return json!({"failed": "the event does not name a recording"}),
            },
            false => self.keeper.run(deadline).await,
        };
        report(done)
    }
}

impl KeepRecordings {
    /// Sends the text message of the event about a call.
    async fn text(&self, event: &Value) -> Value {
        let Ok(order) = CallTextOrder::deserialize(event) else {
            return json!({"failed": "the event does not name a text message"});
        };
        match self.keeper.call_texts().carry_out(&order).await {
            Ok(()) => json!({"texted": true}),
            Err(cause) => {
                tracing::error!(%cause, "a text message about a call is not sent, or its outcome is not recorded");
                json!({"failed": cause.to_string()})
            }
        }
    }
}

/// Logs the problem of a run and returns its report.
fn report(done: Result<KeptRecordings, StoreError>) -> Value {
    match done {
        Ok(KeptRecordings { kept, given_up, erased, failed, is_cut_short }) => {
            json!({"kept": kept, "given_up": given_up, "erased": erased, "retried_later": failed, "stopped": is_cut_short})
        }
        Err(cause) => {
            tracing::error!(schedule_failures = 1u64, %cause, "the run failed; the next one continues");
            json!({"failed": cause.to_string()})
        }
    }
}
