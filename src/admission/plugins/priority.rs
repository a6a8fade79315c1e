//! Priority: the priority of a pod comes from its class, and a cluster has at most one default class.

use std::sync::Arc;

use atoll_api::{ApiResult, LogicalClusterName, Object};
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use crate::admission::collection::{Collection, object};
use crate::admission::pods::spec_mut;
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;
use crate::storage::{Entry, Store};

/// The API group of priority classes.
pub(crate) const GROUP: &str = "scheduling.k8s.io";
/// The plural name of priority classes.
pub(crate) const CLASSES: &str = "priorityclasses";
const PREEMPT: &str = "PreemptLowerPriority";
/// The highest priority of classes that are not the system's.
pub(crate) const HIGHEST: i64 = 1_000_000_000;
/// The classes that every cluster has, by names and priorities. They are stored in the system cluster; a pod of any cluster
/// has their priorities, whatever is stored.
pub(crate) const SYSTEM_CLASSES: [(&str, i64); 2] =
    [(SYSTEM_NAMES[0], 2 * HIGHEST), (SYSTEM_NAMES[1], 2 * HIGHEST + 1000)];
/// The names of these classes.
pub(crate) const SYSTEM_NAMES: &[&str] = &["system-cluster-critical", "system-node-critical"];

/// Resolves priority classes.
pub struct Priority {
    classes: Collection,
}

/// A priority class.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    name: String,
    value: i64,
    preemption: String,
    is_default: bool,
}

impl Class {
    fn read(entry: &Entry) -> Self {
        let class = object(entry);
        let preemption = class.text_at(&["preemptionPolicy"]);
        Self {
            name: entry.name().to_owned(),
            value: class.get("value").and_then(Value::as_i64).unwrap_or_default(),
            preemption: if preemption.is_empty() { PREEMPT } else { preemption }.to_owned(),
            is_default: class.get("globalDefault") == Some(&Value::Bool(true)),
        }
    }

    fn plain(name: &str, value: i64) -> Self {
        Self { name: name.to_owned(), value, preemption: PREEMPT.to_owned(), is_default: false }
    }
}

impl Priority {
    /// Reads classes from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { classes: Collection::of(store, GROUP, CLASSES) }
    }

    /// The default class; of several, which only a race can make, the one of least priority.
    fn default_class(&self, cluster: &LogicalClusterName) -> Option<Arc<Class>> {
        let entries = self.classes.in_cluster(cluster);
        let classes = entries.iter().map(|entry| entry.derived(Class::read));
        classes.filter(|class| class.is_default).min_by_key(|class| class.value)
    }

    fn class(&self, cluster: &LogicalClusterName, name: &str) -> Result<Arc<Class>, String> {
        if let Some(entry) = self.classes.get(cluster, "", name) {
            return Ok(entry.derived(Class::read));
        }
        let built_in = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name);
        built_in
            .map(|(name, value)| Arc::new(Class::plain(name, *value)))
            .ok_or_else(|| format!("no PriorityClass with name {name} was found"))
    }

    fn prioritize(&self, cluster: &LogicalClusterName, pod: &mut Object) -> Result<(), String> {
        let Some(spec) = spec_mut(pod) else { return Ok(()) };
        let named = spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default();
        let class = if named.is_empty() {
            self.default_class(cluster).unwrap_or_else(|| Arc::new(Class::plain("", 0)))
        } else {
            self.class(cluster, named)?
        };
        if let Some(given) = spec.get("priority").and_then(Value::as_i64).filter(|given| *given != class.value) {
            return Err(format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
                class.value
            ));
        }
        let policy = spec.get("preemptionPolicy").and_then(Value::as_str);
        if let Some(given) = policy.filter(|given| *given != class.preemption) {
            return Err(format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
                class.preemption
            ));
        }
        if !class.name.is_empty() {
            spec.insert("priorityClassName".into(), class.name.clone().into());
        }
        spec.insert("priority".into(), class.value.into());
        spec.insert("preemptionPolicy".into(), class.preemption.clone().into());
        Ok(())
    }

    fn check_default(
        &self,
        cluster: &LogicalClusterName,
        attributes: &Attributes,
        class: &Object,
    ) -> Result<(), String> {
        if class.get("globalDefault") != Some(&Value::Bool(true)) {
            return Ok(());
        }
        let other = self.default_class(cluster);
        match other.filter(|other| attributes.operation == Operation::Create || other.name != class.name()) {
            Some(other) => {
                Err(format!("PriorityClass {} is already marked as default. Only one default can exist", other.name))
            }
            None => Ok(()),
        }
    }
}

/// Keeps in a changed pod what the client left out.
fn keep(pod: &mut Object, old: Option<&Object>) {
    let (Some(spec), Some(old)) = (spec_mut(pod), old.and_then(|old| old.get("spec"))) else { return };
    let keep = |spec: &mut Map<String, Value>, field: &str| {
        if spec.get(field).is_none_or(Value::is_null)
            && let Some(value) = old.get(field)
        {
            spec.insert(field.to_owned(), value.clone());
        }
    };
    keep(spec, "priority");
    keep(spec, "preemptionPolicy");
}

impl AdmissionPlugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.subresource.is_empty()
            && (attributes.concerns("", "pods") || attributes.concerns(GROUP, CLASSES))
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        if !attributes.concerns("", "pods") {
            return at_once(Ok(()));
        }
        if attributes.operation == Operation::Update {
            keep(object, old);
            return at_once(Ok(()));
        }
        let outcome = self.prioritize(&cx.cluster, object);
        at_once(outcome.map_err(|why| attributes.forbidden(Some(object), &why)))
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let outcome = match object {
            Some(class) if attributes.concerns(GROUP, CLASSES) => self.check_default(&cx.cluster, attributes, class),
            _ => Ok(()),
        };
        at_once(outcome.map_err(|why| attributes.forbidden(object, &why)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::Bench;

    fn class(name: &str, value: i64, is_default: bool) -> Value {
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "globalDefault": is_default, "preemptionPolicy": "Never"})
    }

    async fn check(stored: &[Value], spec: Value, expected: Result<Value, &str>) {
        let bench = Bench::new().await;
        let plugin = Priority::new(&bench.store);
        for class in stored {
            bench.put(GROUP, CLASSES, class.clone()).await;
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
        let outcome = bench.mutate(&plugin, pod).await.map(|pod| pod["spec"].clone());
        let expected = expected.map_err(|why| format!("pods \"a\" is forbidden: {why}"));
        assert_eq!(outcome, expected, "{spec}");
        if let Ok(spec) = outcome {
            let again = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
            assert_eq!(bench.mutate(&plugin, again.clone()).await, Ok(again));
        }
    }

    #[tokio::test]
    async fn the_priority_of_a_pod_comes_from_its_class() {
        let resolved = |name: &str, value: i64, policy: &str| {
            Ok(json!({"priorityClassName": name, "priority": value, "preemptionPolicy": policy}))
        };
        check(&[], json!({}), Ok(json!({"priority": 0, "preemptionPolicy": PREEMPT}))).await;
        let stored = [class("low", 5, true), class("high", 9, false)];
        check(&stored, json!({}), resolved("low", 5, "Never")).await;
        check(&stored, json!({"priorityClassName": "high"}), resolved("high", 9, "Never")).await;
        let critical = json!({"priorityClassName": "system-node-critical"});
        check(&[], critical, resolved("system-node-critical", 2_000_001_000, PREEMPT)).await;
        check(&[], json!({"priorityClassName": "x"}), Err("no PriorityClass with name x was found")).await;
        let why = "the integer value of priority (1) must not be provided in pod spec; priority admission controller computed 9 from the given PriorityClass name";
        check(&stored, json!({"priorityClassName": "high", "priority": 1}), Err(why)).await;
        let why = "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name";
        check(&stored, json!({"priorityClassName": "high", "preemptionPolicy": PREEMPT}), Err(why)).await;
    }

    #[tokio::test]
    async fn a_cluster_has_one_default_class() {
        let bench = Bench::new().await;
        let plugin = Priority::new(&bench.store);
        bench.put(GROUP, CLASSES, class("a", 1, true)).await;
        assert!(bench.validate(&plugin, class("b", 1, false)).await.is_ok());
        let error = bench.validate(&plugin, class("b", 1, true)).await.expect_err("there is one");
        assert!(error.ends_with("PriorityClass a is already marked as default. Only one default can exist"), "{error}");
        assert!(bench.update(&plugin, "", class("a", 1, true), class("a", 1, true)).await.is_ok());
        assert!(bench.update(&plugin, "", class("b", 1, false), class("b", 1, true)).await.is_err());
    }
}
