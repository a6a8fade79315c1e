//! What is wrong with an event. The version the client speaks decides: `events.k8s.io` is stricter.

use atoll_api::validation::{dns1123_subdomain, validate_object_meta_update};
use atoll_api::{FieldErrors, GroupVersion, Object};
use serde_json::Value;

use crate::registry::finalizer_faults;
use crate::resources::checks::{immutable, invalid, invalid_each, path, qualified, required};
use crate::resources::read::{field, int, is_set, text};

/// The most characters of short texts, and of the message.
const MAX_SHORT: usize = 128;
const MAX_MESSAGE: usize = 1024;
/// What never changes, seen from `events.k8s.io`, in the order in which Kubernetes looks.
const FIXED: &[(&str, &str)] = &[
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

/// Checks a new or changed event, which is in `core/v1` whatever the client speaks.
pub(super) fn validate(version: &GroupVersion, event: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    lenient(version, event, errors);
    if version.group.is_empty() {
        return;
    }
    match old {
        None => strict(event, errors),
        Some(old) => {
            errors.extend(validate_object_meta_update(event, old, &path("metadata")));
            errors.extend(finalizer_faults(event));
            if field(event, "series") != field(old, "series") {
                series(event, errors);
            }
            for (name, shown) in FIXED {
                immutable(errors, &path(shown), field(event, name), field(old, name));
            }
        }
    }
}

fn lenient(version: &GroupVersion, event: &Object, errors: &mut FieldErrors) {
    const ELSEWHERE: &str = "does not match event.namespace";
    let about = text(&field(event, "involvedObject")["namespace"]);
    let namespace = event.namespace();
    let is_new = is_set(field(event, "eventTime"));
    let fits = match (about, is_new) {
        ("", true) => matches!(namespace, "default" | "kube-system"),
        ("", false) => matches!(namespace, "" | "default"),
        (_, true) => true,
        (about, false) => about == namespace,
    };
    if !fits {
        invalid(errors, &path("involvedObject.namespace"), &about.into(), ELSEWHERE);
    }
    if is_new {
        let name = if version.group.is_empty() { "reportingComponent" } else { "reportingController" };
        let controller = text(field(event, "reportingComponent"));
        if controller.is_empty() {
            required(errors, &path(name), "");
        }
        qualified(errors, &path(name), controller);
        for name in ["reportingInstance", "action", "reason"] {
            short(event, name, errors);
        }
        at_most(event, "message", MAX_MESSAGE, errors);
    }
    invalid_each(errors, &path("namespace"), namespace, dns1123_subdomain(namespace));
}

fn short(event: &Object, name: &str, errors: &mut FieldErrors) {
    if text(field(event, name)).is_empty() {
        required(errors, &path(name), "");
    }
    at_most(event, name, MAX_SHORT, errors);
}

fn at_most(event: &Object, name: &str, most: usize, errors: &mut FieldErrors) {
    if text(field(event, name)).len() > most {
        invalid(errors, &path(name), &"".into(), format!("can have at most {most} characters"));
    }
}

fn strict(event: &Object, errors: &mut FieldErrors) {
    const UNSET: &str = "needs to be unset";
    series(event, errors);
    if !is_set(field(event, "eventTime")) {
        required(errors, &path("eventTime"), "");
    }
    let kind = text(field(event, "type"));
    if !matches!(kind, "Normal" | "Warning") {
        invalid(errors, &path("type"), &"".into(), format!("has invalid value: {kind}"));
    }
    let source = field(event, "source");
    let deprecated = [
        ("firstTimestamp", is_set(field(event, "firstTimestamp"))),
        ("lastTimestamp", is_set(field(event, "lastTimestamp"))),
        ("count", int(field(event, "count")) != 0),
        ("source", ["component", "host"].into_iter().any(|name| !text(&source[name]).is_empty())),
    ];
    for (name, _) in deprecated.into_iter().filter(|(_, given)| *given) {
        invalid(errors, &path(name), &"".into(), UNSET);
    }
}

fn series(event: &Object, errors: &mut FieldErrors) {
    let series = field(event, "series");
    if matches!(series, Value::Null) {
        return;
    }
    if int(&series["count"]) < 2 {
        invalid(errors, &path("series.count"), &"".into(), "should be at least 2");
    }
    if !is_set(&series["lastObservedTime"]) {
        required(errors, &path("series.lastObservedTime"), "");
    }
}
