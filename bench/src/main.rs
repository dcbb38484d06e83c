//! The bench: `just bench` measures starts, scale, features and load, and compares them with their targets.

mod cost;
mod deployment;
mod features;
mod load;
mod process;
mod programs;
mod report;
mod running;
mod scale;
mod starts;
mod targets;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use local::masked_call::MaskedCall;
use local::stack::Options;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::programs::{Functions, NODE_PEER, Programs};
use crate::starts::{Effort, Figures, Subject};
use crate::targets::Target;
use crate::tls::Authority;

/// Measures Maskline.
#[derive(Parser)]
struct Arguments {
    /// Parts to measure; by default starts, scale, features and load.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Folder of the functions that `sam build` made, such as .aws-sam/build; without it cargo builds them.
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
    /// The laptop stack to put under load, such as target/debug/maskline; without it cargo builds it for release.
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    /// Measure the peer in Node beside the functions; needs Node and npm.
    #[arg(long)]
    peer: bool,
    /// File for the figures, as JSON.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Measure a sixth of the processes and answers, with a slack of a quarter on times: for CI.
    #[arg(long)]
    quick: bool,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Starts and answers of each function, beside a floor and a peer in Node.
    Starts,
    /// Answers with up to a million conversations, and creations with pools of different sizes.
    Scale,
    /// Answers with each feature of a call turned on.
    Features,
    /// The laptop stack under load.
    Load,
    /// The cost of a million masked calls; measures starts and answers too.
    Cost,
}

/// The bench could not be run.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("a file or socket: {0}")]
    Io(#[from] std::io::Error),
    #[error("the process of a function: {0}")]
    Process(#[from] nix::Error),
    #[error("a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    #[error("a function: {0}")]
    Function(String),
    #[error("{0} failed")]
    Build(String),
    #[error("{0} was not measured")]
    NotMeasured(&'static str),
    #[error("a function: {0}")]
    RuntimeApi(#[from] local::runtime_api::RuntimeApiError),
    #[error("no price and no assumption is named {0}")]
    Price(String),
    #[error("a masked call: {0}")]
    MaskedCall(#[from] local::masked_call::MaskedCallError),
    #[error("not an address: {0}")]
    Url(String),
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the laptop stack: {0}")]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Stack(#[from] local::stack::StartError),
    #[error(transparent)]
    Dynamodb(#[from] local::dynamodb::DynamodbError),
    #[error(transparent)]
    Sign(#[from] local::gateway::SignError),
}

#[tokio::main]
async fn main() -> ExitCode {
    match bench(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a target is not reached");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the bench could not be run: {error}");
            ExitCode::from(2)
        }
    }
}

/// Measures the chosen parts. Returns true if every target is reached.
async fn bench(arguments: &Arguments) -> Result<bool, BenchError> {
    let runs = |part| match arguments.parts.as_slice() {
        // The cost is only for published figures.
        [] => part != Part::Cost,
        parts => parts.contains(&part),
    };
    let functions = arguments.functions.clone().map_or(Functions::Cargo, Functions::Sam);
    let authority = Authority::new()?;
    let (mut figures, mut reached) = (json!({"at": jiff::Timestamp::now()}), true);
    if runs(Part::Starts) || runs(Part::Cost) {
        let (measured, targets) = starts(&authority, arguments, &functions).await?;
        reached &= targets.iter().all(Target::is_reached);
        println!("{}\n{}", report::starts(&measured), report::targets(&targets));
        figures["starts"] = json!({"figures": measured, "targets": targets});
        if runs(Part::Cost) {
            let cost = cost::of(&MaskedCall::count(Options::default()).await?, &measured)?;
            println!("{}", report::cost(&cost));
            figures["cost"] = json!(cost);
        }
    }
    if runs(Part::Scale) {
        let sizes: &[u64] = if arguments.quick { &[1, 10_000] } else { &[1, 1000, 100_000, 1_000_000] };
        let batches = if arguments.quick { 10 } else { 60 };
        let answers = scale::answers(&authority, &functions, sizes, batches).await?;
        let times = if arguments.quick { 5 } else { 20 };
        let creations = scale::creations(&authority, &functions, times).await?;
        let hubs = scale::hubs(&authority, &functions, arguments.quick, times).await?;
        let target = targets::of_scale(&answers, slack(arguments.quick));
        reached &= target.iter().all(Target::is_reached);
        println!("{}\n{}", report::answers(&answers), report::creations(&creations));
        println!("{}\n{}", report::hubs(&hubs), report::targets(&target));
        figures["scale"] = json!({"answers": answers, "creations": creations, "hubs": hubs, "targets": target});
    }
    if runs(Part::Features) {
        let answers = features::measure(&authority, &functions, if arguments.quick { 5 } else { 40 }).await?;
        let targets = targets::of_features(&answers, slack(arguments.quick));
        reached &= targets.iter().all(Target::is_reached);
        println!("{}\n{}", report::features(&answers), report::targets(&targets));
        figures["features"] = json!({"answers": answers, "targets": targets});
    }
    if runs(Part::Load) {
        let times = if arguments.quick { 1 } else { 5 };
        let loads = load::run(arguments.stack.clone(), 10_000 * times, 2000 * times).await?;
        reached &= loads.iter().all(|load| load.errors == 0);
        println!("{}", report::loads(&loads));
        figures["load"] = json!(loads);
    }
    write(&arguments.json, &figures)?;
    Ok(reached)
}

async fn starts(
    authority: &Authority,
    arguments: &Arguments,
    functions: &Functions,
) -> Result<(Vec<Figures>, Vec<Target>), BenchError> {
    let quick = arguments.quick;
    let programs = Programs::build(functions, arguments.peer)?;
    let deployment = Deployment::start(authority, 2).await?;
    let subjects = programs.subjects(&deployment)?;
    let (starts, warm_answers) = if quick { (7, 100) } else { (41, 300) };
    let effort = |subject: &Subject| match (subject.request, subject.name) {
        (_, NODE_PEER) => Effort { starts: 13, warm_answers: 1000 },
        (deployment::Request::Answer | deployment::Request::Floor, _) => Effort { starts, warm_answers },
        _ => Effort { starts, warm_answers: 20 },
    };
    let figures = starts::measure(&deployment, &subjects, effort).await?;
    deployment.stop().await;
    let targets = targets::of_starts(&figures, slack(quick));
    Ok((figures, targets))
}

/// Returns the factor by which times may exceed their targets.
fn slack(quick: bool) -> f64 {
    if quick { 1.25 } else { 1.0 }
}

fn write(file: &PathBuf, figures: &Value) -> Result<(), BenchError> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, serde_json::to_vec_pretty(figures)?)?;
    eprintln!("figures: {}", file.display());
    Ok(())
}
