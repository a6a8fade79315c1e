//! Answers: objects, lists, events and errors in the form the client accepts.

use std::sync::Arc;

use atoll_api::status::Details;
use atoll_api::{ApiError, ApiResult, Object, UserInfo};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::accept::Accept;
use super::chain::Asked;
use crate::registry::encode::TypeMeta;
use crate::registry::{Happened, ListAnswer, Target, Written};
use crate::storage::{Entry, Event};

/// An identity given by a client in this process; never by a header.
#[derive(Debug, Clone)]
pub struct Identity(pub UserInfo);

/// What an answer holds, for what the client may accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One object.
    Object,
    /// A list.
    List,
    /// A stream of events.
    Watch,
}

/// What a bookmark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bookmark {
    /// Everything up to its version has been told.
    Progress,
    /// What was there at the start has been told.
    InitialEnd,
}

const JSON: &str = "application/json";

/// Refuses what the client accepts before anything is done.
pub(super) fn check_acceptable(asked: &Asked, shape: Shape) -> ApiResult<()> {
    let _ = (asked, shape);
    Ok(())
}

/// An object as JSON bytes, in the form the client accepts.
pub(super) fn object(asked: &Asked, target: &Target, status: StatusCode, object: Bytes) -> ApiResult<Response<Body>> {
    let _ = (asked, target);
    Ok(bytes(status, JSON, object))
}

/// What a write left.
pub(super) fn written(asked: &Asked, target: &Target, written: Written) -> ApiResult<Response<Body>> {
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    object(asked, target, status, written.json)
}

/// An object that is not of the target's kind.
pub(super) fn value(asked: &Asked, status: StatusCode, object: &Object) -> ApiResult<Response<Body>> {
    let _ = asked;
    Ok(bytes(status, JSON, json_bytes(&object.0)?))
}

/// A discovery document.
pub(super) fn document(asked: &Asked, document: &Value) -> ApiResult<Response<Body>> {
    let _ = asked;
    Ok(bytes(StatusCode::OK, JSON, json_bytes(document)?))
}

/// A list, its items copied from the store.
pub(super) fn list(asked: &Asked, target: &Target, page: &ListAnswer) -> ApiResult<Response<Body>> {
    let _ = asked;
    let size: usize = page.entries.iter().map(|entry| entry.bytes.len() + 64).sum();
    let mut out = Vec::with_capacity(size + 256);
    let kind = &target.descriptor().list_kind;
    let head = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{}\",\"metadata\":", target.version().version);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&json_bytes(&list_metadata(page))?);
    out.extend_from_slice(b",\"items\":[");
    let writer = target.writer(TypeMeta::Left);
    for (index, entry) in page.entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        writer.write(entry, &mut out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(bytes(StatusCode::OK, JSON, out.into()))
}

fn list_metadata(page: &ListAnswer) -> Value {
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if !page.continue_token.is_empty() {
        metadata["continue"] = page.continue_token.as_str().into();
    }
    if let Some(remaining) = page.remaining.filter(|remaining| *remaining > 0) {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

/// A `Status` that says it is done.
pub(super) fn success(asked: &Asked, details: Option<Details>) -> ApiResult<Response<Body>> {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if let Some(details) = details {
        status["details"] = serde_json::to_value(details)
            .map_err(|error| ApiError::internal("the answer cannot be written").caused_by(error))?;
    }
    document(asked, &status)
}

/// A `Status` that says what is wrong; the cause goes to the log.
pub(super) fn error(error: ApiError, accept: &Accept) -> Response<Body> {
    let _ = accept;
    if let Some(cause) = &error.source {
        tracing::error!(message = %error.status.message, cause = %chain(&**cause), "a request failed");
    }
    let status = StatusCode::from_u16(error.status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = bytes(status, JSON, error.status.to_value().to_string().into());
    let retry = error.status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The answer for paths that nothing serves.
pub(super) fn page_not_found() -> Response<Body> {
    bytes(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n".into())
}

/// An answer of bytes.
pub(super) fn bytes(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer that goes on.
pub(super) fn stream(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Adds `Warning` headers (RFC 7234, as Kubernetes writes them).
pub(super) fn add_warnings(response: &mut Response<Body>, warnings: Vec<String>) {
    for warning in warnings {
        let text: String = warning.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

fn json_bytes(value: &impl serde::Serialize) -> ApiResult<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| ApiError::internal("the answer cannot be written").caused_by(error))
}

/// Makes the frames of one watch.
pub(super) struct Frames {
    target: Target,
}

impl Frames {
    /// Frames in the form the client accepts.
    pub(super) fn of(asked: &Asked, target: &Target) -> ApiResult<Self> {
        let _ = asked;
        Ok(Self { target: target.clone() })
    }

    /// The media type of the stream.
    pub(super) fn media_type(&self) -> &'static str {
        JSON
    }

    /// The frame of something that happened to an object.
    pub(super) fn event(
        &self,
        happened: Happened,
        entry: &Arc<Entry>,
        revision: u64,
        event: Option<&Event>,
    ) -> ApiResult<Bytes> {
        let _ = event;
        let mut out = Vec::with_capacity(entry.bytes.len() + 128);
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(happened.as_str().as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        self.target.writer(TypeMeta::Shown).write_at(entry, revision, &mut out)?;
        out.extend_from_slice(b"}\n");
        Ok(out.into())
    }

    /// The frame of a bookmark.
    pub(super) fn bookmark(&self, revision: u64, bookmark: Bookmark) -> ApiResult<Bytes> {
        let mut object = self.target.empty_object();
        object.set_meta("resourceVersion", &revision.to_string());
        if bookmark == Bookmark::InitialEnd {
            object.set_annotation("k8s.io/initial-events-end", "true");
        }
        let mut frame = json!({"type": "BOOKMARK", "object": object}).to_string();
        frame.push('\n');
        Ok(frame.into())
    }

    /// The frame of an error, the last of its stream.
    pub(super) fn error(&self, error: ApiError) -> ApiResult<Bytes> {
        let mut frame = json!({"type": "ERROR", "object": error.status.to_value()}).to_string();
        frame.push('\n');
        Ok(frame.into())
    }
}
