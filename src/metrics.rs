//! What the server counts of itself, under kube-apiserver's names; no series names a tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The verbs that get series of their own; whatever else clients send is counted as `OTHER`, so that they cannot make series.
const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", "head", "post", "put"];

/// The server's figures.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    watches: IntGauge,
    refused: IntCounterVec,
    stopping: AtomicBool,
    store_failed: AtomicBool,
}

/// Counts one thing for as long as it lives.
pub struct WatchGuard(IntGauge);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Figures that all begin at zero.
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("apiserver_request_total", "Requests by verb and HTTP code"),
            &["verb", "code"],
        )
        .expect("name and labels are valid");
        let buckets = vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let durations = HistogramVec::new(
            HistogramOpts::new("apiserver_request_duration_seconds", "Response latency by verb").buckets(buckets),
            &["verb"],
        )
        .expect("name and labels are valid");
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("the name is valid");
        let in_flight = gauge("apiserver_current_inflight_requests", "Requests being handled");
        let watches = gauge("apiserver_longrunning_requests", "Watches being served");
        let refused = IntCounterVec::new(
            Opts::new("apiserver_flowcontrol_rejected_requests_total", "Requests refused with 429, by reason"),
            &["reason"],
        )
        .expect("name and labels are valid");
        let all: [Box<dyn prometheus::core::Collector>; 5] = [
            Box::new(refused.clone()),
            Box::new(requests.clone()),
            Box::new(durations.clone()),
            Box::new(in_flight.clone()),
            Box::new(watches.clone()),
        ];
        for collector in all {
            registry.register(collector).expect("each name is registered once");
        }
        Arc::new(Self {
            registry,
            requests,
            durations,
            in_flight,
            watches,
            refused,
            stopping: AtomicBool::new(false),
            store_failed: AtomicBool::new(false),
        })
    }

    /// Counts a request while it is handled.
    pub fn in_flight(&self) -> WatchGuard {
        self.in_flight.inc();
        WatchGuard(self.in_flight.clone())
    }

    /// Counts a watch while it runs.
    pub fn watch_started(&self) -> WatchGuard {
        self.watches.inc();
        WatchGuard(self.watches.clone())
    }

    /// Counts a request that was answered.
    pub fn observe(&self, verb: &str, code: u16, took: Duration) {
        let verb = VERBS.iter().find(|known| **known == verb).copied().unwrap_or("OTHER");
        self.requests.with_label_values(&[verb, code_text(code)]).inc();
        self.durations.with_label_values(&[verb]).observe(took.as_secs_f64());
    }

    /// Counts a request that was refused for this reason, to be made again later.
    pub fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Tells readiness checks that the server is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Tells health checks that the store takes no more writes.
    pub fn store_has_failed(&self) {
        self.store_failed.store(true, Ordering::Relaxed);
    }

    /// Whether the store takes no more writes.
    pub fn store_failed(&self) -> bool {
        self.store_failed.load(Ordering::Relaxed)
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// All figures in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if TextEncoder::new().encode(&self.registry.gather(), &mut text).is_err() {
            return String::new();
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The codes that occur, without allocating.
fn code_text(code: u16) -> &'static str {
    match code {
        200 => "200",
        201 => "201",
        202 => "202",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        406 => "406",
        409 => "409",
        410 => "410",
        413 => "413",
        415 => "415",
        422 => "422",
        429 => "429",
        500 => "500",
        503 => "503",
        504 => "504",
        _ => "other",
    }
}
