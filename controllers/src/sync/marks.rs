//! The names by which sync recognises its own: labels and annotations on both sides, and downstream namespaces.
//!
//! Marks carry uids, so that nothing made for an object is taken for that of another one of the same name.

use atoll_api::Object;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The prefix of all keys, and the API group of sync targets.
pub(super) const GROUP: &str = "workload.atoll.dev";

/// Upstream: a namespace with this label set to `true` runs on some physical cluster; an object with it set to `false`
/// stays here.
pub(super) const SYNC_LABEL: &str = "workload.atoll.dev/sync";
/// Upstream: a namespace with this label runs on the sync target it names.
pub(super) const TARGET_LABEL: &str = "workload.atoll.dev/target";
/// Upstream: where a namespace runs.
pub(super) const PLACEMENT: &str = "workload.atoll.dev/placement";
/// Upstream: where a namespace ran, and may still have left something.
pub(super) const VACATING: &str = "workload.atoll.dev/vacating";
/// Upstream: keeps a deleted object until its copy is gone.
pub(super) const FINALIZER: &str = "workload.atoll.dev/sync";

/// Downstream: the uid of the sync target, a label by which all that is ours is found.
pub(super) const OWNER_LABEL: &str = "workload.atoll.dev/target-uid";
const CLUSTER: &str = "workload.atoll.dev/cluster";
const NAMESPACE: &str = "workload.atoll.dev/namespace";
const NAME: &str = "workload.atoll.dev/name";
const UID: &str = "workload.atoll.dev/uid";
const GENERATION: &str = "workload.atoll.dev/generation";

/// Where a namespace runs, as its annotations tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Assigned {
    /// The name of the sync target.
    pub(super) target: String,
    /// Its uid.
    pub(super) uid: String,
}

/// What a downstream object was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    /// The uid of the sync target.
    pub(super) target: String,
    /// The logical cluster.
    pub(super) cluster: String,
    /// The namespace; of a namespace, empty.
    pub(super) namespace: String,
    /// The name.
    pub(super) name: String,
    /// The uid.
    pub(super) uid: String,
    /// The generation whose content it carries; 0 for kinds without one.
    pub(super) generation: i64,
}

// === impl Marks ===

impl Marks {
    /// The marks of what is made on a target from an object of a cluster.
    pub(super) fn of(target: &str, cluster: &str, object: &Object) -> Self {
        Self {
            target: target.to_owned(),
            cluster: cluster.to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            generation: object.generation(),
        }
    }

    /// The marks an object carries; `None` if it was not made by sync.
    pub(super) fn read(object: &Object) -> Option<Self> {
        let annotation = |key| object.annotation(key).map(str::to_owned);
        Some(Self {
            target: object.label(OWNER_LABEL)?.to_owned(),
            cluster: annotation(CLUSTER)?,
            namespace: annotation(NAMESPACE).unwrap_or_default(),
            name: annotation(NAME)?,
            uid: annotation(UID)?,
            generation: annotation(GENERATION).and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
    }

    /// Whether both were made from the very same object, whatever its generation.
    pub(super) fn same_source(&self, other: &Self) -> bool {
        self.same_name(other) && self.uid == other.uid
    }

    /// Whether both were made from objects of the same name, perhaps one after the other.
    pub(super) fn same_name(&self, other: &Self) -> bool {
        (&self.target, &self.cluster, &self.namespace, &self.name)
            == (&other.target, &other.cluster, &other.namespace, &other.name)
    }

    /// Writes the marks into labels and annotations.
    pub(super) fn write(&self, labels: &mut Map<String, Value>, annotations: &mut Map<String, Value>) {
        labels.insert(OWNER_LABEL.to_owned(), self.target.as_str().into());
        for (key, value) in
            [(CLUSTER, &self.cluster), (NAMESPACE, &self.namespace), (NAME, &self.name), (UID, &self.uid)]
        {
            if !value.is_empty() {
                annotations.insert(key.to_owned(), value.as_str().into());
            }
        }
        if self.generation != 0 {
            annotations.insert(GENERATION.to_owned(), self.generation.to_string().into());
        }
    }
}

/// The downstream namespace of a namespace. Its uid is part of it, so a namespace that is made again, or one of a
/// cluster that is made again, does not find what its predecessor left.
pub(super) fn downstream_namespace(cluster: &str, namespace: &str, uid: &str) -> String {
    let mut hash = Sha256::new();
    for part in [cluster, namespace, uid] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("atoll-{digest}")
}

/// Where a namespace runs, as recorded on it. What cannot be read counts as nothing.
pub(super) fn placement(namespace: &Object) -> Option<Assigned> {
    serde_json::from_str(namespace.annotation(PLACEMENT)?).ok()
}

/// Where a namespace ran and may have left something.
pub(super) fn vacating(namespace: &Object) -> Vec<Assigned> {
    namespace.annotation(VACATING).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Whether sync holds an object.
pub(super) fn is_held(object: &Object) -> bool {
    object.finalizers().contains(&FINALIZER)
}

/// A patch of an object's finalizers to hold it, or to let go of it; fails if the object has changed meanwhile.
pub(super) fn hold_patch(object: &Object, hold: Hold) -> Value {
    let mut finalizers: Vec<&str> = object.finalizers().into_iter().filter(|name| *name != FINALIZER).collect();
    if hold == Hold::Take {
        finalizers.push(FINALIZER);
    }
    let finalizers = if finalizers.is_empty() { Value::Null } else { finalizers.into() };
    json!({"metadata": {
        "finalizers": finalizers, "uid": object.uid(), "resourceVersion": object.resource_version(),
    }})
}

/// What is done with the finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is put on.
    Take,
    /// It is taken off.
    Release,
}

/// Whether a label or annotation is meant for this side only.
pub(super) fn stays_upstream(key: &str) -> bool {
    const OTHERS: [&str; 2] =
        ["kubectl.kubernetes.io/last-applied-configuration", crate::cluster_api::CLUSTER_ANNOTATION];
    let prefix = key.split('/').next().unwrap_or_default();
    // `deployment.kubernetes.io/…` is written by the controller of whichever cluster runs the deployment.
    prefix == GROUP || prefix == "deployment.kubernetes.io" || OTHERS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downstream_namespaces_differ_by_cluster_namespace_and_uid_and_fit_a_label() {
        let name = downstream_namespace("team-a", "web", "1");
        assert!(atoll_api::validation::dns1123_label(&name).is_empty(), "{name}");
        for (cluster, namespace, uid) in
            [("team-b", "web", "1"), ("team-a", "web2", "1"), ("team-a", "web", "2"), ("team-", "aweb", "1")]
        {
            assert_ne!(downstream_namespace(cluster, namespace, uid), name);
        }
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        let object = Object::from_value(json!({"metadata": {
            "name": "web", "namespace": "shop", "uid": "u", "generation": 3,
        }}));
        let marks = Marks::of("t", "root:org:team", &object.unwrap());
        let (mut labels, mut annotations) = (Map::new(), Map::new());
        marks.write(&mut labels, &mut annotations);
        let made = Object::from_value(json!({"metadata": {"labels": labels, "annotations": annotations}})).unwrap();
        assert_eq!(Marks::read(&made), Some(marks));
        assert_eq!(Marks::read(&Object::default()), None);
    }

    #[test]
    fn unreadable_placements_count_as_none() {
        let mut namespace = Object::default();
        for text in ["", "edge", "[]", "{\"target\":1}"] {
            namespace.set_annotation(PLACEMENT, text);
            namespace.set_annotation(VACATING, text);
            assert_eq!(placement(&namespace), None);
            assert!(vacating(&namespace).is_empty());
        }
        namespace.set_annotation(PLACEMENT, "{\"target\":\"edge\",\"uid\":\"1\"}");
        assert_eq!(placement(&namespace), Some(Assigned { target: "edge".into(), uid: "1".into() }));
    }

    #[test]
    fn letting_go_leaves_the_finalizers_of_others() {
        let mut object = Object::default();
        object.set_finalizers(vec!["example.com/a".into(), FINALIZER.into()]);
        assert_eq!(hold_patch(&object, Hold::Release)["metadata"]["finalizers"], json!(["example.com/a"]));
        object.set_finalizers(vec![FINALIZER.into()]);
        assert_eq!(hold_patch(&object, Hold::Release)["metadata"]["finalizers"], Value::Null);
        assert_eq!(hold_patch(&object, Hold::Take)["metadata"]["finalizers"], json!([FINALIZER]));
    }
}
