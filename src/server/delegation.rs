//! Serving behind another API server: it recognises users and names them to this one, and this one asks it what they may
//! do. Together they are an aggregated API server as Kubernetes knows them.

use std::collections::HashMap;
use std::time::Duration;

use atoll_api::user::SYSTEM_MASTERS;
use futures::future::BoxFuture;
use http::Request;
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Builder;
use crate::authn::FrontProxy;
use crate::authz::{Attributes, Authorizer, Decision, Reason};

/// Where an API server tells those behind it whom to believe.
const TRUST: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// How often it is asked whom to believe: a new CA is told some time before it signs what is shown.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long an answer holds, as for Kubernetes' own aggregated servers.
const HOLDS: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many answers are remembered.
const REMEMBERED: usize = 8192;

/// Why a server cannot serve behind another one.
#[derive(Debug, thiserror::Error)]
pub enum DelegationError {
    /// The other server does not say whom to believe.
    #[error(
        "the API server does not show configmaps/extension-apiserver-authentication in kube-system; may this client read it?"
    )]
    Unreadable(#[source] Box<kube::Error>),
    /// It has no front proxy.
    #[error("the API server has no front proxy: its config map extension-apiserver-authentication names no CA")]
    NoFrontProxy,
}

// === impl Builder ===

impl Builder {
    /// Serves behind another API server, which `main` is a client of: believes those that it names as its front proxies,
    /// now and later, and asks it what users may do, before roles and bindings of this server. `main` must be allowed to read the config
    /// map `extension-apiserver-authentication` and to create SubjectAccessReviews (`system:auth-delegator`).
    pub async fn behind(self, main: Client) -> Result<Self, DelegationError> {
        let front = named_by(&main).await?;
        let mut behind = self.authorizer(Reviews::of(main.clone()));
        behind.given.in_front.push(InFront { main, front });
        Ok(behind)
    }
}

/// An API server in front.
#[derive(Clone)]
pub(super) struct InFront {
    main: Client,
    /// Whom it last said to be its front proxies.
    pub(super) front: FrontProxy,
}

// === impl InFront ===

impl InFront {
    /// Tells, under an index, whom the API server in front names, again and again. Ends when nobody listens.
    pub(super) async fn follow(self, index: usize, tell: mpsc::Sender<(usize, FrontProxy)>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match named_by(&self.main).await {
                Ok(front) => {
                    if tell.send((index, front)).await.is_err() {
                        return;
                    }
                }
                // Whoever was believed still is: that server may just be starting again.
                Err(error) => tracing::debug!(%error, "the API server in front does not say whom to believe"),
            }
        }
    }
}

/// Whom an API server names as its front proxies.
async fn named_by(main: &Client) -> Result<FrontProxy, DelegationError> {
    let request = Request::get(TRUST).body(Vec::new()).map_err(kube::Error::HttpError);
    let found: kube::Result<Value> = match request {
        Ok(request) => main.request(request).await,
        Err(error) => Err(error),
    };
    let config_map = found.map_err(|error| DelegationError::Unreadable(Box::new(error)))?;
    let data = config_map["data"].as_object().into_iter().flatten();
    let data = data.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    FrontProxy::of_config_map(&data).ok_or(DelegationError::NoFrontProxy)
}

/// Asks another API server what users may do.
struct Reviews {
    main: Client,
    known: Mutex<HashMap<[u8; 32], (bool, Instant)>>,
}

// === impl Reviews ===

impl Reviews {
    fn of(main: Client) -> Self {
        Self { main, known: Mutex::default() }
    }

    fn recall(&self, key: &[u8; 32]) -> Option<bool> {
        self.known.lock().get(key).filter(|(_, until)| Instant::now() < *until).map(|(allowed, _)| *allowed)
    }

    async fn review(&self, key: [u8; 32], review: Value) {
        let request = Request::post(REVIEWS).header("content-type", "application/json");
        let Ok(request) = request.body(review.to_string().into_bytes()) else { return };
        let answered = tokio::time::timeout(PATIENCE, self.main.request::<Value>(request)).await;
        let allowed = match answered {
            Ok(Ok(review)) => review["status"]["allowed"] == true,
            // Nothing is remembered, and nothing allowed.
            Ok(Err(error)) => return tracing::warn!(%error, "the API server in front does not say what a user may do"),
            Err(_) => return tracing::warn!("the API server in front does not say in time what a user may do"),
        };
        let now = Instant::now();
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() < REMEMBERED {
            known.insert(key, (allowed, now + HOLDS));
        }
    }
}

impl Authorizer for Reviews {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        match self.recall(&key(&review(attributes))) {
            Some(true) => Decision::allow(Reason::text("the API server in front allows it")),
            Some(false) | None => Decision::no_opinion(Reason::none()),
        }
    }

    fn ask<'a>(&'a self, attributes: &'a Attributes<'a>) -> Option<BoxFuture<'a, ()>> {
        // These may do everything anyway, and whoever asks whether the server is well need not be anybody.
        let is_health = matches!(attributes.path.split('/').nth(1), Some("healthz" | "livez" | "readyz"));
        if attributes.user.is_in(SYSTEM_MASTERS) || (is_health && !attributes.is_resource) {
            return None;
        }
        let review = review(attributes);
        let key = key(&review);
        match self.recall(&key) {
            Some(_) => None,
            None => Some(Box::pin(self.review(key, review))),
        }
    }
}

/// The question, as the other server is asked.
fn review(attributes: &Attributes<'_>) -> Value {
    let user = attributes.user;
    let mut spec = json!({"user": user.name, "groups": user.groups, "extra": user.extra, "uid": user.uid});
    if attributes.is_resource {
        spec["resourceAttributes"] = json!({
            "verb": attributes.verb, "group": attributes.group, "version": attributes.version,
            "resource": attributes.resource, "subresource": attributes.subresource,
            "namespace": attributes.namespace, "name": attributes.name,
        });
    } else {
        spec["nonResourceAttributes"] = json!({"path": attributes.path, "verb": attributes.verb});
    }
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
}

fn key(review: &Value) -> [u8; 32] {
    Sha256::digest(review.to_string()).into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use kube::client::Body;

    use super::*;

    /// An API server that names a front proxy of the CA that is in `told`, and none if there is none.
    pub(in crate::server) fn naming(told: Arc<Mutex<&'static str>>, front: FrontProxy) -> InFront {
        let service = tower::service_fn(move |_: Request<Body>| {
            let config_map = json!({"data": {"requestheader-client-ca-file": *told.lock()}});
            async move { Ok::<_, Infallible>(http::Response::new(Body::from(config_map.to_string().into_bytes()))) }
        });
        InFront { main: Client::new(service, "default"), front }
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_in_front_is_asked_again_whom_to_believe() {
        let told = Arc::new(Mutex::new("one"));
        let in_front = naming(told.clone(), FrontProxy::of_ca("one", Vec::new()));
        let (tell, mut heard) = mpsc::channel(1);
        let follows = tokio::spawn(in_front.follow(7, tell));
        let mut next = async || heard.recv().await.map(|(index, front)| (index, front.ca)).expect("it goes on");
        assert_eq!(next().await, (7, "one".to_owned()));
        *told.lock() = "";
        tokio::time::sleep(3 * LOOK_EVERY).await;
        *told.lock() = "two";
        while next().await.1 != "two" {}
        drop(heard);
        follows.await.expect("ends when nobody listens");
    }
}
