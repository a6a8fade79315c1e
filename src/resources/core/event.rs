//! Events: what happened to an object. One resource, served as `core/v1` and as `events.k8s.io/v1`.

use atoll_api::{ApiResult, GroupVersion, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::MetadataChecks;
use crate::resources::kind::{ColumnSpec, Kind, Manners, NAME_LAST, Version, column, wide};
use crate::resources::printing::since;
use crate::resources::read::{field, int, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "events",
    kind: "Event",
    short_names: &["ev"],
    versions: &[
        Version {
            api_version: "v1",
            type_name: "core.v1.Event",
            columns: COLUMNS,
            selectable_fields: &[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source",
                "type",
            ],
            ..Version::BARE
        },
        Version {
            api_version: "events.k8s.io/v1",
            type_name: "events.v1.Event",
            columns: COLUMNS,
            selectable_fields: &[
                "reason",
                "regarding.kind",
                "regarding.namespace",
                "regarding.name",
                "regarding.uid",
                "regarding.apiVersion",
                "regarding.resourceVersion",
                "regarding.fieldPath",
                "reportingController",
                "type",
            ],
            ..Version::BARE
        },
    ],
    manners: Manners::CREATE_ON_UPDATE,
    convert,
    validate_in: super::event_checks::validate,
    metadata_checks: MetadataChecks::None,
    cells,
    selectable,
    ..Kind::NAMESPACED
};

/// The table of events begins with their time, and shows the name last.
const COLUMNS: &[ColumnSpec] = &[
    column("Last Seen", "string", "@core.v1.Event.lastTimestamp"),
    column("Type", "string", "@core.v1.Event.type"),
    column("Reason", "string", "@core.v1.Event.reason"),
    column("Object", "string", "@core.v1.Event.involvedObject"),
    wide("Subobject", "string", "@core.v1.ObjectReference.fieldPath"),
    wide("Source", "string", "@core.v1.Event.source"),
    column("Message", "string", "@core.v1.Event.message"),
    wide("First Seen", "string", "@core.v1.Event.firstTimestamp"),
    wide("Count", "string", "@core.v1.Event.count"),
    NAME_LAST,
];

/// The fields that are called differently in `core/v1` and `events.k8s.io/v1`, in this order.
const RENAMED: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn convert(object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
    for (core, events) in RENAMED {
        let (from, to) = if to.group.is_empty() { (events, core) } else { (core, events) };
        if let Some(value) = object.0.remove(*from) {
            object.0.insert((*to).to_owned(), value);
        }
    }
    Ok(())
}

/// A field of an event by its name in `core/v1`, whatever version it is in.
fn named<'a>(object: &'a Object, name: &str) -> &'a Value {
    let other = RENAMED.iter().find(|(core, _)| *core == name).map(|(_, events)| *events);
    match (object.get(name), other) {
        (None, Some(other)) => field(object, other),
        _ => field(object, name),
    }
}

fn selectable(object: &Object, path: &str) -> Option<String> {
    let path = path.replace("regarding.", "involvedObject.").replace("reportingController", "reportingComponent");
    let value = match path.split_once('.') {
        Some((outer, inner)) => &named(object, outer)[inner],
        None if path == "source" => match text(&named(object, "source")["component"]) {
            "" => named(object, "reportingComponent"),
            _ => &named(object, "source")["component"],
        },
        None => named(object, &path),
    };
    value.as_str().map(str::to_owned)
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let time_of = |value: &Value| since(text(value), now);
    let first = match text(named(object, "firstTimestamp")) {
        "" => time_of(field(object, "eventTime")),
        time => since(time, now),
    };
    let mut last = match text(named(object, "lastTimestamp")) {
        "" => first.clone(),
        time => since(time, now),
    };
    let mut count = int(named(object, "count")).max(1);
    let series = field(object, "series");
    if series.is_object() {
        last = time_of(&series["lastObservedTime"]);
        count = int(&series["count"]);
    }
    let involved = named(object, "involvedObject");
    let kind = text(&involved["kind"]).to_lowercase();
    let target = match text(&involved["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        last.into(),
        text(field(object, "type")).into(),
        text(field(object, "reason")).into(),
        target.into(),
        text(&involved["fieldPath"]).into(),
        source(object).into(),
        text(named(object, "message")).trim().into(),
        first.into(),
        count.into(),
        object.name().into(),
    ]
}

fn source(object: &Object) -> String {
    let old = named(object, "source");
    let first =
        |one: &Value, other: &Value| if text(one).is_empty() { text(other).to_owned() } else { text(one).to_owned() };
    let component = first(&old["component"], named(object, "reportingComponent"));
    let instance = first(&old["host"], field(object, "reportingInstance"));
    if instance.is_empty() { component } else { format!("{component}, {instance}") }
}
