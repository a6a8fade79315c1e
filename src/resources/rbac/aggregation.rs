//! ClusterRoles that gather the rules of others hold them before the write that changes them is answered.
//!
//! Kubernetes leaves this to a controller; here it is done at once, under that controller's name and rights.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ClusterScope, LogicalClusterName, Object, UserInfo, Value};
use futures::future::BoxFuture;

use crate::authz::rbac::{Rbac, Role, gather_rules};
use crate::registry::follow::Follower;
use crate::registry::{ObjectName, Registry, Target};
use crate::request::RequestContext;
use crate::storage::{Entry, ListQuery};

/// Under which name Kubernetes' controller writes.
const MANAGER: &str = "clusterrole-aggregation-controller";
/// Roles that gather may be gathered themselves; so often rules are handed on at most.
const ROUNDS: usize = 8;

/// Follows ClusterRoles.
pub(in crate::resources) struct Aggregate {
    pub(in crate::resources) rbac: Arc<Rbac>,
}

/// A stored role, parsed as policy is.
struct Known {
    entry: Arc<Entry>,
    role: Arc<Role>,
}

impl Follower for Aggregate {
    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        registry: &'a Registry,
        target: &'a Target,
        _: &'a ObjectName<'a>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let cx = as_controller(cx);
            // A pass after one that wrote something sees what others have written meanwhile, too.
            for _ in 0..ROUNDS {
                if !self.pass(&cx, registry, target).await {
                    return;
                }
            }
        })
    }
}

impl Aggregate {
    /// Brings every gathering role of the cluster up to date; whether there was one to bring.
    async fn pass(&self, cx: &RequestContext, registry: &Registry, target: &Target) -> bool {
        let roles = roles_of(registry, target, &cx.cluster);
        let mut wrote = false;
        for gatherer in roles.iter().filter(|known| !known.role.gathers.is_empty()) {
            let Ok(stored) = target.read(&gatherer.entry) else { continue };
            if self.gathered(&stored, &gatherer.role, &roles, target).is_some() {
                wrote |= self.write(cx, registry, target, gatherer.entry.name()).await;
            }
            // Many roles gathering from many take long: others' requests are not to wait for that.
            tokio::task::yield_now().await;
        }
        wrote
    }

    async fn write(&self, cx: &RequestContext, registry: &Registry, target: &Target, name: &str) -> bool {
        let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
        let name = ObjectName { namespace: "", name };
        let done = registry.change(cx, target, &name, "", &options, |live| {
            let mut changed = live.clone();
            let roles = roles_of(registry, target, &cx.cluster);
            match self.gathered(live, &Role::parse(live), &roles, target) {
                Some(rules) if rules.is_empty() => changed.0.insert("rules".into(), Value::Null),
                Some(rules) => changed.0.insert("rules".into(), Value::Array(rules)),
                None => None,
            };
            Ok(changed)
        });
        match done.await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(cluster = %cx.cluster, role = name.name, %error, "its rules could not be gathered");
                false
            }
        }
    }

    /// The rules a role is to have, unless it has them.
    fn gathered(&self, stored: &Object, role: &Role, roles: &[Known], target: &Target) -> Option<Vec<Value>> {
        let own = roles.iter().filter(|known| known.role.is_gathered_by(&role.gathers));
        let own: Vec<Object> = own.filter_map(|known| target.read(&known.entry).ok()).collect();
        let underlay = self.rbac.underlay();
        let shared =
            underlay.objects("ClusterRole").filter(|shared| !own.iter().any(|own| own.name() == shared.name()));
        gather_rules(stored, own.iter().chain(shared.map(|shared| &**shared)))
    }
}

/// The stored ClusterRoles of a cluster.
fn roles_of(registry: &Registry, target: &Target, cluster: &LogicalClusterName) -> Vec<Known> {
    let scope = ClusterScope::One(cluster.clone());
    let query = ListQuery::new(&target.descriptor().resource, &scope);
    let entries = registry.store().list(query).map(|page| page.entries).unwrap_or_default();
    let parsed = |entry: &Entry| Role::parse(&serde_json::from_slice(&entry.bytes()).unwrap_or_default());
    entries.into_iter().map(|entry| Known { role: entry.derived(parsed), entry }).collect()
}

/// The controller that does this in Kubernetes; the bootstrap policy lets it write rules it does not hold.
fn as_controller(cx: &RequestContext) -> RequestContext {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    let user = UserInfo::named(format!("system:serviceaccount:kube-system:{MANAGER}"), groups);
    let mut own = RequestContext::new(cx.cluster.clone(), user, cx.now);
    own.cluster_uid.clone_from(&cx.cluster_uid);
    own
}
