//! What is measured, built as it is deployed: one package at a time, because a build of all of them together would give
//! each the features of every other.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::BenchError;
use crate::deployment::{Deployment, Request};
use crate::starts::Subject;

/// The rows of the table: each with its package, and what that is asked. The floor comes first.
const ROWS: [(&str, &str, Request); 9] = [
    (FLOOR, FLOOR, Request::Floor),
    (ANSWER, ANSWER, Request::Answer),
    ("event-webhook", "event-webhook", Request::Event),
    (CREATE, CREATE, Request::Create),
    ("get-conversation", "get-conversation", Request::Get),
    ("update-conversation", "update-conversation", Request::Update),
    ("end-conversation", "end-conversation", Request::End),
    ("provision-numbers", "provision-numbers", Request::Numbers),
    ("provision-numbers, schedule", "provision-numbers", Request::Schedule),
];

/// The names of the floor and of the peer in the tables.
pub const FLOOR: &str = "floor";
/// The same answer in Node.
pub const NODE_PEER: &str = "node-peer";
/// The function that a caller waits for: its package, and its name in the tables.
pub const ANSWER: &str = "answer-webhook";
/// The function that waits for Vonage, likewise.
pub const CREATE: &str = "create-conversation";

/// The files that were built.
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
    /// Builds all functions and the floor, and the peer if Node is here.
    pub fn build() -> Result<Self, BenchError> {
        let built = ROWS.into_iter().map(|(name, package, request)| Ok((name, request, cargo_build(package)?)));
        Ok(Self { built: built.collect::<Result<_, BenchError>>()?, node_peer: build_node_peer()? })
    }

    /// All of them, to be run in `deployment`.
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

/// Builds a package's binary, which has its name, for release.
pub fn cargo_build(package: &str) -> Result<PathBuf, BenchError> {
    eprintln!("building {package}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    // What `cargo run` tells this program of its own package would make build scripts run again, and all that needs them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name.to_string_lossy().starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    run(command.current_dir(root()).args(["build", "--quiet", "--release", "--package", package]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let binary = if package == "local" { "maskline" } else { package };
    Ok(target.join("release").join(binary))
}

fn build_node_peer() -> Result<Option<NodePeer>, BenchError> {
    let folder = root().join("bench/node-peer");
    let has_npm = Command::new("npm").arg("--version").stdout(Stdio::null()).status().is_ok();
    let (Ok(node), true) = (Command::new("node").args(["-p", "process.execPath"]).output(), has_npm) else {
        eprintln!("skipping {NODE_PEER}: Node is not here");
        return Ok(None);
    };
    eprintln!("building {NODE_PEER}");
    run(Command::new("npm").current_dir(&folder).args(["ci", "--silent", "--no-audit", "--no-fund"]))?;
    run(Command::new("npm").current_dir(&folder).args(["run", "--silent", "build"]))?;
    let node = String::from_utf8_lossy(&node.stdout).trim().into();
    Ok(Some(NodePeer { node, bundle: folder.join("dist/bootstrap.cjs") }))
}

fn run(command: &mut Command) -> Result<(), BenchError> {
    // What this program prints on standard output is its report.
    let status = command.stdout(Stdio::from(std::io::stderr())).status()?;
    if status.success() { Ok(()) } else { Err(BenchError::Build(format!("{command:?}"))) }
}
