//! The cost of a million masked calls: counted requests and measured times, at list prices.

use std::collections::BTreeMap;

use local::masked_call::MaskedCall;
use local::traffic::{Service, Usage};
use serde::{Deserialize, Serialize};

use crate::BenchError;
use crate::starts::Figures;

/// Prices with their dates and sources, and the assumptions.
const PRICES: &str = include_str!("../prices.json");

const CALLS: f64 = 1e6;

#[derive(Deserialize)]
struct Prices {
    as_of: String,
    region: String,
    aws: BTreeMap<String, Price>,
    assumptions: BTreeMap<String, Assumption>,
    peers: Vec<Peer>,
}

#[derive(Deserialize)]
struct Price {
    usd: f64,
    per: f64,
}

#[derive(Deserialize)]
struct Assumption {
    value: f64,
}

/// The price of another service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peer {
    /// The service.
    pub name: String,
    /// True if its price is public.
    pub charge: String,
    /// Dollars, if public.
    pub usd: Option<f64>,
    /// The unit of the price.
    pub per: Option<String>,
}

/// The cost of a million masked calls.
#[derive(Debug, Deserialize, Serialize)]
pub struct Cost {
    /// The date of the prices.
    pub as_of: String,
    /// AWS's region.
    pub region: String,
    /// Dollars for a million masked calls.
    pub lines: Vec<Line>,
    /// Dollars a month, however many calls there are.
    pub fixed: Vec<Line>,
    /// Prices of other services.
    pub peers: Vec<Peer>,
}

/// A line of the bill.
#[derive(Debug, Deserialize, Serialize)]
pub struct Line {
    /// The thing paid for.
    pub what: String,
    /// The quantity.
    pub quantity: f64,
    /// Dollars.
    pub usd: f64,
}

/// A function's part in a masked call.
struct Part {
    function: &'static str,
    times: f64,
    /// Sequential round trips to DynamoDB and to Vonage; `local/tests/api/costs.rs` asserts them.
    round_trips: [f64; 2],
}

impl Prices {
    fn line(&self, what: &str, price: &str, quantity: f64) -> Result<Line, BenchError> {
        let price = self.aws.get(price).ok_or_else(|| BenchError::Price(price.to_owned()))?;
        Ok(Line { what: what.to_owned(), quantity, usd: quantity / price.per * price.usd })
    }

    fn assumed(&self, name: &str) -> Result<f64, BenchError> {
        Ok(self.assumptions.get(name).ok_or_else(|| BenchError::Price(name.to_owned()))?.value)
    }

    /// Returns the GB-seconds of a part: its CPU time at the share of a processor that comes with its memory, and the
    /// time it waits.
    fn gb_seconds(&self, part: &Part, figures: &[Figures]) -> Result<f64, BenchError> {
        let own = figures.iter().find(|figures| figures.name == part.function);
        let own = own.ok_or(BenchError::NotMeasured(part.function))?;
        let memory = self.assumed("memory_mb")?;
        let computing = own.warm.cpu_ms * self.assumed("memory_mb_of_a_whole_cpu")? / memory;
        let [table, vonage] = part.round_trips;
        let waiting =
            table * self.assumed("dynamodb_round_trip_ms")? + vonage * self.assumed("vonage_round_trip_ms")?;
        // Lambda bills whole milliseconds. A start runs on a whole processor, and is billed too.
        let starting = self.assumed("cold_share")? * own.start.wall_ms;
        Ok(part.times * ((computing + waiting).ceil() + starting) / 1000.0 * memory / 1024.0)
    }
}

/// Returns the cost of a million masked calls with the requests of `call`, by functions measured in `figures`.
pub fn of(call: &MaskedCall, figures: &[Figures]) -> Result<Cost, BenchError> {
    let prices: Prices = serde_json::from_str(PRICES)?;
    let parts = [
        Part { function: "create-conversation", times: 1.0, round_trips: [3.0, 2.0] },
        Part { function: "answer-webhook", times: 1.0, round_trips: [1.0, 0.0] },
        Part { function: "event-webhook", times: call.events as f64, round_trips: [2.0, 0.0] },
        Part { function: "end-conversation", times: 1.0, round_trips: [2.0, 0.0] },
    ];
    let requests: f64 = parts.iter().map(|part| part.times).sum();
    let gb_seconds: f64 = parts.iter().map(|part| prices.gb_seconds(part, figures)).sum::<Result<_, _>>()?;
    let Usage { read_units, write_units, .. } = Usage::of(Service::Dynamodb, call.exchanges());
    let stored = prices.assumed("stored_bytes_per_conversation")? * prices.assumed("months_stored")? / 1e9;
    let (logged, told) = (prices.assumed("log_bytes_per_request")? / 1e9, prices.assumed("bus_events_per_call")?);
    let lines = vec![
        prices.line("HTTP API requests", "http_api_request", CALLS * requests)?,
        prices.line("Lambda requests", "lambda_request", CALLS * requests)?,
        prices.line("Lambda GB-seconds, arm64", "lambda_gb_second_arm64", CALLS * gb_seconds)?,
        prices.line("DynamoDB read units", "dynamodb_read_request_unit", CALLS * read_units)?,
        prices.line("DynamoDB write units", "dynamodb_write_request_unit", CALLS * write_units)?,
        prices.line("DynamoDB GB-months", "dynamodb_storage", CALLS * stored)?,
        prices.line("DynamoDB GB-months of recovery", "dynamodb_pitr", CALLS * stored)?,
        prices.line("log GB", "logs_ingestion", CALLS * requests * logged)?,
        prices.line("events through pipes", "eventbridge_pipes_request", CALLS * told)?,
        prices.line("events on the bus", "eventbridge_custom_event", CALLS * told)?,
    ];
    let fixed = vec![
        prices.line("metrics read by alarms", "cloudwatch_alarm_metric", prices.assumed("alarm_metrics")?)?,
        prices.line("metrics", "cloudwatch_metric", prices.assumed("custom_metrics")?)?,
        prices.line("dashboard", "cloudwatch_dashboard", 1.0)?,
        prices.line("key", "kms_key", 1.0)?,
        prices.line("secrets", "secrets_manager_secret", 2.0)?,
        prices.line("reads of the stream", "dynamodb_streams_read", prices.assumed("stream_reads_a_month")?)?,
    ];
    Ok(Cost { as_of: prices.as_of, region: prices.region, lines, fixed, peers: prices.peers })
}
