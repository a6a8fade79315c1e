//! Sync targets: connects to physical clusters, tells whether they answer, and lets go of those that are unregistered.
//!
//! Unregistering empties a target if it can be reached; after a bounded time it is given up, and that is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atoll_api::Object;
use atoll_api::selector::LabelSelector;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::connection::{self, DEFAULT_KEY};
use super::marks::{Hold, OWNER_LABEL, hold_patch, is_held};
use super::placement::TargetView;
use super::worker::{self, Worker};
use super::{About, MANAGER, Sync, TargetKey, locked};
use crate::cluster_api::{Answer, Endpoint, Failure, Resource, Selection, Shape, optional};
use crate::conditions::{self, Condition};
use crate::namespaces::NAMESPACES;
use crate::queue::Next;
use crate::source::{Seen, Source};

/// Sync targets, as URLs name them.
pub(super) const SYNC_TARGETS: Resource<'static> =
    Resource { api: "/apis/workload.atoll.dev/v1alpha1", plural: "synctargets" };
const SECRETS: Resource<'static> = Resource { api: "/api/v1", plural: "secrets" };

/// How often a target that does not answer, or is being left, is looked at.
const SOON: Duration = Duration::from_secs(2);

/// Whether a target can be worked with, and what is told of it.
struct Health {
    ready: bool,
    reason: &'static str,
    message: String,
    version: Option<String>,
}

/// Follows sync targets until told to stop.
pub(super) async fn follow(sync: &Sync, stop: &CancellationToken) {
    let source = Source {
        endpoint: sync.root.clone(),
        path: SYNC_TARGETS.collection(""),
        shape: Shape::Full,
        selection: Selection::all(),
    };
    let mut last_specs = std::collections::HashMap::new();
    let follow = source.run(stop, |seen| match seen {
        Seen::Here(target) => {
            // Its own heartbeat must not make the target's heart beat faster.
            let seen_now = (target.generation(), target.deletion_timestamp().is_some(), target.uid().to_owned());
            if last_specs.insert(target.name().to_owned(), seen_now.clone()).as_ref() != Some(&seen_now) {
                sync.targets.add(TargetKey(target.name().to_owned()));
            }
        }
        Seen::Gone(target) => {
            last_specs.remove(target.name());
            sync.targets.add(TargetKey(target.name().to_owned()));
        }
        Seen::Listing => last_specs.clear(),
        Seen::Listed => {
            for name in locked(&sync.views).keys() {
                sync.targets.add(TargetKey(name.clone()));
            }
        }
    });
    follow.await;
}

/// Looks at one target: connects, asks, tells.
pub(super) async fn look_at(sync: &Arc<Sync>, key: TargetKey) -> Answer<Next> {
    let path = SYNC_TARGETS.object("", &key.0);
    let found = match optional(sync.root.get(&path, Shape::Full).await) {
        Err(Failure::NotServed) => return Ok(Next::Done),
        other => other?,
    };
    let known = locked(&sync.views).get(&key.0).cloned();
    if let Some(known) = known.filter(|known| found.as_ref().is_none_or(|found| found.uid() != known.uid)) {
        forget(sync, &known);
    }
    let Some(mut target) = found else { return Ok(Next::Done) };
    let leaving = target.deletion_timestamp().is_some();
    if leaving && !is_held(&target) {
        return Ok(Next::Done);
    }
    if !leaving && !is_held(&target) {
        target = sync.root.merge(&path, &hold_patch(&target, Hold::Take), MANAGER).await?;
    }
    let health = connect(sync, &target).await?;
    show(sync, &target, &health);
    let next = if leaving { leave(sync, &path, &mut target, &health).await? } else { None };
    if let Some(next) = next {
        return Ok(next);
    }
    tell(sync, &path, target, &health).await?;
    let pause = if health.ready && !leaving { sync.settings.heartbeat } else { SOON.min(sync.settings.heartbeat) };
    Ok(Next::After(pause))
}

/// Ends the work with a target that is there no more.
fn forget(sync: &Sync, view: &TargetView) {
    locked(&sync.views).remove(&view.name);
    if let Some(worker) = locked(&sync.workers).remove(&view.uid) {
        worker.stop.cancel();
    }
    sync.target_changed(&view.uid);
}

/// Sees to it that a worker works with the target, if it answers.
async fn connect(sync: &Arc<Sync>, target: &Object) -> Answer<Health> {
    let reference = |field: &str| target.text_at(&["spec", "kubeconfig", field]).to_owned();
    let (namespace, name) = (reference("namespace"), reference("name"));
    let key = Some(reference("key")).filter(|key| !key.is_empty()).unwrap_or_else(|| DEFAULT_KEY.to_owned());
    let secret = match optional(sync.root.get(&SECRETS.object(&namespace, &name), Shape::Full).await)? {
        Some(secret) => secret,
        None => {
            let message = format!("there is no secret {name:?} in the namespace {namespace:?}");
            return Ok(Health::not_ready("KubeconfigMissing", message));
        }
    };
    let fingerprint = format!("{}/{}/{key}", secret.uid(), secret.resource_version());
    let mut worker = sync.worker(target.uid());
    if worker.as_ref().is_none_or(|worker| worker.fingerprint != fingerprint) {
        let client = match connection::client(&secret, &key).await {
            Ok(client) => client,
            Err(error) => return Ok(Health::not_ready("KubeconfigInvalid", error.to_string())),
        };
        if let Some(old) = locked(&sync.workers).remove(target.uid()) {
            old.stop.cancel();
        }
        let new = Arc::new(Worker::new(target, fingerprint, Endpoint::of_client(client), &sync.stop));
        locked(&sync.workers).insert(target.uid().to_owned(), new.clone());
        sync.tasks.spawn(worker::run(sync.clone(), new.clone()));
        worker = Some(new);
    }
    let Some(worker) = worker else { return Ok(Health::not_ready("KubeconfigInvalid", String::new())) };
    worker.set_namespace_labels(target);
    let health = ask(&worker.endpoint).await;
    if health.ready && !worker.ready.swap(true, Ordering::Relaxed) {
        worker.resume(sync);
    } else if !health.ready {
        worker.ready.store(false, Ordering::Relaxed);
    }
    Ok(health)
}

/// Asks a physical cluster something that needs its API and our rights there.
async fn ask(endpoint: &Endpoint) -> Health {
    let selection = Selection::labels(format!("{OWNER_LABEL}=none"));
    match endpoint.page(&NAMESPACES.collection(""), Shape::Metadata, &selection, "").await {
        Ok(_) => {}
        Err(Failure::Refused(status)) => {
            return Health::not_ready("Forbidden", format!("namespaces cannot be listed: {}", status.message));
        }
        Err(failure) => return Health::not_ready("Unreachable", failure.chain()),
    }
    let version = endpoint.document("/version", "application/json").await.ok();
    let version = version.and_then(|version| version["gitVersion"].as_str().map(str::to_owned));
    let message = match &version {
        Some(version) => format!("Kubernetes {version} answers"),
        None => "the cluster answers".to_owned(),
    };
    Health { ready: true, reason: "Answers", message, version }
}

impl Health {
    fn not_ready(reason: &'static str, message: String) -> Self {
        Self { ready: false, reason, message, version: None }
    }
}

/// Shows the target to placement, and has namespaces looked at if that changes something for them.
fn show(sync: &Sync, target: &Object, health: &Health) {
    let selector = target.at(&["spec", "selector"]).map(LabelSelector::from_object);
    let mut views = locked(&sync.views);
    let old = views.get(target.name()).cloned();
    let view = TargetView {
        name: target.name().to_owned(),
        uid: target.uid().to_owned(),
        ready: health.ready,
        schedulable: target.at(&["spec", "unschedulable"]) != Some(&Value::Bool(true)),
        leaving: target.deletion_timestamp().is_some(),
        abandoned: old.as_ref().is_some_and(|old| old.abandoned),
        // A selector that cannot be read selects nothing, so that a slip does not open a target to all.
        selector: match selector {
            None => LabelSelector::everything(),
            Some(selector) => selector.unwrap_or_else(|_| LabelSelector::nothing()),
        },
    };
    if old.as_ref() == Some(&view) {
        return;
    }
    views.insert(view.name.clone(), view);
    drop(views);
    sync.target_changed(target.uid());
}

/// Unregisters a target: done when no namespace is on it, or when it has taken too long.
async fn leave(sync: &Sync, path: &str, target: &mut Object, health: &Health) -> Answer<Option<Next>> {
    if !sync.complete.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let uid = target.uid().to_owned();
    let on_it: Vec<String> = {
        let placed = sync.placed();
        let is_on_it =
            |placed: &super::Placed| placed.current.iter().chain(&placed.vacating).any(|assigned| assigned.uid == uid);
        placed.iter().filter(|(_, placed)| is_on_it(placed)).map(|(k, _)| format!("{}/{}", k.cluster, k.name)).collect()
    };
    let abandoned = locked(&sync.views).get(target.name()).is_some_and(|view| view.abandoned);
    if on_it.is_empty() {
        if !abandoned {
            tell_left(target, "True", "Vacated", "nothing is left on the target".to_owned());
        }
        let status = std::mem::take(target);
        let written = sync.root.replace(&format!("{path}/status"), &Value::Object(status.0), MANAGER).await?;
        sync.root.merge(path, &hold_patch(&written, Hold::Release), MANAGER).await?;
        return Ok(Some(Next::Done));
    }
    let begun = target.deletion_timestamp().and_then(|time| atoll_api::time::parse_time(time).ok());
    let since = begun.map_or(0, |begun| Timestamp::now().as_second() - begun.as_second());
    if !abandoned && since >= i64::try_from(sync.settings.patience.as_secs()).unwrap_or(i64::MAX) {
        let mut names = on_it.clone();
        names.sort();
        names.truncate(10);
        let why = if health.ready { "it could not be emptied in time" } else { "it does not answer" };
        let message = format!("given up: {why}; {} namespaces are left on it: {}", on_it.len(), names.join(", "));
        let about = About {
            api_version: "workload.atoll.dev/v1alpha1",
            kind: "SyncTarget",
            namespace: "",
            name: target.name(),
            uid: target.uid(),
        };
        sync.tell(&sync.root, &about, "Abandoned", &message).await;
        tracing::warn!(target = target.name(), message, "a sync target was given up");
        tell_left(target, "False", "Abandoned", message);
        if let Some(view) = locked(&sync.views).get_mut(target.name()) {
            view.abandoned = true;
        }
    } else if !abandoned {
        tell_left(target, "False", "Vacating", format!("{} namespaces are still on the target", on_it.len()));
    }
    sync.target_changed(&uid);
    Ok(None)
}

fn tell_left(target: &mut Object, status: &str, reason: &str, message: String) {
    let condition = Condition { kind: "Vacated", status, reason, message };
    conditions::set(target.map_mut("status"), &condition, Timestamp::now());
}

/// Writes the heartbeat.
async fn tell(sync: &Sync, path: &str, mut target: Object, health: &Health) -> Answer<()> {
    let now = Timestamp::now();
    let on_it = {
        let placed = sync.placed();
        placed.values().filter(|placed| placed.current.as_ref().is_some_and(|c| c.uid == target.uid())).count()
    };
    let status: &mut Map<String, Value> = target.map_mut("status");
    let ready = Condition {
        kind: "Ready",
        status: if health.ready { "True" } else { "False" },
        reason: health.reason,
        message: health.message.clone(),
    };
    conditions::set(status, &ready, now);
    status.insert("namespaces".into(), on_it.into());
    if let Some(version) = &health.version {
        status.insert("kubernetesVersion".into(), version.as_str().into());
    }
    if health.ready {
        status.insert("lastHeartbeatTime".into(), atoll_api::time::format_time(now).into());
    }
    match sync.root.replace(&format!("{path}/status"), &Value::Object(target.0), MANAGER).await {
        Ok(_) | Err(Failure::Absent) => Ok(()),
        Err(failure) => Err(failure),
    }
}
