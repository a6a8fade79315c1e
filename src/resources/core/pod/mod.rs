//! Pods: containers that run together on a node.

mod parts;
mod quality;
mod table;
mod update;

use atoll_api::time::format_time;
use atoll_api::validation::dns1123_label;
use atoll_api::{FieldErrors, Object};
use serde_json::{Map, Value, json};

use super::node::PROXY_VERBS;
use crate::registry::descriptor::Verb;
use crate::registry::resource::{GenerationPolicy, Grace, MetadataChecks, Part};
use crate::request::RequestContext;
use crate::resources::checks::{forbidden, invalid, path};
use crate::resources::defaults::{set, set_empty};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, by_path, column, wide};
use crate::resources::podspec::{self, Whose, deletion_cost, validate_only_for_pods, validate_spec};
use crate::resources::read::{field, flag, is_set, list, text};

const STREAM_VERBS: &[Verb] = &[Verb::Create, Verb::Get];

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "pods",
    kind: "Pod",
    short_names: &["po"],
    categories: &["all"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.Pod",
        columns: &[
            column("Ready", "string", "How many of the containers are ready."),
            column("Status", "string", "The state of the containers in one word."),
            column("Restarts", "string", "How often containers were restarted, and when last."),
            AGE,
            wide("IP", "string", "@core.v1.PodStatus.podIP"),
            wide("Node", "string", "@core.v1.PodSpec.nodeName"),
            wide("Nominated Node", "string", "@core.v1.PodStatus.nominatedNodeName"),
            wide("Readiness Gates", "string", "@core.v1.PodSpec.readinessGates"),
        ],
        subresources: &[
            SubresourceSpec::Other("attach", "", "PodAttachOptions", STREAM_VERBS),
            SubresourceSpec::Other("binding", "", "Binding", &[Verb::Create]),
            SubresourceSpec::Part(parts::EPHEMERAL_CONTAINERS),
            SubresourceSpec::Other("eviction", "policy/v1", "Eviction", &[Verb::Create]),
            SubresourceSpec::Other("exec", "", "PodExecOptions", STREAM_VERBS),
            SubresourceSpec::Other("log", "", "Pod", &[Verb::Get]),
            SubresourceSpec::Other("portforward", "", "PodPortForwardOptions", STREAM_VERBS),
            SubresourceSpec::Other("proxy", "", "PodProxyOptions", PROXY_VERBS),
            SubresourceSpec::Part(parts::RESIZE),
            SubresourceSpec::Status,
        ],
        selectable_fields: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::RETURNS_DELETED,
    prepare_create,
    stamp,
    prepare_status_update,
    validate_create,
    validate_update: Some(update::validate_update),
    validate_status_update: update::validate_status_update,
    prepare_part_update: parts::prepare,
    validate_part_update: parts::validate,
    status_keeps: &["metadata.deletionTimestamp", "metadata.ownerReferences", "spec"],
    warnings: |pod, old| if old.is_none() { warnings(pod) } else { Vec::new() },
    cells: table::cells,
    row_conditions: table::conditions,
    selectable,
    grace,
    type_defaults: &[("core.v1.Pod", pod_defaults), ("core.v1.PodStatus", status_defaults)],
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn pod_defaults(pod: &mut Map<String, Value>) {
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        podspec::pod_only_defaults(spec);
    }
}

fn selectable(object: &Object, path: &str) -> Option<String> {
    match path {
        "spec.hostNetwork" => Some(flag(&field(object, "spec")["hostNetwork"]).to_string()),
        "status.podIP" => Some(text(&field(object, "status")["podIPs"][0]["ip"]).to_owned()),
        // Kubernetes accepts this selector but knows no value for it (core/pod/strategy.go, 1.36).
        "status.podIPs" => None,
        other => by_path(object, other),
    }
}

/// The first address and the list of them are kept equal (core/v1/conversion.go, 1.36).
fn status_defaults(status: &mut Map<String, Value>) {
    for (one, all) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
        let first = status.get(all).map(|all| text(&all[0]["ip"]).to_owned()).unwrap_or_default();
        let ip = status.get(one).map(|ip| text(ip).to_owned()).unwrap_or_default();
        if one == "podIP" && first.is_empty() && !ip.is_empty() {
            set(status, all, json!([{"ip": ip}]));
        } else if one == "podIP" && !first.is_empty() {
            status.insert(one.to_owned(), first.into());
        }
    }
}

fn prepare_create(pod: &mut Object) {
    let class = quality::class(field(pod, "spec"));
    pod.0.insert("status".into(), json!({"phase": "Pending", "qosClass": class}));
}

/// A pod that waits for others to let it be scheduled says so from the start.
fn stamp(cx: &RequestContext, pod: &mut Object, old: Option<&Object>, _: Part) {
    if old.is_none() {
        podspec::take_profiles_from_annotations(cx, pod);
    }
    if old.is_some() || list(&field(pod, "spec")["schedulingGates"]).is_empty() {
        return;
    }
    let gated = json!([{
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
        "lastProbeTime": null, "lastTransitionTime": format_time(cx.now),
    }]);
    pod.map_mut("status").insert("conditions".into(), gated);
}

/// A status does not touch owners, and keeps what it does not name of generations.
fn prepare_status_update(pod: &mut Object, old: &Object) {
    match old.metadata().and_then(|metadata| metadata.get("ownerReferences")) {
        Some(owners) => pod.metadata_mut().insert("ownerReferences".into(), owners.clone()),
        None => pod.metadata_mut().remove("ownerReferences"),
    };
    let was = field(old, "status");
    let status = pod.map_mut("status");
    // Old kubelets drop the class of a pod they refuse.
    if is_set(&was["qosClass"]) {
        set_empty(status, "qosClass", was["qosClass"].clone());
    }
    if is_set(&was["observedGeneration"]) {
        set(status, "observedGeneration", was["observedGeneration"].clone());
    }
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        let kind = condition.get("type").cloned().unwrap_or_default();
        if let Some(was) = list(&was["conditions"]).iter().find(|was| was["type"] == kind)
            && is_set(&was["observedGeneration"])
        {
            set(condition, "observedGeneration", was["observedGeneration"].clone());
        }
    }
}

/// A pod on a node is given time to stop; one that is on none, or has ended, is given none.
fn grace(pod: &Object, requested: Option<i64>) -> Grace {
    let (spec, status) = (field(pod, "spec"), field(pod, "status"));
    let ended = matches!(text(&status["phase"]), "Failed" | "Succeeded");
    let seconds = requested.or(spec["terminationGracePeriodSeconds"].as_i64()).unwrap_or(0);
    match seconds {
        _ if ended || text(&spec["nodeName"]).is_empty() => Grace::Seconds(0),
        seconds if seconds < 0 => Grace::Seconds(1),
        seconds => Grace::Seconds(seconds),
    }
}

/// What must hold of a pod's description at any time.
fn validate_metadata_and_spec(pod: &Object, errors: &mut FieldErrors) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let (metadata, spec) = (field(pod, "metadata"), field(pod, "spec"));
    let annotations = path("metadata.annotations");
    if let Some(value) = pod.annotation(MIRROR)
        && text(&spec["nodeName"]).is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        invalid(errors, &annotations.key(MIRROR), &value.into(), detail);
    }
    deletion_cost(errors, &metadata["annotations"], &annotations);
    validate_spec(errors, spec, pod.metadata(), &path("spec"), Whose::Pod);
    validate_only_for_pods(errors, spec, &path("spec"));
}

fn validate_create(pod: &Object, errors: &mut FieldErrors) {
    validate_metadata_and_spec(pod, errors);
    let spec = field(pod, "spec");
    if !list(&spec["ephemeralContainers"]).is_empty() {
        forbidden(errors, &path("spec.ephemeralContainers"), "cannot be set on create");
    }
    if !text(&spec["nodeName"]).is_empty() && !list(&spec["schedulingGates"]).is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        forbidden(errors, &path("spec.nodeName"), detail);
    }
}

fn warnings(pod: &Object) -> Vec<String> {
    let wrong = dns1123_label(pod.name());
    let about_name = (!wrong.is_empty()).then(|| {
        let wrong = wrong.join(" ");
        format!("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{wrong}]")
    });
    about_name.into_iter().chain(podspec::warnings(&pod.0, &atoll_api::FieldPath::root())).collect()
}
