//! Nodes: machines that run pods.

use std::collections::BTreeSet;

use atoll_api::validation::{label_value, qualified_name};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::registry::descriptor::Verb;
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::amounts::amount_of;
use crate::resources::checks::network::{Cidr, cidr_warnings, legacy_cidr};
use crate::resources::checks::{forbidden, invalid, invalid_each, path, required_one_of};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, wide};
use crate::resources::podspec::EFFECTS;
use crate::resources::printing::{NONE, UNKNOWN, age, text_or};
use crate::resources::read::{condition, entries, field, flag, is_set, list, strings, text};

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
        ..Version::BARE
    }],
    manners: Manners::KEEPS_NEW_STATUS,
    prepare_status_update: |node, old| {
        // What was configured by objects of the cluster, until 1.24, is kept where it is told of and taken from nobody.
        if !is_set(&field(old, "status")["config"]) {
            node.map_mut("status").remove("config");
        }
    },
    validate_create,
    validate_update: Some(validate_update),
    validate_status_update: |node, old, errors| validate_update(node, old, errors),
    warnings: |node, _| warnings(node),
    cells,
    selectable: |object, path| match path {
        "spec.unschedulable" => Some(flag(&field(object, "spec")["unschedulable"]).to_string()),
        other => crate::resources::kind::by_path(object, other),
    },
    type_defaults: &[("core.v1.NodeStatus", status_defaults), ("core.v1.NodeSpec", spec_defaults)],
    metadata_checks: MetadataChecks::Both,
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

/// The first range and the list of them are kept equal (core/v1/conversion.go, 1.36).
fn spec_defaults(spec: &mut Map<String, Value>) {
    let first = spec.get("podCIDRs").map(|all| text(&all[0]).to_owned()).unwrap_or_default();
    let one = spec.get("podCIDR").map(|one| text(one).to_owned()).unwrap_or_default();
    if !one.is_empty() && first != one {
        spec.insert("podCIDRs".into(), json!([one]));
    } else if !first.is_empty() && one.is_empty() {
        spec.insert("podCIDR".into(), first.into());
    }
}

fn validate_create(node: &Object, errors: &mut FieldErrors) {
    let spec = field(node, "spec");
    taints(errors, &spec["taints"]);
    amounts(errors, node);
    let at = path("spec.podCIDRs");
    let ranges = strings(&spec["podCIDRs"]);
    for (index, range) in ranges.iter().enumerate() {
        legacy_cidr(errors, &at.index(index), range);
    }
    let malformed = ranges.iter().enumerate().find(|(_, range)| Cidr::parse(range).is_none());
    if let Some((index, range)) = malformed.filter(|_| ranges.len() > 1) {
        let why = format!("invalid CIDR[{index}]: <nil> (invalid CIDR address: {range})");
        let detail = format!("invalid PodCIDRs. failed to check with dual stack with error:{why}");
        errors.push(FieldError::internal(&at, detail));
    }
    let families: Vec<bool> =
        ranges.iter().filter_map(|range| Cidr::parse(range)).map(|c| c.address.is_ipv4()).collect();
    if ranges.len() > 1 && (ranges.len() > 2 || families.len() != 2 || families[0] == families[1]) {
        let detail = "may specify no more than one CIDR for each IP family";
        invalid(errors, &at, &spec["podCIDRs"], detail);
    }
}

/// Kubernetes reports taints at the metadata (ValidateNode, 1.36).
fn taints(errors: &mut FieldErrors, taints: &Value) {
    let mut seen = BTreeSet::new();
    for (index, taint) in list(taints).iter().enumerate() {
        let path = path("metadata.taints").index(index);
        let (key, value, effect) = (text(&taint["key"]), text(&taint["value"]), text(&taint["effect"]));
        invalid_each(errors, &path.child("key"), key, qualified_name(key));
        let wrong = label_value(value);
        if !wrong.is_empty() {
            invalid(errors, &path.child("value"), &value.into(), wrong.join(";"));
        }
        required_one_of(errors, &path.child("effect"), effect, EFFECTS);
        if !seen.insert((effect, key)) {
            let shown = json!({"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint["timeAdded"]});
            let detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(FieldError { detail, ..FieldError::duplicate(&path, &shown) });
        }
    }
}

fn amounts(errors: &mut FieldErrors, node: &Object) {
    for part in ["capacity", "allocatable"] {
        for (name, amount) in entries(&field(node, "status")[part]) {
            amount_of(errors, &FieldPath::new("status").child(part).child(name), name, amount);
        }
    }
}

fn validate_update(node: &Object, old: &Object, errors: &mut FieldErrors) {
    let (spec, was) = (field(node, "spec"), field(old, "spec"));
    // Kubernetes checks a changed node as a new one, too (core/node/strategy.go, 1.36).
    validate_create(node, errors);
    amounts(errors, node);
    let mut seen: Vec<&Value> = Vec::new();
    for (index, address) in list(&field(node, "status")["addresses"]).iter().enumerate() {
        if seen.contains(&address) {
            errors.push(FieldError::duplicate(&path("status.addresses").index(index), address));
        }
        seen.push(address);
    }
    let (ranges, before) = (strings(&spec["podCIDRs"]), strings(&was["podCIDRs"]));
    let detail = "node updates may not change podCIDR except from \"\" to valid";
    if !before.is_empty() && ranges.len() != before.len() {
        forbidden(errors, &path("spec.podCIDRs"), detail);
    } else {
        for _ in before.iter().zip(&ranges).filter(|(was, now)| was != now) {
            forbidden(errors, &path("spec.podCIDRs"), detail);
        }
    }
    if !text(&was["providerID"]).is_empty() && was["providerID"] != spec["providerID"] {
        let detail = "node updates may not change providerID except from \"\" to valid";
        forbidden(errors, &path("spec.providerID"), detail);
    }
    taints(errors, &spec["taints"]);
    if text(&was["externalID"]) != text(&spec["externalID"]) {
        forbidden(errors, &path("spec.externalID"), "may not be updated");
    }
}

fn warnings(node: &Object) -> Vec<String> {
    let spec = field(node, "spec");
    let mut warnings = Vec::new();
    if !spec["configSource"].is_null() {
        warnings.push("spec.configSource: the feature is removed".to_owned());
    }
    if !text(&spec["externalID"]).is_empty() {
        warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    let ranges = strings(&spec["podCIDRs"]).into_iter().enumerate();
    warnings.extend(ranges.flat_map(|(index, range)| cidr_warnings(&path("spec.podCIDRs").index(index), range)));
    warnings
}
