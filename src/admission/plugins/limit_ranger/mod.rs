//! LimitRanger: what containers, pods and claims of a namespace ask for is filled in and kept within the limits of its
//! LimitRanges.

mod check;
mod limits;

use std::sync::Arc;

use atoll_api::{ApiResult, LogicalClusterName, Object};
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use self::limits::Limits;
use crate::admission::collection::Collection;
use crate::admission::pods::{each_mut, spec_mut};
use crate::admission::read::map_mut;
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once, together};
use crate::request::RequestContext;
use crate::storage::Store;

/// What was filled in is told here.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Applies LimitRanges.
pub struct LimitRanger {
    ranges: Collection,
}

impl LimitRanger {
    /// Reads LimitRanges from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { ranges: Collection::of(store, "", "limitranges") }
    }

    fn limits(&self, cluster: &LogicalClusterName, namespace: &str) -> Vec<Arc<Limits>> {
        self.ranges.in_namespace(cluster, namespace).iter().map(|entry| entry.derived(Limits::read)).collect()
    }
}

/// Fills in what a range has defaults for.
fn fill_in(limits: &Limits, pod: &mut Object) {
    let Some(spec) = spec_mut(pod) else { return };
    let mut told = Vec::new();
    for (field, what) in [("containers", "container"), ("initContainers", "init container")] {
        for container in each_mut(spec, field) {
            // The names are told with requests first; limits are filled in first, as Kubernetes does.
            let set_limits = fill_in_one(container, "limits", &limits.default_limits);
            let set_requests = fill_in_one(container, "requests", &limits.default_requests);
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            for (set, which) in [(set_requests, "request"), (set_limits, "limit")] {
                if !set.is_empty() {
                    told.push(format!("{} {which} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    if !told.is_empty() {
        pod.set_annotation(ANNOTATION, &format!("LimitRanger plugin set: {}", told.join("; ")));
    }
}

/// Fills in limits or requests; gives the names of those that were missing.
fn fill_in_one<'a>(container: &mut Map<String, Value>, which: &str, defaults: &'a Map<String, Value>) -> Vec<&'a str> {
    if defaults.is_empty() {
        return Vec::new();
    }
    let resources = map_mut(container, "resources").and_then(|resources| map_mut(resources, which));
    let Some(amounts) = resources else { return Vec::new() };
    let mut set = Vec::new();
    for (name, amount) in defaults {
        if !amounts.contains_key(name) {
            amounts.insert(name.clone(), amount.clone());
            set.push(name.as_str());
        }
    }
    set
}

impl AdmissionPlugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let is_update = attributes.operation == Operation::Update;
        if !is_update && attributes.operation != Operation::Create {
            return false;
        }
        if attributes.concerns("", "pods") {
            // Of an existing pod, only a resize changes what it asks for.
            return if is_update { attributes.subresource == "resize" } else { attributes.subresource.is_empty() };
        }
        attributes.subresource.is_empty() && attributes.concerns("", "persistentvolumeclaims")
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        if attributes.concerns("", "pods") && !is_going(old) {
            for limits in self.limits(&cx.cluster, &attributes.namespace) {
                fill_in(&limits, object);
            }
        }
        at_once(Ok(()))
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let Some(new) = object.filter(|_| !is_going(old)) else { return at_once(Ok(())) };
        for limits in self.limits(&cx.cluster, &attributes.namespace) {
            let faults = if attributes.concerns("", "pods") {
                check::pod(&limits, new, old)
            } else {
                check::claim(&limits, new, old)
            };
            if !faults.is_empty() {
                return at_once(Err(attributes.forbidden(object, &together(faults))));
            }
        }
        at_once(Ok(()))
    }
}

/// Whether the object is being deleted already.
fn is_going(old: Option<&Object>) -> bool {
    old.is_some_and(|old| old.deletion_timestamp().is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::{Bench, context};

    fn range(limits: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "n"},
            "spec": {"limits": limits}})
    }

    fn pod(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}, "spec": spec})
    }

    async fn bench(limits: Value) -> (Bench, LimitRanger) {
        let bench = Bench::new().await;
        let plugin = LimitRanger::new(&bench.store);
        bench.put("", "limitranges", range(limits)).await;
        (bench, plugin)
    }

    #[tokio::test]
    async fn missing_requests_and_limits_are_filled_in_and_told() {
        let defaults = json!([{"type": "Container", "default": {"cpu": "500m", "memory": "64Mi"},
            "defaultRequest": {"cpu": "100m", "memory": "64Mi"}}]);
        let (bench, plugin) = bench(defaults).await;
        let resources = json!({"requests": {"cpu": "200m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}});
        let given = json!({"containers": [{"name": "c", "resources": resources}], "initContainers": [{"name": "i"}]});
        let filled = bench.mutate(&plugin, pod(given)).await.expect("is let through");
        let all = json!({"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}});
        assert_eq!(filled["spec"]["initContainers"][0]["resources"], all);
        let told = "LimitRanger plugin set: cpu limit for container c; cpu, memory request for init container i; cpu, memory limit for init container i";
        assert_eq!(filled["metadata"]["annotations"][ANNOTATION], told);
        assert_eq!(bench.mutate(&plugin, filled.clone()).await, Ok(filled));
    }

    #[tokio::test]
    async fn a_cluster_without_ranges_lets_pods_be_whatever_others_have() {
        let bench = Bench::new().await;
        let plugin = LimitRanger::new(&bench.store);
        let limits = json!([{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}}]);
        bench.put_in(&context("other").cluster, "", "limitranges", range(limits)).await;
        let pod = pod(json!({"containers": [{"name": "c"}]}));
        assert_eq!(bench.mutate(&plugin, pod.clone()).await, Ok(pod.clone()));
        assert_eq!(bench.validate(&plugin, pod).await, Ok(()));
    }

    #[tokio::test]
    async fn what_is_out_of_bounds_is_refused() {
        let limits = json!([
            {"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}},
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
        ]);
        let (bench, plugin) = bench(limits).await;
        let asking = |request: &str, limit: &str, memory: &str| {
            json!({"containers": [{"name": "c", "resources":
                {"requests": {"cpu": request, "memory": memory}, "limits": {"cpu": limit, "memory": memory}}}]})
        };
        for (spec, why) in [
            (asking("500m", "1", "1Gi"), ""),
            (asking("50m", "100m", "1Gi"), "minimum cpu usage per Container is 100m, but request is 50m"),
            (asking("1", "2", "1Gi"), "maximum cpu usage per Container is 1, but limit is 2"),
            (
                asking("100m", "1", "1Gi"),
                "cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000",
            ),
            (asking("1", "1", "2Gi"), "maximum memory usage per Pod is 1Gi, but limit is 2Gi"),
            (
                json!({"containers": [{"name": "c"}]}),
                "[minimum cpu usage per Container is 100m.  No request is specified, maximum cpu usage per Container is 1.  No limit is specified, cpu max limit to request ratio per Container is 2, but no request is specified or request is 0, maximum memory usage per Pod is 1Gi.  No limit is specified]",
            ),
        ] {
            let outcome = bench.validate(&plugin, pod(spec)).await.err().unwrap_or_default();
            assert_eq!(outcome.trim_start_matches("pods \"a\" is forbidden: "), why);
        }
        for (size, why) in [
            ("1Gi", ""),
            ("1", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1"),
            ("3Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"),
        ] {
            let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": "a", "namespace": "n"}, "spec": {"resources": {"requests": {"storage": size}}}});
            let outcome = bench.validate(&plugin, claim.clone()).await.err().unwrap_or_default();
            assert_eq!(outcome.trim_start_matches("persistentvolumeclaims \"a\" is forbidden: "), why);
            assert_eq!(bench.update(&plugin, "", claim.clone(), claim).await, Ok(()), "what was there may stay");
        }
    }
}
