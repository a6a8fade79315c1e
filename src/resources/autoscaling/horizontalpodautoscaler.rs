//! HorizontalPodAutoscalers: how many replicas there should be, by measure. Stored as `autoscaling/v2`.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::v1;
use crate::resources::defaults::{made, set};
use crate::resources::kind::{AGE, ColumnSpec, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::{NONE, UNSET, age};
use crate::resources::read::{field, int, list, quantity, text};

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
    cells,
    type_defaults: &[
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
