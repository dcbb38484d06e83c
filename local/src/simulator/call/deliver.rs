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

fn fault(simulator: &Simulator, kind: WebhookKind, data: &Map<String, Value>) -> Option<DeliveryFault> {
    let body = Value::from(data.clone()).to_string();
    simulator.faults.take_for_webhook(kind, |text| body.contains(text))
}

/// Asks an answer URL. For Vonage this is one request, but a fault may send it twice.
pub(super) async fn ask(
    simulator: &Simulator,
    kind: WebhookKind,
    webhook: &VoiceWebhook,
    sender: &Sender,
    data: &Map<String, Value>,
) -> (Result<Reply, Undelivered>, Option<DeliveryFault>) {
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

async fn deliver(
    simulator: &Simulator,
    sender: &Sender,
    event: Event,
    fault: Option<DeliveryFault>,
) -> Vec<EventReport> {
    let Some(webhook) = &event.webhook else { return Vec::new() };
    let send = || simulator.deliverer.send(webhook, sender, &event.body);
    let send_event = async || {
        let status = status(send().await);
        // Vonage retries after an HTTP 5xx. Source: "Signed webhooks".
        if status.is_none_or(|status| status >= 500) { self::status(send().await) } else { status }
    };
    let statuses = match fault {
        Some(DeliveryFault::Lose {}) => vec![None],
        Some(DeliveryFault::Hold {}) => {
            simulator.withheld().push(WithheldEvent { event: event.clone(), sender: sender.clone() });
            vec![None]
        }
        Some(DeliveryFault::Unsigned {}) => {
            let first = status(simulator.deliverer.send(webhook, &unsigned(sender), &event.body).await);
            if first.is_none_or(|status| status >= 500) { vec![first, send_event().await] } else { vec![first] }
        }
        Some(DeliveryFault::Duplicate {}) => vec![send_event().await, send_event().await],
        Some(DeliveryFault::AtOnce {}) => {
            let (one, other) = tokio::join!(send_event(), send_event());
            vec![one, other]
        }
        Some(DeliveryFault::LoseAnswer {}) => {
            drop(send().await);
            vec![status(send().await)]
        }
        Some(DeliveryFault::Delay { .. } | DeliveryFault::Later { .. }) | None => vec![send_event().await],
    };
    let report = |http_status| EventReport { http_status, status: event.status, leg: event.leg.clone(), fault };
    statuses.into_iter().map(report).collect()
}

fn unsigned(sender: &Sender) -> Sender {
    Sender { signed: false, ..sender.clone() }
}

fn status(reply: Result<Reply, Undelivered>) -> Option<u16> {
    reply.ok().map(|reply| reply.status.as_u16())
}
