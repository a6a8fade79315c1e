//! How Kubernetes shows what may not change: as JSON of its internal structs, which name fields in Go's way.

use serde_json::Value;

use crate::resources::read::list;

/// A field: its name in Go, its name in JSON, and what it holds.
type Fields = &'static [(&'static str, &'static str, Form)];

/// What a field holds.
enum Form {
    /// Text, empty if there is none.
    Text,
    /// A number, zero if there is none.
    Number,
    /// Something that is shown as it is, null if it is not there.
    Plain,
    /// A struct, with its zero values if it is not there.
    Struct(Fields),
    /// A struct, null if it is not there.
    Pointer(Fields),
    /// A list of structs, null if it is not there.
    List(Fields),
}

use Form::{List, Number, Plain, Pointer, Struct, Text};

const TOLERATION: Fields = &[
    ("Key", "key", Text),
    ("Operator", "operator", Text),
    ("Value", "value", Text),
    ("Effect", "effect", Text),
    ("TolerationSeconds", "tolerationSeconds", Plain),
];
const SELECTOR: Fields = &[("CEL", "cel", Pointer(&[("Expression", "expression", Text)]))];
const CAPACITY: Fields = &[("Requests", "requests", Plain)];
const EXACTLY: Fields = &[
    ("DeviceClassName", "deviceClassName", Text),
    ("Selectors", "selectors", List(SELECTOR)),
    ("AllocationMode", "allocationMode", Text),
    ("Count", "count", Number),
    ("AdminAccess", "adminAccess", Plain),
    ("Tolerations", "tolerations", List(TOLERATION)),
    ("Capacity", "capacity", Pointer(CAPACITY)),
];
const ALTERNATIVE: Fields = &[
    ("Name", "name", Text),
    ("DeviceClassName", "deviceClassName", Text),
    ("Selectors", "selectors", List(SELECTOR)),
    ("AllocationMode", "allocationMode", Text),
    ("Count", "count", Number),
    ("Tolerations", "tolerations", List(TOLERATION)),
    ("Capacity", "capacity", Pointer(CAPACITY)),
];
const REQUEST: Fields = &[
    ("Name", "name", Text),
    ("Exactly", "exactly", Pointer(EXACTLY)),
    ("FirstAvailable", "firstAvailable", List(ALTERNATIVE)),
];
const CONSTRAINT: Fields = &[
    ("Requests", "requests", Plain),
    ("MatchAttribute", "matchAttribute", Plain),
    ("DistinctAttribute", "distinctAttribute", Plain),
];
const OPAQUE: Fields = &[("Driver", "driver", Text), ("Parameters", "parameters", Plain)];
const CONFIG: Fields = &[("Requests", "requests", Plain), ("Opaque", "opaque", Pointer(OPAQUE))];
const CLAIM_SPEC: Fields = &[(
    "Devices",
    "devices",
    Struct(&[
        ("Requests", "requests", List(REQUEST)),
        ("Constraints", "constraints", List(CONSTRAINT)),
        ("Config", "config", List(CONFIG)),
    ]),
)];
const RESULT: Fields = &[
    ("Request", "request", Text),
    ("Driver", "driver", Text),
    ("Pool", "pool", Text),
    ("Device", "device", Text),
    ("AdminAccess", "adminAccess", Plain),
    ("Tolerations", "tolerations", List(TOLERATION)),
    ("BindingConditions", "bindingConditions", Plain),
    ("BindingFailureConditions", "bindingFailureConditions", Plain),
    ("ShareID", "shareID", Plain),
    ("ConsumedCapacity", "consumedCapacity", Plain),
];
const ALLOCATED_CONFIG: Fields =
    &[("Source", "source", Text), ("Requests", "requests", Plain), ("Opaque", "opaque", Pointer(OPAQUE))];
const REQUIREMENT: Fields = &[("Key", "key", Text), ("Operator", "operator", Text), ("Values", "values", Plain)];
const TERM: Fields =
    &[("MatchExpressions", "matchExpressions", List(REQUIREMENT)), ("MatchFields", "matchFields", List(REQUIREMENT))];
const ALLOCATION: Fields = &[
    (
        "Devices",
        "devices",
        Struct(&[("Results", "results", List(RESULT)), ("Config", "config", List(ALLOCATED_CONFIG))]),
    ),
    ("NodeSelector", "nodeSelector", Pointer(&[("NodeSelectorTerms", "nodeSelectorTerms", List(TERM))])),
    ("AllocationTimestamp", "allocationTimestamp", Plain),
];
const IDENTITY: Fields =
    &[("Driver", "driver", Text), ("Pool", "pool", Text), ("Device", "device", Text), ("ShareID", "shareID", Text)];
const ATTRIBUTE: Fields = &[
    ("IntValue", "int", Plain),
    ("BoolValue", "bool", Plain),
    ("StringValue", "string", Plain),
    ("VersionValue", "version", Plain),
    ("IntValues", "ints", Plain),
    ("BoolValues", "bools", Plain),
    ("StringValues", "strings", Plain),
    ("VersionValues", "versions", Plain),
];

/// The `spec` of a claim.
pub(super) fn claim_spec(spec: &Value) -> String {
    escaped(render(spec, &Struct(CLAIM_SPEC)))
}

/// The `spec` of a template: metadata lies beside the claim's own `spec`, in the names of JSON.
pub(super) fn template_spec(spec: &Value) -> String {
    // Only these may be set, and they stand in this order.
    let metadata = ["labels", "annotations"].map(|field| match &spec["metadata"][field] {
        Value::Null => String::new(),
        value => format!("\"{field}\":{value},"),
    });
    let metadata = metadata.concat();
    escaped(format!("{{{metadata}\"Spec\":{}}}", render(&spec["spec"], &Struct(CLAIM_SPEC))))
}

/// The `status.allocation` of a claim.
pub(super) fn allocation(allocation: &Value) -> String {
    escaped(render(allocation, &Struct(ALLOCATION)))
}

/// An attribute of a device.
pub(super) fn attribute(attribute: &Value) -> String {
    escaped(render(attribute, &Struct(ATTRIBUTE)))
}

/// What tells an allocated device apart.
pub(super) fn identity(device: &Value) -> String {
    escaped(render(device, &Struct(IDENTITY)))
}

/// The terms of a selector of nodes.
pub(super) fn node_selector_terms(terms: &Value) -> String {
    escaped(render(terms, &List(TERM)))
}

fn render(value: &Value, form: &Form) -> String {
    match form {
        Text if value.is_null() => "\"\"".to_owned(),
        Number if value.is_null() => "0".to_owned(),
        Pointer(_) | List(_) if value.is_null() => "null".to_owned(),
        Text | Number | Plain => value.to_string(),
        Struct(fields) | Pointer(fields) => {
            let fields = fields.iter().map(|(go, json, form)| format!("\"{go}\":{}", render(&value[*json], form)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        List(fields) => {
            let elements = list(value).iter().map(|element| render(element, &Struct(fields)));
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        }
    }
}

/// The same JSON as Go writes it: without characters that mean something in HTML, which stand in strings only.
fn escaped(json: String) -> String {
    if !json.contains(['<', '>', '&']) {
        return json;
    }
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn specs_are_shown_in_gos_names() {
        let exactly = json!({"deviceClassName": "c", "selectors": [{"cel": {"expression": "a && b"}}], "count": 1});
        let spec = json!({"devices": {"requests": [{"name": "r", "exactly": exactly}]}});
        let shown = "{\"Devices\":{\"Requests\":[{\"Name\":\"r\",\"Exactly\":{\"DeviceClassName\":\"c\",\"Selectors\":\
                     [{\"CEL\":{\"Expression\":\"a \\u0026\\u0026 b\"}}],\"AllocationMode\":\"\",\"Count\":1,\
                     \"AdminAccess\":null,\"Tolerations\":null,\"Capacity\":null},\"FirstAvailable\":null}],\
                     \"Constraints\":null,\"Config\":null}}";
        assert_eq!(claim_spec(&spec), shown);
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {}});
        let shown = "{\"labels\":{\"a\":\"b\"},\"Spec\":{\"Devices\":{\"Requests\":null,\"Constraints\":null,\
                     \"Config\":null}}}";
        assert_eq!(template_spec(&template), shown);
    }
}
