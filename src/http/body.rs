//! What a request brings: its headers as they matter here, and its body as a value.

use atoll_api::options::DeleteOptions;
use atoll_api::query::Query;
use atoll_api::status::Details;
use atoll_api::{ApiError, ApiResult, GroupVersionKind, Reason};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::MAX_BODY;
use super::chain::Asked;
use crate::codec::json::{self, Duplicates};
use crate::codec::negotiate::{Encoding, body_encoding, unsupported_media_type};
use crate::codec::protobuf::{self, TypeMeta};
use crate::codec::{body as codec_body, yaml};
use crate::registry::resource::Origin;
use crate::registry::{self, PatchKind, Target};
use crate::schema::decode::Form;

/// The client's name for itself up to the first slash: the default field manager.
pub(super) fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = agent.split('/').next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}

/// Reads the whole body, up to the limit.
pub(super) async fn read(body: Body) -> ApiResult<Bytes> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            Reason::RequestEntityTooLarge,
            format!("Request entity is too large: limit is {MAX_BODY}"),
        )),
        Err(_) => Err(ApiError::bad_request("the body of the request ended early")),
    }
}

/// Reads a body that holds an object of the target's kind.
pub(super) async fn read_object(asked: &Asked, target: &Target, body: Body) -> ApiResult<registry::Body> {
    match target.resource.origin() {
        Origin::Builtin => read_kind(asked, &target.kind(), body).await,
        Origin::Custom => {
            let bytes = read(body).await?;
            read_custom(target, body_encoding(content_type(&asked.headers))?, &bytes)
        }
    }
}

/// Reads a body that holds an object of a built-in kind, and is one of it if it does not say what it is.
pub(super) async fn read_kind(asked: &Asked, kind: &GroupVersionKind, body: Body) -> ApiResult<registry::Body> {
    let bytes = read(body).await?;
    let encoding = body_encoding(content_type(&asked.headers))?;
    let read = codec_body::read_object(&bytes, encoding, kind, Duplicates::Merge)?;
    Ok(registry::Body { value: read.object.into_value(), faults: read.faults, text: bytes, form: Form::Text })
}

/// Custom kinds must say what they are, so nothing is filled in.
fn read_custom(target: &Target, encoding: Encoding, bytes: &[u8]) -> ApiResult<registry::Body> {
    if encoding == Encoding::Protobuf {
        return Err(unsupported_media_type(&["application/json", "application/yaml"]));
    }
    let read = codec_body::read_document(bytes, encoding, &target.kind(), Duplicates::Replace)?;
    Ok(registry::Body {
        value: read.object.into_value(),
        faults: read.faults,
        text: Bytes::copy_from_slice(bytes),
        form: Form::Text,
    })
}

/// Which kind of patch the content type says.
pub(super) fn patch_kind(asked: &Asked, target: &Target) -> ApiResult<PatchKind> {
    let custom = target.resource.origin() == Origin::Custom;
    match content_type(&asked.headers) {
        "application/json-patch+json" => Ok(PatchKind::Json),
        "application/merge-patch+json" => Ok(PatchKind::Merge),
        "application/strategic-merge-patch+json" if !custom => Ok(PatchKind::Strategic),
        "application/apply-patch+yaml" => Ok(PatchKind::Apply),
        _ if custom => Err(unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ])),
        // Kubernetes' router refuses these, before anything else is looked at.
        _ => {
            let details = Some(Details::default());
            Err(ApiError::with_details(Reason::UnsupportedMediaType, "415: Unsupported Media Type", details))
        }
    }
}

/// Reads a patch.
pub(super) async fn read_patch(
    asked: &Asked,
    target: &Target,
    kind: PatchKind,
    body: Body,
) -> ApiResult<registry::Body> {
    let bytes = read(body).await?;
    let _ = (asked, target);
    let bad = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
    let (value, faults) = match kind {
        PatchKind::Apply => {
            let document = yaml::parse(&bytes)
                .map_err(|error| bad(&format!("error decoding YAML: error converting YAML to JSON: {error}")))?;
            (document.value, document.faults)
        }
        _ => {
            let document = json::parse(&bytes, Duplicates::Replace).map_err(|error| match kind {
                PatchKind::Strategic => bad(&error),
                _ => bad(&format!("error decoding patch: {error}")),
            })?;
            (document.value, document.faults)
        }
    };
    Ok(registry::Body { value, faults, text: Bytes::new(), form: Form::Text })
}

/// The options of a deletion: of the body if there is one, else of the query.
pub(super) async fn delete_options(asked: &Asked, body: Body) -> ApiResult<DeleteOptions> {
    let bytes = read(body).await?;
    if bytes.is_empty() {
        return DeleteOptions::from_query(&Query::parse(&asked.query));
    }
    let bad = |why: String| ApiError::bad_request(why);
    let value = match body_encoding(content_type(&asked.headers))? {
        Encoding::Json => {
            let document = json::parse(&bytes, Duplicates::Merge)
                .map_err(|error| bad(format!("couldn't get version/kind; json parse error: {error}")))?;
            document.value
        }
        Encoding::Yaml => yaml::parse(&bytes).map_err(|error| bad(error.to_string()))?.value,
        Encoding::Protobuf => {
            let default = TypeMeta { api_version: "v1".to_owned(), kind: "DeleteOptions".to_owned() };
            protobuf::decode(&bytes, &default).map(Value::Object).map_err(|error| bad(error.to_string()))?
        }
    };
    let document = codec_body::as_document(value).map_err(bad)?;
    DeleteOptions::from_body(&Value::Object(document))
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}
