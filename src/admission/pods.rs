//! Where pods are described, in pods themselves and in what makes them, and what their descriptions ask for.

use atoll_api::Object;
use serde_json::{Map, Value};

use super::Attributes;
use super::amounts::Amounts;
use super::read::{list, text};

/// The description of a pod: its metadata, as far as it has any, and its `spec`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Description<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

/// What stands for metadata or a spec that is not there.
static NOTHING: Value = Value::Null;
/// The resources that pods themselves can be resized by; those of their containers count for all others.
const OF_WHOLE_PODS: [&str; 2] = ["cpu", "memory"];

/// Where objects of a resource describe pods; `None` for resources that do not.
pub(super) fn place_of_template(group: &str, resource: &str) -> Option<&'static [&'static str]> {
    Some(match (group, resource) {
        ("", "pods") => &[],
        ("", "podtemplates") => &["template"],
        ("", "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => &["spec", "template"],
        ("batch", "cronjobs") => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    })
}

/// The pod that an object of such a resource describes.
pub(super) fn described<'a>(attributes: &Attributes, object: &'a Object) -> Option<Description<'a>> {
    let place = place_of_template(&attributes.resource.group, &attributes.resource.resource)?;
    let Some((first, rest)) = place.split_first() else { return Some(of_pod(object)) };
    let template = rest.iter().try_fold(object.get(first)?, |value, field| value.get(field))?;
    Some(Description { metadata: &template["metadata"], spec: &template["spec"] })
}

/// A pod's own description.
pub(super) fn of_pod(pod: &Object) -> Description<'_> {
    let field = |name| pod.get(name).unwrap_or(&NOTHING);
    Description { metadata: field("metadata"), spec: field("spec") }
}

/// The `spec` of a pod that is to be changed; nothing if it is no object.
pub(super) fn spec_mut(pod: &mut Object) -> Option<&mut Map<String, Value>> {
    pod.0.get_mut("spec")?.as_object_mut()
}

/// The annotation by which a kubelet shows a pod that it does not have from the server.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Whether a pod mirrors one that a node runs by itself.
pub(super) fn is_mirror(pod: &Object) -> bool {
    pod.annotation(MIRROR_ANNOTATION).is_some()
}

/// The containers of a kind that a list of a pod's description holds.
pub(super) fn each_mut<'a>(
    spec: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

impl<'a> Description<'a> {
    /// Init containers, then containers, then ephemeral ones.
    pub(super) fn all_containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|field| list(spec, field))
    }

    /// Containers, then init containers.
    pub(super) fn lasting_containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["containers", "initContainers"].into_iter().flat_map(|field| list(spec, field))
    }

    /// Whether the pod says itself what it asks for, beside its containers.
    pub(super) fn asks_as_a_whole(&self) -> bool {
        let resources = &self.spec["resources"];
        ["requests", "limits"].iter().any(|which| {
            resources[*which]
                .as_object()
                .is_some_and(|map| map.keys().any(|name| OF_WHOLE_PODS.contains(&name.as_str())))
        })
    }

    /// What the pod asks for: `requests` or `limits` of all that runs in it at once, at its worst moment.
    pub(super) fn amounts(&self, which: &str) -> Amounts {
        let of = |container: &Value| Amounts::read(&container["resources"][which]);
        let mut total = Amounts::default();
        for container in list(self.spec, "containers") {
            total.add(&of(container));
        }
        // An init container runs beside those before it that were to go on; these run beside the containers as well.
        let mut going_on = Amounts::default();
        let mut worst_start = Amounts::default();
        for container in list(self.spec, "initContainers") {
            let asked = of(container);
            let mut moment = going_on.clone();
            moment.add(&asked);
            if text(container, "restartPolicy") == "Always" {
                total.add(&asked);
                going_on = moment.clone();
            }
            worst_start.raise_to(&moment);
        }
        total.raise_to(&worst_start);
        let whole = Amounts::read(&self.spec["resources"][which]);
        for (name, amount) in whole.iter().filter(|(name, _)| OF_WHOLE_PODS.contains(name)) {
            total.set(name, amount.clone());
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value, requests: Value) {
        let description = Description { metadata: &NOTHING, spec: &spec };
        assert_eq!(description.amounts("requests"), Amounts::read(&requests), "{spec}");
    }

    #[test]
    fn a_pod_asks_for_what_runs_in_it_at_its_worst_moment() {
        let asking = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        check(json!({"containers": [asking("1"), asking("500m")]}), json!({"cpu": "1500m"}));
        check(json!({"containers": [asking("1")], "initContainers": [asking("3"), asking("2")]}), json!({"cpu": "3"}));
        check(json!({"containers": [asking("1")], "initContainers": [sidecar("1"), asking("2")]}), json!({"cpu": "3"}));
        check(json!({"containers": [asking("1")], "initContainers": [asking("2"), sidecar("1")]}), json!({"cpu": "2"}));
        let whole = json!({"containers": [asking("1")], "resources": {"requests": {"cpu": "4", "x.y/z": "1"}}});
        check(whole, json!({"cpu": "4"}));
        check(json!({}), json!({}));
    }
}
