//! The client of webhooks for those who ask them about other things than writes, such as conversions.

use std::time::Duration;

use atoll_api::LogicalClusterName;
use serde_json::Value;
use tokio::time::Instant;

use super::call::Caller;
use super::configuration::{Place, trusted};
use crate::outbound::{Outbound, Trust};

/// Calls webhooks, with the same care and within the same limits as those of admission.
pub struct WebhookClient {
    caller: Caller,
    trust: Trust,
}

impl WebhookClient {
    /// A client that calls whom these settings permit.
    pub fn new(outbound: Outbound) -> Self {
        Self { caller: Caller::new(outbound), trust: Trust::default() }
    }

    /// Posts a review to the webhook that a `clientConfig` of a cluster's object names, and gives its answer; or why there
    /// is none.
    pub async fn post(
        &self,
        cluster: &LogicalClusterName,
        client: &Value,
        review: &Value,
        timeout: Duration,
    ) -> Result<Value, String> {
        let (place, trust) = (Place::read(client), trusted(client, &self.trust));
        self.caller.post(cluster, (&place, &trust), review, (timeout, Instant::now() + timeout)).await
    }

    /// A type as Kubernetes shows it: group, version and kind, whichever of them are said.
    pub(crate) fn shown_type(api_version: &str, kind: &str) -> String {
        let slash = if api_version.contains('/') { "" } else { "/" };
        format!("{slash}{api_version}, Kind={kind}")
    }
}
