//! Secrets: confidential data.

use atoll_api::{FieldErrors, Object};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use x509_parser::pem::Pem;

use crate::codec::json::{self, Duplicates};
use crate::patch::shown;
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{forbidden, immutable, invalid, invalid_each, path, required};
use crate::resources::defaults::{made, set};
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{entries, field, flag, size, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "secrets",
    kind: "Secret",
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.Secret",
        columns: &[
            column("Type", "string", "@core.v1.Secret.type"),
            column("Data", "string", "@core.v1.Secret.data"),
            AGE,
        ],
        selectable_fields: &["type"],
        ..Version::BARE
    }],
    validate_create,
    validate_update: Some(validate_update),
    warnings: |secret, _| warnings(secret).into_iter().collect(),
    cells,
    type_defaults: &[("core.v1.Secret", secret_defaults)],
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

/// The most bytes the data of a secret or config map may have.
pub(super) const MAX_DATA: usize = 1024 * 1024;

fn secret_defaults(secret: &mut Map<String, Value>) {
    fold_string_data(secret);
    set(secret, "type", "Opaque");
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(field(object, "type")).into(), size(field(object, "data")).into(), age(object, now)]
}

/// `stringData` is for writing only: it is folded into `data`, and wins there.
fn fold_string_data(secret: &mut Map<String, Value>) {
    if let Some(Value::Object(plain)) = secret.remove("stringData") {
        let data = made(secret, "data");
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(text(&value)).into());
        }
    }
}

/// The bytes of a base64 text; none if it is malformed, which decoding refuses.
pub(in crate::resources) fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(text(value)).unwrap_or_default()
}

fn validate_create(secret: &Object, errors: &mut FieldErrors) {
    let data = field(secret, "data");
    let at = path("data");
    let mut total = 0;
    for (key, value) in entries(data) {
        invalid_each(errors, &at.key(key), key, atoll_api::validation::config_map_key(key));
        total += bytes(value).len();
    }
    if total > MAX_DATA {
        errors.push(atoll_api::FieldError::too_long(&at, MAX_DATA));
    }
    let mut need = |key: &str| {
        let missing = data[key].is_null();
        if missing {
            required(errors, &at.key(key), "");
        }
        !missing
    };
    match text(field(secret, "type")) {
        "kubernetes.io/service-account-token" => {
            const ACCOUNT: &str = "kubernetes.io/service-account.name";
            if secret.annotation(ACCOUNT).unwrap_or_default().is_empty() {
                required(errors, &path("metadata.annotations").key(ACCOUNT), "");
            }
        }
        "kubernetes.io/dockercfg" if need(".dockercfg") => json_object(data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" if need(".dockerconfigjson") => json_object(data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if data["username"].is_null() && data["password"].is_null() => {
            need("username");
            need("password");
        }
        "kubernetes.io/ssh-auth" if text(&data["ssh-privatekey"]).is_empty() => {
            required(errors, &at.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        _ => {}
    }
}

fn json_object(data: &Value, key: &str, errors: &mut FieldErrors) {
    let detail = match json::parse(&bytes(&data[key]), Duplicates::Replace) {
        Ok(document) if document.value.is_object() || document.value.is_null() => return,
        Ok(document) => {
            let what = shown::json_kind(&document.value);
            format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}")
        }
        Err(why) => why.to_string(),
    };
    invalid(errors, &path("data").key(key), &"<secret contents redacted>".into(), detail);
}

fn validate_update(secret: &Object, old: &Object, errors: &mut FieldErrors) {
    immutable(errors, &path("type"), field(secret, "type"), field(old, "type"));
    keep_if_immutable(secret, old, &["data"], errors);
    validate_create(secret, errors);
}

/// What is marked immutable stays so, and so do its fields.
pub(super) fn keep_if_immutable(object: &Object, old: &Object, fields: &[&str], errors: &mut FieldErrors) {
    const WHY: &str = "field is immutable when `immutable` is set";
    if !flag(field(old, "immutable")) {
        return;
    }
    if !flag(field(object, "immutable")) {
        forbidden(errors, &path("immutable"), WHY);
    }
    for name in fields {
        if field(object, name) != field(old, name) {
            forbidden(errors, &path(name), WHY);
        }
    }
}

/// A warning about a TLS secret that holds no certificate or no key. Whether they belong together is not looked at.
fn warnings(secret: &Object) -> Option<String> {
    let data = field(secret, "data");
    let holds = |key: &str, label: &str| {
        let bytes = bytes(&data[key]);
        Pem::iter_from_buffer(&bytes).filter_map(Result::ok).any(|block| block.label.ends_with(label))
    };
    if secret.get("type").is_none_or(|kind| kind != "kubernetes.io/tls") {
        None
    } else if !holds("tls.crt", "CERTIFICATE") {
        Some("tls: failed to find any PEM data in certificate input".to_owned())
    } else if !holds("tls.key", "PRIVATE KEY") {
        Some("tls: failed to find any PEM data in key input".to_owned())
    } else {
        None
    }
}
