//! One call of a webhook: a connection of its own, one request, one answer, within a time and a size.
//!
//! Tenants say who is called. So nothing is followed, and whatever the other side does, no more is read than a limit.
//! Which addresses may be called is decided where connections are made (`outbound`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use atoll_api::LogicalClusterName;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::Instant;

use super::configuration::{Hook, Place};
use crate::admission::turns::Turns;
use crate::codec::yaml;
use crate::outbound::{Destination, Outbound, Stream, connect};

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 4 << 20;
/// The most bytes that are shown of what the other side says went wrong.
const MAX_SHOWN: usize = 2048;
/// How many webhooks of one cluster are called at once; more wait.
const AT_ONCE: usize = 32;

/// Calls webhooks.
pub(in crate::admission) struct Caller {
    outbound: Outbound,
    turns: Turns,
}

/// What is to be called: whom to connect to, and the path.
struct Called {
    destination: Destination,
    path: String,
}

impl Caller {
    pub(in crate::admission) fn new(outbound: Outbound) -> Self {
        Self { outbound, turns: Turns::new(AT_ONCE) }
    }

    /// Posts a review to a webhook, and gives its answer; or why there is none.
    pub(super) async fn call(
        &self,
        cluster: &LogicalClusterName,
        hook: &Hook,
        review: &Value,
        deadline: Instant,
    ) -> Result<Value, String> {
        self.post(cluster, (&hook.place, &hook.trust), review, (hook.timeout, deadline)).await
    }

    /// Posts a review to a place, in no more time than it may take and no later than the deadline.
    pub(super) async fn post(
        &self,
        cluster: &LogicalClusterName,
        (place, trust): (&Place, &Result<Arc<rustls::ClientConfig>, String>),
        review: &Value,
        (usual, deadline): (Duration, Instant),
    ) -> Result<Value, String> {
        let timeout = usual.min(deadline.saturating_duration_since(Instant::now()));
        let exchange = async {
            let _turn = self.turns.wait(cluster, "").await;
            let called = self.called(cluster, place)?;
            let tls = trust.clone()?;
            let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
            let request = request(&called, review, seconds)?;
            let stream = connect(&called.destination, tls).await?;
            exchange(stream, request).await
        };
        let answer = match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err("context deadline exceeded".to_owned()),
        };
        let answer = answer.map_err(|why| format!("Post \"{}?timeout={}\": {why}", place.shown(), shown(usual)))??;
        check_type(&answer, review)?;
        Ok(answer)
    }

    fn called(&self, cluster: &LogicalClusterName, place: &Place) -> Result<Called, String> {
        match place {
            Place::Unreadable(why) => Err(why.clone()),
            Place::Url(uri) => {
                let destination = self.outbound.host(uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(443));
                let path = if uri.path().is_empty() { "/".to_owned() } else { uri.path().to_owned() };
                Ok(Called { destination, path })
            }
            Place::Service { namespace, name, port, path } => {
                let destination = self.outbound.service(cluster, namespace, name, *port)?;
                Ok(Called { destination, path: path.clone() })
            }
        }
    }
}

/// An answer is of the type of what was asked, or says nothing of its type; otherwise Kubernetes' decoder does not get it into
/// the structure that was expected.
fn check_type(answer: &Value, asked: &Value) -> Result<(), String> {
    let said = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (said(asked, "apiVersion"), said(asked, "kind"));
    let or = |text: String, wanted: &str| if text.is_empty() { wanted.to_owned() } else { text };
    let (is_version, is_kind) = (or(said(answer, "apiVersion"), &version), or(said(answer, "kind"), &kind));
    if (&is_version, &is_kind) == (&version, &kind) {
        return Ok(());
    }
    let group = version.split('/').next().unwrap_or_default();
    let known = is_version.strip_prefix(group).and_then(|rest| rest.strip_prefix('/'));
    match known.filter(|known| is_kind == kind && ["v1", "v1beta1"].contains(known)) {
        Some(known) => {
            let wanted = version.rsplit('/').next().unwrap_or_default();
            Err(format!("converting ({known}.{kind}) to ({wanted}.{kind}): unknown conversion"))
        }
        None => Err(format!(
            "no kind {is_kind:?} is registered for version {is_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )),
    }
}

fn shown(timeout: Duration) -> String {
    format!("{}s", timeout.as_secs())
}

fn request(
    Called { destination, path }: &Called,
    review: &Value,
    seconds: u64,
) -> Result<Request<Full<Bytes>>, String> {
    let authority = match destination.port {
        443 => destination.server_name.clone(),
        port if destination.server_name.contains(':') => format!("[{}]:{port}", destination.server_name),
        port => format!("{}:{port}", destination.server_name),
    };
    let target: Uri = format!("{path}?timeout={seconds}s").parse().map_err(|_| "the path is no path")?;
    let body = serde_json::to_vec(review).map_err(|error| error.to_string())?;
    Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::ACCEPT, HeaderValue::from_static("application/json"))
        .header(header::USER_AGENT, HeaderValue::from_static("atoll-admission"))
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Full::from(body))
        .map_err(|error| error.to_string())
}

/// The answer, or what the other side says in its place; fails if there is no answer.
async fn exchange(stream: Stream, request: Request<Full<Bytes>>) -> Result<Result<Value, String>, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned()).unwrap_or_default();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| format!("the answer cannot be read: {error}"))?.to_bytes();
        Ok::<_, String>((status, kind, body))
    };
    let (status, kind, body) = beside(connection, answer).await?;
    let is_text = kind.is_empty() || kind.starts_with("text/");
    if status.is_success() {
        if body.is_empty() {
            let code = status.as_u16();
            return Ok(Err(format!("0-length response with status code: {code} and content type: {kind}")));
        }
        return Ok(read(&body));
    }
    Ok(Err(refusal(status, is_text, &body)))
}

/// The object in an answer: JSON if it begins like that, and YAML otherwise, whatever its media type says, as Kubernetes'
/// client reads it (`recognizer`).
fn read(body: &[u8]) -> Result<Value, String> {
    let value = if body.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice(body).map_err(|error| format!("the answer is not JSON: {error}"))?
    } else {
        yaml::parse(body).map_err(|error| format!("the answer is neither JSON nor YAML: {error}"))?.value
    };
    let given = match value {
        Value::Object(_) => return Ok(value),
        Value::Null => return Err("the answer is empty".to_owned()),
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    // The structure into which Kubernetes reads the type of an answer.
    let wanted =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    Err(format!(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {given} into Go value of type {wanted}"
    ))
}

/// What an answer that is no success says, in the words of Kubernetes' client (rest/request.go).
fn refusal(status: StatusCode, is_text: bool, body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if said["kind"] == "Status"
        && let Some(message) = said["message"].as_str()
    {
        return message.to_owned();
    }
    let shown = if is_text { String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN)]) } else { "unknown".into() };
    match status {
        StatusCode::NOT_FOUND => "the server could not find the requested resource".to_owned(),
        StatusCode::UNAUTHORIZED => "the server has asked for the client to provide credentials".to_owned(),
        StatusCode::FORBIDDEN => shown.trim().to_owned(),
        StatusCode::TOO_MANY_REQUESTS => {
            "the server has received too many requests and has asked us to try again later".to_owned()
        }
        status if status.is_client_error() => {
            format!("the server rejected our request for an unknown reason ({status})")
        }
        _ => format!("an error on the server ({:?}) has prevented the request from succeeding", shown.trim()),
    }
}

/// Waits for an answer while the connection that brings it is kept going.
async fn beside<T>(connection: impl Future, answer: impl Future<Output = T>) -> T {
    let connection = async {
        connection.await;
        // When the connection has ended, the answer is complete, or fails by itself.
        std::future::pending::<T>().await
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        never = connection => never,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_json_or_yaml_whatever_they_are_called() {
        let review = json!({"kind": "AdmissionReview", "response": {"uid": "1", "allowed": true}});
        assert_eq!(read(review.to_string().as_bytes()), Ok(review.clone()));
        assert_eq!(read(b"\n kind: AdmissionReview\n response: {uid: '1', allowed: yes}\n"), Ok(review));
        for (body, why) in [
            (&b"{\"kind\": "[..], "the answer is not JSON"),
            (b"a: [", "neither JSON nor YAML"),
            (
                b"ok",
                "json: cannot unmarshal string into Go value of type struct { APIVersion string \"json:\\\"apiVersion",
            ),
            (b"[1]", "json: cannot unmarshal array into Go value"),
            (b"null", "the answer is empty"),
            (b"\xff", "neither JSON nor YAML"),
        ] {
            let refused = read(body).expect_err("it is no answer");
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn answers_are_of_the_type_that_was_asked_or_say_nothing_of_it() {
        let asked = json!({"apiVersion": "g.io/v1", "kind": "Review"});
        for (answer, expected) in [
            (json!({"apiVersion": "g.io/v1", "kind": "Review"}), None),
            (json!({}), None),
            (json!({"kind": "X"}), Some("no kind \"X\" is registered for version \"g.io/v1\"")),
            (
                json!({"apiVersion": "g.io/v1beta1"}),
                Some("converting (v1beta1.Review) to (v1.Review): unknown conversion"),
            ),
            (json!({"apiVersion": "g.io/v9"}), Some("no kind \"Review\" is registered for version \"g.io/v9\"")),
            (json!({"apiVersion": "other/v1"}), Some("no kind \"Review\" is registered for version \"other/v1\"")),
        ] {
            let refused = check_type(&answer, &asked).err();
            assert_eq!(refused.is_some(), expected.is_some(), "{answer}");
            assert!(expected.is_none_or(|why| refused.unwrap_or_default().starts_with(why)), "{answer}");
        }
    }
}
