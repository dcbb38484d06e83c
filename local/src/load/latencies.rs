//! The times that requests took.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(600);

/// The times that requests took, in microseconds to three digits, in as much memory however many there are.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let longest = LONGEST.as_micros() as u64;
        Self(Histogram::new_with_bounds(1, longest, 3).expect("three digits of ten minutes are a histogram"))
    }
}

impl Latencies {
    /// Adds the time of one request.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(took.as_micros().try_into().unwrap_or(u64::MAX));
    }

    /// Adds the times of `others`.
    pub fn add(&mut self, others: &Self) {
        self.0.add(&others.0).expect("all histograms have the same bounds");
    }

    /// Returns the number of requests.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the time in milliseconds that so many percent of the requests did not exceed; none without requests.
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_percentile(percent) as f64 / 1000.0)
    }

    /// Returns the percentiles that are shown.
    pub fn percentiles(&self) -> Percentiles {
        let of = |percent| self.percentile_ms(percent);
        Percentiles { count: self.count(), p50_ms: of(50.0), p90_ms: of(90.0), p99_ms: of(99.0), most_ms: of(100.0) }
    }
}

/// The percentiles of some requests, in milliseconds; null without requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// Number of requests.
    pub count: u64,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// The longest time.
    pub most_ms: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_requests_to_three_digits() {
        let (mut even, mut odd) = (Latencies::default(), Latencies::default());
        for ms in 1..=1000_u64 {
            let half = if ms % 2 == 0 { &mut even } else { &mut odd };
            half.record(Duration::from_millis(ms));
        }
        even.add(&odd);
        let shown = even.percentiles();
        assert_eq!(shown.count, 1000);
        for (percentile, expected) in
            [(shown.p50_ms, 500.0), (shown.p90_ms, 900.0), (shown.p99_ms, 990.0), (shown.most_ms, 1000.0)]
        {
            let error = (percentile.unwrap() - expected).abs() / expected;
            assert!(error <= 0.001, "{percentile:?} {expected}");
        }
    }

    #[test]
    fn no_request_has_no_percentile_and_a_very_long_one_the_longest() {
        assert_eq!(Latencies::default().percentiles(), Percentiles::default());
        let mut latencies = Latencies::default();
        latencies.record(Duration::MAX);
        assert!(latencies.percentile_ms(50.0).unwrap() >= 600_000.0);
    }
}
