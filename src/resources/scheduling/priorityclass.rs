//! PriorityClasses: names for how important pods are. Two are the system's: every cluster sees them, and nobody deletes them.

use atoll_api::{FieldErrors, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::admission::plugins::priority::{HIGHEST, SYSTEM_CLASSES, SYSTEM_NAMES};
use crate::registry::resource::GenerationPolicy;
use crate::resources::checks::{forbidden, immutable, path, required_one_of};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, Underlay, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, flag, int, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "priorityclasses",
    kind: "PriorityClass",
    short_names: &["pc"],
    versions: &[Version {
        api_version: "scheduling.k8s.io/v1",
        type_name: "scheduling.v1.PriorityClass",
        columns: &[
            column("Value", "integer", "@scheduling.v1.PriorityClass.value"),
            column("Global-Default", "boolean", "@scheduling.v1.PriorityClass.globalDefault"),
            AGE,
            column("PreemptionPolicy", "string", "@scheduling.v1.PriorityClass.preemptionPolicy"),
        ],
        ..Version::BARE
    }],
    // There is no spec that could change: the generation stays 1.
    generation: GenerationPolicy::SpecChanges,
    validate_create,
    validate_update: Some(validate_update),
    cells,
    refuses_deletion,
    manners: Manners { underlay: Underlay::Named(SYSTEM_NAMES), ..Manners::USUAL },
    type_defaults: &[("scheduling.v1.PriorityClass", |class| set(class, "preemptionPolicy", "PreemptLowerPriority"))],
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        int(field(object, "value")).into(),
        flag(field(object, "globalDefault")).into(),
        age(object, now),
        text(field(object, "preemptionPolicy")).into(),
    ]
}

/// What names of the system's own begin with.
const SYSTEM: &str = "system-";

fn refuses_deletion(name: &str) -> Option<&'static str> {
    SYSTEM_NAMES.contains(&name).then_some("this is a system priority class and cannot be deleted")
}

fn validate_create(class: &Object, errors: &mut FieldErrors) {
    let value = int(field(class, "value"));
    if class.name().starts_with(SYSTEM) {
        if let Some(why) = not_of_the_system(class.name(), value, flag(field(class, "globalDefault"))) {
            let detail =
                format!("priority class names with '{SYSTEM}' prefix are reserved for system use only. error: {why}");
            forbidden(errors, &path("metadata.name"), detail);
        }
    } else if value > HIGHEST {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        forbidden(errors, &path("value"), detail);
    }
    let policy = text(field(class, "preemptionPolicy"));
    required_one_of(errors, &path("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
}

fn not_of_the_system(name: &str, value: i64, is_default: bool) -> Option<String> {
    match SYSTEM_CLASSES.iter().find(|(known, _)| *known == name) {
        None => Some(format!("{name} is not a known system priority class")),
        Some((_, wanted)) if *wanted != value => Some(format!("value of {name} PriorityClass must be {wanted}")),
        Some(_) if is_default => Some(format!("globalDefault of {name} PriorityClass must be false")),
        Some(_) => None,
    }
}

fn validate_update(class: &Object, old: &Object, errors: &mut FieldErrors) {
    if int(field(class, "value")) != int(field(old, "value")) {
        forbidden(errors, &path("value"), "may not be changed in an update.");
    }
    immutable(errors, &path("preemptionPolicy"), field(class, "preemptionPolicy"), field(old, "preemptionPolicy"));
}
