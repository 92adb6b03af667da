//! `/metrics`: what is measured, in Prometheus' text format.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Seconds; from a local answer to a slow model's.
const LATENCY: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Writes committed together.
const GROUPS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How often old histogram samples are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(1);

/// What has been measured so far. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    routes: Arc<RwLock<HashMap<String, Route>>>,
}

/// The measurements of one route: looking them up by their labels each time costs more than measuring.
struct Route {
    durations: Histogram,
    answers: HashMap<(&'static str, u16), Counter>,
}

impl Metrics {
    /// Starts measuring, for the whole process. In a process that measures already (a test's), what this returns stays empty.
    ///
    /// # Errors
    /// When a bucket list is refused.
    pub fn install() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY)?
            .set_buckets_for_metric(Matcher::Full("parlor_database_commit_group".to_owned()), &GROUPS)?
            .build_recorder();
        let handle = recorder.handle();
        // An error only says that one is installed already.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        Ok(Self { handle, routes: Arc::default() })
    }

    /// Measures a request that has been answered. `method` and `route` are of few, as each gets measurements of its own.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, elapsed: Duration) {
        {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = routes.get(route)
                && let Some(answers) = known.answers.get(&(method, status))
            {
                answers.increment(1);
                return known.durations.record(elapsed);
            }
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let known = routes.entry(route.to_owned()).or_insert_with(|| Route {
            durations: metrics::histogram!("parlor_http_request_duration_seconds", "route" => route.to_owned()),
            answers: HashMap::new(),
        });
        let answers = known.answers.entry((method, status)).or_insert_with(|| {
            let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
            metrics::counter!("parlor_http_requests_total", &labels)
        });
        answers.increment(1);
        known.durations.record(elapsed);
    }

    /// The text.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps the memory bounded; runs until dropped.
    pub async fn keep_up(self) {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            self.handle.run_upkeep();
        }
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("parlor_http_requests_total", "Requests answered, by method, route and status.");
    describe_histogram!("parlor_http_request_duration_seconds", "Time to a response's headers, by route.");
    describe_counter!("parlor_turns_total", "Turns ended, by state.");
    describe_gauge!("parlor_turns_running", "Turns that run now.");
    describe_counter!("parlor_tokens_total", "Tokens read and written, by provider.");
    describe_histogram!(
        "parlor_time_to_first_token_seconds",
        "From the stored message to the first words, by provider."
    );
    describe_counter!("parlor_provider_requests_total", "Calls to providers, by provider and model.");
    describe_counter!("parlor_provider_retries_refused_total", "Retries and hedges that the budget did not allow.");
    describe_counter!("parlor_provider_hedges_total", "Targets asked beside one that had not begun.");
    describe_counter!(
        "parlor_provider_continuations_total",
        "Answers that broke off and were continued, by who went on."
    );
    describe_histogram!("parlor_provider_start_seconds", "From a call to the beginning of its answer.");
    describe_counter!("parlor_provider_errors_total", "Calls to providers that failed, by what went wrong.");
    describe_gauge!("parlor_provider_breaker_open", "1 while a provider is left alone after repeated failures.");
    describe_gauge!("parlor_queue_depth", "Jobs that wait, by queue.");
    describe_histogram!("parlor_database_commit_group", "Writes committed together.");
    describe_counter!(
        "parlor_cost_micros_total",
        "What providers' work cost, in millionths of a US dollar, by provider."
    );
    describe_counter!("parlor_unpriced_calls_total", "Metered calls whose price is not known, by provider.");
    describe_counter!("parlor_quota_refused_total", "Calls that a quota had no room for, by window and metric.");
    describe_counter!("parlor_jobs_total", "Attempts at jobs, by kind and outcome.");
    describe_histogram!("parlor_job_seconds", "How long an attempt took, by kind.");
    describe_gauge!("parlor_jobs_queue", "Jobs in the database's queue, by state; `due` are those that could run.");
    describe_gauge!("parlor_jobs_oldest_due_seconds", "How long the oldest due job has waited.");
    describe_counter!("parlor_outbox_told_total", "Rows of the outbox that MongoDB was told, by outcome.");
    describe_gauge!(
        "parlor_search_unindexed_messages",
        "Messages that the search index does not have yet, by their ids."
    );
    describe_histogram!("parlor_search_index_seconds", "How long a piece of them took.");
    describe_gauge!("parlor_outbox_rows", "Rows that wait in the outbox.");
    describe_gauge!("parlor_outbox_lag_seconds", "How long ago the oldest of them happened.");
    describe_counter!("parlor_login_limited_total", "Logins refused by a limit.");
}
