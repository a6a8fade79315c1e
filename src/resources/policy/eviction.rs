//! Evictions: deletions of pods that the budgets for disruptions may refuse (`pods/eviction`).

use std::sync::Arc;

use atoll_api::options::{DeleteOptions, Preconditions, WriteOptions};
use atoll_api::selector::LabelSelector;
use atoll_api::status::Cause;
use atoll_api::{ApiError, ApiResult, ClusterScope, GroupResource, Object, Reason};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::poddisruptionbudget;
use crate::registry::computed::{Call, Computed};
use crate::registry::descriptor::Verb;
use crate::registry::{ObjectName, Target, seconds};
use crate::resources::Builtin;
use crate::resources::core::binding::done;
use crate::resources::kind::{Kind, Version};
use crate::resources::read::{condition, condition_is_true, entries, field, int, is_set, list, strings, text};
use crate::storage::ListQuery;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "evictions",
    kind: "Eviction",
    verbs: &[Verb::Create],
    versions: &[VERSION, Version { api_version: "policy/v1beta1", ..VERSION }],
    ..Kind::NAMESPACED
};

const VERSION: Version = Version { api_version: "policy/v1", type_name: "policy.v1.Eviction", ..Version::BARE };

/// How often an eviction is tried anew because its pod or budget has changed meanwhile.
const ATTEMPTS: usize = 20;
/// How many evictions the controller of budgets may be behind.
const MAX_UNCONFIRMED: usize = 2000;
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// After how many seconds a client whose eviction is refused for now should ask again.
const RETRY_AFTER: u32 = 10;

/// Evicts pods.
pub(in crate::resources) struct Answer {
    versions: [Target; 2],
    budgets: Target,
}

/// What an eviction says of the deletion.
struct Said {
    options: DeleteOptions,
    /// What the client said, if something is wrong with it. Kubernetes looks when it deletes, after the budgets.
    faulty: Option<Value>,
}

/// Whether the pod must still be as it was seen when it is deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deletes {
    /// Yes, whatever the client says.
    Seen,
    /// Yes, if the client does not say how it is to be.
    SeenUnlessSaid,
    /// No.
    Any,
}

impl Answer {
    /// A handler of evictions.
    pub(in crate::resources) fn new() -> Self {
        let evictions: Arc<Builtin> = Builtin::of(&KIND);
        let budgets = Target::new(Builtin::of(&poddisruptionbudget::KIND), 0);
        Self { versions: [Target::new(evictions.clone(), 0), Target::new(evictions, 1)], budgets }
    }

    async fn evict(&self, call: Call<'_>) -> ApiResult<Object> {
        let older = call.body.value["apiVersion"] == "policy/v1beta1";
        let eviction = call.sent(&self.versions[usize::from(older)]).await?;
        if eviction.name() != call.name {
            return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
        }
        let options = Said::read(field(&eviction, "deleteOptions"), call.options.dry_run)?;
        let name = call.object_name();
        for attempt in 1..=ATTEMPTS {
            let pod = call.registry.get_object(call.cx, call.target, &name)?;
            if !ignores_budgets(&pod) {
                return self.within_budget(&call, &pod, &options).await;
            }
            let deletes = if is_ending(&pod) { Deletes::Any } else { Deletes::SeenUnlessSaid };
            match delete(&call, &pod, &options, deletes).await {
                Ok(()) => return Ok(done()),
                Err(error) if error.reason() == Reason::Conflict && !options.names_version() && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::modified(&call.target.shown(), call.name))
    }

    /// Evicts a pod that may count for a budget.
    async fn within_budget(&self, call: &Call<'_>, pod: &Object, said: &Said) -> ApiResult<Object> {
        let budgets = self.budgets_of(call, pod)?;
        let budget = match budgets.as_slice() {
            [] => {
                delete(call, pod, said, Deletes::Any).await?;
                return Ok(done());
            }
            [budget] => budget,
            _ => return Ok(too_many_budgets()),
        };
        let mut deletes = Deletes::Any;
        if goes_unguarded(pod, budget) {
            // The pod must not have become ready since it was looked at.
            deletes = Deletes::Seen;
        } else {
            let name = ObjectName { namespace: call.namespace, name: budget.name() };
            let options = WriteOptions {
                dry_run: said.options.dry_run,
                field_manager: "kube-apiserver".to_owned(),
                ..call.options.clone()
            };
            let make = |budget: &Object| with_one_less(budget, pod.name(), call.cx.now);
            call.registry.change(call.cx, &self.budgets, &name, "status", &options, make).await?;
        }
        match delete(call, pod, said, deletes).await {
            Err(error) if error.reason() == Reason::Conflict && deletes == Deletes::Seen && !said.names_version() => {
                Err(still_processed(budget.name()))
            }
            deleted => deleted.map(|()| done()),
        }
    }

    /// The budgets that a pod counts for.
    fn budgets_of(&self, call: &Call<'_>, pod: &Object) -> ApiResult<Vec<Object>> {
        let scope = ClusterScope::One(call.cx.cluster.clone());
        let resource = &self.budgets.descriptor().resource;
        let query = ListQuery { namespace: Some(call.namespace), ..ListQuery::new(resource, &scope) };
        let page = call
            .registry
            .store()
            .list(query)
            .map_err(|error| ApiError::internal("budgets cannot be read").caused_by(error))?;
        let mut budgets = Vec::new();
        for entry in &page.entries {
            let budget = self.budgets.read(entry)?;
            let selector = LabelSelector::from_object(&field(&budget, "spec")["selector"]);
            // A selector that selects everything, or cannot be read, guards nothing.
            if selector.is_ok_and(|selector| !selector.is_everything() && selector.matches_object(pod)) {
                budgets.push(budget);
            }
        }
        Ok(budgets)
    }
}

impl Computed for Answer {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(self.evict(call))
    }
}

async fn delete(call: &Call<'_>, pod: &Object, said: &Said, deletes: Deletes) -> ApiResult<()> {
    let mut options = said.options.clone();
    if deletes == Deletes::Seen || (deletes == Deletes::SeenUnlessSaid && !said.names_version()) {
        let others = options.preconditions.take().unwrap_or_default();
        let resource_version = Some(pod.resource_version().to_owned());
        options.preconditions = Some(Preconditions { resource_version, ..others });
    }
    if !options.dry_run {
        let marked = mark(call, options.preconditions.as_ref()).await?;
        if let Some(preconditions) = options.preconditions.as_mut().filter(|given| given.resource_version.is_some()) {
            preconditions.resource_version = Some(marked.resource_version().to_owned());
        }
    }
    if let Some(faulty) = &said.faulty {
        DeleteOptions::from_body(faulty)?;
    }
    call.registry.delete(call.cx, call.target, &call.object_name(), &options).await.map(|_| ())
}

/// Tells in the pod's status that it is evicted, for whoever sees it end.
async fn mark(call: &Call<'_>, preconditions: Option<&Preconditions>) -> ApiResult<Object> {
    let now = call.cx.now;
    let make = |pod: &Object| {
        check_preconditions(pod, preconditions)?;
        let mut pod = pod.clone();
        let status = pod.map_mut("status");
        let mut conditions = status.get("conditions").map(|conditions| list(conditions).to_vec()).unwrap_or_default();
        let at = conditions.iter().position(|condition| text(&condition["type"]) == "DisruptionTarget");
        let since = at.map(|at| &conditions[at]).filter(|was| was["status"] == "True");
        let since = since.map_or_else(|| seconds(now).into(), |was| was["lastTransitionTime"].clone());
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": since,
        });
        match at {
            Some(at) => conditions[at] = condition,
            None => conditions.push(condition),
        }
        status.insert("conditions".into(), conditions.into());
        Ok(pod)
    };
    let options = WriteOptions { dry_run: false, ..call.options.clone() };
    call.registry.change_unnoticed(call.cx, call.target, &call.object_name(), &options, make).await?.object()
}

/// What the deletion would find wrong (pod/storage/eviction.go, `addConditionAndDeletePod`).
fn check_preconditions(pod: &Object, preconditions: Option<&Preconditions>) -> ApiResult<()> {
    let Some(given) = preconditions else { return Ok(()) };
    let conflict = |why: String| Err(ApiError::conflict(&GroupResource::new("", "Pod"), pod.name(), &why));
    if let Some(uid) = given.uid.as_deref().filter(|uid| !uid.is_empty() && *uid != pod.uid()) {
        let record = pod.uid();
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({record}). The object might have been deleted and then recreated"
        ));
    }
    let version = given.resource_version.as_deref();
    if let Some(version) = version.filter(|version| !version.is_empty() && *version != pod.resource_version()) {
        let record = pod.resource_version();
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({record}). The object might have been modified"
        ));
    }
    Ok(())
}

// === impl Said ===

impl Said {
    fn read(said: &Value, asked_to_try: bool) -> ApiResult<Self> {
        if !is_set(said) {
            return Ok(Self {
                options: DeleteOptions { dry_run: asked_to_try, ..DeleteOptions::default() },
                faulty: None,
            });
        }
        let dry_run = strings(&said["dryRun"]);
        if asked_to_try && !dry_run.is_empty() && dry_run != ["All"] {
            let why = format!("Non-matching dry-run options in request and content: [All] and [{}]", dry_run.join(" "));
            return Err(ApiError::new(Reason::Unknown, why));
        }
        let (mut options, faulty) = match DeleteOptions::from_body(said) {
            Ok(options) => (options, None),
            Err(_) => {
                let mut rest = said.as_object().cloned().unwrap_or_default();
                for field in ["propagationPolicy", "orphanDependents", "dryRun"] {
                    rest.remove(field);
                }
                (DeleteOptions::from_body(&rest.into())?, Some(said.clone()))
            }
        };
        options.dry_run = asked_to_try || !dry_run.is_empty();
        Ok(Self { options, faulty })
    }

    fn names_version(&self) -> bool {
        self.options.preconditions.as_ref().is_some_and(|preconditions| preconditions.resource_version.is_some())
    }
}

fn is_ending(pod: &Object) -> bool {
    matches!(pod.text_at(&["status", "phase"]), "Succeeded" | "Failed") || pod.deletion_timestamp().is_some()
}

/// A pod that does not run, or is going anyway, disturbs nobody by going.
fn ignores_budgets(pod: &Object) -> bool {
    is_ending(pod) || pod.text_at(&["status", "phase"]) == "Pending"
}

/// Whether a pod may go because it counts for nothing: it is not ready, and there are enough others or the budget does
/// not mind.
fn goes_unguarded(pod: &Object, budget: &Object) -> bool {
    if condition_is_true(&field(pod, "status")["conditions"], "Ready") {
        return false;
    }
    let status = field(budget, "status");
    let (healthy, desired) = (int(&status["currentHealthy"]), int(&status["desiredHealthy"]));
    field(budget, "spec")["unhealthyPodEvictionPolicy"] == "AlwaysAllow" || (healthy >= desired && desired > 0)
}

/// The budget after one more pod is allowed to go.
fn with_one_less(budget: &Object, pod: &str, now: Timestamp) -> ApiResult<Object> {
    let status = field(budget, "status");
    let forbidden =
        |why: &str| ApiError::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), budget.name(), why);
    if int(&status["observedGeneration"]) < budget.generation() {
        return Err(still_processed(budget.name()));
    }
    let left = match int(&status["disruptionsAllowed"]) {
        ..0 => return Err(forbidden("pdb disruptions allowed is negative")),
        _ if entries(&status["disruptedPods"]).count() > MAX_UNCONFIRMED => {
            let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            return Err(forbidden(why));
        }
        0 => return Err(used_up(budget.name(), status)),
        allowed => allowed - 1,
    };
    let mut budget = budget.clone();
    let generation = budget.generation();
    let status = budget.map_mut("status");
    status.insert("disruptionsAllowed".into(), left.into());
    if left == 0 {
        say_insufficient(status, generation, now);
    }
    let mut pods = status.get("disruptedPods").and_then(Value::as_object).cloned().unwrap_or_default();
    pods.insert(pod.to_owned(), seconds(now).into());
    status.insert("disruptedPods".into(), pods.into());
    Ok(budget)
}

/// The condition of a budget that allows no more.
fn say_insufficient(status: &mut Map<String, Value>, generation: i64, now: Timestamp) {
    let mut conditions = status.get("conditions").map(|conditions| list(conditions).to_vec()).unwrap_or_default();
    let at = conditions.iter().position(|condition| text(&condition["type"]) == "DisruptionAllowed");
    let since = at.map(|at| &conditions[at]).filter(|was| was["status"] == "False");
    let since = since.map_or_else(|| seconds(now).into(), |was| was["lastTransitionTime"].clone());
    let condition = json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
        "observedGeneration": generation, "lastTransitionTime": since,
    });
    match at {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
    status.insert("conditions".into(), conditions.into());
}

fn refused(message: String, seconds: u32) -> ApiError {
    let mut error = ApiError::too_many_requests(REFUSED, seconds);
    let cause = Cause { reason: "DisruptionBudget".to_owned(), message, field: String::new() };
    error.status.details.get_or_insert_default().causes.push(cause);
    error
}

fn still_processed(budget: &str) -> ApiError {
    refused(format!("The disruption budget {budget} is still being processed by the server."), RETRY_AFTER)
}

fn used_up(budget: &str, status: &Value) -> ApiError {
    let (needed, has) = (int(&status["desiredHealthy"]), int(&status["currentHealthy"]));
    let told = condition(&status["conditions"], "DisruptionAllowed")
        .filter(|told| told["status"] == "False" && !text(&told["message"]).is_empty())
        .map(|told| (text(&told["reason"]), text(&told["message"])));
    let why = match told {
        // What the status counts is not to be trusted then.
        Some(("SyncFailed", why)) => {
            format!("does not allow evicting pods currently because it failed sync: {why}")
        }
        _ if has <= needed => format!("needs {needed} healthy pods and has {has} currently"),
        Some((reason, why)) => format!("does not allow evicting pods currently ({reason}): {why}"),
        None => "does not allow evicting pods currently".to_owned(),
    };
    refused(format!("The disruption budget {budget} {why}"), 0)
}

/// Kubernetes gives this as what the creation made (pod/storage/eviction.go).
fn too_many_budgets() -> Object {
    let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": 500,
    });
    Object::from_value(status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(generation: i64, status: Value, expected: Result<i64, (u16, &str)>) {
        let budget = json!({"metadata": {"name": "b", "generation": generation}, "status": status});
        let budget = Object::from_value(budget).expect("an object");
        let after = with_one_less(&budget, "p", Timestamp::UNIX_EPOCH);
        let shown = after.as_ref().map(|budget| int(&field(budget, "status")["disruptionsAllowed"]));
        let cause = |error: &ApiError| {
            let details = error.status.details.clone().unwrap_or_default();
            details.causes.first().map_or(error.status.message.clone(), |cause| cause.message.clone())
        };
        let causes = after.as_ref().err().map(|error| (error.status.code, cause(error)));
        match expected {
            Ok(left) => assert_eq!(shown.ok(), Some(left)),
            Err((code, why)) => assert_eq!(causes, Some((code, why.to_owned()))),
        }
    }

    #[test]
    fn a_budget_lets_pods_go_until_it_is_used_up() {
        check(1, json!({"observedGeneration": 1, "disruptionsAllowed": 2}), Ok(1));
        check(1, json!({"observedGeneration": 1, "disruptionsAllowed": 1}), Ok(0));
        let used_up = json!({"observedGeneration": 1, "desiredHealthy": 2, "currentHealthy": 1});
        check(1, used_up, Err((429, "The disruption budget b needs 2 healthy pods and has 1 currently")));
        let behind = "The disruption budget b is still being processed by the server.";
        check(2, json!({"observedGeneration": 1, "disruptionsAllowed": 1}), Err((429, behind)));
        let failed = |reason: &str, current: i64| {
            let condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": reason, "message": "m"});
            json!({"observedGeneration": 1, "desiredHealthy": 2, "currentHealthy": current, "conditions": [condition]})
        };
        let why = "The disruption budget b does not allow evicting pods currently because it failed sync: m";
        check(1, failed("SyncFailed", 1), Err((429, why)));
        let why = "The disruption budget b does not allow evicting pods currently (Other): m";
        check(1, failed("Other", 3), Err((429, why)));
        check(1, failed("Other", 2), Err((429, "The disruption budget b needs 2 healthy pods and has 2 currently")));
        let negative = "poddisruptionbudget.policy \"b\" is forbidden: pdb disruptions allowed is negative";
        check(1, json!({"observedGeneration": 1, "disruptionsAllowed": -1}), Err((403, negative)));
    }
}
