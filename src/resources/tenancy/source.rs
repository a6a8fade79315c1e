//! Who may make a logical cluster, or a snapshot, out of another: whoever may create workspaces or snapshots, and read all
//! of the source.
//!
//! That is who may `get` its `workspaces/content` in the system cluster (of a snapshot: `clustersnapshots/content`), or
//! somebody who is the same everywhere and may get, list and watch everything in the source. What is copied is bound here to
//! the source's uid, so that a later cluster of the same name is not copied in its place.

use std::sync::Arc;

use atoll_api::user::SYSTEM_MASTERS;
use atoll_api::{ApiError, ApiResult, FieldError, FieldPath, GroupKind, LogicalClusterName, Object, UserInfo};
use futures::future::BoxFuture;
use serde_json::Value;

use super::workspace::is_known_everywhere;
use crate::admission::{AdmissionPlugin, Attributes, Operation};
use crate::authz::{self, Authorizer};
use crate::request::RequestContext;
use crate::storage::Store;
use crate::tenancy::snapshot::{self, SNAPSHOT_GROUP, Snapshot, snapshots};
use crate::tenancy::{self, Cluster, Clusters, TENANCY_GROUP, WORKSPACES};

/// What must be allowed everywhere in a cluster to whoever copies it.
const READING: [&str; 3] = ["get", "list", "watch"];
const SNAPSHOTS: &str = "clustersnapshots";

/// Decides about the sources of workspaces.
pub(in crate::resources) struct MayCopy {
    pub(in crate::resources) authorizer: Arc<dyn Authorizer>,
    pub(in crate::resources) clusters: Arc<Clusters>,
    pub(in crate::resources) store: Arc<Store>,
}

impl MayCopy {
    fn check(&self, cx: &RequestContext, attributes: &Attributes, object: &mut Object) -> ApiResult<()> {
        // A tenant's own kind of that name says nothing of clusters.
        if !cx.cluster.is_root() {
            return Ok(());
        }
        if attributes.resource.group_resource() == snapshots() {
            return self.check_snapshot(cx, attributes, object);
        }
        match object.text_at(&["spec", "source", "snapshot"]) {
            "" => self.check_cluster(cx, attributes, object),
            _ => self.check_from_snapshot(cx, attributes, object),
        }
    }

    /// A snapshot of a cluster.
    fn check_snapshot(&self, cx: &RequestContext, attributes: &Attributes, snapshot: &mut Object) -> ApiResult<()> {
        let Ok(name) = LogicalClusterName::parse(snapshot.text_at(&["spec", "cluster"])) else { return Ok(()) };
        if name.is_root() {
            return Ok(());
        }
        let source = self.readable(&cx.user, &name).map_err(|why| match why {
            Unreadable::Forbidden => attributes.forbidden(Some(snapshot), &not_readable(&cx.user, &name)),
            Unreadable::Missing => {
                let path = FieldPath::new("spec.cluster");
                let fault = FieldError::invalid(&path, &name.as_str().into(), "there is no such logical cluster");
                fault_of(SNAPSHOT_GROUP, "ClusterSnapshot", snapshot, fault)
            }
        })?;
        snapshot.map_mut("spec").insert("uid".into(), source.uid.as_str().into());
        Ok(())
    }

    /// A workspace whose cluster is to hold what a snapshot does.
    fn check_from_snapshot(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        workspace: &mut Object,
    ) -> ApiResult<()> {
        let named = workspace.text_at(&["spec", "source", "snapshot"]).to_owned();
        let root = LogicalClusterName::root();
        let content = authz::Attributes::resource(&root, &cx.user, "get", SNAPSHOT_GROUP, SNAPSHOTS);
        let content = authz::Attributes { subresource: "content", name: &named, ..content };
        let by_right = self.authorizer.authorize(&content).is_allowed();
        let found = Snapshot::read(&self.store, &named);
        if !by_right && !found.as_ref().is_some_and(|found| self.is_of_own_cluster(&cx.user, found)) {
            let why = format!(
                "User {:?} cannot use the snapshot {named:?}: that needs the right to get its clustersnapshots/content, or to get, list and watch everything in its logical cluster",
                cx.user.name
            );
            return Err(attributes.forbidden(Some(workspace), &why));
        }
        let Some(snapshot) = found.filter(Snapshot::is_ready) else {
            return Err(invalid(workspace, "snapshot", "there is no such snapshot that is complete"));
        };
        let serves = workspace.at(&["spec", "resources"]).cloned().or_else(|| {
            let of = snapshot::workspace_of(snapshot.content(&self.store).ok()?).ok()?;
            of.at(&["spec", "resources"]).cloned()
        });
        let spec = workspace.map_mut("spec");
        if let Some(field) = spec.get_mut("source").and_then(Value::as_object_mut) {
            field.insert("uid".into(), snapshot.uid().into());
        }
        serves.map(|serves| spec.insert("resources".into(), serves));
        Ok(())
    }

    /// Whether a snapshot is of a cluster that is still there, and of which the user may read everything.
    fn is_of_own_cluster(&self, user: &UserInfo, snapshot: &Snapshot) -> bool {
        let of = |field: &str| snapshot.object.text_at(&["status", "cluster", field]);
        let Ok(name) = LogicalClusterName::parse(of("name")) else { return false };
        let same = self.clusters.find(&name).is_some_and(|cluster| cluster.uid.as_str() == of("uid"));
        same && self.reads_everything(user, &name)
    }

    /// A workspace whose cluster is to hold what another one does.
    fn check_cluster(&self, cx: &RequestContext, attributes: &Attributes, workspace: &mut Object) -> ApiResult<()> {
        let named = workspace.text_at(&["spec", "source", "cluster"]).to_owned();
        // What is wrong with it otherwise is told by the kind.
        let Ok(name) = LogicalClusterName::parse(&named) else { return Ok(()) };
        if name.is_root() {
            return Ok(());
        }
        let source = self.readable(&cx.user, &name).map_err(|why| match why {
            Unreadable::Forbidden => attributes.forbidden(Some(workspace), &not_readable(&cx.user, &name)),
            Unreadable::Missing => invalid(workspace, "cluster", "there is no such logical cluster"),
        })?;
        if workspace.at(&["spec", "source", "move"]) == Some(&Value::Bool(true)) {
            self.check_move(cx, attributes, workspace, &name)?;
        }
        let asked = workspace.text_at(&["spec", "source", "uid"]);
        if !asked.is_empty() && asked != source.uid.as_str() {
            return Err(invalid(workspace, "uid", "the logical cluster has another uid by now"));
        }
        let serves = workspace.at(&["spec", "resources"]).is_some();
        let spec = workspace.map_mut("spec");
        if let Some(field) = spec.get_mut("source").and_then(Value::as_object_mut) {
            field.insert("uid".into(), source.uid.as_str().into());
        }
        if !serves {
            spec.insert("resources".into(), source.resources.to_vec().into());
        }
        Ok(())
    }

    /// The cluster, if the user may read all of it. Who may not learns nothing of whether it is there.
    fn readable(&self, user: &UserInfo, name: &LogicalClusterName) -> Result<Arc<Cluster>, Unreadable> {
        let root = LogicalClusterName::root();
        let content = authz::Attributes::resource(&root, user, "get", TENANCY_GROUP, WORKSPACES);
        let content = authz::Attributes { subresource: "content", name: name.as_str(), ..content };
        let by_right = self.authorizer.authorize(&content).is_allowed();
        if !by_right && !self.reads_everything(user, name) {
            return Err(Unreadable::Forbidden);
        }
        self.clusters.find(name).ok_or(Unreadable::Missing)
    }

    /// Whether somebody who is the same in the cluster may read everything there.
    fn reads_everything(&self, user: &UserInfo, name: &LogicalClusterName) -> bool {
        (is_known_everywhere(user) || user.is_in(SYSTEM_MASTERS))
            && READING.iter().all(|verb| {
                self.authorizer.authorize(&authz::Attributes::resource(name, user, verb, "*", "*")).is_allowed()
            })
    }

    /// Renaming takes the old name away, which is a deletion.
    fn check_move(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        workspace: &Object,
        name: &LogicalClusterName,
    ) -> ApiResult<()> {
        let deletion = authz::Attributes::resource(&cx.cluster, &cx.user, "delete", TENANCY_GROUP, WORKSPACES);
        let deletion = authz::Attributes { name: name.as_str(), ..deletion };
        if self.authorizer.authorize(&deletion).is_allowed() {
            return Ok(());
        }
        let why = format!(
            "User {:?} cannot rename the logical cluster {:?}: that needs the right to delete its workspace",
            cx.user.name,
            name.as_str()
        );
        Err(attributes.forbidden(Some(workspace), &why))
    }
}

/// Why a cluster cannot be read.
enum Unreadable {
    Forbidden,
    Missing,
}

fn not_readable(user: &UserInfo, name: &LogicalClusterName) -> String {
    format!(
        "User {:?} cannot copy the logical cluster {:?}: that needs the right to get its workspaces/content, or to get, list and watch everything in it",
        user.name,
        name.as_str()
    )
}

fn invalid(workspace: &Object, field: &str, why: &str) -> ApiError {
    let path = FieldPath::new("spec.source").child(field);
    let value = workspace.at(&["spec", "source", field]).cloned().unwrap_or_default();
    fault_of(TENANCY_GROUP, "Workspace", workspace, FieldError::invalid(&path, &value, why))
}

fn fault_of(group: &str, kind: &str, object: &Object, fault: FieldError) -> ApiError {
    ApiError::invalid(&GroupKind { group: group.into(), kind: kind.into() }, object.name(), &vec![fault])
}

impl AdmissionPlugin for MayCopy {
    fn name(&self) -> &'static str {
        "WorkspaceSource"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let resource = attributes.resource.group_resource();
        (resource == tenancy::workspaces() || resource == snapshots())
            && attributes.subresource.is_empty()
            && attributes.operation == Operation::Create
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(std::future::ready(self.check(cx, attributes, object)))
    }
}
