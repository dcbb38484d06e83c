//! Starts and answers of functions, each in fresh processes, side by side.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::BenchError;
use crate::deployment::{Deployment, Request};
use crate::process::{self, Process, Program};
use crate::runtime_api::RuntimeApi;

/// A function to measure.
pub struct Subject {
    /// Its name in the tables.
    pub name: &'static str,
    /// How to start it.
    pub program: Program,
    /// The bytes of what is deployed.
    pub size: u64,
    /// What it is asked.
    pub request: Request,
}

/// How often to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Fresh processes of each subject.
    pub starts: usize,
    /// Answers of each of those processes after its first.
    pub warm_answers: usize,
}

/// What was measured of a subject: medians over its processes.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// The subject.
    pub name: &'static str,
    /// How often its answer asks DynamoDB and Vonage.
    pub requests: u32,
    /// From its start to the first time it asks for an event.
    pub start: Cost,
    /// From its first event to the answer; the CPU time until it asks for the next event.
    pub first_answer: Cost,
    /// Both.
    pub cold: Cost,
    /// An answer later on.
    pub warm: Cost,
    /// The most memory it had, in MiB.
    pub peak_memory_mib: f64,
    /// The bytes of what is deployed.
    pub size: u64,
    /// Instructions from its start to its second question for an event; none where they cannot be counted.
    pub instructions: Option<u64>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// By the clock.
    pub wall_ms: f64,
    /// Of the CPU.
    pub cpu_ms: f64,
}

/// What was measured of one process.
struct Run {
    start: Cost,
    first_answer: Cost,
    warm: Cost,
    peak_memory_kib: u64,
}

/// Measures all `subjects` in turns, so that whatever else the machine does meets them alike.
pub async fn measure(
    deployment: &Deployment,
    subjects: &[Subject],
    effort: impl Fn(&Subject) -> Effort,
) -> Result<Vec<Figures>, BenchError> {
    let mut runs: Vec<Vec<Run>> = subjects.iter().map(|_| Vec::new()).collect();
    let most = subjects.iter().map(|subject| effort(subject).starts).max().unwrap_or_default();
    for turn in 0..most {
        for (subject, runs) in subjects.iter().zip(&mut runs) {
            if turn < effort(subject).starts {
                runs.push(run(deployment, subject, effort(subject).warm_answers).await?);
            }
        }
    }
    let mut figures = Vec::new();
    for (subject, runs) in subjects.iter().zip(&runs) {
        let instructions = match process::can_count_instructions() && subject.is_counted() {
            true => Some(count_instructions(deployment, subject).await?),
            false => None,
        };
        figures.push(Figures::of(subject, runs, instructions));
    }
    Ok(figures)
}

impl Subject {
    /// Valgrind does not run V8's code.
    fn is_counted(&self) -> bool {
        self.program.command.len() == 1
    }
}

/// Where a process stands: the time and its CPU time.
struct Mark(Instant, Duration);

impl Mark {
    fn of(process: &Process, at: Instant) -> Result<Self, BenchError> {
        Ok(Self(at, process.cpu_time()?))
    }

    fn until(&self, later: &Self, times: usize) -> Cost {
        let each = |took: Duration| took.as_secs_f64() * 1000.0 / times.max(1) as f64;
        Cost { wall_ms: each(later.0 - self.0), cpu_ms: each(later.1.saturating_sub(self.1)) }
    }
}

async fn run(deployment: &Deployment, subject: &Subject, warm_answers: usize) -> Result<Run, BenchError> {
    let mut api = RuntimeApi::start().await?;
    let first = deployment.event(subject.request).await?;
    let started = Mark(Instant::now(), Duration::ZERO);
    let process = subject.program.start(&api.address())?;
    let ready = Mark::of(&process, api.asked_for_next().await?)?;
    let asked = Mark(Instant::now(), ready.1);
    let (answered, answer) = api.invoke(first).await?;
    deployment.check(subject.request, &answer)?;
    api.asked_for_next().await?;
    let done = Mark::of(&process, answered)?;
    let mut waited = Duration::ZERO;
    for _ in 0..warm_answers {
        let event = deployment.event(subject.request).await?;
        let asked = Instant::now();
        let (answered, answer) = api.invoke(event).await?;
        deployment.check(subject.request, &answer)?;
        waited += answered - asked;
        api.asked_for_next().await?;
    }
    let warm = done.until(&Mark::of(&process, done.0 + waited)?, warm_answers);
    let peak_memory_kib = process.peak_memory_kib()?;
    process.end().await?;
    Ok(Run { start: started.until(&ready, 1), first_answer: asked.until(&done, 1), warm, peak_memory_kib })
}

async fn count_instructions(deployment: &Deployment, subject: &Subject) -> Result<u64, BenchError> {
    let mut api = RuntimeApi::start().await?;
    let event = deployment.event(subject.request).await?;
    let process = subject.program.start_counted(&api.address())?;
    api.asked_for_next().await?;
    let (_, answer) = api.invoke(event).await?;
    deployment.check(subject.request, &answer)?;
    api.asked_for_next().await?;
    process.end_counted().await
}

impl Figures {
    fn of(subject: &Subject, runs: &[Run], instructions: Option<u64>) -> Self {
        let cost = |of: fn(&Run) -> Cost| Cost {
            wall_ms: median(runs.iter().map(|run| of(run).wall_ms)),
            cpu_ms: median(runs.iter().map(|run| of(run).cpu_ms)),
        };
        Self {
            name: subject.name,
            requests: subject.request.requests(),
            start: cost(|run| run.start),
            first_answer: cost(|run| run.first_answer),
            cold: cost(|run| Cost {
                wall_ms: run.start.wall_ms + run.first_answer.wall_ms,
                cpu_ms: run.start.cpu_ms + run.first_answer.cpu_ms,
            }),
            warm: cost(|run| run.warm),
            peak_memory_mib: median(runs.iter().map(|run| run.peak_memory_kib as f64 / 1024.0)),
            size: subject.size,
            instructions,
        }
    }
}

/// The value in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
