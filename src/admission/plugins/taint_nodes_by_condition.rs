//! TaintNodesByCondition: new nodes take no pods until they are known to be ready.

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::admission::read::{list_mut, map_mut, text};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Taints new nodes.
pub struct TaintNodesByCondition;

impl AdmissionPlugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.subresource.is_empty()
            && attributes.concerns("", "nodes")
    }

    fn mutate<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a Attributes,
        node: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        if let Some(taints) = map_mut(&mut node.0, "spec").and_then(|spec| list_mut(spec, "taints")) {
            let is_there = |taint: &Value| text(taint, "key") == NOT_READY && text(taint, "effect") == "NoSchedule";
            if !taints.iter().any(is_there) {
                taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
            }
        }
        at_once(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::Bench;

    #[tokio::test]
    async fn new_nodes_are_tainted_once() {
        let bench = Bench::new().await;
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
        let once = bench.mutate(&TaintNodesByCondition, node).await.expect("is let through");
        assert_eq!(once["spec"]["taints"], json!([{"key": NOT_READY, "effect": "NoSchedule"}]));
        assert_eq!(bench.mutate(&TaintNodesByCondition, once.clone()).await, Ok(once));
    }
}
