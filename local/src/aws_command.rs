//! The program `aws`: it has the credentials, profiles and regions of whoever runs it, as they are used to them.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// The program, and the account and region that it is to use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AwsCommand<'a> {
    pub(crate) program: &'a Path,
    /// `None` is that of the environment, or the default one.
    pub(crate) profile: Option<&'a str>,
    /// `None` is that of the profile.
    pub(crate) region: Option<&'a str>,
}

impl AwsCommand<'_> {
    /// Runs the program with `input` as its standard input: secrets go there, never into its arguments, which every process can
    /// read. Returns its output, or what it says about a failure.
    ///
    /// # Errors
    /// The program cannot be run.
    pub(crate) fn run(&self, options: &[&str], input: &str) -> Result<Result<String, String>, io::Error> {
        let mut command = self.command(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read it says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
    }

    /// Runs the program and hands on each line of its output as it comes, until the program ends or a line fails. What it says about
    /// a failure goes to standard error.
    ///
    /// # Errors
    /// The program cannot be run, or the error of a line.
    pub(crate) fn follow<E: From<io::Error>>(
        &self,
        options: &[&str],
        mut hand_on: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<ExitStatus, E> {
        let mut child = self.command(options).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let lines = child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines());
        let handed_on = lines.map_while(Result::ok).try_for_each(|line| hand_on(&line));
        if handed_on.is_err() {
            // It has ended by itself already, or nobody reads it any more.
            let _ = child.kill();
        }
        let status = child.wait()?;
        handed_on.map(|()| status)
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(options);
        for (option, value) in [("--profile", self.profile), ("--region", self.region)] {
            command.args(value.into_iter().flat_map(|value| [option, value]));
        }
        command
    }
}
