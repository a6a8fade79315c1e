//! CronJobs: jobs at set times.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{NONE, age, containers, go_bool, selector, since, text_or};
use crate::resources::read::{field, size, text};

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
    cells,
    type_defaults: &[("batch.v1.CronJobSpec", spec_defaults)],
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
