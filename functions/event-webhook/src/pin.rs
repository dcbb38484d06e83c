//! `POST /webhooks/event/pin/{nth}`: a PIN that a caller who is not known has typed.

use lambda_http::Request;
use shared::domain::decision::Decision;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::service::pin_calls::{Typed, TypedPin};
use shared::store::LegIds;
use shared::vonage::ncco::Ncco;
use shared::vonage::step_event::StepEvent;
use shared::vonage::{call_urls, pin_steps};

use crate::{EventWebhook, not_an_object};

impl EventWebhook {
    /// Returns what comes after the `nth` PIN of a call: the connection, the question again, or what a caller hears who is not known.
    pub(crate) async fn typed_pin(
        &self,
        request: &Request,
        nth: u8,
        body: &[u8],
        log: &mut RequestLog,
    ) -> Result<Ncco, Problem> {
        let event = StepEvent::parse(body).map_err(not_an_object)?;
        log.call = event.call();
        let (caller, dialled) = (event.caller(), event.dialled());
        let leg = event.ids().map(|(call, leg)| LegIds { call, leg });
        let typed = match (&self.pins, &dialled, &leg) {
            (Some(pins), Some(dialled), Some(leg)) => {
                pins.typed(&TypedPin { caller: &caller, dialled, leg, nth }, event.digits()).await?
            }
            _ => Typed::Wrong,
        };
        let public_url = self.public_url.as_deref();
        if let Typed::Right(decision, addressee) = typed {
            (log.outcome, log.conversation) = ("PIN accepted", decision.conversation());
            return Ok(self.decided(request, *decision, &self.words.speech_of_call(&caller, addressee.as_ref())));
        }
        let words = self.words_of_number(dialled.as_ref()).await?;
        let speech = words.speech_of_call(&caller, None);
        log.outcome = if event.digits().is_empty() { "no PIN" } else { "PIN wrong" };
        if let (Typed::Again, Some(base)) = (typed, http::base_url(public_url, request)) {
            return Ok(pin_steps::ask(&speech, call_urls::pin(&base, nth + 1), true));
        }
        let (decision, settings) = self.or_support(Decision::of_unknown(&caller), &caller, dialled.as_ref()).await?;
        let speech = speech.with_own(settings.as_ref().and_then(|settings| settings.words.as_ref()));
        Ok(self.decided(request, decision, &speech))
    }
}
