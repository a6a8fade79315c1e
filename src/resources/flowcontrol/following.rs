//! Flow schemas and priority levels hold before their write is answered, and schemas tell whether their level is there.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ClusterScope, GroupResource, GroupVersionResource, Object};
use futures::future::BoxFuture;

use crate::flow::bootstrap::{FLOW_SCHEMAS, GROUP, dangling};
use crate::flow::stored::Policies;
use crate::registry::follow::Follower;
use crate::registry::{ObjectName, Registry, Target, seconds};
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

    async fn tell(&self, cx: &RequestContext, registry: &Registry, target: &Target, name: &str) {
        let name = ObjectName { namespace: "", name };
        let Ok(schema) = registry.get_object(cx, target, &name) else { return };
        if self.told(&schema, cx) == schema {
            return;
        }
        let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
        let done = registry.change(cx, target, &name, "status", &options, |schema| Ok(self.told(schema, cx))).await;
        if let Err(error) = done {
            tracing::warn!(cluster = %cx.cluster, schema = name.name, %error, "its condition could not be written");
        }
    }

    /// The schema with the condition it should have. One that says the same already keeps it, with its time.
    fn told(&self, schema: &Object, cx: &RequestContext) -> Object {
        let level = level_of(schema);
        let condition = dangling(level, self.policies.has_level(&cx.cluster, level), &seconds(cx.now));
        let conditions = schema.at(&["status", "conditions"]).and_then(|all| all.as_array()).cloned();
        let mut conditions = conditions.unwrap_or_default();
        let known = conditions.iter().position(|known| known["type"] == "Dangling");
        let same = |known: usize| {
            ["status", "reason", "message"].iter().all(|field| conditions[known][*field] == condition[*field])
        };
        match known {
            Some(known) if same(known) => return schema.clone(),
            Some(known) => conditions[known] = condition,
            None => conditions.push(condition),
        }
        let mut told = schema.clone();
        told.0.insert("status".into(), serde_json::json!({ "conditions": conditions }));
        told
    }
}

fn level_of(schema: &Object) -> &str {
    read::text(&read::field(schema, "spec")["priorityLevelConfiguration"]["name"])
}
