//! What an object looks like downstream: its content as it is, its metadata without what means something here only.
//!
//! A pure function of the object and its marks, so that equal input is never sent twice.

use atoll_api::Object;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::kinds::SyncedKind;
use super::marks::{Marks, stays_upstream};

/// The object to be applied downstream.
pub(super) fn desired(kind: &SyncedKind, object: &Object, marks: &Marks, namespace: &str) -> Value {
    let mut content: Map<String, Value> = object.0.clone();
    for field in ["apiVersion", "kind", "metadata", "status"] {
        content.remove(field);
    }
    (kind.tidy)(&mut content);
    content.insert("apiVersion".into(), kind.api_version.into());
    content.insert("kind".into(), kind.kind.into());
    content.insert("metadata".into(), metadata(object, marks, namespace));
    Value::Object(content)
}

/// The namespace that holds the copies of a namespace's objects.
pub(super) fn desired_namespace(name: &str, marks: &Marks, extra_labels: &Map<String, Value>) -> Value {
    let (mut labels, mut annotations) = (extra_labels.clone(), Map::new());
    marks.write(&mut labels, &mut annotations);
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
    })
}

fn metadata(object: &Object, marks: &Marks, namespace: &str) -> Value {
    let kept = |field: &str| -> Map<String, Value> {
        let map = object.metadata().and_then(|metadata| metadata.get(field)).and_then(Value::as_object);
        map.into_iter().flatten().filter(|(key, _)| !stays_upstream(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let (mut labels, mut annotations) = (kept("labels"), kept("annotations"));
    marks.write(&mut labels, &mut annotations);
    json!({"name": object.name(), "namespace": namespace, "labels": labels, "annotations": annotations})
}

/// A fingerprint of what is to be applied.
pub(super) fn fingerprint(desired: &Value) -> [u8; 32] {
    Sha256::digest(desired.to_string()).into()
}

/// A patch that removes what others have added to maps that are to be exact; nothing if there is nothing.
pub(super) fn surplus(kind: &SyncedKind, live: &Object, desired: &Value) -> Option<Value> {
    let mut patch = Map::new();
    for field in kind.exact {
        let found = live.get(field).and_then(Value::as_object);
        let added = found.into_iter().flatten().filter(|(key, _)| desired[*field].get(key.as_str()).is_none());
        let removed: Map<String, Value> = added.map(|(key, _)| (key.clone(), Value::Null)).collect();
        if !removed.is_empty() {
            patch.insert((*field).to_owned(), removed.into());
        }
    }
    (!patch.is_empty()).then(|| {
        let metadata = json!({"uid": live.uid(), "resourceVersion": live.resource_version()});
        patch.insert("metadata".into(), metadata);
        Value::Object(patch)
    })
}

/// Whether a live object still has all labels and annotations that it was given.
pub(super) fn has_metadata(live: &Object, desired: &Value) -> bool {
    ["labels", "annotations"].iter().all(|field| {
        let given = desired["metadata"][field].as_object();
        let found = live.metadata().and_then(|metadata| metadata.get(*field));
        given.into_iter().flatten().all(|(key, value)| found.and_then(|found| found.get(key)) == Some(value))
    })
}

#[cfg(test)]
mod tests {
    use super::super::kinds::KINDS;
    use super::*;

    fn check(kind: &str, object: Value, expected: Value) {
        let kind = KINDS.iter().find(|known| known.kind == kind).expect("a synced kind");
        let object = Object::from_value(object).expect("an object");
        let marks = Marks::of("t", "team-a", &object);
        let mut made = desired(kind, &object, &marks, "atoll-x");
        let content = made.as_object_mut().expect("an object");
        let metadata = content.remove("metadata").expect("metadata");
        content.remove("apiVersion");
        content.remove("kind");
        assert_eq!(made, expected);
        assert_eq!(metadata["namespace"], "atoll-x");
        assert_eq!(Marks::read(&Object::from_value(json!({"metadata": metadata})).unwrap()), Some(marks));
    }

    #[test]
    fn content_goes_down_as_it_is_and_status_does_not() {
        check(
            "Deployment",
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                   "metadata": {"name": "web", "namespace": "shop", "uid": "1", "generation": 2},
                   "spec": {"replicas": 2}, "status": {"replicas": 1}}),
            json!({"spec": {"replicas": 2}}),
        );
        check(
            "ConfigMap",
            json!({"metadata": {"name": "c", "uid": "1"}, "data": {"a": "b"}}),
            json!({"data": {"a": "b"}}),
        );
    }

    #[test]
    fn addresses_and_node_ports_stay_and_headless_services_stay_headless() {
        check(
            "Service",
            json!({"metadata": {"name": "web", "uid": "1"}, "spec": {
                "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "type": "NodePort",
                "externalIPs": ["8.8.8.8"], "ports": [{"port": 80, "nodePort": 30080}]}}),
            json!({"spec": {"type": "NodePort", "ports": [{"port": 80}]}}),
        );
        check(
            "Service",
            json!({"metadata": {"name": "db", "uid": "1"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
            json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
        );
    }

    #[test]
    fn service_accounts_leave_their_tokens_behind() {
        check(
            "ServiceAccount",
            json!({"metadata": {"name": "robot", "uid": "1"}, "secrets": [{"name": "t"}], "imagePullSecrets": [{"name": "p"}]}),
            json!({"imagePullSecrets": [{"name": "p"}]}),
        );
    }

    #[test]
    fn metadata_of_this_side_stays_here() {
        let object = Object::from_value(json!({"metadata": {
            "name": "c", "namespace": "shop", "uid": "1", "resourceVersion": "9", "finalizers": ["workload.atoll.dev/sync"],
            "ownerReferences": [{"uid": "2"}], "managedFields": [{}], "labels": {"app": "web", "workload.atoll.dev/sync": "true"},
            "annotations": {"note": "x", "kcp.io/cluster": "team-a", "kubectl.kubernetes.io/last-applied-configuration": "{}",
                            "deployment.kubernetes.io/revision": "3", "workload.atoll.dev/cluster": "forged"},
        }}))
        .unwrap();
        let made = desired(&KINDS[1], &object, &Marks::of("t", "team-a", &object), "atoll-x");
        let metadata = made["metadata"].as_object().unwrap();
        assert_eq!(metadata.keys().collect::<Vec<_>>(), ["annotations", "labels", "name", "namespace"]);
        assert_eq!(metadata["labels"], json!({"app": "web", "workload.atoll.dev/target-uid": "t"}));
        assert_eq!(metadata["annotations"]["note"], "x");
        assert_eq!(metadata["annotations"]["workload.atoll.dev/cluster"], "team-a");
        assert_eq!(metadata["annotations"].as_object().unwrap().len(), 5);
    }

    #[test]
    fn what_each_cluster_makes_for_itself_is_not_wanted() {
        let named =
            |name: &str| Object::from_value(json!({"metadata": {"name": name, "namespace": "default"}})).unwrap();
        let mut token = named("t");
        token.0.insert("type".into(), "kubernetes.io/service-account-token".into());
        let mut refused = named("c");
        refused.set_label("workload.atoll.dev/sync", "false");
        assert!(!KINDS[0].is_wanted(&named("default")) && KINDS[0].is_wanted(&named("robot")));
        assert!(!KINDS[1].is_wanted(&named("kube-root-ca.crt")) && !KINDS[1].is_wanted(&refused));
        assert!(!KINDS[2].is_wanted(&token) && KINDS[2].is_wanted(&named("s")));
        assert!(!KINDS[3].is_wanted(&named("kubernetes")) && KINDS[4].is_wanted(&named("web")));
    }

    #[test]
    fn keys_that_others_added_to_data_are_removed() {
        let live = |data: Value| Object::from_value(json!({"metadata": {"uid": "u"}, "data": data})).unwrap();
        let wanted = json!({"data": {"a": "1"}});
        assert_eq!(surplus(&KINDS[1], &live(json!({"a": "2"})), &wanted), None);
        let patch = surplus(&KINDS[1], &live(json!({"a": "1", "b": "2"})), &wanted).expect("a patch");
        assert_eq!(patch["data"], json!({"b": null}));
        assert_eq!(surplus(&KINDS[4], &live(json!({"b": "2"})), &wanted), None);
    }

    #[test]
    fn a_lost_label_is_noticed_and_an_added_one_is_not() {
        let wanted = json!({"metadata": {"labels": {"a": "1"}, "annotations": {}}});
        let live = |labels: Value| Object::from_value(json!({"metadata": {"labels": labels}})).unwrap();
        assert!(has_metadata(&live(json!({"a": "1", "b": "2"})), &wanted));
        assert!(!has_metadata(&live(json!({"a": "2"})), &wanted));
        assert!(!has_metadata(&live(json!({})), &wanted));
    }
}
