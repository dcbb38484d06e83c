//! The SQS queue between the event bus and the backend.
//!
//! Lambda takes messages from it and deletes those that a function has dealt with. The function itself says when a message comes
//! again, and moves to the dead letters what is tried no more.
//!
//! Source: Amazon SQS API Reference, "ChangeMessageVisibility" and "SendMessage".

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::aws_request::{AwsError, AwsService};
use crate::config::{ConfigError, Environment};

/// The queue.
#[derive(Debug)]
pub struct DeliveryQueue {
    sqs: AwsService,
    url: String,
    dead_letters_url: String,
}

impl DeliveryQueue {
    /// Reads `DELIVERY_QUEUE_URL`, `GIVEN_UP_QUEUE_URL` and `AWS_ENDPOINT_URL_SQS`, which is another endpoint than AWS. Sends
    /// nothing.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let sqs = AwsService::new(env, "sqs", env.optional("AWS_ENDPOINT_URL_SQS"))?;
        let (url, dead_letters_url) = (env.required("DELIVERY_QUEUE_URL")?, env.required("GIVEN_UP_QUEUE_URL")?);
        Ok(Self { sqs, url, dead_letters_url })
    }

    /// Hides a message for a time, in whole seconds, after which it comes again. `receipt` is the handle of the message.
    pub async fn hide(&self, receipt: &str, pause: SignedDuration) -> Result<(), AwsError> {
        let seconds = pause.as_secs().max(0);
        let body = json!({"QueueUrl": self.url, "ReceiptHandle": receipt, "VisibilityTimeout": seconds});
        self.post("AmazonSQS.ChangeMessageVisibility", body).await
    }

    /// Puts what a message says into the dead letters.
    pub async fn keep_dead_letter(&self, message: &str) -> Result<(), AwsError> {
        let body = json!({"QueueUrl": self.dead_letters_url, "MessageBody": message});
        self.post("AmazonSQS.SendMessage", body).await
    }

    async fn post(&self, target: &str, body: Value) -> Result<(), AwsError> {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        self.sqs.post("/", &headers, body.to_string()).await.map(drop)
    }
}
