//! Events that are sent at their moment within the call: those of a synchronous `connect`, and keys that are pressed
//! during the call.

use tokio::time::sleep;

use super::super::leg::{Event, Failure};
use super::super::ncco::Action;
use super::super::report::EventReport;
use super::Call;
use super::ask::Answered;
use super::deliver;
use super::follow::Left;
use super::line::Side;
use super::script::EventOrder;
use crate::faults::{DeliveryFault, WebhookKind};

/// An event that others overtake.
pub(super) struct LateEvent {
    event: Event,
    /// Number of events that are still to overtake it.
    behind: usize,
    fault: DeliveryFault,
}

impl Call {
    /// Sends an event: now if it is synchronous, or else after the call.
    pub(super) async fn emit(&mut self, event: Event) {
        if self.is_immediate {
            self.record_legs();
        } else if !event.synchronous {
            self.events.push(event);
            return;
        }
        let copies = if self.request.events == EventOrder::Twice { 2 } else { 1 };
        for _ in 0..copies {
            let fault = event
                .webhook
                .as_ref()
                .and_then(|_| deliver::fault(&self.simulator, WebhookKind::EventUrl, &event.body));
            match fault {
                Some(fault @ DeliveryFault::Later { by }) => {
                    self.late.push(LateEvent { event: event.clone(), behind: by, fault });
                }
                // Its delay is that of the machine's clock, and the call does not wait for it.
                Some(fault @ DeliveryFault::Delay { .. }) => {
                    self.late.push(LateEvent { event: event.clone(), behind: usize::MAX, fault });
                }
                fault => {
                    self.send(event.clone(), fault).await;
                    self.send_overtaken(1).await;
                }
            }
        }
    }

    /// Ends a leg that was not answered. A synchronous webhook may give the rest of the call.
    pub(super) async fn fail(&mut self, failure: Failure) -> Result<Option<Vec<Action>>, Left> {
        let at = self.clock;
        let event = self.line_mut(Side::Callee).leg.fail(at, failure);
        if !event.synchronous {
            self.emit(event).await;
            return Ok(None);
        }
        let (status, leg) = (event.status, event.leg.clone());
        let before = self.webhooks.len();
        let answered = self.ask_about(event).await;
        let attempt = self.webhooks[before..].iter().find(|attempt| attempt.url_kind == WebhookKind::EventUrl);
        let (http_status, fault) = attempt.map_or((None, None), |attempt| (attempt.status, attempt.fault));
        self.reports.push(EventReport { status, leg, http_status, error: None, fault });
        self.send_overtaken(1).await;
        answered.replacement()
    }

    /// Sends the events that enough others have overtaken. After the call, `overtaken` is `usize::MAX`.
    pub(super) async fn send_overtaken(&mut self, overtaken: usize) {
        for late in &mut self.late {
            late.behind = late.behind.saturating_sub(if late.behind == usize::MAX { 0 } else { overtaken });
        }
        let is_due = |late: &LateEvent| late.behind == 0 || overtaken == usize::MAX;
        let (mut due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(is_due);
        self.late = waiting;
        due.sort_by_key(|late| late.fault.delay());
        for LateEvent { event, fault, .. } in due {
            sleep(fault.delay()).await;
            self.send(event, Some(fault)).await;
        }
    }

    async fn send(&mut self, event: Event, fault: Option<DeliveryFault>) {
        let reports = deliver::deliver(&self.simulator, &self.sender, event, fault).await;
        if let Some(error) = reports.iter().find_map(|report| report.error.clone()) {
            self.error.get_or_insert(error);
        }
        self.reports.extend(reports);
    }
}

impl Answered {
    /// Returns the actions that replace the rest of the NCCO, if there are any.
    pub(super) fn replacement(self) -> Result<Option<Vec<Action>>, Left> {
        match self {
            Self::Actions(actions) => Ok(Some(actions)),
            Self::Nothing => Ok(None),
            Self::Invalid => Err(Left::Call),
        }
    }
}
