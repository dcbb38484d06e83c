//! The requests of a load. Each begins when it is due, whether those before have been answered or not, so that a slow stack does not
//! slow the load down and hide how slow it is.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::meter::{Meter, Outcome};
use super::plan::Plan;
use super::target::LaptopApi;

/// Most conversations that are under way at a time. A stack that is so far behind gets no more to do; the wait counts as time of the
/// creation.
const MOST_AT_ONCE: usize = 256;

/// Length of each call. Time in calls is simulated.
const TALK_SECONDS: u32 = 60;

/// Carries out the plan. One interrupt lets no further conversation begin and ends those that are there, and a second one gives them up.
pub(super) async fn run(load: Load) {
    let (load, mut interrupts) = (Arc::new(load.clone()), load.interrupts);
    let (places, began) = (Arc::new(Semaphore::new(MOST_AT_ONCE)), Instant::now());
    let mut under_way = JoinSet::new();
    for nth in 0..load.plan.conversations {
        let due = began + load.plan.begins(nth);
        let turn = async {
            sleep_until(due).await;
            places.clone().acquire_owned().await
        };
        let place = tokio::select! {
            place = turn => place,
            () = interrupted(&mut interrupts, 1) => break,
        };
        let load = load.clone();
        under_way.spawn(async move {
            let _place = place;
            load.converse(nth, due).await;
        });
        while under_way.try_join_next().is_some() {}
    }
    let all = async { while under_way.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = interrupted(&mut interrupts, 2) => {}
    }
}

/// Waits for so many interrupts; for ever if nobody can interrupt any more.
async fn interrupted(interrupts: &mut watch::Receiver<u32>, times: u32) {
    if interrupts.wait_for(|count| *count >= times).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A load: its plan, the stack that gets it, and where the results go.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) plan: Plan,
    pub(super) api: LaptopApi,
    pub(super) meter: Arc<Meter>,
    pub(super) interrupts: watch::Receiver<u32>,
}

impl Load {
    /// Creates a conversation, calls from both sides, and ends it.
    async fn converse(&self, nth: u32, due: Instant) {
        let request = self.plan.request(nth);
        let Some(conversation) = self.create(nth, &request, due).await else { return };
        let mut interrupts = self.interrupts.clone();
        for side in [0, 1] {
            tokio::select! {
                biased;
                () = interrupted(&mut interrupts, 1) => break,
                () = sleep_until(due + self.plan.calls(side)) => {}
            }
            // The phone is that of the request, because an answer may show its last digits only.
            let [caller, dials] = [&request, &conversation].map(|of| &of["participants"][side]);
            self.call(&caller["number"], &dials["dials"]).await;
        }
        self.end(&conversation).await;
    }

    async fn create(&self, nth: u32, body: &Value, due: Instant) -> Option<Value> {
        let request = self.api.api(Method::POST, "/conversations").header("idempotency-key", self.plan.key(nth));
        let (outcome, answer) = asked(request.json(body)).await;
        self.meter.creation(due.elapsed(), &outcome);
        (outcome == Outcome::Done).then_some(answer)
    }

    async fn call(&self, from: &Value, to: &Value) {
        let call = json!({"from": from, "to": to, "talk_seconds": TALK_SECONDS});
        let (outcome, report) = asked(self.api.simulator(Method::POST, "/calls").json(&call)).await;
        let outcome = match outcome {
            Outcome::Done => judged(&report),
            failed => failed,
        };
        // The first request of a call is the one for its answer.
        let answer = Some(&report["webhooks"][0]).filter(|answer| answer["status"] == 200);
        let took = answer.and_then(|answer| answer["milliseconds"].as_f64());
        let took = took.map(|milliseconds| Duration::from_secs_f64(milliseconds / 1000.0));
        self.meter.call(took, &outcome);
    }

    async fn end(&self, conversation: &Value) {
        let id = conversation["id"].as_str().unwrap_or_default();
        let asked_at = Instant::now();
        let (outcome, _) = asked(self.api.api(Method::DELETE, &format!("/conversations/{id}"))).await;
        self.meter.end(asked_at.elapsed(), &outcome);
    }
}

/// Sends a request. Returns its outcome with the body of the answer.
async fn asked(request: reqwest::RequestBuilder) -> (Outcome, Value) {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_timeout() => return (Outcome::Failed("no answer in time".to_owned()), Value::Null),
        Err(_) => return (Outcome::Failed("no answer".to_owned()), Value::Null),
    };
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        return (Outcome::Done, body);
    }
    let kind = body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
    let outcome = match kind {
        Some("no-number-free") => Outcome::Refused,
        Some(kind) => Outcome::Failed(format!("{kind}, {}", status.as_u16())),
        None => Outcome::Failed(format!("status {}", status.as_u16())),
    };
    (outcome, body)
}

/// Returns how a call went: it should have been connected by the answer webhook itself, and each of its events taken.
fn judged(report: &Value) -> Outcome {
    let failed = |reason: &str| Outcome::Failed(reason.to_owned());
    let events = report["events"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let is_lost = |event: &&Value| event["http_status"].as_u64().is_none_or(|status| !(200..300).contains(&status));
    match events.iter().find(is_lost) {
        _ if report["answered_by"] != "answer_url" => failed("the answer webhook gave no answer"),
        _ if report["phones"]["caller"]["connected"] != true => failed("a call was not connected"),
        Some(event) => Outcome::Failed(format!("an event was answered with {}", event["http_status"])),
        None => Outcome::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_judged_by_answer_connection_and_events() {
        let report = |by: &str, connected: bool, status: Value| {
            json!({"answered_by": by, "phones": {"caller": {"connected": connected}},
                   "events": [{"http_status": 204}, {"http_status": status}]})
        };
        let fails = |report: &Value, reason: &str| {
            assert!(matches!(judged(report), Outcome::Failed(said) if said.contains(reason)), "{reason}");
        };
        assert_eq!(judged(&report("answer_url", true, json!(204))), Outcome::Done);
        fails(&report("fallback_answer_url", true, json!(204)), "no answer");
        fails(&report("answer_url", false, json!(204)), "not connected");
        fails(&report("answer_url", true, json!(503)), "503");
        fails(&report("answer_url", true, Value::Null), "null");
        fails(&Value::Null, "no answer");
    }
}
