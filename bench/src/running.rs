//! A function in a process, and the cost of its start and of its answers.

use std::ops::Add;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use local::runtime_api::RuntimeApi;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::BenchError;
use crate::process::{Process, Program};

/// Elapsed and CPU time in milliseconds.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
pub struct Cost {
    /// Elapsed time.
    pub wall_ms: f64,
    /// CPU time.
    pub cpu_ms: f64,
}

/// A function that waits for an event.
pub struct Running {
    api: RuntimeApi,
    process: Process,
}

impl Cost {
    fn new(wall: Duration, cpu: Duration) -> Self {
        let ms = |took: Duration| took.as_secs_f64() * 1000.0;
        Self { wall_ms: ms(wall), cpu_ms: ms(cpu) }
    }

    /// Returns the cost of each of `count`.
    pub fn each_of(self, times: usize) -> Self {
        let times = times.max(1) as f64;
        Self { wall_ms: self.wall_ms / times, cpu_ms: self.cpu_ms / times }
    }

    /// Returns the medians of both times.
    pub fn median(costs: impl Iterator<Item = Self> + Clone) -> Self {
        Self { wall_ms: median(costs.clone().map(|cost| cost.wall_ms)), cpu_ms: median(costs.map(|cost| cost.cpu_ms)) }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { wall_ms: self.wall_ms + other.wall_ms, cpu_ms: self.cpu_ms + other.cpu_ms }
    }
}

impl Running {
    /// Starts a function, and returns the cost until it asks for its first event.
    pub async fn start(program: &Program) -> Result<(Self, Cost), BenchError> {
        let mut api = RuntimeApi::start().await?;
        let started = Instant::now();
        let process = program.start(&api.address())?;
        let wall = api.asked_for_next().await? - started;
        let cost = Cost::new(wall, process.cpu_time()?);
        Ok((Self { api, process }, cost))
    }

    /// Starts a function under valgrind.
    pub async fn start_counted(program: &Program) -> Result<Self, BenchError> {
        let mut api = RuntimeApi::start().await?;
        let process = program.start_counted(&api.address())?;
        api.asked_for_next().await?;
        Ok(Self { api, process })
    }

    /// Sends an event and returns the answer with its cost: elapsed time until the answer, CPU time until the function
    /// asks for the next event.
    pub async fn answer(&mut self, event: Bytes) -> Result<(Value, Cost), BenchError> {
        let (asked, cpu) = (Instant::now(), self.process.cpu_time()?);
        let (answered, answer) = self.api.invoke(event).await?;
        self.api.asked_for_next().await?;
        Ok((answer, Cost::new(answered - asked, self.process.cpu_time()? - cpu)))
    }

    /// Returns the process, which goes on waiting for invocations.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns the process. It ends soon, because nobody answers it any more.
    pub fn into_process(self) -> Process {
        self.process
    }
}

/// Returns the median.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
