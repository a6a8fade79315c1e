//! Checks of the devices in a slice.

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::capacities::{Sharing, capacity};
use super::lists::{elements, map, unique};
use super::names::{binding_conditions, qualified_name, taint};
use super::shown;
use crate::resources::checks::{invalid, label, required, subdomain};
use crate::resources::podspec::node_selector;
use crate::resources::read::{flag, is_set, size, text};

/// The most attributes and capacities of a device together, and the most values of attributes.
const MAX_ENTRIES: usize = 32;
const MAX_VALUES: usize = 48;
/// How much of the name of an attribute is shown: a domain, a slash, and an identifier.
const LONGEST_NAME: usize = 63 + 1 + 32;
/// The longest text or version, in bytes.
const MAX_VALUE: usize = 64;
const MAX_TAINTS: usize = 16;
/// From how many sets of counters a device may take.
const MAX_CONSUMED_SETS: usize = 2;
const MAX_COUNTERS: usize = 32;
/// How much of the name of a counter is shown.
const LONGEST_COUNTER: usize = 63;
const KINDS_OF_VALUES: [&str; 4] = ["bool", "int", "string", "version"];

/// Whether a slice or its devices say on which nodes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// The slice says it for all.
    OfSlice,
    /// Each device says it.
    OfDevice,
}

/// Checks a device.
pub(super) fn device(
    errors: &mut FieldErrors,
    device: &Value,
    old: Option<&Value>,
    path: &FieldPath,
    placement: Placement,
) {
    label(errors, &path.child("name"), text(&device["name"]));
    let (attributes, capacities) = (&device["attributes"], &device["capacity"]);
    let too_many = [
        (size(attributes) + size(capacities), MAX_ENTRIES, "attributes and capacities"),
        (size(attributes), MAX_VALUES, "attribute values"),
    ];
    for (count, max, what) in too_many.into_iter().filter(|(count, max, _)| count > max) {
        invalid(errors, path, &count.into(), format!("the total number of {what} must not exceed {max}"));
    }
    let sizes = (usize::MAX, LONGEST_NAME);
    map(errors, attributes, sizes, &path.child("attributes"), qualified_name, attribute);
    let sharing = if flag(&device["allowMultipleAllocations"]) { Sharing::Shares } else { Sharing::Whole };
    map(errors, capacities, sizes, &path.child("capacity"), qualified_name, |errors, value, path| {
        capacity(errors, value, path, sharing);
    });
    if old.is_none_or(|old| old["taints"] != device["taints"]) {
        elements(errors, &device["taints"], MAX_TAINTS, &path.child("taints"), taint);
    }
    let by_set = |consumed: &Value| super::lists::by_text(&consumed["counterSet"]);
    let at = path.child("consumesCounters");
    unique(errors, &device["consumesCounters"], MAX_CONSUMED_SETS, &at, by_set, |errors, consumed, path| {
        named_counters(errors, consumed, "counterSet", path);
    });
    match placement {
        Placement::OfDevice => own_placement(errors, device, path),
        Placement::OfSlice if ["nodeName", "nodeSelector", "allNodes"].iter().any(|field| is_set(&device[*field])) => {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set \
                          to true in the ResourceSlice spec";
            invalid(errors, path, &Value::Null, detail);
        }
        Placement::OfSlice => {}
    }
    binding_conditions(errors, device, path);
}

/// Where a device is that says so itself.
fn own_placement(errors: &mut FieldErrors, device: &Value, path: &FieldPath) {
    let mut set = Vec::new();
    match device["nodeName"].as_str() {
        None => {}
        Some("") => invalid(errors, &path.child("nodeName"), &"".into(), "must not be empty"),
        Some(name) => {
            set.push("`nodeName`");
            subdomain(errors, &path.child("nodeName"), name);
        }
    }
    if is_set(&device["nodeSelector"]) {
        set.push("`nodeSelector`");
        node_selector(errors, &device["nodeSelector"], &path.child("nodeSelector"));
    }
    flag_that_is_set(errors, device, "allNodes", path, &mut set);
    let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is \
                  set to true in the ResourceSlice spec";
    match set.len() {
        0 => required(errors, path, detail),
        1 => {}
        _ => invalid(errors, path, &format!("{{{}}}", set.join(", ")).into(), detail),
    }
}

/// Checks a flag that is true if it is there, and notes that it is.
pub(super) fn flag_that_is_set(
    errors: &mut FieldErrors,
    of: &Value,
    field: &'static str,
    path: &FieldPath,
    set: &mut Vec<&'static str>,
) {
    match of[field].as_bool() {
        None => {}
        Some(true) => set.push(if field == "allNodes" { "`allNodes`" } else { "`perDeviceNodeSelection`" }),
        Some(false) => {
            invalid(errors, &path.child(field), &false.into(), "must be either unset or set to true");
        }
    }
}

/// Checks a set of counters, or what is taken from one; `name` is the field that names the set.
pub(super) fn named_counters(errors: &mut FieldErrors, of: &Value, name: &str, path: &FieldPath) {
    let at = path.child(name);
    match text(&of[name]) {
        "" => required(errors, &at, ""),
        name => label(errors, &at, name),
    }
    let at = path.child("counters");
    if size(&of["counters"]) == 0 {
        return required(errors, &at, "");
    }
    let check_name = |errors: &mut FieldErrors, name: &str, path: &FieldPath| label(errors, path, name);
    map(errors, &of["counters"], (MAX_COUNTERS, LONGEST_COUNTER), &at, check_name, |_, _, _| {});
}

fn attribute(errors: &mut FieldErrors, attribute: &Value, path: &FieldPath) {
    for field in ["string", "version"] {
        let Some(value) = attribute[field].as_str() else { continue };
        let path = path.child(field);
        if field == "version" && !is_semver(value) {
            invalid(errors, &path, &value.into(), "must be a string compatible with semver.org spec 2.0.0");
        }
        if value.len() > MAX_VALUE {
            errors.push(FieldError::too_long(&path, MAX_VALUE));
        }
    }
    let detail = "exactly one value must be specified";
    match KINDS_OF_VALUES.iter().filter(|field| is_set(&attribute[**field])).count() {
        0 => invalid(errors, path, &"".into(), detail),
        1 => {}
        _ => errors.push(FieldError::invalid_shown(path, shown::attribute(attribute), detail)),
    }
}

/// Whether a text is a version as semver.org describes it.
fn is_semver(text: &str) -> bool {
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_release_word = |part: &str| is_number(part) || (is_word(part) && !part.bytes().all(|b| b.is_ascii_digit()));
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, release) = text.split_once('-').map_or((text, None), |(core, release)| (core, Some(release)));
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && release.is_none_or(|release| release.split('.').all(is_release_word))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::checks::path;

    fn told(more: Value, placement: Placement) -> Vec<String> {
        let mut value = json!({"name": "d"});
        for (field, more) in more.as_object().expect("tests write objects") {
            value[field] = more.clone();
        }
        let mut errors = FieldErrors::new();
        device(&mut errors, &value, None, &path("d"), placement);
        errors.iter().map(FieldError::to_string).collect()
    }

    #[test]
    fn versions_are_those_of_semver() {
        for fine in ["1.2.3", "0.0.0", "1.2.3-alpha.1", "1.2.3-0a+build.01", "1.2.3+x-y", "1.2.3--"] {
            assert!(is_semver(fine), "{fine}");
        }
        for bad in [
            "",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3+",
            "1.2.3-a..b",
            "1.2.3+a+b",
            "v1.2.3",
            "1.2.x",
        ] {
            assert!(!is_semver(bad), "{bad}");
        }
    }

    #[test]
    fn attributes_have_one_value() {
        let attribute = |value: Value| told(json!({"attributes": {"a": value}}), Placement::OfSlice);
        assert!(attribute(json!({"int": 1})).is_empty());
        let at = "d.attributes[a]";
        assert_eq!(attribute(json!({})), [format!("{at}: Invalid value: \"\": exactly one value must be specified")]);
        let both = "{\"IntValue\":1,\"BoolValue\":true,\"StringValue\":null,\"VersionValue\":null,\"IntValues\":null,\
                    \"BoolValues\":null,\"StringValues\":null,\"VersionValues\":null}";
        assert_eq!(
            attribute(json!({"int": 1, "bool": true})),
            [format!("{at}: Invalid value: {both}: exactly one value must be specified")]
        );
        assert_eq!(
            attribute(json!({"string": "x".repeat(65)})),
            [format!("{at}.string: Too long: may not be more than 64 bytes")]
        );
        let many: serde_json::Map<String, Value> = (0..50).map(|n| (format!("a{n}"), json!({"int": n}))).collect();
        assert_eq!(
            told(json!({"attributes": many}), Placement::OfSlice),
            [
                "d: Invalid value: 50: the total number of attributes and capacities must not exceed 32",
                "d: Invalid value: 50: the total number of attribute values must not exceed 48",
            ]
        );
    }

    #[test]
    fn either_the_slice_or_each_device_says_where_it_is() {
        let own = |more: Value| told(more, Placement::OfDevice);
        assert!(own(json!({"nodeName": "n"})).is_empty());
        assert!(own(json!({"allNodes": true})).is_empty());
        assert_eq!(own(json!({})).len(), 1);
        assert!(own(json!({"nodeName": "n", "allNodes": true}))[0].contains("\"{`nodeName`, `allNodes`}\""));
        assert_eq!(own(json!({"allNodes": false})).len(), 2);
        assert!(
            told(json!({"nodeName": "n"}), Placement::OfSlice)[0].starts_with("d: Invalid value: null: `nodeName`")
        );
    }

    #[test]
    fn counters_have_names_and_are_taken_from_few_sets() {
        let consumes = |sets: Value| told(json!({"consumesCounters": sets}), Placement::OfSlice);
        let fine = json!({"counterSet": "s", "counters": {"c": {"value": "1"}}});
        assert!(consumes(json!([fine])).is_empty());
        assert_eq!(consumes(json!([fine, fine])), ["d.consumesCounters[1]: Duplicate value: \"s\""]);
        assert_eq!(consumes(json!([fine, fine, fine])), ["d.consumesCounters: Too many: 3: must have at most 2 items"]);
        assert_eq!(
            consumes(json!([{}])),
            ["d.consumesCounters[0].counterSet: Required value", "d.consumesCounters[0].counters: Required value"]
        );
    }
}
