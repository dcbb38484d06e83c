//! What the functions ask of DynamoDB and of Vonage, counted on its way.

use std::collections::VecDeque;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;
use tokio::sync::{Barrier, watch};

/// Who is asked.
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
    /// Who was asked.
    pub service: Service,
    /// The operation of DynamoDB's, or the path of Vonage's endpoint.
    pub name: String,
    /// What it took.
    pub usage: Usage,
}

/// What requests and their answers take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// How many.
    pub requests: u64,
    /// DynamoDB's read capacity units, as DynamoDB itself counts them. What it refuses, it says nothing of.
    pub read_units: f64,
    /// DynamoDB's write capacity units, likewise.
    pub write_units: f64,
    /// The length of the requests, as HTTP/1.1 writes them, without TLS.
    pub bytes_out: u64,
    /// The length of the answers, likewise. Their heads are the emulators' own.
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
    /// What the exchanges with `service` take together.
    pub fn of<'a>(service: Service, exchanges: impl IntoIterator<Item = &'a Exchange>) -> Self {
        let with_service = exchanges.into_iter().filter(|exchange| exchange.service == service);
        with_service.map(|exchange| exchange.usage).sum()
    }
}

/// All that is asked. Nothing is counted before [`Traffic::watch`], so that nobody pays for it who does not look.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    seen: Arc<Mutex<Seen>>,
    /// How many requests are not answered yet.
    under_way: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Seen {
    is_watched: bool,
    exchanges: Vec<Exchange>,
    /// How many there were before these.
    taken: usize,
    rounds: VecDeque<Round>,
}

/// So many requests that wait for one another.
#[derive(Debug)]
struct Round {
    missing: usize,
    together: Arc<Barrier>,
}

impl Traffic {
    /// Counts from now on, and forgets what it has counted.
    pub fn watch(&self) {
        self.take();
        self.seen().is_watched = true;
    }

    /// What has been asked since the last look, in the order in which it came.
    pub fn take(&self) -> Vec<Exchange> {
        let mut seen = self.seen();
        seen.taken += seen.exchanges.len();
        std::mem::take(&mut seen.exchanges)
    }

    /// Lets the next requests wait, the first so many for one another, then the next so many: these are sent side by side,
    /// or none of them is answered. All of them together then take no more round trips in sequence than there are rounds.
    pub fn expect_rounds(&self, sizes: &[usize]) {
        let round = |size: &usize| Round { missing: *size, together: Arc::new(Barrier::new(*size)) };
        self.seen().rounds = sizes.iter().map(round).collect();
    }

    /// Comes back when nothing is under way: a function may have let go of what it has asked.
    pub async fn settled(&self) {
        // An error would say that nobody can send any more.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }

    /// A request has come, which takes so many bytes; comes back when it may go on.
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
        self.seen.lock().expect("no code panics while it holds what was seen")
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

/// A request that is counted, unless nobody looks. It is under way for as long as this is there.
#[derive(Debug)]
pub(crate) struct Counted {
    traffic: Traffic,
    index: Option<usize>,
}

impl Counted {
    /// Whether anybody looks.
    pub(crate) fn is_watched(&self) -> bool {
        self.index.is_some()
    }

    /// Its answer has come, and what it took.
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

/// How long a request is with a body of so many bytes.
pub(crate) fn request_length(method: &Method, uri: &Uri, headers: &HeaderMap, body: usize) -> usize {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    format!("{method} {target} HTTP/1.1\r\n").len() + headers_length(headers) + body
}

/// How long an answer is with a body of so many bytes.
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
    async fn nothing_is_counted_before_somebody_looks_or_after_it_was_taken() {
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
    async fn a_round_is_answered_when_all_of_it_has_come() {
        let traffic = Traffic::default();
        traffic.expect_rounds(&[2, 1]);
        let ask = async || traffic.request(Service::Dynamodb, "GetItem", 0).await;
        let alone = tokio::time::timeout(std::time::Duration::ZERO, ask()).await;
        assert!(alone.is_err(), "the other one has not come");
        traffic.expect_rounds(&[2, 1]);
        tokio::join!(ask(), ask());
        ask().await;
        ask().await;
    }
}
