//! The floor: a function that answers with one GetItem of the item that `PK` and `SK` name, and does nothing else.

use std::env::var;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use lambda_http::{Body, Error, Request, Response, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, table, pk, sk) = &(connect()?, var("TABLE_NAME")?, var("PK")?, var("SK")?);
    lambda_http::run(service_fn(async |_: Request| {
        let key = |value: &str| AttributeValue::S(value.to_owned());
        let found = client.get_item().table_name(table).key("pk", key(pk)).key("sk", key(sk)).send().await?;
        Ok::<_, Error>(Response::new(Body::from(if found.item.is_some() { "found" } else { "not found" })))
    }))
    .await
}

/// Returns a client with the settings of the product.
fn connect() -> Result<Client, Error> {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let limit = Duration::from_millis(var("DYNAMODB_TIME_LIMIT_MS")?.parse()?);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(limit.mul_f32(0.3))
        .operation_attempt_timeout(limit.mul_f32(0.4))
        .operation_timeout(limit)
        .build();
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(25));
    let credentials = Credentials::new(
        var("AWS_ACCESS_KEY_ID")?,
        var("AWS_SECRET_ACCESS_KEY")?,
        var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    Ok(Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(retries)
            .region(Region::new(var("AWS_REGION")?))
            .credentials_provider(credentials)
            .endpoint_url(var("AWS_ENDPOINT_URL_DYNAMODB")?)
            .build(),
    ))
}
