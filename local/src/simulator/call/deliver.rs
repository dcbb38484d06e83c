//! Delivery of webhooks to the application, with the faults of the fault rules.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, sleep_until};

use super::super::Simulator;
use super::super::applications::VoiceWebhook;
use super::super::leg::Event;
use super::super::report::EventReport;
use super::super::webhook::{Reply, Sender, Undelivered};
use crate::faults::{DeliveryFault, WebhookKind};

/// An event that is withheld until `POST /simulator/release`.
pub(in super::super) struct WithheldEvent {
    event: Event,
    sender: Sender,
}

pub(super) fn fault(simulator: &Simulator, kind: WebhookKind, data: &Map<String, Value>) -> Option<DeliveryFault> {
    let body = Value::from(data.clone()).to_string();
    simulator.faults.take_for_webhook(kind, |text| body.contains(text))
}

/// A request whose response is an NCCO.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) kind: WebhookKind,
    pub(super) webhook: &'a VoiceWebhook,
    pub(super) sender: &'a Sender,
    pub(super) data: &'a Map<String, Value>,
}

/// Asks for an NCCO. For Vonage this is one request, but a fault may send it twice.
pub(super) async fn ask(
    simulator: &Simulator,
    question: Question<'_>,
) -> (Result<Reply, Undelivered>, Option<DeliveryFault>) {
    let Question { kind, webhook, sender, data } = question;
    let fault = fault(simulator, kind, data);
    let send = || simulator.deliverer.send(webhook, sender, data);
    let reply = match fault {
        Some(DeliveryFault::Lose {}) => Err(Undelivered::Closed),
        Some(DeliveryFault::LoseAnswer {}) => send().await.and(Err(Undelivered::Closed)),
        Some(DeliveryFault::Unsigned {}) => simulator.deliverer.send(webhook, &unsigned(sender), data).await,
        Some(DeliveryFault::Duplicate {}) => {
            let first = send().await;
            // Vonage uses the first response and ignores the second.
            drop(send().await);
            first
        }
        Some(DeliveryFault::AtOnce {}) => tokio::join!(send(), send()).0,
        // Vonage does not wait for it. It arrives when it is released.
        Some(DeliveryFault::Hold {}) => {
            let (webhook, body) = (Some(webhook.clone()), data.clone());
            let event = Event { status: "held", leg: None, webhook, synchronous: false, body };
            simulator.withheld().push(WithheldEvent { event, sender: sender.clone() });
            Err(Undelivered::TimedOut)
        }
        Some(delayed) => {
            sleep(delayed.delay()).await;
            send().await
        }
        None => send().await,
    };
    (reply, fault)
}

/// Sends events one after the other, except for those with a fault.
pub(super) async fn events(simulator: &Simulator, sender: &Sender, events: Vec<Event>) -> Vec<EventReport> {
    let mut queue: Vec<_> = events
        .into_iter()
        .enumerate()
        .map(|(place, event)| {
            let fault = event.webhook.as_ref().and_then(|_| fault(simulator, WebhookKind::EventUrl, &event.body));
            match fault {
                Some(DeliveryFault::Later { by }) => (place.saturating_add(by), true, event, fault),
                _ => (place, false, event, fault),
            }
        })
        .collect();
    queue.sort_by_key(|(place, overtaken, ..)| (*place, *overtaken));
    let started = Instant::now();
    let (mut reports, mut delayed) = (Vec::new(), Vec::new());
    for (_, _, event, fault) in queue {
        match fault {
            Some(DeliveryFault::Delay { .. }) => delayed.push((event, fault)),
            _ => reports.extend(deliver(simulator, sender, event, fault).await),
        }
    }
    delayed.sort_by_key(|(_, fault)| fault.map(DeliveryFault::delay));
    for (event, fault) in delayed {
        sleep_until(started + fault.map_or(Duration::ZERO, DeliveryFault::delay)).await;
        reports.extend(deliver(simulator, sender, event, fault).await);
    }
    reports
}

/// Sends the withheld events.
pub(in super::super) async fn release(simulator: &Simulator) -> Vec<EventReport> {
    let withheld = std::mem::take(&mut *simulator.withheld());
    let mut reports = Vec::new();
    for WithheldEvent { event, sender } in withheld {
        reports.extend(deliver(simulator, &sender, event, None).await);
    }
    reports
}

/// Sends an event, with its fault.
pub(super) async fn deliver(
    simulator: &Simulator,
    sender: &Sender,
    event: Event,
    fault: Option<DeliveryFault>,
) -> Vec<EventReport> {
    let Some(webhook) = &event.webhook else { return Vec::new() };
    let send = async || outcome(simulator.deliverer.send(webhook, sender, &event.body).await);
    let send_event = async || {
        let first = send().await;
        // Vonage retries after an HTTP 5xx. Source: "Signed webhooks".
        if first.may_retry() { send().await } else { first }
    };
    let outcomes = match fault {
        Some(DeliveryFault::Lose {}) => vec![Outcome::default()],
        Some(DeliveryFault::Hold {}) => {
            simulator.withheld().push(WithheldEvent { event: event.clone(), sender: sender.clone() });
            vec![Outcome::default()]
        }
        Some(DeliveryFault::Unsigned {}) => {
            let first = outcome(simulator.deliverer.send(webhook, &unsigned(sender), &event.body).await);
            if first.may_retry() { vec![first, send_event().await] } else { vec![first] }
        }
        Some(DeliveryFault::Duplicate {}) => vec![send_event().await, send_event().await],
        Some(DeliveryFault::AtOnce {}) => {
            let (one, other) = tokio::join!(send_event(), send_event());
            vec![one, other]
        }
        Some(DeliveryFault::LoseAnswer {}) => {
            send().await;
            vec![send().await]
        }
        Some(DeliveryFault::Delay { .. } | DeliveryFault::Later { .. }) | None => vec![send_event().await],
    };
    let report = |outcome: Outcome| {
        let mistake = || format!("the response to \"{}\" is an NCCO, which rewrites a running call", event.status);
        let error = (event.synchronous && outcome.has_ncco).then(mistake);
        EventReport { http_status: outcome.status, status: event.status, leg: event.leg.clone(), error, fault }
    };
    outcomes.into_iter().map(report).collect()
}

fn unsigned(sender: &Sender) -> Sender {
    Sender { signed: false, ..sender.clone() }
}

/// The response to an event.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// HTTP status. `None` if there was no response.
    status: Option<u16>,
    has_ncco: bool,
}

impl Outcome {
    fn may_retry(self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

fn outcome(reply: Result<Reply, Undelivered>) -> Outcome {
    let Ok(reply) = reply else { return Outcome::default() };
    let has_ncco = reply.status.is_success() && reply.body.trim_ascii().starts_with(b"[");
    Outcome { status: Some(reply.status.as_u16()), has_ncco }
}
