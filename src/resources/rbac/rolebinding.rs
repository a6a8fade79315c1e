//! RoleBindings: who has a role in a namespace.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use super::{binding_defaults, checks, subjects};
use crate::registry::resource::{MetadataChecks, NameRule};
use crate::resources::kind::{AGE, Kind, Manners, Underlay, Version, column, wide};
use crate::resources::printing::age;
use crate::resources::read::{field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "rolebindings",
    kind: "RoleBinding",
    versions: &[Version {
        api_version: "rbac.authorization.k8s.io/v1",
        type_name: "rbac.v1.RoleBinding",
        columns: &[
            column("Role", "string", "@rbac.v1.RoleBinding.roleRef"),
            AGE,
            wide("Users", "string", "The users among the subjects."),
            wide("Groups", "string", "The groups among the subjects."),
            wide("ServiceAccounts", "string", "The service accounts among the subjects."),
        ],
        ..Version::BARE
    }],
    name_rule: NameRule::PathSegment,
    manners: Manners { underlay: Underlay::MarkedForChange, ..Manners::CREATE_ON_UPDATE },
    validate_create: |binding, errors| checks::binding(errors, binding, checks::Reach::Namespace),
    validate_update: Some(|binding, old, errors| {
        checks::binding(errors, binding, checks::Reach::Namespace);
        checks::same_role(errors, binding, old);
    }),
    cells,
    type_defaults: &[("rbac.v1.RoleBinding", binding_defaults), ("rbac.v1.Subject", super::subject_defaults)],
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let role = field(object, "roleRef");
    let [users, groups, accounts] = subjects(field(object, "subjects"));
    vec![format!("{}/{}", text(&role["kind"]), text(&role["name"])).into(), age(object, now), users, groups, accounts]
}
