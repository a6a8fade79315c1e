//! Claims, volumes and their classes that are deleted while somebody uses them go when nobody does any more: the finalizers that
//! keep them are taken off.
//!
//! Who puts these on is admission (StorageObjectInUseProtection). kube-controller-manager does the same, and may run beside it.

use std::time::Duration;

use atoll_api::Object;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Endpoint, Resource, Selection, Server, Shape, cluster_of, optional};
use crate::frame::Frame;
use crate::queue::{Key, Next, Queue};
use crate::source::Seen;

const CLAIMS: Resource<'static> = Resource { api: "/api/v1", plural: "persistentvolumeclaims" };
const VOLUMES: Resource<'static> = Resource { api: "/api/v1", plural: "persistentvolumes" };
const CLASSES: Resource<'static> = Resource { api: "/apis/storage.k8s.io/v1", plural: "volumeattributesclasses" };
const PODS: Resource<'static> = Resource { api: "/api/v1", plural: "pods" };

/// What is kept while it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Claims, while pods have them that are on a node.
    Claims,
    /// Volumes, while they are bound to a claim.
    Volumes,
    /// Classes of volumes' attributes, while a claim or a volume is of one.
    Classes,
}

/// An object that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ending {
    cluster: String,
    namespace: String,
    name: String,
}

// === impl Kept ===

impl Kept {
    /// The controller of kube-controller-manager that does the same.
    pub(crate) fn controller(self) -> &'static str {
        match self {
            Self::Claims => "pvc-protection-controller",
            Self::Volumes => "pv-protection-controller",
            Self::Classes => "volumeattributesclass-protection-controller",
        }
    }

    /// Runs the controller until told to stop.
    pub(crate) async fn run(self, server: Server, stop: CancellationToken) {
        let shape = Shape::Metadata;
        let frame = Frame { resource: self.resource(), shape, at_a_time: 4, longest_pause: Duration::from_secs(30) };
        let notice = |seen, queue: &Queue<Ending>| match seen {
            Seen::Here(object) if self.keeps(&object) => queue.add(Ending::of(&object)),
            _ => {}
        };
        frame.run(&server, &stop, notice, |ending| self.look_after(&server, ending)).await;
    }

    fn resource(self) -> Resource<'static> {
        match self {
            Self::Claims => CLAIMS,
            Self::Volumes => VOLUMES,
            Self::Classes => CLASSES,
        }
    }

    fn finalizer(self) -> &'static str {
        match self {
            Self::Claims => "kubernetes.io/pvc-protection",
            Self::Volumes => "kubernetes.io/pv-protection",
            Self::Classes => "kubernetes.io/vac-protection",
        }
    }

    fn keeps(self, object: &Object) -> bool {
        object.deletion_timestamp().is_some() && object.finalizers().contains(&self.finalizer())
    }

    async fn look_after(self, server: &Server, ending: Ending) -> Answer<Next> {
        let cluster = server.cluster(&ending.cluster);
        match self.release(&cluster, &ending).await {
            Err(failure) if failure.is_gone() => Ok(Next::Done),
            other => other,
        }
    }

    /// Takes the finalizer off, unless the object is in use.
    async fn release(self, cluster: &Endpoint, ending: &Ending) -> Answer<Next> {
        let path = self.resource().object(&ending.namespace, &ending.name);
        let Some(mut object) = optional(cluster.get(&path, Shape::Full).await)?.filter(|object| self.keeps(object))
        else {
            return Ok(Next::Done);
        };
        if self.is_in_use(cluster, &object).await? {
            return Ok(Next::Waiting);
        }
        let kept =
            object.finalizers().into_iter().filter(|name| *name != self.finalizer()).map(str::to_owned).collect();
        object.set_finalizers(kept);
        // With the version that was read.
        cluster.replace(&path, &Value::Object(object.0), self.controller()).await?;
        Ok(Next::Done)
    }

    async fn is_in_use(self, cluster: &Endpoint, object: &Object) -> Answer<bool> {
        match self {
            Self::Claims => {
                let pods = cluster.list(&PODS.collection(object.namespace()), Shape::Full, &Selection::all()).await?;
                Ok(pods.iter().any(|pod| has_claim(pod, object)))
            }
            Self::Volumes => Ok(object.text_at(&["status", "phase"]) == "Bound"),
            Self::Classes => {
                for users in [CLAIMS, VOLUMES] {
                    let users = cluster.list(&users.collection(""), Shape::Full, &Selection::all()).await?;
                    if users.iter().any(|user| is_of_class(user, object.name())) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// Whether a pod has a claim. One that is on no node has nothing yet, and no kubelet starts it with a claim that is going.
fn has_claim(pod: &Object, claim: &Object) -> bool {
    if pod.text_at(&["spec", "nodeName"]).is_empty() {
        return false;
    }
    let mut volumes = pod.at(&["spec", "volumes"]).and_then(Value::as_array).into_iter().flatten();
    volumes.any(|volume| {
        let own = volume["name"].as_str().filter(|_| volume["ephemeral"].is_object());
        let own = own.map(|volume| format!("{}-{volume}", pod.name()));
        volume["persistentVolumeClaim"]["claimName"] == claim.name() || own.is_some_and(|own| own == claim.name())
    })
}

/// Whether a claim or a volume is of a class, wants to be or was last.
fn is_of_class(user: &Object, class: &str) -> bool {
    let places: [&[&str]; 3] = [
        &["spec", "volumeAttributesClassName"],
        &["status", "currentVolumeAttributesClassName"],
        &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
    ];
    places.iter().any(|place| user.text_at(place) == class)
}

// === impl Ending ===

impl Ending {
    fn of(object: &Object) -> Self {
        let (cluster, namespace, name) = (cluster_of(object), object.namespace(), object.name());
        Self { cluster: cluster.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl Key for Ending {
    fn lane(&self) -> &str {
        &self.cluster
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap()
    }

    #[test]
    fn a_claim_is_in_use_by_pods_on_a_node_that_name_it_or_made_it() {
        let claim = object(json!({"metadata": {"name": "web-data"}}));
        let named = json!({"name": "x", "persistentVolumeClaim": {"claimName": "web-data"}});
        for (node, volume, expect) in [
            ("n", named.clone(), true),
            ("", named, false),
            ("n", json!({"name": "x", "persistentVolumeClaim": {"claimName": "other"}}), false),
            ("n", json!({"name": "data", "ephemeral": {"volumeClaimTemplate": {}}}), true),
            ("n", json!({"name": "data", "emptyDir": {}}), false),
        ] {
            let spec = json!({"nodeName": node, "volumes": [volume]});
            let pod = object(json!({"metadata": {"name": "web"}, "spec": spec}));
            assert_eq!(has_claim(&pod, &claim), expect, "{spec}");
        }
    }

    #[test]
    fn a_class_is_in_use_by_whoever_is_or_is_to_be_of_it() {
        for (user, expect) in [
            (json!({"spec": {"volumeAttributesClassName": "gold"}}), true),
            (json!({"status": {"currentVolumeAttributesClassName": "gold"}}), true),
            (json!({"status": {"modifyVolumeStatus": {"targetVolumeAttributesClassName": "gold"}}}), true),
            (json!({"spec": {"volumeAttributesClassName": "tin"}}), false),
        ] {
            assert_eq!(is_of_class(&object(user.clone()), "gold"), expect, "{user}");
        }
    }
}
