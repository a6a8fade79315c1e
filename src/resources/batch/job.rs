//! Jobs: pods that run until they are done.

use atoll_api::Object;
use atoll_api::time::format_time;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::{child, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, by_path, column, wide};
use crate::resources::printing::{age, between, containers, selector};
use crate::resources::read::{condition_is_true, entry, field, int, is_set, size, text};

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
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners { orphans_by_default: true, ..Manners::USUAL },
    cells,
    selectable: |object, path| match path {
        "status.successful" => Some(int(&field(object, "status")["succeeded"]).to_string()),
        other => by_path(object, other),
    },
    type_defaults: &[
        ("batch.v1.Job", job_defaults),
        ("batch.v1.PodFailurePolicyOnPodConditionsPattern", |pattern| set(pattern, "status", "True")),
    ],
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
