//! Webhooks: programs of a cluster's users that are asked about its writes over HTTPS, and may change or refuse them.

mod call;
mod client;
mod configuration;
mod mutating;
mod review;
#[cfg(test)]
mod tests;
mod validating;

use std::sync::Arc;
use std::time::Duration;

use atoll_api::{ApiError, ApiResult, LogicalClusterName};
use atoll_cel::{Budget, Variables};
use tokio::time::Instant;

pub(in crate::admission) use self::call::Caller;
pub use self::client::WebhookClient;
use self::configuration::{Configuration, Hook, Unreachable};
pub use self::mutating::MutatingAdmissionWebhook;
use self::review::{Answer, Review, Role, refusal};
pub use self::validating::ValidatingAdmissionWebhook;

use crate::admission::collection::Collection;
use crate::admission::expressions::{Asking, Holds, Sight};
use crate::admission::matching::{Namespaces, Subject};
use crate::admission::{Shape, note};
use crate::authz::Authorizer;
use crate::outbound::Trust;
use crate::storage::Store;

const GROUP: &str = "admissionregistration.k8s.io";
/// How long all webhooks of one sort together may hold up a write.
const ALL_TOGETHER: Duration = Duration::from_secs(30);

/// The webhooks of one sort, and how they are asked.
struct Webhooks {
    configurations: Collection,
    namespaces: Namespaces,
    trust: Trust,
    caller: Arc<Caller>,
    authorizer: Arc<dyn Authorizer>,
    role: Role,
}

/// How webhooks are asked, and whom their conditions ask.
#[derive(Clone)]
pub(in crate::admission) struct WebhookMeans {
    pub(in crate::admission) caller: Arc<Caller>,
    pub(in crate::admission) authorizer: Arc<dyn Authorizer>,
}

/// Why a webhook does not let a write pass.
enum Obstacle {
    /// It could not be asked, or its answer could not be understood.
    Unreachable(String),
    /// It refuses, or the server must, whatever the webhook's policy for failures.
    Refusal(ApiError),
}

impl Webhooks {
    fn new(store: &Arc<Store>, resource: &str, means: WebhookMeans, role: Role) -> Self {
        let WebhookMeans { caller, authorizer } = means;
        Self {
            configurations: Collection::of(store, GROUP, resource),
            namespaces: Namespaces::new(store),
            trust: Trust::default(),
            caller,
            authorizer,
            role,
        }
    }

    /// The configurations of a cluster, by name.
    fn of(&self, cluster: &LogicalClusterName) -> Vec<Arc<Configuration>> {
        let entries = self.configurations.in_cluster(cluster);
        entries.iter().map(|entry| entry.derived(|entry| Configuration::read(entry, &self.trust))).collect()
    }

    /// The shape in which a webhook wants to see a write; `None` if it does not want to. Its conditions may cost no more
    /// than is left of the total.
    fn wanted(&self, subject: &Subject<'_>, hook: &Hook, total: &mut Budget) -> ApiResult<Option<Shape>> {
        let Some(shape) = hook.criteria.wants(subject)? else { return Ok(None) };
        if hook.conditions.is_empty() {
            return Ok(Some(shape));
        }
        let sight = Sight::of(subject, &shape)?;
        let asking = Asking { authorizer: &*self.authorizer, cx: subject.cx };
        match hook.conditions.hold(&sight.view(&asking), Variables::new(), total) {
            Holds::Yes => Ok(Some(shape)),
            Holds::Unknown(why) if hook.when_unreachable == Unreachable::Fail => {
                Err(subject.attributes.forbidden(subject.object, &why))
            }
            Holds::No | Holds::Unknown(_) => Ok(None),
        }
    }

    /// Asks one webhook.
    async fn ask(
        &self,
        subject: &Subject<'_>,
        shape: &Shape,
        hook: &Hook,
        deadline: Instant,
    ) -> Result<Answer, Obstacle> {
        if subject.attributes.dry_run && !hook.bears_dry_runs {
            let why = format!("admission webhook {:?} does not support dry run", hook.name);
            return Err(Obstacle::Refusal(ApiError::bad_request(why)));
        }
        let review = Review::new(subject, shape, hook).map_err(Obstacle::Unreachable)?;
        let answer = self.caller.call(&subject.cx.cluster, hook, &review.body, deadline).await;
        let answer = answer.map_err(|why| Obstacle::Unreachable(format!("failed to call webhook: {why}")))?;
        let answer = review.read(&answer, self.role);
        let answer =
            answer.map_err(|why| Obstacle::Unreachable(format!("received invalid webhook response: {why}")))?;
        for (key, value) in &answer.notes {
            note(subject.cx, subject.attributes, &format!("{}/{key}", hook.name), value);
        }
        answer.warnings.iter().for_each(|warning| subject.cx.warn(warning.as_str()));
        match &answer.refusal {
            Some(status) => Err(Obstacle::Refusal(refusal(&hook.name, status))),
            None => Ok(answer),
        }
    }

    /// What an obstacle means for the write: an error, unless the webhook is one that may be missed.
    fn heed(&self, subject: &Subject<'_>, hook: &Hook, obstacle: Obstacle) -> Result<(), ApiError> {
        let why = match obstacle {
            Obstacle::Refusal(error) => return Err(error),
            Obstacle::Unreachable(why) => why,
        };
        if hook.when_unreachable == Unreachable::Ignore {
            let cluster = &subject.cx.cluster;
            tracing::debug!(%cluster, webhook = hook.id, why, "a webhook that may be missed was not asked");
            let prefix = match self.role {
                Role::Mutating => "failed-open.mutation.webhook.admission.k8s.io",
                Role::Validating => "failed-open.validating.webhook.admission.k8s.io",
            };
            note(subject.cx, subject.attributes, prefix, &hook.name);
            return Ok(());
        }
        Err(ApiError::internal(format!("failed calling webhook {:?}: {why}", hook.name)))
    }
}

fn took_too_long() -> ApiError {
    ApiError::timeout("request did not complete within requested timeout", 0)
}
