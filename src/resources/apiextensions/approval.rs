//! The approval that definitions in groups of the Kubernetes project need.

use atoll_api::field::go_quote;
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::names::condition;
use crate::resources::read::{field, text};

const ANNOTATION: &str = "api-approved.kubernetes.io";
/// The condition that tells of the approval.
pub(super) const CONDITION: &str = "KubernetesAPIApprovalPolicyConformant";
const WHERE_TO_READ: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Missing,
    /// It begins with `unapproved`.
    Waived,
    /// It is the URL of an approval.
    Given,
    Malformed,
}

/// Checks the approval of a new or changed definition; what an old one lacked, the new one may lack.
pub(super) fn check(errors: &mut FieldErrors, definition: &Object, old: Option<&Object>) {
    if !is_protected(text(&field(definition, "spec")["group"])) {
        return;
    }
    let approval = approval_of(definition);
    if old.is_some_and(|old| approval_of(old) == approval) {
        return;
    }
    let path = FieldPath::new("metadata").child("annotations").key(ANNOTATION);
    let must = format!("protected groups must have approval annotation \"{ANNOTATION}\"");
    match approval {
        Approval::Missing => errors.push(FieldError::required(&path, format!("{must}, {WHERE_TO_READ}"))),
        Approval::Malformed => {
            let given = definition.annotation(ANNOTATION).unwrap_or_default();
            let detail = format!("{must} with either a URL or a reason starting with \"unapproved\", {WHERE_TO_READ}");
            errors.push(FieldError::invalid(&path, &given.into(), detail));
        }
        Approval::Waived | Approval::Given => {}
    }
}

/// What a condition of the definition tells of the approval, if its group needs one (apiapproval controller, 1.36).
pub(super) fn told(definition: &Object, now: &str) -> Option<Value> {
    if !is_protected(text(&field(definition, "spec")["group"])) {
        return None;
    }
    let given = definition.annotation(ANNOTATION).unwrap_or_default();
    let must = format!("protected groups must have approval annotation \"{ANNOTATION}\"");
    let (status, reason, message) = match approval_of(definition) {
        Approval::Missing => ("False", "MissingAnnotation", format!("{must}, {WHERE_TO_READ}")),
        Approval::Malformed => {
            let either = "with either a URL or a reason starting with \"unapproved\"";
            ("False", "InvalidAnnotation", format!("{must} {either}, {WHERE_TO_READ}"))
        }
        Approval::Waived => ("False", "UnapprovedAnnotation", format!("not approved: {}", go_quote(given))),
        Approval::Given => ("True", "ApprovedAnnotation", format!("approved in {given}")),
    };
    Some(condition(CONDITION, status, reason, &message, now))
}

fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|above| above.is_empty() || above.ends_with('.')))
}

fn approval_of(definition: &Object) -> Approval {
    match definition.annotation(ANNOTATION).unwrap_or_default() {
        "" => Approval::Missing,
        waived if waived.starts_with("unapproved") => Approval::Waived,
        url if is_url(url) => Approval::Given,
        _ => Approval::Malformed,
    }
}

/// Whether a text is a URL with a scheme and a host.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme && !host.is_empty() && !host.contains(' ') && !text.chars().any(|c| c.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::{is_protected, is_url};

    #[test]
    fn groups_of_the_project_are_protected_and_others_are_not() {
        for group in ["k8s.io", "x.k8s.io", "a.b.kubernetes.io"] {
            assert!(is_protected(group), "{group}");
        }
        for group in ["xk8s.io", "k8s.io.example.com", "example.com", ""] {
            assert!(!is_protected(group), "{group}");
        }
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        assert!(is_url("https://github.com/x") && is_url("ftp://a"));
        assert!(!is_url("sure") && !is_url("https:///x") && !is_url("://a") && !is_url("/x") && !is_url("a b://c"));
    }
}
