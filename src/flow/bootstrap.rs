//! The flow schemas and priority levels that every server has, as kube-apiserver 1.36 makes them.
//!
//! They are stored in the system cluster, seen and effective in every logical cluster. Two of each sort are mandatory:
//! without them there would be requests that belong nowhere.

use std::sync::LazyLock;

use atoll_api::{Object, Value};

/// The API group of flow schemas and priority levels.
pub const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// The plural name of flow schemas.
pub const FLOW_SCHEMAS: &str = "flowschemas";
/// The plural name of priority levels.
pub const PRIORITY_LEVELS: &str = "prioritylevelconfigurations";
/// The names of the flow schemas that every server has.
pub const SCHEMA_NAMES: &[&str] = &[
    "catch-all",
    "exempt",
    "global-default",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-system-service-accounts",
    "probes",
    "service-accounts",
    "system-leader-election",
    "system-node-high",
    "system-nodes",
];
/// The names of the priority levels that every server has.
pub const LEVEL_NAMES: &[&str] = &[
    "catch-all",
    "exempt",
    "global-default",
    "leader-election",
    "node-high",
    "system",
    "workload-high",
    "workload-low",
];
/// The schemas and levels that the server keeps as they are, whoever changes or deletes them.
pub const MANDATORY: &[&str] = &["catch-all", "exempt"];
/// Tells whether an object of the server's is kept as the server has it (`true`), or as somebody has changed it.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// The flow schemas that every server has, without status.
pub fn schemas() -> &'static [Object] {
    static SCHEMAS: LazyLock<Vec<Object>> =
        LazyLock::new(|| read(include_str!("../../manifests/bootstrap/flow-schemas.json")));
    &SCHEMAS
}

/// The priority levels that every server has, without status.
pub fn levels() -> &'static [Object] {
    static LEVELS: LazyLock<Vec<Object>> =
        LazyLock::new(|| read(include_str!("../../manifests/bootstrap/priority-levels.json")));
    &LEVELS
}

fn read(text: &str) -> Vec<Object> {
    let mut list: Value = serde_json::from_str(text).expect("embedded lists are read by a test");
    let items = match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    items.into_iter().filter_map(|item| Object::from_value(item).ok()).collect()
}

/// Whether a schema refers to a level that is not there, as a condition of its status.
pub fn dangling(level: &str, found: bool, now: &str) -> Value {
    let (status, reason, there) = match found {
        true => ("False", "Found", "and it exists"),
        false => ("True", "NotFound", "but there is no such object"),
    };
    serde_json::json!({
        "type": "Dangling", "status": status, "lastTransitionTime": now, "reason": reason,
        "message": format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} {there}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_objects() {
        let names = |objects: &[Object]| {
            let mut names: Vec<String> = objects.iter().map(|object| object.name().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(schemas()), SCHEMA_NAMES);
        assert_eq!(names(levels()), LEVEL_NAMES);
    }
}
