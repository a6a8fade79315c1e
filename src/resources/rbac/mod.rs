//! The kinds of `rbac.authorization.k8s.io`.

use serde_json::{Map, Value};

use super::defaults::set;
use super::read::{entry, list, text};

pub(super) mod aggregation;
mod checks;
pub(super) mod clusterrole;
pub(super) mod clusterrolebinding;
pub(super) mod escalation;
pub(super) mod role;
pub(super) mod rolebinding;
pub(super) mod sharing;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The role of a binding is of this group if it names none.
fn binding_defaults(binding: &mut Map<String, Value>) {
    if let Some(role) = binding.get_mut("roleRef").and_then(Value::as_object_mut)
        && text(entry(role, "apiGroup")).is_empty()
    {
        role.insert("apiGroup".into(), GROUP.into());
    }
}

/// Users and groups are of this group, service accounts of the core group.
fn subject_defaults(subject: &mut Map<String, Value>) {
    if matches!(text(entry(subject, "kind")), "User" | "Group") {
        set(subject, "apiGroup", GROUP);
    }
}

/// The users, groups and service accounts of a binding.
fn subjects(binding: &Value) -> [Value; 3] {
    let named = |kind: &str| {
        let of_kind = list(binding).iter().filter(|subject| subject["kind"] == kind);
        let names = of_kind.map(|subject| match kind {
            "ServiceAccount" => format!("{}/{}", text(&subject["namespace"]), text(&subject["name"])),
            _ => text(&subject["name"]).to_owned(),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    [named("User"), named("Group"), named("ServiceAccount")]
}
