//! Nobody grants more than they hold: the checks on writes of roles and bindings.
//!
//! Called by the resources before a write is stored; the texts are Kubernetes'.

use atoll_api::field::go_quote;
use atoll_api::user::SYSTEM_MASTERS;
use atoll_api::{ApiError, ApiResult, GroupResource, LogicalClusterName, Object, UserInfo, Value};

use super::cover::{Gap, gap};
use super::policy::{GROUP, RoleRef};
use super::rule::{Rule, quote_all};
use super::{BOOTSTRAP_LABEL, Missing, Rbac};
use crate::authz::{Attributes, Authorizer};

/// A create or an update of a role or a binding.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// The logical cluster.
    pub cluster: &'a LogicalClusterName,
    /// Who writes.
    pub user: &'a UserInfo,
    /// The namespace; empty for a `ClusterRole` or `ClusterRoleBinding`.
    pub namespace: &'a str,
    /// The name in the request's path, empty on a create by POST: what the verb `escalate` is checked for.
    pub request_name: &'a str,
    /// What is to be stored.
    pub new: &'a Object,
    /// What is stored, on an update.
    pub old: Option<&'a Object>,
}

// === impl Write ===

impl Write<'_> {
    fn is_master(&self) -> bool {
        self.user.is_in(SYSTEM_MASTERS)
    }

    /// Owner references and finalizers may be changed by those who could not write the rest, for garbage collection.
    fn changes_collection_only(&self) -> bool {
        let Some(old) = self.old else { return false };
        let stripped = |object: &Object| {
            let mut object = object.clone();
            for field in ["ownerReferences", "finalizers", "managedFields"] {
                object.metadata_mut().remove(field);
            }
            object
        };
        stripped(self.new) == stripped(old)
    }

    fn may(&self, authorizer: &dyn Authorizer, verb: &str, group: &str, resource: &str, name: &str) -> bool {
        let asked = Attributes::resource(self.cluster, self.user, verb, group, resource);
        authorizer.authorize(&Attributes { namespace: self.namespace, name, ..asked }).is_allowed()
    }

    fn forbidden(&self, resource: &str, why: &str) -> ApiError {
        ApiError::forbidden(&GroupResource::new(GROUP, resource), self.new.name(), why)
    }
}

// === impl Rbac ===

impl Rbac {
    /// Refuses a role that holds more than its writer, unless the writer has the verb `escalate` on roles.
    ///
    /// `authorizer` is the whole chain, of which this may be a part.
    pub fn check_role_write(&self, authorizer: &dyn Authorizer, write: &Write<'_>) -> ApiResult<()> {
        let resource = if write.namespace.is_empty() { "clusterroles" } else { "roles" };
        if write.is_master()
            || write.may(authorizer, "escalate", GROUP, resource, write.request_name)
            || write.changes_collection_only()
        {
            return Ok(());
        }
        let rules = Rule::parse_all(write.new.get("rules"));
        self.check_held(authorizer, write, resource, &rules)?;
        let gathers = |object: &Object| {
            let selectors = object.at(&["aggregationRule", "clusterRoleSelectors"]);
            selectors.and_then(Value::as_array).is_some_and(|selectors| !selectors.is_empty())
        };
        if resource == "clusterroles" && (gathers(write.new) || write.old.is_some_and(gathers)) {
            // It could gather anything, so everything must be held.
            let held = authorizer.rules_for(write.cluster, write.user, write.namespace).rules;
            if gap(&held, &Rule::everything()).is_some() {
                let why = "must have cluster-admin privileges to use the aggregationRule";
                return Err(write.forbidden(resource, why));
            }
        }
        Ok(())
    }

    /// Refuses a binding to a role that holds more than the binding's writer, unless the writer has the verb `bind` on it.
    pub fn check_binding_write(&self, authorizer: &dyn Authorizer, write: &Write<'_>) -> ApiResult<()> {
        let resource = if write.namespace.is_empty() { "clusterrolebindings" } else { "rolebindings" };
        if write.is_master() || write.changes_collection_only() {
            return Ok(());
        }
        let role_ref = RoleRef::parse(write.new.get("roleRef"));
        let roles = match role_ref.kind.as_str() {
            "ClusterRole" => Some("clusterroles"),
            "Role" => Some("roles"),
            _ => None,
        };
        if roles.is_some_and(|roles| write.may(authorizer, "bind", &role_ref.api_group, roles, &role_ref.name)) {
            return Ok(());
        }
        let rules = self.rules_of(write.cluster, write.namespace, &role_ref).map_err(|missing| match missing {
            // A role of a namespace cannot be looked for without one (registry/store.go, NamespaceKeyFunc).
            Missing::Role { resource: "role", .. } if write.namespace.is_empty() => {
                ApiError::bad_request("Namespace parameter required.")
            }
            // Named as the resource of the request, by whose store Kubernetes words it.
            Missing::Role { name, .. } => ApiError::not_found(&GroupResource::new(GROUP, resource), &name),
            Missing::Kind { .. } => ApiError::internal(missing.to_string()),
        })?;
        self.check_held(authorizer, write, resource, &rules)
    }

    /// Refuses a write of policy that all clusters share, or that is to be shared, by anybody who may not do everything:
    /// it grants in every cluster, whatever its writer holds there.
    pub fn check_shared_write(&self, authorizer: &dyn Authorizer, write: &Write<'_>, resource: &str) -> ApiResult<()> {
        let is_shared = |object: &Object| object.label(BOOTSTRAP_LABEL).is_some();
        if !write.cluster.is_root()
            || !(is_shared(write.new) || write.old.is_some_and(is_shared))
            || write.is_master()
            || write.changes_collection_only()
        {
            return Ok(());
        }
        // At the cluster scope, for what is held in a namespace alone does not count here.
        let held = authorizer.rules_for(write.cluster, write.user, "").rules;
        match gap(&held, &Rule::everything()) {
            None => Ok(()),
            Some(_) => Err(write.forbidden(
                resource,
                &format!(
                    "the label {BOOTSTRAP_LABEL} shares it with all logical clusters, which takes cluster-admin privileges"
                ),
            )),
        }
    }

    fn check_held(
        &self,
        authorizer: &dyn Authorizer,
        write: &Write<'_>,
        resource: &str,
        rules: &[Rule],
    ) -> ApiResult<()> {
        let held = authorizer.rules_for(write.cluster, write.user, write.namespace);
        match gap(&held.rules, rules) {
            None => Ok(()),
            Some(gap) => Err(write.forbidden(resource, &sentence(write.user, &gap, &held.errors))),
        }
    }
}

fn sentence(user: &UserInfo, gap: &Gap, errors: &[String]) -> String {
    let groups = quote_all(user.groups.iter().map(String::as_str));
    let mut text = format!(
        "user {} (groups={groups}) is attempting to grant RBAC permissions not currently held:\n{}",
        go_quote(&user.name),
        gap.lines.join("\n")
    );
    if gap.more {
        text.push_str("\nand more, or too many to compare: grant fewer at a time");
    }
    if !errors.is_empty() {
        text.push_str(&format!("; resolution errors: [{}]", errors.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests;
