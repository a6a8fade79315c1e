//! Health checks, version and metrics: answers to those who run the server.

use atoll_api::ApiResult;
use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::json;

use super::chain::Asked;
use super::verbs::method_not_allowed;
use super::{Api, answer};
use crate::codec::negotiate::check_route;

const TEXT: &str = "text/plain; charset=utf-8";
/// The Kubernetes release whose API is served.
pub(super) const KUBERNETES_MINOR: &str = "36";

/// Answers health checks, `/version` and `/metrics`; `None` for other paths.
pub(super) fn answer(api: &Api, asked: &Asked) -> ApiResult<Option<Response<Body>>> {
    let segments: Vec<&str> = asked.info.path.trim_matches('/').split('/').collect();
    let response = match segments.as_slice() {
        ["healthz" | "livez" | "readyz"] => summary(api, asked, segments[0]),
        ["healthz" | "livez" | "readyz", name @ ..] => match check(api, &name.join("/")) {
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
            answer::json_document(asked, &version())?
        }
        ["metrics"] => {
            answer::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", api.metrics.render().into())
        }
        _ => return Ok(None),
    };
    Ok(Some(response))
}

/// What kube-apiserver calls the steps of its start, which those who watch over a server look for. Here nothing is answered
/// before all of that is done.
const START: [&str; 19] = [
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/storage-readiness",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
];

fn check(api: &Api, name: &str) -> Option<(&'static str, bool)> {
    checks(api).into_iter().find(|(check, _)| *check == name)
}

/// Each check by name, and whether it passes.
fn checks(api: &Api) -> Vec<(&'static str, bool)> {
    let storing = !api.metrics.store_failed() && api.registry.store().silence() < super::fresh::READY_WITHIN;
    let mut checks = vec![("ping", true), ("log", true), ("etcd", storing), ("informer-sync", storing)];
    checks.extend(START.iter().map(|step| (*step, true)));
    checks.push(("shutdown", !api.metrics.is_stopping()));
    checks
}

fn summary(api: &Api, asked: &Asked, endpoint: &str) -> Response<Body> {
    let query = atoll_api::query::Query::parse(&asked.query);
    let excluded: Vec<&str> = query.all("exclude").collect();
    let checks: Vec<(&str, bool)> = checks(api).into_iter().filter(|(name, _)| !excluded.contains(name)).collect();
    let healthy = checks.iter().all(|(_, passes)| *passes);
    if healthy && query.first("verbose").is_none() {
        return answer::bytes(StatusCode::OK, TEXT, "ok".into());
    }
    let mut text = String::new();
    for (name, passes) in &checks {
        text.push_str(&if *passes {
            format!("[+]{name} ok\n")
        } else {
            format!("[-]{name} failed: reason withheld\n")
        });
    }
    let (status, verdict) =
        if healthy { (StatusCode::OK, "passed") } else { (StatusCode::INTERNAL_SERVER_ERROR, "failed") };
    text.push_str(&format!("{endpoint} check {verdict}\n"));
    answer::bytes(status, TEXT, text.into())
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": KUBERNETES_MINOR, "emulationMajor": "1", "emulationMinor": KUBERNETES_MINOR,
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": format!("v1.{KUBERNETES_MINOR}.0+atoll-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": concat!("linux/", "amd64"),
    })
}
