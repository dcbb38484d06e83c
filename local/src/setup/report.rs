//! The report of a set-up, for people and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};
use shared::service::setup::{ByHand, Done, State};

use super::key::KeyState;
use super::secret::Stored;

/// The result of a set-up. It contains no secret.
#[derive(Debug)]
pub struct Report {
    /// The application, and its changes.
    pub application: Done,
    /// The API key of the account, which is no secret.
    pub api_key: String,
    /// True if nothing was changed.
    pub dry_run: bool,
    /// The file of the private key.
    pub key_file: PathBuf,
    /// The fate of the key.
    pub key: KeyState,
    /// The name of the secret, if it was to be written.
    pub secret_name: Option<String>,
    /// The fate of the secret.
    pub secret: Stored,
    /// The version that the secret has now, if it is known.
    pub secret_version: Option<String>,
    /// True if the URL of the deployment is known.
    pub has_url: bool,
    /// The work that is left for people.
    pub by_hand: &'static [ByHand],
}

impl Report {
    /// Returns the report as JSON.
    pub fn json(&self) -> Value {
        let Done { id, name, state, changes } = &self.application;
        json!({
            "application": {"id": id, "name": name},
            "dry_run": self.dry_run,
            "state": state,
            "changes": changes,
            "private_key": {"file": self.key_file, "state": self.key},
            "secret": {"name": self.secret_name, "state": self.secret},
            "by_hand": self.by_hand,
            "next": self.next(),
        })
    }

    /// True if nothing differs from what is wanted.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.application.changes.is_empty() && matches!(self.secret, Stored::Unchanged | Stored::Not)
    }

    /// True if a run with `--apply` would change something.
    fn is_plan(&self) -> bool {
        let writes = !self.application.changes.is_empty() || matches!(self.secret, Stored::WouldBe(_));
        self.dry_run && writes
    }

    /// Returns what to do next, in order.
    fn next(&self) -> Vec<String> {
        if self.is_plan() {
            return vec!["Run it again with --apply to make these changes.".to_owned()];
        }
        let mut next = Vec::new();
        match &self.secret {
            Stored::Written { version, .. } => next.push(format!(
                "If there is a deployment, deploy it again with VonageSecretVersion={version}, so that it reads the secret."
            )),
            Stored::Not => next.push(format!("Store the secrets:\n{}", self.secret_command())),
            Stored::Unchanged | Stored::WouldBe(_) => {}
        }
        let id = self.application.id.as_deref().unwrap_or("<id>");
        let secret = self.secret_name.as_deref().unwrap_or("maskline/vonage");
        let api_key = &self.api_key;
        match self.has_url {
            false => next.push(format!(
                "Deploy: sam deploy --guided, with VonageApiKey={api_key}, VonageApplicationId={id} and VonageSecret={secret}. \
                 Then run this again with --public-url and the deployment's ApiUrl."
            )),
            true => next.push("Check it: maskline doctor --public-url with the same URL.".to_owned()),
        }
        next
    }

    /// Returns the command that stores the secrets, without them: the shell takes them from its variables.
    fn secret_command(&self) -> String {
        let has_key = matches!(self.key, KeyState::Kept | KeyState::Made);
        let (file, member) = match has_key {
            true => (format!(" --rawfile key '{}'", self.key_file.display()), ", private_key: $key"),
            false => (String::new(), ""),
        };
        let name = self.secret_name.as_deref().unwrap_or("maskline/vonage");
        format!(
            "  aws secretsmanager create-secret --name {name} --secret-string \"$(jq -n{file} \\\n    '{{api_secret: env.VONAGE_API_SECRET, \
             signature_secret: env.VONAGE_SIGNATURE_SECRET,\n      signature_secret_2: env.VONAGE_SIGNATURE_SECRET{member}}}')\""
        )
    }
}

/// A value of a setting.
struct Quoted<'a>(&'a Value);

impl fmt::Display for Quoted<'_> {
    /// Shows an address by itself, and any other value as JSON on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.0["address"].as_str()) {
            (Value::Null, _) => f.write_str("nothing"),
            (Value::String(text), _) if text.contains("PUBLIC KEY") => f.write_str("a public key"),
            (Value::String(text), _) => f.write_str(text),
            (webhook, Some(address)) => {
                let method = webhook["http_method"].as_str().unwrap_or("GET");
                write!(f, "{method} {address}")?;
                let millis = |name: &str| webhook[name].as_u64();
                match (millis("connect_timeout"), millis("socket_timeout")) {
                    (Some(connect), Some(socket)) => write!(f, " within {connect} + {socket} ms"),
                    _ => Ok(()),
                }
            }
            (other, None) => write!(f, "{other}"),
        }
    }
}

/// The fate of the application, the key and the secret, without the advice.
pub(crate) struct Fate<'a>(pub(crate) &'a Report);

impl fmt::Display for Fate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { application, dry_run, key_file, key, secret_name, secret, .. } = self.0;
        let Done { id, name, state, changes } = application;
        let id = id.as_deref().unwrap_or("not made yet");
        let word = match (state, *dry_run) {
            (State::Unchanged, _) => "is as it should be",
            (State::Made, true) => "would be made",
            (State::Made, false) => "is made",
            (State::Updated, true) => "would be changed",
            (State::Updated, false) => "is changed",
        };
        writeln!(f, "Application \"{name}\" ({id}) {word}")?;
        for change in changes {
            writeln!(f, "  {}: {} -> {}", change.what, Quoted(&change.was), Quoted(&change.now))?;
        }
        let file = key_file.display();
        match key {
            KeyState::Kept => writeln!(f, "Private key: {file}, as before")?,
            KeyState::Made => {
                writeln!(f, "Private key: {file} is made. Keep it secret, and delete it when it is stored in AWS")?
            }
            KeyState::WouldBeMade => writeln!(f, "Private key: {file} would be made")?,
            KeyState::NotNeeded => {}
        }
        let name = secret_name.as_deref().unwrap_or_default();
        match secret {
            Stored::Not => Ok(()),
            Stored::Unchanged => writeln!(f, "Secret {name}: as it should be"),
            Stored::WouldBe(members) => writeln!(f, "Secret {name} would get {}", members.join(", ")),
            Stored::Written { members, .. } => writeln!(f, "Secret {name} has got {}", members.join(", ")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Fate(self))?;
        writeln!(f, "\nBy hand, because no API of Vonage does it:")?;
        for ByHand { what, needed_for, how } in self.by_hand {
            writeln!(f, "  {what} (for {needed_for}): {how}")?;
        }
        writeln!(f, "\nNext:")?;
        self.next().iter().enumerate().try_for_each(|(nth, step)| writeln!(f, "  {}. {step}", nth + 1))
    }
}
