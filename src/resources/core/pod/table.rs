//! The row of a pod: what `kubectl get pods` shows.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::resources::printing::{NONE, age, since, text_or};
use crate::resources::read::{condition, condition_is_true, field, flag, int, is_set, list, text};

/// What the containers of a pod come to.
#[derive(Default)]
struct Summary<'a> {
    restarts: i64,
    last_restart: &'a str,
    ready: usize,
    reason: String,
}

pub(super) fn cells(pod: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(pod, "spec"), field(pod, "status"));
    let restartable = list(&spec["initContainers"]).iter().filter(|c| is_restartable(c)).count();
    let total = list(&spec["containers"]).len() + restartable;
    let summary = summarize(pod, spec, status);
    let restarts = match summary.last_restart {
        time if summary.restarts != 0 && !time.is_empty() => format!("{} ({} ago)", summary.restarts, since(time, now)),
        _ => summary.restarts.to_string(),
    };
    vec![
        format!("{}/{total}", summary.ready).into(),
        summary.reason.into(),
        restarts.into(),
        age(pod, now),
        text_or(&status["podIPs"][0]["ip"], NONE),
        text_or(&spec["nodeName"], NONE),
        text_or(&status["nominatedNodeName"], NONE),
        readiness_gates(spec, status),
    ]
}

/// That a pod is done, and how it went.
pub(super) fn conditions(pod: &Object) -> Vec<Value> {
    let (reason, message) = match text(&field(pod, "status")["phase"]) {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}

fn is_restartable(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn summarize<'a>(pod: &Object, spec: &'a Value, status: &'a Value) -> Summary<'a> {
    let phase = text(&status["phase"]);
    let mut summary = Summary { reason: phase.to_owned(), ..Summary::default() };
    if !text(&status["reason"]).is_empty() {
        summary.reason = text(&status["reason"]).to_owned();
    }
    if condition(&status["conditions"], "PodScheduled").is_some_and(|c| c["reason"] == "SchedulingGated") {
        summary.reason = "SchedulingGated".to_owned();
    }
    let mut of_restartable = Summary::default();
    let initializing = summarize_init(spec, status, &mut summary, &mut of_restartable);
    if !initializing || condition_is_true(&status["conditions"], "Initialized") {
        summary.restarts = of_restartable.restarts;
        summary.last_restart = of_restartable.last_restart;
        summarize_main(status, &mut summary);
    }
    if pod.deletion_timestamp().is_some() {
        if text(&status["reason"]) == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.reason = "Terminating".to_owned();
        }
    }
    summary
}

/// Goes through the init containers up to the first that is not done; tells whether there is one.
fn summarize_init<'a>(
    spec: &'a Value,
    status: &'a Value,
    summary: &mut Summary<'a>,
    of_restartable: &mut Summary<'a>,
) -> bool {
    let specs = list(&spec["initContainers"]);
    for (index, container) in list(&status["initContainerStatuses"]).iter().enumerate() {
        let restartable = specs.iter().any(|s| s["name"] == container["name"] && is_restartable(s));
        count_restarts(container, summary);
        if restartable {
            count_restarts(container, of_restartable);
        }
        let (terminated, waiting) = (&container["state"]["terminated"], &container["state"]["waiting"]);
        if is_set(terminated) && int(&terminated["exitCode"]) == 0 {
            continue;
        }
        if restartable && flag(&container["started"]) {
            if flag(&container["ready"]) {
                summary.ready += 1;
            }
            continue;
        }
        let waits_for = text(&waiting["reason"]);
        summary.reason = if is_set(terminated) {
            format!("Init:{}", end_of(terminated))
        } else if !waits_for.is_empty() && waits_for != "PodInitializing" {
            format!("Init:{waits_for}")
        } else {
            format!("Init:{index}/{}", specs.len())
        };
        return true;
    }
    false
}

fn summarize_main<'a>(status: &'a Value, summary: &mut Summary<'a>) {
    let mut has_running = false;
    let mut error = String::new();
    for container in list(&status["containerStatuses"]).iter().rev() {
        count_restarts(container, summary);
        let state = &container["state"];
        if !text(&state["waiting"]["reason"]).is_empty() {
            summary.reason = text(&state["waiting"]["reason"]).to_owned();
        } else if is_set(&state["terminated"]) {
            summary.reason = end_of(&state["terminated"]);
            if int(&state["terminated"]["exitCode"]) != 0 {
                error.clone_from(&summary.reason);
            }
        } else if flag(&container["ready"]) && is_set(&state["running"]) {
            has_running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        if has_running && condition_is_true(&status["conditions"], "Ready") {
            summary.reason = "Running".to_owned();
        } else if !error.is_empty() {
            summary.reason = error;
        } else if has_running {
            summary.reason = "NotReady".to_owned();
        }
    }
}

fn count_restarts<'a>(container: &'a Value, summary: &mut Summary<'a>) {
    summary.restarts += int(&container["restartCount"]);
    let finished = text(&container["lastState"]["terminated"]["finishedAt"]);
    // Times are written in UTC with whole seconds, so they sort as texts.
    if finished > summary.last_restart {
        summary.last_restart = finished;
    }
}

/// Why a container ended, in one word.
fn end_of(terminated: &Value) -> String {
    match (text(&terminated["reason"]), int(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", int(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn readiness_gates(spec: &Value, status: &Value) -> Value {
    let gates = list(&spec["readinessGates"]);
    if gates.is_empty() {
        return NONE.into();
    }
    let met = gates.iter().filter(|g| condition_is_true(&status["conditions"], text(&g["conditionType"]))).count();
    format!("{met}/{}", gates.len()).into()
}
