//! What may change in a pod that exists, and in its status.

use std::collections::BTreeSet;

use atoll_api::{FieldErrors, FieldPath, Object};
use serde_json::{Map, Value};

use super::validate_metadata_and_spec;
use crate::resources::checks::network::{legacy_ip, parse_ip_sloppily};
use crate::resources::checks::{forbidden, immutable, invalid, invalid_each, not_negative, path, qualified, required};
use crate::resources::podspec::tolerations;
use crate::resources::read::{entries, field, int, is_set, list, text};

/// The fields that may change, as the fault names them.
const MUTABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const MAX_INT32: i64 = i32::MAX as i64;

pub(super) fn validate_update(pod: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_metadata_and_spec(pod, errors);
    let (new, was) = (field(pod, "spec"), field(old, "spec"));
    let path = path("spec");
    for part in ["containers", "initContainers"] {
        if !images_only(errors, &new[part], &was[part], &path.child(part)) {
            return;
        }
    }
    if !deadline(errors, &new["activeDeadlineSeconds"], &was["activeDeadlineSeconds"], &path) {
        return;
    }
    only_added_tolerations(errors, new, was, &path.child("tolerations"));
    only_deleted_gates(errors, new, was, &path.child("schedulingGates"));
    if new == was {
        return;
    }
    let mut munged = new.clone();
    if let Value::Object(munged) = &mut munged {
        take_mutable(munged, was);
        if !list(&was["schedulingGates"]).is_empty() {
            gated_changes(errors, munged, was, &path);
        }
    }
    if munged != *was {
        forbidden(errors, &path, format!("pod updates may not change fields other than {MUTABLE}"));
    }
}

/// Containers may not come or go, and must keep an image.
fn images_only(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) -> bool {
    if list(new).len() != list(old).len() {
        forbidden(errors, path, "pod updates may not add or remove containers");
        return false;
    }
    for (index, container) in list(new).iter().enumerate() {
        let path = path.index(index).child("image");
        let image = text(&container["image"]);
        if image.is_empty() {
            required(errors, &path, "");
        }
        if image.trim().len() != image.len() {
            invalid(errors, &path, &image.into(), "must not have leading or trailing whitespace");
        }
    }
    true
}

/// A deadline may only come nearer. Whether it is worth looking for more that is wrong.
fn deadline(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) -> bool {
    let path = path.child("activeDeadlineSeconds");
    match (new.as_i64(), old.as_i64()) {
        (Some(now), _) if !(0..=MAX_INT32).contains(&now) => {
            invalid(errors, &path, new, format!("must be between 0 and {MAX_INT32}, inclusive"));
            false
        }
        (Some(now), Some(before)) if before < now => {
            invalid(errors, &path, new, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            invalid(errors, &path, new, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

fn only_added_tolerations(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) {
    let fixed = |toleration: &Value| {
        let mut fixed = toleration.as_object().cloned().unwrap_or_default();
        fixed.remove("tolerationSeconds");
        fixed
    };
    let now: Vec<Map<String, Value>> = list(&new["tolerations"]).iter().map(fixed).collect();
    if list(&old["tolerations"]).iter().any(|was| !now.contains(&fixed(was))) {
        return forbidden(errors, path, "existing toleration can not be modified except its tolerationSeconds");
    }
    tolerations(errors, &new["tolerations"], path);
}

fn only_deleted_gates(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) {
    let before: BTreeSet<&str> = list(&old["schedulingGates"]).iter().map(|gate| text(&gate["name"])).collect();
    for (index, gate) in list(&new["schedulingGates"]).iter().enumerate() {
        let name = text(&gate["name"]);
        if !before.contains(name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            forbidden(errors, &path.index(index).child("name"), detail);
        }
    }
}

/// Gives a changed description the old values of what may change, so that what remains different must not.
fn take_mutable(munged: &mut Map<String, Value>, old: &Value) {
    for part in ["containers", "initContainers"] {
        let containers = munged.get_mut(part).and_then(Value::as_array_mut);
        for (container, was) in containers.into_iter().flatten().zip(list(&old[part])) {
            if let Value::Object(container) = container {
                take(container, was, "image");
            }
        }
    }
    for name in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        take(munged, old, name);
    }
    let grace = "terminationGracePeriodSeconds";
    if int(&old[grace]) < 0 && munged.get(grace).and_then(Value::as_i64) == Some(1) {
        take(munged, old, grace);
    }
}

pub(super) fn take(map: &mut Map<String, Value>, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => map.insert(name.to_owned(), value.clone()),
        None => map.remove(name),
    };
}

/// A pod that is not to be scheduled yet may be bound more tightly to nodes.
fn gated_changes(errors: &mut FieldErrors, munged: &mut Map<String, Value>, old: &Value, path: &FieldPath) {
    let new_selector = munged.get("nodeSelector").cloned().unwrap_or_default();
    for (key, value) in entries(&old["nodeSelector"]) {
        if new_selector[key] != *value {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            invalid(errors, &path.child("nodeSelector"), &new_selector, detail);
            break;
        }
    }
    take(munged, old, "nodeSelector");
    let now = munged.get("affinity").map(|affinity| affinity["nodeAffinity"].clone()).unwrap_or_default();
    let was = &old["affinity"]["nodeAffinity"];
    if now == *was {
        return;
    }
    node_affinity_change(errors, &now, was, &path.child("affinity").child("nodeAffinity"));
    let mut affinity = munged.get("affinity").and_then(Value::as_object).cloned().unwrap_or_default();
    match was {
        Value::Null => affinity.remove("nodeAffinity"),
        was => affinity.insert("nodeAffinity".into(), was.clone()),
    };
    if affinity.is_empty() && !is_set(&old["affinity"]) {
        munged.remove("affinity");
    } else {
        munged.insert("affinity".into(), affinity.into());
    }
}

fn node_affinity_change(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let path = path.child(REQUIRED);
    let path = path.child("nodeSelectorTerms");
    let (now, was) = (list(&new[REQUIRED]["nodeSelectorTerms"]), list(&old[REQUIRED]["nodeSelectorTerms"]));
    if was.is_empty() {
        return;
    }
    if now.len() != was.len() {
        return invalid(
            errors,
            &path,
            &new[REQUIRED]["nodeSelectorTerms"],
            "no additions/deletions to non-empty NodeSelectorTerms list are allowed",
        );
    }
    for (index, (now, was)) in now.iter().zip(was).enumerate() {
        let keeps = |part: &str| list(&now[part]).starts_with(list(&was[part]));
        let was_empty = list(&was["matchExpressions"]).is_empty() && list(&was["matchFields"]).is_empty();
        let unchanged = now == was;
        if !unchanged && (was_empty || !keeps("matchExpressions") || !keeps("matchFields")) {
            let detail = "only additions are allowed (no mutations or deletions)";
            invalid(errors, &path.index(index), now, detail);
        }
    }
}

pub(super) fn validate_status_update(pod: &Object, old: &Object, errors: &mut FieldErrors) {
    let (new, was, path) = (field(pod, "status"), field(old, "status"), path("status"));
    for (index, condition) in list(&new["conditions"]).iter().enumerate() {
        let path = path.child("conditions").index(index);
        if int(&condition["observedGeneration"]) < 0 {
            let shown = &condition["observedGeneration"];
            invalid(errors, &path.child("observedGeneration"), shown, "must be a non-negative integer");
        }
        let kind = text(&condition["type"]);
        if !["PodScheduled", "Ready", "Initialized"].contains(&kind) {
            qualified(errors, &path.child("Type"), kind);
        }
    }
    nominated_node(errors, pod, new, was, &path.child("nominatedNodeName"));
    if int(&new["observedGeneration"]) < 0 {
        let shown = &new["observedGeneration"];
        invalid(errors, &path.child("observedGeneration"), shown, "must be a non-negative integer");
    }
    let class = |status: &Value| Value::from(text(&status["qosClass"]));
    immutable(errors, &path.child("qosClass"), &class(new), &class(was));
    for part in ["containerStatuses", "initContainerStatuses"] {
        still_terminated(errors, field(old, "spec"), &new[part], &was[part], &path.child(part));
    }
    addresses(errors, &new["podIPs"], &path.child("podIPs"));
    addresses(errors, &new["hostIPs"], &path.child("hostIPs"));
    for part in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
        for (index, status) in list(&new[part]).iter().enumerate() {
            let path = path.child(part).index(index).child("linux");
            for id in ["uid", "gid"] {
                not_negative(errors, &path.child(id), &status["user"]["linux"][id]);
            }
        }
    }
}

fn nominated_node(errors: &mut FieldErrors, pod: &Object, new: &Value, old: &Value, path: &FieldPath) {
    let (now, was) = (text(&new["nominatedNodeName"]), text(&old["nominatedNodeName"]));
    if now.is_empty() || now == was {
        return;
    }
    invalid_each(errors, path, now, atoll_api::validation::dns1123_subdomain(now));
    if !text(&field(pod, "spec")["nodeName"]).is_empty() {
        forbidden(errors, path, "may not be set on pods that are already bound to a node");
    }
}

/// A container that ended for good stays so.
fn still_terminated(errors: &mut FieldErrors, spec: &Value, new: &Value, old: &Value, path: &FieldPath) {
    let policy = text(&spec["restartPolicy"]);
    if policy == "Always" {
        return;
    }
    let restarts = |name: &Value| {
        let containers = list(&spec["containers"]).iter().chain(list(&spec["initContainers"]));
        containers.into_iter().any(|c| c["name"] == *name && is_set(&c["restartPolicy"]))
    };
    for (index, was) in list(old).iter().enumerate() {
        let ended = &was["state"]["terminated"];
        let may_go_on = policy == "OnFailure" && int(&ended["exitCode"]) != 0;
        if !is_set(ended) || may_go_on || restarts(&was["name"]) {
            continue;
        }
        let runs = |now: &&Value| now["name"] == was["name"] && !is_set(&now["state"]["terminated"]);
        if list(new).iter().any(|now| runs(&now)) {
            let path = path.index(index).child("state");
            forbidden(errors, &path, "may not be transitioned to non-terminated state");
        }
    }
}

/// At most one address of each family.
fn addresses(errors: &mut FieldErrors, ips: &Value, path: &FieldPath) {
    for (index, ip) in list(ips).iter().enumerate() {
        legacy_ip(errors, &path.index(index), text(&ip["ip"]));
    }
    let families: Vec<bool> =
        list(ips).iter().filter_map(|ip| parse_ip_sloppily(text(&ip["ip"]))).map(|ip| ip.is_ipv4()).collect();
    if list(ips).len() > 1 && (families.len() != 2 || families[0] == families[1] || list(ips).len() > 2) {
        invalid(errors, path, ips, "may specify no more than one IP for each IP family");
    }
}
