//! The options of delete and deletecollection, from the query or from a body.

use serde_json::{Map, Value};

use super::{integer, invalid, text, validate_dry_run};
use crate::field::{FieldError, FieldErrors, FieldPath, go_quote};
use crate::query::Query;
use crate::status::{ApiError, ApiResult};

/// What becomes of an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted before the object.
    Foreground,
    /// They are deleted after the object.
    Background,
    /// They stay.
    Orphan,
}

/// What must be true of an object for it to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<String>,
    /// Its resource version.
    pub resource_version: Option<String>,
}

/// The options of delete and deletecollection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteOptions {
    /// How long the object may take to end, in seconds.
    pub grace_period_seconds: Option<i64>,
    /// What must be true of the object.
    pub preconditions: Option<Preconditions>,
    /// What becomes of dependents, if said.
    pub propagation_policy: Option<Propagation>,
    /// An old way to say what becomes of dependents.
    pub orphan_dependents: Option<bool>,
    /// Nothing is to be deleted (`dryRun=All`).
    pub dry_run: bool,
    /// Delete even what cannot be read. Kubernetes drops this unless a feature gate is on, which it is not by default.
    pub ignore_store_read_error: bool,
}

/// Options as they were given, before they are checked.
#[derive(Default)]
struct RawDeleteOptions {
    grace_period_seconds: Option<i64>,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    dry_run: Vec<String>,
    ignore_store_read_error: Option<bool>,
}

impl DeleteOptions {
    /// Reads and checks options given in the query; used when the request has no body.
    pub fn from_query(query: &Query) -> ApiResult<Self> {
        let named = |name: &str| Some(text(query, name).to_owned()).filter(|value| !value.is_empty());
        let preconditions = Preconditions { uid: named("uid"), resource_version: named("resourceVersion") };
        let raw = RawDeleteOptions {
            grace_period_seconds: integer(query, "gracePeriodSeconds")?,
            preconditions: Some(preconditions).filter(|given| *given != Preconditions::default()),
            propagation_policy: query.first("propagationPolicy").map(str::to_owned),
            orphan_dependents: query.optional_flag("orphanDependents"),
            dry_run: query.all("dryRun").map(str::to_owned).collect(),
            ignore_store_read_error: query.optional_flag("ignoreStoreReadErrorWithClusterBreakingPotential"),
        };
        raw.check()
    }

    /// Reads and checks options given as a body: `DeleteOptions` of any group and version, type left out or not.
    pub fn from_body(body: &Value) -> ApiResult<Self> {
        let bad = |problem: String| ApiError::bad_request(problem);
        let Value::Object(map) = body else {
            let what = json_type(body);
            return Err(bad(format!("json: cannot unmarshal {what} into Go value of type v1.DeleteOptions")));
        };
        let kind = map.get("kind").and_then(Value::as_str).filter(|kind| !kind.is_empty());
        if let Some(kind) = kind.filter(|kind| *kind != "DeleteOptions") {
            let version = map.get("apiVersion").and_then(Value::as_str).filter(|v| !v.is_empty()).unwrap_or("v1");
            let scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";
            let (kind, version) = (go_quote(kind), go_quote(version));
            return Err(bad(format!("no kind {kind} is registered for version {version} in scheme \"{scheme}\"")));
        }
        RawDeleteOptions::from_map(map).map_err(bad)?.check()
    }

    /// What is to become of dependents by either way of saying it; `None` where the kind decides.
    pub fn propagation(&self) -> Option<Propagation> {
        let orphan = |orphan| if orphan { Propagation::Orphan } else { Propagation::Background };
        self.propagation_policy.or(self.orphan_dependents.map(orphan))
    }
}

impl RawDeleteOptions {
    fn from_map(map: &Map<String, Value>) -> Result<Self, String> {
        let mut raw = Self::default();
        for (field, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let wrong = |expected: &str| type_fault(value, &format!("DeleteOptions.{field}"), expected);
            match field.as_str() {
                "gracePeriodSeconds" => raw.grace_period_seconds = Some(value.as_i64().ok_or_else(|| wrong("int64"))?),
                "orphanDependents" => raw.orphan_dependents = Some(value.as_bool().ok_or_else(|| wrong("bool"))?),
                "propagationPolicy" => {
                    let policy = value.as_str().ok_or_else(|| wrong("v1.DeletionPropagation"))?;
                    raw.propagation_policy = Some(policy.to_owned());
                }
                "dryRun" => {
                    for item in value.as_array().ok_or_else(|| wrong("[]string"))? {
                        let fault = || type_fault(item, "DeleteOptions.dryRun", "string");
                        raw.dry_run.push(item.as_str().ok_or_else(fault)?.to_owned());
                    }
                }
                "preconditions" => {
                    let map = value.as_object().ok_or_else(|| wrong("v1.Preconditions"))?;
                    raw.preconditions = Some(preconditions(map)?);
                }
                "ignoreStoreReadErrorWithClusterBreakingPotential" => {
                    raw.ignore_store_read_error = Some(value.as_bool().ok_or_else(|| wrong("bool"))?);
                }
                _ => {}
            }
        }
        Ok(raw)
    }

    fn check(self) -> ApiResult<DeleteOptions> {
        let mut errors = FieldErrors::new();
        let path = FieldPath::new("propagationPolicy");
        let policy = self.propagation_policy.as_deref();
        let propagation_policy = match policy {
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Background") => Some(Propagation::Background),
            Some("Orphan") => Some(Propagation::Orphan),
            _ => None,
        };
        if let (Some(policy), Some(_)) = (policy, self.orphan_dependents) {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid(&path, &policy.into(), detail));
        }
        if let (Some(policy), None) = (policy, propagation_policy) {
            let accepted = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(FieldError::not_supported(&path, &policy.into(), &accepted));
        }
        let dry_run: Vec<&str> = self.dry_run.iter().map(String::as_str).collect();
        validate_dry_run(&dry_run, &mut errors);
        if !errors.is_empty() {
            return Err(invalid("DeleteOptions", &errors));
        }
        Ok(DeleteOptions {
            grace_period_seconds: self.grace_period_seconds,
            preconditions: self.preconditions,
            propagation_policy,
            orphan_dependents: self.orphan_dependents,
            dry_run: !self.dry_run.is_empty(),
            ignore_store_read_error: self.ignore_store_read_error.unwrap_or_default(),
        })
    }
}

fn preconditions(map: &Map<String, Value>) -> Result<Preconditions, String> {
    let field = |name: &str, go_type: &str| match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(type_fault(other, &format!("Preconditions.preconditions.{name}"), go_type)),
    };
    Ok(Preconditions { uid: field("uid", "types.UID")?, resource_version: field("resourceVersion", "string")? })
}

/// The words of Go's `encoding/json` for a value of the wrong type.
fn type_fault(value: &Value, field: &str, go_type: &str) -> String {
    format!("json: cannot unmarshal {} into Go struct field {field} of type {go_type}", json_type(value))
}

fn json_type(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if number.is_f64() => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}
