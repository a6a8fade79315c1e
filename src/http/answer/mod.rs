//! Answers: objects, lists, events and errors in the encoding and shape the client accepts.

mod form;
mod frames;
mod list;
mod scale;
mod table;

use atoll_api::options::IncludeObject;
use atoll_api::query::Query;
use atoll_api::status::Details;
use atoll_api::{ApiError, ApiResult, Object, Reason, UserInfo};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::chain::Asked;
use crate::codec::json::InOrder;
use crate::codec::negotiate::{
    self, ENCODINGS, Encoding, MetaVersion, Negotiated, ObjectOffer, PlainOffer, Shape, UntabledOffer, negotiate,
    negotiate_stream,
};
use crate::codec::partial::{ListMeta, partial_bytes};
use crate::codec::table::{Carried, Headers};
use crate::registry::resource::Origin;
use crate::registry::{Target, Written};

pub(super) use form::{bytes, empty, is_packed_for, pack, page_not_found, stream};
pub(super) use frames::{Bookmark, Frames};
pub(super) use list::list;
pub(super) use scale::scale;

/// An identity given by a client in this process; never by a header.
#[derive(Debug, Clone)]
pub struct Identity(pub UserInfo);

/// What an answer holds, for what the client may accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// One object.
    Object,
    /// A list.
    List,
    /// A stream of events.
    Watch,
}

/// The encodings of custom resources: they have no protobuf.
const CUSTOM_ENCODINGS: &[Encoding] = &[Encoding::Json, Encoding::Yaml];

/// The `Accept` header, empty if absent.
pub(super) fn accept(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Finds how to answer, and refuses what cannot be, before anything is done.
pub(super) fn agree(asked: &Asked, target: &Target, holds: Holds) -> ApiResult<Negotiated> {
    let accept = accept(&asked.headers);
    let builtin = target.resource.origin() == Origin::Builtin;
    if builtin {
        let plain = ENCODINGS.iter().map(|encoding| encoding.media_type());
        let streams = ENCODINGS.iter().filter_map(|encoding| encoding.stream_media_type());
        let produces: Vec<&str> = match holds {
            Holds::Object => plain.collect(),
            Holds::List | Holds::Watch => plain.chain(streams).collect(),
        };
        negotiate::check_route(accept, &produces)?;
    }
    let offer = ObjectOffer { encodings: if builtin { ENCODINGS } else { CUSTOM_ENCODINGS } };
    let agreed = match holds {
        Holds::Watch => negotiate_stream(accept, &offer)?,
        Holds::Object | Holds::List => negotiate(accept, &offer)?,
    };
    match agreed.shape() {
        Shape::Plain | Shape::Table(_) if target.resource.is_metadata_only() => Err(only_metadata()),
        _ => Ok(agreed),
    }
}

/// An object as JSON bytes, in the form the client accepts.
pub(super) fn object(asked: &Asked, target: &Target, status: StatusCode, object: Bytes) -> ApiResult<Response<Body>> {
    let agreed = agree(asked, target, Holds::Object)?;
    match agreed.shape() {
        Shape::Plain => form::encoded(asked, &agreed, status, object),
        Shape::Partial(version) => {
            let partial = partial_bytes(&object, version).unwrap_or_default();
            form::encoded(asked, &agreed, status, partial.into())
        }
        Shape::Table(version) => form::encoded(asked, &agreed, status, object_table(asked, target, version, &object)?),
        Shape::PartialList(_) => Err(not_a_list(target)),
    }
}

/// What a write left.
pub(super) fn written(asked: &Asked, target: &Target, written: Written) -> ApiResult<Response<Body>> {
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    object(asked, target, status, written.json)
}

/// An object that is not of the target's kind.
pub(super) fn value(asked: &Asked, status: StatusCode, object: &Object) -> ApiResult<Response<Body>> {
    let agreed = negotiate(accept(&asked.headers), &UntabledOffer)?;
    let json = form::json(&object.0)?;
    match agreed.shape() {
        Shape::Partial(version) => {
            form::encoded(asked, &agreed, status, partial_bytes(&json, version).unwrap_or_default().into())
        }
        _ => form::encoded(asked, &agreed, status, json),
    }
}

/// Who decides which media types there are, which shows in the words of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// The route, before anything else is looked at.
    ByRoute,
    /// The handler.
    ByHandler,
}

/// A document that has one form, such as discovery's.
pub(super) fn document(asked: &Asked, offered: Offered, document: &InOrder<'_>) -> ApiResult<Response<Body>> {
    if offered == Offered::ByRoute {
        let produces: Vec<&str> = ENCODINGS.iter().map(|encoding| encoding.media_type()).collect();
        negotiate::check_route(accept(&asked.headers), &produces)?;
    }
    let agreed = negotiate(accept(&asked.headers), &PlainOffer)?;
    if agreed.encoding == Encoding::Json && form::is_pretty(asked, &agreed) {
        return Ok(indented(asked, document));
    }
    form::encoded(asked, &agreed, StatusCode::OK, document.to_vec().into())
}

/// A document that is indented JSON whatever the client accepts, as kube-apiserver writes those that are no objects.
pub(super) fn indented(asked: &Asked, document: &InOrder<'_>) -> Response<Body> {
    form::compressed(asked, StatusCode::OK, Encoding::Json.media_type(), document.to_pretty_vec().into())
}

/// A document that is JSON whatever the client accepts; clients ask for it in the encoding they use for objects.
pub(super) fn json_document(asked: &Asked, document: &Value) -> ApiResult<Response<Body>> {
    form::as_json(asked, StatusCode::OK, document)
}

/// The table of one object, which is JSON already.
fn object_table(asked: &Asked, target: &Target, version: MetaVersion, json: &Bytes) -> ApiResult<Bytes> {
    let object: Object = form::parse(json)?;
    let meta = ListMeta { resource_version: object.resource_version().to_owned(), ..ListMeta::default() };
    let form = table::Form { version, include: include(asked)?, headers: Headers::Shown };
    let mut out = Vec::with_capacity(json.len() + 1024);
    let mut table = table::Table::begin(target, form, asked.cx.now, &meta, &mut out)?;
    let carry = |carried, out: &mut Vec<u8>| {
        match carried {
            Carried::Whole => out.extend_from_slice(json),
            Carried::Metadata => out.extend_from_slice(&partial_bytes(json, version).unwrap_or_default()),
        }
        Ok(())
    };
    table.add(&object, carry, &mut out)?;
    table.end(&mut out);
    Ok(out.into())
}

/// What of each object goes with its row.
fn include(asked: &Asked) -> ApiResult<IncludeObject> {
    IncludeObject::from_query(&Query::parse(&asked.query))
}

fn only_metadata() -> ApiError {
    ApiError::new(
        Reason::NotAcceptable,
        "each logical cluster defines custom resources in its own way, so across all of them only metadata is served: \
         accept application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1 (or PartialObjectMetadata for a watch)",
    )
}

fn not_a_list(target: &Target) -> ApiError {
    if target.resource.origin() == Origin::Custom {
        // Kubernetes takes it for one, and finds out that it has no items.
        return ApiError::new(Reason::Unknown, "content is not a list");
    }
    let message = "you requested PartialObjectMetadataList, but the requested object is not a list";
    let (package, kind) = (target.go_package(), &target.descriptor().kind);
    ApiError::new(Reason::NotAcceptable, format!("{message} (*{package}.{kind})"))
}

/// A `Status` that says it is done.
pub(super) fn success(asked: &Asked, details: Option<Details>) -> ApiResult<Response<Body>> {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if let Some(details) = details {
        status["details"] = serde_json::to_value(details)
            .map_err(|error| ApiError::internal("the answer cannot be written").caused_by(error))?;
    }
    let agreed = negotiate::negotiate_status(accept(&asked.headers));
    form::encoded(asked, &agreed, StatusCode::OK, form::json(&status)?)
}

/// A `Status` that says what is wrong; the cause goes to the log.
pub(super) fn error(error: ApiError, headers: &HeaderMap) -> Response<Body> {
    if let Some(cause) = &error.source {
        tracing::error!(message = %error.status.message, cause = %chain(&**cause), "a request failed");
    }
    let status = StatusCode::from_u16(error.status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text: Bytes = error.status.to_value().to_string().into();
    let agreed = negotiate::negotiate_status(accept(headers));
    let mut response = form::write(agreed.encoding, text.clone())
        .map(|body| bytes(status, agreed.encoding.media_type(), body))
        .unwrap_or_else(|_| bytes(status, Encoding::Json.media_type(), text));
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
