//! One masked call, from the creation of its conversation to its end, with all requests that it sends to DynamoDB and
//! Vonage: the cost of a masked call as plain data.

use serde::Serialize;
use serde_json::{Value, json};

use crate::stack::{Options, Stack, StartError};
use crate::traffic::Exchange;

/// The requests of a masked call, step by step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MaskedCall {
    /// `POST /conversations`, which texts both participants.
    pub creation: Vec<Exchange>,
    /// A call that is connected: one request to the answer webhook, and one to the event webhook for each event.
    pub call: Vec<Exchange>,
    /// Number of events of the call.
    pub events: usize,
    /// `DELETE /conversations/{id}`.
    pub end: Vec<Exchange>,
}

/// The masked call failed.
#[derive(Debug, thiserror::Error)]
pub enum MaskedCallError {
    /// The stack did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A service did not answer.
    #[error("a service did not answer: {0}")]
    Http(#[from] reqwest::Error),
    /// A step was answered with this unexpected body.
    #[error("{0} had an unexpected answer: {1}")]
    Failed(&'static str, Value),
}

/// Two pairs of people. The first is not counted: it fills the caches of the functions.
const PAIRS: [[&str; 2]; 2] = [["447700900001", "447700900002"], ["447700900003", "447700900004"]];

impl MaskedCall {
    /// Runs a masked call on a stack of its own and counts its requests.
    ///
    /// # Errors
    /// If the stack does not start, a service does not answer, or a step fails.
    pub async fn count(options: Options) -> Result<Self, MaskedCallError> {
        let stack = Stack::start(options).await?;
        let counted = Caller { http: crate::loopback_client(), stack: &stack }.count().await;
        stack.stop().await;
        counted
    }

    /// Iterates over all requests.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        [&self.creation, &self.call, &self.end].into_iter().flatten()
    }
}

struct Caller<'a> {
    http: reqwest::Client,
    stack: &'a Stack,
}

impl Caller<'_> {
    async fn count(&self) -> Result<MaskedCall, MaskedCallError> {
        let traffic = &self.stack.traffic;
        let pool = self.post(self.gateway("/numbers"), json!({"country": "GB", "count": 2})).await?;
        check("renting", pool["ready"] == 2, &pool)?;
        self.create(PAIRS[0]).await?;

        traffic.watch();
        let conversation = self.create(PAIRS[1]).await?;
        let creation = traffic.take();
        let events = self.call(&conversation["participants"][0]).await?;
        let call = traffic.take();
        let id = conversation["id"].as_str().unwrap_or_default();
        let url = self.gateway(&format!("/conversations/{id}"));
        let ended: Value = self.http.delete(url).send().await?.json().await?;
        check("the end", ended["state"] == "ended", &ended)?;
        Ok(MaskedCall { creation, call, events, end: traffic.take() })
    }

    async fn create(&self, pair: [&str; 2]) -> Result<Value, MaskedCallError> {
        let participants = pair.map(|number| json!({"number": format!("+{number}"), "label": "your other half"}));
        let created = self.post(self.gateway("/conversations"), json!({"participants": participants})).await?;
        let is_sent = |side: usize| created["participants"][side]["notification"] == "sent";
        check("the creation", is_sent(0) && is_sent(1), &created)?;
        Ok(created)
    }

    /// Places the participant's call and returns the number of its events.
    async fn call(&self, participant: &Value) -> Result<usize, MaskedCallError> {
        let body = json!({"from": participant["number"], "to": participant["dials"]});
        let placed = self.post(format!("{}/simulator/calls", self.stack.vonage_url), body).await?;
        let events = placed["events"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        let all_accepted = events.iter().all(|event| event["http_status"] == 204);
        check("the call", all_accepted && placed["phones"]["caller"]["connected"] == true, &placed)?;
        Ok(events.len())
    }

    fn gateway(&self, path: &str) -> String {
        format!("{}{path}", self.stack.gateway_url)
    }

    async fn post(&self, url: String, body: Value) -> Result<Value, MaskedCallError> {
        Ok(self.http.post(url).json(&body).send().await?.json().await?)
    }
}

fn check(step: &'static str, went_well: bool, answer: &Value) -> Result<(), MaskedCallError> {
    if went_well { Ok(()) } else { Err(MaskedCallError::Failed(step, answer.clone())) }
}
