//! What quotas charge, refuse and give back.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::admission::testing::{Bench, context, creation, made, stored_form};
use crate::storage::Memory;

struct Desk {
    bench: Bench,
    plugin: ResourceQuota,
}

impl Desk {
    async fn new(spec: Value) -> Self {
        let bench = Bench::new().await;
        let plugin = ResourceQuota::new(&bench.store, stored_form);
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "n"},
            "spec": spec});
        bench.put("", "resourcequotas", quota.clone()).await;
        let desk = Self { bench, plugin };
        desk.follow(Ending::Stored, Some(quota), None).await;
        desk
    }

    async fn follow(&self, ending: Ending, object: Option<Value>, old: Option<Value>) {
        let (object, old) = (object.map(made), old.map(made));
        let attributes = creation(object.as_ref().or(old.as_ref()).expect("one of them"));
        self.plugin.follow(&self.bench.cx, &attributes, ending, object.as_ref(), old.as_ref()).await;
    }

    /// Charges for a new object and stores it.
    async fn create(&self, resource: &str, object: Value) -> Result<(), String> {
        self.bench.validate(&self.plugin, object.clone()).await?;
        self.bench.put("", resource, object).await;
        Ok(())
    }

    fn check_used(&self, expected: Value) {
        let quota = self.bench.get("", "resourcequotas", "n", "q");
        assert_eq!(quota.at(&["status", "used"]), Some(&expected));
        assert_eq!(quota.at(&["status", "hard"]), quota.at(&["spec", "hard"]));
    }
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "n"}})
}

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}, "spec": spec})
}

fn asking(cpu: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
}

#[tokio::test]
async fn the_object_too_many_is_refused_with_numbers() {
    let desk = Desk::new(json!({"hard": {"secrets": "1", "count/secrets": "3"}})).await;
    desk.check_used(json!({"secrets": "0", "count/secrets": "0"}));
    assert_eq!(desk.create("secrets", secret("a")).await, Ok(()));
    desk.check_used(json!({"secrets": "1", "count/secrets": "1"}));
    let why =
        "secrets \"b\" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1";
    assert_eq!(desk.create("secrets", secret("b")).await, Err(why.to_owned()));
    desk.follow(Ending::Removed, None, Some(secret("a"))).await;
    desk.check_used(json!({"secrets": "0", "count/secrets": "0"}));
    assert_eq!(desk.create("secrets", secret("b")).await, Ok(()));
}

#[tokio::test]
async fn what_is_not_stored_after_all_is_given_back() {
    let desk = Desk::new(json!({"hard": {"secrets": "1"}})).await;
    assert_eq!(desk.bench.validate(&desk.plugin, secret("a")).await, Ok(()));
    desk.check_used(json!({"secrets": "1"}));
    desk.follow(Ending::Withdrawn, Some(secret("a")), None).await;
    desk.check_used(json!({"secrets": "0"}));
}

#[tokio::test]
async fn what_was_there_before_the_quota_counts_and_what_others_have_does_not() {
    let bench = Bench::new().await;
    bench.put("", "secrets", secret("a")).await;
    bench.put_in(&context("other").cluster, "", "secrets", secret("b")).await;
    let plugin = ResourceQuota::new(&bench.store, stored_form);
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "n"},
        "spec": {"hard": {"count/secrets": "2"}}});
    // The write comes before anybody has counted.
    bench.put("", "resourcequotas", quota).await;
    assert_eq!(bench.validate(&plugin, secret("c")).await, Ok(()));
    assert!(bench.validate(&plugin, secret("d")).await.is_err());
    let elsewhere = Bench { store: bench.store.clone(), cx: context("other") };
    assert_eq!(elsewhere.validate(&plugin, secret("d")).await, Ok(()));
}

#[tokio::test]
async fn a_dry_run_is_weighed_but_not_charged() {
    let desk = Desk::new(json!({"hard": {"secrets": "1"}})).await;
    let object = made(secret("a"));
    let attributes = Attributes { dry_run: true, ..creation(&object) };
    let ask = || desk.plugin.validate(&desk.bench.cx, &attributes, Some(&object), None);
    assert!(ask().await.is_ok());
    desk.check_used(json!({"secrets": "0"}));
    desk.create("secrets", secret("b")).await.expect("there is room");
    assert!(ask().await.is_err());
}

#[tokio::test]
async fn services_count_by_what_they_open() {
    let hard = json!({"services": "3", "services.nodeports": "2", "services.loadbalancers": "1"});
    let desk = Desk::new(json!({"hard": hard})).await;
    let service = |kind: &str, ports: usize| {
        let ports = vec![json!({"port": 80}); ports];
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"},
            "spec": {"type": kind, "ports": ports}})
    };
    assert_eq!(desk.bench.validate(&desk.plugin, service("ClusterIP", 1)).await, Ok(()));
    let error = desk.bench.validate(&desk.plugin, service("LoadBalancer", 3)).await.expect_err("too many ports");
    let why =
        "exceeded quota: q, requested: services.nodeports=3, used: services.nodeports=0, limited: services.nodeports=2";
    assert!(error.ends_with(why), "{error}");
    assert_eq!(desk.bench.update(&desk.plugin, "", service("ClusterIP", 2), service("LoadBalancer", 2)).await, Ok(()));
    desk.check_used(json!({"services": "1", "services.nodeports": "2", "services.loadbalancers": "1"}));
    assert!(desk.bench.update(&desk.plugin, "", service("ClusterIP", 1), service("NodePort", 1)).await.is_err());
    desk.follow(Ending::Stored, Some(service("ClusterIP", 2)), Some(service("LoadBalancer", 2))).await;
    desk.check_used(json!({"services": "1", "services.nodeports": "0", "services.loadbalancers": "0"}));
}

#[tokio::test]
async fn pods_count_by_what_they_ask_for_and_must_say_it() {
    let desk = Desk::new(json!({"hard": {"requests.cpu": "1", "pods": "5", "requests.x.y/gpu": "1"}})).await;
    assert_eq!(desk.bench.validate(&desk.plugin, pod(asking("600m"))).await, Ok(()));
    desk.check_used(json!({"requests.cpu": "600m", "pods": "1", "requests.x.y/gpu": "0"}));
    for (spec, why) in [
        (
            asking("600m"),
            "exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1",
        ),
        (json!({"containers": [{"name": "b"}, {"name": "a"}]}), "failed quota: q: must specify requests.cpu for: a,b"),
        (
            json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1m", "x.y/gpu": "2"}}}]}),
            "exceeded quota: q, requested: requests.x.y/gpu=2, used: requests.x.y/gpu=0, limited: requests.x.y/gpu=1",
        ),
    ] {
        let error = desk.bench.validate(&desk.plugin, pod(spec)).await.expect_err("is refused");
        assert_eq!(error, format!("pods \"a\" is forbidden: {why}"));
    }
    let mut ended = pod(asking("600m"));
    ended["status"] = json!({"phase": "Succeeded"});
    desk.follow(Ending::Stored, Some(ended), Some(pod(asking("600m")))).await;
    desk.check_used(json!({"requests.cpu": "0", "pods": "0", "requests.x.y/gpu": "0"}));
}

#[tokio::test]
async fn scopes_choose_the_pods_that_count() {
    let with = |field: &str, value: Value| {
        let mut spec = asking("1");
        spec[field] = value;
        spec
    };
    let best_effort = json!({"containers": [{"name": "c"}]});
    let term = json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]});
    let expression = |operator: &str, values: Value| json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": values}]});
    for (scopes, selector, spec, counts) in [
        (json!(["Terminating"]), json!(null), with("activeDeadlineSeconds", json!(5)), true),
        (json!(["Terminating"]), json!(null), asking("1"), false),
        (json!(["NotTerminating", "NotBestEffort"]), json!(null), asking("1"), true),
        (json!(["NotTerminating", "NotBestEffort"]), json!(null), best_effort.clone(), false),
        (json!(["BestEffort"]), json!(null), best_effort, true),
        (json!(["CrossNamespacePodAffinity"]), json!(null), with("affinity", json!({"podAntiAffinity": term})), true),
        (json!(["CrossNamespacePodAffinity"]), json!(null), asking("1"), false),
        (json!(["PriorityClass"]), json!(null), with("priorityClassName", json!("p")), true),
        (json!(null), expression("In", json!(["p"])), with("priorityClassName", json!("p")), true),
        (json!(null), expression("In", json!(["p"])), with("priorityClassName", json!("q")), false),
        (json!(null), expression("NotIn", json!(["p"])), asking("1"), true),
        (json!(null), expression("DoesNotExist", json!([])), asking("1"), true),
        (json!(null), expression("DoesNotExist", json!([])), with("priorityClassName", json!("q")), false),
    ] {
        let desk = Desk::new(json!({"hard": {"pods": "0"}, "scopes": scopes, "scopeSelector": selector})).await;
        let outcome = desk.bench.validate(&desk.plugin, pod(spec.clone())).await;
        assert_eq!(outcome.is_err(), counts, "{scopes} {selector} {spec}: {outcome:?}");
    }
}

#[tokio::test]
async fn claims_count_by_size_and_class() {
    let desk = Desk::new(
        json!({"hard": {"requests.storage": "3Gi", "gold.storageclass.storage.k8s.io/requests.storage": "1Gi"}}),
    )
    .await;
    let claim = |size: &str, class: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a", "namespace": "n"},
            "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}})
    };
    assert_eq!(desk.bench.validate(&desk.plugin, claim("1Gi", "gold")).await, Ok(()));
    assert!(desk.bench.validate(&desk.plugin, claim("1", "gold")).await.is_err());
    assert_eq!(desk.bench.update(&desk.plugin, "", claim("1Gi", "tin"), claim("2Gi", "tin")).await, Ok(()));
    desk.check_used(json!({"requests.storage": "2Gi", "gold.storageclass.storage.k8s.io/requests.storage": "1Gi"}));
}

#[tokio::test]
async fn what_a_crash_left_charged_for_is_found_when_it_is_in_the_way() {
    let desk = Desk::new(json!({"hard": {"secrets": "1"}})).await;
    assert_eq!(desk.bench.validate(&desk.plugin, secret("lost")).await, Ok(()));
    assert!(desk.bench.validate(&desk.plugin, secret("a")).await.is_err(), "it may yet be stored");
    let mut later = context("one");
    later.now = desk.bench.cx.now + jiff::SignedDuration::from_secs(11);
    let later = Bench { store: desk.bench.store.clone(), cx: later };
    assert_eq!(later.validate(&desk.plugin, secret("a")).await, Ok(()));
    desk.check_used(json!({"secrets": "1"}));
}

#[tokio::test]
async fn a_raised_limit_applies_at_once_and_keeps_what_was_charged() {
    let desk = Desk::new(json!({"hard": {"secrets": "1"}})).await;
    assert_eq!(desk.bench.validate(&desk.plugin, secret("charged-and-on-its-way")).await, Ok(()));
    let accounts = desk.plugin.ledger.accounts(&desk.bench.cx.cluster, "n");
    let mut raised = desk.bench.get("", "resourcequotas", "n", "q");
    raised.map_mut("spec").insert("hard".into(), json!({"secrets": "2", "configmaps": "1"}));
    let key =
        crate::storage::Key::new(GroupResource::new("", "resourcequotas"), desk.bench.cx.cluster.clone(), "n", "q");
    let bytes = stored_form(&raised).expect("encodes");
    desk.bench.store.commit(crate::storage::Txn::update(key, accounts[0].revision(), bytes)).await.expect("is stored");
    assert_eq!(desk.bench.validate(&desk.plugin, secret("b")).await, Ok(()));
    assert!(desk.bench.validate(&desk.plugin, secret("c")).await.is_err());
    desk.check_used(json!({"secrets": "2", "configmaps": "0"}));
}

#[tokio::test]
async fn writers_of_two_servers_never_share_the_last_place() {
    let store = Store::open(Memory::new()).await.expect("an empty store");
    let bench = Bench { store: store.clone(), cx: context("one") };
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "n"},
        "spec": {"hard": {"secrets": "5"}}});
    bench.put("", "resourcequotas", quota).await;
    let servers = [0, 1].map(|_| Arc::new(ResourceQuota::new(&store, stored_form)));
    let writes = (0..20).map(|n| {
        let (server, store) = (servers[n % 2].clone(), store.clone());
        tokio::spawn(async move {
            let bench = Bench { store, cx: context("one") };
            bench.validate(&*server, secret(&format!("s{n}"))).await.is_ok()
        })
    });
    let outcomes = futures::future::join_all(writes).await;
    let admitted = outcomes.into_iter().filter(|outcome| *outcome.as_ref().expect("no panic")).count();
    assert_eq!(admitted, 5);
}

#[tokio::test]
async fn devices_are_charged_by_class_with_the_most_a_claim_may_get() {
    let gold = "gold.deviceclass.resource.k8s.io/devices";
    let count = "count/resourceclaims.resource.k8s.io";
    let desk = Desk::new(json!({"hard": {gold: "5", count: "2"}})).await;
    let claim = |name: &str, requests: Value| {
        json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name, "namespace": "n"},
            "spec": {"devices": {"requests": requests}}})
    };
    let exactly = |count: u32| json!({"deviceClassName": "gold", "allocationMode": "ExactCount", "count": count});
    let ways = json!([{"name": "r", "firstAvailable": [exactly(1), exactly(3), {"deviceClassName": "tin"}]}]);
    let first = claim("first", ways);
    desk.bench.validate(&desk.plugin, first.clone()).await.expect("there is enough");
    desk.bench.put("resource.k8s.io", "resourceclaims", first).await;
    desk.check_used(json!({gold: "3", count: "1"}));
    for too_many in [
        json!([{"name": "r", "exactly": exactly(3)}]),
        json!([{"name": "r", "exactly": {"deviceClassName": "gold", "allocationMode": "All"}}]),
    ] {
        let why = desk.bench.validate(&desk.plugin, claim("second", too_many)).await.unwrap_err();
        assert!(why.contains("exceeded quota: q"), "{why}");
    }
}
