//! Limits in code: who is served first, how often somebody may ask, and how many objects there may be.
//!
//! How many requests are served at once, and how often a user may ask, the program says to the builder. Priority levels
//! and quotas are Kubernetes' own objects, made here by the program: they divide what a logical cluster has.
//!
//! ```sh
//! cargo run --features examples --example limits
//! ```

use atoll::flow::{FlowControl, RateLimit, Settings};
use atoll::server::{Builder, Server};
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use kube::{Api, Client};
use serde_json::json;

/// What the program's functions may fail with.
type Failed = Box<dyn std::error::Error>;

/// A server that serves 64 requests at once, shared fairly between logical clusters, and each user at most so often.
fn limited(a_second: f64, at_once: u32) -> Builder {
    Server::builder()
        // Whoever comes beyond that waits for its turn, for two seconds at most, and is then told to come again later.
        .flow_control(FlowControl::Fair(Settings {
            patience: std::time::Duration::from_secs(2),
            ..Settings::of_seats(64)
        }))
        .rate_limit(RateLimit::per_user(a_second, at_once))
}

/// Gives the requests of a group a priority level of their own with few seats, so that they keep nobody waiting.
async fn put_behind(client: &Client, group: &str) -> Result<(), Failed> {
    let level = json!({
        "metadata": {"name": group},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 5,
            // It may have no more than its part, even if nobody else wants it.
            "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 8, "handSize": 2, "queueLengthLimit": 20}},
        }},
    });
    let schema = json!({
        "metadata": {"name": group},
        "spec": {
            "priorityLevelConfiguration": {"name": group},
            "matchingPrecedence": 1000,
            // Users of the group take turns.
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "Group", "group": {"name": group}}],
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
                }],
            }],
        },
    });
    let levels: Api<PriorityLevelConfiguration> = Api::all(client.clone());
    levels.create(&Default::default(), &serde_json::from_value(level)?).await?;
    let schemas: Api<FlowSchema> = Api::all(client.clone());
    schemas.create(&Default::default(), &serde_json::from_value(schema)?).await?;
    Ok(())
}

/// Lets a namespace have so many secrets and no more.
async fn limit_secrets(client: &Client, namespace: &str, most: usize) -> Result<(), Failed> {
    let quota = json!({
        "metadata": {"name": "secrets"}, "spec": {"hard": {"count/secrets": most.to_string()}},
    });
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    quotas.create(&Default::default(), &serde_json::from_value(quota)?).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let builder = limited(50.0, 100).data_dir("./.atoll");
    let running = builder.listen(([127, 0, 0, 1], 6443).into()).build().await?.start().await?;
    let admin = atoll_api::UserInfo::named("admin", ["system:masters"]);
    let client = running.client(&atoll_api::LogicalClusterName::root(), admin);
    put_behind(&client, "reporters").await?;
    limit_secrets(&client, "default", 10).await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig get flowschemas,resourcequotas ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/limits.rs"]
mod tests;
