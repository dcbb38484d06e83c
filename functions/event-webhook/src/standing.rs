//! `POST /webhooks/event/standing/{attempt}`: an attempt to reach a phone behind a standing mask.

use lambda_http::Request;
use shared::domain::attempt::Attempt;
use shared::domain::call::Direction;
use shared::domain::missed_calls::Missed;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::vonage::call_steps;
use shared::vonage::event::Event;
use shared::vonage::ncco::Ncco;

use crate::{EventWebhook, not_an_object};

impl EventWebhook {
    /// Returns what comes after an event of the callee's leg. `None` unless nobody took the call. The settings of the mask
    /// decide, which the event names, so a phone that was removed meanwhile is not tried. Calls to standing masks are in no
    /// record.
    pub(crate) async fn after_standing_attempt(
        &self,
        request: &Request,
        attempt: Attempt,
        body: &[u8],
        log: &mut RequestLog,
    ) -> Result<Option<Ncco>, Problem> {
        log.outcome = "standing mask";
        let Event::Leg { keys, event } = Event::parse(body).map_err(not_an_object)? else { return Ok(None) };
        log.call = Some(event.conversation_uuid.clone());
        let outbound = keys.iter().find(|key| key.direction == Direction::Outbound);
        let (Some(missed), Some(key)) = (Missed::of(event.status), outbound) else { return Ok(None) };
        let settings = self.store.settings_in_call(&key.virtual_number).await?;
        let standing = settings.as_ref().and_then(|settings| settings.standing.as_ref()).filter(|mask| mask.is_open);
        let time = event.timestamp.unwrap_or_else(|| self.clock.now());
        let next = standing.and_then(|standing| standing.after(attempt, &key.virtual_number, time));
        log.outcome = if next.is_some() { "next phone" } else { "missed call" };
        let language = standing.and_then(|standing| standing.language.as_ref());
        let base = http::base_url(self.public_url.as_deref(), request);
        let owner = settings.as_ref().map(|settings| settings.owner).unwrap_or_default();
        let speech = self.words.of(owner).speech(language);
        let ncco = call_steps::after_standing_attempt(next, missed, &speech, base.as_deref());
        Ok(Some(self.in_turn(request, None, &speech, ncco)))
    }
}
