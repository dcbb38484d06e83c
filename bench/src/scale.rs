//! Whether answers cost the same however many conversations there are, and what a creation costs with the pool and with
//! what a caller holds.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::BenchError;
use crate::deployment::Deployment;
use crate::process::{Process, Program};
use crate::runtime_api::RuntimeApi;
use crate::starts::{Cost, median};
use crate::tls::Authority;

/// An answer, with so many conversations in the table.
#[derive(Debug, Serialize)]
pub struct Answers {
    /// The conversations in the table.
    pub conversations: u64,
    /// An answer to a caller of a conversation at random: the median of batches.
    pub answer: Cost,
}

/// A creation, with such a pool and such a caller.
#[derive(Debug, Serialize)]
pub struct Creations {
    /// The ready numbers.
    pub numbers: usize,
    /// The routes that the caller holds already.
    pub held: usize,
    /// The median of creations.
    pub creation: Cost,
}

/// A function in a process, warm.
struct Running {
    api: RuntimeApi,
    process: Process,
}

impl Running {
    async fn start(program: &Program) -> Result<Self, BenchError> {
        let mut api = RuntimeApi::start().await?;
        let process = program.start(&api.address())?;
        api.asked_for_next().await?;
        Ok(Self { api, process })
    }

    /// Lets it answer, and tells what it answered and what that cost.
    async fn answer(&mut self, event: axum::body::Bytes) -> Result<(Value, Duration, Duration), BenchError> {
        let (asked, cpu) = (Instant::now(), self.process.cpu_time()?);
        let (answered, answer) = self.api.invoke(event).await?;
        self.api.asked_for_next().await?;
        Ok((answer, answered - asked, self.process.cpu_time()? - cpu))
    }
}

fn cost(wall: impl Iterator<Item = f64>, cpu: impl Iterator<Item = f64>) -> Cost {
    Cost { wall_ms: median(wall), cpu_ms: median(cpu) }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

/// Answers with tables of different `sizes`, in turns.
pub async fn answers(
    program: impl Fn(&Deployment) -> Result<Program, BenchError>,
    authority: &Authority,
    sizes: &[u64],
    batches: usize,
) -> Result<Vec<Answers>, BenchError> {
    const BATCH: usize = 100;
    let mut deployments = Vec::new();
    for &size in sizes {
        let deployment = Deployment::start(authority, 2).await?;
        eprintln!("filling a table with {size} conversations");
        deployment.fill(size)?;
        let running = Running::start(&program(&deployment)?).await?;
        deployments.push((size, deployment, running, Vec::new()));
    }
    for batch in 0..=batches {
        for (size, deployment, running, costs) in &mut deployments {
            let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..BATCH {
                let (event, other) = deployment.call(fastrand::u64(0..*size))?;
                let (answer, took, used) = running.answer(event).await?;
                if !answer.to_string().contains(&other) {
                    return Err(BenchError::Function(format!("a call was answered with {answer}")));
                }
                (wall, cpu) = (wall + took, cpu + used);
            }
            // The first batch warms the caches of all.
            if batch > 0 {
                costs.push((ms(wall) / BATCH as f64, ms(cpu) / BATCH as f64));
            }
        }
    }
    let mut measured = Vec::new();
    for (conversations, deployment, running, costs) in deployments {
        let answer = cost(costs.iter().map(|cost| cost.0), costs.iter().map(|cost| cost.1));
        measured.push(Answers { conversations, answer });
        running.process.end().await?;
        deployment.stop().await;
    }
    Ok(measured)
}

/// Creations with pools of different sizes, by people who hold more and fewer routes.
pub async fn creations(
    program: impl Fn(&Deployment) -> Result<Program, BenchError>,
    authority: &Authority,
    times: usize,
) -> Result<Vec<Creations>, BenchError> {
    let mut measured = Vec::new();
    for (numbers, helds) in [(1, vec![0]), (10, vec![0]), (100, vec![0, 10, 99])] {
        let deployment = Deployment::start(authority, numbers).await?;
        let mut running = Running::start(&program(&deployment)?).await?;
        for held in helds {
            let mut costs = Vec::new();
            for _ in 0..=times {
                let person = deployment.holder_of(held).await?;
                let (answer, wall, cpu) = running.answer(deployment.creation_of(&person)?).await?;
                if answer["statusCode"] != 201 {
                    return Err(BenchError::Function(format!("a creation was answered with {answer}")));
                }
                costs.push((ms(wall), ms(cpu)));
            }
            let creation = cost(costs.iter().skip(1).map(|cost| cost.0), costs.iter().skip(1).map(|cost| cost.1));
            measured.push(Creations { numbers, held, creation });
        }
        running.process.end().await?;
        deployment.stop().await;
    }
    Ok(measured)
}
