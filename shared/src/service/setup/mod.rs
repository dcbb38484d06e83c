//! Setting up the Voice application of a deployment at Vonage: finding or making it, and giving it the deployment's settings.
//!
//! It compares, and writes only what differs, so a second run changes nothing, and a run after a crash does what is left.
//!
//! Vonage has no key that would make a repetition safe, and names of applications are not unique. So an application is made as a
//! candidate, under a name with a token. Whoever has made one lists the others, and deletes its own if there are any: of two runs
//! at once the later one sees the candidate of the earlier one. Only a candidate that is alone gets the name, by which others find
//! it. A candidate that a crash left behind is old by the time in its token, and deleted by the next run.

mod by_hand;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::retry;
use crate::vonage::VonageError;
use crate::vonage::application::{Application, Change, Wanted};
use crate::vonage::applications::{ApplicationsApi, ListedApplication};

pub use by_hand::{BY_HAND, ByHand};

/// The name of an application that is made, unless another one is wanted.
pub const USUAL_NAME: &str = "Maskline";

/// Most attempts to make an application while other runs do the same.
const ATTEMPTS: u32 = 8;

/// Age above which a candidate was left behind. The two requests that follow its making take up to 20 s, if VONAGE_TIME_LIMIT_MS
/// is as usual.
const ABANDONED: SignedDuration = SignedDuration::from_mins(1);

/// An application that is to have certain settings.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The ID that the deployment is configured with, if it is.
    pub id: Option<&'a str>,
    /// The name by which it is found, and with which it is made, if there is none with that ID.
    pub name: &'a str,
    /// Its settings.
    pub wanted: Wanted<'a>,
    /// Another URL that leads to this deployment.
    pub other_url: Option<&'a str>,
    /// True to take the application over from another deployment or program.
    pub take_over: bool,
    /// True to replace a public key of its own, which ends the key that others use.
    pub replace_key: bool,
    /// True to change nothing.
    pub dry_run: bool,
    /// The time.
    pub now: Timestamp,
}

/// The state of the application after a set-up, or after the one that a dry run plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The application is made.
    Made,
    /// It is changed.
    Updated,
    /// It is as it should be.
    Unchanged,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// The ID of the application. `None`: it would be made.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// The fate of the application.
    pub state: State,
    /// The settings that changed, or would change.
    pub changes: Vec<Change>,
}

/// The reason why nothing was set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The application serves another deployment or program.
    #[error("the application {0} serves another deployment or program")]
    ServesAnother(String),
    /// The application has another public key.
    #[error("the application {0} has another public key")]
    OtherKey(String),
    /// Several applications have the name.
    #[error("several applications have this name: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    /// An application is to be made, and there is no public key for it. Vonage would make one, and send the private half.
    #[error("a new application needs a public key")]
    KeyNeeded,
    /// Others made applications of the same name all the time.
    #[error("other runs make an application of this name at the same time")]
    Contended,
    /// Vonage failed or refused.
    #[error(transparent)]
    Vonage(#[from] VonageError),
}

/// The applications of an account that have the name, or are to get it.
#[derive(Default)]
struct Others {
    settled: Vec<ListedApplication>,
    /// Tokens and IDs of applications that are being made.
    candidates: Vec<(String, String)>,
    /// IDs of applications whose maker is gone.
    abandoned: Vec<String>,
}

/// The way by which an application was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FoundBy {
    Id,
    Name,
}

impl Setup<'_> {
    /// Sets the application up.
    pub async fn run(self, api: &ApplicationsApi) -> Result<Done, SetupError> {
        if let Some(id) = self.id
            && let Some(application) = api.find(id).await?
        {
            let found = ListedApplication { id: id.to_owned(), application };
            return self.update(api, found, FoundBy::Id).await;
        }
        for attempt in 0..ATTEMPTS {
            let others = self.others(api).await?;
            if let Some(found) = self.only_one(others.settled)? {
                return self.update(api, found, FoundBy::Name).await;
            }
            for abandoned in others.abandoned.iter().filter(|_| !self.dry_run) {
                api.delete(abandoned).await?;
            }
            if let Some(done) = self.make(api).await? {
                return Ok(done);
            }
            retry::pause(attempt).await;
        }
        Err(SetupError::Contended)
    }

    /// Returns the applications with the name, and the candidates for it.
    async fn others(self, api: &ApplicationsApi) -> Result<Others, SetupError> {
        let prefix = self.candidate_prefix();
        let mut others = Others::default();
        for listed in api.list().await? {
            let name = listed.application.name();
            match name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(')')) {
                None if name == self.name => others.settled.push(listed),
                None => {}
                Some(token) if self.is_abandoned(token) => others.abandoned.push(listed.id),
                Some(token) => others.candidates.push((token.to_owned(), listed.id)),
            }
        }
        Ok(others)
    }

    fn candidate_prefix(self) -> String {
        format!("{} (set-up ", self.name)
    }

    fn is_abandoned(self, token: &str) -> bool {
        let made_at = token.parse::<Ulid>().ok().and_then(|token| Timestamp::try_from(token.datetime()).ok());
        made_at.is_none_or(|made_at| made_at + ABANDONED < self.now)
    }

    /// Returns the application that is meant by its name: the only one, or the only one of this deployment.
    fn only_one(self, mut named: Vec<ListedApplication>) -> Result<Option<ListedApplication>, SetupError> {
        if named.len() > 1 {
            let ids = named.iter().map(|one| one.id.clone()).collect();
            named.retain(|one| self.is_own(&one.application));
            if named.len() != 1 {
                return Err(SetupError::Ambiguous(ids));
            }
        }
        Ok(named.pop())
    }

    /// True if the application has the key or the address of this deployment.
    fn is_own(self, application: &Application) -> bool {
        let pem = application.at("/keys/public_key").and_then(Value::as_str);
        let has_key = pem.zip(self.wanted.public_key).is_some_and(|(pem, key)| key.is(pem));
        has_key || self.urls().any(|url| application.leads_to(url))
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        self.wanted.public_url.into_iter().chain(self.other_url)
    }

    /// Fails if the application is somebody else's. One that was only found by its name may be that of any program.
    fn check_owner(self, found: &ListedApplication, by: FoundBy) -> Result<(), SetupError> {
        let ListedApplication { id, application } = found;
        let is_foreign = match by {
            // Without an URL of its own, the deployment leaves the webhooks alone.
            FoundBy::Id => self.wanted.public_url.is_some() && application.serves_other_deployment(self.urls()),
            FoundBy::Name => application.address_of("answer_url").is_some() && !self.is_own(application),
        };
        if is_foreign && !self.take_over {
            return Err(SetupError::ServesAnother(id.clone()));
        }
        let pem = application.at("/keys/public_key").and_then(Value::as_str);
        let is_other = pem.zip(self.wanted.public_key).is_some_and(|(pem, key)| !key.is(pem));
        if is_other && !self.replace_key { Err(SetupError::OtherKey(id.clone())) } else { Ok(()) }
    }

    async fn update(self, api: &ApplicationsApi, found: ListedApplication, by: FoundBy) -> Result<Done, SetupError> {
        self.check_owner(&found, by)?;
        let ListedApplication { id, mut application } = found;
        let changes = application.configure(self.wanted);
        if !changes.is_empty() && !self.dry_run {
            match api.replace(&id, &application).await {
                Err(error) if error.outcome_is_unknown() && self.is_configured(api, &id).await? => {}
                outcome => outcome?,
            }
        }
        let state = if changes.is_empty() { State::Unchanged } else { State::Updated };
        Ok(Done { id: Some(id), name: application.name().to_owned(), state, changes })
    }

    /// Returns true if Vonage has carried out an update that was not answered.
    async fn is_configured(self, api: &ApplicationsApi, id: &str) -> Result<bool, SetupError> {
        Ok(api.read(id).await?.configure(self.wanted).is_empty())
    }

    /// Makes the application. `None` if another run makes one at the same time: look again.
    async fn make(self, api: &ApplicationsApi) -> Result<Option<Done>, SetupError> {
        if self.wanted.public_key.is_none() {
            return Err(SetupError::KeyNeeded);
        }
        let token = Ulid::from_datetime(self.now.into()).to_string();
        let mut application = Application::named(&format!("{}{token})", self.candidate_prefix()));
        let mut changes = vec![Change { what: "application", was: Value::Null, now: json!(self.name) }];
        changes.extend(application.configure(self.wanted));
        let done = |id| Done { id, name: self.name.to_owned(), state: State::Made, changes };
        if self.dry_run {
            return Ok(Some(done(None)));
        }
        let unanswered = match api.make(&application).await {
            Ok(_) => None,
            Err(error) if error.outcome_is_unknown() => Some(error),
            Err(error) => return Err(error.into()),
        };
        let others = self.others(api).await?;
        // An old candidate is deleted by whoever is next, and never gets the name.
        let own = others.candidates.iter().find(|(other, _)| *other == token).map(|(_, id)| id.clone());
        let Some(id) = own else {
            return unanswered.map_or(Ok(None), |error| Err(error.into()));
        };
        if !others.settled.is_empty() || others.candidates.len() > 1 {
            api.delete(&id).await?;
            return Ok(None);
        }
        application.rename(self.name);
        match api.replace(&id, &application).await {
            Err(error) if error.outcome_is_unknown() && api.read(&id).await?.name() == self.name => {}
            outcome => outcome?,
        }
        Ok(Some(done(Some(id))))
    }
}
