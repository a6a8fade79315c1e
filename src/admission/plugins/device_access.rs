//! DeviceAccess: who may have devices as their administrator, and who may say what became of a claim to devices.
//!
//! No plugin in Kubernetes, where claims are checked for this with everything else; here their checks see nothing but the
//! claim, so that it is asked once they are passed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, FieldError, FieldErrors, FieldPath, Object};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::admission::collection::Collection;
use crate::admission::read::{flag, list, text};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::authz::forbidden::forbidden;
use crate::authz::{self, Authorizer, Decision, Verdict};
use crate::request::RequestContext;
use crate::storage::Store;

const GROUP: &str = "resource.k8s.io";
const CLAIMS: &str = "resourceclaims";
const TEMPLATES: &str = "resourceclaimtemplates";
/// The label of namespaces whose claims may ask for the access of an administrator.
const ADMIN_LABEL: &str = "resource.kubernetes.io/admin-access";
/// Where a service account's token tells which node it is used on.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// A PUT needs the first of these, a PATCH the second; which of them it is is not known here.
const VERBS: [&str; 2] = ["update", "patch"];
static NOTHING: Value = Value::Null;

/// Guards claims to devices.
pub struct DeviceAccess {
    namespaces: Collection,
    authorizer: Arc<dyn Authorizer>,
}

impl DeviceAccess {
    /// Reads namespaces from this store, and asks this authorizer.
    pub fn new(store: &Arc<Store>, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { namespaces: Collection::of(store, "", "namespaces"), authorizer }
    }

    /// What is asked for that only some namespaces may have.
    fn check_admin(&self, cx: &RequestContext, namespace: &str, asked_at: Option<FieldPath>) -> Option<FieldError> {
        let at = asked_at?;
        let entry = self.namespaces.get(&cx.cluster, "", namespace);
        if entry.is_some_and(|entry| entry.labels().get(ADMIN_LABEL) == Some("true")) {
            return None;
        }
        let detail =
            format!("admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace");
        Some(FieldError::forbidden(&at, detail))
    }

    fn check_status(&self, cx: &RequestContext, namespace: &str, new: &Value, old: &Value) -> FieldErrors {
        let granted = |status: &Value| {
            list(&status["allocation"]["devices"], "results").iter().position(|result| flag(result, "adminAccess"))
        };
        let mut errors = FieldErrors::new();
        if granted(old).is_none() {
            let path = |index| FieldPath::new("status.allocation.devices.results").index(index).child("adminAccess");
            errors.extend(self.check_admin(cx, namespace, granted(new).map(path)));
        }
        if new["allocation"] != old["allocation"] || new["reservedFor"] != old["reservedFor"] {
            errors.extend(self.check_binding(cx));
        }
        if !new["allocation"].is_null() {
            let node = node_of(&new["allocation"]);
            for driver in changed_drivers(new, old) {
                errors.extend(self.check_driver(cx, namespace, driver, node));
            }
        }
        errors
    }

    /// Allocating, and letting pods use what was allocated, is for schedulers and the like.
    fn check_binding(&self, cx: &RequestContext) -> Option<FieldError> {
        let refused = self.refusal(cx, ("binding", "", ""), &VERBS)?;
        let verb = VERBS[0];
        let detail = format!(
            "changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", \
             verb=\"{verb}\" permission: {refused}"
        );
        Some(FieldError::forbidden(&FieldPath::new("status.allocation"), detail))
    }

    /// What a driver says of its devices it says itself: on the node that has them, or with a right to any node.
    fn check_driver(&self, cx: &RequestContext, namespace: &str, driver: &str, node: &str) -> Option<FieldError> {
        let mut prefixes = vec!["arbitrary-node:"];
        if is_on_node(cx, node) {
            prefixes.insert(0, "associated-node:");
        }
        let with = |verb: &str| -> Vec<String> { prefixes.iter().map(|prefix| format!("{prefix}{verb}")).collect() };
        let [shown, other] = VERBS.map(with);
        let asked: Vec<&str> = shown.iter().chain(&other).map(String::as_str).collect();
        let refused = self.refusal(cx, ("driver", namespace, driver), &asked)?;
        let verbs = shown.join(" ");
        let detail = format!(
            "changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[{verbs}]\" permission: {refused}"
        );
        Some(FieldError::forbidden(&FieldPath::new("status.devices"), detail))
    }

    /// Why none of these verbs is allowed on a part of claims, as told for the first of them.
    fn refusal(
        &self,
        cx: &RequestContext,
        (subresource, namespace, name): (&str, &str, &str),
        verbs: &[&str],
    ) -> Option<String> {
        let mut told: Option<(authz::Attributes<'_>, Decision)> = None;
        for verb in verbs {
            let asked = authz::Attributes::resource(&cx.cluster, &cx.user, verb, GROUP, CLAIMS);
            let asked = authz::Attributes { subresource, namespace, name, ..asked };
            let decision = self.authorizer.authorize(&asked);
            if decision.verdict == Verdict::Allow {
                return None;
            }
            told.get_or_insert((asked, decision));
        }
        told.map(|(asked, decision)| forbidden(&asked, &decision).status.message)
    }
}

/// The first request of a claim that asks for the access of an administrator.
fn asked_at(claim_spec: &Value) -> Option<FieldPath> {
    let requests = &claim_spec["devices"];
    let index = list(requests, "requests").iter().position(|request| flag(&request["exactly"], "adminAccess"))?;
    Some(FieldPath::new("spec.devices.requests").index(index).child("adminAccess"))
}

/// The drivers of devices of which something else is said than before.
fn changed_drivers<'a>(new: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    type Identity<'a> = [&'a str; 4];
    fn by_identity(status: &Value) -> BTreeMap<Identity<'_>, &Value> {
        let identity = |device| ["driver", "pool", "device", "shareID"].map(|field| text(device, field));
        list(status, "devices").iter().map(|device| (identity(device), device)).collect()
    }
    let (new, old) = (by_identity(new), by_identity(old));
    let differs = |(identity, device): &(&Identity<'a>, &&Value)| old.get(*identity) != Some(*device);
    let changed = new.iter().filter(differs).map(|(identity, _)| identity[0]);
    let removed = old.keys().filter(|identity| !new.contains_key(*identity)).map(|identity| identity[0]);
    changed.chain(removed).collect()
}

/// The one node that an allocation is for, empty if it may be for others.
fn node_of(allocation: &Value) -> &str {
    let [term] = list(&allocation["nodeSelector"], "nodeSelectorTerms") else { return "" };
    let ([], [field]) = (list(term, "matchExpressions"), list(term, "matchFields")) else { return "" };
    match list(field, "values") {
        [only] if text(field, "key") == "metadata.name" && text(field, "operator") == "In" => {
            only.as_str().unwrap_or_default()
        }
        _ => "",
    }
}

/// Whether the user is a service account that is used on the node.
fn is_on_node(cx: &RequestContext, node: &str) -> bool {
    let used_on = cx.user.extra.get(NODE_NAME).map(Vec::as_slice);
    !node.is_empty()
        && cx.user.name.starts_with("system:serviceaccount:")
        && matches!(used_on, Some([only]) if only == node)
}

impl AdmissionPlugin for DeviceAccess {
    fn name(&self) -> &'static str {
        "DeviceAccess"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let is_new = attributes.operation == Operation::Create && attributes.subresource.is_empty();
        let is_status = attributes.operation == Operation::Update && attributes.subresource == "status";
        ((is_new || is_status) && attributes.concerns(GROUP, CLAIMS))
            || (is_new && attributes.concerns(GROUP, TEMPLATES))
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let Some(new) = object else { return at_once(Ok(())) };
        let field = |object: &'a Object, name: &str| object.get(name).unwrap_or(&NOTHING);
        let namespace = new.namespace();
        let errors: FieldErrors = match old {
            Some(old) => self.check_status(cx, namespace, field(new, "status"), field(old, "status")),
            None => {
                let spec = field(new, "spec");
                let spec = if attributes.concerns(GROUP, CLAIMS) { spec } else { &spec["spec"] };
                self.check_admin(cx, namespace, asked_at(spec)).into_iter().collect()
            }
        };
        at_once(match errors.is_empty() {
            true => Ok(()),
            false => Err(ApiError::invalid(&attributes.kind.group_kind(), new.name(), &errors)),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::Bench;
    use crate::authz::Reason;

    /// Allows one verb on one part of claims.
    struct Only(&'static str, &'static str);

    impl Authorizer for Only {
        fn authorize(&self, asked: &authz::Attributes<'_>) -> Decision {
            let fits = (asked.verb, asked.subresource) == (self.0, self.1) && asked.resource == CLAIMS;
            let verdict = if fits { Verdict::Allow } else { Verdict::NoOpinion };
            Decision { verdict, reason: Reason::none(), error: None }
        }
    }

    fn claim(admin: bool, status: &Value) -> Value {
        let request = json!({"name": "r", "exactly": {"deviceClassName": "c", "adminAccess": admin}});
        json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c", "namespace": "n"},
            "spec": {"devices": {"requests": [request]}}, "status": status})
    }

    #[tokio::test]
    async fn only_labelled_namespaces_get_the_access_of_an_administrator() {
        for (label, admin, fits) in [("true", true, true), ("false", true, false), ("false", false, true)] {
            let bench = Bench::new().await;
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels":
                {(ADMIN_LABEL): label}}});
            bench.put("", "namespaces", namespace).await;
            let plugin = DeviceAccess::new(&bench.store, Arc::new(Only("", "")));
            let outcome = bench.validate(&plugin, claim(admin, &json!({}))).await;
            assert_eq!(outcome.is_ok(), fits, "{label} {admin}: {outcome:?}");
        }
    }

    async fn change(allowed: Only, new: Value, old: Value) -> Result<(), String> {
        let bench = Bench::new().await;
        let plugin = DeviceAccess::new(&bench.store, Arc::new(allowed));
        bench.update(&plugin, "status", claim(false, &old), claim(false, &new)).await
    }

    #[tokio::test]
    async fn parts_of_the_status_need_rights_of_their_own() {
        let allocated = json!({"allocation": {"devices": {}}});
        let told = json!({"allocation": {"devices": {}}, "devices": [{"driver": "d", "pool": "p", "device": "x"}]});
        let none = || Only("", "");
        assert!(change(none(), allocated.clone(), allocated.clone()).await.is_ok());
        assert!(change(Only("patch", "binding"), allocated.clone(), json!({})).await.is_ok());
        assert!(change(Only("arbitrary-node:update", "driver"), told.clone(), allocated.clone()).await.is_ok());
        assert!(change(Only("associated-node:update", "driver"), told.clone(), allocated.clone()).await.is_err());
        let refused = change(none(), allocated.clone(), json!({})).await.expect_err("is refused");
        let expected = "status.allocation: Forbidden: changing status.allocation or status.reservedFor requires \
                        resource=\"resourceclaims/binding\", verb=\"update\" permission: resourceclaims.resource.k8s.io is \
                        forbidden: User \"somebody\" cannot update resource \"resourceclaims/binding\" in API group \
                        \"resource.k8s.io\" at the cluster scope";
        assert!(refused.ends_with(expected), "{refused}");
        let refused = change(none(), told.clone(), allocated).await.expect_err("is refused");
        assert!(
            refused.contains("verb=\"[arbitrary-node:update]\" permission: resourceclaims.resource.k8s.io \"d\" is")
        );
        // What is said of devices goes with them.
        assert!(change(Only("update", "binding"), json!({}), told).await.is_ok());
    }

    #[test]
    fn a_service_account_speaks_for_the_node_it_is_used_on() {
        let selector = |fields: Value| json!({"nodeSelector": {"nodeSelectorTerms": [{"matchFields": fields}]}});
        let one = json!({"key": "metadata.name", "operator": "In", "values": ["n"]});
        assert_eq!(node_of(&selector(json!([one]))), "n");
        assert_eq!(node_of(&selector(json!([one, one]))), "");
        assert_eq!(node_of(&json!({})), "");
        let mut cx = crate::admission::testing::context("one");
        cx.user.name = "system:serviceaccount:n:driver".to_owned();
        cx.user.extra.insert(NODE_NAME.to_owned(), vec!["n".to_owned()]);
        assert!(is_on_node(&cx, "n"));
        assert!(!is_on_node(&cx, "other"));
        assert!(!is_on_node(&cx, ""));
    }
}
