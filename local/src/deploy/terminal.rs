//! The person at the terminal, if there is one.

use std::io::{self, BufRead, IsTerminal, Write};

use console::Term;

/// The terminal on which questions are asked: standard input, and standard error, because standard output has the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    is_there: bool,
}

impl Terminal {
    /// Finds the terminal of this process. There is none for a program that wants JSON.
    pub(super) fn of_process(as_json: bool) -> Self {
        Self { is_there: !as_json && io::stdin().is_terminal() && io::stderr().is_terminal() }
    }

    pub(super) fn is_there(self) -> bool {
        self.is_there
    }

    /// Asks for a value. A secret is not shown while it is typed.
    pub(super) fn ask(self, question: &str, is_secret: bool) -> io::Result<String> {
        eprint!("{question}: ");
        io::stderr().flush()?;
        if is_secret {
            let typed = Term::stderr().read_secure_line()?;
            return Ok(typed.trim().to_owned());
        }
        let mut typed = String::new();
        if io::stdin().lock().read_line(&mut typed)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(typed.trim().to_owned())
    }

    /// Asks for a yes. Without a terminal nobody agrees.
    pub(super) fn agrees(self, question: &str) -> bool {
        let answer = if self.is_there { self.ask(&format!("{question} [y/N]"), false) } else { Ok(String::new()) };
        answer.is_ok_and(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }
}
