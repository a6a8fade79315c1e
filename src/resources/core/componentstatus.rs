//! ComponentStatuses: the health of a control plane's parts; deprecated, and read only.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::descriptor::Verb;
use crate::resources::kind::{Kind, Version, column};
use crate::resources::read::{condition, field};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "componentstatuses",
    kind: "ComponentStatus",
    short_names: &["cs"],
    verbs: &[Verb::Get, Verb::List],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.ComponentStatus",
        deprecated: "v1 ComponentStatus is deprecated in v1.19+",
        columns: &[
            column("Status", "string", "Whether the component is healthy."),
            column("Message", "string", "What the component says."),
            column("Error", "string", "What went wrong."),
        ],
        ..Version::BARE
    }],
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, _: Timestamp) -> Vec<Value> {
    let Some(healthy) = condition(field(object, "conditions"), "Healthy") else {
        return vec!["Unknown".into(), "".into(), "".into()];
    };
    let status = if healthy["status"] == "True" { "Healthy" } else { "Unhealthy" };
    let text = |name: &str| Value::from(healthy[name].as_str().unwrap_or_default());
    vec![status.into(), text("message"), text("error")]
}
