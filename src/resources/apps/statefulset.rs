//! StatefulSets: pods with identities and storage of their own.

use std::collections::BTreeSet;

use atoll_api::selector::LabelSelector;
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::registry::resource::{GenerationPolicy, NameRule};
use crate::resources::checks::workloads::{
    at_most, collisions, count_or_percent, count_or_share, counts, own_selector,
};
use crate::resources::checks::{forbidden, go_struct, invalid, not_negative, one_of, path, required};
use crate::resources::core::persistentvolumeclaim::validate_claim_spec;
use crate::resources::defaults::{child, each, made, set};
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::podspec::{
    Template, claim_warnings, template_warnings, validate_lasting, validate_metadata, validate_template,
};
use crate::resources::printing::{age, containers};
use crate::resources::read::{entry, field, int, is_set, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "statefulsets",
    kind: "StatefulSet",
    short_names: &["sts"],
    categories: &["all"],
    versions: &[Version {
        api_version: "apps/v1",
        type_name: "apps.v1.StatefulSet",
        columns: &[
            column("Ready", "string", "How many of the wanted pods are ready."),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
        ],
        subresources: &[
            SubresourceSpec::Scale("spec.replicas", "status.replicas", "spec.selector"),
            SubresourceSpec::Status,
        ],
        ..Version::BARE
    }],
    name_rule: NameRule::Label,
    generation: GenerationPolicy::SpecChanges,
    validate_create: |set, errors| validate_spec(set, Templates::Check, errors),
    validate_update: Some(validate_update),
    validate_status_update,
    warnings,
    cells,
    type_defaults: &[("apps.v1.StatefulSetSpec", spec_defaults)],
    ..Kind::NAMESPACED
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = child(spec, "updateStrategy") {
        if !strategy.contains_key("type") {
            set(strategy, "type", "RollingUpdate");
            made(strategy, "rollingUpdate");
        }
        if entry(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set(rolling, "partition", 0);
        }
    }
    let retention = made(spec, "persistentVolumeClaimRetentionPolicy");
    set(retention, "whenDeleted", "Retain");
    set(retention, "whenScaled", "Retain");
    set(spec, "replicas", 1);
    // The templates of claims are whole objects, so Go writes their type (apps/v1/conversion.go, 1.36).
    for claim in each(spec, "volumeClaimTemplates") {
        claim.insert("apiVersion".into(), "v1".into());
        claim.insert("kind".into(), "PersistentVolumeClaim".into());
    }
    set(spec, "revisionHistoryLimit", 10);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let (names, images) = containers(&spec["template"]["spec"]["containers"]);
    let ready = format!("{}/{}", int(&status["readyReplicas"]), int(&spec["replicas"]));
    vec![ready.into(), age(object, now), names, images]
}

/// Whether the templates of claims are checked; those that are stored are accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Templates {
    Check,
    Accept,
}

fn validate_spec(set: &Object, templates: Templates, errors: &mut FieldErrors) {
    let (spec, path) = (field(set, "spec"), path("spec"));
    let management = text(&spec["podManagementPolicy"]);
    if !["OrderedReady", "Parallel"].contains(&management) {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        invalid(errors, &path.child("podManagementPolicy"), &management.into(), detail);
    }
    validate_strategy(errors, &spec["updateStrategy"], &path.child("updateStrategy"));
    let retention = &spec["persistentVolumeClaimRetentionPolicy"];
    for field in ["whenDeleted", "whenScaled"] {
        let path = path.child("persistentVolumeClaimRetentionPolicy").child(field);
        one_of(errors, &path, text(&retention[field]), &["Retain", "Delete"]);
    }
    if templates == Templates::Check {
        for (index, claim) in list(&spec["volumeClaimTemplates"]).iter().enumerate() {
            let path = path.child("volumeClaimTemplates").index(index);
            validate_claim_spec(errors, &claim["spec"], &path.child("spec"));
        }
    }
    not_negative(errors, &path.child("replicas"), &spec["replicas"]);
    not_negative(errors, &path.child("minReadySeconds"), &spec["minReadySeconds"]);
    not_negative(errors, &path.child("ordinals.start"), &spec["ordinals"]["start"]);
    let service = text(&spec["serviceName"]);
    if templates == Templates::Check && !service.is_empty() {
        crate::resources::checks::label(errors, &path.child("serviceName"), service);
    }
    own_selector(errors, &spec["selector"], &path.child("selector"), "statefulset");
    match LabelSelector::from_object(&spec["selector"]) {
        Err(_) => {
            invalid(errors, &path.child("selector"), &spec["selector"], "");
            let pod = &spec["template"]["spec"];
            validate_lasting(errors, pod, &path.child("template"), &["Always"], Some("StatefulSet"));
        }
        Ok(selector) => {
            let demands =
                Template { selector: Some(selector), restart_policies: &["Always"], no_deadline: Some("StatefulSet") };
            validate_template(errors, &template_with_claims(spec), &path.child("template"), &demands);
            validate_metadata(errors, &spec["template"]["metadata"], &path.child("template"));
        }
    }
}

/// The template as its pods will be: with volumes for the claims, and without names that the controller sets.
fn template_with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let Some(pod) = template.get_mut("spec").and_then(Value::as_object_mut) else { return template };
    pod.remove("subdomain");
    pod.remove("hostname");
    let claims: BTreeSet<&str> =
        list(&spec["volumeClaimTemplates"]).iter().map(|claim| text(&claim["metadata"]["name"])).collect();
    if claims.is_empty() {
        return template;
    }
    let made = claims.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
    let own = list(entry(pod, "volumes")).iter().filter(|volume| !claims.contains(text(&volume["name"]))).cloned();
    let volumes: Value = made.chain(own).collect();
    pod.insert("volumes".into(), volumes);
    template
}

fn validate_strategy(errors: &mut FieldErrors, strategy: &Value, path: &FieldPath) {
    let rolling = &strategy["rollingUpdate"];
    match text(&strategy["type"]) {
        "" => required(errors, path, ""),
        "OnDelete" if is_set(rolling) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            let shown = rolling_update(rolling);
            errors.push(FieldError::invalid_shown(&path.child("rollingUpdate"), shown, detail));
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            let path = path.child("rollingUpdate");
            not_negative(errors, &path.child("partition"), &rolling["partition"]);
            let unavailable = &rolling["maxUnavailable"];
            if is_set(unavailable) {
                let path = path.child("maxUnavailable");
                count_or_percent(errors, unavailable, &path);
                if count_or_share(unavailable) == 0 {
                    invalid(errors, &path, unavailable, "cannot be 0");
                }
                crate::resources::checks::workloads::at_most_all(errors, unavailable, &path);
            }
        }
        _ => {
            let rolling = rolling_update(rolling);
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", strategy["type"]);
            errors.push(FieldError::invalid_shown(path, shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

/// How a rolling update is shown.
fn rolling_update(rolling: &Value) -> String {
    match is_set(rolling) {
        true => go_struct(&[("Partition", &rolling["partition"]), ("MaxUnavailable", &rolling["maxUnavailable"])]),
        false => "null".to_owned(),
    }
}

/// What may change in the spec of a set that exists.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn validate_update(set: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_spec(set, Templates::Accept, errors);
    let fixed = |object: &Object| {
        let mut spec = field(object, "spec").as_object().cloned().unwrap_or_default();
        spec.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        spec
    };
    if fixed(set) != fixed(old) {
        let names = MUTABLE.map(|field| format!("'{field}'"));
        let (last, others) = names.split_last().expect("there are some");
        let detail =
            format!("updates to statefulset spec for fields other than {} and {last} are forbidden", others.join(", "));
        forbidden(errors, &path("spec"), detail);
    }
}

fn validate_status_update(set: &Object, old: &Object, errors: &mut FieldErrors) {
    let (status, path) = (field(set, "status"), path("status"));
    let bounded = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    counts(errors, status, &path, &["replicas"]);
    counts(errors, status, &path, &bounded);
    counts(errors, status, &path, &["observedGeneration", "collisionCount"]);
    at_most(errors, status, &path, &bounded, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than status.readyReplicas";
    at_most(errors, status, &path, &["availableReplicas"], "readyReplicas", detail);
    collisions(errors, status, field(old, "status"), &path);
}

fn warnings(set: &Object, old: Option<&Object>) -> Vec<String> {
    const NEGATIVE: &str =
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended";
    let spec = field(set, "spec");
    let mut warnings = template_warnings(set, old, "spec.template");
    for (index, claim) in list(&spec["volumeClaimTemplates"]).iter().enumerate() {
        warnings.extend(claim_warnings(&claim["spec"], &path("spec.volumeClaimTemplates").index(index)));
    }
    if int(&spec["revisionHistoryLimit"]) < 0 {
        warnings.push(NEGATIVE.to_owned());
    }
    warnings
}
