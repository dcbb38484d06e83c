//! The application's key pair on this machine.
//!
//! The program `openssl` makes it, as docs/deploying.md does by hand: a crate for it would rebuild the AWS SDK with other features.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// The fate of the private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It was in its file.
    Kept,
    /// It is new.
    Made,
    /// It would be made.
    WouldBeMade,
    /// The application has a key, or needs none.
    NotNeeded,
}

/// Returns the private key in the file, if there is such a file.
pub(super) fn read(file: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(file) {
        Ok(pem) => Ok(Some(pem)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Makes a private key, and with `keep` stores it in a file that only its owner can read. A key that another run has stored there
/// meanwhile is taken instead.
pub(super) fn make(file: &Path, keep: bool) -> Result<(Option<String>, KeyState), String> {
    let by_hand = "make the key by hand, as docs/deploying.md says, and give it as --private-key";
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let made = Command::new("openssl").args(arguments).output();
    let made = made.map_err(|error| format!("openssl cannot be run ({error}); {by_hand}"))?;
    let pem = String::from_utf8(made.stdout).unwrap_or_default();
    if !made.status.success() || !pem.contains("PRIVATE KEY") {
        return Err(format!("openssl made no key; {by_hand}"));
    }
    if !keep {
        return Ok((Some(pem), KeyState::WouldBeMade));
    }
    match store(file, &pem) {
        Ok(()) => Ok((Some(pem), KeyState::Made)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok((read(file)?, KeyState::Kept)),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Writes the whole key beside the file first, so that a crash leaves no half of one there.
fn store(file: &Path, pem: &str) -> std::io::Result<()> {
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(&beside)?;
    written.write_all(pem.as_bytes())?;
    written.sync_all()?;
    // Unlike a rename, a link never replaces a key that is there.
    let linked = std::fs::hard_link(&beside, file);
    std::fs::remove_file(&beside)?;
    linked
}
