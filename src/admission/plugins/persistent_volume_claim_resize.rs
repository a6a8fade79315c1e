//! PersistentVolumeClaimResize: claims grow only if they are bound and their class permits it.

use std::sync::Arc;

use atoll_api::quantity::Quantity;
use atoll_api::{ApiResult, LogicalClusterName, Object};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::admission::collection::{Collection, object};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;
use crate::storage::Store;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Refuses to let claims grow.
pub struct PersistentVolumeClaimResize {
    classes: Collection,
}

impl PersistentVolumeClaimResize {
    /// Reads classes from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { classes: Collection::of(store, "storage.k8s.io", "storageclasses") }
    }

    fn check(&self, cluster: &LogicalClusterName, new: &Object, old: &Object) -> Result<(), &'static str> {
        if asked(new) <= asked(old) {
            return Ok(());
        }
        if old.text_at(&["status", "phase"]) != "Bound" {
            return Err("only bound persistent volume claims can be expanded");
        }
        if !self.may_grow(cluster, new, old) {
            return Err(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
            );
        }
        Ok(())
    }

    fn may_grow(&self, cluster: &LogicalClusterName, new: &Object, old: &Object) -> bool {
        if class(new).is_empty() || class(old).is_empty() {
            return false;
        }
        let stored = self.classes.get(cluster, "", class(new)).map(|entry| object(&entry));
        stored.is_some_and(|class| class.get("allowVolumeExpansion") == Some(&Value::Bool(true)))
    }
}

fn asked(claim: &Object) -> Quantity {
    let storage = claim.at(&["spec", "resources", "requests", "storage"]);
    storage.and_then(|value| Quantity::from_value(value).ok()).unwrap_or(Quantity::ZERO)
}

fn class(claim: &Object) -> &str {
    claim.annotation(CLASS_ANNOTATION).unwrap_or_else(|| claim.text_at(&["spec", "storageClassName"]))
}

impl AdmissionPlugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Update
            && attributes.subresource.is_empty()
            && attributes.concerns("", "persistentvolumeclaims")
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let (Some(new), Some(old)) = (object, old) else { return at_once(Ok(())) };
        at_once(self.check(&cx.cluster, new, old).map_err(|why| attributes.forbidden(object, why)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::Bench;

    fn claim(size: &str, class: &str, phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
            "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}},
            "status": {"phase": phase}})
    }

    #[tokio::test]
    async fn only_bound_claims_of_classes_that_permit_it_grow() {
        let bench = Bench::new().await;
        let plugin = PersistentVolumeClaimResize::new(&bench.store);
        for (name, may) in [("fixed", false), ("growing", true)] {
            let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": {"name": name}, "allowVolumeExpansion": may});
            bench.put("storage.k8s.io", "storageclasses", class).await;
        }
        for (old, new, class, phase, allowed) in [
            ("1Gi", "2Gi", "growing", "Bound", true),
            ("1Gi", "1Gi", "fixed", "Pending", true),
            ("1Gi", "1024Mi", "fixed", "Bound", true),
            ("1Gi", "2Gi", "growing", "Pending", false),
            ("1Gi", "2Gi", "fixed", "Bound", false),
            ("1Gi", "2Gi", "missing", "Bound", false),
            ("1Gi", "2Gi", "", "Bound", false),
        ] {
            let outcome = bench.update(&plugin, "", claim(old, class, phase), claim(new, class, phase)).await;
            assert_eq!(outcome.is_ok(), allowed, "{old} to {new} of {class:?}, {phase}: {outcome:?}");
        }
    }
}
