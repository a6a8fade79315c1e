//! What the server counts of itself, under kube-apiserver's names; no series names a tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The verbs that get series of their own, as requests are authorized and as kube-apiserver counts them; whatever else clients
/// send is counted as `other`, so that they cannot make series.
const VERBS: &[(&str, &str)] = &[
    ("create", "POST"),
    ("delete", "DELETE"),
    ("deletecollection", "DELETECOLLECTION"),
    ("get", "GET"),
    ("list", "LIST"),
    ("patch", "PATCH"),
    ("update", "PUT"),
    ("watch", "WATCH"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
];

/// What kube-apiserver calls itself in figures.
const COMPONENT: &str = "apiserver";

/// What is counted of a request, but for its code.
const LABELS: [&str; 8] = ["verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"];

/// What a request is about. Only names that the program itself knows are told: tenants' own would be series without end.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The API group.
    pub group: &'a str,
    /// The version.
    pub version: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The subresource.
    pub subresource: &'a str,
    /// `cluster`, `namespace` or `resource`; nothing for what is no resource.
    pub scope: &'static str,
}

/// The server's figures.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGaugeVec,
    watches: IntGaugeVec,
    refused: IntCounterVec,
    /// What health checks found, which has a page of its own.
    checks: Registry,
    checked: IntCounterVec,
    found: IntGaugeVec,
    stopping: AtomicBool,
    store_failed: AtomicBool,
}

/// Whether a request may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// It only reads.
    ReadOnly,
    /// It may change something.
    Mutating,
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
            Opts::new("apiserver_request_total", "Requests by what they are about, and HTTP code"),
            &[&LABELS[..], &["code"]].concat(),
        )
        .expect("name and labels are valid");
        let buckets = vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let durations = HistogramVec::new(
            HistogramOpts::new("apiserver_request_duration_seconds", "Response latency by what requests are about")
                .buckets(buckets),
            &LABELS,
        )
        .expect("name and labels are valid");
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect("name and labels are valid")
        };
        let in_flight = gauge("apiserver_current_inflight_requests", "Requests being handled", &["request_kind"]);
        for kind in ["readOnly", "mutating"] {
            in_flight.with_label_values(&[kind]);
        }
        let watches = gauge("apiserver_longrunning_requests", "Watches being served", &["verb", "component"]);
        watches.with_label_values(&["WATCH", COMPONENT]);
        let checks = Registry::new();
        let found = gauge("kubernetes_healthcheck", "What a health check found last", &["name", "type"]);
        let checked = IntCounterVec::new(
            Opts::new("kubernetes_healthchecks_total", "What health checks found"),
            &["name", "status", "type"],
        )
        .expect("name and labels are valid");
        let of_checks: [Box<dyn prometheus::core::Collector>; 2] = [Box::new(found.clone()), Box::new(checked.clone())];
        for collector in of_checks {
            checks.register(collector).expect("each name is registered once");
        }
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
            checks,
            checked,
            found,
            stopping: AtomicBool::new(false),
            store_failed: AtomicBool::new(false),
        })
    }

    /// Counts a request while it is handled.
    pub fn in_flight(&self, kind: RequestKind) -> WatchGuard {
        let gauge = self.in_flight.with_label_values(&[match kind {
            RequestKind::ReadOnly => "readOnly",
            RequestKind::Mutating => "mutating",
        }]);
        gauge.inc();
        WatchGuard(gauge)
    }

    /// Counts a watch while it runs.
    pub fn watch_started(&self) -> WatchGuard {
        let gauge = self.watches.with_label_values(&["WATCH", COMPONENT]);
        gauge.inc();
        WatchGuard(gauge)
    }

    /// Counts a request that was answered.
    pub fn observe(&self, verb: &str, about: About<'_>, code: u16, took: Duration) {
        let verb = VERBS.iter().find(|(known, _)| *known == verb).map_or("other", |(_, counted)| counted);
        let About { group, version, resource, subresource, scope } = about;
        let labels = [verb, "", group, version, resource, subresource, scope, COMPONENT];
        self.durations.with_label_values(&labels).observe(took.as_secs_f64());
        let [a, b, c, d, e, f, g, h] = labels;
        self.requests.with_label_values(&[a, b, c, d, e, f, g, h, code_text(code)]).inc();
    }

    /// Counts what a health check of an endpoint found.
    pub fn checked(&self, endpoint: &'static str, name: &'static str, passes: bool) {
        self.found.with_label_values(&[name, endpoint]).set(i64::from(passes));
        let status = if passes { "success" } else { "error" };
        self.checked.with_label_values(&[name, status, endpoint]).inc();
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

    /// All figures but those of health checks in Prometheus' text format.
    pub fn render(&self) -> String {
        rendered(&self.registry)
    }

    /// The figures of health checks.
    pub fn render_checks(&self) -> String {
        rendered(&self.checks)
    }
}

fn rendered(registry: &Registry) -> String {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => String::new(),
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
