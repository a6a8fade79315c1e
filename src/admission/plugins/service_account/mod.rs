//! ServiceAccount: every pod runs as a service account that exists, and finds its token in a volume.
//!
//! Making the accounts and tokens is for controllers and the token endpoint.

mod secrets;
mod token_volume;

use std::sync::Arc;
use std::time::Duration;

use atoll_api::{ApiResult, LogicalClusterName, Object};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::admission::collection::{Collection, object};
use crate::admission::pods::{is_mirror, of_pod, spec_mut};
use crate::admission::read::{list, text};
use crate::admission::{AdmissionPlugin, Attributes, Operation};
use crate::request::RequestContext;
use crate::storage::Store;

/// The account of pods that name none.
const DEFAULT: &str = "default";
/// How often, and after which pauses, the default account is looked for: a controller makes it soon after its namespace.
const ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Gives pods their service account.
pub struct ServiceAccount {
    accounts: Collection,
    pause: Duration,
}

impl ServiceAccount {
    /// Reads accounts from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { accounts: Collection::of(store, "", "serviceaccounts"), pause: PAUSE }
    }

    async fn account(&self, cluster: &LogicalClusterName, namespace: &str, name: &str) -> Result<Object, String> {
        let attempts = if name == DEFAULT { ATTEMPTS } else { 1 };
        for attempt in 0..attempts {
            if attempt > 0 {
                tokio::time::sleep(self.pause).await;
            }
            if let Some(entry) = self.accounts.get(cluster, namespace, name) {
                return Ok(object(&entry));
            }
        }
        Err(format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"))
    }

    async fn fill_in(&self, cluster: &LogicalClusterName, namespace: &str, pod: &mut Object) -> Result<(), String> {
        if is_mirror(pod) {
            return Ok(());
        }
        let Some(spec) = spec_mut(pod) else { return Ok(()) };
        let named = spec.get("serviceAccountName").and_then(Value::as_str).unwrap_or_default();
        let name = if named.is_empty() { DEFAULT } else { named }.to_owned();
        let account = self.account(cluster, namespace, &name).await?;
        // The field's old name is kept equal to it.
        spec.insert("serviceAccountName".into(), name.clone().into());
        spec.insert("serviceAccount".into(), name.into());
        let wanted = |value: Option<&Value>| value.and_then(Value::as_bool);
        let mount = wanted(spec.get("automountServiceAccountToken"))
            .or_else(|| wanted(account.get("automountServiceAccountToken")))
            .unwrap_or(true);
        if mount {
            token_volume::mount(spec);
        }
        let pulls = spec.get("imagePullSecrets").and_then(Value::as_array).is_some_and(|secrets| !secrets.is_empty());
        if let Some(secrets) = account.get("imagePullSecrets").filter(|secrets| !pulls && secrets.is_array()) {
            spec.insert("imagePullSecrets".into(), secrets.clone());
        }
        Ok(())
    }

    async fn check(&self, cluster: &LogicalClusterName, attributes: &Attributes, pod: &Object) -> Result<(), String> {
        let spec = of_pod(pod).spec;
        let is_new = attributes.operation == Operation::Create;
        if is_new && is_mirror(pod) {
            return check_mirror(spec);
        }
        let name = text(spec, "serviceAccountName");
        if name.is_empty() {
            return Err(format!("no service account specified for pod {}/{}", attributes.namespace, pod.name()));
        }
        let account = self.account(cluster, &attributes.namespace, name).await?;
        if !secrets::are_limited(&account) {
            return Ok(());
        }
        if is_new { secrets::check(&account, spec) } else { secrets::check_ephemeral(&account, spec) }
    }
}

/// A pod that mirrors a node's own one gets nothing from the server that is secret.
fn check_mirror(spec: &Value) -> Result<(), String> {
    if !text(spec, "serviceAccountName").is_empty() {
        return Err("a mirror pod may not reference service accounts".to_owned());
    }
    if secrets::uses_any(spec) {
        return Err("a mirror pod may not reference secrets".to_owned());
    }
    let mut sources = list(spec, "volumes").iter().flat_map(|volume| list(&volume["projected"], "sources"));
    if sources.any(|source| !source["serviceAccountToken"].is_null()) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections".to_owned());
    }
    Ok(())
}

impl AdmissionPlugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        if !attributes.concerns("", "pods") {
            return false;
        }
        match attributes.operation {
            Operation::Create => attributes.subresource.is_empty(),
            Operation::Update => attributes.subresource == "ephemeralcontainers",
            Operation::Delete | Operation::Connect => false,
        }
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        pod: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(async move {
            if attributes.operation != Operation::Create {
                return Ok(());
            }
            let outcome = self.fill_in(&cx.cluster, &attributes.namespace, pod).await;
            outcome.map_err(|why| attributes.forbidden(Some(pod), &why))
        })
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(async move {
            let Some(pod) = object else { return Ok(()) };
            let outcome = self.check(&cx.cluster, attributes, pod).await;
            outcome.map_err(|why| attributes.forbidden(object, &why))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::{Bench, context};

    async fn bench(account: Value) -> (Bench, ServiceAccount) {
        let bench = Bench::new().await;
        let plugin = ServiceAccount::new(&bench.store);
        bench.put("", "serviceaccounts", account).await;
        (bench, plugin)
    }

    fn account(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "n"}})
    }

    fn pod(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}, "spec": spec})
    }

    #[tokio::test]
    async fn a_pod_gets_the_default_account_with_its_token_and_pull_secrets() {
        let mut default = account(DEFAULT);
        default["imagePullSecrets"] = json!([{"name": "reg"}]);
        let (bench, plugin) = bench(default).await;
        let given = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]});
        let filled = bench.mutate(&plugin, pod(given)).await.expect("is let through");
        let spec = &filled["spec"];
        assert_eq!((&spec["serviceAccountName"], &spec["serviceAccount"]), (&json!("default"), &json!("default")));
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "reg"}]));
        let name = text(&spec["volumes"][0], "name");
        assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
        for container in [&spec["containers"][0], &spec["initContainers"][0]] {
            let mount = json!({"name": name, "readOnly": true, "mountPath": token_volume::PATH});
            assert_eq!(container["volumeMounts"], json!([mount]));
        }
        assert_eq!(bench.mutate(&plugin, filled.clone()).await, Ok(filled.clone()));
        assert_eq!(bench.validate(&plugin, filled).await, Ok(()));
    }

    #[tokio::test]
    async fn a_pod_or_its_account_can_do_without_the_token() {
        let mut shy = account("shy");
        shy["automountServiceAccountToken"] = json!(false);
        let (bench, plugin) = bench(shy).await;
        for (given, mounted) in [(json!(null), false), (json!(true), true), (json!(false), false)] {
            let spec = json!({"serviceAccountName": "shy", "automountServiceAccountToken": given,
                "containers": [{"name": "c"}]});
            let filled = bench.mutate(&plugin, pod(spec)).await.expect("is let through");
            assert_eq!(filled["spec"]["volumes"].is_array(), mounted, "{given}");
        }
    }

    #[tokio::test]
    async fn a_missing_account_is_told_and_another_clusters_does_not_count() {
        let (bench, plugin) = bench(account("x")).await;
        bench.put_in(&context("other").cluster, "", "serviceaccounts", account("y")).await;
        let why = "error looking up service account n/y: serviceaccount \"y\" not found";
        let outcome = bench.mutate(&plugin, pod(json!({"serviceAccountName": "y"}))).await;
        assert_eq!(outcome, Err(format!("pods \"a\" is forbidden: {why}")));
    }

    #[tokio::test]
    async fn the_default_account_is_waited_for_but_not_for_ever() {
        let (bench, mut plugin) = bench(account("x")).await;
        plugin.pause = Duration::from_millis(1);
        let why = "error looking up service account n/default: serviceaccount \"default\" not found";
        let outcome = bench.mutate(&plugin, pod(json!({}))).await;
        assert_eq!(outcome, Err(format!("pods \"a\" is forbidden: {why}")));
        // The pod is there first, and finds the account at its second look.
        let late = bench.put("", "serviceaccounts", account(DEFAULT));
        let (outcome, _) = tokio::join!(bench.mutate(&plugin, pod(json!({}))), late);
        assert!(outcome.is_ok(), "{outcome:?}");
    }

    #[tokio::test]
    async fn mirror_pods_get_nothing_secret() {
        let (bench, plugin) = bench(account(DEFAULT)).await;
        let mirror = |spec: Value| {
            let mut pod = pod(spec);
            pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
            pod
        };
        let plain = mirror(json!({"containers": [{"name": "c"}]}));
        assert_eq!(bench.mutate(&plugin, plain.clone()).await, Ok(plain.clone()));
        assert_eq!(bench.validate(&plugin, plain).await, Ok(()));
        for spec in [
            json!({"serviceAccountName": "default"}),
            json!({"imagePullSecrets": [{"name": "s"}]}),
            json!({"volumes": [{"projected": {"sources": [{"serviceAccountToken": {}}]}}]}),
        ] {
            assert!(bench.validate(&plugin, mirror(spec.clone())).await.is_err(), "{spec}");
        }
    }
}
