//! Nodes: machines that run pods.

use std::collections::BTreeSet;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::descriptor::Verb;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{NONE, UNKNOWN, age, text_or};
use crate::resources::read::{condition, field, flag, list, text};

/// The verbs of the proxies to nodes, pods and services.
pub(in crate::resources) const PROXY_VERBS: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update];

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "nodes",
    kind: "Node",
    short_names: &["no"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.Node",
        columns: &[
            column("Status", "string", "Whether the node is ready and takes pods."),
            column("Roles", "string", "The roles in the node's labels."),
            AGE,
            column("Version", "string", "@core.v1.NodeSystemInfo.kubeletVersion"),
            wide("Internal-IP", "string", "@core.v1.NodeStatus.addresses"),
            wide("External-IP", "string", "@core.v1.NodeStatus.addresses"),
            wide("OS-Image", "string", "@core.v1.NodeSystemInfo.osImage"),
            wide("Kernel-Version", "string", "@core.v1.NodeSystemInfo.kernelVersion"),
            wide("Container-Runtime", "string", "@core.v1.NodeSystemInfo.containerRuntimeVersion"),
        ],
        subresources: &[SubresourceSpec::Other("proxy", "", "NodeProxyOptions", PROXY_VERBS), SubresourceSpec::Status],
        selectable_fields: &["spec.unschedulable"],
    }],
    cells,
    selectable: |object, path| match path {
        "spec.unschedulable" => Some(flag(&field(object, "spec")["unschedulable"]).to_string()),
        other => crate::resources::kind::by_path(object, other),
    },
    type_defaults: &[("core.v1.NodeStatus", status_defaults)],
    ..Kind::CLUSTER
};

fn status_defaults(status: &mut Map<String, Value>) {
    if let Some(capacity) = status.get("capacity").cloned() {
        set(status, "allocatable", capacity);
    }
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let info = &status["nodeInfo"];
    let mut state = match condition(&status["conditions"], "Ready") {
        Some(ready) if ready["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if flag(&spec["unschedulable"]) {
        state.push_str(",SchedulingDisabled");
    }
    let mut kernel = text_or(&info["kernelVersion"], UNKNOWN);
    if !text(&info["architecture"]).is_empty() {
        kernel = format!("{} ({})", text(&kernel), text(&info["architecture"])).into();
    }
    vec![
        state.into(),
        roles(object).into(),
        age(object, now),
        text(&info["kubeletVersion"]).into(),
        address(status, "InternalIP"),
        address(status, "ExternalIP"),
        text_or(&info["osImage"], UNKNOWN),
        kernel,
        text_or(&info["containerRuntimeVersion"], UNKNOWN),
    ]
}

fn address(status: &Value, kind: &str) -> Value {
    let found = list(&status["addresses"]).iter().find(|address| address["type"] == kind);
    found.map_or(NONE.into(), |address| text(&address["address"]).into())
}

fn roles(object: &Object) -> String {
    let labels = object.labels();
    let roles: BTreeSet<&str> = labels
        .iter()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if *key == "kubernetes.io/role" => Some(*value),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() { NONE.to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}
