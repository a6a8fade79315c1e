//! Documents of the servers behind, such as what they serve: fetched when somebody asks, and kept for a while.
//!
//! Nothing is fetched while nobody asks. What is kept of all clusters together is bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use atoll_api::UserInfo;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::super::Api;
use super::backend::Backend;
use super::forward::{identify, uri};

/// How long a document is taken as it was, as by kube-aggregator.
const FRESH: Duration = Duration::from_secs(60);
/// How long a server that did not answer is not asked again.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of one document.
const LARGEST: usize = 8 << 20;
/// The most bytes of all documents.
const KEPT: usize = 64 << 20;

/// A document of a server.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// What it answered; 200 or 404.
    pub(super) status: StatusCode,
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
    tag: Option<HeaderValue>,
}

/// The documents of all servers that were asked for lately, by API service and path.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<(String, String), Known>>);

/// What is known of a document.
#[derive(Clone)]
struct Known {
    document: Option<Arc<Document>>,
    /// When it was asked for, and whether that went well.
    asked: Instant,
    is_current: bool,
}

/// Fetches a document, unless it was fetched a moment ago. What was fetched before comes with `false` if the server does
/// not answer now.
pub(super) async fn fetch(
    api: &Api,
    backend: &Backend,
    path: &str,
    accept: &'static str,
) -> (Option<Arc<Document>>, bool) {
    let kept = &api.aggregation.fetched;
    let key = (backend.uid.clone(), path.to_owned());
    let known = kept.0.lock().get(&key).cloned();
    if !backend.is_available {
        return (known.and_then(|known| known.document), false);
    }
    if let Some(known) = &known {
        let lasts = if known.is_current { FRESH } else { PAUSE };
        if known.asked.elapsed() < lasts {
            return (known.document.clone(), known.is_current);
        }
    }
    let before = known.and_then(|known| known.document);
    let asked = Instant::now();
    let (document, is_current) = match ask(api, backend, path, accept, before.as_deref()).await {
        Ok(Some(document)) => (Some(Arc::new(document)), true),
        Ok(None) => (before, true),
        Err(why) => {
            tracing::debug!(api_service = backend.api_service(), path, why, "a server's document cannot be fetched");
            (before, false)
        }
    };
    kept.keep(key, Known { document: document.clone(), asked, is_current });
    (document, is_current)
}

/// Asks the server itself; `None` if the document is as it was before.
async fn ask(
    api: &Api,
    backend: &Backend,
    path: &str,
    accept: &'static str,
    before: Option<&Document>,
) -> Result<Option<Document>, String> {
    let mut request = aggregators(backend, path)?;
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
    if let Some(tag) = before.and_then(|before| before.tag.clone()) {
        request.headers_mut().insert(header::IF_NONE_MATCH, tag);
    }
    let exchange = async {
        let response = backend.send(api, request).await?;
        let (parts, body) = response.into_parts();
        match parts.status {
            StatusCode::NOT_MODIFIED => return Ok(None),
            StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::NOT_ACCEPTABLE => {}
            status => return Err(format!("{path} answered {status}")),
        }
        let body = Limited::new(body, LARGEST).collect().await.map_err(|error| error.to_string())?;
        let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Ok(Some(Document {
            status: parts.status,
            media_type: text(header::CONTENT_TYPE).unwrap_or_default().to_owned(),
            bytes: body.to_bytes(),
            tag: parts.headers.get(header::ETAG).filter(|_| parts.status == StatusCode::OK).cloned(),
        }))
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err("request timed out".to_owned()))
}

/// A GET of the aggregator's own, who may read everything.
pub(super) fn aggregators(backend: &Backend, path: &str) -> Result<Request<Body>, String> {
    let mut request = Request::new(Body::empty());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    *request.uri_mut() = uri(backend, path, query).map_err(|error| error.to_string())?;
    let user = UserInfo::named("system:kube-aggregator", ["system:masters"]);
    identify(request.headers_mut(), &user, backend.cluster()).map_err(|error| error.to_string())?;
    Ok(request)
}

// === impl Kept ===

impl Kept {
    fn keep(&self, key: (String, String), known: Known) {
        let mut kept = self.0.lock();
        kept.insert(key, known);
        let size = |known: &Known| known.document.as_ref().map_or(0, |document| document.bytes.len()) + 4096;
        let mut bytes: usize = kept.values().map(size).sum();
        while bytes > KEPT {
            let oldest = kept.iter().min_by_key(|(_, known)| known.asked).map(|(key, _)| key.clone());
            let gone = oldest.and_then(|key| kept.remove(&key));
            bytes -= gone.as_ref().map_or(bytes, size);
        }
        // What nobody has asked for in a while may be of API services that are gone.
        kept.retain(|_, known| known.asked.elapsed() < FRESH * 10);
    }
}
