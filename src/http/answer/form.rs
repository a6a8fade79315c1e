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
    let body = match agreed.encoding {
        Encoding::Json if is_pretty(asked, agreed) => codec_json::to_pretty_vec(&parse::<Value>(&json)?).into(),
        encoding => write(encoding, json)?,
    };
    Ok(compressed(asked, status, agreed.encoding.media_type(), body))
}

/// Whether JSON is indented.
pub(super) fn is_pretty(asked: &Asked, agreed: &Negotiated) -> bool {
    agreed.pretty || wants_pretty(&Query::parse(&asked.query), &asked.user_agent)
}

/// JSON that is written while the client reads it. An error ends the answer where it is.
pub(super) fn written_on(
    asked: &Asked,
    pieces: impl Iterator<Item = ApiResult<Bytes>> + Send + 'static,
) -> Response<Body> {
    let media_type = Encoding::Json.media_type();
    if is_packed_for(asked, usize::MAX) {
        return packed(stream(media_type, Body::from_stream(futures::stream::iter(Packed::of(pieces)))));
    }
    stream(media_type, Body::from_stream(futures::stream::iter(pieces)))
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

/// An answer of bytes, compressed where that pays and the client takes it.
pub(super) fn compressed(asked: &Asked, status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Body> {
    match is_packed_for(asked, body.len()).then(|| pack(&body)).flatten() {
        Some(body) => packed(bytes(status, media_type, body)),
        None => bytes(status, media_type, body),
    }
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

/// An answer whose body is compressed.
fn packed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// Pieces of an answer, compressed.
struct Packed<I> {
    pieces: I,
    /// None when all is packed.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

// === impl Packed ===

impl<I: Iterator<Item = ApiResult<Bytes>>> Packed<I> {
    fn of(pieces: I) -> Self {
        Self { pieces, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) }
    }

    /// What comes of the next piece of the answer, which may be nothing yet.
    fn pack(&mut self) -> ApiResult<Vec<u8>> {
        let unpackable = |error| ApiError::internal("the answer cannot be compressed").caused_by(error);
        let Some(piece) = self.pieces.next().transpose()? else {
            let Some(encoder) = self.encoder.take() else { return Ok(Vec::new()) };
            return encoder.finish().map_err(unpackable);
        };
        let Some(encoder) = &mut self.encoder else { return Ok(Vec::new()) };
        encoder.write_all(&piece).map_err(unpackable)?;
        Ok(std::mem::take(encoder.get_mut()))
    }
}

impl<I: Iterator<Item = ApiResult<Bytes>>> Iterator for Packed<I> {
    type Item = ApiResult<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.encoder.is_some() {
            match self.pack() {
                Ok(packed) if packed.is_empty() => {}
                Ok(packed) => return Some(Ok(packed.into())),
                Err(error) => {
                    self.encoder = None;
                    return Some(Err(error));
                }
            }
        }
        None
    }
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
