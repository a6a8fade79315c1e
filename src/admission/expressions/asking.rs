//! The authorizer as expressions ask it: about the user who writes, or about a service account.

use atoll_api::user::{ALL_AUTHENTICATED, UserInfo};
use atoll_cel::library::{Check, CheckTarget, Decision, Subject};

use crate::admission::Attributes;
use crate::admission::matching::namespace_of;
use crate::authz::{self, Authorizer, Verdict};
use crate::request::RequestContext;

/// Asks an authorizer on behalf of the expressions about one write.
pub(in crate::admission) struct Asking<'a> {
    pub(in crate::admission) authorizer: &'a dyn Authorizer,
    pub(in crate::admission) cx: &'a RequestContext,
}

impl atoll_cel::library::Authorizer for Asking<'_> {
    fn authorize(&self, check: &Check) -> Decision {
        let account;
        let user = match &check.subject {
            Subject::Requester => &self.cx.user,
            Subject::ServiceAccount { namespace, name } => {
                account = service_account(namespace, name);
                &account
            }
        };
        let cluster = &self.cx.cluster;
        let decision = match &check.target {
            CheckTarget::Path(path) => {
                self.authorizer.authorize(&authz::Attributes::path(cluster, user, &check.verb, path))
            }
            // Selectors are not looked at: who may read all may read some, and the other way round nobody is allowed.
            CheckTarget::Resource { group, resource, subresource, namespace, name, .. } => {
                let asked = authz::Attributes::resource(cluster, user, &check.verb, group, resource);
                self.authorizer.authorize(&authz::Attributes { subresource, namespace, name, ..asked })
            }
        };
        Decision {
            allowed: decision.verdict == Verdict::Allow,
            reason: decision.reason.to_string(),
            error: decision.error,
        }
    }
}

fn service_account(namespace: &str, name: &str) -> UserInfo {
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    let groups = groups.into_iter().chain([ALL_AUTHENTICATED.to_owned()]);
    UserInfo::named(format!("system:serviceaccount:{namespace}:{name}"), groups)
}

/// The resource that a write is about, as `authorizer.requestResource` stands for it.
pub(in crate::admission) fn resource_of(attributes: &Attributes) -> CheckTarget {
    CheckTarget::Resource {
        group: attributes.resource.group.to_string(),
        resource: attributes.resource.resource.to_string(),
        subresource: attributes.subresource.clone(),
        namespace: namespace_of(attributes).to_owned(),
        name: attributes.name.clone(),
        field_selector: String::new(),
        label_selector: String::new(),
    }
}
