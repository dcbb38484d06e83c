//! Starts and answers of functions, each in fresh processes, side by side.

use serde::{Deserialize, Serialize};

use crate::BenchError;
use crate::deployment::{Deployment, Request};
use crate::process::{self, Program};
use crate::running::{Cost, Running, median};

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
#[derive(Debug, Clone, Deserialize, Serialize)]
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
    let process = running.into_process();
    let peak_memory_kib = process.peak_memory_kib()?;
    process.end().await?;
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
