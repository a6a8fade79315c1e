//! LimitRanges: bounds and defaults for what pods and claims of a namespace ask for.

use serde_json::{Map, Value};

use crate::resources::defaults::made;
use crate::resources::kind::{Kind, Manners, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "limitranges",
    kind: "LimitRange",
    short_names: &["limits"],
    versions: &[Version { api_version: "v1", type_name: "core.v1.LimitRange", ..Version::BARE }],
    manners: Manners::CREATE_ON_UPDATE,
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
