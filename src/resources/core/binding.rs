//! Bindings: how a scheduler puts a pod on a node; created only, stored never.

use atoll_api::validation::key_fault;
use atoll_api::{ApiError, ApiResult, FieldErrors, GroupResource, Object, Reason};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::pod;
use crate::registry::computed::{Call, Computed};
use crate::registry::descriptor::{Scope, Verb};
use crate::registry::{ObjectName, Target, seconds};
use crate::resources::Builtin;
use crate::resources::checks::{one_of, path, required};
use crate::resources::kind::{Kind, Version};
use crate::resources::read::{field, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "bindings",
    kind: "Binding",
    scope: Scope::Namespaced,
    verbs: &[Verb::Create],
    versions: &[Version { api_version: "v1", type_name: "core.v1.Binding", ..Version::BARE }],
    ..Kind::NAMESPACED
};

/// Binds pods, whether asked through the pod or in the old way.
pub(in crate::resources) struct Answer {
    binding: Target,
    pods: Target,
}

impl Answer {
    /// A handler of bindings.
    pub(in crate::resources) fn new() -> Self {
        let target = |kind| Target::new(Builtin::of(kind), 0);
        Self { binding: target(&KIND), pods: target(&pod::KIND) }
    }

    async fn bind(&self, call: Call<'_>) -> ApiResult<Object> {
        let binding = call.sent(&self.binding).await?;
        if !call.name.is_empty() && binding.name() != call.name {
            return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
        }
        check(&binding)?;
        if let Some(why) = key_fault(binding.name()) {
            return Err(ApiError::bad_request(why));
        }
        let name = ObjectName { namespace: call.namespace, name: binding.name() };
        let now = call.cx.now;
        // Asked through the pod, the uid that the client names is looked at before anything else.
        let uid = call.body.value["metadata"]["uid"].as_str().filter(|_| !call.name.is_empty()).unwrap_or_default();
        let make = |pod: &Object| bound(pod, &binding, uid, now);
        call.registry.change(call.cx, &self.pods, &name, "binding", call.options, make).await?;
        Ok(done())
    }
}

impl Computed for Answer {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(self.bind(call))
    }
}

/// A `Status` that says that an action is done.
pub(in crate::resources) fn done() -> Object {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Object::from_value(status).unwrap_or_default()
}

fn check(binding: &Object) -> ApiResult<()> {
    let mut errors = FieldErrors::new();
    let target = field(binding, "target");
    if !text(&target["kind"]).is_empty() {
        one_of(&mut errors, &path("target.kind"), text(&target["kind"]), &["Node", "<empty>"]);
    }
    if text(&target["name"]).is_empty() {
        required(&mut errors, &path("target.name"), "");
    }
    if errors.is_empty() {
        return Ok(());
    }
    // Kubernetes gives the faults without saying what kind of error they are (pod/storage/storage.go).
    let faults: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let message = if faults.len() == 1 { faults.concat() } else { format!("[{}]", faults.join(", ")) };
    Err(ApiError::new(Reason::Unknown, message))
}

/// The pod on the node of a binding.
fn bound(pod: &Object, binding: &Object, uid: &str, now: Timestamp) -> ApiResult<Object> {
    let pods = GroupResource::new("", "pods");
    for (what, said, is) in
        [("UID", uid, pod.uid()), ("ResourceVersion", binding.resource_version(), pod.resource_version())]
    {
        if !said.is_empty() && said != is {
            let (namespace, name) = (pod.namespace(), pod.name());
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /pods/{namespace}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: {what} in precondition: {said}, {what} in object meta: {is}"
            );
            return Err(ApiError::conflict(&pods, name, &why));
        }
    }
    let spec = field(pod, "spec");
    let (name, node) = (pod.name(), text(&spec["nodeName"]));
    let refused = if pod.deletion_timestamp().is_some() {
        format!("pod {name} is being deleted, cannot be assigned to a host")
    } else if !node.is_empty() {
        format!("pod {name} is already assigned to node {node:?}")
    } else if !list(&spec["schedulingGates"]).is_empty() {
        format!("pod {name} has non-empty .spec.schedulingGates")
    } else {
        return Ok(placed(pod, binding, now));
    };
    Err(ApiError::conflict(&GroupResource::new("", "pods/binding"), name, &refused))
}

fn placed(pod: &Object, binding: &Object, now: Timestamp) -> Object {
    let mut pod = pod.clone();
    pod.map_mut("spec").insert("nodeName".into(), field(binding, "target")["name"].clone());
    for (key, value) in binding.annotations() {
        pod.set_annotation(key, value);
    }
    let generation = pod.generation();
    let status = pod.map_mut("status");
    let mut conditions = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let before = conditions.iter().position(|condition| condition["type"] == "PodScheduled");
    let since = before.map(|at| &conditions[at]).filter(|was| was["status"] == "True");
    let since = since.map_or_else(|| seconds(now).into(), |was| was["lastTransitionTime"].clone());
    let condition = json!({
        "type": "PodScheduled", "status": "True", "observedGeneration": generation, "lastTransitionTime": since,
    });
    match before {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
    status.insert("conditions".into(), conditions.into());
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_binding(pod: Value, binding: Value, expected: Result<&str, &str>) {
        let object = |value: Value| Object::from_value(value).expect("an object");
        let binding = object(binding);
        let bound = bound(&object(pod), &binding, binding.uid(), Timestamp::UNIX_EPOCH);
        let node = bound.map(|pod| pod.text_at(&["spec", "nodeName"]).to_owned()).map_err(|e| e.status.message);
        assert_eq!(node.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn a_pod_is_bound_once_and_only_if_it_is_ready_to_be() {
        let binding = json!({"metadata": {"name": "p"}, "target": {"name": "n"}});
        check_binding(json!({"metadata": {"name": "p"}}), binding.clone(), Ok("n"));
        for (pod, why) in [
            (json!({"spec": {"nodeName": "m"}}), "pod p is already assigned to node \"m\""),
            (json!({"spec": {"schedulingGates": [{"name": "g"}]}}), "pod p has non-empty .spec.schedulingGates"),
        ] {
            let mut pod = pod;
            pod["metadata"] = json!({"name": "p"});
            let whole = format!("Operation cannot be fulfilled on pods/binding \"p\": {why}");
            check_binding(pod, binding.clone(), Err(&whole));
        }
    }

    #[test]
    fn a_binding_for_another_pod_of_the_name_conflicts() {
        let binding = json!({"metadata": {"name": "p", "uid": "1"}, "target": {"name": "n"}});
        let why = "Operation cannot be fulfilled on pods \"p\": StorageError: invalid object, Code: 4, Key: /pods/n/p, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: 1, UID in object meta: 2";
        check_binding(json!({"metadata": {"name": "p", "namespace": "n", "uid": "2"}}), binding, Err(why));
    }
}
