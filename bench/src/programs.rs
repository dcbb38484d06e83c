//! The programs that are measured: the very files that `sam build` made, or the same packages built by cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::BenchError;
use crate::deployment::{Deployment, Request};
use crate::starts::Subject;

/// The rows of the table: name, package and request. The floor comes first.
const ROWS: [(&str, &str, Request); 12] = [
    (FLOOR, FLOOR, Request::Floor),
    (ANSWER, ANSWER, Request::Answer),
    ("fallback-webhook", "fallback-webhook", Request::Fallback),
    ("event-webhook", "event-webhook", Request::Event),
    ("message-webhook", "message-webhook", Request::Text),
    (CREATE, CREATE, Request::Create),
    ("get-conversation", "get-conversation", Request::Get),
    ("update-conversation", "update-conversation", Request::Update),
    ("end-conversation", "end-conversation", Request::End),
    ("control-call", "control-call", Request::Calls),
    ("provision-numbers", "provision-numbers", Request::Numbers),
    ("provision-numbers, schedule", "provision-numbers", Request::Schedule),
];

/// The name of the floor in the tables.
pub const FLOOR: &str = "floor";
/// The name of the same answer in Node.
pub const NODE_PEER: &str = "node-peer";
/// The package and name of the function that a caller waits for.
pub const ANSWER: &str = "answer-webhook";
/// The package and name of the function that waits for Vonage.
pub const CREATE: &str = "create-conversation";

/// The source of the functions' binaries.
#[derive(Debug, Clone)]
pub enum Functions {
    /// Cargo builds each package on its own, as SAM does: a build of all of them together would unify their features.
    Cargo,
    /// The folder of `sam build`, with one folder a function.
    Sam(PathBuf),
}

impl Functions {
    /// Returns the binary of the function in `package`, and builds it if it is not there yet.
    pub fn binary(&self, package: &str) -> Result<PathBuf, BenchError> {
        match self {
            Self::Cargo => cargo_build(package),
            // The floor is no resource of the template. It is built by the same program with the same flags, and together with a
            // function, so that both have the same dependencies with the same features, which are compiled once.
            Self::Sam(_) if package == FLOOR => {
                run(cargo().args(["lambda", "build", "--release", "--package", FLOOR, "--package", ANSWER]))?;
                Ok(target().join("lambda").join(FLOOR).join("bootstrap"))
            }
            Self::Sam(folder) => Ok(folder.join(logical_id(package)).join("bootstrap")),
        }
    }
}

/// Returns the name of a function's resource in the template: `AnswerWebhook` for `answer-webhook`.
fn logical_id(package: &str) -> String {
    let capitalized = package.split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    capitalized.collect()
}

/// The files that are measured.
pub struct Programs {
    built: Vec<(&'static str, Request, PathBuf)>,
    node_peer: Option<NodePeer>,
}

/// Node and the bundle that it runs.
struct NodePeer {
    node: PathBuf,
    bundle: PathBuf,
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Programs {
    /// Finds or builds all functions, builds the floor and, if `peer` is set, the peer in Node.
    pub fn build(functions: &Functions, peer: bool) -> Result<Self, BenchError> {
        let built = ROWS.into_iter().map(|(name, package, request)| Ok((name, request, functions.binary(package)?)));
        let built = built.collect::<Result<_, BenchError>>()?;
        let node_peer = if peer { Some(build_node_peer()?) } else { None };
        Ok(Self { built, node_peer })
    }

    /// Returns all programs as subjects in `deployment`.
    pub fn subjects(&self, deployment: &Deployment) -> Result<Vec<Subject>, BenchError> {
        let subject = |name, request, deployed: &Path, command: &[&Path]| {
            let size = std::fs::metadata(deployed)?.len();
            Ok(Subject { name, program: deployment.program(command), size, request })
        };
        let mut subjects: Vec<Subject> = self
            .built
            .iter()
            .map(|(name, request, file)| subject(name, *request, file, &[file]))
            .collect::<Result<_, BenchError>>()?;
        if let Some(NodePeer { node, bundle }) = &self.node_peer {
            subjects.insert(2, subject(NODE_PEER, Request::Answer, bundle, &[node, bundle])?);
        }
        Ok(subjects)
    }
}

/// Builds a package's binary for release, and returns its path.
pub fn cargo_build(package: &str) -> Result<PathBuf, BenchError> {
    eprintln!("building {package}");
    run(cargo().args(["build", "--quiet", "--release", "--package", package]))?;
    let binary = if package == "local" { "maskline" } else { package };
    Ok(target().join("release").join(binary))
}

/// Returns cargo, to be run at the root of the workspace.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    // The variables that `cargo run` sets for this program would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name.to_string_lossy().starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn build_node_peer() -> Result<NodePeer, BenchError> {
    let folder = root().join("bench/node-peer");
    let node = Command::new("node").args(["-p", "process.execPath"]).output()?;
    eprintln!("building {NODE_PEER}");
    run(Command::new("npm").current_dir(&folder).args(["ci", "--silent", "--no-audit", "--no-fund"]))?;
    run(Command::new("npm").current_dir(&folder).args(["run", "--silent", "build"]))?;
    let node = String::from_utf8_lossy(&node.stdout).trim().into();
    Ok(NodePeer { node, bundle: folder.join("dist/bootstrap.cjs") })
}

fn run(command: &mut Command) -> Result<(), BenchError> {
    // Standard output is for the report.
    let status = command.stdout(Stdio::from(std::io::stderr())).status()?;
    if status.success() { Ok(()) } else { Err(BenchError::Build(format!("{command:?}"))) }
}
