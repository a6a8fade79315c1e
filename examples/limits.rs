//! Limits in code: how many objects a namespace may have, and how many requests are worked on at once.
//!
//! Quotas are Kubernetes' own, made here by the program; the bound on requests is a layer in front of the API. (Atoll has
//! no priorities and no fairness between requests to configure.)
//!
//! ```sh
//! cargo run --features examples --example limits
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use atoll::http::HttpService;
use atoll::server::{Builder, Server};
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// A server that works on as many requests at once as there are slots, and sends the others away to come again.
fn bounded(slots: Arc<Semaphore>) -> Builder {
    Server::builder().layer(tower::layer::layer_fn(move |api: HttpService| {
        let slots = slots.clone();
        tower::service_fn(move |request: Request<Body>| {
            let (api, slots) = (api.clone(), slots.clone());
            async move {
                // Held until the answer begins: a watch that has begun takes no slot.
                match slots.try_acquire_owned() {
                    Ok(_slot) => api.oneshot(request).await,
                    Err(_) => Ok::<_, Infallible>(busy()),
                }
            }
        })
    }))
}

/// What clients of Kubernetes take for a reason to try again in a second.
fn busy() -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "TooManyRequests", "code": 429,
        "message": "too many requests, please try again later", "details": {"retryAfterSeconds": 1},
    });
    let mut answer = Response::new(Body::from(status.to_string()));
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

/// Lets a namespace have so many secrets and no more.
async fn limit_secrets(client: &Client, namespace: &str, most: usize) -> Result<(), Box<dyn std::error::Error>> {
    let quota = json!({
        "metadata": {"name": "secrets"}, "spec": {"hard": {"count/secrets": most.to_string()}},
    });
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    quotas.create(&Default::default(), &serde_json::from_value(quota)?).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = bounded(Arc::new(Semaphore::new(64))).data_dir("./.atoll");
    let running = builder.listen(([127, 0, 0, 1], 6443).into()).build().await?.start().await?;
    let admin = atoll_api::UserInfo::named("admin", ["system:masters"]);
    limit_secrets(&running.client(&atoll_api::LogicalClusterName::root(), admin), "default", 10).await?;
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/limits.rs"]
mod tests;
