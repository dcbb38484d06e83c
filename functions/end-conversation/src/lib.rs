//! `DELETE /conversations/{id}` ends a conversation, with `?hang_up=true` also its calls, and with `?erase=true` erases it.
//! `POST /erasures` erases all conversations of a phone, and `GET /erasures/{id}` shows how far that is. A schedule goes on with it,
//! erases conversations past their retention, and asks Vonage to redact the carrier records of erased ones.

mod erasures;

use jiff::Timestamp;
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::Reveal;
use shared::edge::deadline;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::{self, NumberReaders, Problem, Query, TenantClaim};
use shared::edge::request_log::RequestLog;
use shared::edge::view::ConversationView;
use shared::invoke::AsyncFunction;
use shared::service::forget::{Forgetter, Forgotten};
use shared::service::hang_up::HangUp;
use shared::service::redact::{Redacted, Redactor};
use shared::store::Store;
use shared::vonage::Vonage;
use shared::vonage::redact::RedactApi;

/// The function that ends and erases conversations.
pub struct EndConversation {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    readers: NumberReaders,
    store: Store,
    redact: RedactApi,
    /// The function that ends calls, if this deployment controls calls.
    control: Option<AsyncFunction>,
    clock: SharedClock,
}

impl HttpFunction for EndConversation {
    const NAME: &'static str = "end-conversation";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let redact = RedactApi::new(Vonage::new(VonageConfig::from_environment(env)?));
        let control = if env.controls_calls()? { AsyncFunction::controlling(env)? } else { None };
        Ok(Self {
            tenant_claim: TenantClaim::from_environment(env),
            readers: NumberReaders::from_environment(env)?,
            store: Store::connect(env)?.with_journal(env)?,
            redact,
            control,
            clock,
        })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        self.store.warm_up().await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        if *request.method() != Method::DELETE {
            Query::refuse(&request)?;
        }
        match *request.method() {
            Method::POST => {
                log.outcome = "erasing a number";
                let deadline = deadline::of_work(&request, self.clock.now());
                let forgetter = Forgetter { store: &self.store, clock: &self.clock, deadline };
                erasures::begin(&forgetter, &request).await
            }
            Method::GET => {
                log.outcome = "shown";
                erasures::show(&self.store, &request, self.clock.now()).await
            }
            _ => self.end_or_erase(&request, log).await,
        }
    }
}

impl EndConversation {
    async fn end_or_erase(&self, request: &Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let query = Query::read(request, &["erase", "hang_up"])?;
        let (erases, hangs_up) = (query.flag("erase")?, query.flag("hang_up")?);
        let id = http::conversation_of(request, &self.store).await?;
        log.conversation = Some(id);
        let (reveal, now) = (self.readers.reveal_to(request), self.clock.now());
        if !hangs_up {
            return if erases {
                self.erase(id, log).await
            } else {
                answer(self.store.end_conversation(id, now).await?, reveal, now, log)
            };
        }
        let control = self.control.as_ref().ok_or_else(http::call_control_off)?;
        let ended = self.store.end_conversation_and_calls(id, now).await?;
        if ended.is_none() && erases {
            // It was erased before, with its calls.
            return self.erase(id, log).await;
        }
        let ended = answer(ended, reveal, now, log)?;
        // After the end, so that no further call begins, and before an erasure, which deletes the legs.
        let legs = self.store.legs_of_live_calls(id, now).await?;
        let request = HangUp::of_calls(id, legs.into_iter().map(|leg| leg.conversation_uuid).collect());
        if !request.send(control).await {
            return Err(http::not_handed_on());
        }
        if erases { self.erase(id, log).await } else { Ok(ended) }
    }

    async fn erase(&self, id: ConversationId, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        log.outcome = "erased";
        let is_known = self.store.erase_conversation(id, self.clock.now()).await?;
        if is_known { Ok(http::empty(StatusCode::NO_CONTENT)) } else { Err(http::no_conversation()) }
    }
}

impl ScheduledFunction for EndConversation {
    async fn tick(&self, _: Value, deadline: Option<Timestamp>) -> Value {
        // The other half is for the redactions.
        let now = self.clock.now();
        let half_time = deadline.map(|deadline| now + deadline.duration_since(now) / 2);
        let forgetter = Forgetter { store: &self.store, clock: &self.clock, deadline: half_time };
        let redactor = Redactor { store: &self.store, api: &self.redact, clock: &self.clock, deadline };
        let forgotten = forgetter.run().await;
        let mut redacted = redactor.run().await;
        let forgotten = forgotten.unwrap_or_else(|error| {
            redacted.failures.push(error);
            Forgotten::default()
        });
        report(&forgotten, &redacted)
    }
}

/// Logs the problems of a run and returns its report.
fn report(forgotten: &Forgotten, done: &Redacted) -> Value {
    let mut not_provisioned: Vec<_> = done.not_provisioned.iter().map(|product| product.as_str()).collect();
    not_provisioned.sort_unstable();
    if !not_provisioned.is_empty() {
        let products = not_provisioned.join(", ");
        tracing::error!(
            schedule_failures = 1u64,
            products,
            "Vonage has not enabled redaction of these products for this account"
        );
    }
    if let Some(cause) = &done.stopped {
        tracing::warn!(cause, "redaction run stopped early; the next run continues");
    }
    for cause in &done.failures {
        tracing::error!(schedule_failures = 1u64, %cause, "a part of the run failed; the next run continues");
    }
    let Redacted { settled, unsettled, redacted, postponed, given_up, stopped, retired, .. } = done;
    let retention = json!({"erased": retired.erased, "failed": retired.failed, "pages": retired.pages,
                           "complete": retired.is_complete});
    let Forgotten { done: numbers, running } = forgotten;
    let mut report = json!({"numbers": {"done": numbers, "running": running}, "settled": settled, "unsettled": unsettled, "retention": retention, "redacted": redacted,
                            "postponed": postponed, "given_up": given_up, "not_provisioned": not_provisioned,
                            "stopped": stopped});
    if let Some(failure) = done.failures.first() {
        report["failed"] = failure.to_string().into();
    }
    report
}

/// Returns the answer with a conversation that has ended.
fn answer(
    ended: Option<Conversation>,
    reveal: Reveal,
    now: Timestamp,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    log.outcome = "ended";
    let conversation = ended.ok_or_else(http::no_conversation)?;
    let answer = http::json(StatusCode::OK, &ConversationView::new(&conversation, reveal, now));
    Ok(http::with_revision(answer, &conversation))
}
