//! PriorityLevelConfigurations: how many requests of a sort are served at a time.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::checks;
use crate::flow::bootstrap;
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Underlay, Version, column};
use crate::resources::printing::{NONE, age};
use crate::resources::read::{entry, field, int, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "prioritylevelconfigurations",
    kind: "PriorityLevelConfiguration",
    versions: &[Version {
        api_version: "flowcontrol.apiserver.k8s.io/v1",
        type_name: "flowcontrol.v1.PriorityLevelConfiguration",
        columns: &[
            column("Type", "string", "@flowcontrol.v1.PriorityLevelConfigurationSpec.type"),
            column(
                "NominalConcurrencyShares",
                "string",
                "@flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
            ),
            column("Queues", "string", "@flowcontrol.v1.QueuingConfiguration.queues"),
            column("HandSize", "string", "@flowcontrol.v1.QueuingConfiguration.handSize"),
            column("QueueLengthLimit", "string", "@flowcontrol.v1.QueuingConfiguration.queueLengthLimit"),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    validate_create: checks::level,
    validate_status_update: |object, _, errors| checks::conditions(object, errors),
    status_keeps: &["metadata", "spec"],
    prepare_status_update: checks::keep_all_metadata,
    cells,
    type_defaults: &[
        ("flowcontrol.v1.ExemptPriorityLevelConfiguration", exempt_defaults),
        ("flowcontrol.v1.LimitedPriorityLevelConfiguration", limited_defaults),
        ("flowcontrol.v1.QueuingConfiguration", queuing_defaults),
    ],
    manners: Manners { underlay: Underlay::Named(bootstrap::LEVEL_NAMES), ..Manners::USUAL },
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};

fn exempt_defaults(exempt: &mut Map<String, Value>) {
    set(exempt, "nominalConcurrencyShares", 0);
    set(exempt, "lendablePercent", 0);
}

fn limited_defaults(limited: &mut Map<String, Value>) {
    set(limited, "nominalConcurrencyShares", 30);
    set(limited, "lendablePercent", 0);
}

fn queuing_defaults(queuing: &mut Map<String, Value>) {
    for (field, number) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
        if int(entry(queuing, field)) == 0 {
            queuing.insert(field.to_owned(), number.into());
        }
    }
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let limited = &spec["limited"];
    let queuing = &limited["limitResponse"]["queuing"];
    let number = |value: &Value| if value.is_number() { value.clone() } else { NONE.into() };
    vec![
        text(&spec["type"]).into(),
        number(&limited["nominalConcurrencyShares"]),
        number(&queuing["queues"]),
        number(&queuing["handSize"]),
        number(&queuing["queueLengthLimit"]),
        age(object, now),
    ]
}
