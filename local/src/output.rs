//! The output of commands.

use std::io::{self, Write};

/// Prints a text to standard output at once.
///
/// # Errors
/// It cannot be written. [`io::ErrorKind::BrokenPipe`] means that the reader, such as `head`, wants no more: no reason to complain.
pub fn show(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
