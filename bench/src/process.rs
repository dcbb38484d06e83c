//! A function's process and its use of CPU time, memory and instructions.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::BenchError;

/// The command that starts a function.
#[derive(Debug, Clone)]
pub struct Program {
    /// The file and its arguments.
    pub command: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
}

/// A running process.
pub struct Process {
    child: Child,
    pid: Pid,
    cpu: ClockId,
}

impl Program {
    /// Starts the process, with the address of its Runtime API.
    pub fn start(&self, runtime_api: &str) -> Result<Process, BenchError> {
        self.spawn(&self.command, runtime_api, Stdio::inherit())
    }

    fn spawn(&self, command: &[String], runtime_api: &str, stderr: Stdio) -> Result<Process, BenchError> {
        let (file, arguments) = command.split_first().ok_or_else(|| BenchError::Function("no file".to_owned()))?;
        let child = Command::new(file)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()?;
        Process::of(child)
    }

    /// Starts the process under valgrind, which counts its instructions.
    pub fn start_counted(&self, runtime_api: &str) -> Result<Process, BenchError> {
        let valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"].map(str::to_owned);
        let command: Vec<String> = valgrind.into_iter().chain(self.command.iter().cloned()).collect();
        self.spawn(&command, runtime_api, Stdio::piped())
    }
}

/// Returns true if valgrind is installed.
pub fn can_count_instructions() -> bool {
    Path::new("/usr/bin/valgrind").exists()
}

impl Process {
    fn of(child: Child) -> Result<Self, BenchError> {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let pid = pid.ok_or_else(|| BenchError::Function("it ended at once".to_owned()))?;
        Ok(Self { child, pid, cpu: clock_getcpuclockid(pid)? })
    }

    /// Returns the CPU time of all its threads so far, user and kernel.
    pub fn cpu_time(&self) -> Result<Duration, BenchError> {
        Ok(clock_gettime(self.cpu)?.into())
    }

    /// Returns its peak memory so far, in KiB: `VmHWM` of proc(5).
    pub fn peak_memory_kib(&self) -> Result<u64, BenchError> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.ok_or_else(|| BenchError::Function("it is gone".to_owned()))
    }

    /// Ends the process.
    pub async fn end(mut self) -> Result<(), BenchError> {
        Ok(self.child.kill().await?)
    }

    /// Ends a process under valgrind, and returns the number of its instructions.
    pub async fn end_counted(self) -> Result<u64, BenchError> {
        kill(self.pid, Signal::SIGTERM)?;
        let output = self.child.wait_with_output().await?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let count = told.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
        count.ok_or_else(|| BenchError::Function(format!("valgrind counted nothing: {told}")))
    }
}

/// A server that prints its address on standard output.
pub struct Service(Process);

impl Service {
    /// Starts the server and waits for the line that begins with `title` and ends with its URL.
    pub async fn start(file: &Path, arguments: &[&str], title: &str) -> Result<(Self, String), BenchError> {
        let mut command = Command::new(file);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = Process::of(command.spawn()?)?;
        let mut lines = BufReader::new(process.child.stdout.take().expect("it is piped")).lines();
        let mut url = None;
        while url.is_none() {
            let line = lines.next_line().await?.ok_or_else(|| BenchError::Function("it did not start".to_owned()))?;
            url = line.strip_prefix(title).and_then(|rest| rest.split_whitespace().last()).map(str::to_owned);
        }
        // Later output must be read, or the pipe would fill and block the server.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((Self(process), url.unwrap_or_default()))
    }

    /// Returns the CPU time of all its threads so far.
    pub fn cpu_time(&self) -> Result<Duration, BenchError> {
        self.0.cpu_time()
    }

    /// Asks the server to stop, and waits for its end.
    pub async fn stop(mut self) -> Result<(), BenchError> {
        kill(self.0.pid, Signal::SIGTERM)?;
        self.0.child.wait().await?;
        Ok(())
    }
}
