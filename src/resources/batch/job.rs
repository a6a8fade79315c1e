//! Jobs: pods that run until they are done.

use std::collections::BTreeSet;

use atoll_api::selector::LabelSelector;
use atoll_api::time::format_time;
use atoll_api::validation::{dns1123_label, validate_label_selector};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::checks::workloads::{counts, pods_warnings};
use crate::resources::checks::{IMMUTABLE, immutable, invalid, not_negative, one_of, path, required};
use crate::resources::defaults::{child, made, set, set_empty};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, by_path, column, wide};
use crate::resources::podspec::{Template, validate_template};
use crate::resources::printing::{age, between, containers, selector};
use crate::resources::read::{condition_is_true, entry, field, flag, int, is_set, list, size, strings, text};

const ORPHANS: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "jobs",
    kind: "Job",
    categories: &["all"],
    versions: &[Version {
        api_version: "batch/v1",
        type_name: "batch.v1.Job",
        columns: &[
            column("Status", "string", "The state of the job."),
            column("Completions", "string", "@batch.v1.JobStatus.succeeded"),
            column("Duration", "string", "How long the job took, or is taking."),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
            wide("Selector", "string", "@batch.v1.JobSpec.selector"),
        ],
        subresources: &[SubresourceSpec::Status],
        selectable_fields: &["status.successful"],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners { orphans_by_default: true, deletion_warning: Some(ORPHANS), ..Manners::USUAL },
    prepare_create,
    validate_create,
    validate_update: Some(validate_update),
    validate_status_update,
    warnings,
    cells,
    selectable: |object, path| match path {
        "status.successful" => Some(int(&field(object, "status")["succeeded"]).to_string()),
        other => by_path(object, other),
    },
    type_defaults: &[
        ("batch.v1.Job", job_defaults),
        ("batch.v1.PodFailurePolicyOnPodConditionsPattern", |pattern| set_empty(pattern, "status", "True")),
    ],
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn job_defaults(job: &mut Map<String, Value>) {
    let labels = entry(job, "spec")["template"]["metadata"]["labels"].clone();
    if let Some(spec) = child(job, "spec") {
        spec_defaults(spec);
    }
    if size(&labels) > 0
        && let Some(metadata) = child(job, "metadata")
        && size(entry(metadata, "labels")) == 0
    {
        metadata.insert("labels".into(), labels);
    }
}

fn spec_defaults(spec: &mut Map<String, Value>) {
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let limit = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    set(spec, "backoffLimit", limit);
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    let replacement = if is_set(entry(spec, "podFailurePolicy")) { "Failed" } else { "TerminatingOrFailed" };
    set(spec, "podReplacementPolicy", replacement);
    set(spec, "manualSelector", false);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let (names, images) = containers(&spec["template"]["spec"]["containers"]);
    let succeeded = int(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), int(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let duration = match (text(&status["startTime"]), text(&status["completionTime"])) {
        ("", _) => String::new(),
        (start, "") => between(start, &format_time(now)),
        (start, end) => between(start, end),
    };
    vec![
        state(object, status).into(),
        completions.into(),
        duration.into(),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn state(object: &Object, status: &Value) -> &'static str {
    let is = |kind: &str| condition_is_true(&status["conditions"], kind);
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if object.deletion_timestamp().is_some() {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

/// Unless the selector is made by hand, a job selects the pods that bear its uid.
fn prepare_create(job: &mut Object) {
    let (name, uid) = (job.name().to_owned(), job.uid().to_owned());
    let spec = job.map_mut("spec");
    if flag(entry(spec, "manualSelector")) {
        return;
    }
    let generated = |labels: &mut Map<String, Value>| {
        for (keys, value) in [(NAME_LABELS, &name), (UID_LABELS, &uid)] {
            for key in keys {
                set(labels, key, value.as_str());
            }
        }
    };
    let labels = made(made(made(spec, "template"), "metadata"), "labels");
    let of_template = labels.clone();
    generated(labels);
    set(made(made(spec, "selector"), "matchLabels"), UID_LABELS[1], uid.as_str());
    // Labels that a job has from its template follow it.
    if let Some(Value::Object(labels)) = job.metadata_mut().get_mut("labels")
        && *labels == of_template
        && !of_template.is_empty()
    {
        generated(labels);
    }
}

fn validate_create(job: &Object, errors: &mut FieldErrors) {
    let spec = field(job, "spec");
    generated_selector(job, spec, errors);
    validate_spec(spec, &path("spec"), errors);
    let completions = int(&spec["completions"]);
    if spec["completionMode"] == "Indexed" && completions > 0 {
        let last = format!("{}-{}", job.name(), completions - 1);
        if !dns1123_label(&last).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {last}");
            invalid(errors, &path("metadata.name"), &job.name().into(), detail);
        }
    }
}

/// The labels of a template and the selector must be those that were generated.
fn generated_selector(job: &Object, spec: &Value, errors: &mut FieldErrors) {
    if flag(&spec["manualSelector"]) || !is_set(&spec["selector"]) {
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    for (key, wanted) in [
        (UID_LABELS[0], job.uid()),
        (NAME_LABELS[0], job.name()),
        (UID_LABELS[1], job.uid()),
        (NAME_LABELS[1], job.name()),
    ] {
        let path = path("spec.template.metadata.labels");
        match labels[key].as_str() {
            None => required(errors, &path.key(key), format!("must be '{wanted}'")),
            Some(given) if given != wanted => {
                invalid(errors, &path.key(key), labels, format!("must be '{wanted}'"));
            }
            Some(_) => {}
        }
    }
    let expected = |key: &str| match key {
        key if UID_LABELS.contains(&key) => Some(job.uid()),
        key if NAME_LABELS.contains(&key) => Some(job.name()),
        _ => None,
    };
    if LabelSelector::from_object(&spec["selector"]).is_ok_and(|selector| !selector.matches(expected)) {
        invalid(errors, &path("spec.selector"), &spec["selector"], "`selector` not auto-generated");
    }
}

fn validate_spec(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    validate_spec_without_selector(spec, path, errors);
    if is_set(&spec["selector"]) {
        validate_label_selector(&spec["selector"], &path.child("selector"), errors);
    } else {
        required(errors, &path.child("selector"), "");
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let selector = LabelSelector::from_object(&spec["selector"]);
    if selector.is_ok_and(|selector| !selector.matches(|key| labels[key].as_str())) {
        let path = path.child("template").child("metadata").child("labels");
        invalid(errors, &path, labels, "`selector` does not match template `labels`");
    }
}

/// Checks a job's description as cron jobs hold it: without a selector.
pub(super) fn validate_spec_without_selector(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for field in counts {
        not_negative(errors, &path.child(field), &spec[field]);
    }
    if is_set(&spec["maxFailedIndexes"]) && !is_set(&spec["backoffLimitPerIndex"]) {
        required(errors, &path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    managed_by(spec, &path.child("managedBy"), errors);
    completion_mode(spec, path, errors);
    failure_policy(spec, &path.child("podFailurePolicy"), errors);
    if is_set(&spec["successPolicy"]) && spec["completionMode"] != "Indexed" {
        let detail = "requires indexed completion mode";
        let rule = |rule: &Value| json!({"SucceededIndexes": rule["succeededIndexes"], "SucceededCount": rule["succeededCount"]});
        let rules: Vec<Value> = list(&spec["successPolicy"]["rules"]).iter().map(rule).collect();
        invalid(errors, &path.child("successPolicy"), &json!({"Rules": rules}), detail);
    } else if is_set(&spec["successPolicy"]) {
        success_policy(spec, &path.child("successPolicy"), errors);
    }
    replacement_policy(spec, &path.child("podReplacementPolicy"), errors);
    let demands = Template { selector: None, restart_policies: &[], no_deadline: None };
    validate_template(errors, &spec["template"], &path.child("template"), &demands);
    let at = path.child("template").child("spec").child("restartPolicy");
    match text(&spec["template"]["spec"]["restartPolicy"]) {
        "" | "Always" => required(errors, &at, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if is_set(&spec["podFailurePolicy"]) => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            invalid(errors, &at, &"OnFailure".into(), detail);
        }
        policy => one_of(errors, &at, policy, &["OnFailure", "Never"]),
    }
}

fn managed_by(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    const MAX: usize = 63;
    let Some(manager) = spec["managedBy"].as_str() else { return };
    let domain = manager.split_once('/');
    match domain {
        _ if manager.is_empty() => required(errors, path, ""),
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            crate::resources::checks::subdomain(errors, path, domain);
        }
        _ => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            invalid(errors, path, &manager.into(), detail);
        }
    }
    if manager.len() > MAX {
        errors.push(FieldError::too_long(path, MAX));
    }
}

fn completion_mode(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    const MOST: i64 = 100_000;
    const MOST_IN_PARALLEL_IF_MANY: i64 = 10_000;
    let mode = text(&spec["completionMode"]);
    if is_set(&spec["completionMode"]) {
        one_of(errors, &path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    let (failed, limit) = (&spec["maxFailedIndexes"], &spec["backoffLimitPerIndex"]);
    if mode != "Indexed" {
        for (field, value) in [("backoffLimitPerIndex", limit), ("maxFailedIndexes", failed)] {
            if is_set(value) && (mode == "NonIndexed" || !is_set(&spec["completionMode"])) {
                invalid(errors, &path.child(field), value, "requires indexed completion mode");
            }
        }
        return;
    }
    let (parallelism, completions) = (int(&spec["parallelism"]), spec["completions"].as_i64());
    if completions.is_none() {
        required(errors, &path.child("completions"), "when completion mode is Indexed");
    }
    if parallelism > MOST {
        let detail = format!("must be less than or equal to {MOST} when completion mode is Indexed");
        invalid(errors, &path.child("parallelism"), &parallelism.into(), detail);
    }
    if completions.is_some_and(|completions| int(failed) > completions) {
        let detail = "must be less than or equal to completions";
        invalid(errors, &path.child("maxFailedIndexes"), failed, detail);
    }
    if int(failed) > MOST {
        let detail = format!("must be less than or equal to {MOST}");
        invalid(errors, &path.child("maxFailedIndexes"), failed, detail);
    }
    if completions.is_some_and(|completions| completions > MOST) && is_set(limit) {
        if !is_set(failed) {
            let detail = format!("must be specified when completions is above {MOST}");
            required(errors, &path.child("maxFailedIndexes"), detail);
        }
        let detail = format!(
            "must be less than or equal to {MOST_IN_PARALLEL_IF_MANY} when completions are above {MOST} and used with backoff limit per index"
        );
        for (field, value) in [("parallelism", parallelism), ("maxFailedIndexes", int(failed))] {
            if value > MOST_IN_PARALLEL_IF_MANY {
                invalid(errors, &path.child(field), &value.into(), detail.clone());
            }
        }
    }
}

fn replacement_policy(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let Some(policy) = spec["podReplacementPolicy"].as_str() else { return };
    let accepted: &[&str] =
        if is_set(&spec["podFailurePolicy"]) { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    one_of(errors, path, policy, accepted);
}

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];

fn failure_policy(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    const MAX_RULES: usize = 20;
    let rules = list(&spec["podFailurePolicy"]["rules"]);
    let path = path.child("rules");
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(&path, rules.len(), MAX_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        match text(&rule["action"]) {
            "" => {
                let detail = "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]";
                required(errors, &path.child("action"), detail);
            }
            "FailIndex" if !is_set(&spec["backoffLimitPerIndex"]) => {
                let detail = "requires the backoffLimitPerIndex to be set";
                invalid(errors, &path.child("action"), &"FailIndex".into(), detail);
            }
            action => one_of(errors, &path.child("action"), action, ACTIONS),
        }
        let codes = &rule["onExitCodes"];
        if is_set(codes) {
            exit_codes(spec, codes, &path.child("onExitCodes"), errors);
        }
        pod_conditions(&rule["onPodConditions"], &path.child("onPodConditions"), errors);
        let fault = |detail: &str| FieldError { value: None, ..FieldError::invalid(&path, &Value::Null, detail) };
        match (is_set(codes), size(&rule["onPodConditions"]) > 0) {
            (true, true) => errors.push(fault("specifying both OnExitCodes and OnPodConditions is not supported")),
            (false, false) => errors.push(fault("specifying one of OnExitCodes and OnPodConditions is required")),
            _ => {}
        }
    }
}

fn exit_codes(spec: &Value, codes: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    const MAX_VALUES: usize = 255;
    match text(&codes["operator"]) {
        "" => required(errors, &path.child("operator"), "valid values: [\"In\" \"NotIn\"]"),
        operator => one_of(errors, &path.child("operator"), operator, &["In", "NotIn"]),
    }
    if let Some(name) = codes["containerName"].as_str() {
        let pod = &spec["template"]["spec"];
        let mut containers = list(&pod["containers"]).iter().chain(list(&pod["initContainers"]));
        if !containers.any(|container| container["name"] == name) {
            let detail = "must be one of the container or initContainer names in the pod template";
            invalid(errors, &path.child("containerName"), &name.into(), detail);
        }
    }
    let (values, at) = (list(&codes["values"]), path.child("values"));
    if values.is_empty() {
        invalid(errors, &at, &codes["values"], "at least one value is required");
    } else if values.len() > MAX_VALUES {
        errors.push(FieldError::too_many(&at, values.len(), MAX_VALUES));
    }
    let mut last = i64::MIN;
    let mut ordered = true;
    for (index, value) in values.iter().enumerate() {
        let number = int(value);
        if values[..index].contains(value) {
            errors.push(FieldError::duplicate(&at.index(index), value));
        }
        if codes["operator"] == "In" && number == 0 {
            invalid(errors, &at.index(index), value, "must not be 0 for the In operator");
        }
        ordered &= number >= last;
        last = number;
    }
    if !ordered {
        invalid(errors, &at, &codes["values"], "must be ordered");
    }
}

fn pod_conditions(conditions: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    const MAX: usize = 20;
    let conditions = list(conditions);
    if conditions.len() > MAX {
        errors.push(FieldError::too_many(path, conditions.len(), MAX));
    }
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        crate::resources::checks::qualified(errors, &path.child("type"), text(&condition["type"]));
        match text(&condition["status"]) {
            "" => required(errors, &path.child("status"), "valid values: [\"False\" \"True\" \"Unknown\"]"),
            status => one_of(errors, &path.child("status"), status, &["False", "True", "Unknown"]),
        }
    }
}

fn success_policy(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    const MAX_RULES: usize = 20;
    let rules = list(&spec["successPolicy"]["rules"]);
    let path = path.child("rules");
    if rules.is_empty() {
        required(errors, &path, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(&path, rules.len(), MAX_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        let (count, indexes) = (&rule["succeededCount"], &rule["succeededIndexes"]);
        if !is_set(count) && !is_set(indexes) {
            required(errors, &path, "at least one of succeededCount or succeededIndexes must be specified");
        }
        let named = indexes.as_str().map(|indexes| {
            super::indexes::check(errors, indexes, int(&spec["completions"]), &path.child("succeededIndexes"))
        });
        not_negative(errors, &path.child("succeededCount"), count);
        if is_set(count) && int(count) > int(&spec["completions"]) {
            let detail = format!(
                "must be less than or equal to {} (the number of specified completions)",
                int(&spec["completions"])
            );
            invalid(errors, &path.child("succeededCount"), count, detail);
        }
        if let Some(named) = named.filter(|named| int(count) > *named) {
            let detail = format!(
                "must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
            );
            invalid(errors, &path.child("succeededCount"), count, detail);
        }
    }
}

fn validate_update(job: &Object, old: &Object, errors: &mut FieldErrors) {
    let (spec, was, path) = (field(job, "spec"), field(old, "spec"), path("spec"));
    // Kubernetes checks the specification twice.
    validate_create(job, errors);
    validate_spec(spec, &path, errors);
    if spec["completionMode"] != "Indexed" {
        immutable(errors, &path.child("completions"), &spec["completions"], &was["completions"]);
    } else if spec["completions"] != was["completions"] && spec["completions"] != spec["parallelism"] {
        let detail = "can only be modified in tandem with spec.parallelism";
        invalid(errors, &path.child("completions"), &spec["completions"], detail);
    }
    immutable(errors, &path.child("selector"), &spec["selector"], &was["selector"]);
    template_change(old, spec, was, &path.child("template"), errors);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(errors, &path.child(field), &spec[field], &was[field]);
    }
}

/// A job that is suspended, and has no pods any more, may be sent elsewhere and be given other amounts of resources. One of
/// which nobody has said anything yet has no pods: with Kubernetes' controllers its status would say so at once.
fn template_change(old: &Object, spec: &Value, was: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let (mut new, mut before) = (spec["template"].clone(), was["template"].clone());
    let status = field(old, "status");
    let unseen = !is_set(&status["startTime"]) && list(&status["conditions"]).is_empty();
    let is_suspended = unseen || condition_is_true(&status["conditions"], "Suspended");
    if !(flag(&was["suspend"]) && is_suspended && int(&status["active"]) == 0) {
        return immutable(errors, path, &new, &before);
    }
    for template in [&mut new, &mut before] {
        forget_place(template);
    }
    forget_amounts(&mut new["spec"], &mut before["spec"]);
    if new["spec"] != before["spec"] {
        invalid(errors, &path.child("spec"), &spec["template"]["spec"], IMMUTABLE);
    }
}

/// Drops what says where pods are to run.
fn forget_place(template: &mut Value) {
    let Value::Object(template) = template else { return };
    let Some(pod) = child(template, "spec") else { return };
    pod.retain(|field, _| !["nodeSelector", "tolerations", "schedulingGates"].contains(&field.as_str()));
    let empty = child(pod, "affinity").is_some_and(|affinity| {
        affinity.remove("nodeAffinity");
        affinity.is_empty()
    });
    if empty {
        pod.remove("affinity");
    }
}

/// Drops the amounts of resources of containers that have the same name and place in both.
fn forget_amounts(new: &mut Value, before: &mut Value) {
    for part in ["containers", "initContainers"] {
        let (Some(Value::Array(new)), Some(Value::Array(before))) = (new.get_mut(part), before.get_mut(part)) else {
            continue;
        };
        if new.len() != before.len() {
            continue;
        }
        for (new, before) in new.iter_mut().zip(before).filter(|(new, before)| new["name"] == before["name"]) {
            for container in [new, before] {
                container.as_object_mut().map(|container| container.remove("resources"));
            }
        }
    }
}

/// No pod is named twice among those that are not counted yet.
fn uncounted(errors: &mut FieldErrors, pods: &Value, path: &FieldPath) {
    let mut seen = BTreeSet::new();
    for part in ["succeeded", "failed"] {
        for (index, uid) in strings(&pods[part]).into_iter().enumerate() {
            let path = path.child(part).index(index);
            if uid.is_empty() {
                invalid(errors, &path, &uid.into(), "must not be empty");
            } else if !seen.insert(uid) {
                errors.push(FieldError::duplicate(&path, &uid.into()));
            }
        }
    }
}

fn validate_status_update(job: &Object, old: &Object, errors: &mut FieldErrors) {
    let (status, was, path) = (field(job, "status"), field(old, "status"), path("status"));
    counts(errors, status, &path, &["active", "succeeded", "failed", "ready", "terminating"]);
    uncounted(errors, &status["uncountedTerminatedPods"], &path.child("uncountedTerminatedPods"));
    let has = |status: &Value, kind: &str| condition_is_true(&status["conditions"], kind);
    let mut wrong = |field: &str, detail: &str| {
        let fault = FieldError::invalid(&path.child(field), &Value::Null, detail);
        errors.push(FieldError { value: None, ..fault });
    };
    if has(status, "Complete") && has(status, "Failed") {
        wrong("conditions", "cannot set Complete=True and Failed=true conditions");
    }
    if has(status, "Complete") && has(status, "FailureTarget") {
        wrong("conditions", "cannot set Complete=True and FailureTarget=true conditions");
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if has(was, kind) && !has(status, kind) {
            wrong("conditions", &format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    let completed = &status["completionTime"];
    if is_set(completed) && !has(status, "Complete") {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        invalid(errors, &path.child("completionTime"), completed, detail);
    }
    if !is_set(completed) && has(status, "Complete") {
        required(errors, &path.child("completionTime"), "completionTime is required for Complete jobs");
    }
    if is_set(completed) && is_set(&status["startTime"]) && text(completed) < text(&status["startTime"]) {
        let detail = "must be equal to or after `startTime`";
        invalid(errors, &path.child("completionTime"), completed, detail);
    }
    if has(status, "Complete") && int(&status["active"]) > 0 {
        let detail = "active>0 is invalid for finished job";
        invalid(errors, &path.child("active"), &status["active"], detail);
    }
    let changes = ["ready", "active"].iter().any(|count| status[*count] != was[*count]);
    if changes && int(&status["ready"]) > int(&status["active"]) {
        invalid(errors, &path.child("ready"), &status["ready"], "cannot set more ready pods than active");
    }
    for count in ["failed", "succeeded"] {
        if int(&status[count]) < int(&was[count]) {
            let detail = format!("cannot decrease the {count} counter");
            invalid(errors, &path.child(count), &int(&status[count]).into(), detail);
        }
    }
    if is_set(completed) && is_set(&was["completionTime"]) && *completed != was["completionTime"] {
        invalid(errors, &path.child("completionTime"), completed, IMMUTABLE);
    }
    if is_set(&was["startTime"]) && status["startTime"] != was["startTime"] && !flag(&field(job, "spec")["suspend"]) {
        let detail = "field is immutable for unsuspended job once set";
        invalid(errors, &path.child("startTime"), &status["startTime"], detail);
    }
}

fn warnings(job: &Object, old: Option<&Object>) -> Vec<String> {
    let mut warnings = pods_warnings(job, old, "spec.template");
    if old.is_none_or(|old| field(old, "spec") != field(job, "spec")) {
        let about_size = too_big(field(job, "spec"), "spec");
        warnings.splice(0..0, about_size);
    }
    warnings
}

/// A warning about a job with so many parts that not all of them can be followed.
pub(super) fn too_big(spec: &Value, path: &str) -> Option<String> {
    const MAX_COMPLETIONS: i64 = 100_000;
    const MAX_PARALLEL: i64 = 10_000;
    const WHY: &str = "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail";
    let big = int(&spec["completions"]) > MAX_COMPLETIONS && int(&spec["parallelism"]) > MAX_PARALLEL;
    (big && spec["completionMode"] == "Indexed").then(|| format!("{path}: {WHY}"))
}
