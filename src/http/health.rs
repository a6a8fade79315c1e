//! Health checks, version and metrics: answers to those who run the server.

use atoll_api::ApiResult;
use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::json;

use super::chain::Asked;
use super::verbs::method_not_allowed;
use super::{Api, answer, process};
use crate::codec::json::{InOrder, Order};
use crate::codec::negotiate::check_route;

const TEXT: &str = "text/plain; charset=utf-8";
const FIGURES: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The Kubernetes release whose API is served.
pub(super) const KUBERNETES_MINOR: &str = "36";

/// Answers health checks, `/version` and `/metrics`; `None` for other paths.
pub(super) fn answer(api: &Api, asked: &Asked) -> ApiResult<Option<Response<Body>>> {
    let segments: Vec<&str> = asked.info.path.trim_matches('/').split('/').collect();
    let response = match segments.as_slice() {
        ["healthz" | "livez" | "readyz"] if asked.info.path.ends_with('/') => answer::page_not_found(),
        ["healthz" | "livez" | "readyz"] => summary(api, asked, segments[0]),
        [endpoint @ ("healthz" | "livez" | "readyz"), name @ ..] => match check(api, endpoint, &name.join("/")) {
            Some((_, true)) => answer::bytes(StatusCode::OK, TEXT, "ok".into()),
            Some((name, false)) => {
                let text = format!("internal server error: {name} failed\n");
                answer::bytes(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text.into())
            }
            None => answer::page_not_found(),
        },
        ["version"] if asked.info.verb != "get" => return Err(method_not_allowed()),
        ["version"] => {
            check_route(answer::accept(&asked.headers), &["application/json"])?;
            answer::indented(asked, &InOrder::document(&version(), &VERSION))
        }
        ["metrics"] => {
            let figures = format!("{}{}{}", api.metrics.render(), process::figures(), seats(api, asked));
            answer::bytes(StatusCode::OK, FIGURES, figures.into())
        }
        ["metrics", "slis"] => answer::bytes(StatusCode::OK, FIGURES, api.metrics.render_checks().into()),
        _ => return Ok(None),
    };
    Ok(Some(response))
}

/// What kube-apiserver calls the steps of its start, which those who watch over a server look for. Here nothing is answered
/// before all of that is done.
const START: [&str; 25] = [
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/storage-readiness",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
];

fn check(api: &Api, endpoint: &str, name: &str) -> Option<(&'static str, bool)> {
    let found = checks(api, endpoint).into_iter().find(|(check, _)| *check == name)?;
    count(api, endpoint, found);
    Some(found)
}

fn count(api: &Api, endpoint: &str, (name, passes): (&'static str, bool)) {
    if let Some(endpoint) = ["healthz", "livez", "readyz"].into_iter().find(|known| *known == endpoint) {
        api.metrics.checked(endpoint, name, passes);
    }
}

/// Each check of an endpoint by name, and whether it passes. Only readiness asks whether the server is about to stop, and
/// whether it has seen what is stored.
fn checks(api: &Api, endpoint: &str) -> Vec<(&'static str, bool)> {
    let storing = !api.metrics.store_failed() && api.registry.store().silence() < super::fresh::READY_WITHIN;
    let mut checks = vec![("ping", true), ("log", true), ("etcd", storing)];
    if endpoint == "readyz" {
        checks.extend([("etcd-readiness", storing), ("informer-sync", storing)]);
    }
    checks.extend(START.iter().map(|step| (*step, true)));
    if endpoint == "readyz" {
        checks.push(("shutdown", !api.metrics.is_stopping()));
    }
    checks
}

fn summary(api: &Api, asked: &Asked, endpoint: &str) -> Response<Body> {
    let query = atoll_api::query::Query::parse(&asked.query);
    let excluded: Vec<&str> = query.all("exclude").collect();
    let checks = checks(api, endpoint);
    checks.iter().for_each(|found| count(api, endpoint, *found));
    let mut unknown: Vec<&str> =
        excluded.iter().copied().filter(|name| !checks.iter().any(|(check, _)| check == name)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    let healthy = checks.iter().all(|(name, passes)| *passes || excluded.contains(name));
    if healthy && query.first("verbose").is_none() {
        return answer::bytes(StatusCode::OK, TEXT, "ok".into());
    }
    let mut text = String::new();
    for (name, passes) in &checks {
        text.push_str(&match passes {
            _ if excluded.contains(name) => format!("[+]{name} excluded: ok\n"),
            true => format!("[+]{name} ok\n"),
            false => format!("[-]{name} failed: reason withheld\n"),
        });
    }
    if !unknown.is_empty() {
        let shown: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
        text.push_str(&format!("warn: some health checks cannot be excluded: no matches for {}\n", shown.join(",")));
    }
    let (status, verdict) =
        if healthy { (StatusCode::OK, "passed") } else { (StatusCode::INTERNAL_SERVER_ERROR, "failed") };
    text.push_str(&format!("{endpoint} check {verdict}\n"));
    answer::bytes(status, TEXT, text.into())
}

/// The seats of the priority levels of the cluster that is asked; those of others are nobody else's matter.
fn seats(api: &Api, asked: &Asked) -> String {
    let name = "apiserver_flowcontrol_nominal_limit_seats";
    let mut text = format!("# HELP {name} Seats of a priority level by its shares.\n# TYPE {name} gauge\n");
    for (level, seats) in api.flow.nominal_limits(&asked.cx.cluster) {
        text.push_str(&format!("{name}{{priority_level=\"{level}\"}} {seats}\n"));
    }
    text
}

/// The order in which the version's parts are told.
const VERSION: Order = Order {
    of_document: &[
        "major",
        "minor",
        "emulationMajor",
        "emulationMinor",
        "minCompatibilityMajor",
        "minCompatibilityMinor",
        "gitVersion",
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ],
    of_objects: &[],
};

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": KUBERNETES_MINOR, "emulationMajor": "1", "emulationMinor": KUBERNETES_MINOR,
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": format!("v1.{KUBERNETES_MINOR}.0+atoll-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": concat!("linux/", "amd64"),
    })
}
