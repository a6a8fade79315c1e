//! What namespaces ask of pods, from labels to answers.

use serde_json::json;

use super::policy::{PREFIX, Version};
use super::*;
use crate::admission::pods::Description;
use crate::admission::testing::{Bench, context};

fn pod(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n"}, "spec": spec})
}

fn namespace(labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|(mode, level)| (format!("{PREFIX}{mode}"), (*level).into())).collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": labels}})
}

fn container(context: Value) -> Value {
    json!({"containers": [{"name": "c", "securityContext": context}]})
}

fn hardened() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"}})
}

/// A hardened container, but for this.
fn but(change: Value) -> Value {
    let mut context = hardened();
    for (field, value) in change.as_object().expect("an object") {
        context[field] = value.clone();
    }
    container(context)
}

fn check(level: Level, minor: Option<u32>, spec: Value, expected: &str) {
    let metadata = json!({"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}});
    let subject = Subject::new(Description { metadata: &metadata, spec: &spec });
    let version = minor.map_or(Version::Latest, Version::Minor);
    assert_eq!(told(&violations(Standard { level, version }, &subject)), expected, "{spec}");
}

#[test]
fn the_baseline_level_forbids_what_gives_a_pod_more_than_others_have() {
    let check = |spec, expected| check(Level::Baseline, None, spec, expected);
    check(container(json!({})), "");
    check(
        container(json!({"privileged": true})),
        "privileged (container \"c\" must not set securityContext.privileged=true)",
    );
    check(
        container(json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "BPF"]}})),
        "non-default capabilities (container \"c\" must not include \"BPF\", \"SYS_ADMIN\" in securityContext.capabilities.add)",
    );
    check(
        json!({"hostNetwork": true, "hostIPC": true, "hostPID": false}),
        "host namespaces (hostNetwork=true, hostIPC=true)",
    );
    check(
        json!({"volumes": [{"name": "a", "hostPath": {}}, {"name": "b", "hostPath": {}}, {"name": "c"}]}),
        "hostPath volumes (volumes \"a\", \"b\")",
    );
    check(
        json!({"containers": [{"name": "c", "ports": [{"hostPort": 80}, {"hostPort": 0}]}]}),
        "hostPort (container \"c\" uses hostPort 80)",
    );
    check(
        json!({"initContainers": [{"name": "i", "livenessProbe": {"httpGet": {"host": "x"}}}]}),
        "probe or lifecycle host (container \"i\" uses probe or lifecycle host \"x\")",
    );
    check(
        container(json!({"procMount": "Unmasked"})),
        "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
    );
    check(
        json!({"securityContext": {"seLinuxOptions": {"type": "x", "user": "u", "role": "r"}}}),
        "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set; role may not be set)",
    );
    check(
        container(json!({"seccompProfile": {"type": "Unconfined"}, "appArmorProfile": {"type": "Unconfined"}})),
        "forbidden AppArmor profile (container \"c\" must not set AppArmor profile type to \"Unconfined\"), seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
    );
    check(
        json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}, {"name": "kernel.x"}],
            "windowsOptions": {"hostProcess": true}}}),
        "forbidden sysctls (kernel.x), hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    );
}

#[test]
fn the_restricted_level_asks_for_hardening() {
    let check = |spec, expected| check(Level::Restricted, None, spec, expected);
    check(container(hardened()), "");
    check(
        container(json!({})),
        "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
    );
    check(but(json!({"runAsUser": 0})), "runAsUser=0 (container \"c\" must not set runAsUser=0)");
    check(
        but(json!({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_BIND_SERVICE"]}})),
        "unrestricted capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)",
    );
    check(
        but(json!({"runAsNonRoot": false})),
        "runAsNonRoot != true (container \"c\" must not set securityContext.runAsNonRoot=false)",
    );
    check(
        json!({"volumes": [{"name": "n", "nfs": {}}, {"name": "h", "hostPath": {}}, {"name": "s", "secret": {}}, {"name": "o"}]}),
        "restricted volume types (volumes \"n\", \"h\", \"o\" use restricted volume types \"hostPath\", \"nfs\", \"unknown\")",
    );
    let own_users = json!({"hostUsers": false, "os": {"name": "windows"}, "containers": [{"name": "c"}]});
    check(own_users, "");
}

#[test]
fn a_namespace_can_ask_for_the_checks_of_an_older_release() {
    let unmasked =
        json!({"hostUsers": false, "containers": [{"name": "c", "securityContext": {"procMount": "Unmasked"}}]});
    let found = "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")";
    check(Level::Baseline, Some(34), unmasked.clone(), found);
    check(Level::Baseline, Some(35), unmasked, "");
    let tuned = json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_wmem"}]}});
    check(Level::Baseline, Some(31), tuned.clone(), "forbidden sysctls (net.ipv4.tcp_wmem)");
    check(Level::Baseline, Some(99), tuned, "");
    let annotated = "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")";
    check(Level::Baseline, Some(18), json!({}), annotated);
    check(
        Level::Restricted,
        Some(0),
        json!({"volumes": [{"name": "h", "hostPath": {}}]}),
        &format!("{annotated}, restricted volume types (volume \"h\" uses restricted volume type \"hostPath\")"),
    );
}

#[tokio::test]
async fn pods_are_refused_and_workloads_only_warned_of() {
    let bench = Bench::new().await;
    let plugin = PodSecurity::new(&bench.store);
    bench.put("", "namespaces", namespace(&[("enforce", "baseline")])).await;
    let bad = json!({"hostPID": true});
    let error = bench.validate(&plugin, pod("a", bad.clone())).await.expect_err("is refused");
    assert_eq!(
        error,
        "pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"
    );
    assert!(bench.cx.take_warnings().is_empty());
    let job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "j", "namespace": "n"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": bad}}}}});
    assert_eq!(bench.validate(&plugin, job).await, Ok(()));
    let warning = "would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)";
    assert_eq!(bench.cx.take_warnings(), [warning]);
}

#[tokio::test]
async fn what_does_not_change_a_running_pod_much_is_not_checked_again() {
    let bench = Bench::new().await;
    let plugin = PodSecurity::new(&bench.store);
    bench.put("", "namespaces", namespace(&[("enforce", "baseline")])).await;
    let with = |image: &str, ephemeral: Value| {
        pod(
            "a",
            json!({"hostPID": true, "containers": [{"name": "c", "image": image}], "ephemeralContainers": ephemeral}),
        )
    };
    let old = with("x", json!([]));
    assert_eq!(bench.update(&plugin, "", old.clone(), with("x", json!(null))).await, Ok(()));
    assert!(bench.update(&plugin, "", old.clone(), with("y", json!([]))).await.is_err());
    let debugged = with("x", json!([{"name": "d", "image": "d"}]));
    assert!(bench.update(&plugin, "ephemeralcontainers", old.clone(), debugged.clone()).await.is_err());
    assert_eq!(bench.update(&plugin, "status", old, debugged).await, Ok(()));
}

#[tokio::test]
async fn malformed_labels_are_refused_where_they_are_new() {
    let bench = Bench::new().await;
    let plugin = PodSecurity::new(&bench.store);
    let bad = namespace(&[("enforce", "x")]);
    let error = bench.validate(&plugin, bad.clone()).await.expect_err("is malformed");
    assert_eq!(
        error,
        "Namespace \"n\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"x\": must be one of privileged, baseline, restricted"
    );
    assert_eq!(bench.update(&plugin, "", bad.clone(), bad.clone()).await, Ok(()));
    assert!(bench.update(&plugin, "", namespace(&[]), bad).await.is_err());
}

#[tokio::test]
async fn a_namespace_that_becomes_stricter_warns_of_the_pods_it_has() {
    let bench = Bench::new().await;
    let plugin = PodSecurity::new(&bench.store);
    for name in ["a", "b", "c"] {
        bench.put("", "pods", pod(name, json!({"hostPID": true}))).await;
    }
    bench.put("", "pods", pod("d", container(json!({"privileged": true})))).await;
    bench.put_in(&context("other").cluster, "", "pods", pod("e", json!({"hostIPC": true}))).await;
    let (lax, strict) = (namespace(&[]), namespace(&[("enforce", "baseline")]));
    assert_eq!(bench.update(&plugin, "", lax.clone(), strict.clone()).await, Ok(()));
    let expected = [
        "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
        "a (and 2 other pods): host namespaces",
        "d: privileged",
    ];
    assert_eq!(bench.cx.take_warnings(), expected);
    assert_eq!(bench.update(&plugin, "", strict, lax).await, Ok(()));
    assert!(bench.cx.take_warnings().is_empty());
}
