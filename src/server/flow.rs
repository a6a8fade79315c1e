//! Keeps the flow schemas and priority levels that every server has, as kube-apiserver keeps them.
//!
//! What is missing is made again. The mandatory ones stay as they are; the others too, unless somebody has changed them.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::options::{DeleteOptions, WriteOptions};
use atoll_api::{ApiResult, ClusterScope, GroupResource, GroupVersionResource, LogicalClusterName, Object, UserInfo};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::flow::bootstrap::{
    AUTO_UPDATE, FLOW_SCHEMAS, GROUP, LEVEL_NAMES, MANDATORY, PRIORITY_LEVELS, SCHEMA_NAMES, levels, schemas,
};
use crate::registry::resource::Part;
use crate::registry::{ObjectName, Registry, Target};
use crate::request::RequestContext;
use crate::resources::Surfaces;
use crate::storage::ListQuery;

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// The field manager that writes them.
const MANAGER: &str = "api-priority-and-fairness-config-producer-v1";

/// Looks after the system cluster's flow schemas and priority levels.
pub(super) struct Upkeep {
    pub(super) registry: Arc<Registry>,
    pub(super) surfaces: Arc<Surfaces>,
}

// === impl Upkeep ===

impl Upkeep {
    /// Runs until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            for (resource, objects, names) in
                [(PRIORITY_LEVELS, levels(), LEVEL_NAMES), (FLOW_SCHEMAS, schemas(), SCHEMA_NAMES)]
            {
                if let Err(error) = self.keep(resource, objects, names).await {
                    tracing::warn!(resource, %error, "the server's own could not be kept; trying again later");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn keep(&self, resource: &str, objects: &[Object], names: &[&str]) -> ApiResult<()> {
        let scope = ClusterScope::One(LogicalClusterName::root());
        let Some(target) = self.surfaces.target(&scope, &GroupVersionResource::new(GROUP, "v1", resource)) else {
            // Not served, so nobody can have changed them.
            return Ok(());
        };
        let cx = RequestContext::new(
            LogicalClusterName::root(),
            UserInfo::named("system:apiserver", ["system:masters"]),
            Timestamp::now(),
        );
        for object in objects {
            self.keep_one(&cx, &target, object).await?;
        }
        self.remove_former(&cx, &target, names).await
    }

    async fn keep_one(&self, cx: &RequestContext, target: &Target, object: &Object) -> ApiResult<()> {
        let name = ObjectName { namespace: "", name: object.name() };
        let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
        let Ok(found) = self.registry.get_object(cx, target, &name) else {
            let unnamed = ObjectName { namespace: "", name: "" };
            return self
                .registry
                .create(cx, target, &unnamed, object.clone().into_value().into(), &options)
                .await
                .map(drop);
        };
        let Some(revised) = revised(&found, object) else { return Ok(()) };
        self.registry.update(cx, target, &name, Part::Main, revised.into_value().into(), &options).await.map(drop)
    }

    /// Removes what an earlier server had and this one has not, if nobody has made it their own.
    async fn remove_former(&self, cx: &RequestContext, target: &Target, names: &[&str]) -> ApiResult<()> {
        let resource: &GroupResource = &target.descriptor().resource;
        let query = ListQuery::new(resource, &cx.scope);
        let Ok(page) = self.registry.store().list(query) else { return Ok(()) };
        for entry in page.entries.iter().filter(|entry| !names.contains(&entry.name())) {
            let name = ObjectName { namespace: "", name: entry.name() };
            if told(&target.read(entry)?) == Some(true) {
                self.registry.delete(cx, target, &name, &DeleteOptions::default()).await?;
            }
        }
        Ok(())
    }
}

/// What an object is to become; nothing if it is as it should be.
fn revised(found: &Object, wanted: &Object) -> Option<Object> {
    // Without a word, an object that was never changed is taken as the server's.
    let untouched = || found.generation() == 1;
    let keeps = MANDATORY.contains(&wanted.name()) || told(found).unwrap_or_else(untouched);
    let mut revised = found.clone();
    if keeps && !same_spec(found, wanted) {
        revised.0.insert("spec".into(), wanted.get("spec").cloned().unwrap_or_default());
    }
    if told(found) != Some(keeps) {
        revised.set_annotation(AUTO_UPDATE, &keeps.to_string());
    }
    (revised != *found).then_some(revised)
}

/// Whether the specs say the same. What the level `exempt` may lend and has is its administrator's to say.
fn same_spec(found: &Object, wanted: &Object) -> bool {
    let without = |object: &Object| {
        let mut spec = object.get("spec").cloned().unwrap_or_default();
        spec.as_object_mut().map(|spec| spec.remove("exempt"));
        spec
    };
    found.at(&["spec", "exempt"]).is_some() == wanted.at(&["spec", "exempt"]).is_some()
        && without(found) == without(wanted)
}

/// What the annotation says, if it says anything.
fn told(object: &Object) -> Option<bool> {
    match object.annotation(AUTO_UPDATE)? {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
        _ => None,
    }
}
