//! A proxy in front of DynamoDB that simulates the crash of a process. It cuts the process off at one request; the
//! process neither sees the answer nor sends anything later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::sync::Notify;

/// The moment of the crash, relative to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request does not reach the table.
    Before,
    /// The table has carried out the request.
    After,
}

/// The proxy.
#[derive(Clone)]
pub struct CrashProxy {
    pub url: String,
    target: String,
    http: reqwest::Client,
    plan: Arc<Mutex<Option<Plan>>>,
    /// Number of requests that were forwarded and are not answered yet.
    under_way: Arc<AtomicUsize>,
}

struct Plan {
    /// Number of requests to forward before the crash.
    passing: u8,
    moment: Moment,
    is_cut: bool,
    cut: Arc<Notify>,
}

/// Counts one forwarded request until it is answered or its sender gives up.
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

impl CrashProxy {
    /// Starts a proxy for the DynamoDB at `target`.
    pub async fn start(target: &str) -> Self {
        let (listener, url) = testkit::listen().await;
        let crash_proxy = Self {
            url,
            target: target.to_owned(),
            http: local::loopback_client(),
            plan: Arc::default(),
            under_way: Arc::default(),
        };
        let router = Router::new().fallback(forward).with_state(crash_proxy.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        crash_proxy
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

    /// Waits for the requests that the process sent in parallel with the one that is cut.
    async fn let_others_finish(&self) {
        while self.under_way.load(Ordering::Acquire) > 0 {
            tokio::task::yield_now().await;
        }
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

    async fn ask(&self, headers: HeaderMap, body: Bytes) -> Response {
        let answer = self.http.post(&self.target).headers(headers).body(body).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.bytes().await.unwrap()).into_response()
    }
}

async fn forward(State(crash_proxy): State<CrashProxy>, headers: HeaderMap, body: Bytes) -> Response {
    match crash_proxy.verdict() {
        Verdict::Pass => {
            let _under_way = UnderWay::new(&crash_proxy.under_way);
            return crash_proxy.ask(headers, body).await;
        }
        Verdict::Cut(moment, cut) => {
            // Runs in a separate task, because the process may cancel this request.
            tokio::spawn(async move {
                if moment == Moment::After {
                    crash_proxy.ask(headers, body).await;
                }
                crash_proxy.let_others_finish().await;
                cut.notify_one();
            });
        }
        Verdict::Lose => {}
    }
    std::future::pending().await
}
