//! Checks of probes and of what is done when containers start and stop.

use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::spec::Scope;
use crate::resources::checks::network::port_number_or_name;
use crate::resources::checks::{forbidden, invalid, invalid_each, not_negative, one_of, required};
use crate::resources::read::{int, is_set, list, text};

/// What a probe is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Liveness,
    Readiness,
    Startup,
}

/// What may be done, in the order in which Kubernetes looks for it.
const OF_PROBES: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc"];
const OF_LIFECYCLES: &[&str] = &["exec", "httpGet", "tcpSocket", "sleep"];

pub(super) fn probe(errors: &mut FieldErrors, probe: &Value, kind: Probe, path: &FieldPath, grace: Option<i64>) {
    if !is_set(probe) {
        return;
    }
    handler(errors, probe, OF_PROBES, path, grace);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        not_negative(errors, &path.child(field), &probe[field]);
    }
    let at = path.child("terminationGracePeriodSeconds");
    let seconds = &probe["terminationGracePeriodSeconds"];
    if seconds.as_i64().is_some_and(|seconds| seconds <= 0) {
        invalid(errors, &at, seconds, "must be greater than 0");
    }
    if kind == Probe::Readiness {
        if is_set(seconds) {
            invalid(errors, &at, seconds, "must not be set for readinessProbes");
        }
    } else if int(&probe["successThreshold"]) != 1 {
        invalid(errors, &path.child("successThreshold"), &int(&probe["successThreshold"]).into(), "must be 1");
    }
}

pub(super) fn lifecycle(errors: &mut FieldErrors, lifecycle: &Value, path: &FieldPath, scope: &Scope<'_>) {
    for part in ["postStart", "preStop"] {
        if is_set(&lifecycle[part]) {
            handler(errors, &lifecycle[part], OF_LIFECYCLES, &path.child(part), scope.grace);
        }
    }
    if is_set(&lifecycle["stopSignal"]) && !scope.names_os {
        forbidden(errors, &path.child("stopSignal"), "may not be set for containers with empty `spec.os.name`");
    }
}

/// One thing is done, and it is well formed.
fn handler(errors: &mut FieldErrors, value: &Value, kinds: &[&str], path: &FieldPath, grace: Option<i64>) {
    let mut found = false;
    for kind in kinds {
        let action = &value[*kind];
        if !is_set(action) {
            continue;
        }
        let path = path.child(kind);
        if found {
            forbidden(errors, &path, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match *kind {
            "exec" if list(&action["command"]).is_empty() => required(errors, &path.child("command"), ""),
            "exec" => {}
            "httpGet" => http_get(errors, action, &path),
            "sleep" => sleep(errors, int(&action["seconds"]), &path, grace),
            _ => port_number_or_name(errors, &path.child("port"), &action["port"]),
        }
    }
    if !found {
        required(errors, path, "must specify a handler type");
    }
}

fn http_get(errors: &mut FieldErrors, action: &Value, path: &FieldPath) {
    if text(&action["path"]).is_empty() {
        required(errors, &path.child("path"), "");
    }
    port_number_or_name(errors, &path.child("port"), &action["port"]);
    one_of(errors, &path.child("scheme"), text(&action["scheme"]), &["HTTP", "HTTPS"]);
    for header in list(&action["httpHeaders"]) {
        let name = text(&header["name"]);
        invalid_each(errors, &path.child("httpHeaders"), name, atoll_api::validation::http_header_name(name));
    }
}

fn sleep(errors: &mut FieldErrors, seconds: i64, path: &FieldPath, grace: Option<i64>) {
    if let Some(grace) = grace
        && !(0..=grace).contains(&seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        invalid(errors, path, &seconds.into(), detail);
    }
}
