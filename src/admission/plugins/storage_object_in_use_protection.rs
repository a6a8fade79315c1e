//! StorageObjectInUseProtection: claims, volumes and their classes are not removed while they are in use.
//!
//! Whether they are is for controllers to find out; they take the finalizer away.

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;

/// Adds a finalizer to new storage objects.
pub struct StorageObjectInUseProtection;

fn finalizer(attributes: &Attributes) -> Option<&'static str> {
    Some(match (&*attributes.resource.group, &*attributes.resource.resource) {
        ("", "persistentvolumeclaims") => "kubernetes.io/pvc-protection",
        ("", "persistentvolumes") => "kubernetes.io/pv-protection",
        ("storage.k8s.io", "volumeattributesclasses") => "kubernetes.io/vac-protection",
        _ => return None,
    })
}

impl AdmissionPlugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.subresource.is_empty()
            && finalizer(attributes).is_some()
    }

    fn mutate<'a>(
        &'a self,
        _: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        if let Some(finalizer) = finalizer(attributes)
            && !object.finalizers().contains(&finalizer)
        {
            let mut finalizers: Vec<String> = object.finalizers().into_iter().map(str::to_owned).collect();
            finalizers.push(finalizer.to_owned());
            object.set_finalizers(finalizers);
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
    async fn new_storage_objects_are_protected_once() {
        let bench = Bench::new().await;
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"}});
        let once = bench.mutate(&StorageObjectInUseProtection, claim).await.expect("is let through");
        assert_eq!(once["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
        assert_eq!(bench.mutate(&StorageObjectInUseProtection, once.clone()).await, Ok(once));
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        assert_eq!(bench.mutate(&StorageObjectInUseProtection, other.clone()).await, Ok(other));
    }
}
