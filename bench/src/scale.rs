//! Whether answers cost the same however many conversations there are, and what a creation costs with the pool and with
//! what a caller holds.

use serde::{Deserialize, Serialize};

use crate::BenchError;
use crate::deployment::Deployment;
use crate::programs::{ANSWER, CREATE, cargo_build};
use crate::running::{Cost, Running};
use crate::tls::Authority;

/// An answer, with so many conversations in the table.
#[derive(Debug, Deserialize, Serialize)]
pub struct Answers {
    /// The conversations in the table.
    pub conversations: u64,
    /// An answer to a caller of a conversation at random: the median of batches.
    pub answer: Cost,
}

/// A creation, with such a pool and such a caller.
#[derive(Debug, Deserialize, Serialize)]
pub struct Creations {
    /// The ready numbers.
    pub numbers: usize,
    /// The routes that the caller holds already.
    pub held: usize,
    /// The median of creations.
    pub creation: Cost,
}

/// Answers with tables of different `sizes`, in turns.
pub async fn answers(authority: &Authority, sizes: &[u64], batches: usize) -> Result<Vec<Answers>, BenchError> {
    const BATCH: usize = 100;
    let function = cargo_build(ANSWER)?;
    let mut deployments = Vec::new();
    for &size in sizes {
        let deployment = Deployment::start(authority, 2).await?;
        eprintln!("filling a table with {size} conversations");
        deployment.fill(size)?;
        let (running, _) = Running::start(&deployment.program(&[&function])).await?;
        deployments.push((size, deployment, running, Vec::new()));
    }
    for batch in 0..=batches {
        for (size, deployment, running, costs) in &mut deployments {
            let mut sum = Cost::default();
            for _ in 0..BATCH {
                let (event, other) = deployment.call(fastrand::u64(0..*size))?;
                let (answer, cost) = running.answer(event).await?;
                if !answer.to_string().contains(&other) {
                    return Err(BenchError::Function(format!("a call was answered with {answer}")));
                }
                sum = sum + cost;
            }
            // The first batch warms the caches of all.
            if batch > 0 {
                costs.push(sum.each_of(BATCH));
            }
        }
    }
    let mut measured = Vec::new();
    for (conversations, deployment, running, costs) in deployments {
        measured.push(Answers { conversations, answer: Cost::median(costs.iter().copied()) });
        running.into_process().end().await?;
        deployment.stop().await;
    }
    Ok(measured)
}

/// Creations with pools of different sizes, by people who hold more and fewer routes.
pub async fn creations(authority: &Authority, times: usize) -> Result<Vec<Creations>, BenchError> {
    let function = cargo_build(CREATE)?;
    let mut measured = Vec::new();
    for (numbers, helds) in [(1, vec![0]), (10, vec![0]), (100, vec![0, 10, 99])] {
        let deployment = Deployment::start(authority, numbers).await?;
        let (mut running, _) = Running::start(&deployment.program(&[&function])).await?;
        for held in helds {
            let mut costs = Vec::new();
            for _ in 0..=times {
                let person = deployment.holder_of(held).await?;
                let (answer, cost) = running.answer(deployment.creation_of(&person)?).await?;
                if answer["statusCode"] != 201 {
                    return Err(BenchError::Function(format!("a creation was answered with {answer}")));
                }
                costs.push(cost);
            }
            let creation = Cost::median(costs.iter().copied().skip(1));
            measured.push(Creations { numbers, held, creation });
        }
        running.into_process().end().await?;
        deployment.stop().await;
    }
    Ok(measured)
}
