//! CertificateSigningRequests: certificates that somebody asks for.

use atoll_api::Object;
use atoll_api::time::human_duration;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::checks::{self, Write};
use crate::registry::resource::{MetadataChecks, NameRule, Part};
use crate::registry::seconds;
use crate::request::RequestContext;
use crate::resources::kind::{AGE, ColumnSpec, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::{NONE, age, text_or};
use crate::resources::read::{condition, field, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "certificatesigningrequests",
    kind: "CertificateSigningRequest",
    short_names: &["csr"],
    versions: &[Version {
        api_version: "certificates.k8s.io/v1",
        type_name: "certificates.v1.CertificateSigningRequest",
        columns: COLUMNS,
        subresources: &[SubresourceSpec::Part("approval"), SubresourceSpec::Status],
        selectable_fields: &["spec.signerName"],
        ..Version::BARE
    }],
    name_rule: NameRule::Own,
    keeps: &["spec"],
    status_keeps: &["spec", "status.conditions"],
    prepare_update: keep_spec,
    prepare_status_update: |request, old| {
        for kind in ["Approved", "Denied"] {
            keep_conditions(request, old, kind);
        }
    },
    part_keeps: &["spec", "status.certificate"],
    prepare_part_update: |_, request, old| keep_all_but_conditions(request, old),
    validate_part_update: |_, request, old, errors| checks::validate_update(request, old, Write::Approval, errors),
    metadata_checks: MetadataChecks::Both,
    stamp,
    validate_create: |request, errors| checks::validate(request, None, errors),
    validate_update: Some(|request, old, errors| checks::validate_update(request, old, Write::Main, errors)),
    validate_status_update: |request, old, errors| checks::validate_update(request, old, Write::Status, errors),
    cells,
    part_metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

const COLUMNS: &[ColumnSpec] = &[
    AGE,
    column("SignerName", "string", "@certificates.v1.CertificateSigningRequestSpec.signerName"),
    column("Requestor", "string", "@certificates.v1.CertificateSigningRequestSpec.request"),
    column("RequestedDuration", "string", "@certificates.v1.CertificateSigningRequestSpec.expirationSeconds"),
    column("Condition", "string", "@certificates.v1.CertificateSigningRequestStatus.conditions"),
];

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    vec![
        age(object, now),
        text_or(&spec["signerName"], NONE),
        text(&spec["username"]).into(),
        spec["expirationSeconds"].as_i64().map_or(NONE.to_owned(), human_duration).into(),
        state(field(object, "status")).into(),
    ]
}

fn state(status: &Value) -> String {
    let has = |kind: &str| condition(&status["conditions"], kind).is_some();
    let mut state = if has("Denied") {
        "Denied".to_owned()
    } else if has("Approved") {
        "Approved".to_owned()
    } else {
        "Pending".to_owned()
    };
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !text(&status["certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    state
}

/// A request never changes after it is made.
fn keep_spec(request: &mut Object, old: &Object) {
    request.0.insert("spec".into(), field(old, "spec").clone());
}

/// An approval says nothing but conditions.
fn keep_all_but_conditions(request: &mut Object, old: &Object) {
    keep_spec(request, old);
    let said = field(request, "status")["conditions"].clone();
    let mut status = field(old, "status").as_object().cloned().unwrap_or_default();
    match said {
        Value::Null => status.remove("conditions"),
        said => status.insert("conditions".into(), said),
    };
    request.0.insert("status".into(), status.into());
}

/// Conditions that are as many as before are what they were.
fn keep_conditions(request: &mut Object, old: &Object, kind: &str) {
    let known: Vec<&Value> =
        list(&field(old, "status")["conditions"]).iter().filter(|condition| condition["type"] == kind).collect();
    let Some(Value::Array(conditions)) = request.map_mut("status").get_mut("conditions") else { return };
    let mut new: Vec<&mut Value> = conditions.iter_mut().filter(|condition| condition["type"] == kind).collect();
    if new.len() == known.len() {
        for (new, known) in new.iter_mut().zip(known) {
            **new = known.clone();
        }
    }
}

fn stamp(cx: &RequestContext, request: &mut Object, old: Option<&Object>, part: Part) {
    match (old, part) {
        (None, _) => tell_who_asks(cx, request),
        (Some(old), Part::Status | Part::Sub(_) | Part::Other) => tell_when(cx, request, old),
        (Some(_), Part::Main) => {}
    }
}

/// Who asks is not for the client to say.
fn tell_who_asks(cx: &RequestContext, request: &mut Object) {
    let user = &cx.user;
    let spec = request.map_mut("spec");
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    for (field, value) in [("username", &user.name), ("uid", &user.uid)] {
        if !value.is_empty() {
            spec.insert(field.to_owned(), value.as_str().into());
        }
    }
    if !user.groups.is_empty() {
        spec.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".into(), json!(user.extra));
    }
}

/// Conditions that do not say since when they are so are so since now, or since when they were.
fn tell_when(cx: &RequestContext, request: &mut Object, old: &Object) {
    let now = seconds(cx.now);
    let before = list(&field(old, "status")["conditions"]);
    let Some(Value::Array(conditions)) = request.map_mut("status").get_mut("conditions") else { return };
    for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
        let since = before
            .iter()
            .filter(|known| {
                Some(&known["type"]) == condition.get("type") && Some(&known["status"]) == condition.get("status")
            })
            .map(|known| &known["lastTransitionTime"])
            .find(|time| time.is_string());
        let since = since.cloned().unwrap_or_else(|| now.clone().into());
        say(condition, "lastUpdateTime", now.clone().into());
        say(condition, "lastTransitionTime", since);
    }
}

fn say(condition: &mut Map<String, Value>, field: &str, value: Value) {
    if condition.get(field).is_none_or(Value::is_null) {
        condition.insert(field.to_owned(), value);
    }
}
