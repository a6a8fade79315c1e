//! The bytes of an answer: encoded, indented for people, compressed where that pays.

use std::io::Write;

use atoll_api::query::Query;
use atoll_api::{ApiError, ApiResult};
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::chain::Asked;
use crate::codec::negotiate::{Encoding, Negotiated, wants_pretty};
use crate::codec::{json as codec_json, protobuf, yaml};

/// Answers of fewer bytes are not compressed, as in kube-apiserver (`APIResponseCompression`).
const COMPRESS_FROM: usize = 128 * 1024;

/// An answer whose JSON is at hand, in the encoding agreed on.
pub(super) fn encoded(
    asked: &Asked,
    agreed: &Negotiated,
    status: StatusCode,
    json: Bytes,
) -> ApiResult<Response<Body>> {
    let pretty = agreed.pretty || wants_pretty(&Query::parse(&asked.query), &asked.user_agent);
    let body = match agreed.encoding {
        Encoding::Json if pretty => codec_json::to_pretty_vec(&parse::<Value>(&json)?).into(),
        encoding => write(encoding, json)?,
    };
    Ok(compressed(asked, status, agreed.encoding.media_type(), body))
}

/// A value as JSON, whatever the client accepts.
pub(super) fn as_json(asked: &Asked, status: StatusCode, value: &Value) -> ApiResult<Response<Body>> {
    let body = match wants_pretty(&Query::parse(&asked.query), &asked.user_agent) {
        true => codec_json::to_pretty_vec(value).into(),
        false => json(value)?,
    };
    Ok(compressed(asked, status, Encoding::Json.media_type(), body))
}

/// Turns JSON into an encoding.
pub(super) fn write(encoding: Encoding, json: Bytes) -> ApiResult<Bytes> {
    match encoding {
        Encoding::Json => Ok(json),
        Encoding::Yaml => Ok(yaml::to_vec(&parse(&json)?).into()),
        Encoding::Protobuf => protobuf::encode(&parse(&json)?)
            .map(Bytes::from)
            .map_err(|error| ApiError::internal("the answer cannot be written as protobuf").caused_by(error)),
    }
}

fn compressed(asked: &Asked, status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Body> {
    let packed = is_packed_for(asked, body.len()).then(|| pack(&body)).flatten();
    let Some(packed) = packed else { return bytes(status, media_type, body) };
    let mut response = bytes(status, media_type, packed);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// Whether an answer of so many bytes is compressed for a client.
pub(in super::super) fn is_packed_for(asked: &Asked, size: usize) -> bool {
    let accepts = asked.headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    size >= COMPRESS_FROM && accepts.split(',').any(|coding| coding.trim().starts_with("gzip"))
}

/// Bytes as gzip has them.
pub(in super::super) fn pack(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).ok().map(Bytes::from)
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> ApiResult<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| ApiError::internal("the answer cannot be written").caused_by(error))
}

/// JSON that this server wrote, read back.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> ApiResult<T> {
    serde_json::from_slice(json).map_err(|error| ApiError::internal("an answer cannot be read back").caused_by(error))
}

/// The answer for paths that nothing serves.
pub(in super::super) fn page_not_found() -> Response<Body> {
    bytes(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n".into())
}

/// An answer of bytes.
pub(in super::super) fn bytes(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// An answer without a body.
pub(in super::super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer that goes on.
pub(in super::super) fn stream(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
