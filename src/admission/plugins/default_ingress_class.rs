//! DefaultIngressClass: ingresses that name no class get the default one.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::default_class::default_class;
use crate::admission::collection::Collection;
use crate::admission::read::{has, map_mut};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;
use crate::storage::Store;

const GROUP: &str = "networking.k8s.io";
const MARKS: &[&str] = &["ingressclass.kubernetes.io/is-default-class"];
/// The old way of naming a class.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Fills in the ingress class.
pub struct DefaultIngressClass {
    classes: Collection,
}

impl DefaultIngressClass {
    /// Reads classes from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { classes: Collection::of(store, GROUP, "ingressclasses") }
    }
}

impl AdmissionPlugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.subresource.is_empty()
            && attributes.concerns(GROUP, "ingresses")
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        _: &'a Attributes,
        ingress: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let names_one = ingress.annotation(CLASS_ANNOTATION).is_some()
            || ingress.get("spec").is_some_and(|spec| has(spec, "ingressClassName"));
        if !names_one
            && let Some(name) = default_class(&self.classes, &cx.cluster, MARKS)
            && let Some(spec) = map_mut(&mut ingress.0, "spec")
        {
            spec.insert("ingressClassName".into(), name.into());
        }
        at_once(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::Bench;

    #[tokio::test]
    async fn ingresses_without_a_class_get_the_default() {
        let bench = Bench::new().await;
        let plugin = DefaultIngressClass::new(&bench.store);
        let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": {"name": "c", "annotations": {MARKS[0]: "true"}}});
        bench.put(GROUP, "ingressclasses", class).await;
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}});
        let filled = bench.mutate(&plugin, ingress).await.expect("is let through");
        assert_eq!(filled["spec"], json!({"ingressClassName": "c"}));
        let own = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "i", "annotations": {CLASS_ANNOTATION: "x"}}});
        assert_eq!(bench.mutate(&plugin, own.clone()).await, Ok(own));
    }
}
