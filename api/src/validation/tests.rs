//! Names and metadata, against texts recorded from kube-apiserver 1.36.

use serde_json::{Value, json};

use super::*;
use crate::field::{FieldErrors, FieldPath};
use crate::object::Object;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const THREE_PARTS: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

type Rule = fn(&str) -> Vec<String>;

#[test]
fn good_names_pass_and_bad_ones_do_not() {
    let long = "a".repeat(64);
    let cases: &[(Rule, &[&str], &[&str])] = &[
        (dns1123_label, &["a", "0", "a-b", "123-abc"], &["", "-a", "a-", "A", "a.b", "a_b", "é", &long]),
        (dns1123_subdomain, &["a", "a.b", "a-b.c0", &long], &["", ".", "a..b", "a.", ".a", "a.-b", "A.b", "a/b"]),
        (dns1035_label, &["a", "a0", "a-b"], &["", "0a", "a-", "A", "a.b"]),
        (wildcard_dns1123_subdomain, &["*.a", "*.a.b"], &["*", "a.b", "*.", "*.*.a", "b*.a"]),
        (qualified_name, &["a", "A.b_c-d", "a.b/C"], &["", "a b", "/a", "a/", "a/b/c", "A/b", "-", &long]),
        (label_value, &["", "a", "A.b_c-1"], &["a b", "-", "a/b", &long]),
        (path_segment_name, &["a", "system:x", "A B", "..."], &[".", "..", "a/b", "a%b"]),
        (config_map_key, &["a", ".a", "A_b-c"], &["", ".", "..", "..a", "a b", "a/b"]),
        (port_name, &["a", "http-2"], &["", "1", "a--b", "-a", "a-", "A", "abcdefghijklmnop"]),
        (percent, &["1%", "100%"], &["", "%", "1", "-1%"]),
        (http_header_name, &["X-A"], &["", "a b", "a:"]),
        (c_identifier, &["_a1"], &["", "1a", "a-b"]),
        (condition_reason, &["A", "A,B:c_"], &["", "1", "A,", "a b"]),
        (env_var_name, &["A", "a.b c"], &["", "a=b", "é", "\n"]),
    ];
    for (rule, good, bad) in cases {
        for name in *good {
            assert_eq!(rule(name), Vec::<String>::new(), "{name}");
        }
        for name in *bad {
            assert!(!rule(name).is_empty(), "{name}");
        }
    }
}

#[test]
fn faults_in_names_have_kubernetes_words() {
    let long = "a".repeat(64);
    let cases: &[(Rule, &str, &[&str])] = &[
        (dns1123_subdomain, "Bad_", &[SUBDOMAIN]),
        (dns1123_label, "a.b", &["must not contain dots"]),
        (dns1123_label, &long, &["must be no more than 63 characters"]),
        (qualified_name, "x/y/z", &[THREE_PARTS]),
        (qualified_name, "", &["name part must be non-empty", NAME_PART]),
        (qualified_name, "/a", &["prefix part must be non-empty"]),
        (qualified_name, &long, &["name part must be no more than 63 bytes"]),
        (label_value, "bad value", &[LABEL_VALUE]),
        (path_segment_name, "a/%", &["may not contain '/'", "may not contain '%'"]),
        (path_segment_name, "..", &["may not be '..'"]),
    ];
    for (rule, name, expected) in cases {
        assert_eq!(rule(name), *expected, "{name}");
    }
}

#[test]
fn prefixes_of_names_may_end_with_a_dash() {
    for (rule, prefix, good) in [
        (NameRule::Subdomain, "gen-", true),
        (NameRule::Subdomain, "Gen-", false),
        (NameRule::Subdomain, "-", false),
        (NameRule::Label, "a.b-", false),
        (NameRule::PathSegment, "..", true),
        (NameRule::PathSegment, "a/", false),
        (NameRule::Subdomain, "é-", true),
    ] {
        assert_eq!(rule.check_prefix(prefix).is_empty(), good, "{prefix}");
    }
}

#[test]
fn printable_is_what_can_be_seen() {
    for c in ['a', ' ', '~', 'é', '漢', '\u{301}', '"', '\'', '\\'] {
        assert!(is_printable(c), "{c:?}");
    }
    for c in ['\n', '\u{7f}', '\u{a0}', '\u{200b}', '\u{e000}', '\u{85}'] {
        assert!(!is_printable(c), "{c:?}");
    }
}

fn object(metadata: Value) -> Object {
    Object::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).expect("an object")
}

fn texts(errors: &FieldErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn metadata_of_new_objects_is_checked() {
    let owners = r#"[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"u","controller":true},{"apiVersion":"v1","kind":"Pod","name":"b","uid":"v","controller":true}]"#;
    let cases = [
        (json!({"name": "a", "namespace": "n"}), vec![]),
        (json!({"namespace": "n"}), vec!["metadata.name: Required value: name or generateName is required".to_owned()]),
        (json!({"name": "Bad_", "namespace": "n"}), vec![format!("metadata.name: Invalid value: \"Bad_\": {SUBDOMAIN}")]),
        (json!({"name": "a"}), vec!["metadata.namespace: Required value".to_owned()]),
        (
            json!({"name": "a", "namespace": "n", "labels": {"x/y/z": "v", "a": "bad value"}}),
            vec![
                format!("metadata.labels: Invalid value: \"bad value\": {LABEL_VALUE}"),
                format!("metadata.labels: Invalid value: \"x/y/z\": {THREE_PARTS}"),
            ],
        ),
        (
            json!({"name": "a", "namespace": "n", "annotations": {"a b": "v", "UP.com/ok": "v"}}),
            vec![format!("metadata.annotations: Invalid value: \"a b\": {NAME_PART}")],
        ),
        (
            json!({"name": "a", "namespace": "n", "annotations": {"big": "v".repeat(256 * 1024)}}),
            vec!["metadata.annotations: Too long: may not be more than 262144 bytes".to_owned()],
        ),
        (
            json!({"name": "a", "namespace": "n", "finalizers": ["x y", "ok"]}),
            vec![format!("metadata.finalizers: Invalid value: \"x y\": {NAME_PART}")],
        ),
        (
            json!({"name": "a", "namespace": "n", "finalizers": ["orphan", "foregroundDeletion"]}),
            vec!["metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set".to_owned()],
        ),
        (
            json!({"name": "a", "namespace": "n", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod"}, {"name": "n", "uid": "u"}]}),
            vec![
                "metadata.ownerReferences.name: Invalid value: \"\": must not be empty".to_owned(),
                "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty".to_owned(),
                "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty".to_owned(),
                "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty".to_owned(),
            ],
        ),
        (
            json!({"name": "a", "namespace": "n", "ownerReferences": serde_json::from_str::<Value>(owners).expect("JSON")}),
            vec![format!("metadata.ownerReferences: Invalid value: {owners}: Only one reference can have Controller set to true. Found \"true\" in references for Pod/a and Pod/b")],
        ),
        (
            json!({"name": "a", "namespace": "n", "ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "a", "uid": "u"}]}),
            vec!["metadata.ownerReferences: Invalid value: {\"apiVersion\":\"v1\",\"kind\":\"Event\",\"name\":\"a\",\"uid\":\"u\"}: /v1, Kind=Event is disallowed from being an owner".to_owned()],
        ),
        (
            json!({"name": "a", "namespace": "n", "generation": -1, "managedFields": [{"operation": "Odd", "fieldsType": "V2", "manager": "a\nb"}]}),
            vec![
                "metadata.generation: Invalid value: -1: must be greater than or equal to 0".to_owned(),
                "metadata.managedFields[0].operation: Invalid value: \"Odd\": must be `Apply` or `Update`".to_owned(),
                "metadata.managedFields[0].fieldsType: Invalid value: \"V2\": must be `FieldsV1`".to_owned(),
                "metadata.managedFields[0].manager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)".to_owned(),
            ],
        ),
    ];
    for (metadata, expected) in cases {
        let path = FieldPath::new("metadata");
        let errors = validate_object_meta(&object(metadata.clone()), Namespacing::Required, NameRule::Subdomain, &path);
        assert_eq!(texts(&errors), expected, "{}", metadata.to_string().chars().take(200).collect::<String>());
    }
    let clustered = object(json!({"name": "a", "namespace": "n"}));
    let errors =
        validate_object_meta(&clustered, Namespacing::Forbidden, NameRule::Subdomain, &FieldPath::new("metadata"));
    assert_eq!(texts(&errors), ["metadata.namespace: Forbidden: not allowed on this type"]);
}

#[test]
fn metadata_that_is_fixed_cannot_be_updated() {
    let old = json!({"name": "a", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2001-02-03T04:05:06Z", "generation": 2});
    let deleted =
        json!({"name": "a", "resourceVersion": "1", "deletionTimestamp": "2001-02-03T04:05:06Z", "finalizers": ["a"]});
    let cases = [
        (
            &old,
            json!({"name": "a", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2001-02-03T05:05:06+01:00", "generation": 2}),
            vec![],
        ),
        (
            &old,
            json!({"name": "b", "uid": "v", "deletionTimestamp": "2001-02-03T04:05:06Z", "deletionGracePeriodSeconds": 3}),
            vec![
                "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
                "metadata.generation: Invalid value: 0: must not be decremented",
                "metadata.name: Invalid value: \"b\": field is immutable",
                "metadata.uid: Invalid value: \"v\": field is immutable",
                "metadata.creationTimestamp: Invalid value: null: field is immutable",
                "metadata.deletionTimestamp: Invalid value: \"2001-02-03T04:05:06Z\": field is immutable",
                "metadata.deletionGracePeriodSeconds: Invalid value: 3: field is immutable",
            ],
        ),
        (
            &deleted,
            json!({"name": "a", "resourceVersion": "1", "deletionTimestamp": "2001-02-03T04:05:06Z", "finalizers": ["c", "a", "b"]}),
            vec![
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"b\", \"c\"}",
            ],
        ),
    ];
    for (old, new, expected) in cases {
        let path = FieldPath::new("metadata");
        let errors = validate_object_meta_update(&object(new), &object(old.clone()), &path);
        assert_eq!(texts(&errors), expected);
    }
}

#[test]
fn label_selectors_are_checked() {
    let selector = json!({"matchLabels": {"a b": "v"}, "matchExpressions": [
        {"key": "k", "operator": "In"}, {"key": "k", "operator": "Exists", "values": ["v"]},
        {"key": "k", "operator": "Odd", "values": ["x y"]},
    ]});
    let mut errors = FieldErrors::new();
    validate_label_selector(&selector, &FieldPath::new("spec.selector"), &mut errors);
    let expected = [
        format!("spec.selector.matchLabels: Invalid value: \"a b\": {NAME_PART}"),
        "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'".to_owned(),
        "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'".to_owned(),
        "spec.selector.matchExpressions[2].operator: Invalid value: \"Odd\": not a valid selector operator".to_owned(),
        format!("spec.selector.matchExpressions[2].values[0]: Invalid value: \"x y\": {LABEL_VALUE}"),
    ];
    assert_eq!(texts(&errors), expected);
}
