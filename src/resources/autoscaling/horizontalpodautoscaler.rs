//! HorizontalPodAutoscalers: how many replicas there should be, by measure. Stored as `autoscaling/v2`.

use std::collections::BTreeSet;

use atoll_api::validation::path_segment_name;
use atoll_api::{FieldErrors, FieldPath, GroupVersion, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::v1;
use crate::resources::checks::amounts::{container_resource_name, not_negative_amount};
use crate::resources::checks::{forbidden, invalid, invalid_each, not_negative, one_of, path, required};
use crate::resources::defaults::{made, set};
use crate::resources::kind::{AGE, ColumnSpec, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::{NONE, UNSET, age};
use crate::resources::read::{field, int, is_set, list, quantity, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "horizontalpodautoscalers",
    kind: "HorizontalPodAutoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    versions: &[
        Version {
            api_version: "autoscaling/v2",
            type_name: "autoscaling.v2.HorizontalPodAutoscaler",
            columns: COLUMNS,
            subresources: &[SubresourceSpec::Status],
            ..Version::BARE
        },
        Version {
            api_version: "autoscaling/v1",
            type_name: "autoscaling.v1.HorizontalPodAutoscaler",
            columns: COLUMNS,
            subresources: &[SubresourceSpec::Status],
            ..Version::BARE
        },
    ],
    convert: v1::convert,
    validate_create: |autoscaler, errors| validate(autoscaler, None, errors),
    validate_update: Some(|autoscaler, old, errors| validate(autoscaler, Some(old), errors)),
    validate_status_update,
    cells,
    type_defaults: &[
        ("autoscaling.v2.HorizontalPodAutoscaler", v1::forget_carriers),
        ("autoscaling.v2.HorizontalPodAutoscalerSpec", spec_defaults),
        ("autoscaling.v1.HorizontalPodAutoscalerSpec", |spec| set(spec, "minReplicas", 1)),
        ("autoscaling.v2.HorizontalPodAutoscalerBehavior", behavior_defaults),
    ],
    ..Kind::NAMESPACED
};

const COLUMNS: &[ColumnSpec] = &[
    column("Reference", "string", "@autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef"),
    column("Targets", "string", "@autoscaling.v2.HorizontalPodAutoscalerSpec.metrics"),
    column("MinPods", "string", "@autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas"),
    column("MaxPods", "string", "@autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas"),
    column("Replicas", "string", "@autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"),
    AGE,
];

/// The metric of an autoscaler that names none: 80 % of the requested CPU.
pub(super) fn default_metrics(utilization: i64) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": utilization});
    json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}])
}

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "minReplicas", 1);
    set(spec, "metrics", default_metrics(80));
}

fn behavior_defaults(behavior: &mut Map<String, Value>) {
    let policy = |kind: &str, value: i64| json!({"type": kind, "value": value, "periodSeconds": 15});
    let up = made(behavior, "scaleUp");
    set(up, "stabilizationWindowSeconds", 0);
    set(up, "selectPolicy", "Max");
    set(up, "policies", vec![policy("Pods", 4), policy("Percent", 100)]);
    let down = made(behavior, "scaleDown");
    set(down, "selectPolicy", "Max");
    set(down, "policies", vec![policy("Percent", 100)]);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let converted = v1::as_v2(object);
    let (spec, status) = (field(&converted, "spec"), field(&converted, "status"));
    let target = &spec["scaleTargetRef"];
    vec![
        format!("{}/{}", text(&target["kind"]), text(&target["name"])).into(),
        metrics(&spec["metrics"], &status["currentMetrics"]).into(),
        spec["minReplicas"].as_i64().map_or(UNSET.to_owned(), |least| least.to_string()).into(),
        int(&spec["maxReplicas"]).into(),
        int(&status["currentReplicas"]).into(),
        age(object, now),
    ]
}

/// The first two metrics with current and wanted values, and how many more there are.
fn metrics(specs: &Value, statuses: &Value) -> String {
    const SHOWN: usize = 2;
    let shown: Vec<String> = list(specs).iter().enumerate().map(|(i, spec)| metric(spec, &statuses[i])).collect();
    match shown.as_slice() {
        [] => NONE.to_owned(),
        all if all.len() <= SHOWN => all.join(", "),
        all => format!("{} + {} more...", all[..SHOWN].join(", "), all.len() - SHOWN),
    }
}

fn metric(spec: &Value, status: &Value) -> String {
    let source = match text(&spec["type"]) {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (target, current) = (&spec[source]["target"], &status[source]["current"]);
    let amount = |value: &Value| match value {
        Value::Null => "<unknown>".to_owned(),
        value => quantity(value).to_string(),
    };
    let percent = |value: &Value, unknown: &str| value.as_i64().map_or(unknown.to_owned(), |p| format!("{p}%"));
    match (source, !target["averageValue"].is_null()) {
        ("external" | "object", true) => {
            format!("{}/{} (avg)", amount(&current["averageValue"]), amount(&target["averageValue"]))
        }
        ("external" | "object", false) => format!("{}/{}", amount(&current["value"]), amount(&target["value"])),
        ("pods", _) => format!("{}/{}", amount(&current["averageValue"]), amount(&target["averageValue"])),
        (_, true) => {
            let name = text(&spec[source]["name"]);
            format!("{name}: {}/{}", amount(&current["averageValue"]), amount(&target["averageValue"]))
        }
        (_, false) => {
            let name = text(&spec[source]["name"]);
            let now = percent(&current["averageUtilization"], "<unknown>");
            format!("{name}: {now}/{}", percent(&target["averageUtilization"], "<auto>"))
        }
    }
}

fn validate(autoscaler: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    let (spec, path) = (field(autoscaler, "spec"), path("spec"));
    let (least, most) = (spec["minReplicas"].as_i64(), int(&spec["maxReplicas"]));
    let was_zero = old.is_some_and(|old| field(old, "spec")["minReplicas"] == 0);
    if let Some(least) = least.filter(|least| *least < i64::from(!was_zero)) {
        invalid(errors, &path.child("minReplicas"), &least.into(), "must be greater than or equal to 1");
    }
    let at = path.child("maxReplicas");
    match most {
        0 => required(errors, &at, "must be set and greater than 0"),
        most if most < 0 => invalid(errors, &at, &most.into(), "must be greater than or equal to 1"),
        _ => {}
    }
    if least.is_some_and(|least| most < least) {
        invalid(errors, &at, &most.into(), "must be greater than or equal to `minReplicas`");
    }
    let target = &spec["scaleTargetRef"];
    let at = path.child("scaleTargetRef");
    reference(errors, target, &at);
    let same = |old: &Value| ["apiVersion", "kind"].iter().all(|name| old["scaleTargetRef"][*name] == target[*name]);
    if !old.is_some_and(|old| same(field(old, "spec"))) {
        api_version(errors, target, target["kind"] == "ReplicationController", &at.child("apiVersion"));
    }
    let metrics = list(&spec["metrics"]);
    for (index, metric) in metrics.iter().enumerate() {
        validate_metric(errors, metric, &path.child("metrics").index(index));
    }
    if least == Some(0) && !metrics.iter().any(|metric| metric["type"] == "Object" || metric["type"] == "External") {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        forbidden(errors, &path.child("metrics"), detail);
    }
    for part in ["scaleUp", "scaleDown"] {
        scaling_rules(errors, &spec["behavior"][part], &path.child("behavior").child(part));
    }
}

/// A reference to what is scaled, or to what a metric is of.
fn reference(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    for field in ["kind", "name"] {
        match text(&reference[field]) {
            "" => required(errors, &path.child(field), ""),
            value => invalid_each(errors, &path.child(field), value, path_segment_name(value)),
        }
    }
}

/// The version of what is scaled names a group; the core group has no kind that can be scaled but one.
fn api_version(errors: &mut FieldErrors, reference: &Value, may_be_core: bool, path: &FieldPath) {
    let version = text(&reference["apiVersion"]);
    match GroupVersion::parse(version) {
        None => invalid(errors, path, &version.into(), format!("unexpected GroupVersion string: {version}")),
        Some(parsed) if parsed.group.is_empty() && !may_be_core => {
            invalid(errors, path, &version.into(), "apiVersion must specify API group");
        }
        Some(_) => {}
    }
}

/// The sources of metrics, in the order in which Kubernetes looks for them, and their types.
const SOURCES: [(&str, &str); 5] = [
    ("object", "Object"),
    ("external", "External"),
    ("pods", "Pods"),
    ("resource", "Resource"),
    ("containerResource", "ContainerResource"),
];
const TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

fn validate_metric(errors: &mut FieldErrors, metric: &Value, path: &FieldPath) {
    let kind = text(&metric["type"]);
    let at = path.child("type");
    if kind.is_empty() {
        required(errors, &at, "must specify a metric source type");
    }
    one_of(errors, &at, kind, TYPES);
    let mut present: BTreeSet<&str> = BTreeSet::new();
    for (source, _) in SOURCES.iter().filter(|(source, _)| is_set(&metric[*source])) {
        present.insert(source);
        if present.len() == 1 {
            validate_source(errors, source, &metric[*source], &path.child(source));
        }
    }
    match SOURCES.iter().find(|(_, name)| *name == kind) {
        Some((source, _)) => {
            if !present.remove(source) {
                required(errors, &path.child(source), "must populate information for the given metric source");
                if present.len() == 1 {
                    present.clear();
                }
            }
        }
        None => {
            one_of(errors, &at, kind, TYPES);
            if present.len() == 1 {
                present.clear();
            }
        }
    }
    for source in present {
        forbidden(errors, &path.child(source), "must populate the given metric source only");
    }
}

fn validate_source(errors: &mut FieldErrors, kind: &str, source: &Value, path: &FieldPath) {
    let target = &source["target"];
    let at = path.child("target");
    let (value, average) = (is_set(&target["value"]), is_set(&target["averageValue"]));
    let share = is_set(&target["averageUtilization"]);
    match kind {
        "object" => {
            let at = path.child("describedObject");
            reference(errors, &source["describedObject"], &at);
            api_version(errors, &source["describedObject"], true, &at.child("apiVersion"));
        }
        "resource" if text(&source["name"]).is_empty() => {
            required(errors, &path.child("name"), "must specify a resource name");
        }
        "containerResource" => {
            match text(&source["name"]) {
                "" => required(errors, &path.child("name"), "must specify a resource name"),
                name => container_resource_name(errors, &path.child("name"), name),
            }
            match text(&source["container"]) {
                "" => required(errors, &path.child("container"), "must specify a container"),
                name => crate::resources::checks::label(errors, &path.child("container"), name),
            }
        }
        _ => {}
    }
    if matches!(kind, "object" | "external" | "pods") {
        identifier(errors, &source["metric"], &path.child("metric"));
    }
    validate_target(errors, target, &at);
    match kind {
        "object" if !value && !average => {
            required(errors, &at.child("averageValue"), "must set either a target value or averageValue");
        }
        "external" if !value && !average => {
            let detail = "must set either a target value for metric or a per-pod target";
            required(errors, &at.child("averageValue"), detail);
        }
        "external" if value && average => {
            let detail = "may not set both a target value for metric and a per-pod target";
            forbidden(errors, &at.child("value"), detail);
        }
        "pods" if !average => {
            required(errors, &at.child("averageValue"), "must specify a positive target averageValue");
        }
        "resource" | "containerResource" if !share && !average => {
            let detail = "must set either a target raw value or a target utilization";
            required(errors, &at.child("averageUtilization"), detail);
        }
        "resource" | "containerResource" if share && average => {
            let detail = "may not set both a target raw value and a target utilization";
            forbidden(errors, &at.child("averageValue"), detail);
        }
        _ => {}
    }
}

fn identifier(errors: &mut FieldErrors, metric: &Value, path: &FieldPath) {
    match text(&metric["name"]) {
        "" => required(errors, &path.child("name"), "must specify a metric name"),
        name => invalid_each(errors, &path.child("name"), name, path_segment_name(name)),
    }
}

fn validate_target(errors: &mut FieldErrors, target: &Value, path: &FieldPath) {
    let kind = text(&target["type"]);
    if kind.is_empty() {
        required(errors, &path.child("type"), "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        invalid(errors, &path.child("type"), &kind.into(), detail);
    }
    for field in ["value", "averageValue"] {
        let amount = quantity(&target[field]);
        if is_set(&target[field]) && (amount.is_zero() || amount.is_negative()) {
            invalid(errors, &path.child(field), &amount.to_string().into(), "must be positive");
        }
    }
    let share = &target["averageUtilization"];
    if is_set(share) && int(share) < 1 {
        invalid(errors, &path.child("averageUtilization"), share, "must be greater than 0");
    }
}

fn scaling_rules(errors: &mut FieldErrors, rules: &Value, path: &FieldPath) {
    const MAX_WINDOW: i64 = 3600;
    const MAX_PERIOD: i64 = 1800;
    if !is_set(rules) {
        return;
    }
    let window = &rules["stabilizationWindowSeconds"];
    let at = path.child("stabilizationWindowSeconds");
    match window.as_i64() {
        Some(seconds) if seconds < 0 => invalid(errors, &at, window, "must be greater than or equal to zero"),
        Some(seconds) if seconds > MAX_WINDOW => {
            invalid(errors, &at, window, format!("must be less than or equal to {MAX_WINDOW}"));
        }
        _ => {}
    }
    if let Some(policy) = rules["selectPolicy"].as_str() {
        one_of(errors, &path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    if list(&rules["policies"]).is_empty() {
        required(errors, &path.child("policies"), "must specify at least one Policy");
    }
    for (index, policy) in list(&rules["policies"]).iter().enumerate() {
        let path = path.child("policies").index(index);
        one_of(errors, &path.child("type"), text(&policy["type"]), &["Percent", "Pods"]);
        for field in ["value", "periodSeconds"] {
            if int(&policy[field]) <= 0 {
                invalid(errors, &path.child(field), &int(&policy[field]).into(), "must be greater than zero");
            }
        }
        if int(&policy["periodSeconds"]) > MAX_PERIOD {
            let detail = format!("must be less than or equal to {MAX_PERIOD}");
            invalid(errors, &path.child("periodSeconds"), &policy["periodSeconds"], detail);
        }
    }
    if is_set(&rules["tolerance"]) {
        not_negative_amount(errors, &path.child("tolerance"), &rules["tolerance"]);
    }
}

fn validate_status_update(autoscaler: &Object, _: &Object, errors: &mut FieldErrors) {
    let status = field(autoscaler, "status");
    for name in ["currentReplicas", "desiredReplicas"] {
        not_negative(errors, &path("status").child(name), &status[name]);
    }
}
