//! FlowSchemas: which requests are treated alike.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use super::checks;
use crate::flow::bootstrap;
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::defaults::set_empty;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Underlay, Version, column};
use crate::resources::printing::{NONE, age, text_or};
use crate::resources::read::{condition, field, int, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "flowschemas",
    kind: "FlowSchema",
    versions: &[Version {
        api_version: "flowcontrol.apiserver.k8s.io/v1",
        type_name: "flowcontrol.v1.FlowSchema",
        columns: &[
            column("PriorityLevel", "string", "@flowcontrol.v1.PriorityLevelConfigurationReference.name"),
            column("MatchingPrecedence", "string", "@flowcontrol.v1.FlowSchemaSpec.matchingPrecedence"),
            column("DistinguisherMethod", "string", "@flowcontrol.v1.FlowSchemaSpec.distinguisherMethod"),
            AGE,
            column("MissingPL", "string", "Whether the priority level is missing."),
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    validate_create: checks::schema,
    validate_status_update: |object, _, errors| checks::conditions(object, errors),
    status_keeps: &["metadata", "spec"],
    prepare_status_update: checks::keep_all_metadata,
    cells,
    type_defaults: &[("flowcontrol.v1.FlowSchemaSpec", |spec| set_empty(spec, "matchingPrecedence", 1000))],
    manners: Manners { underlay: Underlay::Named(bootstrap::SCHEMA_NAMES), ..Manners::USUAL },
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let dangling = condition(&field(object, "status")["conditions"], "Dangling");
    vec![
        text(&spec["priorityLevelConfiguration"]["name"]).into(),
        int(&spec["matchingPrecedence"]).into(),
        text_or(&spec["distinguisherMethod"]["type"], NONE),
        age(object, now),
        dangling.map_or("?", |condition| text(&condition["status"])).into(),
    ]
}
