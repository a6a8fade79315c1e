//! What built-in and custom decoding accept, and how faults are told.

use serde_json::{Value, json};

use super::{Form, base64, builtin, check, custom};
use crate::schema::metadata::Malformed;
use crate::schema::structural::compile;
use crate::schema::{Additional, GoType, Link, Schema, SchemaType};

fn of(kind: SchemaType, format: &str) -> Schema {
    Schema { kind: Some(kind), format: (!format.is_empty()).then(|| format.into()), ..Schema::default() }
}

fn structure(go_type: &str, fields: Vec<(&str, Schema)>) -> Schema {
    Schema {
        go_type: go_type
            .split_once(' ')
            .map(|(name, fields)| GoType::with_fields(name, fields))
            .or(Some(go_type.into())),
        properties: fields.into_iter().map(|(name, schema)| (name.into(), Link::from(schema))).collect(),
        ..of(SchemaType::Object, "")
    }
}

fn list(items: Schema) -> Schema {
    Schema { items: Some(items.into()), ..of(SchemaType::Array, "") }
}

fn map(values: Schema) -> Schema {
    Schema { additional: Additional::Values(values.into()), ..of(SchemaType::Object, "") }
}

/// A type with a bit of everything.
fn thing() -> Schema {
    let text = || of(SchemaType::String, "");
    let quantity = || Schema { format: Some("quantity".into()), ..Schema::default() };
    let container = structure(
        "v1.Container policies=[]v1.PullPolicy exec@ProbeHandler resources=v1.ResourceList",
        vec![
            ("name", text()),
            ("policy", Schema { go_type: Some("v1.PullPolicy".into()), ..text() }),
            ("policies", list(text())),
            ("exec", structure("v1.Exec", vec![("command", list(text()))])),
            ("resources", map(quantity())),
            ("limits", map(quantity())),
            ("port", Schema { int_or_string: true, ..Schema::default() }),
        ],
    );
    let spec = structure(
        "v1.ThingSpec",
        vec![
            ("replicas", of(SchemaType::Integer, "int32")),
            ("big", of(SchemaType::Integer, "int64")),
            ("paused", of(SchemaType::Boolean, "")),
            ("share", of(SchemaType::Number, "double")),
            ("containers", list(container)),
            ("since", of(SchemaType::String, "time")),
            ("renewed", of(SchemaType::String, "micro-time")),
            ("raw", Schema { preserve_unknown: true, ..Schema::default() }),
        ],
    );
    structure(
        "v1.Thing",
        vec![
            ("spec", spec),
            ("data", map(text())),
            ("secret", map(of(SchemaType::String, "byte"))),
            ("names", list(text())),
        ],
    )
}

fn check_read(input: Value, expected: Value) {
    let mut value = input;
    assert_eq!(check(&thing(), &mut value), Ok(()));
    assert_eq!(value, expected);
}

fn check_fault(input: Value, expected: &str) {
    let mut value = input.clone();
    assert_eq!(check(&thing(), &mut value), Err(expected.to_owned()), "{input}");
}

#[test]
fn mismatches_name_the_struct_and_the_path() {
    check_fault(
        json!({"spec": {"replicas": "x"}}),
        "json: cannot unmarshal string into Go struct field ThingSpec.spec.replicas of type int32",
    );
    check_fault(
        json!({"spec": {"replicas": 1.5}}),
        "json: cannot unmarshal number 1.5 into Go struct field ThingSpec.spec.replicas of type int32",
    );
    check_fault(
        json!({"spec": {"replicas": 3_000_000_000_i64}}),
        "json: cannot unmarshal number 3000000000 into Go struct field ThingSpec.spec.replicas of type int32",
    );
    check_fault(
        json!({"spec": {"big": u64::MAX}}),
        "json: cannot unmarshal number 18446744073709551615 into Go struct field ThingSpec.spec.big of type int64",
    );
    check_fault(
        json!({"spec": {"paused": "true"}}),
        "json: cannot unmarshal string into Go struct field ThingSpec.spec.paused of type bool",
    );
    check_fault(
        json!({"spec": {"share": "1"}}),
        "json: cannot unmarshal string into Go struct field ThingSpec.spec.share of type float64",
    );
    check_fault(
        json!({"spec": []}),
        "json: cannot unmarshal array into Go struct field Thing.spec of type v1.ThingSpec",
    );
    check_fault(
        json!({"spec": {"containers": {}}}),
        "json: cannot unmarshal object into Go struct field ThingSpec.spec.containers of type []v1.Container",
    );
    check_fault(
        json!({"spec": {"containers": [5]}}),
        "json: cannot unmarshal number into Go struct field ThingSpec.spec.containers of type v1.Container",
    );
    check_fault(
        json!({"spec": {"containers": [{}, {"name": 1}]}}),
        "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
    );
    check_fault(
        json!({"spec": {"containers": [{"policy": true}]}}),
        "json: cannot unmarshal bool into Go struct field Container.spec.containers.policy of type v1.PullPolicy",
    );
    check_fault(
        json!({"data": {"a": "x", "k": {}}}),
        "json: cannot unmarshal object into Go struct field Thing.data of type string",
    );
    check_fault(
        json!({"data": "x"}),
        "json: cannot unmarshal string into Go struct field Thing.data of type map[string]string",
    );
    check_fault(json!([]), "json: cannot unmarshal array into Go value of type v1.Thing");
    check_fault(
        json!({"data": {"a": 1}, "spec": {"paused": 1}}),
        "json: cannot unmarshal number into Go struct field Thing.data of type string",
    );
}

#[test]
fn types_that_read_their_own_json_have_faults_of_their_own() {
    check_fault(
        json!({"spec": {"since": "yesterday"}}),
        "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"",
    );
    check_fault(
        json!({"spec": {"since": 5}}),
        "json: cannot unmarshal number into Go struct field ThingSpec.spec.since of type string",
    );
    check_fault(
        json!({"spec": {"renewed": "2024-01-02T03:04:05Z"}}),
        "parsing time \"2024-01-02T03:04:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
    );
    check_fault(
        json!({"spec": {"containers": [{"limits": {"cpu": "1x"}}]}}),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
    check_fault(
        json!({"spec": {"containers": [{"port": true}]}}),
        "json: cannot unmarshal bool into Go struct field Container.spec.containers.port of type int32",
    );
    check_fault(
        json!({"spec": {"containers": [{"port": 1.5}]}}),
        "json: cannot unmarshal number 1.5 into Go struct field Container.spec.containers.port of type int32",
    );
    // They stop the reading, so they are told rather than a mismatch before them.
    check_fault(
        json!({"data": 1, "spec": {"since": 5}}),
        "json: cannot unmarshal number into Go struct field ThingSpec.spec.since of type string",
    );
    check_fault(json!({"secret": {"k": "YQ"}}), "illegal base64 data at input byte 0");
}

#[test]
fn mismatches_name_named_types_and_inlined_structs() {
    for (container, expected) in [
        (
            json!({"policies": "x"}),
            "string into Go struct field Container.spec.containers.policies of type []v1.PullPolicy",
        ),
        (
            json!({"policies": [1]}),
            "number into Go struct field Container.spec.containers.policies of type v1.PullPolicy",
        ),
        (json!({"exec": 1}), "number into Go struct field Container.spec.containers.ProbeHandler.exec of type v1.Exec"),
        (
            json!({"exec": {"command": [1]}}),
            "number into Go struct field Exec.spec.containers.ProbeHandler.exec.command of type string",
        ),
        (
            json!({"resources": []}),
            "array into Go struct field Container.spec.containers.resources of type v1.ResourceList",
        ),
    ] {
        check_fault(json!({"spec": {"containers": [container]}}), &format!("json: cannot unmarshal {expected}"));
    }
}

#[test]
fn bytes_may_be_a_list_of_numbers() {
    check_read(json!({"secret": {"k": [97, 98, null]}}), json!({"secret": {"k": "YWIA"}}));
    check_fault(
        json!({"secret": {"k": [256]}}),
        "json: cannot unmarshal number 256 into Go struct field Thing.secret of type uint8",
    );
    check_fault(
        json!({"secret": {"k": [{}]}}),
        "json: cannot unmarshal object into Go struct field Thing.secret of type uint8",
    );
}

/// Go's converter of values knows no places, takes numbers that do not fit, and stops at the first fault.
#[test]
fn values_that_were_read_before_are_converted_as_go_does() {
    for (input, expected) in [
        (json!({"spec": {"replicas": "x"}}), "unrecognized type: int32"),
        (json!({"spec": {"replicas": 1.5}}), "cannot convert float64 to int32"),
        (json!({"spec": {"paused": 1}}), "unrecognized type: bool"),
        (json!({"spec": {"containers": [{"policy": 5}]}}), "cannot convert int64 to v1.PullPolicy"),
        (json!({"spec": {"containers": [{"policies": [5]}]}}), "cannot convert int64 to v1.PullPolicy"),
        (json!({"spec": {"containers": [{"policy": 1.5}]}}), "unrecognized type: string"),
        (json!({"spec": {"containers": [{"exec": "x"}]}}), "cannot restore struct from: string"),
        (json!({"spec": {"containers": {}}}), "cannot restore slice from map"),
        (json!({"data": [1]}), "cannot restore map from slice"),
        (json!({"secret": {"k": "%"}}), "error decoding from json: illegal base64 data at input byte 0"),
        (json!({"spec": {"since": 5}}), "json: cannot unmarshal number into Go value of type string"),
    ] {
        assert_eq!(builtin(&thing(), &mut input.clone(), Form::Values), Err(expected.to_owned()), "{input}");
    }
    for (input, expected) in [(2_147_483_648_i64, -2_147_483_648_i64), (4_294_967_297, 1)] {
        let mut value = json!({"spec": {"replicas": input}});
        assert_eq!(builtin(&thing(), &mut value, Form::Values), Ok(Vec::new()));
        assert_eq!(value["spec"]["replicas"], expected);
    }
}

#[test]
fn values_are_brought_into_the_form_of_go() {
    check_read(
        json!({"spec": {"since": "2024-01-02T05:04:05.999+02:00", "renewed": "2024-01-02T05:04:05.123456+02:00",
            "containers": [{"limits": {"cpu": 0.5, "memory": "1024Mi"}, "port": 80}], "raw": {"x": null}}, "secret": {"k": "YW\nI="}}),
        json!({"spec": {"since": "2024-01-02T03:04:05Z", "renewed": "2024-01-02T03:04:05.123456Z",
            "containers": [{"limits": {"cpu": "500m", "memory": "1Gi"}, "port": 80}], "raw": {"x": null}}, "secret": {"k": "YWI="}}),
    );
}

#[test]
fn nulls_are_absent_fields_and_zero_elements() {
    check_read(
        json!({"spec": {"replicas": null, "containers": [null, {"limits": {"cpu": null}}], "since": null, "other": null},
            "data": {"a": null}, "secret": {"k": null}, "names": [null, "x"]}),
        json!({"spec": {"containers": [{}, {"limits": {"cpu": "0"}}], "other": null},
            "data": {"a": ""}, "secret": {"k": ""}, "names": ["", "x"]}),
    );
}

#[test]
fn built_in_objects_lose_unknown_fields() {
    let mut value = json!({"spec": {"Replicas": 1, "replicas": 2, "containers": [{"imagee": "y"}]}, "bogus": null});
    assert_eq!(
        builtin(&thing(), &mut value, Form::Text),
        Ok(vec!["bogus".to_owned(), "spec.Replicas".to_owned(), "spec.containers[0].imagee".to_owned()])
    );
    assert_eq!(value, json!({"spec": {"replicas": 2, "containers": [{}]}}));
}

#[test]
fn custom_objects_are_read_with_their_metadata() {
    let schema = compile(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "string", "nullable": true}}},
        "e": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}}}))
    .expect("a schema");
    let mut value = json!({"apiVersion": "g/v1", "kind": "Thing", "top": 1, "status": {"x": 1},
        "metadata": {"name": "a", "unknownMeta": 1, "labels": {}, "creationTimestamp": null},
        "spec": {"a": null, "n": null, "b": "y"},
        "e": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "bogus": 1}, "extra": 1}});
    let unknown = custom(&schema, &mut value, Malformed::Refuse).expect("an object");
    assert_eq!(unknown, ["metadata.unknownMeta", "e.extra", "spec.b", "status", "top", "e.metadata.bogus"]);
    assert_eq!(
        value,
        json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": null},
            "e": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}})
    );
    let mut value = json!({"metadata": {"labels": {"k": 1}}});
    assert_eq!(
        custom(&schema, &mut value, Malformed::Refuse),
        Err("json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string".to_owned())
    );
    let mut value = json!({"e": {"metadata": {"labels": {"k": 1}}}});
    assert_eq!(
        custom(&schema, &mut value, Malformed::Refuse),
        Err("e.metadata: Invalid value: {\"labels\":{\"k\":1}}: json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string".to_owned())
    );
}

#[test]
fn objects_that_nest_too_deep_are_refused() {
    let mut value = json!(1);
    for _ in 0..2000 {
        value = Value::Array(vec![value]);
    }
    assert_eq!(builtin(&thing(), &mut value, Form::Text), Err("exceeded max depth".to_owned()));
    assert_eq!(custom(&Schema::default(), &mut value, Malformed::Drop), Err("exceeded max depth".to_owned()));
}

#[test]
fn base64_is_read_as_go_reads_it() {
    let fault = |offset: usize| Err(format!("illegal base64 data at input byte {offset}"));
    for (text, expected) in [
        ("", Ok("".to_owned())),
        ("YWJj", Ok("YWJj".to_owned())),
        ("YW\r\nJj\n", Ok("YWJj".to_owned())),
        ("YR==", Ok("YQ==".to_owned())),
        ("YQ=\n=\n", Ok("YQ==".to_owned())),
        ("YWJ", fault(0)),
        ("YWJjY", fault(4)),
        ("YW!j", fault(2)),
        ("Y===", fault(1)),
        ("YQ=", fault(3)),
        ("YQ=x", fault(2)),
        ("YQ==YQ==", fault(4)),
        ("=", fault(0)),
        ("é", fault(0)),
    ] {
        assert_eq!(base64::canonical(text), expected, "{text:?}");
    }
}
