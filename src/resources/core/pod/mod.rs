//! Pods: containers that run together on a node.

mod table;

use atoll_api::Object;
use serde_json::{Map, Value};

use super::node::PROXY_VERBS;
use crate::registry::descriptor::{GET_PATCH_UPDATE, Verb};
use crate::registry::resource::GenerationPolicy;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, by_path, column, wide};
use crate::resources::podspec;
use crate::resources::read::{field, flag, text};

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
            SubresourceSpec::Other("ephemeralcontainers", "", "Pod", GET_PATCH_UPDATE),
            SubresourceSpec::Other("eviction", "policy/v1", "Eviction", &[Verb::Create]),
            SubresourceSpec::Other("exec", "", "PodExecOptions", STREAM_VERBS),
            SubresourceSpec::Other("log", "", "Pod", &[Verb::Get]),
            SubresourceSpec::Other("portforward", "", "PodPortForwardOptions", STREAM_VERBS),
            SubresourceSpec::Other("proxy", "", "PodProxyOptions", PROXY_VERBS),
            SubresourceSpec::Other("resize", "", "Pod", GET_PATCH_UPDATE),
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
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::RETURNS_DELETED,
    cells: table::cells,
    selectable,
    type_defaults: &[("core.v1.Pod", pod_defaults)],
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
