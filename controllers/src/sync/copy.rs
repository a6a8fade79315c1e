//! One object and its copy: made, kept equal, and taken away; and its status brought back.
//!
//! An object is held before it is copied, so that its deletion cannot go unseen; a copy that is not ours is never touched.

use std::sync::atomic::Ordering;

use atoll_api::Object;
use serde_json::Value;

use super::down::{desired, desired_namespace, fingerprint, has_metadata, surplus};
use super::kinds::{StatusFlow, SyncedKind};
use super::marks::{Hold, Marks, downstream_namespace, hold_patch, is_held};
use super::worker::{Sent, Work, Worker};
use super::{About, MANAGER, NamespaceKey, Placed, Sync, locked, up};
use crate::cluster_api::{Answer, Deletion, Endpoint, Failure, Force, Shape, optional};
use crate::namespaces::NAMESPACES;
use crate::queue::Next;

/// An object and where its copy belongs.
struct Pair<'a> {
    work: &'a Work,
    kind: &'static SyncedKind,
    /// The logical cluster.
    cluster: Endpoint,
    /// The path of the object there.
    path: String,
    /// The downstream namespace.
    namespace: String,
    /// The path of the copy.
    copy_path: String,
    key: &'a NamespaceKey,
}

/// What stands in the copy's place.
enum Found {
    /// Nothing.
    Nothing,
    /// The copy.
    Copy(Object),
    /// The copy of an object of the same name that is gone.
    Predecessor(Object),
    /// Something that sync did not make.
    Foreign,
}

impl Worker {
    /// Brings one object and its copy together.
    pub(super) async fn look_at_object(
        &self,
        sync: &Sync,
        work: &Work,
        key: &NamespaceKey,
        kind: &'static SyncedKind,
        name: &str,
    ) -> Answer<Next> {
        let Some(placed) = self.placed_here(sync, key) else { return Ok(Next::Done) };
        if !self.ready.load(Ordering::Relaxed) {
            return Ok(Next::Done);
        }
        let namespace = downstream_namespace(&key.cluster, &key.name, &placed.uid);
        let pair = Pair {
            work,
            kind,
            cluster: sync.server.cluster(&key.cluster),
            path: kind.resource.object(&key.name, name),
            copy_path: kind.resource.object(&namespace, name),
            namespace,
            key,
        };
        match pair.cluster.get(&pair.path, Shape::Full).await {
            Err(Failure::Absent | Failure::NoCluster) => self.follow_deletion(&pair, name).await,
            Err(Failure::NotServed) => Ok(Next::Done),
            Err(failure) => Err(failure),
            Ok(object) if object.deletion_timestamp().is_some() || !kind.is_wanted(&object) => {
                self.withdraw(&pair, &object).await
            }
            Ok(object) if placed.deleting => {
                tracing::trace!(name = object.name(), "its namespace is going; no copy is made any more");
                Ok(Next::Done)
            }
            Ok(object) => self.push(sync, &pair, &placed, object).await,
        }
    }

    /// An object that is not there: its copy goes only if its deletion was seen.
    async fn follow_deletion(&self, pair: &Pair<'_>, name: &str) -> Answer<Next> {
        let Some(uid) = locked(&self.deleted).get(pair.work).cloned() else { return Ok(Next::Done) };
        let source = Marks {
            target: self.target.clone(),
            cluster: pair.key.cluster.clone(),
            namespace: pair.key.name.clone(),
            name: name.to_owned(),
            uid,
            generation: 0,
        };
        if !self.remove_copy(pair, &source).await? {
            return Ok(Next::Waiting);
        }
        locked(&self.deleted).remove(pair.work);
        Ok(Next::Done)
    }

    /// An object that is being deleted, or is not to go down: its copy goes, then it is let go.
    async fn withdraw(&self, pair: &Pair<'_>, object: &Object) -> Answer<Next> {
        if !is_held(object) {
            return Ok(Next::Done);
        }
        let source = Marks::of(&self.target, &pair.key.cluster, object);
        if !self.remove_copy(pair, &source).await? {
            return Ok(Next::Waiting);
        }
        match pair.cluster.merge(&pair.path, &hold_patch(object, Hold::Release), MANAGER).await {
            Ok(_) | Err(Failure::Absent | Failure::NoCluster) => Ok(Next::Done),
            Err(failure) => Err(failure),
        }
    }

    /// Deletes the copy of this very object; whether it is gone.
    async fn remove_copy(&self, pair: &Pair<'_>, source: &Marks) -> Answer<bool> {
        locked(&self.sent).remove(pair.work);
        for attempt in 0..2 {
            let found = optional(self.endpoint.get(&pair.copy_path, Shape::Metadata).await)?;
            let ours = found.filter(|found| Marks::read(found).is_some_and(|marks| marks.same_source(source)));
            let Some(copy) = ours else { return Ok(true) };
            if copy.deletion_timestamp().is_none() && attempt == 0 {
                self.delete(&pair.copy_path, &copy).await?;
            }
        }
        Ok(false)
    }

    async fn delete(&self, path: &str, copy: &Object) -> Answer<()> {
        let options = Deletion::with_policy("Background").of_uid(copy.uid());
        match self.endpoint.delete(path, &options).await {
            Ok(()) | Err(Failure::Absent) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Makes the copy equal, and brings its status back.
    async fn push(&self, sync: &Sync, pair: &Pair<'_>, placed: &Placed, mut object: Object) -> Answer<Next> {
        if !is_held(&object) {
            object = pair.cluster.merge(&pair.path, &hold_patch(&object, Hold::Take), MANAGER).await?;
        }
        if !self.make_namespace(sync, pair.key, placed).await? {
            return Ok(Next::Waiting);
        }
        let source = Marks::of(&self.target, &pair.key.cluster, &object);
        let copy = match self.find(pair, &source).await? {
            Found::Foreign => {
                let message = format!(
                    "there is a {} {} on the physical cluster that is not of this control plane; it is left as it is",
                    pair.kind.kind, pair.copy_path
                );
                sync.tell(&pair.cluster, &about(pair, &object), "SyncCollision", &message).await;
                return Ok(Next::Waiting);
            }
            Found::Predecessor(copy) => {
                if copy.deletion_timestamp().is_none() {
                    self.delete(&pair.copy_path, &copy).await?;
                }
                return Ok(Next::Waiting);
            }
            Found::Copy(copy) if copy.deletion_timestamp().is_some() => return Ok(Next::Waiting),
            Found::Copy(copy) => Some(copy),
            Found::Nothing => None,
        };
        let wanted = desired(pair.kind, &object, &source, &pair.namespace);
        let (copy, sent) = match self.make_equal(pair, copy, &wanted).await {
            Ok(made) => made,
            Err(Failure::Refused(status)) => {
                let message = format!("the physical cluster refused it: {}", status.message);
                sync.tell(&pair.cluster, &about(pair, &object), "SyncRefused", &message).await;
                return Ok(Next::Waiting);
            }
            // The namespace went away under it.
            Err(Failure::Absent) => {
                locked(&self.made).remove(&pair.namespace);
                return Ok(Next::Waiting);
            }
            Err(failure) => return Err(failure),
        };
        self.bring_back(pair, object, &copy, sent).await
    }

    async fn find(&self, pair: &Pair<'_>, source: &Marks) -> Answer<Found> {
        let found = optional(self.endpoint.get(&pair.copy_path, Shape::Full).await)?;
        Ok(match found {
            None => Found::Nothing,
            Some(found) => match Marks::read(&found) {
                Some(marks) if marks.same_source(source) => Found::Copy(found),
                Some(marks) if marks.same_name(source) => Found::Predecessor(found),
                _ => Found::Foreign,
            },
        })
    }

    /// Applies what is wanted unless the copy is known to have it; gives the copy and the generation it has it since.
    async fn make_equal(&self, pair: &Pair<'_>, copy: Option<Object>, wanted: &Value) -> Answer<(Object, i64)> {
        let fingerprint = fingerprint(wanted);
        let last = locked(&self.sent).get(pair.work).cloned();
        let force = if copy.is_some() { Force::Yes } else { Force::No };
        if let (Some(copy), Some(last)) = (copy, last)
            && last.fingerprint == fingerprint
            && last.uid == copy.uid()
            && is_untouched(pair.kind, &copy, &last, wanted)
        {
            return Ok((copy, last.generation));
        }
        let mut applied = self.endpoint.apply(&pair.copy_path, wanted, MANAGER, force).await?;
        if let Some(patch) = surplus(pair.kind, &applied, wanted) {
            applied = self.endpoint.merge(&pair.copy_path, &patch, MANAGER).await?;
        }
        let sent = Sent {
            fingerprint,
            uid: applied.uid().to_owned(),
            version: applied.resource_version().to_owned(),
            generation: applied.generation(),
        };
        locked(&self.sent).insert(pair.work.clone(), sent);
        let generation = applied.generation();
        Ok((applied, generation))
    }

    /// Writes the copy's status to the object, if it says something new.
    async fn bring_back(&self, pair: &Pair<'_>, mut object: Object, copy: &Object, sent: i64) -> Answer<Next> {
        let Some(status) = up::status(pair.kind.status, copy, sent) else { return Ok(Next::Done) };
        if object.get("status") == Some(&status) {
            return Ok(Next::Done);
        }
        object.0.insert("status".into(), status);
        match pair.cluster.replace(&format!("{}/status", pair.path), &Value::Object(object.0), MANAGER).await {
            Ok(_) | Err(Failure::Absent | Failure::NoCluster) => Ok(Next::Done),
            Err(failure) => Err(failure),
        }
    }

    /// Sees to it that the downstream namespace is there and ours; whether it is.
    pub(super) async fn make_namespace(&self, sync: &Sync, key: &NamespaceKey, placed: &Placed) -> Answer<bool> {
        let name = downstream_namespace(&key.cluster, &key.name, &placed.uid);
        if locked(&self.made).contains(&name) {
            return Ok(true);
        }
        let marks = Marks {
            target: self.target.clone(),
            cluster: key.cluster.clone(),
            namespace: String::new(),
            name: key.name.clone(),
            uid: placed.uid.clone(),
            generation: 0,
        };
        let path = NAMESPACES.object("", &name);
        let found = match optional(self.endpoint.get(&path, Shape::Metadata).await)? {
            Some(found) => found,
            None => {
                let namespace = desired_namespace(&name, &marks, &self.namespace_labels());
                match self.endpoint.create(&NAMESPACES.collection(""), &namespace, MANAGER).await {
                    Ok(made) => made,
                    Err(Failure::AlreadyExists) => self.endpoint.get(&path, Shape::Metadata).await?,
                    Err(failure) => return Err(failure),
                }
            }
        };
        if found.deletion_timestamp().is_some() {
            return Ok(false);
        }
        if !Marks::read(&found).is_some_and(|found| found.same_source(&marks)) {
            let about =
                About { api_version: "v1", kind: "Namespace", namespace: &key.name, name: &key.name, uid: &placed.uid };
            let message = format!("the namespace {name} on the physical cluster is not of this control plane");
            sync.tell(&sync.server.cluster(&key.cluster), &about, "SyncCollision", &message).await;
            return Ok(false);
        }
        locked(&self.made).insert(name);
        Ok(true)
    }
}

/// Whether nobody has changed what was sent. Kinds with a generation change their version with each status, so the
/// generation and the metadata tell.
fn is_untouched(kind: &SyncedKind, copy: &Object, last: &Sent, wanted: &Value) -> bool {
    match kind.status {
        StatusFlow::Observed => copy.generation() == last.generation && has_metadata(copy, wanted),
        StatusFlow::None | StatusFlow::Verbatim => copy.resource_version() == last.version,
    }
}

fn about<'a>(pair: &Pair<'a>, object: &'a Object) -> About<'a> {
    About {
        api_version: pair.kind.api_version,
        kind: pair.kind.kind,
        namespace: object.namespace(),
        name: object.name(),
        uid: object.uid(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kinds::KINDS;
    use super::*;

    fn copy(version: &str, generation: i64, labels: Value) -> Object {
        let metadata = json!({"resourceVersion": version, "generation": generation, "labels": labels});
        Object::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn sent(version: &str, generation: i64) -> Sent {
        Sent { fingerprint: [0; 32], uid: String::new(), version: version.to_owned(), generation }
    }

    #[test]
    fn a_status_is_no_drift_but_a_changed_spec_or_a_lost_label_is() {
        let kind = KINDS.iter().find(|kind| kind.kind == "Deployment").unwrap();
        let wanted = json!({"metadata": {"labels": {"a": "1"}}});
        assert!(is_untouched(kind, &copy("9", 2, json!({"a": "1"})), &sent("5", 2), &wanted));
        assert!(!is_untouched(kind, &copy("9", 3, json!({"a": "1"})), &sent("5", 2), &wanted));
        assert!(!is_untouched(kind, &copy("9", 2, json!({})), &sent("5", 2), &wanted));
    }

    #[test]
    fn any_change_of_a_kind_without_generations_may_be_drift() {
        let kind = KINDS.iter().find(|kind| kind.kind == "ConfigMap").unwrap();
        let wanted = json!({"metadata": {}});
        assert!(is_untouched(kind, &copy("5", 0, json!({})), &sent("5", 0), &wanted));
        assert!(!is_untouched(kind, &copy("6", 0, json!({})), &sent("5", 0), &wanted));
    }
}
