//! MutatingAdmissionWebhook: webhooks that may change what is written, one after the other.

use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::configuration::Hook;
use super::review::Answer;
use super::{ALL_TOGETHER, Obstacle, Role, WebhookMeans, Webhooks, took_too_long};

use crate::admission::matching::{Subject, is_exempt};
use crate::admission::shapes::plain;
use crate::admission::{AdmissionPlugin, Attributes, Fields, Operation, Shape, at_once, expressions, note};
use crate::patch;
use crate::request::RequestContext;
use crate::storage::Store;

const NAME: &str = "MutatingAdmissionWebhook";

/// Asks the webhooks of mutating configurations.
pub struct MutatingAdmissionWebhook {
    webhooks: Webhooks,
}

impl MutatingAdmissionWebhook {
    /// Reads configurations from this store.
    pub(in crate::admission) fn new(store: &Arc<Store>, means: WebhookMeans) -> Self {
        Self { webhooks: Webhooks::new(store, "mutatingwebhookconfigurations", means, Role::Mutating) }
    }

    async fn ask_all(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: &mut Object,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let configurations = self.webhooks.of(&cx.cluster);
        if configurations.is_empty() {
            return Ok(());
        }
        let rounds = &attributes.rounds;
        rounds.enter(NAME, object);
        let deadline = Instant::now() + ALL_TOGETHER;
        let mut total = expressions::all_together();
        let hooks = configurations.iter().flat_map(|configuration| &configuration.hooks);
        for (index, hook) in hooks.enumerate() {
            let subject = self.webhooks.namespaces.subject(cx, attributes, Some(&*object), old);
            let Some(shape) = self.webhooks.wanted(&subject, hook, &mut total)? else { continue };
            if !rounds.is_asked(NAME, &hook.id) {
                continue;
            }
            if Instant::now() >= deadline {
                return Err(took_too_long());
            }
            let changed = match self.webhooks.ask(&subject, &shape, hook, deadline).await {
                Ok(answer) => patched(&subject, &shape, &answer),
                Err(obstacle) => Err(obstacle),
            };
            let changed = match changed {
                Ok(changed) => changed,
                Err(obstacle) => {
                    self.webhooks.heed(&subject, hook, obstacle)?;
                    None
                }
            };
            tell(cx, attributes, index, hook, changed.is_some());
            if let Some(changed) = changed {
                *object = changed;
                rounds.changed(NAME);
            }
            if hook.wants_another_look {
                rounds.may_ask_again(NAME, &hook.id);
            }
        }
        rounds.leave(NAME, object);
        Ok(())
    }
}

impl MutatingAdmissionWebhook {
    /// Asks about a deletion, in which there is nothing to change.
    async fn ask_about_deletion(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let configurations = self.webhooks.of(&cx.cluster);
        if configurations.is_empty() {
            return Ok(());
        }
        let subject = self.webhooks.namespaces.subject(cx, attributes, None, old);
        let deadline = Instant::now() + ALL_TOGETHER;
        let mut total = expressions::all_together();
        for hook in configurations.iter().flat_map(|configuration| &configuration.hooks) {
            let Some(shape) = self.webhooks.wanted(&subject, hook, &mut total)? else { continue };
            if Instant::now() >= deadline {
                return Err(took_too_long());
            }
            match self.webhooks.ask(&subject, &shape, hook, deadline).await {
                Ok(Answer { patch: Some(_), .. }) => {
                    return Err(ApiError::internal(format!(
                        "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                        hook.name
                    )));
                }
                Ok(_) => {}
                Err(obstacle) => self.webhooks.heed(&subject, hook, obstacle)?,
            }
        }
        Ok(())
    }
}

/// The object as an answer changes it; `None` if it does not.
fn patched(subject: &Subject<'_>, shape: &Shape, answer: &Answer) -> Result<Option<Object>, Obstacle> {
    let (Some(patch), Some(object)) = (&answer.patch, subject.object) else { return Ok(None) };
    let undecodable =
        |why: String| Obstacle::Unreachable(format!("received undecodable patch in webhook response: {why}"));
    if answer.patch_type != "JSONPatch" {
        return Err(Obstacle::Unreachable(format!("unsupported patch type {:?}", answer.patch_type)));
    }
    let operations: Value = serde_json::from_slice(patch).map_err(|error| undecodable(error.to_string()))?;
    if operations.as_array().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let operations = patch::json::Patch::decode(&operations).map_err(|error| undecodable(error.to_string()))?;
    let failed = |why: String| Obstacle::Refusal(ApiError::internal(why));
    let shapes = &subject.attributes.shapes;
    let version = shape.kind.group_version();
    let shown = shapes.show(object, &version).map_err(Obstacle::Refusal)?.into_value();
    let after = operations.apply(shown).map_err(|error| failed(error.to_string()))?;
    let after = shapes.take(after, &version, Fields::Any).map_err(|error| failed(plain(&error)))?;
    Ok((after != *object).then_some(after))
}

/// Notes for the audit log what a webhook did.
fn tell(cx: &RequestContext, attributes: &Attributes, index: usize, hook: &Hook, mutated: bool) {
    let key = format!("mutation.webhook.admission.k8s.io/round_{}_index_{index}", attributes.rounds.number());
    let value = json!({"configuration": hook.configuration, "webhook": hook.name, "mutated": mutated});
    note(cx, attributes, &key, &value.to_string());
}

impl AdmissionPlugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        !is_exempt(attributes)
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(self.ask_all(cx, attributes, object, old))
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        _: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        match attributes.operation {
            Operation::Delete => Box::pin(self.ask_about_deletion(cx, attributes, old)),
            _ => at_once(Ok(())),
        }
    }
}
