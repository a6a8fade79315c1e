//! Keeps the rules of aggregated ClusterRoles as the union of the rules of those that their selectors match.
//!
//! Only clusters with aggregated roles of their own are looked at; what such a role grants is the authorizer's matter.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use atoll_api::Object;
use atoll_api::selector::LabelSelector;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Failure, Force, Resource, Selection, Server, Shape, cluster_of};
use crate::frame::{ClusterKey, Frame};
use crate::queue::{Next, Queue};
use crate::source::Seen;

const CLUSTER_ROLES: Resource<'static> = Resource { api: "/apis/rbac.authorization.k8s.io/v1", plural: "clusterroles" };
const MANAGER: &str = "clusterrole-aggregation-controller";
const FRAME: Frame =
    Frame { resource: CLUSTER_ROLES, shape: Shape::Full, at_a_time: 4, longest_pause: Duration::from_secs(60) };

/// The names of aggregated roles, by cluster.
type Aggregated = Mutex<HashMap<String, HashSet<String>>>;

/// Runs the controller until told to stop.
pub(crate) async fn run(server: Server, stop: CancellationToken) {
    let aggregated = Aggregated::default();
    // Only clusters with aggregated roles are looked at.
    let notice = |seen, queue: &Queue<ClusterKey>| match seen {
        Seen::Here(role) if !selectors(&role).is_empty() => {
            let mut known = aggregated.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(cluster_of(&role).to_owned()).or_default().insert(role.name().to_owned());
            queue.add(ClusterKey::of(&role));
        }
        Seen::Here(role) | Seen::Gone(role) => {
            forget(&aggregated, &role);
            if aggregated.lock().unwrap_or_else(PoisonError::into_inner).contains_key(cluster_of(&role)) {
                queue.add(ClusterKey::of(&role));
            }
        }
        Seen::Listing | Seen::Listed => {}
    };
    FRAME.run(&server, &stop, notice, |key| aggregate(&server, &aggregated, key)).await;
}

/// Forgets a role that is gone, or aggregates no more.
fn forget(aggregated: &Aggregated, role: &Object) {
    let mut known = aggregated.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(names) = known.get_mut(cluster_of(role)) {
        names.remove(role.name());
        if names.is_empty() {
            known.remove(cluster_of(role));
        }
    }
}

/// Writes the rules of each aggregated role of a cluster that has not got them.
async fn aggregate(server: &Server, aggregated: &Aggregated, key: ClusterKey) -> Answer<Next> {
    let names = aggregated.lock().unwrap_or_else(PoisonError::into_inner).get(&key.0).cloned().unwrap_or_default();
    let cluster = server.cluster(&key.0);
    let mut roles = match cluster.list(&CLUSTER_ROLES.collection(""), Shape::Full, &Selection::all()).await {
        Err(Failure::NoCluster | Failure::NotServed) => return Ok(Next::Done),
        other => other?,
    };
    roles.sort_by(|a, b| a.name().cmp(b.name()));
    for role in roles.iter().filter(|role| names.contains(role.name())) {
        let rules = union(role, &roles);
        if rules_of(role) == rules {
            continue;
        }
        let applied = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": role.name()}, "rules": rules,
        });
        match cluster.apply(&CLUSTER_ROLES.object("", role.name()), &applied, MANAGER, Force::Yes).await {
            Ok(_) | Err(Failure::Absent) => {}
            // Roles that all clusters share cannot be changed in one.
            Err(Failure::Refused(status)) => {
                tracing::debug!(?key, role = role.name(), message = status.message, "not aggregated");
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(Next::Done)
}

/// The rules of all roles that the selectors match, each once, in the order of the roles' names.
fn union(role: &Object, sorted: &[Object]) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    let mut seen = HashSet::new();
    for selector in selectors(role) {
        for other in sorted.iter().filter(|other| other.name() != role.name()) {
            let labels = other.labels();
            if !selector.matches(|key| labels.get(key).copied()) {
                continue;
            }
            for rule in rules_of(other) {
                if seen.insert(rule.to_string()) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}

fn rules_of(role: &Object) -> &[Value] {
    role.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The selectors of a role's aggregation rule; those that cannot be read match nothing.
fn selectors(role: &Object) -> Vec<LabelSelector> {
    let list = role.at(&["aggregationRule", "clusterRoleSelectors"]).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|selector| LabelSelector::from_object(selector).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, label: &str, verb: &str) -> Object {
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}]);
        Object::from_value(json!({"metadata": {"name": name, "labels": {"part": label}}, "rules": rules})).unwrap()
    }

    #[test]
    fn rules_of_matching_roles_are_joined_without_repetition_in_the_order_of_names() {
        let aggregated = Object::from_value(json!({
            "metadata": {"name": "all", "labels": {"part": "yes"}}, "rules": [{"verbs": ["old"]}],
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}, {"matchLabels": {"part": "yes"}}]},
        }))
        .unwrap();
        let roles = [aggregated.clone(), role("b", "yes", "get"), role("c", "no", "list"), role("d", "yes", "get")];
        let rules = union(&aggregated, &roles);
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0]["verbs"], json!(["get"]));
    }

    #[test]
    fn nothing_is_kept_of_clusters_whose_aggregated_roles_are_gone() {
        let aggregated = Aggregated::default();
        let mut part = role("b", "yes", "get");
        part.set_annotation("kcp.io/cluster", "a");
        aggregated.lock().unwrap().entry("a".into()).or_default().insert("b".into());
        forget(&aggregated, &part);
        assert!(aggregated.lock().unwrap().is_empty());
    }
}
