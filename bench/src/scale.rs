//! The cost of answers by the number of conversations in the table, and of creations by the size of the pool and the
//! caller's routes.

use serde::{Deserialize, Serialize};

use crate::BenchError;
use crate::deployment::Deployment;
use crate::programs::{ANSWER, CREATE, Functions};
use crate::running::{Cost, Running};
use crate::tls::Authority;

/// Answers with a table of one size.
#[derive(Debug, Deserialize, Serialize)]
pub struct Answers {
    /// Number of conversations in the table.
    pub conversations: u64,
    /// Cost of an answer to the caller of a random conversation: the median of batches.
    pub answer: Cost,
}

/// Creations with one pool and one kind of caller.
#[derive(Debug, Deserialize, Serialize)]
pub struct Creations {
    /// Number of ready numbers.
    pub numbers: usize,
    /// Number of routes that the caller has already.
    pub held: usize,
    /// Median cost of a creation.
    pub creation: Cost,
}

/// A caller with many routes.
#[derive(Debug, Deserialize, Serialize)]
pub struct Hub {
    /// Number of ready numbers.
    pub numbers: usize,
    /// Number of routes that the caller has already.
    pub routes: usize,
    /// Median cost of a creation.
    pub creation: Cost,
    /// Median cost of an answer to a call of this caller.
    pub answer: Cost,
}

/// Measures answers with tables of different `sizes`, in turns.
pub async fn answers(
    authority: &Authority,
    functions: &Functions,
    sizes: &[u64],
    batches: usize,
) -> Result<Vec<Answers>, BenchError> {
    const BATCH: usize = 100;
    let function = functions.binary(ANSWER)?;
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
            // The first batch fills the caches.
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

/// Measures creations with pools of different sizes, by people with few and many routes.
pub async fn creations(
    authority: &Authority,
    functions: &Functions,
    times: usize,
) -> Result<Vec<Creations>, BenchError> {
    let function = functions.binary(CREATE)?;
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

/// Measures creations and answers for callers with few and very many routes, with small and very large pools; without the very
/// large ones if `quick` is set, because it takes longer to make them than to measure them.
pub async fn hubs(
    authority: &Authority,
    functions: &Functions,
    quick: bool,
    times: usize,
) -> Result<Vec<Hub>, BenchError> {
    const POOLS: [(usize, &[usize]); 3] = [(10, &[1]), (1_000, &[1, 100, 900]), (100_000, &[1, 100, 1_000, 10_000])];
    let (create, answer) = (functions.binary(CREATE)?, functions.binary(ANSWER)?);
    let mut measured = Vec::new();
    for &(numbers, hubs) in if quick { &POOLS[..2] } else { &POOLS } {
        let deployment = Deployment::start(authority, 2).await?;
        deployment.replace_pool(numbers)?;
        let (mut creating, _) = Running::start(&deployment.program(&[&create])).await?;
        let (mut answering, _) = Running::start(&deployment.program(&[&answer])).await?;
        for &routes in hubs {
            let mut costs = (Vec::new(), Vec::new());
            for _ in 0..=times {
                let hub = deployment.hub(routes)?;
                let (created, cost) = creating.answer(deployment.creation_of(&hub)?).await?;
                if created["statusCode"] != 201 {
                    return Err(BenchError::Function(format!("a creation was answered with {created}")));
                }
                costs.0.push(cost);
                let (call, other) = deployment.call_of_hub(&hub)?;
                let (answered, cost) = answering.answer(call).await?;
                if !answered.to_string().contains(other) {
                    return Err(BenchError::Function(format!("a call was answered with {answered}")));
                }
                costs.1.push(cost);
            }
            // The first one fills the caches.
            let [creation, answer] = [costs.0, costs.1].map(|costs| Cost::median(costs.into_iter().skip(1)));
            measured.push(Hub { numbers, routes, creation, answer });
        }
        creating.into_process().end().await?;
        answering.into_process().end().await?;
        deployment.stop().await;
    }
    Ok(measured)
}
