//! What a run has seen.

use std::collections::BTreeMap;

use serde::Serialize;

/// Samples kept per figure and worker; a longer run keeps its first ones.
const MAX_SAMPLES: usize = 2_000_000;
const MAX_ERROR_KINDS: usize = 20;
const MAX_ERROR_CHARS: usize = 200;

/// Durations in nanoseconds.
#[derive(Debug, Default)]
pub struct Samples(Vec<u64>);

/// A summary of durations, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Summary {
    /// How many.
    pub n: usize,
    /// The median; each percentile is the smallest sample that so many do not exceed.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Samples {
    /// Adds one.
    pub fn add(&mut self, nanoseconds: u64) {
        if self.0.len() < MAX_SAMPLES {
            self.0.push(nanoseconds);
        }
    }

    /// None when there are no samples.
    #[must_use]
    pub fn summary(&mut self) -> Option<Summary> {
        self.0.sort_unstable();
        let n = self.0.len();
        let at = |percent: usize| -> Option<f64> {
            let rank = (n * percent).div_ceil(100).max(1) - 1;
            let nanoseconds = *self.0.get(rank)?;
            Some((nanoseconds / 1000) as f64 / 1000.0)
        };
        Some(Summary { n, p50: at(50)?, p90: at(90)?, p99: at(99)?, max: at(100)? })
    }
}

/// One worker's observations, or all of them merged.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests or streams that succeeded.
    pub ok: u64,
    /// Streams that ended without their mark or some of their tokens.
    pub incomplete: u64,
    /// Tokens received.
    pub tokens: u64,
    /// Failures by their message.
    pub errors: BTreeMap<String, u64>,
    /// Request sent to response complete.
    pub latency: Samples,
    /// Request sent to first token received.
    pub ttft: Samples,
    /// A token's way from the provider's write to this client's read.
    pub transit: Samples,
}

impl Tally {
    /// Counts a failure.
    pub fn error(&mut self, message: &str) {
        let mut key: String = message.chars().take(MAX_ERROR_CHARS).collect();
        if self.errors.len() >= MAX_ERROR_KINDS && !self.errors.contains_key(&key) {
            key = "other".to_owned();
        }
        *self.errors.entry(key).or_default() += 1;
    }

    /// All failures.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Takes over what another worker saw.
    pub fn merge(&mut self, other: Self) {
        self.ok += other.ok;
        self.incomplete += other.incomplete;
        self.tokens += other.tokens;
        for (message, count) in other.errors {
            *self.errors.entry(message).or_default() += count;
        }
        self.latency.0.extend(other.latency.0);
        self.ttft.0.extend(other.ttft.0);
        self.transit.0.extend(other.transit.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn percentiles_are_samples_that_so_many_do_not_exceed() {
        let mut samples = Samples::default();
        assert!(samples.summary().is_none());
        (1..=200).rev().for_each(|ms| samples.add(ms * 1_000_000));
        let summary = samples.summary().unwrap();
        let figures = (summary.n, summary.p50, summary.p99, summary.max);
        assert_eq!(figures, (200, 100.0, 198.0, 200.0));
    }
}
