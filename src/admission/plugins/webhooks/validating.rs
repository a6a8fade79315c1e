//! ValidatingAdmissionWebhook: webhooks that may refuse what is written, all at once.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream;
use tokio::time::Instant;

use super::configuration::Hook;
use super::{ALL_TOGETHER, Role, WebhookMeans, Webhooks};
use crate::admission::matching::is_exempt;
use crate::admission::{AdmissionPlugin, Attributes, Shape, expressions};
use crate::request::RequestContext;
use crate::storage::Store;

/// How many webhooks of one write are asked at once.
const AT_ONCE: usize = 16;

/// Asks the webhooks of validating configurations.
pub struct ValidatingAdmissionWebhook {
    webhooks: Webhooks,
}

impl ValidatingAdmissionWebhook {
    /// Reads configurations from this store.
    pub(in crate::admission) fn new(store: &Arc<Store>, means: WebhookMeans) -> Self {
        Self { webhooks: Webhooks::new(store, "validatingwebhookconfigurations", means, Role::Validating) }
    }

    async fn ask_all(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: Option<&Object>,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let configurations = self.webhooks.of(&cx.cluster);
        if configurations.is_empty() {
            return Ok(());
        }
        let subject = self.webhooks.namespaces.subject(cx, attributes, object, old);
        let mut total = expressions::all_together();
        let mut wanting: Vec<(&Hook, Shape)> = Vec::new();
        for hook in configurations.iter().flat_map(|configuration| &configuration.hooks) {
            if let Some(shape) = self.webhooks.wanted(&subject, hook, &mut total)? {
                wanting.push((hook, shape));
            }
        }
        let deadline = Instant::now() + ALL_TOGETHER;
        let mut answers: Vec<BoxFuture<'_, ApiResult<()>>> = Vec::with_capacity(wanting.len());
        for (hook, shape) in &wanting {
            let subject = &subject;
            answers.push(Box::pin(async move {
                match self.webhooks.ask(subject, shape, hook, deadline).await {
                    Ok(_) => Ok(()),
                    Err(obstacle) => self.webhooks.heed(subject, hook, obstacle),
                }
            }));
        }
        // All are asked, whatever one says, as each may note or warn of something; the first in order that refuses is told.
        let answers: Vec<ApiResult<()>> = stream::iter(answers).buffered(AT_ONCE).collect().await;
        answers.into_iter().collect()
    }
}

impl AdmissionPlugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        !is_exempt(attributes)
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(self.ask_all(cx, attributes, object, old))
    }
}
