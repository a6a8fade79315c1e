//! Workspaces: the objects by which users own logical clusters. They live in the system cluster.
//!
//! A workspace's cluster answers as soon as its creation does, and is gone for clients as soon as its deletion begins;
//! emptying it is the reaper's work.

use atoll_api::user::SYSTEM_MASTERS;
use atoll_api::{FieldError, FieldErrors, FieldPath, GroupResource, LogicalClusterName, Object, UserInfo};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::authz::rbac;
use crate::registry::descriptor::Verb;
use crate::registry::namespace::new_namespace;
use crate::registry::resource::{Companion, NameRule};
use crate::request::RequestContext;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::sets;
use crate::storage::CLOSED_LABEL;
use crate::tenancy::{MOVING_LABEL, OWNER_BINDING, Stage};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "workspaces",
    kind: "Workspace",
    short_names: &["ws"],
    categories: &["kcp"],
    versions: &[Version {
        api_version: "tenancy.kcp.io/v1alpha1",
        type_name: "tenancy.v1alpha1.Workspace",
        columns: &[
            column("Type", "string", "The type of the workspace."),
            column("Phase", "string", "Whether the workspace is usable."),
            column("URL", "string", "Where the workspace's logical cluster is served."),
            AGE,
        ],
        subresources: &[
            SubresourceSpec::Status,
            SubresourceSpec::Other("token", "authentication.atoll.dev/v1alpha1", "UserTokenRequest", &[Verb::Create]),
            SubresourceSpec::Other("restore", "tenancy.atoll.dev/v1alpha1", "RestoreRequest", &[Verb::Create]),
        ],
        ..Version::BARE
    }],
    name_rule: NameRule::Label,
    manners: Manners::RETURNS_DELETED,
    prepare_create,
    prepare_update,
    prepare_status_update,
    validate_create,
    cells,
    companions,
    holds_deleted: |_| true,
    prepare_deletion: |workspace, _| {
        workspace.map_mut("status").insert("phase".into(), "Terminating".into());
    },
    ..Kind::CLUSTER
};

fn prepare_create(workspace: &mut Object) {
    let name = workspace.name().to_owned();
    let spec = workspace.map_mut("spec");
    spec.insert("cluster".into(), name.clone().into());
    spec.insert("URL".into(), format!("/clusters/{name}").into());
    // What has a source is seen when all is there.
    let stage = if workspace.at(&["spec", "source"]).is_some() { Stage::Making } else { Stage::Ready };
    stage.set(workspace);
}

fn prepare_update(workspace: &mut Object, old: &Object) {
    for field in ["cluster", "URL", "source"] {
        keep(workspace, old, "spec", field);
    }
    for label in [CLOSED_LABEL, MOVING_LABEL] {
        match old.label(label) {
            Some(value) => workspace.set_label(label, value),
            None => {
                let labels = workspace.metadata_mut().get_mut("labels").and_then(Value::as_object_mut);
                labels.map(|labels| labels.remove(label));
            }
        }
    }
}

/// Nobody says but the server how far a cluster is.
fn prepare_status_update(workspace: &mut Object, old: &Object) {
    for field in ["phase", "content", "restore"] {
        keep(workspace, old, "status", field);
    }
}

fn keep(workspace: &mut Object, old: &Object, part: &str, field: &str) {
    match old.at(&[part, field]).cloned() {
        Some(value) => workspace.map_mut(part).insert(field.into(), value),
        None => workspace.map_mut(part).remove(field),
    };
}

fn validate_create(workspace: &Object, errors: &mut FieldErrors) {
    let path = FieldPath::new("metadata.name");
    if LogicalClusterName::parse(workspace.name()).is_ok_and(|name| name.is_root()) {
        errors.push(FieldError::invalid(&path, &"root".into(), "the system cluster has this name"));
    }
    validate_source(workspace, errors);
    let path = FieldPath::new("spec.resources");
    let names = workspace.at(&["spec", "resources"]).and_then(Value::as_array);
    for (index, name) in names.into_iter().flatten().enumerate() {
        if let Some(Err(error)) = name.as_str().map(sets::check) {
            errors.push(FieldError::invalid(&path.index(index), name, error.to_string()));
        }
    }
}

fn validate_source(workspace: &Object, errors: &mut FieldErrors) {
    let Some(source) = workspace.at(&["spec", "source"]) else { return };
    let path = FieldPath::new("spec.source");
    let text = |field: &str| source[field].as_str().unwrap_or_default();
    match (text("cluster"), text("snapshot")) {
        ("", "") => errors.push(FieldError::required(&path.child("cluster"), "name the logical cluster to copy")),
        ("", _) if source["move"] == true => {
            errors.push(FieldError::invalid(
                &path.child("move"),
                &true.into(),
                "only a logical cluster can be renamed",
            ));
        }
        ("", _) => {}
        (cluster, "") => {
            let fault = match LogicalClusterName::parse(cluster) {
                Ok(name) if name.is_root() => Some("the system cluster cannot be copied".to_owned()),
                Ok(name) if name.as_str() == workspace.name() => Some("it is this logical cluster itself".to_owned()),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            };
            errors.extend(fault.map(|why| FieldError::invalid(&path.child("cluster"), &source["cluster"], why)));
        }
        _ => errors.push(FieldError::invalid(&path, source, "name a cluster or a snapshot, not both")),
    }
}

/// What a new cluster begins with: the namespace clients use when they name none, and the rights of whoever makes it.
fn companions(cx: &RequestContext, workspace: &Object) -> Vec<Companion> {
    let Ok(cluster) = LogicalClusterName::parse(workspace.name()) else { return Vec::new() };
    let created = workspace.meta("creationTimestamp");
    let mut companions = Vec::new();
    // A copy has the namespaces of its source.
    if workspace.at(&["spec", "source"]).is_none() {
        companions.push(default_namespace(cluster.clone(), created));
    }
    if is_known_everywhere(&cx.user) {
        companions.push(owner_binding(cluster, &cx.user, created));
    }
    companions
}

/// Whether a user of the system cluster is the same in a new cluster. The administrators need no rights of their own
/// there; and a service account or other name of the system's would be somebody else, whom the tenant could make.
pub(super) fn is_known_everywhere(user: &UserInfo) -> bool {
    !user.is_in(SYSTEM_MASTERS) && !user.name.is_empty() && !user.name.starts_with("system:")
}

fn default_namespace(cluster: LogicalClusterName, created: &str) -> Companion {
    Companion { resource: GroupResource::new("", "namespaces"), cluster, object: new_namespace("default", created) }
}

fn owner_binding(cluster: LogicalClusterName, owner: &UserInfo, created: &str) -> Companion {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": OWNER_BINDING, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": created},
        "roleRef": {"apiGroup": rbac::GROUP, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": rbac::GROUP, "kind": "User", "name": owner.name}],
    });
    let object = Object::from_value(binding).unwrap_or_default();
    Companion { resource: GroupResource::new(rbac::GROUP, "clusterrolebindings"), cluster, object }
}

fn cells(workspace: &Object, now: Timestamp) -> Vec<Value> {
    let text = |path: &[&str]| Value::from(workspace.text_at(path));
    vec![text(&["spec", "type", "name"]), text(&["status", "phase"]), text(&["spec", "URL"]), age(workspace, now)]
}
