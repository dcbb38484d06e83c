//! Connections of a process to the table, without a network: what the AWS SDK would send is carried out here. Other
//! operations get their turn before and after each request, as often as the case's random numbers say, so that a case runs
//! in the same order again.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::database::{Answer, Database};

/// Maximum number of turns that the other operations get before and after a request.
const TURNS: u8 = 3;

/// The moment of a crash, relative to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request does not reach the table.
    Before,
    /// The table has carried out the request.
    After,
}

/// A connection. It simulates the crash of its process: from one request on, the process neither sees an answer nor sends
/// anything.
#[derive(Clone)]
pub struct Connection {
    database: Database,
    plan: Arc<Mutex<Option<Plan>>>,
    /// Number of requests that are sent and not answered yet.
    under_way: Arc<AtomicUsize>,
}

struct Plan {
    /// Number of requests that are answered before the crash.
    passing: u8,
    moment: Moment,
    is_cut: bool,
    cut: Arc<Notify>,
}

/// Counts one request until it is answered or its sender gives up.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

enum Verdict {
    Pass,
    Cut(Moment, Arc<Notify>),
    /// The process has crashed. Its request is dropped.
    Lose,
}

impl Connection {
    pub fn to(database: &Database) -> Self {
        Self { database: database.clone(), plan: Arc::default(), under_way: Arc::default() }
    }

    /// Runs a process that crashes at its request number `nth`, counted from 0. Returns `None` if it crashed.
    pub async fn run<T>(&self, process: impl Future<Output = T>, nth: u8, moment: Moment) -> Option<T> {
        let cut = Arc::new(Notify::new());
        *self.plan.lock().unwrap() = Some(Plan { passing: nth, moment, is_cut: false, cut: cut.clone() });
        let finished = tokio::select! {
            finished = process => Some(finished),
            () = cut.notified() => None,
        };
        // The plan stays after a crash, so that late requests of the process are dropped.
        if finished.is_some() {
            *self.plan.lock().unwrap() = None;
        }
        finished
    }

    fn verdict(&self) -> Verdict {
        match &mut *self.plan.lock().unwrap() {
            None => Verdict::Pass,
            Some(plan) if plan.is_cut => Verdict::Lose,
            Some(plan) if plan.passing == 0 => {
                plan.is_cut = true;
                Verdict::Cut(plan.moment, plan.cut.clone())
            }
            Some(plan) => {
                plan.passing -= 1;
                Verdict::Pass
            }
        }
    }

    async fn answer(self, operation: String, body: Vec<u8>) -> Answer {
        match self.verdict() {
            Verdict::Pass => {
                let _under_way = UnderWay::new(&self.under_way);
                return self.ask(&operation, &body).await;
            }
            Verdict::Cut(moment, cut) => {
                // Runs in a separate task, because the process may cancel this request.
                tokio::spawn(async move {
                    if moment == Moment::After {
                        self.ask(&operation, &body).await;
                    }
                    self.let_others_finish().await;
                    cut.notify_one();
                });
            }
            Verdict::Lose => {}
        }
        std::future::pending().await
    }

    async fn ask(&self, operation: &str, body: &[u8]) -> Answer {
        let_others_run().await;
        let answer = self.database.answer(operation, body).await;
        let_others_run().await;
        answer
    }

    /// Waits for the requests that the process sent in parallel with the one that is cut.
    async fn let_others_finish(&self) {
        while self.under_way.load(Ordering::Acquire) > 0 {
            yield_now().await;
        }
    }
}

async fn let_others_run() {
    for _ in 0..fastrand::u8(..=TURNS) {
        yield_now().await;
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.strip_prefix("DynamoDB_20120810.").unwrap().to_owned();
        let answer = self.clone().answer(operation, request.body().bytes().unwrap().to_vec());
        HttpConnectorFuture::new(async {
            let Answer { status, body } = answer.await;
            Ok(HttpResponse::new(status.try_into().unwrap(), body.into()))
        })
    }
}

impl HttpClient for Connection {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
