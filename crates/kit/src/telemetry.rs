//! Logs and metrics of the process: installed once, however often a test
//! starts a mesh in it. Sends nothing anywhere: logs go to standard error,
//! metrics are rendered for whoever scrapes.

mod filter;
mod process;

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    sync::{Mutex, OnceLock, PoisonError},
};

use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::filter::CurrentFilter;

/// Upper bounds of durations, in seconds.
const DURATION_BUCKETS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];
/// Upper bounds of sizes, in bytes.
const SIZE_BUCKETS: &[f64] = &[64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0];

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());
/// By name, so that setting one again replaces it.
static GAUGES: Mutex<BTreeMap<&'static str, fn()>> = Mutex::new(BTreeMap::new());

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why logs or metrics cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is none.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A part of the filter is neither a level nor one for a module: taken as a
    /// module's name it would silence everything else.
    #[error(
        "log.filter: {0:?} is no level; a filter begins with one, `info,confab_messages=debug`"
    )]
    NoLevel(String),
    /// The buckets are none.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Installs logs and metrics; does nothing where they are installed already.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    set_filter(filter)?;
    init_metrics()?;
    let registry = tracing_subscriber::registry().with(CurrentFilter);
    // Fails where a subscriber is installed already: that one stays.
    let _installed_before = match format {
        LogFormat::Human => registry
            .with(
                fmt::layer()
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr)
                    .with_target(false),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    Ok(())
}

/// Changes which log lines are written: levels, over all or of modules, as
/// `info,confab_messages=debug`. Returns what it was before.
///
/// # Errors
/// [`TelemetryError::Filter`] and [`TelemetryError::NoLevel`] when it is none;
/// nothing is changed then.
pub fn set_filter(filter: &str) -> Result<String, TelemetryError> {
    let mut parts = filter.split(',').map(str::trim).filter(|part| !part.contains('='));
    if let Some(part) = parts.find(|part| part.is_empty() || part.parse::<LevelFilter>().is_err()) {
        return Err(TelemetryError::NoLevel(part.to_owned()));
    }
    Ok(filter::set(filter)?)
}

/// Installs metrics only; does nothing where they are installed already.
pub fn init_metrics() -> Result<(), TelemetryError> {
    process::note_start();
    let installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if METRICS.get().is_some() {
        return Ok(());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), SIZE_BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    // Another library's recorder stays; ours then renders nothing.
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
    }
    let _first = METRICS.set(handle);
    drop(installing);
    Ok(())
}

/// Has gauges set just before each [`render`], by a function that is cheap and
/// does not wait. A second one of the same name takes the first one's place.
pub fn before_render(name: &'static str, set_gauges: fn()) {
    GAUGES.lock().unwrap_or_else(PoisonError::into_inner).insert(name, set_gauges);
}

/// All metrics in Prometheus' text format, those of the process among them.
pub fn render() -> String {
    let Some(handle) = METRICS.get() else {
        return String::new();
    };
    let gauges = GAUGES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for set_gauges in gauges.values() {
        set_gauges();
    }
    handle.run_upkeep();
    handle.render() + &process::render()
}

fn describe() {
    describe_counter!("confab_rpc_requests_total", "calls by method, gRPC code and reason");
    describe_histogram!("confab_rpc_duration_seconds", "calls from first byte to last");
    describe_gauge!("confab_rpc_in_flight", "calls that are open");
    describe_counter!("confab_auth_outcomes_total", "proofs of identity by outcome");
    describe_histogram!("confab_auth_seconds", "proofs of identity, by whether remembered");
    describe_counter!("confab_jwks_fetches_total", "fetches of the issuer's keys by outcome");
    describe_gauge!("confab_jwks_keys", "keys of the issuer that are believed");
    describe_gauge!("confab_jwks_ignored_keys", "keys of the issuer that cannot be used");
    describe_gauge!("confab_jwks_fetched_timestamp_seconds", "when they were fetched last");
    describe_counter!("confab_rate_limited_total", "calls refused for their caller's budget");
    describe_counter!("confab_streams_refused_total", "streams refused: the user has too many");
    describe_counter!("confab_budgets_forgotten_total", "budgets given anew to bound memory");
    describe_counter!("confab_handler_panics_total", "panics in handlers");
    describe_counter!("confab_task_panics_total", "panics in background tasks");
    describe_gauge!("confab_connections", "open connections by port");
    describe_counter!("confab_connections_total", "accepted connections by port");
    describe_counter!("confab_answers_not_taken_total", "calls whose clients took no answer");
    describe_counter!("confab_connections_closed_total", "connections closed by us, by cause");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_started_again_and_again() {
        init(LogFormat::Human, "warn").expect("installed");
        init(LogFormat::Json, "info").expect("ignored");
        metrics::counter!("confab_test_total", "case" => "telemetry").increment(3);
        metrics::histogram!("confab_test_seconds").record(0.02);
        let text = render();
        assert!(text.contains("confab_test_total{case=\"telemetry\"} 3"), "{text}");
        assert!(text.contains("confab_test_seconds_bucket{le=\"0.025\"} 1"), "{text}");
    }

    #[test]
    fn a_bad_filter_is_refused() {
        assert!(init(LogFormat::Human, "=nonsense=").is_err());
        for silencing in ["infoo", "", "confab_messages", "info,", "confab_kit=debug,inf"] {
            assert!(init(LogFormat::Human, silencing).is_err(), "{silencing:?}");
        }
    }
}
