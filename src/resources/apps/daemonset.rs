//! DaemonSets: a pod on every node, or on some.

use atoll_api::selector::LabelSelector;
use atoll_api::validation::validate_label_selector;
use atoll_api::{FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::checks::workloads::{
    at_most_all, collisions, count_or_percent, count_or_share, counts, unknown_strategy,
};
use crate::resources::checks::{immutable, invalid, not_negative, path, required};
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::podspec::{Template, template_warnings, validate_template};
use crate::resources::printing::{age, containers, labels, selector};
use crate::resources::read::{entry, field, int, is_set, size, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "daemonsets",
    kind: "DaemonSet",
    short_names: &["ds"],
    categories: &["all"],
    versions: &[Version {
        api_version: "apps/v1",
        type_name: "apps.v1.DaemonSet",
        columns: &[
            column("Desired", "integer", "@apps.v1.DaemonSetStatus.desiredNumberScheduled"),
            column("Current", "integer", "@apps.v1.DaemonSetStatus.currentNumberScheduled"),
            column("Ready", "integer", "@apps.v1.DaemonSetStatus.numberReady"),
            column("Up-to-date", "integer", "@apps.v1.DaemonSetStatus.updatedNumberScheduled"),
            column("Available", "integer", "@apps.v1.DaemonSetStatus.numberAvailable"),
            column("Node Selector", "string", "@core.v1.PodSpec.nodeSelector"),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
            wide("Selector", "string", "@apps.v1.DaemonSetSpec.selector"),
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    prepare_create: |set| set_template_generation(set, 1),
    prepare_update,
    prepare_status_update: |set, old| {
        let generation = template_generation(old).to_string();
        set.set_annotation(TEMPLATE_GENERATION, &generation);
    },
    validate_create,
    validate_update: Some(validate_update),
    validate_status_update,
    warnings: |set, old| match old {
        Some(old) if field(old, "spec")["template"] == field(set, "spec")["template"] => Vec::new(),
        _ => template_warnings(set, None, "spec.template"),
    },
    cells,
    type_defaults: &[("apps.v1.DaemonSet", set_defaults), ("apps.v1.DaemonSetSpec", spec_defaults)],
    ..Kind::NAMESPACED
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    if let Some(strategy) = child(spec, "updateStrategy") {
        set(strategy, "type", "RollingUpdate");
        if entry(strategy, "type") == "RollingUpdate" {
            let rolling = made(strategy, "rollingUpdate");
            set(rolling, "maxUnavailable", 1);
            set(rolling, "maxSurge", 0);
        }
    }
    set(spec, "revisionHistoryLimit", 10);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let pod = &spec["template"]["spec"];
    let (names, images) = containers(&pod["containers"]);
    vec![
        int(&status["desiredNumberScheduled"]).into(),
        int(&status["currentNumberScheduled"]).into(),
        int(&status["numberReady"]).into(),
        int(&status["updatedNumberScheduled"]).into(),
        int(&status["numberAvailable"]).into(),
        labels(&pod["nodeSelector"]),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

/// Where the generation of the template is kept since it has no field any more.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The field is an annotation in this version, so it is always written.
fn set_defaults(daemon_set: &mut Map<String, Value>) {
    set(made(made(daemon_set, "metadata"), "annotations"), TEMPLATE_GENERATION, "0");
}

fn template_generation(set: &Object) -> i64 {
    set.annotation(TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Counts the generation of the template from at least this number on.
fn set_template_generation(set: &mut Object, least: i64) {
    let generation = template_generation(set).max(least);
    set.set_annotation(TEMPLATE_GENERATION, &generation.to_string());
}

fn prepare_update(set: &mut Object, old: &Object) {
    let changed = field(set, "spec")["template"] != field(old, "spec")["template"];
    let generation = template_generation(old) + i64::from(changed);
    set.set_annotation(TEMPLATE_GENERATION, &generation.to_string());
}

fn validate_create(set: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (field(set, "spec"), path("spec"));
    let selector = &spec["selector"];
    validate_label_selector(selector, &path.child("selector"), errors);
    let (labels, parsed) = (&spec["template"]["metadata"]["labels"], LabelSelector::from_object(selector));
    if parsed.is_ok_and(|selector| !selector.matches(|key| labels[key].as_str())) {
        let detail = "`selector` does not match template `labels`";
        invalid(errors, &path.child("template").child("metadata").child("labels"), labels, detail);
    }
    if is_set(selector) && size(&selector["matchLabels"]) + size(&selector["matchExpressions"]) == 0 {
        invalid(errors, &path.child("selector"), selector, "empty selector is invalid for daemonset");
    }
    let demands = Template { selector: None, restart_policies: &["Always"], no_deadline: Some("DaemonSet") };
    validate_template(errors, &spec["template"], &path.child("template"), &demands);
    not_negative(errors, &path.child("minReadySeconds"), &spec["minReadySeconds"]);
    if template_generation(set) < 0 {
        let path = path.child("templateGeneration");
        not_negative(errors, &path, &template_generation(set).into());
    }
    validate_strategy(errors, &spec["updateStrategy"], &path.child("updateStrategy"));
    not_negative(errors, &path.child("revisionHistoryLimit"), &spec["revisionHistoryLimit"]);
}

fn validate_strategy(errors: &mut FieldErrors, strategy: &Value, path: &FieldPath) {
    match text(&strategy["type"]) {
        "OnDelete" => {}
        "RollingUpdate" => {
            let path = path.child("rollingUpdate");
            let parts = [("maxUnavailable", path.child("maxUnavailable")), ("maxSurge", path.child("maxSurge"))];
            let rolling = &strategy["rollingUpdate"];
            for (field, path) in &parts {
                count_or_percent(errors, &rolling[*field], path);
            }
            for (field, path) in &parts {
                at_most_all(errors, &rolling[*field], path);
            }
            let [unavailable, surge] = ["maxUnavailable", "maxSurge"].map(|field| count_or_share(&rolling[field]) != 0);
            if unavailable && surge {
                let detail = "may not be set when maxUnavailable is non-zero";
                invalid(errors, &path.child("maxSurge"), &rolling["maxSurge"], detail);
            } else if !unavailable && !surge {
                required(errors, &path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0");
            }
        }
        _ => unknown_strategy(errors, strategy, path, &["RollingUpdate", "OnDelete"]),
    }
}

fn validate_update(set: &Object, old: &Object, errors: &mut FieldErrors) {
    let selector = |object| field(object, "spec").get("selector").cloned().unwrap_or_default();
    immutable(errors, &path("spec.selector"), &selector(set), &selector(old));
    validate_create(set, errors);
}

fn validate_status_update(set: &Object, old: &Object, errors: &mut FieldErrors) {
    let (status, path) = (field(set, "status"), path("status"));
    let fields = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    counts(errors, status, &path, &fields);
    collisions(errors, status, field(old, "status"), &path);
}
