//! Protobuf as kube-apiserver and its clients write it.

use std::collections::BTreeSet;

use serde_json::json;

use super::tables::{Kind, Occurrence};
use super::*;
use crate::codec::noise::damaged;

fn decode_value(bytes: &[u8]) -> Value {
    Value::Object(decode(bytes, &TypeMeta::default()).expect("well formed"))
}

/// A value with all fields of a message, down to `depth` messages.
fn sample(message: &Message, depth: usize) -> Map<String, Value> {
    let mut map = Map::new();
    for field in &message.fields {
        let nested = |index: u16, depth: usize| sample(tables().message(index), depth);
        let value = match field.kind {
            Kind::Message(index) if field.is_inlined() => {
                map.append(&mut nested(index, depth));
                continue;
            }
            Kind::Message(_) | Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings if depth == 0 => {
                continue;
            }
            Kind::Message(index) => Value::Object(nested(index, depth - 1)),
            Kind::Text => json!("text"),
            Kind::Bytes => json!("AAEC"),
            Kind::Bool => json!(true),
            Kind::Int32 => json!(-5),
            Kind::Int64 => json!(1_234_567_890_123_i64),
            Kind::Double => json!(1.5),
            Kind::Quantity => json!("1500m"),
            Kind::IntOrString if field.number % 2 == 0 => json!("50%"),
            Kind::IntOrString => json!(8080),
            Kind::Time => json!("2024-01-02T03:04:05Z"),
            Kind::MicroTime => json!("2024-01-02T03:04:05.678901Z"),
            Kind::Raw => json!({"f:metadata": {"f:labels": {}}, "list": [1, "x", null]}),
            Kind::Texts => json!(["a", "b"]),
            Kind::SchemaOrBool | Kind::SchemaOrArray if field.number % 2 == 0 => {
                Value::Object(sample(tables().schema(), 0))
            }
            Kind::SchemaOrBool => json!(false),
            Kind::SchemaOrArray => json!([sample(tables().schema(), 0)]),
            Kind::SchemaOrStrings => json!(["a"]),
        };
        let value = match field.occurrence {
            Occurrence::Once => value,
            Occurrence::List => json!([value.clone(), value]),
            Occurrence::Map => json!({"one": value.clone(), "two": value}),
        };
        map.insert(field.name.to_string(), value);
    }
    map
}

#[test]
fn every_kind_survives_writing_and_reading() {
    let mut seen = BTreeSet::new();
    for (api_version, kind) in tables().kinds() {
        let mut object = sample(tables().kind(api_version, kind).expect("a kind of the tables"), 3);
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), kind.into());
        let object = Value::Object(object);
        let bytes = encode(&object).unwrap_or_else(|error| panic!("{api_version} {kind}: {error}"));
        assert_eq!(decode_value(&bytes), object, "{api_version} {kind}");
        seen.insert((api_version, kind));
    }
    for kind in [
        ("v1", "Pod"),
        ("apps/v1", "DeploymentList"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ] {
        assert!(seen.contains(&kind), "{kind:?}");
    }
}

#[test]
fn bytes_are_those_of_kubernetes() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let type_meta = b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap";
    let message = b"\x12\x0d\x0a\x03\x0a\x01a\x12\x06\x0a\x01k\x12\x01v";
    let expected = [MAGIC, type_meta, message, b"\x1a\x00\x22\x00"].concat();
    assert_eq!(encode(&object).expect("a built-in kind"), expected);
    assert_eq!(decode_value(&expected), object);
    assert_eq!(
        type_of(&expected).expect("an envelope"),
        TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() }
    );
}

#[test]
fn zero_values_are_left_out_where_go_leaves_them_out() {
    // A client in Go writes every field that is no pointer, zero or not.
    let mut meta = Writer::default();
    for number in 1..=6 {
        meta.text(number, if number == 1 { "a" } else { "" });
    }
    meta.varint(7, 0);
    meta.bytes(8, &[]);
    let mut container = Writer::default();
    container.text(1, "");
    container.text(2, "");
    container.varint(16, 0);
    let mut spec = Writer::default();
    spec.bytes(2, &container.into_bytes());
    spec.varint(4, 0);
    let mut pod = Writer::default();
    pod.bytes(1, &meta.into_bytes());
    pod.bytes(2, &spec.into_bytes());
    pod.bytes(3, &[]);
    let expected = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {},
        "spec": {"containers": [{"name": ""}], "terminationGracePeriodSeconds": 0},
    });
    assert_eq!(decode_value(&envelope("v1", "Pod", &pod.into_bytes())), expected);
}

#[test]
fn envelopes_without_a_type_are_of_the_type_expected() {
    let bytes = envelope("", "", b"");
    let default = TypeMeta { api_version: "v1".into(), kind: "Secret".into() };
    let object = decode(&bytes, &default).expect("well formed");
    assert_eq!(Value::Object(object), json!({"apiVersion": "v1", "kind": "Secret"}));
    let options =
        encode(&json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})).expect("known");
    assert_eq!(decode_value(&options)["gracePeriodSeconds"], json!(0));
    let error = encode(&json!({"apiVersion": "example.com/v1", "kind": "Widget"})).expect_err("a custom kind");
    assert_eq!(error.to_string(), "no kind \"Widget\" is registered for version \"example.com/v1\"");
    assert!(supports("meta.k8s.io/v1", "PartialObjectMetadataList") && !supports("meta.k8s.io/v1", "Table"));
}

#[test]
fn lists_are_put_together_from_their_items() {
    let items: Vec<Value> = ["a", "b"].map(|name| json!({"metadata": {"name": name}, "data": {"k": name}})).to_vec();
    let meta = json!({"resourceVersion": "5", "remainingItemCount": 2});
    let mut list = ListEncoder::begin("v1", "ConfigMapList", &meta).expect("a list");
    items.iter().for_each(|item| list.add(item).expect("a config map"));
    let list = list.end();
    let whole = json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": meta, "items": items});
    assert_eq!(list, encode(&whole).expect("a list"));
    assert_eq!(decode_value(&list), whole);
}

#[test]
fn watch_events_are_framed_by_their_length() {
    let object = encode(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})).expect("a secret");
    let frame = watch_frame("ADDED", &object);
    let (length, event) = frame.split_at(4);
    assert_eq!(u32::from_be_bytes(length.try_into().expect("four bytes")) as usize, event.len());
    let mut reader = Reader::new(event);
    let kind = reader.next_field().expect("a field").expect("the type");
    assert_eq!(kind.bytes(), Ok(&b"ADDED"[..]));
    let raw = reader.next_field().expect("a field").expect("the object");
    let inner = Reader::new(raw.bytes().expect("a message")).next_field().expect("a field").expect("the bytes");
    assert_eq!(inner.bytes(), Ok(&object[..]));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for (field, value) in [
        ("spec", json!("x")),
        ("spec", json!({"containers": {}})),
        ("spec", json!({"containers": [{"name": 5}]})),
        ("spec", json!({"priority": 3_000_000_000_i64})),
        ("spec", json!({"priority": 1.5})),
        ("metadata", json!({"creationTimestamp": "yesterday"})),
        ("metadata", json!({"labels": []})),
    ] {
        let object = json!({"apiVersion": "v1", "kind": "Pod", field: value});
        assert!(matches!(encode(&object), Err(ProtobufError::Unfit { .. })), "{object}");
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "not base64!"}});
    assert!(encode(&secret).is_err());
}

#[test]
fn hostile_messages_are_refused() {
    let default = TypeMeta { api_version: "v1".into(), kind: "Pod".into() };
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        b"{}".to_vec(),
        MAGIC[..3].to_vec(),
        [MAGIC, b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"].concat(),
        [MAGIC, b"\x12\x05\x0a"].concat(),
        [MAGIC, b"\x07\x00"].concat(),
        [MAGIC, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"].concat(),
        envelope("v1", "Pod", b"\x08\x01"),
        envelope("v1", "Pod", b"\x13"),
        envelope("v1", "Pod", b"\x00\x00"),
    ];
    for bytes in cases {
        assert!(matches!(decode(&bytes, &default), Err(ProtobufError::Malformed(_))), "{bytes:?}");
    }
    assert_eq!(
        Value::Object(decode(MAGIC, &default).expect("nothing at all")),
        json!({"apiVersion": "v1", "kind": "Pod"})
    );
}

#[test]
fn nesting_is_bounded() {
    // Schemas nest without end, and so do raw extensions: in bytes that are an enveloped message again.
    let mut schema = Vec::new();
    for _ in 0..500 {
        let mut writer = Writer::default();
        writer.bytes(28, &schema);
        schema = writer.into_bytes();
    }
    let mut message = Writer::default();
    let start = message.begin(2);
    let version = message.begin(7);
    let validation = message.begin(4);
    message.bytes(1, &schema);
    message.end(validation);
    message.end(version);
    message.end(start);
    let bytes = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &message.into_bytes());
    assert!(decode(&bytes, &TypeMeta::default()).is_err());
    let mut object = Vec::new();
    for _ in 0..500 {
        let mut revision = Writer::default();
        revision.nested(2, |writer| writer.bytes(1, &object));
        object = envelope("apps/v1", "ControllerRevision", &revision.into_bytes());
    }
    assert!(decode(&object, &TypeMeta::default()).is_err());
    let deep = format!("{}1{}", "[".repeat(126), "]".repeat(126));
    let mut revision = Writer::default();
    revision.nested(2, |writer| writer.text(1, &deep));
    let bytes = envelope("apps/v1", "ControllerRevision", &revision.into_bytes());
    let value = decode(&bytes, &TypeMeta::default()).expect("just deep enough");
    assert!(serde_json::from_str::<Value>(&Value::Object(value).to_string()).is_ok());
}

#[test]
fn damaged_messages_never_panic() {
    for (api_version, kind) in
        [("v1", "Pod"), ("apiextensions.k8s.io/v1", "CustomResourceDefinition"), ("apps/v1", "ControllerRevision")]
    {
        let mut object = sample(tables().kind(api_version, kind).expect("a kind of the tables"), 2);
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), kind.into());
        let bytes = encode(&Value::Object(object)).expect("well formed");
        for bytes in damaged(&bytes, 3_000) {
            let _ = decode(&bytes, &TypeMeta::default());
        }
    }
}
