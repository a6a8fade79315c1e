//! Faults of embedded object metadata.

use atoll_api::FieldPath;
use serde_json::{Value, json};

use super::{Malformed, coerce, coerce_embedded, validate_embedded};
use crate::schema::Schema;
use crate::schema::prune::Extent;
use crate::schema::structural::compile;

fn check_coerce(malformed: Malformed, input: Value, expected: Result<(Value, &[&str]), &str>) {
    let mut object = json!({"metadata": input}).as_object().cloned().expect("an object");
    let result = coerce(&mut object, malformed);
    match expected {
        Ok((metadata, unknown)) => {
            assert_eq!(result.expect("good metadata"), unknown);
            assert_eq!(object["metadata"], metadata);
        }
        Err(fault) => assert_eq!(result, Err(fault.to_owned())),
    }
}

#[test]
fn metadata_is_read_and_written_as_go_does() {
    check_coerce(
        Malformed::Refuse,
        json!({"name": "a", "generateName": "", "labels": {}, "annotations": {"a": null}, "finalizers": [], "generation": 0,
            "creationTimestamp": null, "deletionGracePeriodSeconds": 0, "clusterName": "x",
            "deletionTimestamp": "2024-01-02T05:04:05+02:00",
            "ownerReferences": [{"kind": "Pod", "controller": false, "x": 1}],
            "managedFields": [{"manager": "m", "subresource": "", "fieldsV1": {"f:x": {}}, "time": null}]}),
        Ok((
            json!({"name": "a", "annotations": {"a": ""}, "deletionGracePeriodSeconds": 0, "deletionTimestamp": "2024-01-02T03:04:05Z",
                "ownerReferences": [{"apiVersion": "", "kind": "Pod", "name": "", "uid": "", "controller": false}],
                "managedFields": [{"manager": "m", "fieldsV1": {"f:x": {}}}]}),
            &["metadata.clusterName", "metadata.ownerReferences[0].x"],
        )),
    );
    check_coerce(Malformed::Refuse, json!(null), Ok((json!({}), &[])));
}

#[test]
fn malformed_metadata_is_refused_or_dropped() {
    for (input, fault) in [
        (json!("x"), "json: cannot unmarshal string into Go value of type v1.ObjectMeta"),
        (
            json!({"labels": {"k": 1}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string",
        ),
        (json!({"uid": 1}), "json: cannot unmarshal number into Go struct field ObjectMeta.uid of type types.UID"),
        (
            json!({"ownerReferences": [{"controller": "x"}]}),
            "json: cannot unmarshal string into Go struct field OwnerReference.ownerReferences.controller of type bool",
        ),
        (
            json!({"creationTimestamp": "x"}),
            "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
        ),
    ] {
        check_coerce(Malformed::Refuse, input, Err(fault));
    }
    check_coerce(
        Malformed::Drop,
        json!({"name": "a", "labels": {"k": 1}, "uid": 1, "x": 1}),
        Ok((json!({"name": "a"}), &["metadata.x"])),
    );
    check_coerce(Malformed::Drop, json!([]), Err("invalid metadata: expected object, got []interface {}"));
}

fn embedding() -> Schema {
    compile(&json!({"type": "object", "properties": {
        "p": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "l": {"type": "array", "items": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}}}))
    .expect("a schema")
}

#[test]
fn embedded_objects_have_a_type_of_texts() {
    let coerced = |mut value: Value, malformed: Malformed| {
        let result = coerce_embedded(&embedding(), &mut value, &FieldPath::root(), Extent::Part, malformed);
        (result.map_err(|error| error.to_string()), value)
    };
    let (result, _) = coerced(json!({"l": [{}, {"kind": 1}]}), Malformed::Refuse);
    assert_eq!(result, Err("l[1].kind: Invalid value: 1: must be a string".to_owned()));
    let (result, value) =
        coerced(json!({"p": {"kind": 1, "metadata": {"uid": 1, "z": 1, "name": "a"}}}), Malformed::Drop);
    assert_eq!(result, Ok(vec!["p.metadata.z".to_owned()]));
    assert_eq!(value, json!({"p": {"metadata": {"name": "a"}}}));
}

#[test]
fn embedded_objects_are_checked() {
    let check = |value: Value, expected: &[&str]| {
        let errors = validate_embedded(&embedding(), &value, &FieldPath::root(), Extent::Part);
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{value}");
    };
    check(json!({"p": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "y"}}}), &[]);
    check(json!({"p": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Upper Case"}}}), &[]);
    check(json!({"p": {"extra": 1}}), &["p.apiVersion: Required value", "p.kind: Required value"]);
    check(
        json!({"l": [{"apiVersion": "", "kind": ""}]}),
        &[
            "l[0].apiVersion: Invalid value: \"\": must not be empty",
            "l[0].kind: Invalid value: \"\": must not be empty",
        ],
    );
    check(
        json!({"p": {"apiVersion": "a/b/c", "kind": "Bad Kind"}}),
        &[
            "p.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            "p.kind: Invalid value: \"Bad Kind\": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ],
    );
    check(
        json!({"p": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b"}}}),
        &["p.metadata.name: Invalid value: \"a/b\": may not contain '/'"],
    );
}
