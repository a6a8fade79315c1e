//! DefaultStorageClass: claims that name no storage class get the default one.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::default_class::default_class;
use crate::admission::collection::Collection;
use crate::admission::read::{has, map_mut};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;
use crate::storage::Store;

const MARKS: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// The old way of naming a class.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Fills in the storage class.
pub struct DefaultStorageClass {
    classes: Collection,
}

impl DefaultStorageClass {
    /// Reads classes from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { classes: Collection::of(store, "storage.k8s.io", "storageclasses") }
    }
}

impl AdmissionPlugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.subresource.is_empty()
            && attributes.concerns("", "persistentvolumeclaims")
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        _: &'a Attributes,
        claim: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let names_one = claim.annotation(CLASS_ANNOTATION).is_some()
            || claim.get("spec").is_some_and(|spec| has(spec, "storageClassName"));
        if !names_one
            && let Some(name) = default_class(&self.classes, &cx.cluster, MARKS)
            && let Some(spec) = map_mut(&mut claim.0, "spec")
        {
            spec.insert("storageClassName".into(), name.into());
        }
        at_once(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admission::testing::{Bench, context};

    fn claim(metadata: Value, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    }

    fn class(name: &str, created: &str, mark: &str, default: &str) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": name, "creationTimestamp": created, "annotations": {mark: default}}})
    }

    #[tokio::test]
    async fn claims_without_a_class_get_the_newest_default() {
        let bench = Bench::new().await;
        let plugin = DefaultStorageClass::new(&bench.store);
        let plain = claim(json!({"name": "a"}), json!({}));
        assert_eq!(bench.mutate(&plugin, plain.clone()).await, Ok(plain.clone()), "there is no class");
        bench
            .put_in(&context("other").cluster, "storage.k8s.io", "storageclasses", class("x", "", MARKS[0], "true"))
            .await;
        assert_eq!(bench.mutate(&plugin, plain.clone()).await, Ok(plain.clone()), "it is another cluster's");
        for (name, created, mark, default) in [
            ("old", "2020-01-01T00:00:00Z", MARKS[0], "true"),
            ("newer", "2021-01-01T00:00:00Z", MARKS[1], "true"),
            ("newest", "2022-01-01T00:00:00Z", MARKS[0], "false"),
            ("z-as-new", "2021-01-01T00:00:00Z", MARKS[0], "true"),
        ] {
            bench.put("storage.k8s.io", "storageclasses", class(name, created, mark, default)).await;
        }
        let filled = bench.mutate(&plugin, plain).await.expect("is let through");
        assert_eq!(filled["spec"]["storageClassName"], "newer");
        for own in [
            claim(json!({"name": "a"}), json!({"storageClassName": ""})),
            claim(json!({"name": "a", "annotations": {CLASS_ANNOTATION: "x"}}), json!({})),
        ] {
            assert_eq!(bench.mutate(&plugin, own.clone()).await, Ok(own));
        }
    }
}
