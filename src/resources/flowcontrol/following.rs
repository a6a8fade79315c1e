//! Flow schemas and priority levels hold before their write is answered, and schemas tell whether their level is there.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ClusterScope, GroupResource, GroupVersionResource, Object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::flow::bootstrap::{FLOW_SCHEMAS, GROUP, dangling};
use crate::flow::stored::Policies;
use crate::patch::apply::Force;
use crate::registry::follow::Follower;
use crate::registry::resource::Part;
use crate::registry::{ObjectName, Patch, PatchKind, Registry, Target, seconds};
use crate::request::RequestContext;
use crate::resources::Surfaces;
use crate::resources::read;
use crate::storage::{Entry, ListQuery};

/// The field manager under which kube-apiserver writes the condition.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";
/// How many schemas are told, at one write, that a level has come or gone.
const MOST_TOLD: usize = 1000;

/// Follows flow schemas and priority levels.
pub(in crate::resources) struct Heed {
    pub(in crate::resources) policies: Arc<Policies>,
    pub(in crate::resources) surfaces: Arc<Surfaces>,
}

impl Follower for Heed {
    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        registry: &'a Registry,
        target: &'a Target,
        name: &'a ObjectName<'a>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if &*target.descriptor().resource.resource == FLOW_SCHEMAS {
                self.tell(cx, registry, target, name.name).await;
            } else {
                self.tell_all(cx, registry, name.name).await;
            }
            self.policies.refresh(&target.descriptor().resource, &cx.cluster, name.name);
        })
    }
}

impl Heed {
    /// Tells the schemas of a level whether it is there.
    async fn tell_all(&self, cx: &RequestContext, registry: &Registry, level: &str) {
        let scope = ClusterScope::One(cx.cluster.clone());
        let Some(target) = self.surfaces.target(&scope, &GroupVersionResource::new(GROUP, "v1", FLOW_SCHEMAS)) else {
            return;
        };
        let resource = GroupResource::new(GROUP, FLOW_SCHEMAS);
        let leads = |entry: &Entry| level_of(&serde_json::from_slice(&entry.bytes()).unwrap_or_default()) == level;
        let query = ListQuery { limit: Some(MOST_TOLD), filter: Some(&leads), ..ListQuery::new(&resource, &scope) };
        let Ok(page) = registry.store().list(query) else { return };
        for schema in page.entries {
            self.tell(cx, registry, &target, schema.name()).await;
        }
    }

    /// Applies the condition that a schema should have, as kube-apiserver does.
    async fn tell(&self, cx: &RequestContext, registry: &Registry, target: &Target, name: &str) {
        let name = ObjectName { namespace: "", name };
        let Ok(schema) = registry.get_object(cx, target, &name) else { return };
        let Some(condition) = self.untold(&schema, cx) else { return };
        let config = json!({
            "apiVersion": target.gvr().group_version().to_string(), "kind": &*target.kind().kind,
            "metadata": {"name": name.name}, "status": {"conditions": [condition]},
        });
        let patch = Patch { kind: PatchKind::Apply, body: config.into(), force: Force::Yes };
        let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
        if let Err(error) = registry.patch(cx, target, &name, Part::Status, patch, &options).await {
            tracing::warn!(cluster = %cx.cluster, schema = name.name, %error, "its condition could not be written");
        }
    }

    /// The condition that a schema should have; none if the one it has says the same, which keeps its time.
    fn untold(&self, schema: &Object, cx: &RequestContext) -> Option<Value> {
        let level = level_of(schema);
        let condition = dangling(level, self.policies.has_level(&cx.cluster, level), &seconds(cx.now));
        let known = read::condition(&read::field(schema, "status")["conditions"], "Dangling");
        let same =
            |known: &Value| ["status", "reason", "message"].iter().all(|field| known[*field] == condition[*field]);
        if known.is_some_and(same) { None } else { Some(condition) }
    }
}

fn level_of(schema: &Object) -> &str {
    read::text(&read::field(schema, "spec")["priorityLevelConfiguration"]["name"])
}
