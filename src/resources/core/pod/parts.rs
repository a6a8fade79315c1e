//! The parts of a pod that are written through URLs of their own: its ephemeral containers, and the amounts its
//! containers ask for.

use std::collections::BTreeMap;

use atoll_api::validation::{NameRule, Namespacing, validate_object_meta};
use atoll_api::{FieldErrors, FieldPath, Object};
use serde_json::{Map, Value};

use super::update::take;
use super::{quality, validate_metadata_and_spec};
use crate::resources::checks::{forbidden, invalid, path};
use crate::resources::kind::keep_metadata;
use crate::resources::read::{entries, field, is_set, list, text};

/// The URL of the containers that are added to a pod that runs.
pub(super) const EPHEMERAL_CONTAINERS: &str = "ephemeralcontainers";
/// The URL of the amounts of resources.
pub(super) const RESIZE: &str = "resize";

const MIRROR: &str = "kubernetes.io/config.mirror";
/// What may change in a container that runs.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// Keeps all that the part does not speak of.
pub(super) fn prepare(part: &str, pod: &mut Object, old: &Object) {
    let (new, was) = (field(pod, "spec").clone(), field(old, "spec"));
    let mut spec = was.as_object().cloned().unwrap_or_default();
    if part == EPHEMERAL_CONTAINERS {
        take(&mut spec, &new, "ephemeralContainers");
    } else {
        let count = |spec: &Value, part: &str| list(&spec[part]).len();
        // Containers that came or went are for the check to find.
        if ["containers", "initContainers"].iter().any(|part| count(&new, part) != count(was, part)) {
            return;
        }
        for part in ["containers", "initContainers"] {
            if was.get(part).is_some() {
                spec.insert(part.to_owned(), with_amounts(&new[part], &was[part]));
            }
        }
        take(&mut spec, &new, "resources");
    }
    pod.0.insert("spec".into(), spec.into());
    match old.get("status") {
        Some(status) => pod.0.insert("status".into(), status.clone()),
        None => pod.0.remove("status"),
    };
    keep_metadata(pod, old);
}

/// The old containers with the amounts of the new ones; the new ones if their names or order differ.
fn with_amounts(new: &Value, old: &Value) -> Value {
    let pairs = || list(new).iter().zip(list(old));
    if pairs().any(|(new, old)| new["name"] != old["name"]) {
        return new.clone();
    }
    let merged = pairs().map(|(new, old)| {
        let mut merged = old.as_object().cloned().unwrap_or_default();
        for field in ["resources", "resizePolicy"] {
            take(&mut merged, new, field);
        }
        Value::from(merged)
    });
    merged.collect()
}

/// Checks what a part may not do.
pub(super) fn validate(part: &str, pod: &Object, old: &Object, errors: &mut FieldErrors) {
    let is_static = old.annotation(MIRROR).is_some();
    let refuse = |errors: &mut FieldErrors, why: &str| {
        errors.clear();
        // A path of one empty name prints so in Go.
        forbidden(errors, &FieldPath::new("[]"), why);
    };
    let path = FieldPath::new("metadata");
    errors.extend(validate_object_meta(pod, Namespacing::Required, NameRule::Subdomain, &path));
    validate_metadata_and_spec(pod, errors);
    match part {
        EPHEMERAL_CONTAINERS if is_static => refuse(errors, "static pods do not support ephemeral containers"),
        EPHEMERAL_CONTAINERS => only_added_containers(pod, old, errors),
        _ if is_static => refuse(errors, "static pods cannot be resized"),
        _ if field(old, "spec")["os"]["name"] == "windows" => refuse(errors, "windows pods cannot be resized"),
        _ => only_amounts(pod, old, errors),
    }
}

fn only_added_containers(pod: &Object, old: &Object, errors: &mut FieldErrors) {
    let containers = |pod| list(&field(pod, "spec")["ephemeralContainers"]);
    let path = path("spec.ephemeralContainers");
    let new: BTreeMap<&str, &Value> = containers(pod).iter().map(|new| (text(&new["name"]), new)).collect();
    for was in containers(old) {
        let name = text(&was["name"]);
        match new.get(name) {
            None => forbidden(errors, &path, format!("existing ephemeral containers {name:?} may not be removed\n")),
            Some(new) if **new != *was => {
                forbidden(errors, &path, format!("existing ephemeral containers {name:?} may not be changed\n"));
            }
            Some(_) => {}
        }
    }
}

fn only_amounts(pod: &Object, old: &Object, errors: &mut FieldErrors) {
    let (new, was, path) = (field(pod, "spec"), field(old, "spec"), path("spec"));
    let before = match text(&field(old, "status")["qosClass"]) {
        "" => quality::class(was),
        told => told,
    };
    if quality::class(new) != before {
        let shown = text(&field(pod, "status")["qosClass"]).into();
        invalid(errors, &path, &shown, "Pod QOS Class may not change as a result of resizing");
    }
    if !node_can_resize(old) {
        forbidden(errors, &path, "Pod running on node without support for resize");
    }
    let mut munged = new.as_object().cloned().unwrap_or_default();
    if asks_as_a_whole(new) || asks_as_a_whole(was) {
        amounts_of_the_whole(errors, &mut munged, was, &path);
    }
    if !list(&field(old, "status")["nodeAllocatableResourceClaimStatuses"]).is_empty() {
        forbidden(errors, &path, "pods with node allocatable resource claims cannot be resized");
    }
    if !same_containers(errors, new, was, &path) {
        return;
    }
    for part in ["initContainers", "containers"] {
        for (index, (now, before)) in list(&new[part]).iter().zip(list(&was[part])).enumerate() {
            let path = path.child(part).index(index).child("resources");
            for field in ["requests", "limits"] {
                if loses_amounts(&now["resources"][field], &before["resources"][field]) {
                    forbidden(errors, &path.child(field), format!("resource {field} cannot be removed"));
                }
            }
        }
    }
    for part in ["containers", "initContainers"] {
        let containers = munged.get_mut(part).and_then(Value::as_array_mut).into_iter().flatten();
        for (index, (container, before)) in containers.zip(list(&was[part])).enumerate() {
            only_amounts_of(errors, container, before, part, &path, index);
        }
    }
    if errors.is_empty() && Value::from(munged) != *was {
        forbidden(errors, &path, "only cpu and memory resources are mutable");
    }
}

/// Whether a pod asks for resources as a whole.
fn asks_as_a_whole(spec: &Value) -> bool {
    ["requests", "limits"].iter().any(|part| entries(&spec["resources"][*part]).next().is_some())
}

fn loses_amounts(now: &Value, before: &Value) -> bool {
    entries(before).any(|(name, _)| now.get(name).is_none())
}

/// Checks what a pod asks for as a whole, and gives `munged` what may change of it as it was.
fn amounts_of_the_whole(errors: &mut FieldErrors, munged: &mut Map<String, Value>, was: &Value, path: &FieldPath) {
    let before = &was["resources"];
    let now = munged.get("resources").cloned().unwrap_or_default();
    if !is_set(&now) {
        if is_set(before) {
            forbidden(errors, &path.child("resources"), "pod-level resources cannot be removed");
        }
        return;
    }
    for field in ["requests", "limits"] {
        if loses_amounts(&now[field], &before[field]) {
            let why = format!("pod-level resource {field} cannot be removed");
            forbidden(errors, &path.child("resources").child(field), why);
        }
    }
    let mut kept = with_old_amounts(&now, before);
    if let Some(claims) = now.get("claims") {
        kept.insert("claims".into(), claims.clone());
    }
    let is_nothing = kept.is_empty() && !is_set(before);
    if !is_nothing && without_empty(before) != Value::from(kept) {
        forbidden(errors, path, "only cpu and memory resources are mutable at pod-level");
    }
    match before {
        Value::Null => munged.remove("resources"),
        before => munged.insert("resources".into(), before.clone()),
    };
}

/// Checks that nothing but amounts changes in a container, and makes it as it was.
fn only_amounts_of(
    errors: &mut FieldErrors,
    container: &mut Value,
    before: &Value,
    part: &str,
    path: &FieldPath,
    index: usize,
) {
    let shape = |container: &Value, resources: Value| {
        let mut shape = container.as_object().cloned().unwrap_or_default();
        shape.insert("resources".into(), resources);
        shape
    };
    let resources = with_old_amounts(&container["resources"], &before["resources"]).into();
    let is_same = shape(container, resources) == shape(before, without_empty(&before["resources"]));
    let is_first = part == "initContainers";
    match (is_same, is_first) {
        (true, _) => {}
        (false, false) => forbidden(errors, path, "only cpu and memory resources are mutable"),
        (false, true) => {
            let why = "only cpu and memory resources for init or sidecar containers are mutable";
            forbidden(errors, &path.child(part).index(index), why);
        }
    }
    if is_first && container != before && !goes_on(container) {
        for policy in list(&container["resizePolicy"]) {
            if policy["restartPolicy"] == "RestartContainer" {
                let why = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
                forbidden(errors, &path.child(part).index(index), why);
            }
        }
    }
    if is_same {
        *container = before.clone();
    }
}

/// New amounts with the old ones of what may change; nothing else of what is asked for is kept (validation.go,
/// `dropCPUMemoryResourcesFromContainer`, forgets claims too).
fn with_old_amounts(now: &Value, before: &Value) -> Map<String, Value> {
    let mut kept = Map::new();
    for field in ["limits", "requests"] {
        let mut amounts = now[field].as_object().cloned().unwrap_or_default();
        for name in RESIZABLE {
            take(&mut amounts, &before[field], name);
        }
        if !amounts.is_empty() {
            kept.insert(field.to_owned(), amounts.into());
        }
    }
    kept
}

/// What is asked for, without amounts of nothing.
fn without_empty(resources: &Value) -> Value {
    let kept = entries(resources).filter(|(_, value)| value.as_object().is_none_or(|map| !map.is_empty()));
    Value::Object(kept.map(|(name, value)| (name.to_owned(), value.clone())).collect())
}

/// Whether a container that is started before the others goes on beside them.
fn goes_on(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// A node that does not tell what running containers have cannot change it.
fn node_can_resize(pod: &Object) -> bool {
    let running = list(&field(pod, "status")["containerStatuses"]).iter().find(|c| is_set(&c["state"]["running"]));
    running.is_none_or(|container| is_set(&container["resources"]))
}

fn same_containers(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) -> bool {
    let before = errors.len();
    for part in ["containers", "initContainers"] {
        let (now, was) = (list(&new[part]), list(&old[part]));
        if now.len() != was.len() {
            forbidden(errors, &path.child(part), format!("{part} may not be added or removed on resize"));
            continue;
        }
        for (index, (now, was)) in now.iter().zip(was).enumerate() {
            if now["name"] != was["name"] {
                let path = path.child(part).index(index).child("name");
                forbidden(errors, &path, format!("{part} may not be renamed or reordered on resize"));
            }
        }
    }
    errors.len() == before
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: Value) -> Object {
        let value =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": spec});
        Object::from_value(value).expect("an object")
    }

    fn container(cpu: &str) -> Value {
        json!({"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File",
            "resources": {"requests": {"cpu": cpu}}})
    }

    #[track_caller]
    fn check(part: &str, old: Value, new: Value, expected: &[&str]) {
        let (old, mut new) = (pod(old), pod(new));
        prepare(part, &mut new, &old);
        let mut errors = FieldErrors::new();
        match part {
            EPHEMERAL_CONTAINERS => only_added_containers(&new, &old, &mut errors),
            _ => only_amounts(&new, &old, &mut errors),
        }
        let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_resize_changes_amounts_and_nothing_else() {
        let (small, large) = (json!({"containers": [container("1")]}), json!({"containers": [container("2")]}));
        check(RESIZE, small.clone(), large, &[]);
        check(RESIZE, small.clone(), json!({"nodeName": "n", "containers": [container("2")]}), &[]);
        let none = json!({"containers": [{"name": "c", "image": "i"}]});
        let first = |cpu: &str| json!({"containers": [container("1")], "initContainers": [container(cpu)]});
        check(RESIZE, first("1"), first("2"), &[]);
        let whole = |cpu: &str| json!({"containers": [container("1")], "resources": {"requests": {"cpu": cpu}}});
        check(RESIZE, whole("1"), whole("2"), &[]);
        check(RESIZE, whole("1"), small.clone(), &["spec.resources: Forbidden: pod-level resources cannot be removed"]);
        check(
            RESIZE,
            small,
            none,
            &[
                "spec: Invalid value: \"\": Pod QOS Class may not change as a result of resizing",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ],
        );
    }

    #[test]
    fn ephemeral_containers_are_added_only() {
        let with = |names: &[&str]| {
            let added: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "i"})).collect();
            json!({"containers": [container("1")], "ephemeralContainers": added})
        };
        check(EPHEMERAL_CONTAINERS, with(&["a"]), with(&["b", "a"]), &[]);
        check(
            EPHEMERAL_CONTAINERS,
            with(&["a"]),
            with(&[]),
            &["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"a\" may not be removed\n"],
        );
    }
}
