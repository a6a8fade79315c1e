//! ExtendedResourceToleration: pods that ask for special devices tolerate the taints of nodes kept for them.
//!
//! Not among the default plugins, as in Kubernetes.

use std::collections::BTreeSet;

use atoll_api::validation::qualified_name;
use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::admission::pods::{of_pod, spec_mut};
use crate::admission::read::{entries, list_mut, text};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;

/// Adds a toleration for each extended resource a pod asks for.
pub struct ExtendedResourceToleration;

impl AdmissionPlugin for ExtendedResourceToleration {
    fn name(&self) -> &'static str {
        "ExtendedResourceToleration"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.subresource.is_empty()
            && attributes.concerns("", "pods")
    }

    fn mutate<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a Attributes,
        pod: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let asked: BTreeSet<String> = of_pod(pod)
            .lasting_containers()
            .flat_map(|container| entries(&container["resources"], "requests"))
            .map(|(name, _)| name)
            .filter(|name| is_extended(name))
            .map(str::to_owned)
            .collect();
        if asked.is_empty() {
            return at_once(Ok(()));
        }
        if let Some(tolerations) = spec_mut(pod).and_then(|spec| list_mut(spec, "tolerations")) {
            for name in &asked {
                let is_there = |t: &Value| text(t, "key") == name && text(t, "effect").is_empty();
                match tolerations.iter_mut().find(|toleration| is_there(toleration)) {
                    Some(toleration) => *toleration = json!({"key": name, "operator": "Exists"}),
                    None => tolerations.push(json!({"key": name, "operator": "Exists"})),
                }
            }
        }
        at_once(Ok(()))
    }
}

/// Whether a resource is one that Kubernetes itself knows nothing about.
fn is_extended(name: &str) -> bool {
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    // A quota can only limit the resource under this longer name.
    !is_native && !name.starts_with("requests.") && qualified_name(&format!("requests.{name}")).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::Bench;

    #[tokio::test]
    async fn pods_tolerate_the_nodes_kept_for_the_devices_they_ask_for() {
        let requests = json!({"cpu": "1", "x.y/gpu": "1", "kubernetes.io/batch": "1", "requests.z/a": "1"});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}});
        let once = Bench::new().await.mutate(&ExtendedResourceToleration, pod).await.expect("is let through");
        assert_eq!(once["spec"]["tolerations"], json!([{"key": "x.y/gpu", "operator": "Exists"}]));
        let twice = Bench::new().await.mutate(&ExtendedResourceToleration, once.clone()).await;
        assert_eq!(twice, Ok(once));
    }
}
