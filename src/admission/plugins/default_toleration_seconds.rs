//! DefaultTolerationSeconds: pods stay for five minutes on a node that is not ready or cannot be reached, unless they say
//! otherwise.

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::admission::pods::spec_mut;
use crate::admission::read::{list_mut, text};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

/// Adds the two tolerations.
pub struct DefaultTolerationSeconds;

impl AdmissionPlugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
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
        let Some(spec) = spec_mut(pod) else { return at_once(Ok(())) };
        let tolerated = |toleration: &Value, taint: &str| {
            let (key, effect) = (text(toleration, "key"), text(toleration, "effect"));
            (key == taint || key.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        };
        let given = spec.get("tolerations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let missing: Vec<Value> = TAINTS
            .iter()
            .filter(|taint| !given.iter().any(|toleration| tolerated(toleration, taint)))
            .map(|taint| json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}))
            .collect();
        if !missing.is_empty()
            && let Some(tolerations) = list_mut(spec, "tolerations")
        {
            tolerations.extend(missing);
        }
        at_once(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::Bench;

    async fn check(given: Value, expected: &[(&str, &str)]) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"tolerations": given}});
        let pod = Bench::new().await.mutate(&DefaultTolerationSeconds, pod).await.expect("is let through");
        let tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = tolerations.iter().map(|t| (text(t, "key"), text(t, "effect"))).collect();
        assert_eq!(found, expected, "{given}");
    }

    #[tokio::test]
    async fn pods_tolerate_nodes_that_fail_unless_they_say_otherwise() {
        let [ready, reachable] = TAINTS.map(|taint| (taint, "NoExecute"));
        check(json!(null), &[ready, reachable]).await;
        check(json!([]), &[ready, reachable]).await;
        check(json!([{"operator": "Exists"}]), &[("", "")]).await;
        check(json!([{"operator": "Exists", "effect": "NoSchedule"}]), &[("", "NoSchedule"), ready, reachable]).await;
        check(json!([{"key": TAINTS[0]}]), &[(TAINTS[0], ""), reachable]).await;
    }
}
