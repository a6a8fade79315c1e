//! OpenAPI 2: the whole API of a cluster in one document, which older clients, and those that read no other, ask for.
//!
//! It says the same as the documents of version 3, as far as it can be said; its schemas are made of theirs.

use atoll_api::{ApiResult, LogicalClusterName};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::super::aggregation::Spec;
use super::super::answer;
use super::super::chain::Asked;
use super::super::documents::{self, Document, Documents, Name};
use super::{Parts, VERSION};
use crate::codec::negotiate::parse_accept;
use crate::codec::protobuf::encode_openapi_v2;
use crate::schema::openapi::{Document as Dialect, reference};

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What the same was called when it was new; clients still ask for it.
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const V3_PREFIX: &str = "#/components/schemas/";
/// A form a document is asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Protobuf,
}

/// The form the client accepts, if there is one.
fn form(asked: &Asked) -> Option<(Form, &'static str)> {
    let accept = answer::accept(&asked.headers);
    if accept.is_empty() {
        return Some((Form::Json, "application/json"));
    }
    parse_accept(accept).iter().find_map(|clause| match () {
        () if clause.fits("application/json") => Some((Form::Json, "application/json")),
        () if clause.fits(PROTOBUF) => Some((Form::Protobuf, PROTOBUF)),
        () if clause.fits(OLD_PROTOBUF) => Some((Form::Protobuf, PROTOBUF)),
        () => None,
    })
}

/// Answers with the document that `parts` (and what other servers add) make, which are the same as long as the hash is.
pub(super) fn answer(
    asked: &Asked,
    documents: &Documents,
    (hash, only_for): (Sha256, Option<LogicalClusterName>),
    parts: impl FnOnce() -> (Parts, Vec<Spec>),
) -> ApiResult<Response<Body>> {
    let Some((form, media_type)) = form(asked) else { return Ok(answer::empty(StatusCode::NOT_ACCEPTABLE)) };
    let stored = match form {
        Form::Json => documents::Form::WholeJson,
        Form::Protobuf => documents::Form::WholeProtobuf,
    };
    let name = Name::new(stored, hash, only_for);
    let tag = name.tag();
    let unchanged = asked.headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag);
    let mut response = if unchanged {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        let document = documents.of(&name, || {
            let (parts, added) = parts();
            let document = document(parts, added);
            let bytes: Bytes = match form {
                Form::Json => document.to_string().into(),
                Form::Protobuf => encode_openapi_v2(&document).into(),
            };
            Document { bytes, tag: tag.clone() }
        });
        answer::bytes(StatusCode::OK, media_type, document.bytes)
    };
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

fn document(parts: Parts, added: Vec<Spec>) -> Value {
    let Parts { mut paths, schemas, renderer, .. } = parts;
    let mut parameters = renderer.parameters;
    let mut definitions: Map<String, Value> = schemas.into_iter().map(|(name, schema)| (name, to_v2(schema))).collect();
    for spec in added {
        spec.merge_into(&mut paths, &mut definitions, &mut parameters);
    }
    json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths, "definitions": definitions,
        "parameters": parameters, "securityDefinitions": {"BearerToken": bearer_token()}, "security": [{"BearerToken": []}],
    })
}

/// How clients show who they are.
pub(super) fn bearer_token() -> Value {
    json!({"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"})
}

/// A schema of version 3 in version 2: references stand by themselves, there is one type, and nothing is null. Schemas are
/// read from JSON, whose nesting is bounded.
fn to_v2(schema: Value) -> Value {
    let mut fields = match schema {
        Value::Object(fields) => fields,
        other => return other,
    };
    if let Some(target) = only_reference(&fields) {
        fields.remove("allOf");
        fields.insert("$ref".into(), target.into());
    }
    for word in ["default", "nullable", "anyOf", "not"] {
        fields.remove(word);
    }
    if fields.remove("oneOf").is_some() {
        fields.insert("type".into(), "string".into());
    }
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = fields.remove(word) {
            fields.insert(word.to_owned(), to_v2(inner));
        }
    }
    if let Some(Value::Object(properties)) = fields.remove("properties") {
        let properties: Map<String, Value> = properties.into_iter().map(|(name, inner)| (name, to_v2(inner))).collect();
        fields.insert("properties".into(), properties.into());
    }
    fields.into()
}

/// The definition that a schema is nothing but a reference to.
fn only_reference(fields: &Map<String, Value>) -> Option<String> {
    let target = match (fields.get("$ref"), fields.get("allOf").and_then(Value::as_array)) {
        (Some(target), _) => target,
        (None, Some(parts)) if parts.len() == 1 => &parts[0]["$ref"],
        _ => return None,
    };
    let name = target.as_str()?;
    Some(name.strip_prefix(V3_PREFIX).map_or_else(|| name.to_owned(), |name| reference(Dialect::V2, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(v3: Value, v2: Value) {
        assert_eq!(to_v2(v3), v2);
    }

    #[test]
    fn references_stand_by_themselves_in_version_2() {
        let wrapped = json!({"allOf": [{"$ref": "#/components/schemas/a.B"}], "default": {}, "description": "d"});
        check(wrapped.clone(), json!({"$ref": "#/definitions/a.B", "description": "d"}));
        check(
            json!({"type": "object", "properties": {"b": {"type": "array", "items": wrapped, "nullable": true}}}),
            json!({"type": "object", "properties": {
                "b": {"type": "array", "items": {"$ref": "#/definitions/a.B", "description": "d"}}}}),
        );
    }

    #[test]
    fn there_is_one_type_in_version_2() {
        check(
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"format": "int-or-string", "type": "string"}),
        );
    }
}
