//! RuntimeClass: the class a pod names must exist; what it costs and where it runs becomes part of the pod.

use std::sync::Arc;

use atoll_api::{ApiResult, LogicalClusterName, Object};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::admission::amounts::Amounts;
use crate::admission::collection::{Collection, object};
use crate::admission::pods::{of_pod, spec_mut};
use crate::admission::read::{entries, has, list, list_mut, map_mut, text};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;
use crate::storage::Store;

/// Merging tolerations compares each with each; beyond this many comparisons they are only appended.
const MAX_COMPARISONS: usize = 1_000_000;

/// Resolves runtime classes.
pub struct RuntimeClass {
    classes: Collection,
}

impl RuntimeClass {
    /// Reads classes from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { classes: Collection::of(store, "node.k8s.io", "runtimeclasses") }
    }

    /// The class that a pod names; `None` if it names none.
    fn class_of(&self, cluster: &LogicalClusterName, pod: &Object) -> Result<Option<Object>, String> {
        let Some(name) = of_pod(pod).spec["runtimeClassName"].as_str() else { return Ok(None) };
        match self.classes.get(cluster, "", name) {
            Some(entry) => Ok(Some(object(&entry))),
            None => Err(format!("pod rejected: RuntimeClass {name:?} not found")),
        }
    }

    fn fill_in(&self, cluster: &LogicalClusterName, pod: &mut Object) -> Result<(), String> {
        let Some(class) = self.class_of(cluster, pod)? else { return Ok(()) };
        if let Some(overhead) = overhead(&class) {
            if has(of_pod(pod).spec, "overhead") {
                check_overhead(pod, Some(&class))?;
            } else if let Some(spec) = spec_mut(pod) {
                spec.insert("overhead".into(), overhead.clone());
            }
        }
        match class.get("scheduling") {
            Some(scheduling) => schedule(pod, scheduling),
            None => Ok(()),
        }
    }
}

fn overhead(class: &Object) -> Option<&Value> {
    class.at(&["overhead", "podFixed"]).filter(|overhead| !overhead.is_null())
}

fn check_overhead(pod: &Object, class: Option<&Object>) -> Result<(), String> {
    let given = Amounts::read(&of_pod(pod).spec["overhead"]);
    match class.and_then(overhead) {
        Some(overhead) if given != Amounts::read(overhead) => {
            Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned())
        }
        None if !given.is_empty() => {
            Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned())
        }
        _ => Ok(()),
    }
}

fn schedule(pod: &mut Object, scheduling: &Value) -> Result<(), String> {
    let Some(spec) = spec_mut(pod) else { return Ok(()) };
    if entries(scheduling, "nodeSelector").next().is_some()
        && let Some(selector) = map_mut(spec, "nodeSelector")
    {
        for (key, wanted) in entries(scheduling, "nodeSelector") {
            let wanted = wanted.as_str().unwrap_or_default();
            if let Some(given) = selector.get(key).and_then(Value::as_str).filter(|given| *given != wanted) {
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {given}"
                ));
            }
            selector.insert(key.to_owned(), wanted.into());
        }
    }
    let added = list(scheduling, "tolerations");
    if !added.is_empty()
        && let Some(tolerations) = list_mut(spec, "tolerations")
    {
        merge_tolerations(tolerations, added);
    }
    Ok(())
}

/// Adds tolerations, and leaves out those that others cover.
fn merge_tolerations(tolerations: &mut Vec<Value>, added: &[Value]) {
    tolerations.extend(added.iter().cloned());
    if tolerations.len().saturating_mul(tolerations.len()) > MAX_COMPARISONS {
        return;
    }
    let all = std::mem::take(tolerations);
    for (index, toleration) in all.iter().enumerate() {
        let by_earlier = tolerations.iter().any(|kept| covers(kept, toleration));
        let by_later = all[index + 1..].iter().any(|later| later != toleration && covers(later, toleration));
        if !by_earlier && !by_later {
            tolerations.push(toleration.clone());
        }
    }
}

/// Whether one toleration tolerates all that another does.
fn covers(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let (operator, effect) = (text(wide, "operator"), text(wide, "effect"));
    let any_key = text(wide, "key").is_empty() && operator == "Exists";
    if text(wide, "key") != text(narrow, "key") && !any_key {
        return false;
    }
    if effect != text(narrow, "effect") && !effect.is_empty() {
        return false;
    }
    if effect == "NoExecute"
        && let Some(seconds) = wide["tolerationSeconds"].as_i64()
        && narrow["tolerationSeconds"].as_i64().is_none_or(|narrow| narrow > seconds)
    {
        return false;
    }
    match operator {
        "Exists" => true,
        "Equal" | "" => text(narrow, "operator") == "Equal" && text(wide, "value") == text(narrow, "value"),
        _ => false,
    }
}

impl AdmissionPlugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.subresource.is_empty()
            && attributes.concerns("", "pods")
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        pod: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let outcome = self.fill_in(&cx.cluster, pod);
        at_once(outcome.map_err(|why| attributes.forbidden(Some(pod), &why)))
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let Some(pod) = object else { return at_once(Ok(())) };
        let outcome = self.class_of(&cx.cluster, pod).and_then(|class| check_overhead(pod, class.as_ref()));
        at_once(outcome.map_err(|why| attributes.forbidden(object, &why)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::Bench;

    fn pod(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec})
    }

    async fn bench() -> (Bench, RuntimeClass) {
        let bench = Bench::new().await;
        let plugin = RuntimeClass::new(&bench.store);
        let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "vm"},
            "handler": "vm", "overhead": {"podFixed": {"cpu": "250m"}},
            "scheduling": {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}});
        bench.put("node.k8s.io", "runtimeclasses", class).await;
        (bench, plugin)
    }

    #[tokio::test]
    async fn a_class_adds_its_overhead_and_where_it_runs() {
        let (bench, plugin) = bench().await;
        let given = json!({"runtimeClassName": "vm", "nodeSelector": {"a": "b"},
            "tolerations": [{"key": "vm", "operator": "Equal", "value": "x"}, {"key": "b", "operator": "Exists"}]});
        let filled = bench.mutate(&plugin, pod(given)).await.expect("is let through");
        let expected = json!({"runtimeClassName": "vm", "overhead": {"cpu": "250m"},
            "nodeSelector": {"a": "b", "vm": "yes"},
            "tolerations": [{"key": "b", "operator": "Exists"}, {"key": "vm", "operator": "Exists"}]});
        assert_eq!(filled["spec"], expected);
        assert_eq!(bench.mutate(&plugin, filled.clone()).await, Ok(filled.clone()));
        assert_eq!(bench.validate(&plugin, filled).await, Ok(()));
    }

    #[tokio::test]
    async fn pods_that_contradict_their_class_are_refused() {
        let (bench, plugin) = bench().await;
        let forbidden = "pods \"a\" is forbidden: ";
        for (spec, why) in [
            (json!({"runtimeClassName": "x"}), "pod rejected: RuntimeClass \"x\" not found"),
            (
                json!({"runtimeClassName": "vm", "overhead": {"cpu": "1"}}),
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            ),
            (
                json!({"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}}),
                "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no",
            ),
        ] {
            assert_eq!(bench.mutate(&plugin, pod(spec)).await, Err(format!("{forbidden}{why}")));
        }
        let outcome = bench.validate(&plugin, pod(json!({"overhead": {"cpu": "1"}}))).await;
        let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
        assert_eq!(outcome, Err(format!("{forbidden}{why}")));
    }
}
