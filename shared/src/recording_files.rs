//! The files of recordings, in the deployment's own bucket of S3.
//!
//! Source: Amazon S3 API Reference, "PutObject", "DeleteObject" and "GetObject". The bucket encrypts what is put there.

use std::time::{Duration, SystemTime};

use reqwest::Response;

use crate::aws_request::{AwsError, AwsService, AwsSigner};
use crate::config::{ConfigError, Environment};

/// The longest time for one file.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Time for which the address of a file works. A player may begin late or go back, but nobody keeps the address.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The bucket, for the function that fills it.
#[derive(Debug)]
pub struct RecordingFiles {
    s3: AwsService,
    bucket: String,
}

/// The bucket, for the function that hands out addresses of its files. It sends nothing.
#[derive(Debug)]
pub struct RecordingAddresses {
    signer: AwsSigner,
    base: String,
}

/// A file was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Its length is not known, and S3 has to know that first.
    #[error("the length of the recording is not known")]
    NoLength,
    /// S3 did not store it.
    #[error(transparent)]
    S3(#[from] AwsError),
}

impl RecordingFiles {
    /// Returns the bucket that `RECORDINGS_BUCKET` names, if it is set; `AWS_ENDPOINT_URL_S3` is another endpoint than AWS. Sends
    /// nothing.
    pub fn from_environment(env: &Environment) -> Result<Option<Self>, ConfigError> {
        let Some(bucket) = env.optional("RECORDINGS_BUCKET") else { return Ok(None) };
        Ok(Some(Self { s3: AwsService::new(env, "s3", env.optional("AWS_ENDPOINT_URL_S3"))?, bucket }))
    }

    /// Stores the body of a response as `file`, while it arrives, so that a long one needs no memory. `length` is its length in
    /// bytes if the response does not say it. Returns the length. If the response breaks off, nothing is stored.
    pub async fn put(&self, file: &str, source: Response, length: Option<u64>) -> Result<u64, PutError> {
        let length = source.content_length().or(length).ok_or(PutError::NoLength)?;
        let headers = [("content-length", &*length.to_string()), ("content-type", "audio/mpeg")];
        self.s3.put(&format!("/{}/{file}", self.bucket), &headers, source.into(), TIME_LIMIT).await?;
        Ok(length)
    }

    /// Deletes a file. It is no error if there is none.
    pub async fn delete(&self, file: &str) -> Result<(), AwsError> {
        self.s3.delete(&format!("/{}/{file}", self.bucket)).await
    }
}

impl RecordingAddresses {
    /// Returns the bucket, like [`RecordingFiles::from_environment`].
    pub fn from_environment(env: &Environment) -> Result<Option<Self>, ConfigError> {
        let Some(bucket) = env.optional("RECORDINGS_BUCKET") else { return Ok(None) };
        let signer = AwsSigner::new(env, "s3")?;
        let endpoint = env.optional("AWS_ENDPOINT_URL_S3").unwrap_or_else(|| signer.endpoint());
        Ok(Some(Self { signer, base: format!("{endpoint}/{bucket}") }))
    }

    /// Returns an address at which anybody can get `file` for a quarter of an hour from now.
    pub fn of(&self, file: &str) -> Option<String> {
        self.signer.presigned(&format!("{}/{file}", self.base), ADDRESS_LIFETIME, SystemTime::now())
    }
}
