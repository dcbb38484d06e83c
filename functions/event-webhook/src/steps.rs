//! `POST /webhooks/event/{id}/{step}`: the steps of a call, each with what comes next.

use lambda_http::Request;
use shared::domain::conversation::ConversationId;
use shared::domain::decision::Decision;
use shared::domain::recording::RecordingKind;
use shared::domain::words::Speech;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::service::call_steps::Next;
use shared::service::hang_up::HangUp;
use shared::service::recordings;
use shared::store::LegIds;
use shared::vonage::call_urls::{CallUrls, Step, StepKind};
use shared::vonage::ncco::{self, FollowUp, Ncco, Settled};
use shared::vonage::record_event::RecordEvent;
use shared::vonage::step_event::StepEvent;

use crate::{EventWebhook, not_an_object};

/// A step that Vonage asks about.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    pub(crate) id: ConversationId,
    pub(crate) step: Step,
    pub(crate) event: StepEvent,
    /// The body of the request. That of a recording has more than a [`StepEvent`].
    body: &'a [u8],
    urls: Option<CallUrls>,
}

impl Asked<'_> {
    fn ids(&self) -> Option<LegIds> {
        self.event.ids().map(|(call, leg)| LegIds { call, leg })
    }
}

impl EventWebhook {
    /// Returns what comes next after a step of a call. `None` if the call just goes on.
    pub(crate) async fn after_step(
        &self,
        request: &Request,
        step: Step,
        body: &[u8],
        log: &mut RequestLog,
    ) -> Result<Option<Ncco>, Problem> {
        let event = StepEvent::parse(body).map_err(not_an_object)?;
        let id = http::conversation_id(request)?;
        let urls = http::call_urls(self.public_url.as_deref(), request, id);
        (log.conversation, log.call) = (Some(id), event.call());
        let asked = Asked { request, id, step, event, body, urls };
        let (outcome, next) = match step.kind {
            StepKind::Guard => ("guard", Some(self.at_guard(&asked).await?)),
            StepKind::Menu => ("menu", Some(self.in_menu(&asked).await?)),
            StepKind::Join => ("join", Some(self.join(&asked).await?)),
            StepKind::Consent => ("consent", Some(self.consent(&asked).await?)),
            StepKind::Agree => ("consent", Some(self.agree(&asked).await?)),
            StepKind::After => ("end of a guarded leg", self.after_guarded_leg(&asked).await?),
            StepKind::Voicemail => (self.recorded(&asked, RecordingKind::Voicemail).await?, None),
            StepKind::Recorded => (self.recorded(&asked, RecordingKind::Call).await?, None),
            StepKind::Late => return Ok(Some(self.late(&asked, log).await?)),
            StepKind::Decide => return Ok(Some(self.decide(&asked, log).await?)),
            StepKind::Safety => (self.key_in_call(id, step.callee.other(), &asked.event).await?, None),
            // Their bodies are events of legs.
            StepKind::Placed => ("event of a leg", None),
            StepKind::Leg => ("of no attempt", None),
        };
        log.outcome = outcome;
        Ok(next)
    }

    async fn at_guard(&self, asked: &Asked<'_>) -> Result<Ncco, Problem> {
        let (Asked { id, step, event, urls, .. }, ids) = (asked, asked.ids());
        let callee = (step.callee, step.attempt);
        let answer = self.steps.at_guard(*id, callee, event.digits(), ids.clone(), urls.as_ref()).await?;
        if let (false, Some(ids)) = (answer.is_accepted, ids) {
            // Without an answer Vonage asks again. A leg that is not hung up waits alone, which is no failure.
            self.hang_up(&HangUp::of_leg(*id, ids)).await.ok();
        }
        Ok(answer.ncco)
    }

    async fn in_menu(&self, Asked { id, step, event, urls, .. }: &Asked<'_>) -> Result<Ncco, Problem> {
        Ok(self.steps.in_menu(*id, step.callee, event.digits(), urls.as_ref()).await?)
    }

    /// Returns what comes next on the first leg of a call that a request placed.
    async fn join(&self, Asked { request, id, step, event, .. }: &Asked<'_>) -> Result<Ncco, Problem> {
        let answer = |decision, speech: &Speech<'_>| self.decided(request, decision, speech);
        Ok(self.steps.join(*id, step.callee, event.digits(), answer).await?)
    }

    async fn consent(&self, asked: &Asked<'_>) -> Result<Ncco, Problem> {
        let Asked { request, id, step, event, .. } = asked;
        let answer = |decision: Decision, speech: &Speech<'_>| {
            let follow_up = self.follow_up(request, &decision);
            self.in_turn(request, Some(*id), speech, ncco::decided_after(Settled::Consent, decision, speech, follow_up))
        };
        Ok(self.steps.consent(*id, step.callee, event.digits(), asked.ids(), answer).await?)
    }

    async fn agree(&self, Asked { id, step, event, urls, .. }: &Asked<'_>) -> Result<Ncco, Problem> {
        let (callee, call) = ((step.callee, step.attempt), event.call());
        Ok(self.steps.agree(*id, callee, event.digits(), call.as_deref(), urls.as_ref()).await?)
    }

    async fn after_guarded_leg(&self, asked: &Asked<'_>) -> Result<Option<Ncco>, Problem> {
        let Asked { request, id, step, event, urls, .. } = asked;
        let (Some(call), Some(urls)) = (event.call(), urls) else { return Ok(None) };
        let next = self.steps.after_guarded_leg(*id, (step.callee, step.attempt), &call, urls).await?;
        Ok(next.map(|next| self.answer(request, Some(*id), next)))
    }

    /// Notes a message or a recorded call, and has its file fetched. Returns the outcome. If the function that fetches cannot be
    /// invoked, its schedule finds it.
    async fn recorded(&self, asked: &Asked<'_>, kind: RecordingKind) -> Result<&'static str, Problem> {
        let Asked { id, step, body, urls, .. } = asked;
        let Some(event) = RecordEvent::parse(body).map_err(not_an_object)? else {
            tracing::warn!(conversation.id = %id, "the event of a recording does not say which file there is");
            return Ok("without a recording");
        };
        let Some(recording) = self.steps.recorded(*id, kind, step.callee, event, urls.as_ref()).await? else {
            return Ok("recording of no conversation, or known");
        };
        if let Some(keeper) = &self.keeper
            && let Err(error) = keeper.invoke(&recordings::event(*id, &recording)).await
        {
            tracing::warn!(conversation.id = %id, cause = %error, "a recording is fetched by the schedule only");
        }
        Ok("recorded")
    }

    /// Returns the addresses for what follows a decision about a call.
    pub(crate) fn follow_up(&self, request: &Request, decision: &Decision) -> Option<FollowUp> {
        let urls = |id| http::call_urls(self.public_url.as_deref(), request, id);
        self.tokens.follow_up(decision, urls, self.clock.now())
    }

    /// Returns the actions for what comes next: another phone, with its addresses, or what the caller hears.
    pub(crate) fn answer(&self, request: &Request, named: Option<ConversationId>, next: Next) -> Ncco {
        let (connection, addressee) = match next {
            Next::Hear(ncco) => return ncco,
            Next::Try(connection, addressee) => (*connection, addressee),
        };
        let speech = self.words.speech_to(&addressee);
        let Some(id) = named else { return self.in_turn(request, None, &speech, ncco::connect(connection, None)) };
        let (callee, attempt, now) = (connection.caller.other(), connection.attempt, self.clock.now());
        let whisper_token =
            connection.handling.whispers().then(|| self.tokens.issue(id, callee, attempt, now)).flatten();
        let urls = http::call_urls(self.public_url.as_deref(), request, id);
        let ncco = ncco::connect(connection, urls.map(|urls| FollowUp { urls, whisper_token }));
        self.in_turn(request, Some(id), &speech, ncco)
    }
}
