//! `autoscaling/v1` autoscalers: one CPU target in the spec, and everything else in annotations.

use atoll_api::{ApiResult, GroupVersion, Object};
use serde_json::{Map, Value, json};

use super::horizontalpodautoscaler::default_metrics;
use crate::resources::defaults::{child, made};
use crate::resources::read::{entries, field, is_set, list, quantity, size};
use crate::schema::shown::json_in_order;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CARRIERS: [&str; 4] = [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR];

/// The fields of what the annotations hold, in the order in which Go writes them.
const GO_ORDER: &[&str] = &[
    "type",
    "status",
    "lastTransitionTime",
    "reason",
    "message",
    "object",
    "pods",
    "resource",
    "containerResource",
    "external",
    "target",
    "kind",
    "metricName",
    "name",
    "apiVersion",
    "metricSelector",
    "targetValue",
    "targetAverageUtilization",
    "targetAverageValue",
    "currentValue",
    "currentAverageUtilization",
    "currentAverageValue",
    "selector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "averageValue",
    "container",
    "ScaleUp",
    "ScaleDown",
    "StabilizationWindowSeconds",
    "SelectPolicy",
    "Policies",
    "Type",
    "Value",
    "PeriodSeconds",
    "Tolerance",
];
/// The quantities that Go always writes: of metrics in the spec, and of those in the status.
const ALWAYS: &[(&str, &[&str])] = &[
    ("object", &["targetValue", "currentValue"]),
    ("pods", &["targetAverageValue", "currentAverageValue"]),
    ("resource", &["currentAverageValue"]),
    ("containerResource", &["currentAverageValue"]),
    ("external", &["currentValue"]),
];

/// An autoscaler in `autoscaling/v2`, whatever it was in.
pub(super) fn as_v2(object: &Object) -> Object {
    let mut object = object.clone();
    if object.api_version() == "autoscaling/v1" {
        to_v2(&mut object);
    }
    object
}

pub(super) fn convert(object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
    if &*to.version == "v1" {
        to_v1(object)
    } else {
        to_v2(object)
    }
    Ok(())
}

fn to_v1(object: &mut Object) {
    drop_carriers(object);
    let spec = object.map_mut("spec");
    let metrics = spec.remove("metrics").unwrap_or_default();
    let behavior = spec.remove("behavior").unwrap_or_default();
    let (cpu, others): (Vec<&Value>, Vec<&Value>) = list(&metrics).iter().partition(|metric| is_cpu_target(metric));
    if let Some(metric) = cpu.first() {
        let target = metric["resource"]["target"]["averageUtilization"].clone();
        spec.insert("targetCPUUtilizationPercentage".into(), target);
    }
    let mut carried = vec![];
    if !others.is_empty() {
        carried.push((METRICS, others.into_iter().map(|m| rename(m, SPEC_NAMES, Direction::ToV1)).collect()));
    }
    if is_set(&behavior) {
        carried.push((BEHAVIOR, internal_behavior(&behavior)));
    }
    if object.get("status").is_some() {
        let status = object.map_mut("status");
        let current = status.remove("currentMetrics").unwrap_or_default();
        let conditions = status.remove("conditions").unwrap_or_default();
        if let Some(cpu) = list(&current).iter().rfind(|m| m["type"] == "Resource" && m["resource"]["name"] == "cpu") {
            let now = cpu["resource"]["current"]["averageUtilization"].clone();
            status.insert("currentCPUUtilizationPercentage".into(), now);
        }
        if size(&current) > 0 {
            let renamed = list(&current).iter().map(|m| rename(m, STATUS_NAMES, Direction::ToV1)).collect();
            carried.push((CURRENT_METRICS, renamed));
        }
        if size(&conditions) > 0 {
            carried.push((CONDITIONS, conditions));
        }
    }
    for (annotation, value) in carried {
        object.set_annotation(annotation, &json_in_order(&value, GO_ORDER));
    }
}

fn to_v2(object: &mut Object) {
    let carried = |annotation: &str| -> Value {
        let text = object.annotation(annotation).unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    };
    let (metrics, current) = (carried(METRICS), carried(CURRENT_METRICS));
    let (conditions, behavior) = (carried(CONDITIONS), carried(BEHAVIOR));
    drop_carriers(object);
    let spec = object.map_mut("spec");
    let mut all: Vec<Value> = list(&metrics).iter().map(|m| rename(m, SPEC_NAMES, Direction::ToV2)).collect();
    if let Some(target) = spec.remove("targetCPUUtilizationPercentage").as_ref().and_then(Value::as_i64) {
        all.extend(list(&default_metrics(target)).iter().cloned());
    }
    spec.insert("metrics".into(), if all.is_empty() { default_metrics(80) } else { all.into() });
    if size(&behavior) > 0 {
        spec.insert("behavior".into(), v2_behavior(&behavior));
    }
    let status = object.map_mut("status");
    let now = status.remove("currentCPUUtilizationPercentage").unwrap_or_default();
    if size(&current) > 0 {
        let renamed = list(&current).iter().map(|m| rename(m, STATUS_NAMES, Direction::ToV2)).collect();
        status.insert("currentMetrics".into(), renamed);
    } else if is_set(&now) {
        let resource = json!({"name": "cpu", "current": {"averageUtilization": now}});
        status.insert("currentMetrics".into(), json!([{"type": "Resource", "resource": resource}]));
    }
    if size(&conditions) > 0 {
        status.insert("conditions".into(), conditions);
    }
}

fn is_cpu_target(metric: &Value) -> bool {
    let resource = &metric["resource"];
    metric["type"] == "Resource" && resource["name"] == "cpu" && is_set(&resource["target"]["averageUtilization"])
}

/// What the annotations would hold is held by fields in v2, so that they mean nothing there.
pub(super) fn forget_carriers(autoscaler: &mut Map<String, Value>) {
    if let Some(annotations) = child(autoscaler, "metadata").and_then(|metadata| child(metadata, "annotations")) {
        annotations.retain(|name, _| !CARRIERS.contains(&name.as_str()));
    }
}

fn drop_carriers(object: &mut Object) {
    if field(object, "metadata")["annotations"].is_object() {
        made(object.metadata_mut(), "annotations").retain(|name, _| !CARRIERS.contains(&name.as_str()));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToV1,
    ToV2,
}

/// For each source of a metric: the names of its fields in v1 and their paths in v2.
type Names = &'static [(&'static str, &'static [(&'static str, &'static [&'static str])])];

const SPEC_NAMES: Names = &[
    (
        "object",
        &[
            ("target", &["describedObject"]),
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("targetValue", &["target", "value"]),
            ("averageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "resource",
        &[
            ("name", &["name"]),
            ("targetAverageUtilization", &["target", "averageUtilization"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", &["name"]),
            ("container", &["container"]),
            ("targetAverageUtilization", &["target", "averageUtilization"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "external",
        &[
            ("metricName", &["metric", "name"]),
            ("metricSelector", &["metric", "selector"]),
            ("targetValue", &["target", "value"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
];

const STATUS_NAMES: Names = &[
    (
        "object",
        &[
            ("target", &["describedObject"]),
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("currentValue", &["current", "value"]),
            ("averageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "resource",
        &[
            ("name", &["name"]),
            ("currentAverageUtilization", &["current", "averageUtilization"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", &["name"]),
            ("container", &["container"]),
            ("currentAverageUtilization", &["current", "averageUtilization"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "external",
        &[
            ("metricName", &["metric", "name"]),
            ("metricSelector", &["metric", "selector"]),
            ("currentValue", &["current", "value"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
];

fn rename(metric: &Value, names: Names, direction: Direction) -> Value {
    let mut renamed = json!({"type": metric["type"]});
    for (source, fields) in names {
        if !metric[*source].is_object() {
            continue;
        }
        let mut out = json!({});
        for (flat, path) in *fields {
            match direction {
                Direction::ToV1 => {
                    let value = path.iter().fold(&metric[*source], |value, name| &value[*name]);
                    let always = ALWAYS.iter().any(|(of, names)| of == source && names.contains(flat));
                    if is_set(value) {
                        out[*flat] = value.clone();
                    } else if always {
                        out[*flat] = "0".into();
                    }
                }
                Direction::ToV2 if is_set(&metric[*source][*flat]) => {
                    let slot = path.iter().fold(&mut out, |value, name| &mut value[*name]);
                    *slot = metric[*source][*flat].clone();
                }
                Direction::ToV2 => {}
            }
        }
        if direction == Direction::ToV2 && out["target"].is_object() {
            settle_target(&mut out["target"]);
        }
        renamed[*source] = out;
    }
    renamed
}

/// v2 says what kind of target it is, and leaves a value of zero out beside an average.
fn settle_target(target: &mut Value) {
    let kind = if is_set(&target["averageUtilization"]) {
        "Utilization"
    } else if is_set(&target["averageValue"]) {
        "AverageValue"
    } else {
        "Value"
    };
    target["type"] = kind.into();
    if let Value::Object(map) = target
        && map.contains_key("averageValue")
        && quantity(map.get("value").unwrap_or(&Value::Null)).is_zero()
    {
        map.remove("value");
    }
}

/// The annotation holds Go's internal form, whose fields begin with capitals.
fn internal_behavior(behavior: &Value) -> Value {
    let rules = |rules: &Value| {
        if rules.is_null() {
            return Value::Null;
        }
        let policy = |p: &Value| json!({"Type": p["type"], "Value": p["value"], "PeriodSeconds": p["periodSeconds"]});
        json!({
            "StabilizationWindowSeconds": rules["stabilizationWindowSeconds"],
            "SelectPolicy": rules["selectPolicy"],
            "Policies": list(&rules["policies"]).iter().map(policy).collect::<Vec<_>>(),
            "Tolerance": rules["tolerance"],
        })
    };
    json!({"ScaleUp": rules(&behavior["scaleUp"]), "ScaleDown": rules(&behavior["scaleDown"])})
}

fn v2_behavior(internal: &Value) -> Value {
    fn lower(value: &Value) -> Value {
        match value {
            Value::Object(_) => {
                let fields = entries(value).filter(|(_, value)| is_set(value));
                let lowered = fields.map(|(name, value)| (lower_first(name), lower(value)));
                Value::Object(lowered.collect::<Map<_, _>>())
            }
            Value::Array(list) => list.iter().map(lower).collect(),
            other => other.clone(),
        }
    }
    // What a client wrote into the annotation is no deeper than this form is.
    match internal {
        Value::Object(map) if map.values().all(|rules| rules.is_object() || rules.is_null()) => lower(internal),
        _ => json!({}),
    }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
