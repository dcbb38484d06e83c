//! The command `restore`: the repair of a restored table, in AWS or on the laptop.

use std::fmt::Write;
use std::path::PathBuf;

use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::service::provision::Provisioner;
use shared::service::restore::{Restored, Restorer};
use shared::store::{Store, StoreError};
use shared::vonage::Vonage;

use crate::dynamodb::{Dynamodb, DynamodbError};
use crate::settings::Settings;
use crate::stack::{Options, Stack, StartError};

/// A table could not be repaired. What was done stays, and the command can be run again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A variable is missing or malformed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The table or the journal could not be used.
    #[error("{0}; run the command again, it goes on from where it was")]
    Store(#[from] StoreError),
    /// The laptop did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A data file cannot be read.
    #[error(transparent)]
    Dynamodb(#[from] DynamodbError),
    /// There is no such file.
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    /// The copy cannot become the table that is in use.
    #[error("the table {0} is the present one; choose another name with --table")]
    Present(String),
}

/// A copy of the laptop's data file that is to be restored.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The data file, whose journal goes on.
    pub data: PathBuf,
    /// The copy.
    pub copy: PathBuf,
    /// The name of the table that the copy's table becomes in the data file.
    pub table: String,
}

/// Repairs the table `TABLE_NAME` by the journal `JOURNAL_TABLE_NAME` and the Vonage account.
///
/// # Errors
/// If a variable is missing, or the table or the journal does not answer or refuses.
pub async fn repair(environment: &Environment, clock: SharedClock) -> Result<Restored, RestoreError> {
    let store = Store::connect(environment)?.with_journal(environment)?;
    let vonage = Vonage::new(VonageConfig::from_environment(environment)?);
    let provisioner = Provisioner::new(environment, store.clone(), vonage, clock.clone())?;
    Ok(Restorer { store, provisioner, clock }.run().await?)
}

/// Puts the table of a copied data file beside the present one, as DynamoDB restores a table, and repairs it. The simulated
/// account has the numbers that the present table has rented. A table of that name with items was put there by an earlier run.
///
/// # Errors
/// As for [`repair`], and if a file cannot be used.
pub async fn on_laptop(copied: Copied, settings: Settings, clock: SharedClock) -> Result<Restored, RestoreError> {
    for file in [&copied.data, &copied.copy] {
        if !file.exists() {
            return Err(RestoreError::NoFile(file.clone()));
        }
    }
    let Copied { data, copy, table } = copied;
    let stack =
        Stack::start(Options { data: Some(data), settings, clock: clock.clone(), ..Options::default() }).await?;
    let environment = stack.environment.clone().with([("TABLE_NAME".to_owned(), table.clone())]);
    let restored = async {
        let present = stack.environment.required("TABLE_NAME")?;
        if present == table {
            return Err(RestoreError::Present(table));
        }
        Store::connect(&environment)?.create_table().await?;
        if let Some(database) = &stack.database {
            database.copy_table(&Dynamodb::open(Some(&copy))?, &present, &table)?;
        }
        repair(&environment, clock).await
    };
    let restored = restored.await;
    stack.stop().await;
    restored
}

/// Returns what a repair has done, in lines for people. It contains no phone number.
pub fn report(restored: &Restored) -> String {
    let Restored {
        brought_up,
        ended_by_restore,
        kept_keys,
        erased,
        opt_outs,
        closed_masks,
        unreadable,
        failed,
        pool,
        is_pool_compared,
    } = restored;
    let mut text = String::new();
    let counts = [
        (*brought_up, "conversations were brought to their last state"),
        (*kept_keys, "route keys are kept from everybody else now"),
        (*erased, "conversations were erased"),
        (*opt_outs, "wishes for texts or none were brought to their last state"),
        (closed_masks.len(), "standing masks lead to nobody until they are set again"),
        (pool.lost.len(), "numbers are not ours any more, and lost now"),
        (pool.adopted.len(), "numbers were rented since, and are in the pool now"),
        (pool.found_again.len(), "lost numbers are ours, and ready again"),
        (*unreadable, "items cannot be read; what they are about is not repaired"),
        (pool.shortfalls.len(), "steps for numbers failed; the schedule repeats them"),
    ];
    for (count, what) in counts {
        let _ = writeln!(text, "{count:8} {what}");
    }
    for number in closed_masks {
        let _ = writeln!(text, "         PATCH /numbers/{number} with standing sets one again.");
    }
    if !is_pool_compared {
        let _ = writeln!(
            text,
            "The pool is not compared with the Vonage account, so nothing is bought or released yet. Run this again."
        );
    }
    let lists = [
        (ended_by_restore, "conversations were ended, because their phones or numbers had changed. Create them anew:"),
        (failed, "conversations are not repaired. Run this again, and read their items if that does not help:"),
    ];
    for (ids, what) in lists {
        let _ = writeln!(text, "{:8} {what}", ids.len());
        for id in ids {
            let _ = writeln!(text, "         {id}");
        }
    }
    text
}
