//! What the fuzz targets do with bytes: plain functions, which tests run over the corpora too.
//!
//! Each hands hostile bytes to the code that meets them first in the server, and asserts what must hold for whatever that
//! accepts. A panic is a finding. Inputs are bounded as request bodies are, only smaller.

use atoll::codec::json::{self, Duplicates};
use atoll::codec::negotiate::{Encoding, parse_accept};
use atoll::codec::protobuf::{self, TypeMeta};
use atoll::codec::{body, yaml};
use atoll::patch::apply::{self, Force, OneVersion, Tracking};
use atoll::patch::{json as json_patch, merge, strategic};
use atoll::request::{parse, percent_decode, split_cluster};
use atoll::resources::catalog;
use atoll::schema::cel::{Rules, check_definition};
use atoll::schema::metadata::Malformed;
use atoll::schema::prune::{Extent, prune};
use atoll::schema::structural::{self, StatusPart};
use atoll::schema::{Link, Schema, decode, default, is_deeper_than, validate};
use atoll_api::options::{CreateOptions, DeleteOptions, ListOptions, UpdateOptions};
use atoll_api::selector::{FieldSelector, LabelSelector};
use atoll_api::{FieldPath, GroupVersionKind, Object, Query};
use atoll_cel::{Bindings, Budget, Env, Type};
use serde_json::{Value, json};
use std::sync::Arc;

/// What is fed with an input.
pub(crate) type Body = fn(&[u8]);

/// The targets, by their names.
pub(crate) const TARGETS: [(&str, Body); 9] = [
    ("request", request),
    ("json", json),
    ("yaml", yaml),
    ("protobuf", protobuf),
    ("patches", patches),
    ("apply", apply),
    ("cel", cel),
    ("selectors", selectors),
    ("schema", schema),
];

/// What is read of an input: enough for every mechanism, and fast.
const MAX_INPUT: usize = 16 * 1024;
/// What an expression may cost.
const COST: u64 = 100_000;
/// How deep the parts of inputs that stand for stored objects are, which are never deeper (`json::MAX_DEPTH`).
const DEPTH: usize = 100;

/// The target of a request, `/path?query`: what it names, its options, and an `Accept` header of the same text.
pub(crate) fn request(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if let Ok(split) = split_cluster(path) {
        assert!(split.rest.starts_with('/'), "the path below a cluster is absolute");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if let Ok(info) = parse(method, split.rest, query) {
                assert!(!info.name.contains('/') && !info.namespace.contains('/'), "names hold no slashes: {info:?}");
            }
        }
    }
    let _ = percent_decode(text);
    let query = Query::parse(query);
    let _ = ListOptions::from_query(&query);
    let _ = DeleteOptions::from_query(&query);
    let _ = CreateOptions::create_from_query(&query);
    let _ = UpdateOptions::update_from_query(&query);
    let _ = parse_accept(text);
}

/// A JSON body: what is read is written and read again as the same, and options and objects are made of it.
pub(crate) fn json(data: &[u8]) {
    let data = &data[..data.len().min(MAX_INPUT)];
    for duplicates in [Duplicates::Replace, Duplicates::Merge] {
        let Ok(document) = json::parse(data, duplicates) else { continue };
        // Whole numbers are written as such, as by Go, whatever they were read as: `1E+2` is an integer from then on.
        let written = json::to_vec(&document.value);
        let again = json::parse(&written, duplicates).expect("what is written can be read");
        assert_eq!(json::to_vec(&again.value), written);
        assert!(again.faults.is_empty(), "what is written has no duplicates");
        let _ = DeleteOptions::from_body(&document.value);
        let _ = json::to_pretty_vec(&document.value);
    }
    typed(data, Encoding::Json);
}

/// A YAML body, likewise.
pub(crate) fn yaml(data: &[u8]) {
    let data = &data[..data.len().min(MAX_INPUT)];
    if let Ok(document) = yaml::parse(data) {
        let written = yaml::to_vec(&document.value);
        let again = yaml::parse(&written).expect("what is written can be read");
        assert_eq!(again.value, document.value, "{}", String::from_utf8_lossy(&written));
    }
    typed(data, Encoding::Yaml);
}

/// A protobuf body: what is read can be written, and is read again as the same.
pub(crate) fn protobuf(data: &[u8]) {
    let data = &data[..data.len().min(MAX_INPUT)];
    let _ = protobuf::type_of(data);
    let default = TypeMeta { api_version: "apps/v1".into(), kind: "Deployment".into() };
    if let Ok(object) = protobuf::decode(data, &default) {
        let object = Value::Object(object);
        if let Ok(written) = protobuf::encode(&object) {
            let again = protobuf::decode(&written, &TypeMeta::default()).expect("what is written can be read");
            assert_eq!(Value::Object(again), object);
        }
    }
    typed(data, Encoding::Protobuf);
}

/// An object and a patch, a line each: as JSON patch, merge patch and strategic merge patch.
pub(crate) fn patches(data: &[u8]) {
    let Some([object, patch]) = documents(data) else { return };
    if let Ok(patch) = json_patch::Patch::decode(&patch) {
        let _ = patch.apply(object.clone());
    }
    if let Ok(patched) = merge::apply(object.clone(), &patch) {
        let again = merge::apply(patched.clone(), &patch);
        assert_eq!(again.ok(), Some(patched), "a merge patch does nothing more the second time");
    }
    for name in ["apps.v1.Deployment", "core.v1.Service", "core.v1.Pod"] {
        let _ = strategic::apply(object.clone(), &patch, &builtin(name));
    }
}

/// An object and a configuration, a line each: the owners of the object are recorded, and the configuration is applied by
/// another manager, twice, to a built-in and to a custom kind.
pub(crate) fn apply(data: &[u8]) {
    let Some([object, config]) = documents(data) else { return };
    if !object.is_object() || !config.is_object() {
        return;
    }
    let deployment = builtin("apps.v1.Deployment");
    let custom = custom_schema();
    let kinds: [(&Schema, &str, &str); 2] =
        [(&deployment, "apps/v1", "Deployment"), (&custom, "example.com/v1", "Thing")];
    for (schema, api_version, kind) in kinds {
        let mut live = object.clone();
        live["apiVersion"] = api_version.into();
        live["kind"] = kind.into();
        let mut config = config.clone();
        config["apiVersion"] = api_version.into();
        config["kind"] = kind.into();
        let versions = OneVersion { api_version, schema };
        let blank = json!({"apiVersion": api_version, "kind": kind});
        let tracking = |manager| Tracking {
            manager,
            subresource: "",
            api_version,
            kind,
            blank: &blank,
            reset: &[],
            versions: &versions,
            now: Some(jiff::Timestamp::UNIX_EPOCH),
        };
        apply::update(&tracking("before"), None, &mut live);
        let _ = apply::check_managed_fields(live.get("metadata").and_then(|metadata| metadata.get("managedFields")));
        let _ = apply::apply(&tracking("other"), Some(&live), &config, Force::No);
        if let Ok(first) = apply::apply(&tracking("other"), Some(&live), &config, Force::Yes) {
            let second = apply::apply(&tracking("other"), Some(&first), &config, Force::Yes);
            assert_eq!(second.ok(), Some(first), "applying the same again changes nothing");
        }
        let _ = apply::overlay(schema, &live, &config);
    }
}

/// An expression over an object that may be anything, evaluated within a budget.
pub(crate) fn cel(data: &[u8]) {
    let Some(expression) = text(data) else { return };
    let env = Env::builder().variable("object", Type::Dyn).variable("oldObject", Type::Dyn).with_bind().build();
    let Ok(program) = env.compile(expression) else { return };
    let _ = program.estimated_cost();
    let object = json!({
        "metadata": {"name": "thing", "labels": {"a": "b"}}, "list": [1, 2, 3], "text": "some text", "number": 7,
        "real": 2.5, "yes": true, "nothing": null, "time": "2024-01-02T03:04:05Z", "duration": "1h",
        "quantity": "1500m", "ip": "10.0.0.1", "cidr": "10.0.0.0/8", "url": "https://example.com/a?b=c",
    });
    let other = json!({"list": []});
    let bindings = Bindings::new()
        .with("object", atoll_cel::Value::untyped(&object))
        .with("oldObject", atoll_cel::Value::untyped(&other));
    if let Ok(value) = program.evaluate(&bindings, &mut Budget::new(COST)) {
        let _ = value.to_json();
        let _ = value.to_string();
    }
}

/// A selector of labels and of fields: what is read says the same when it is written.
pub(crate) fn selectors(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(selector) = LabelSelector::parse(text) {
        let again = LabelSelector::parse(&selector.to_string()).expect("what is written can be read");
        for value in [None, Some(""), Some("a"), Some("1")] {
            assert_eq!(selector.matches(|_| value), again.matches(|_| value), "{text:?} and {selector}");
        }
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let again = FieldSelector::parse(&selector.to_string()).expect("what is written can be read");
        // In the order of their texts, which `==` and `=` change.
        let in_order = |selector: &FieldSelector| {
            let mut all: Vec<String> = selector.requirements().iter().map(|one| format!("{one:?}")).collect();
            all.sort();
            all
        };
        assert_eq!(in_order(&selector), in_order(&again));
        let _ = selector.matches(|_| "a".into());
    }
    if let Ok(value) = serde_json::from_str(text)
        && let Ok(selector) = LabelSelector::from_object(&value)
    {
        let _ = selector.matches(|_| Some("a"));
    }
}

/// A structural schema and a value, a line each: if the schema is accepted, it is compiled, and the value is read, pruned,
/// defaulted and validated by it, its rules with it.
pub(crate) fn schema(data: &[u8]) {
    let Some([schema, value]) = documents(data) else { return };
    let path = FieldPath::new("spec");
    let faults = structural::validate(&schema, &path, StatusPart::Subresource);
    let _ = structural::unrecognized_formats(&schema);
    if !faults.is_empty() || !check_definition(&schema, &path).is_empty() {
        return;
    }
    let compiled = Arc::new(structural::compile(&schema).expect("what is accepted can be compiled"));
    let mut read = value.clone();
    if decode::custom(&compiled, &mut read, Malformed::Drop).is_err() || default::fill(&compiled, &mut read).is_err() {
        return;
    }
    let mut again = read.clone();
    prune(&compiled, &mut again, Extent::Object);
    default::fill(&compiled, &mut again).expect("nothing is left to fill in");
    assert_eq!(again, read, "what was pruned and filled in is left as it is");
    let faults = validate::create(&compiled, &read, &FieldPath::root());
    let _ = validate::update(&compiled, &read, &value, &FieldPath::root());
    if faults.is_empty()
        && let Some(rules) = Rules::compile(&compiled)
    {
        let _ = rules.check(&read, None, &FieldPath::root(), COST);
        let _ = rules.check(&read, Some(&read), &FieldPath::root(), COST);
    }
}

/// The body of a write, read as one of a built-in kind.
fn typed(data: &[u8], encoding: Encoding) {
    let expected = GroupVersionKind { group: "apps".into(), version: "v1".into(), kind: "Deployment".into() };
    let Ok(body) = body::read_object(data, encoding, &expected, Duplicates::Merge) else { return };
    let Object(map) = body.object;
    let mut value = Value::Object(map);
    if decode::builtin(&builtin("apps.v1.Deployment"), &mut value, decode::Form::Text).is_ok() {
        // What was read as the kind can be written as protobuf, as clients ask for.
        value["apiVersion"] = "apps/v1".into();
        value["kind"] = "Deployment".into();
        protobuf::encode(&value).expect("an object of the kind has a message");
    }
}

fn builtin(name: &str) -> Link {
    catalog::link(name).expect("a built-in type")
}

/// A custom kind with every way of merging.
fn custom_schema() -> Schema {
    structural::compile(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
            "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"}, "port": {"type": "integer", "default": 80}, "value": {"type": "string"}}}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "integer"}},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "either": {"x-kubernetes-int-or-string": true},
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }}))
    .expect("a structural schema")
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(&data[..data.len().min(MAX_INPUT)]).ok()
}

/// Two JSON documents, a line each.
fn documents(data: &[u8]) -> Option<[Value; 2]> {
    let data = &data[..data.len().min(MAX_INPUT)];
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let read = |bytes: &[u8]| {
        let value = json::parse(bytes, Duplicates::Replace).ok()?.value;
        (!is_deeper_than(&value, DEPTH)).then_some(value)
    };
    Some([read(&data[..end])?, read(&data[end + 1..])?])
}
