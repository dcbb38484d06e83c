//! The output of commands.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// Prints a text to standard output at once.
///
/// # Errors
/// It cannot be written. [`io::ErrorKind::BrokenPipe`] means that the reader, such as `head`, wants no more: no reason to complain.
pub fn show(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Returns a bar of `length` steps on standard error, if that is a terminal, and one that shows nothing elsewhere.
pub fn progress(length: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template("{elapsed_precise} {bar:24} {pos} of {len}, {eta} left  {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
