//! The 403 that tells what was not allowed, worded as Kubernetes words it.
//!
//! Decides nothing.

use atoll_api::field::go_quote;
use atoll_api::{ApiError, GroupResource};

use super::{Attributes, Decision};

/// The error for a request that no authorizer allowed.
pub fn forbidden(attributes: &Attributes<'_>, decision: &Decision) -> ApiError {
    forbidden_because(attributes, &decision.reason.to_string())
}

/// The error for a request that is refused for a reason in words, which may be empty.
pub fn forbidden_because(attributes: &Attributes<'_>, reason: &str) -> ApiError {
    let mut text = sanitize(&sentence(attributes));
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    ApiError::forbidden(&GroupResource::new(attributes.group, attributes.resource), attributes.name, &text)
}

fn sentence(attributes: &Attributes<'_>) -> String {
    let user = go_quote(&attributes.user.name);
    let verb = attributes.verb;
    if !attributes.is_resource {
        return format!("User {user} cannot {verb} path {}", go_quote(attributes.path));
    }
    let resource = match attributes.subresource {
        "" => go_quote(attributes.resource),
        subresource => go_quote(&format!("{}/{subresource}", attributes.resource)),
    };
    let place = match attributes.namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {}", go_quote(namespace)),
    };
    format!("User {user} cannot {verb} resource {resource} in API group {} {place}", go_quote(attributes.group))
}

/// Nothing that a browser would take for markup.
fn sanitize(text: &str) -> String {
    if text.contains(['&', '<', '>']) {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use atoll_api::{LogicalClusterName, UserInfo};

    use super::*;

    fn check(change: impl FnOnce(&mut Attributes<'_>), reason: &str, expected: &str) {
        let cluster = LogicalClusterName::root();
        let user = UserInfo::named("bob", [""; 0]);
        let mut attributes = Attributes::resource(&cluster, &user, "list", "", "configmaps");
        change(&mut attributes);
        let error = forbidden_because(&attributes, reason);
        assert_eq!(error.status.message, expected);
        assert_eq!(error.status.code, 403);
    }

    #[test]
    fn refusals_name_user_verb_resource_group_and_place() {
        check(
            |a| a.namespace = "x",
            "",
            r#"configmaps is forbidden: User "bob" cannot list resource "configmaps" in API group "" in the namespace "x""#,
        );
        check(
            |a| (a.group, a.resource, a.subresource, a.name) = ("apps", "deployments", "scale", "d"),
            r#"RBAC: clusterrole.rbac.authorization.k8s.io "r" not found"#,
            r#"deployments.apps "d" is forbidden: User "bob" cannot list resource "deployments/scale" in API group "apps" at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "r" not found"#,
        );
        check(
            |a| (a.is_resource, a.resource, a.verb, a.path) = (false, "", "get", "/a<b>&\"c"),
            "",
            r#"forbidden: User "bob" cannot get path "/a&lt;b&gt;&amp;\"c""#,
        );
    }
}
