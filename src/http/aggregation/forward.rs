//! One request, passed on: what the server behind is told of it, and what the client is told of the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use atoll_api::{ApiError, ApiResult, UserInfo};
use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::super::Api;
use super::super::chain::Asked;
use super::super::rights::Rights;
use super::backend::Backend;
use super::passing::Lasts;
use super::tunnel;
use crate::admission::turns::Turn;

/// How long the server behind may take to begin with its answer to what is no watch, as in kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for discovery, which clients wait for before they do anything.
const DISCOVERY_PATIENCE: Duration = Duration::from_secs(5);
/// How often the right to an answer that goes on is asked for again.
const RECHECK_EVERY: Duration = Duration::from_secs(10);

/// By which extra attribute of the user the server behind learns the logical cluster of a request.
const CLUSTER: &str = "kcp.io/cluster";
/// The headers that are about one connection, not about the request.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Passes a request on, and the answer back.
pub(in crate::http) async fn forward(
    api: &Arc<Api>,
    asked: &Asked,
    backend: &Arc<Backend>,
    body: Body,
) -> ApiResult<Response<Body>> {
    if !backend.is_available {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable"));
    }
    let upgrade = asked.upgrade.lock().take();
    let lasts = if upgrade.is_some() || patience(asked).is_none() { Lasts::On } else { Lasts::Shortly };
    let turn = api.aggregation.passing.enter(&asked.cx.cluster, lasts).await?;
    let mut request = request(asked, backend, body)?;
    if let Some(upgrade) = upgrade {
        return tunnel::open(api, asked, backend, turn, request, upgrade).await;
    }
    without_hops(request.headers_mut());
    let sent = backend.send(api, request);
    let answered = match patience(asked) {
        Some(patience) => match timeout(patience, sent).await {
            Ok(answered) => answered,
            Err(_) => return Err(ApiError::timeout("request did not complete within the allotted timeout", 0)),
        },
        None => sent.await,
    };
    Ok(match answered {
        Ok(response) => answer(api, asked, backend, turn, response),
        Err(why) => unreachable(&why),
    })
}

/// The client's answer when the server behind cannot be reached.
pub(super) fn unreachable(why: &str) -> Response<Body> {
    plain(StatusCode::SERVICE_UNAVAILABLE, &format!("error trying to reach service: {why}"))
}

/// The client's answer, made of that of the server behind.
pub(super) fn answer(
    api: &Arc<Api>,
    asked: &Asked,
    backend: &Arc<Backend>,
    turn: Turn,
    response: Response<Incoming>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if parts.status.is_redirection() && parts.headers.contains_key(header::LOCATION) {
        let why = "the backend attempted to redirect this request, which is not permitted";
        let mut response = Response::new(Body::from(why));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        return response;
    }
    without_hops(&mut parts.headers);
    // The connection to the client has its own.
    parts.version = http::Version::default();
    parts.extensions.clear();
    let body = Guarded { body, guard: guard(api, asked, backend), over: false, _turn: turn };
    Response::from_parts(parts, Body::new(body))
}

/// An error of the proxy itself: text, as from Go's `http.Error`.
pub(super) fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn patience(asked: &Asked) -> Option<Duration> {
    match (asked.info.is_resource, asked.info.verb.as_str()) {
        (false, _) => Some(DISCOVERY_PATIENCE),
        (true, "watch") => None,
        (true, _) => Some(PATIENCE),
    }
}

/// What is sent on: the request as it came, but for what shows who made it.
fn request(asked: &Asked, backend: &Backend, body: Body) -> ApiResult<Request<Body>> {
    let mut request = Request::new(body);
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = uri(backend, &asked.info.path, &asked.query)?;
    let headers = asked.headers.iter().filter(|(name, _)| !shows_a_user(name) && *name != header::HOST);
    *request.headers_mut() = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
    identify(request.headers_mut(), &asked.cx.user, asked.cx.cluster.as_str())?;
    Ok(request)
}

/// A path and query at the server behind. The path is written anew from what was authorized, so that nothing can be meant
/// by it that was not.
pub(super) fn uri(backend: &Backend, path: &str, query: &str) -> ApiResult<Uri> {
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(ApiError::bad_request("the path must not have segments that are dots"));
    }
    let mut target = String::with_capacity(path.len() + query.len() + 1);
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b':' | b';' | b'=' | b'@' => {
                target.push(char::from(byte));
            }
            byte if byte.is_ascii_alphanumeric() => target.push(char::from(byte)),
            byte => target.push_str(&format!("%{byte:02X}")),
        }
    }
    if !query.is_empty() {
        target.push('?');
        target.push_str(query);
    }
    let uri = Uri::builder().scheme("https").authority(backend.authority()).path_and_query(target).build();
    uri.map_err(|error| ApiError::bad_request("the path cannot be passed on").caused_by(error))
}

/// Whether a header tells who makes a request, or by what right. What the client says of that is not for others.
fn shows_a_user(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "authorization" || name == "cookie" || name.starts_with("impersonate-") || name.starts_with("x-remote-")
}

/// Says whose request it is.
pub(super) fn identify(headers: &mut HeaderMap, user: &UserInfo, cluster: &str) -> ApiResult<()> {
    let mut say = |name: &str, value: &str| {
        let name = HeaderName::try_from(name).ok();
        let value = HeaderValue::from_bytes(value.as_bytes()).ok();
        let said = name.zip(value).map(|(name, value)| headers.append(name, value));
        said.map(|_| ()).ok_or_else(|| ApiError::internal("the user's name cannot be told to the server behind"))
    };
    say("x-remote-user", &user.name)?;
    if !user.uid.is_empty() {
        say("x-remote-uid", &user.uid)?;
    }
    for group in &user.groups {
        say("x-remote-group", group)?;
    }
    let extra = user.extra.iter().filter(|(key, _)| !key.eq_ignore_ascii_case(CLUSTER));
    for (key, values) in extra {
        for value in values {
            say(&extra_header(key), value)?;
        }
    }
    say(&extra_header(CLUSTER), cluster)
}

/// The header of an extra attribute. What cannot stand in a header's name is escaped as in a URL.
fn extra_header(key: &str) -> String {
    let mut name = "x-remote-extra-".to_owned();
    for byte in key.bytes() {
        match byte {
            b'!' | b'#' | b'$' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => {
                name.push(char::from(byte));
            }
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            byte => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

/// Removes what was meant for one connection only.
fn without_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Resolves when an answer that goes on must end: the right to it was taken away, the API service changed hands, or this
/// server stops.
pub(super) fn guard(api: &Arc<Api>, asked: &Asked, backend: &Arc<Backend>) -> BoxFuture<'static, ()> {
    let (api, rights, cluster) = (api.clone(), Rights::of(asked), asked.cx.cluster.clone());
    let (backend, cluster_uid) = (backend.clone(), asked.cx.cluster_uid.clone());
    Box::pin(async move {
        let store = api.registry.store().clone();
        let revoked = async {
            loop {
                tokio::time::sleep(RECHECK_EVERY).await;
                let now = super::serving(&api, &cluster, &backend.group, &backend.version);
                let same_service = now.is_some_and(|now| now.uid == backend.uid);
                let same_cluster = api.clusters.find(&cluster).map(|found| found.uid.clone()) == cluster_uid;
                if !same_service || !same_cluster || rights.check(&api).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = revoked => {}
            _ = store.stopped() => {}
        }
    })
}

/// The body of an answer, for as long as the client may have it.
struct Guarded {
    body: Incoming,
    guard: BoxFuture<'static, ()>,
    over: bool,
    /// Counted as being passed on until the client has it.
    _turn: Turn,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.guard.as_mut().poll(cx).is_ready() {
            self.over = true;
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
