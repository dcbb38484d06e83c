//! Starts and answers of functions, each in fresh processes, in turns.

use serde::{Deserialize, Serialize};

use crate::BenchError;
use crate::deployment::{Deployment, Request};
use crate::process::{self, Program};
use crate::running::{Cost, Running, median};

/// A function to measure.
pub struct Subject {
    /// Its name in the tables.
    pub name: &'static str,
    /// The program that runs it.
    pub program: Program,
    /// Size of the deployed file in bytes.
    pub size: u64,
    /// The request.
    pub request: Request,
}

/// The number of measurements.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Number of fresh processes.
    pub starts: usize,
    /// Number of answers of each process after its first.
    pub warm_answers: usize,
}

/// The figures of a subject: medians over its processes.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Figures {
    /// The subject's name.
    pub name: &'static str,
    /// Requests to DynamoDB and Vonage in one answer.
    pub requests: u32,
    /// Cost from the start until it asks for its first event.
    pub start: Cost,
    /// Cost of the first answer; its CPU time ends when the function asks for the next event.
    pub first_answer: Cost,
    /// Sum of both.
    pub cold: Cost,
    /// Cost of a later answer.
    pub warm: Cost,
    /// Peak memory in MiB.
    pub peak_memory_mib: f64,
    /// Size of the deployed file in bytes.
    pub size: u64,
    /// Instructions from the start until it asks for its second event; `None` where they cannot be counted.
    pub instructions: Option<u64>,
}

/// The figures of one process.
struct Run {
    start: Cost,
    first_answer: Cost,
    warm: Cost,
    peak_memory_kib: u64,
}

/// Measures all `subjects` in turns, so that other load on the machine affects them alike.
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

async fn run(deployment: &Deployment, subject: &Subject, warm_answers: usize) -> Result<Run, BenchError> {
    let first = deployment.event(subject.request).await?;
    let (mut running, start) = Running::start(&subject.program).await?;
    let (answer, first_answer) = running.answer(first).await?;
    deployment.check(subject.request, &answer)?;
    let mut warm = Cost::default();
    for _ in 0..warm_answers {
        let (answer, cost) = running.answer(deployment.event(subject.request).await?).await?;
        deployment.check(subject.request, &answer)?;
        warm = warm + cost;
    }
    let peak_memory_kib = running.process().peak_memory_kib()?;
    running.into_process().end().await?;
    Ok(Run { start, first_answer, warm: warm.each_of(warm_answers), peak_memory_kib })
}

async fn count_instructions(deployment: &Deployment, subject: &Subject) -> Result<u64, BenchError> {
    let event = deployment.event(subject.request).await?;
    let mut running = Running::start_counted(&subject.program).await?;
    let (answer, _) = running.answer(event).await?;
    deployment.check(subject.request, &answer)?;
    running.into_process().end_counted().await
}

impl Figures {
    fn of(subject: &Subject, runs: &[Run], instructions: Option<u64>) -> Self {
        let cost = |of: fn(&Run) -> Cost| Cost::median(runs.iter().map(of));
        Self {
            name: subject.name,
            requests: subject.request.requests(),
            start: cost(|run| run.start),
            first_answer: cost(|run| run.first_answer),
            cold: cost(|run| run.start + run.first_answer),
            warm: cost(|run| run.warm),
            peak_memory_mib: median(runs.iter().map(|run| run.peak_memory_kib as f64 / 1024.0)),
            size: subject.size,
            instructions,
        }
    }
}
