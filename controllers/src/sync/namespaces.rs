//! Where namespaces run, as recorded on them: assigns, moves and releases them, and holds them while anything of them is
//! left downstream.
//!
//! Both where a namespace runs and where it ran are written in one step, so a crash forgets neither.

use std::collections::BTreeMap;
use std::time::Duration;

use atoll_api::Object;
use serde_json::{Value, json};

use super::kinds::KINDS;
use super::marks::{Assigned, Hold, PLACEMENT, VACATING, hold_patch, is_held, placement, vacating};
use super::placement::{Decision, TargetView, Wish, decide, wish};
use super::targets::SYNC_TARGETS;
use super::worker::Work;
use super::{About, MANAGER, NamespaceKey, Placed, Sync, TargetKey, locked};
use crate::cluster_api::{Answer, Endpoint, Failure, Selection, Shape, optional};
use crate::namespaces::NAMESPACES;
use crate::queue::Next;

/// How long after a change the status of a target follows.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// Whether a namespace is synced, was, or asks to be.
pub(super) fn is_concerned(namespace: &Object) -> bool {
    wish(namespace) != Wish::Stay
        || is_held(namespace)
        || namespace.annotation(PLACEMENT).is_some()
        || namespace.annotation(VACATING).is_some()
}

/// What a namespace records.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    current: Option<Assigned>,
    vacating: Vec<Assigned>,
    held: bool,
}

// === impl Record ===

impl Record {
    fn of(namespace: &Object) -> Self {
        Self { current: placement(namespace), vacating: vacating(namespace), held: is_held(namespace) }
    }

    /// Moves on to another target, or to none; what was left is to be vacated.
    fn go_to(&mut self, next: Option<Assigned>) {
        if let Some(left) = std::mem::replace(&mut self.current, next) {
            self.leave(left);
        }
        let current = self.current.clone();
        self.vacating.retain(|assigned| Some(assigned) != current.as_ref());
    }

    fn leave(&mut self, left: Assigned) {
        if !self.vacating.contains(&left) {
            self.vacating.push(left);
        }
    }

    /// A patch that makes the namespace say so; fails if it has changed meanwhile.
    fn patch(&self, namespace: &Object) -> Value {
        let mut patch = hold_patch(namespace, if self.held { Hold::Take } else { Hold::Release });
        let text = |value: Value| Value::String(value.to_string());
        patch["metadata"]["annotations"] = json!({
            PLACEMENT: self.current.as_ref().map(|current| text(json!(current))),
            VACATING: (!self.vacating.is_empty()).then(|| text(json!(self.vacating))),
        });
        patch
    }
}

impl Sync {
    /// Brings a namespace nearer to where it should run.
    pub(super) async fn place(&self, key: NamespaceKey) -> Answer<Next> {
        let cluster = self.server.cluster(&key.cluster);
        let found = optional(cluster.get(&NAMESPACES.object("", &key.name), Shape::Metadata).await);
        let namespace = match found {
            Ok(Some(namespace)) => namespace,
            // Its deletion is told by the watch, which knows where it ran.
            Ok(None) | Err(Failure::NoCluster) => return Ok(Next::Done),
            Err(failure) => return Err(failure),
        };
        let done = match namespace.deletion_timestamp() {
            Some(_) => self.end(&cluster, &key, &namespace).await,
            None => self.settle(&cluster, &key, &namespace).await,
        };
        match done {
            Err(failure) if failure.is_gone() => Ok(Next::Done),
            other => other,
        }
    }

    async fn settle(&self, cluster: &Endpoint, key: &NamespaceKey, namespace: &Object) -> Answer<Next> {
        // Known before targets are looked at: one that becomes ready from here on has it looked at again.
        self.placed().entry(key.clone()).or_insert_with(|| Placed {
            uid: namespace.uid().to_owned(),
            current: None,
            vacating: Vec::new(),
            deleting: false,
        });
        let recorded = Record::of(namespace);
        let mut record = recorded.clone();
        // Where it ran a moment ago, should somebody have taken the record off.
        let remembered = self.placed().get(key).filter(|placed| placed.uid == namespace.uid()).cloned();
        if let Some(known) = remembered.and_then(|placed| placed.current)
            && recorded.current.as_ref() != Some(&known)
        {
            record.leave(known);
        }
        let views = locked(&self.views).clone();
        if let Some(current) = &recorded.current
            && view_of(&views, current).is_none()
            && !self.is_unregistered(current).await?
        {
            // Nothing is known of its target yet, so nothing is decided; the target's first look brings this back.
            self.remember(key, namespace, &record);
            return Ok(Next::Done);
        }
        match decide(namespace, recorded.current.as_ref(), &views) {
            Decision::Keep => {}
            Decision::Assign(target) => record.go_to(Some(target)),
            Decision::Release => record.go_to(None),
            Decision::Wait(why) => self.tell(cluster, &about(namespace), "NotPlaced", &why).await,
        }
        record.vacating.retain(|assigned| Some(assigned) != record.current.as_ref());
        record.vacating = self.still_occupied(key, namespace, record.vacating, &views).await?;
        let runs = record.current.is_some() || !record.vacating.is_empty();
        if !runs && recorded.current.is_none() {
            release_objects(cluster, &key.name).await?;
        }
        record.held = runs || (recorded.held && recorded.current.is_some());
        if record != recorded {
            cluster.merge(&NAMESPACES.object("", &key.name), &record.patch(namespace), MANAGER).await?;
        }
        self.remember(key, namespace, &record);
        if !record.vacating.is_empty() || (!runs && record.held) {
            return Ok(Next::Waiting);
        }
        Ok(Next::Done)
    }

    /// A namespace that is being deleted is held until nothing of it is left downstream.
    async fn end(&self, cluster: &Endpoint, key: &NamespaceKey, namespace: &Object) -> Answer<Next> {
        let mut record = Record::of(namespace);
        if !record.held {
            // Somebody took the finalizer off; the watch will tell that it is gone, and this where it ran.
            self.remember(key, namespace, &record);
            return Ok(Next::Done);
        }
        let runs = record.current.iter().chain(&record.vacating).cloned().collect();
        self.remember(key, namespace, &record);
        let views = locked(&self.views).clone();
        record.vacating = self.still_occupied(key, namespace, runs, &views).await?;
        if !record.vacating.is_empty() {
            return Ok(Next::Waiting);
        }
        release_objects(cluster, &key.name).await?;
        cluster.merge(&NAMESPACES.object("", &key.name), &hold_patch(namespace, Hold::Release), MANAGER).await?;
        self.placed().remove(key);
        locked(&self.vacated).retain(|(uid, _)| uid != namespace.uid());
        Ok(Next::Done)
    }

    /// Has these targets vacated; gives those that are not yet.
    async fn still_occupied(
        &self,
        key: &NamespaceKey,
        namespace: &Object,
        assigned: Vec<Assigned>,
        views: &BTreeMap<String, TargetView>,
    ) -> Answer<Vec<Assigned>> {
        let mut occupied = Vec::new();
        for target in assigned {
            let fact = (namespace.uid().to_owned(), target.uid.clone());
            if locked(&self.vacated).contains(&fact) {
                continue;
            }
            let lost = match view_of(views, &target) {
                Some(view) => view.abandoned,
                None => self.is_unregistered(&target).await?,
            };
            if lost {
                let message = format!("what ran on sync target {:?} was left there: it is gone", target.target);
                self.tell(&self.server.cluster(&key.cluster), &about(namespace), "LeftBehind", &message).await;
                continue;
            }
            if let Some(worker) = self.worker(&target.uid) {
                worker.queue.add(Work::Vacate(key.clone(), namespace.uid().to_owned()));
            }
            occupied.push(target);
        }
        Ok(occupied)
    }

    /// Whether there is no such target any more, asked now.
    async fn is_unregistered(&self, target: &Assigned) -> Answer<bool> {
        let found = optional(self.root.get(&SYNC_TARGETS.object("", &target.target), Shape::Metadata).await)?;
        Ok(found.is_none_or(|found| found.uid() != target.uid))
    }

    /// Keeps in mind where a namespace runs, and has its objects looked at where it is new.
    fn remember(&self, key: &NamespaceKey, namespace: &Object, record: &Record) {
        let placed = Placed {
            uid: namespace.uid().to_owned(),
            current: record.current.clone(),
            vacating: record.vacating.clone(),
            deleting: namespace.deletion_timestamp().is_some(),
        };
        // What is known to be gone is of use until the record no longer asks for it.
        locked(&self.vacated).retain(|(uid, target)| {
            uid != namespace.uid() || placed.deleting || record.vacating.iter().any(|assigned| assigned.uid == *target)
        });
        if wish(namespace) == Wish::Stay && !record.held && record.current.is_none() {
            self.placed().remove(key);
            return;
        }
        let old = self.placed().insert(key.clone(), placed);
        // Targets tell how many namespaces they have; changes that come together are told together.
        let then = old.as_ref().and_then(|old| old.current.as_ref());
        if then != record.current.as_ref() {
            for assigned in then.iter().copied().chain(&record.current) {
                self.targets.add_after(TargetKey(assigned.target.clone()), TELL_AFTER);
            }
        }
        let Some(current) = &record.current else { return };
        self.needed.notify_one();
        if old.and_then(|old| old.current).as_ref() != Some(current)
            && let Some(worker) = self.worker(&current.uid)
        {
            worker.queue.add(Work::Namespace(key.clone()));
        }
    }
}

fn view_of<'a>(views: &'a BTreeMap<String, TargetView>, assigned: &Assigned) -> Option<&'a TargetView> {
    views.get(&assigned.target).filter(|view| view.uid == assigned.uid)
}

/// Lets go of the objects of a namespace that runs nowhere any more.
async fn release_objects(cluster: &Endpoint, namespace: &str) -> Answer<()> {
    for kind in &KINDS {
        let objects = match cluster.list(&kind.resource.collection(namespace), Shape::Metadata, &Selection::all()).await
        {
            Err(Failure::NotServed) => continue,
            other => other?,
        };
        for object in objects.iter().filter(|object| is_held(object)) {
            let path = kind.resource.object(namespace, object.name());
            match cluster.merge(&path, &hold_patch(object, Hold::Release), MANAGER).await {
                Ok(_) | Err(Failure::Absent) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(())
}

fn about(namespace: &Object) -> About<'_> {
    About {
        api_version: "v1",
        kind: "Namespace",
        namespace: namespace.name(),
        name: namespace.name(),
        uid: namespace.uid(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::FINALIZER;
    use super::*;

    fn on(name: &str) -> Assigned {
        Assigned { target: name.to_owned(), uid: format!("uid-{name}") }
    }

    #[test]
    fn a_move_and_what_it_leaves_are_one_write() {
        let mut record = Record { current: Some(on("a")), vacating: vec![on("b")], held: true };
        record.go_to(Some(on("b")));
        assert_eq!(record, Record { current: Some(on("b")), vacating: vec![on("a")], held: true });
        let patch = record.patch(&Object::default());
        assert_eq!(patch["metadata"]["annotations"][PLACEMENT], r#"{"target":"b","uid":"uid-b"}"#);
        assert_eq!(patch["metadata"]["annotations"][VACATING], r#"[{"target":"a","uid":"uid-a"}]"#);
        assert_eq!(patch["metadata"]["finalizers"], json!([FINALIZER]));
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_leaves_nothing_when_all_is_over() {
        let mut namespace = Object::default();
        let record = Record { current: Some(on("a")), vacating: vec![on("b")], held: true };
        let patch = record.patch(&namespace);
        for key in [PLACEMENT, VACATING] {
            namespace.set_annotation(key, patch["metadata"]["annotations"][key].as_str().unwrap());
        }
        namespace.set_finalizers(vec![FINALIZER.to_owned()]);
        assert_eq!(Record::of(&namespace), record);
        assert!(is_concerned(&namespace));
        let over = Record { current: None, vacating: Vec::new(), held: false }.patch(&namespace);
        assert_eq!(over["metadata"]["annotations"], json!({PLACEMENT: null, VACATING: null}));
        assert_eq!(over["metadata"]["finalizers"], Value::Null);
    }
}
