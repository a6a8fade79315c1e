//! What the controllers do in one logical cluster, and do not do in the one beside it.

use serde_json::{Value, json};

use crate::atoll_server::Atoll;

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

/// A secret whose owner is this object.
fn owned_by(name: &str, owner: &Value) -> Value {
    let reference = json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
    });
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "ownerReferences": [reference]}})
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    })
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const THINGS: &str = "/apis/example.com/v1/namespaces/default/things";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_namespace_goes_with_its_content_and_its_namesake_elsewhere_stays() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    for cluster in [&a, &b] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        atoll.post(&format!("{cluster}/api/v1/namespaces"), namespace).await;
        atoll.post(&format!("{cluster}/api/v1/namespaces/shop/configmaps"), config_map("conf")).await;
    }
    atoll.delete(&format!("{a}/api/v1/namespaces/shop")).await;
    atoll.until_gone(&format!("{a}/api/v1/namespaces/shop")).await;
    assert_eq!(atoll.get(&format!("{a}/api/v1/namespaces/shop/configmaps/conf")).await, None);
    atoll.until_there(&format!("{b}/api/v1/namespaces/shop/configmaps/conf")).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_tells_what_holds_it_and_goes_when_that_is_gone() {
    let atoll = Atoll::start().await;
    let a = atoll.cluster("a").await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    atoll.post(&format!("{a}/api/v1/namespaces"), namespace).await;
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    atoll.post(&format!("{a}/api/v1/namespaces/shop/configmaps"), held).await;
    atoll.delete(&format!("{a}/api/v1/namespaces/shop")).await;
    let tells = |namespace: &Value| {
        let conditions = namespace["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "NamespaceFinalizersRemaining" && condition["status"] == "True")
    };
    atoll.until(&format!("{a}/api/v1/namespaces/shop"), "telling what holds it", tells).await;
    let free = json!({"metadata": {"finalizers": null}});
    atoll.patch(&format!("{a}/api/v1/namespaces/shop/configmaps/held"), free).await;
    atoll.until_gone(&format!("{a}/api/v1/namespaces/shop")).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dependents_go_with_their_owner_and_an_owner_in_another_cluster_is_none() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    let owner = atoll.post(&format!("{a}{MAPS}"), config_map("owner")).await;
    atoll.post(&format!("{b}{MAPS}"), config_map("owner")).await;
    atoll.post(&format!("{a}{SECRETS}"), owned_by("child", &owner)).await;
    atoll.post(&format!("{b}{SECRETS}"), owned_by("child", &owner)).await;
    atoll.until_gone(&format!("{b}{SECRETS}/child")).await;
    atoll.until_there(&format!("{a}{SECRETS}/child")).await;
    atoll.delete(&format!("{a}{MAPS}/owner")).await;
    atoll.until_gone(&format!("{a}{SECRETS}/child")).await;
    atoll.until_there(&format!("{b}{MAPS}/owner")).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_own_each_other_in_a_circle_can_be_deleted_in_the_foreground() {
    let atoll = Atoll::start().await;
    let a = atoll.cluster("a").await;
    let first = atoll.post(&format!("{a}{MAPS}"), config_map("first")).await;
    let reference = |owner: &Value| {
        let mut owners = owned_by("", owner)["metadata"]["ownerReferences"].clone();
        owners[0]["blockOwnerDeletion"] = true.into();
        json!({"metadata": {"ownerReferences": owners}})
    };
    let second = atoll.post(&format!("{a}{MAPS}"), config_map("second")).await;
    atoll.patch(&format!("{a}{MAPS}/second"), reference(&first)).await;
    atoll.patch(&format!("{a}{MAPS}/first"), reference(&second)).await;
    atoll.delete(&format!("{a}{MAPS}/first?propagationPolicy=Foreground")).await;
    atoll.until_gone(&format!("{a}{MAPS}/first")).await;
    atoll.until_gone(&format!("{a}{MAPS}/second")).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_lose_their_owner_and_stay() {
    let atoll = Atoll::start().await;
    let a = atoll.cluster("a").await;
    let owner = atoll.post(&format!("{a}{MAPS}"), config_map("owner")).await;
    atoll.post(&format!("{a}{SECRETS}"), owned_by("child", &owner)).await;
    atoll.delete(&format!("{a}{MAPS}/owner?propagationPolicy=Orphan")).await;
    atoll.until_gone(&format!("{a}{MAPS}/owner")).await;
    let child = atoll.until_there(&format!("{a}{SECRETS}/child")).await;
    assert_eq!(child["metadata"]["ownerReferences"], Value::Null);
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_with_owners_of_unknown_kinds_are_left_alone_until_the_kind_is_known() {
    let atoll = Atoll::start().await;
    let a = atoll.cluster("a").await;
    let ghost = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "ghost", "uid": "0"}});
    atoll.post(&format!("{a}{SECRETS}"), owned_by("child", &ghost)).await;
    // An object whose owner is plainly absent is collected meanwhile: the collector is at work.
    let absent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "absent", "uid": "1"}});
    atoll.post(&format!("{a}{SECRETS}"), owned_by("other", &absent)).await;
    atoll.until_gone(&format!("{a}{SECRETS}/other")).await;
    atoll.until_there(&format!("{a}{SECRETS}/child")).await;
    atoll.post(&format!("{a}{DEFINITIONS}"), definition()).await;
    atoll.until_gone(&format!("{a}{SECRETS}/child")).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_objects_own_and_are_owned() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    for cluster in [&a, &b] {
        atoll.post(&format!("{cluster}{DEFINITIONS}"), definition()).await;
    }
    let thing = |name: &str, owner: Option<&Value>| {
        let mut thing = owner.map_or_else(|| json!({"metadata": {"name": name}}), |owner| owned_by(name, owner));
        thing["apiVersion"] = "example.com/v1".into();
        thing["kind"] = "Thing".into();
        thing
    };
    let root = atoll.post(&format!("{a}{MAPS}"), config_map("root")).await;
    let middle = atoll.post(&format!("{a}{THINGS}"), thing("middle", Some(&root))).await;
    atoll.post(&format!("{a}{SECRETS}"), owned_by("leaf", &middle)).await;
    atoll.post(&format!("{b}{THINGS}"), thing("middle", None)).await;
    atoll.delete(&format!("{a}{MAPS}/root")).await;
    atoll.until_gone(&format!("{a}{THINGS}/middle")).await;
    atoll.until_gone(&format!("{a}{SECRETS}/leaf")).await;
    atoll.until_there(&format!("{b}{THINGS}/middle")).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_definition_takes_the_objects_of_its_own_cluster_along() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    for cluster in [&a, &b] {
        atoll.post(&format!("{cluster}{DEFINITIONS}"), definition()).await;
        let thing = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "one"}});
        atoll.post(&format!("{cluster}{THINGS}"), thing).await;
    }
    atoll.delete(&format!("{a}{DEFINITIONS}/things.example.com")).await;
    atoll.until_gone(&format!("{a}{DEFINITIONS}/things.example.com")).await;
    atoll.post(&format!("{a}{DEFINITIONS}"), definition()).await;
    assert_eq!(atoll.names(&format!("{a}{THINGS}")).await, Vec::<String>::new());
    assert_eq!(atoll.names(&format!("{b}{THINGS}")).await, ["one"]);
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_namespace_of_every_cluster_has_its_account_and_the_servers_certificate() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    for cluster in [&a, &b, &String::new()] {
        atoll.until_there(&format!("{cluster}/api/v1/namespaces/default/serviceaccounts/default")).await;
        let map = atoll.until_there(&format!("{cluster}{MAPS}/kube-root-ca.crt")).await;
        assert!(map["data"]["ca.crt"].as_str().is_some_and(|text| text.contains("BEGIN CERTIFICATE")));
    }
    let path = format!("{a}/api/v1/namespaces/default/serviceaccounts/default");
    let before = atoll.until_there(&path).await;
    atoll.delete(&path).await;
    atoll.until(&path, "made again", |after| after["metadata"]["uid"] != before["metadata"]["uid"]).await;
    atoll.patch(&format!("{a}{MAPS}/kube-root-ca.crt"), json!({"data": {"ca.crt": "forged"}})).await;
    let restored = |map: &Value| map["data"]["ca.crt"].as_str().is_some_and(|text| text.contains("BEGIN CERTIFICATE"));
    atoll.until(&format!("{a}{MAPS}/kube-root-ca.crt"), "restored", restored).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregated_roles_follow_the_roles_of_their_own_cluster() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = |name: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
    let mut all = role("all");
    all["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]});
    let part = |verb: &str| {
        let mut part = role("part");
        part["metadata"]["labels"] = json!({"part": "yes"});
        part["rules"] = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}]);
        part
    };
    for (cluster, verb) in [(&a, "get"), (&b, "list")] {
        atoll.post(&format!("{cluster}{ROLES}"), all.clone()).await;
        atoll.post(&format!("{cluster}{ROLES}"), part(verb)).await;
    }
    for (cluster, verb) in [(&a, "get"), (&b, "list")] {
        let has = |role: &Value| role["rules"][0]["verbs"] == json!([verb]);
        let role = atoll.until(&format!("{cluster}{ROLES}/all"), "aggregated", has).await;
        assert_eq!(role["rules"].as_array().map(Vec::len), Some(1));
    }
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cluster_with_services_has_one_that_leads_to_the_server_also_after_it_was_deleted() {
    let atoll = Atoll::start().await;
    let a = atoll.cluster("a").await;
    let service = format!("{a}/api/v1/namespaces/default/services/kubernetes");
    let made = atoll.until_there(&service).await;
    assert_eq!(made["spec"]["clusterIP"], "10.0.0.1");
    assert_eq!(made["spec"]["ports"][0]["port"], 443);
    let range = atoll.until_there(&format!("{a}/apis/networking.k8s.io/v1/servicecidrs/kubernetes")).await;
    assert_eq!(range["spec"]["cidrs"], json!(["10.0.0.0/8"]));
    atoll.delete(&service).await;
    let again = |service: &Value| service["metadata"]["uid"] != made["metadata"]["uid"];
    atoll.until(&service, "made again", again).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn system_namespaces_are_stored_with_what_is_first_written_there_and_stay_who_they_were() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    for namespace in ["kube-system", "kube-public", "kube-node-lease"] {
        let told = atoll.get(&format!("{a}/api/v1/namespaces/{namespace}")).await.expect("is seen from the start");
        assert_eq!(told["status"]["phase"], "Active");
        assert_eq!(atoll.get(&format!("{a}/api/v1/namespaces/{namespace}/serviceaccounts/default")).await, None);
        atoll.post(&format!("{a}/api/v1/namespaces/{namespace}/configmaps"), config_map("first")).await;
        let made = atoll.until_there(&format!("{a}/api/v1/namespaces/{namespace}")).await;
        assert_eq!(made["status"]["phase"], "Active");
        for same in ["uid", "creationTimestamp"] {
            assert_eq!(made["metadata"][same], told["metadata"][same], "{same}");
        }
        atoll.until_there(&format!("{a}/api/v1/namespaces/{namespace}/serviceaccounts/default")).await;
        atoll.post(&format!("{a}/api/v1/namespaces/{namespace}/configmaps"), config_map("second")).await;
        let other = atoll.get(&format!("{b}/api/v1/namespaces/{namespace}")).await.expect("is seen there, too");
        assert_ne!(other["metadata"]["uid"], told["metadata"]["uid"]);
        assert_eq!(other["metadata"]["resourceVersion"], "1", "nothing was written there");
    }
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_claims_and_volumes_go_when_nobody_uses_them_any_more() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    let claims = "/api/v1/namespaces/shop/persistentvolumeclaims";
    let pods = "/api/v1/namespaces/shop/pods";
    let volumes = "/api/v1/persistentvolumes";
    let claim = |name: &str| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
    };
    let volume = |name: &str| {
        let spec =
            json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}});
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    };
    for cluster in [&a, &b] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        atoll.post(&format!("{cluster}/api/v1/namespaces"), namespace).await;
        for name in ["free", "used"] {
            atoll.post(&format!("{cluster}{claims}"), claim(name)).await;
            atoll.post(&format!("{cluster}{volumes}"), volume(name)).await;
        }
        let used = json!({"name": "x", "persistentVolumeClaim": {"claimName": "used"}});
        let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "i"}], "volumes": [used]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec});
        atoll.until_there(&format!("{cluster}/api/v1/namespaces/shop/serviceaccounts/default")).await;
        atoll.post(&format!("{cluster}{pods}"), pod).await;
        atoll.patch(&format!("{cluster}{volumes}/used/status"), json!({"status": {"phase": "Bound"}})).await;
    }
    for collection in [claims, volumes] {
        for name in ["used", "free"] {
            atoll.delete(&format!("{a}{collection}/{name}")).await;
        }
        // The one deleted first is still there when the other has gone.
        atoll.until_gone(&format!("{a}{collection}/free")).await;
        let kept = atoll.until_there(&format!("{a}{collection}/used")).await;
        assert!(kept["metadata"]["deletionTimestamp"].is_string(), "{kept}");
    }
    atoll.delete(&format!("{a}{pods}/web?gracePeriodSeconds=0")).await;
    atoll.until_gone(&format!("{a}{claims}/used")).await;
    atoll.patch(&format!("{a}{volumes}/used/status"), json!({"status": {"phase": "Released"}})).await;
    atoll.until_gone(&format!("{a}{volumes}/used")).await;
    // A namespace with a claim is no trap, and whoever has the same names elsewhere keeps them.
    atoll.post(&format!("{a}{claims}"), claim("again")).await;
    atoll.delete(&format!("{a}/api/v1/namespaces/shop")).await;
    atoll.until_gone(&format!("{a}/api/v1/namespaces/shop")).await;
    for kept in [format!("{b}{claims}/free"), format!("{b}{claims}/used"), format!("{b}{volumes}/free")] {
        let kept = atoll.until_there(&kept).await;
        assert!(kept["metadata"]["deletionTimestamp"].is_null(), "{kept}");
    }
    atoll.stop().await;
}
