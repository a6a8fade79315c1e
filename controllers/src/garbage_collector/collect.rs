//! What is done about one object: deleted when its owners are, ended when its dependents are, or left alone.
//!
//! Decides by what the API answers now; the graph only tells whom to look at and who depends on them.

use std::collections::BTreeSet;

use atoll_api::Object;
use atoll_api::object::OwnerReference;
use serde_json::{Value, json};

use super::Collector;
use super::graph::{Dependent, Ending, FOREGROUND, NodeId, ORPHAN, Place, ending_of};
use crate::cluster_api::{Answer, Deletion, Endpoint, Failure, Resource, Shape, optional};
use crate::discovery;
use crate::queue::Next;

const MANAGER: &str = "garbage-collector";

/// How an owner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is there: its dependents stay.
    Solid,
    /// It is not there.
    Absent,
    /// It is being deleted and waits for its dependents.
    Waiting,
    /// Its cluster does not serve its kind, so nothing can be known of it now.
    Undefined,
    /// It can never be known: an object of the cluster names an owner in a namespace, and not which.
    Unknowable,
}

/// What is to be done about a dependent.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Keep,
    /// These owners are struck from its list.
    Release(BTreeSet<String>),
    /// It goes, its dependents first.
    DeleteForeground,
    /// It goes.
    Delete,
}

impl Collector {
    /// Looks at one object.
    pub(super) async fn examine(&self, id: NodeId) -> Answer<Next> {
        let Some(place) = self.graph().node(&id).map(|node| node.place.clone()) else { return Ok(Next::Done) };
        let cluster = self.server.cluster(&id.cluster);
        let mut done = self.examine_at(&cluster, &id, &place).await;
        if let Err(Failure::NotServed) = done
            && let Some(place) = self.moved(&cluster, &place).await?
        {
            done = self.examine_at(&cluster, &id, &place).await;
        }
        match done {
            Err(Failure::Absent | Failure::NoCluster | Failure::NotServed) => Ok(Next::Done),
            other => other,
        }
    }

    async fn examine_at(&self, cluster: &Endpoint, id: &NodeId, place: &Place) -> Answer<Next> {
        let Some(object) = optional(cluster.get(&place.path(), Shape::Metadata).await)? else { return Ok(Next::Done) };
        if object.uid() != &*id.uid {
            return Ok(Next::Done);
        }
        match ending_of(&object) {
            Ending::Orphan => return self.orphan(cluster, id, place, object).await,
            Ending::Foreground => return self.end_in_foreground(cluster, id, place, object).await,
            Ending::No if object.deletion_timestamp().is_some() => return Ok(Next::Done),
            Ending::No => {}
        }
        let owners = object.owner_references();
        if owners.is_empty() {
            return Ok(Next::Done);
        }
        let mut standings = Vec::new();
        for owner in &owners {
            let standing = self.standing(cluster, &id.cluster, owner, place).await?;
            match standing {
                Standing::Unknowable => return Ok(Next::Done),
                // Looked at again when the cluster's definitions change; perhaps they just have.
                Standing::Undefined => {
                    self.wait_for_definition(id);
                    let defined = discovery::kind(cluster, &owner.api_version, &owner.kind).await?.is_some();
                    return Ok(if defined { Next::Waiting } else { Next::Done });
                }
                Standing::Solid | Standing::Absent | Standing::Waiting => standings.push((owner.uid.clone(), standing)),
            }
        }
        let dependents = self.graph().dependents(id);
        match verdict(&standings, dependents.len()) {
            Verdict::Keep => {}
            Verdict::Release(uids) => {
                let kept = owners.iter().filter(|owner| !uids.contains(&owner.uid));
                set_owners(cluster, place, &object, &kept.cloned().collect::<Vec<_>>()).await?;
            }
            Verdict::DeleteForeground => {
                // A dependent that waits for its dependents may wait for this very object: the circle is cut here.
                let object = match dependents.iter().any(|dependent| dependent.ending == Ending::Foreground) {
                    true => unblock(cluster, place, &object, &owners).await?,
                    false => object,
                };
                delete(cluster, place, &object, "Foreground").await?;
            }
            Verdict::Delete => delete(cluster, place, &object, policy_of(&object)).await?,
        }
        Ok(Next::Done)
    }

    /// How an owner stands, asked now.
    async fn standing(
        &self,
        cluster: &Endpoint,
        name: &str,
        owner: &OwnerReference,
        dependent: &Place,
    ) -> Answer<Standing> {
        let Some(kind) = self.kind(cluster, name, &owner.api_version, &owner.kind).await? else {
            return Ok(Standing::Undefined);
        };
        let namespace = match (kind.namespaced, dependent.namespace.as_str()) {
            (true, "") => return Ok(Standing::Unknowable),
            // An owner in another namespace is one that is not there.
            (true, namespace) => namespace,
            (false, _) => "",
        };
        let path = kind.resource().object(namespace, &owner.name);
        let found = match cluster.get(&path, Shape::Metadata).await {
            Ok(found) => Some(found),
            Err(Failure::Absent) => None,
            Err(Failure::NotServed) => return Ok(Standing::Undefined),
            Err(failure) => return Err(failure),
        };
        Ok(match found {
            Some(found) if found.uid() != owner.uid => Standing::Absent,
            None => Standing::Absent,
            Some(found) if ending_of(&found) == Ending::Foreground => Standing::Waiting,
            Some(_) => Standing::Solid,
        })
    }

    /// An object that waits for its dependents: those that block it are looked at, and it is let go when none is left.
    async fn end_in_foreground(&self, cluster: &Endpoint, id: &NodeId, place: &Place, object: Object) -> Answer<Next> {
        let dependents = self.graph().dependents(id);
        let blocking: Vec<Dependent> = dependents.into_iter().filter(|dependent| dependent.blocks).collect();
        if blocking.is_empty() {
            remove_finalizer(cluster, place, &object, FOREGROUND).await?;
            return Ok(Next::Done);
        }
        for dependent in blocking.into_iter().filter(|dependent| !dependent.deleting) {
            self.queue.add(dependent.id);
        }
        Ok(Next::Done)
    }

    /// An object whose dependents are to stay: they are set free, then it is let go.
    async fn orphan(&self, cluster: &Endpoint, id: &NodeId, place: &Place, object: Object) -> Answer<Next> {
        let dependents = self.graph().dependents(id);
        for dependent in dependents {
            let path = dependent.place.path();
            let found = match optional(cluster.get(&path, Shape::Metadata).await) {
                Ok(Some(found)) if found.uid() == &*dependent.id.uid => found,
                Ok(_) | Err(Failure::NotServed) => continue,
                Err(failure) => return Err(failure),
            };
            let owners = found.owner_references();
            let kept: Vec<OwnerReference> = owners.iter().filter(|owner| *owner.uid != *id.uid).cloned().collect();
            if kept.len() == owners.len() {
                continue;
            }
            match set_owners(cluster, &dependent.place, &found, &kept).await {
                Ok(_) | Err(Failure::Absent) => {}
                Err(failure) => return Err(failure),
            }
        }
        remove_finalizer(cluster, place, &object, ORPHAN).await?;
        Ok(Next::Done)
    }
}

impl Place {
    /// The path of the object.
    pub(super) fn path(&self) -> String {
        Resource { api: &self.api, plural: &self.plural }.object(&self.namespace, &self.name)
    }
}

/// What becomes of an object whose owners stand like this, and which has so many dependents itself.
fn verdict(owners: &[(String, Standing)], dependents: usize) -> Verdict {
    let of = |wanted: Standing| owners.iter().filter(move |(_, standing)| *standing == wanted);
    if of(Standing::Solid).next().is_some() {
        let gone = owners.iter().filter(|(_, standing)| *standing != Standing::Solid);
        let uids: BTreeSet<String> = gone.map(|(uid, _)| uid.clone()).collect();
        return if uids.is_empty() { Verdict::Keep } else { Verdict::Release(uids) };
    }
    match of(Standing::Waiting).next() {
        Some(_) if dependents > 0 => Verdict::DeleteForeground,
        _ => Verdict::Delete,
    }
}

/// The policy an object's finalizers ask for.
fn policy_of(object: &Object) -> &'static str {
    match object.finalizers() {
        finalizers if finalizers.contains(&ORPHAN) => "Orphan",
        finalizers if finalizers.contains(&FOREGROUND) => "Foreground",
        _ => "Background",
    }
}

/// Deletes the very object that was looked at: owners may have been added since.
async fn delete(cluster: &Endpoint, place: &Place, object: &Object, policy: &str) -> Answer<()> {
    let options = Deletion::with_policy(policy).of_uid(object.uid()).at_version(object.resource_version());
    cluster.delete(&place.path(), &options).await
}

/// Replaces the owners of the very object that was looked at.
async fn set_owners(cluster: &Endpoint, place: &Place, object: &Object, owners: &[OwnerReference]) -> Answer<Object> {
    let owners: Vec<Value> = owners.iter().map(owner_value).collect();
    let owners = if owners.is_empty() { Value::Null } else { owners.into() };
    change(cluster, place, object, json!({"ownerReferences": owners})).await
}

/// Takes the right to block away from an object in a circle of objects that wait for each other.
async fn unblock(cluster: &Endpoint, place: &Place, object: &Object, owners: &[OwnerReference]) -> Answer<Object> {
    let mut owners = owners.to_vec();
    for owner in &mut owners {
        owner.block_owner_deletion = Some(false);
    }
    set_owners(cluster, place, object, &owners).await
}

async fn remove_finalizer(cluster: &Endpoint, place: &Place, object: &Object, finalizer: &str) -> Answer<()> {
    let kept: Vec<&str> = object.finalizers().into_iter().filter(|name| *name != finalizer).collect();
    let kept = if kept.is_empty() { Value::Null } else { kept.into() };
    change(cluster, place, object, json!({"finalizers": kept})).await.map(drop)
}

async fn change(cluster: &Endpoint, place: &Place, object: &Object, mut metadata: Value) -> Answer<Object> {
    metadata["uid"] = object.uid().into();
    metadata["resourceVersion"] = object.resource_version().into();
    cluster.merge(&place.path(), &json!({"metadata": metadata}), MANAGER).await
}

fn owner_value(owner: &OwnerReference) -> Value {
    let mut value = json!({
        "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
    });
    for (field, flag) in [("controller", owner.controller), ("blockOwnerDeletion", owner.block_owner_deletion)] {
        if let Some(flag) = flag {
            value[field] = flag.into();
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(owners: &[(&str, Standing)], dependents: usize, expected: Verdict) {
        let owners: Vec<_> = owners.iter().map(|(uid, standing)| ((*uid).to_owned(), *standing)).collect();
        assert_eq!(verdict(&owners, dependents), expected, "{owners:?}");
    }

    #[test]
    fn an_object_goes_only_when_no_owner_is_left() {
        use Standing::{Absent, Solid, Waiting};
        check(&[("1", Solid)], 0, Verdict::Keep);
        check(&[("1", Absent)], 0, Verdict::Delete);
        check(&[("1", Absent), ("2", Absent)], 3, Verdict::Delete);
        check(&[("1", Absent), ("2", Solid)], 0, Verdict::Release(["1".to_owned()].into()));
        check(&[("1", Waiting), ("2", Solid)], 0, Verdict::Release(["1".to_owned()].into()));
    }

    #[test]
    fn deletion_in_the_foreground_is_passed_on_to_those_who_have_dependents() {
        use Standing::{Absent, Waiting};
        check(&[("1", Waiting)], 0, Verdict::Delete);
        check(&[("1", Waiting)], 1, Verdict::DeleteForeground);
        check(&[("1", Waiting), ("2", Absent)], 1, Verdict::DeleteForeground);
    }

    #[test]
    fn an_object_that_asks_for_it_is_orphaned_when_collected() {
        let with = |finalizers: &[&str]| {
            let mut object = Object::default();
            object.set_finalizers(finalizers.iter().map(|name| (*name).to_owned()).collect());
            object
        };
        assert_eq!(policy_of(&with(&[])), "Background");
        assert_eq!(policy_of(&with(&[FOREGROUND])), "Foreground");
        assert_eq!(policy_of(&with(&[ORPHAN, FOREGROUND])), "Orphan");
    }
}
