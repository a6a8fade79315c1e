//! LimitRanges: bounds and defaults for what pods and claims of a namespace ask for.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::quantity::Quantity;
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::{Map, Value};

use crate::resources::checks::amounts::{container_resource_name, greater, may_be_overcommitted, resource_name};
use crate::resources::checks::{forbidden, invalid, invalid_each, path, required};
use crate::resources::defaults::made;
use crate::resources::kind::{Kind, Manners, Version};
use crate::resources::read::{entries, field, list, quantity, size, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "limitranges",
    kind: "LimitRange",
    short_names: &["limits"],
    versions: &[Version { api_version: "v1", type_name: "core.v1.LimitRange", ..Version::BARE }],
    manners: Manners::CREATE_ON_UPDATE,
    validate_create,
    type_defaults: &[("core.v1.LimitRangeItem", item_defaults)],
    ..Kind::NAMESPACED
};

/// Containers get their greatest amounts as default limits, and those, or else the least amounts, as default requests.
fn item_defaults(item: &mut Map<String, Value>) {
    if item.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let amounts = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, amount) in amounts {
            made(item, to).entry(name).or_insert(amount);
        }
    }
}

fn validate_create(range: &Object, errors: &mut FieldErrors) {
    let mut types = BTreeSet::new();
    for (index, limit) in list(&field(range, "spec")["limits"]).iter().enumerate() {
        let path = path("spec.limits").index(index);
        let kind = text(&limit["type"]);
        validate_type(kind, &path.child("type"), errors);
        if !types.insert(kind) {
            errors.push(FieldError::duplicate(&path.child("type"), &kind.into()));
        }
        validate_limit(limit, kind, &path, errors);
    }
}

fn validate_type(kind: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let wrong = atoll_api::validation::qualified_name(kind);
    let well_formed = wrong.is_empty();
    invalid_each(errors, path, kind, wrong);
    if well_formed && !kind.contains('/') && !["Pod", "Container", "PersistentVolumeClaim"].contains(&kind) {
        invalid(errors, path, &kind.into(), "must be a standard limit type or fully qualified");
    }
}

fn validate_limit(limit: &Value, kind: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let named = |name: &str, path: &FieldPath, errors: &mut FieldErrors| match kind {
        "Pod" | "Container" => container_resource_name(errors, path, name),
        _ => resource_name(errors, path, name),
    };
    let mut keys = BTreeSet::new();
    let mut amounts: BTreeMap<(&str, &str), Quantity> = BTreeMap::new();
    for part in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if kind == "Pod" && part.starts_with("default") {
            if size(&limit[part]) > 0 {
                forbidden(errors, &path.child(part), "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        if part == "maxLimitRequestRatio" && kind == "PersistentVolumeClaim" {
            let bounds = |bound: &str| !limit[bound]["storage"].is_null();
            if !bounds("min") && !bounds("max") {
                let detail = "either minimum or maximum storage value is required, but neither was provided";
                required(errors, &path.child("limits"), detail);
            }
        }
        for (name, amount) in entries(&limit[part]) {
            named(name, &path.child(part).key(name), errors);
            keys.insert(name);
            amounts.insert((part, name), quantity(amount));
        }
    }
    for name in keys {
        compare(&amounts, name, path, errors);
    }
}

/// Checks the bounds and defaults of one resource against each other.
fn compare(amounts: &BTreeMap<(&str, &str), Quantity>, name: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let of = |part| amounts.get(&(part, name));
    let (min, max, default, request) = (of("min"), of("max"), of("default"), of("defaultRequest"));
    let pairs = [
        ("min", min, "min value", max, "max value", min),
        ("defaultRequest", min, "min value", request, "default request value", request),
        ("defaultRequest", request, "default request value", max, "max value", request),
        ("defaultRequest", request, "default request value", default, "default limit value", request),
        ("default", min, "min value", default, "default value", min),
        ("default", default, "default value", max, "max value", max),
    ];
    for (part, less, less_name, more, more_name, shown) in pairs {
        if let (Some(less), Some(more), Some(shown)) = (less, more, shown)
            && greater(less, more)
        {
            let detail = format!("{less_name} {less} is greater than {more_name} {more}");
            invalid(errors, &path.child(part).key(name), &shown.to_string().into(), detail);
        }
    }
    if let Some(ratio) = of("maxLimitRequestRatio") {
        compare_ratio(ratio, min, max, &path.child("maxLimitRequestRatio").key(name), errors);
    }
    if let (Some(default), Some(request)) = (default, request)
        && !may_be_overcommitted(name)
        && default != request
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
        invalid(errors, &path.child("defaultRequest").key(name), &request.to_string().into(), detail);
    }
}

fn compare_ratio(
    ratio: &Quantity,
    min: Option<&Quantity>,
    max: Option<&Quantity>,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    if greater(&Quantity::from_units(1), ratio) {
        invalid(errors, path, &ratio.to_string().into(), format!("ratio {ratio} is less than 1"));
    }
    if let (Some(min), Some(max)) = (min, max) {
        let limit = max.as_f64() / min.as_f64();
        if ratio.as_f64() > limit {
            let detail = format!("ratio {ratio} is greater than max/min = {limit:.6}");
            invalid(errors, path, &ratio.to_string().into(), detail);
        }
    }
}
