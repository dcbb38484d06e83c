//! What every function is, and how Lambda runs it.

use std::time::Instant;

use lambda_http::{Body, Error, Request, Response, service_fn};

use crate::clock::{self, SharedClock};
use crate::config::{ConfigError, Environment};
use crate::http::Problem;
use crate::telemetry;

/// A function behind the HTTP API.
pub trait HttpFunction: Sized + Send + Sync + 'static {
    /// Its name, as in the template and in logs.
    const NAME: &'static str;

    /// Reads its configuration and connects what it needs. Sends nothing.
    fn start(env: &Environment, clock: SharedClock) -> impl Future<Output = Result<Self, ConfigError>> + Send;

    /// Decodes a request, does the one thing, and encodes the answer.
    fn handle(&self, request: Request) -> impl Future<Output = Result<Response<Body>, Problem>> + Send;

    /// Answers a request whatever happens, and logs what did.
    fn answer(&self, request: Request) -> impl Future<Output = Response<Body>> + Send {
        async move {
            let started = Instant::now();
            let method = request.method().clone();
            let result = self.handle(request).await;
            let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if let Err(problem) = &result {
                let cause = problem.chain();
                if problem.is_failure() {
                    tracing::error!(function = Self::NAME, %method, cause, "request failed");
                } else {
                    tracing::info!(function = Self::NAME, %method, cause, "request refused");
                }
            }
            let response = result.unwrap_or_else(Problem::into_response);
            tracing::info!(function = Self::NAME, %method, status = response.status().as_u16(), duration_ms, "answered");
            response
        }
    }
}

/// Starts a function and answers what Lambda gives it.
pub async fn run<F: HttpFunction>() -> Result<(), Error> {
    telemetry::init(F::NAME);
    let function = F::start(&Environment::of_process(), clock::system()).await.inspect_err(|error| {
        tracing::error!(function = F::NAME, cause = %error, "the function cannot start");
    })?;
    let function = &function;
    lambda_http::run(service_fn(move |request| async move {
        Ok::<_, std::convert::Infallible>(function.answer(request).await)
    }))
    .await
}
