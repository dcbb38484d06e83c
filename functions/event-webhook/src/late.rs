//! A key that a late caller has pressed because of lost property.

use shared::domain::decision::Decision;
use shared::domain::route::Destination;
use shared::edge::http::Problem;
use shared::edge::request_log::RequestLog;
use shared::service::late_calls::Late;
use shared::vonage::call_steps;
use shared::vonage::ncco::Ncco;

use crate::EventWebhook;
use crate::steps::Asked;

impl EventWebhook {
    /// Returns what a late caller hears: the connection, if the other one has asked for it; that the other one is asked; or the support
    /// phone or a goodbye.
    pub(crate) async fn late(&self, asked: &Asked<'_>, log: &mut RequestLog) -> Result<Ncco, Problem> {
        let Asked { request, id, step, event, .. } = asked;
        let (caller, dialled) = (event.caller(), event.dialled());
        let (fate, addressee) = self.steps.late_key(*id, step.callee, event.digits(), &caller).await?;
        let speech = self.words.speech_to(&addressee);
        Ok(match fate {
            Late::Agreed(decision) => {
                log.outcome = "lost property agreed";
                self.decided(request, *decision, &speech)
            }
            Late::Asked => {
                log.outcome = "lost property asked";
                call_steps::late_asked(&speech)
            }
            Late::Declined(own) => {
                log.outcome = "ended";
                let ended = Decision::Routed(Destination::Ended(*id));
                let decision = match own {
                    Some(own) => own.take(ended, &caller, dialled.as_ref()),
                    None => self.or_support(ended, &caller, dialled.as_ref()).await?.0,
                };
                match decision {
                    Decision::Support { .. } => self.decided(request, decision, &speech),
                    _ => call_steps::goodbye(&speech),
                }
            }
        })
    }
}
