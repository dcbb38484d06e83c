//! A count of the requests that the functions send to DynamoDB and Vonage.

use std::collections::VecDeque;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;
use tokio::sync::{Barrier, watch};

/// The receiver of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// DynamoDB.
    Dynamodb,
    /// Vonage's API.
    Vonage,
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exchange {
    /// The receiver.
    pub service: Service,
    /// DynamoDB's operation, or the path of Vonage's endpoint.
    pub name: String,
    /// The resources used.
    pub usage: Usage,
}

/// Resources used by requests and their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Number of requests.
    pub requests: u64,
    /// DynamoDB's read capacity units, as DynamoDB reports them. It reports none for refused requests.
    pub read_units: f64,
    /// DynamoDB's write capacity units, as DynamoDB reports them.
    pub write_units: f64,
    /// Bytes of the requests as HTTP/1.1 writes them, without TLS.
    pub bytes_out: u64,
    /// Bytes of the answers, as above. Their headers are the emulators' own.
    pub bytes_in: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.read_units += other.read_units;
        self.write_units += other.write_units;
        self.bytes_out += other.bytes_out;
        self.bytes_in += other.bytes_in;
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Add::add)
    }
}

impl Usage {
    /// Adds up the exchanges with `service`.
    pub fn of<'a>(service: Service, exchanges: impl IntoIterator<Item = &'a Exchange>) -> Self {
        let with_service = exchanges.into_iter().filter(|exchange| exchange.service == service);
        with_service.map(|exchange| exchange.usage).sum()
    }
}

/// A shared counter of exchanges. It counts nothing before [`Traffic::watch`], so an ordinary run pays nothing for it.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    seen: Arc<Mutex<Seen>>,
    /// Number of requests without an answer yet.
    under_way: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Seen {
    is_watched: bool,
    exchanges: Vec<Exchange>,
    /// Number of exchanges that were taken before these.
    taken: usize,
    rounds: VecDeque<Round>,
}

/// A group of requests that wait for each other.
#[derive(Debug)]
struct Round {
    missing: usize,
    together: Arc<Barrier>,
}

impl Traffic {
    /// Starts to count, and drops what was counted before.
    pub fn watch(&self) {
        self.take();
        self.seen().is_watched = true;
    }

    /// Returns the exchanges since the last call, in the order of their arrival.
    pub fn take(&self) -> Vec<Exchange> {
        let mut seen = self.seen();
        seen.taken += seen.exchanges.len();
        std::mem::take(&mut seen.exchanges)
    }

    /// Makes the next requests wait for each other in groups of these sizes. A group that is not sent in parallel gets no
    /// answer, so this proves that the requests take no more round trips in sequence than there are groups.
    pub fn expect_rounds(&self, sizes: &[usize]) {
        let round = |size: &usize| Round { missing: *size, together: Arc::new(Barrier::new(*size)) };
        self.seen().rounds = sizes.iter().map(round).collect();
    }

    /// Waits until no request is in flight: a function may have dropped one without waiting for its answer.
    pub async fn settled(&self) {
        // An error would mean that all senders are gone.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Counts a request of `bytes`, and waits until it may be forwarded.
    pub(crate) async fn request(&self, service: Service, name: &str, bytes: usize) -> Counted {
        let (counted, together) = {
            let mut seen = self.seen();
            let together = seen.join_round();
            if seen.is_watched {
                let usage = Usage { requests: 1, bytes_out: bytes as u64, ..Usage::default() };
                seen.exchanges.push(Exchange { service, name: name.to_owned(), usage });
            }
            let index = seen.is_watched.then(|| seen.taken + seen.exchanges.len() - 1);
            self.under_way.send_modify(|count| *count += 1);
            (Counted { traffic: self.clone(), index }, together)
        };
        if let Some(together) = together {
            together.wait().await;
        }
        counted
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no code panics while it holds this lock")
    }
}

impl Seen {
    fn join_round(&mut self) -> Option<Arc<Barrier>> {
        let round = self.rounds.front_mut()?;
        round.missing -= 1;
        let together = round.together.clone();
        if round.missing == 0 {
            self.rounds.pop_front();
        }
        Some(together)
    }
}

/// A request in flight, counted if counting has started. It ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    traffic: Traffic,
    index: Option<usize>,
}

impl Counted {
    /// True if counting has started.
    pub(crate) fn is_watched(&self) -> bool {
        self.index.is_some()
    }

    /// Records the answer of the request and the resources used.
    pub(crate) fn answer(self, taken: Usage) {
        let mut seen = self.traffic.seen();
        let index = self.index.and_then(|index| index.checked_sub(seen.taken));
        if let Some(exchange) = index.and_then(|index| seen.exchanges.get_mut(index)) {
            exchange.usage += taken;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.traffic.under_way.send_modify(|count| *count -= 1);
    }
}

/// Returns the length in bytes of a request with a body of `body` bytes.
pub(crate) fn request_length(method: &Method, uri: &Uri, headers: &HeaderMap, body: usize) -> usize {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    format!("{method} {target} HTTP/1.1\r\n").len() + headers_length(headers) + body
}

/// Returns the length in bytes of an answer with a body of `body` bytes.
pub(crate) fn answer_length(status: StatusCode, headers: &HeaderMap, body: usize) -> usize {
    format!("HTTP/1.1 {status}\r\n").len() + headers_length(headers) + body
}

fn headers_length(headers: &HeaderMap) -> usize {
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    lines.sum::<usize>() + "\r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_only_between_watch_and_take() {
        let traffic = Traffic::default();
        let ask = async || traffic.request(Service::Vonage, "/sms/json", 100).await;
        let answer = Usage { bytes_in: 10, ..Usage::default() };
        ask().await.answer(answer);
        assert_eq!(traffic.take(), []);
        traffic.watch();
        let (one, other) = (ask().await, ask().await);
        one.answer(answer);
        assert_eq!(*traffic.under_way.borrow(), 1);
        drop(other);
        let usages: Vec<_> = traffic.take().into_iter().map(|exchange| exchange.usage).collect();
        let unanswered = Usage { requests: 1, bytes_out: 100, ..Usage::default() };
        assert_eq!(usages, [unanswered + answer, unanswered]);
        let (late, _) = (ask().await, ask().await);
        traffic.take();
        late.answer(answer);
        assert_eq!(traffic.take(), []);
        traffic.settled().await;
    }

    #[tokio::test]
    async fn group_is_answered_when_all_its_requests_arrived() {
        let traffic = Traffic::default();
        traffic.expect_rounds(&[2, 1]);
        let ask = async || traffic.request(Service::Dynamodb, "GetItem", 0).await;
        let alone = tokio::time::timeout(std::time::Duration::ZERO, ask()).await;
        assert!(alone.is_err(), "the other request of the group has not arrived");
        traffic.expect_rounds(&[2, 1]);
        tokio::join!(ask(), ask());
        ask().await;
        ask().await;
    }
}
