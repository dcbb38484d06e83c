//! A proxy before DynamoDB that cuts a process off at a request: what the process knows of it is lost, and so is what
//! it would have done next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// When a process is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the request has reached the table.
    Before,
    /// After the table has carried it out.
    After,
}

/// The proxy.
#[derive(Clone)]
pub struct Cutter {
    pub url: String,
    target: String,
    http: reqwest::Client,
    plan: Arc<Mutex<Option<Plan>>>,
    /// How many requests have passed and are not answered yet.
    under_way: Arc<AtomicUsize>,
}

struct Plan {
    /// How many requests pass before the one that is cut.
    passing: u8,
    moment: Moment,
    is_cut: bool,
    cut: Arc<Notify>,
}

/// A request that has passed and is not answered yet; it may also be given up by the one who sent it.
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
    /// The process is dead; what it had already sent is lost.
    Lose,
}

impl Cutter {
    /// Before the DynamoDB at `target`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cutter = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            target: target.to_owned(),
            http: local::loopback_client(),
            plan: Arc::default(),
            under_way: Arc::default(),
        };
        let router = Router::new().fallback(forward).with_state(cutter.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        cutter
    }

    /// Runs what a process does until its request number `nth`, from 0, is cut. None if it was cut off.
    pub async fn run<T>(&self, process: impl Future<Output = T>, nth: u8, moment: Moment) -> Option<T> {
        let cut = Arc::new(Notify::new());
        *self.plan.lock().unwrap() = Some(Plan { passing: nth, moment, is_cut: false, cut: cut.clone() });
        let finished = tokio::select! {
            finished = process => Some(finished),
            () = cut.notified() => None,
        };
        // A dead process sends nothing that arrives later.
        if finished.is_some() {
            *self.plan.lock().unwrap() = None;
        }
        finished
    }

    /// What was sent side by side with the request that is cut is carried out before the process counts as dead.
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

async fn forward(State(cutter): State<Cutter>, headers: HeaderMap, body: Bytes) -> Response {
    match cutter.verdict() {
        Verdict::Pass => {
            let _under_way = UnderWay::new(&cutter.under_way);
            return cutter.ask(headers, body).await;
        }
        Verdict::Cut(moment, cut) => {
            // In a task of its own, because the process may give this very request up.
            tokio::spawn(async move {
                if moment == Moment::After {
                    cutter.ask(headers, body).await;
                }
                cutter.let_others_finish().await;
                cut.notify_one();
            });
        }
        Verdict::Lose => {}
    }
    std::future::pending().await
}
