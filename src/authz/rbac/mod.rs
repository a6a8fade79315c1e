//! Role-based access control: what a logical cluster's roles and bindings, and those all clusters share, allow.
//!
//! Keeps nothing for a cluster: policy is read from its source at every decision.

use std::ops::ControlFlow;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use atoll_api::field::go_quote;
use atoll_api::{LogicalClusterName, UserInfo};

use super::{Attributes, Authorizer, Decision, Reason, RuleList, join_errors};

mod aggregation;
mod cover;
mod escalation;
#[cfg(test)]
pub(crate) mod fake;
mod policy;
mod rule;
mod underlay;

pub use aggregation::gather_rules;
pub use escalation::Write;
pub use policy::{Binding, GROUP, PolicySource, Role, RoleRef, Subject};
pub use rule::Rule;
pub use underlay::{BOOTSTRAP_LABEL, Key, Underlay, bootstrap_objects};

/// Decides by roles and bindings.
pub struct Rbac {
    source: Arc<dyn PolicySource>,
    /// Read from the shipped manifests at the first decision, unless the server has set another before.
    underlay: ArcSwapOption<Underlay>,
}

/// Why the role a binding refers to cannot be resolved, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// There is no such role.
    #[error("{resource}.{GROUP} {} not found", go_quote(name))]
    Role {
        /// `role` or `clusterrole`.
        resource: &'static str,
        /// The name in the binding.
        name: String,
    },
    /// The binding names a kind that is no role.
    #[error("unsupported role reference kind: {}", go_quote(kind))]
    Kind {
        /// The kind.
        kind: String,
    },
}

/// A role a binding refers to, with the roles of its cluster that extend it.
struct Granted {
    role: Arc<Role>,
    extensions: Vec<Arc<Role>>,
}

// === impl Rbac ===

impl Rbac {
    /// Decides by what `source` tells of each cluster, over the bootstrap policy.
    pub fn new(source: Arc<dyn PolicySource>) -> Self {
        Self { source, underlay: ArcSwapOption::empty() }
    }

    /// The shared roles and bindings.
    pub fn underlay(&self) -> Arc<Underlay> {
        if let Some(underlay) = self.underlay.load_full() {
            return underlay;
        }
        let underlay = Underlay::bootstrap();
        self.underlay.store(Some(Arc::clone(&underlay)));
        underlay
    }

    /// Replaces the shared roles and bindings, after the system cluster changed them.
    pub fn set_underlay(&self, underlay: Arc<Underlay>) {
        self.underlay.store(Some(underlay));
    }

    /// The rules of the role that a binding in `namespace` (empty: a `ClusterRoleBinding`) refers to.
    pub fn rules_of(
        &self,
        cluster: &LogicalClusterName,
        namespace: &str,
        role_ref: &RoleRef,
    ) -> Result<Vec<Rule>, Missing> {
        let granted = self.granted(&self.underlay(), cluster, namespace, role_ref)?;
        let roles = std::iter::once(&granted.role).chain(&granted.extensions);
        Ok(roles.flat_map(|role| role.rules.iter().cloned()).collect())
    }

    /// Shows `rule` every rule that applies to the user, until it breaks off; gives back what could not be resolved.
    fn each_rule(
        &self,
        cluster: &LogicalClusterName,
        user: &UserInfo,
        namespace: &str,
        mut rule: impl FnMut(&Arc<Binding>, usize, &Rule) -> ControlFlow<()>,
    ) -> Vec<String> {
        let underlay = self.underlay();
        let mut errors = Vec::new();
        let mut visit = |binding: &Arc<Binding>, subject: usize| -> ControlFlow<()> {
            let granted = match self.granted(&underlay, cluster, &binding.namespace, &binding.role_ref) {
                Ok(granted) => granted,
                Err(error) => {
                    errors.push(error.to_string());
                    return ControlFlow::Continue(());
                }
            };
            for role in std::iter::once(&granted.role).chain(&granted.extensions) {
                role.rules.iter().try_for_each(|one| rule(binding, subject, one))?;
            }
            ControlFlow::Continue(())
        };
        let mut all = || -> ControlFlow<()> {
            // What a cluster has made its own holds there instead of what all share.
            let is_among =
                |own: &[Arc<Binding>], shared: &Binding| own.iter().any(|binding| binding.name == shared.name);
            let own = self.source.cluster_role_bindings(cluster);
            for (binding, subject) in underlay.cluster_role_bindings_of(user) {
                if !is_among(&own, binding) {
                    visit(binding, subject)?;
                }
            }
            let mut of_user = |binding: &Arc<Binding>| match binding.subject_of(user) {
                Some(subject) => visit(binding, subject),
                None => ControlFlow::Continue(()),
            };
            own.iter().try_for_each(&mut of_user)?;
            if !namespace.is_empty() {
                let own = self.source.role_bindings(cluster, namespace);
                let shared = underlay.role_bindings(namespace).iter().filter(|binding| !is_among(&own, binding));
                shared.chain(&own).try_for_each(of_user)?;
            }
            ControlFlow::Continue(())
        };
        let _ = all();
        errors
    }

    fn granted(
        &self,
        underlay: &Underlay,
        cluster: &LogicalClusterName,
        namespace: &str,
        role_ref: &RoleRef,
    ) -> Result<Granted, Missing> {
        let name = role_ref.name.as_str();
        let missing = |resource| move || Missing::Role { resource, name: name.to_owned() };
        match role_ref.kind.as_str() {
            // Shared roles come first, so that no cluster can put another meaning on their names.
            "ClusterRole" => match underlay.cluster_role(name) {
                Some(shared) => {
                    let mut extensions = Vec::new();
                    if !shared.extended_by.is_empty() {
                        extensions = self.source.gathered_cluster_roles(cluster);
                        extensions.retain(|role| role.is_gathered_by(&shared.extended_by));
                    }
                    Ok(Granted { role: Arc::clone(&shared.role), extensions })
                }
                None => self.source.cluster_role(cluster, name).map(Granted::alone).ok_or_else(missing("clusterrole")),
            },
            "Role" => {
                let shared = underlay.role(namespace, name).cloned();
                let role = shared.or_else(|| self.source.role(cluster, namespace, name));
                role.map(Granted::alone).ok_or_else(missing("role"))
            }
            kind => Err(Missing::Kind { kind: kind.to_owned() }),
        }
    }
}

impl Granted {
    fn alone(role: Arc<Role>) -> Self {
        Self { role, extensions: Vec::new() }
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut grant = None;
        let errors =
            self.each_rule(attributes.cluster, attributes.user, attributes.namespace, |binding, subject, rule| {
                if rule.allows(attributes) {
                    grant = Some((Arc::clone(binding), subject));
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
        if let Some((binding, subject)) = grant {
            return Decision::allow(Reason::granted(binding, subject));
        }
        Decision::no_opinion(match join_errors(&errors) {
            Some(errors) => Reason::text(format!("RBAC: {errors}")),
            None => Reason::none(),
        })
    }

    fn rules_for(&self, cluster: &LogicalClusterName, user: &UserInfo, namespace: &str) -> RuleList {
        let mut rules = Vec::new();
        let errors = self.each_rule(cluster, user, namespace, |_, _, rule| {
            rules.push(rule.clone());
            ControlFlow::Continue(())
        });
        RuleList { rules, incomplete: false, errors }
    }
}

#[cfg(test)]
mod tests;
