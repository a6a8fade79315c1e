//! The parts of a pod that are written through URLs of their own: its ephemeral containers, and the amounts its
//! containers ask for.

use std::collections::BTreeMap;

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
        forbidden(errors, &FieldPath::root(), why);
    };
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
    if quality::class(new) != quality::class(was) {
        let shown = field(pod, "status")["qosClass"].clone();
        invalid(errors, &path, &shown, "Pod QOS Class may not change as a result of resizing");
    }
    if !node_can_resize(old) {
        forbidden(errors, &path, "Pod running on node without support for resize");
    }
    if !same_containers(errors, new, was, &path) {
        return;
    }
    for part in ["initContainers", "containers"] {
        for (index, (now, before)) in list(&new[part]).iter().zip(list(&was[part])).enumerate() {
            if part == "initContainers" && !goes_on(before) {
                continue;
            }
            let path = path.child(part).index(index).child("resources");
            for field in ["requests", "limits"] {
                let (now, before) = (&now["resources"][field], &before["resources"][field]);
                if entries(before).any(|(name, _)| now.get(name).is_none()) {
                    forbidden(errors, &path.child(field), format!("resource {field} cannot be removed"));
                }
            }
        }
    }
    let mut munged = new.as_object().cloned().unwrap_or_default();
    for part in ["initContainers", "containers"] {
        let containers = munged.get_mut(part).and_then(Value::as_array_mut);
        for (container, before) in containers.into_iter().flatten().zip(list(&was[part])) {
            if let Value::Object(container) = container
                && (part == "containers" || goes_on(before))
            {
                forget_resizable(container, before);
            }
        }
    }
    if Value::from(munged) != *was {
        forbidden(errors, &path, "only cpu and memory resources are mutable\n");
    }
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
            forbidden(errors, &path.child(part), "containers may not be added or removed on resize");
            continue;
        }
        for (index, (now, was)) in now.iter().zip(was).enumerate() {
            if now["name"] != was["name"] {
                let path = path.child(part).index(index).child("name");
                forbidden(errors, &path, "containers may not be renamed or reordered on resize");
            }
        }
    }
    errors.len() == before
}

/// Gives a container its old amounts of what may change, so that what remains different must not.
fn forget_resizable(container: &mut Map<String, Value>, old: &Value) {
    let mut munged = Map::new();
    for field in ["limits", "requests"] {
        let before = &old["resources"][field];
        if !is_set(before) {
            continue;
        }
        let now = container.get("resources").map(|resources| resources[field].clone()).unwrap_or_default();
        let mut amounts = now.as_object().cloned().unwrap_or_default();
        for name in RESIZABLE {
            take(&mut amounts, before, name);
        }
        munged.insert(field.to_owned(), amounts.into());
    }
    if let Some(claims) = old["resources"].get("claims") {
        munged.insert("claims".into(), claims.clone());
    }
    if container.contains_key("resources") || old.get("resources").is_some() {
        container.insert("resources".into(), munged.into());
    }
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
        check(
            RESIZE,
            small,
            none,
            &[
                "spec: Invalid value: null: Pod QOS Class may not change as a result of resizing",
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
