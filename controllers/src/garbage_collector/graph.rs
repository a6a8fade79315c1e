//! Who depends on whom: the objects that have owners or whose deletion waits for dependents, and nothing else.
//!
//! An object without owners is not kept, however many there are, so that idle clusters cost nothing here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use atoll_api::Object;
use atoll_api::object::OwnerReference;

/// The finalizer by which deletion waits for dependents to go first.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer by which deletion waits for dependents to be set free.
pub(super) const ORPHAN: &str = "orphan";

/// An object by its uid, in its logical cluster: owners of one cluster mean nothing in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId {
    /// The logical cluster.
    pub(super) cluster: Arc<str>,
    /// The uid.
    pub(super) uid: Arc<str>,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The root of its API.
    pub(super) api: Arc<str>,
    /// The plural name of its resource.
    pub(super) plural: Arc<str>,
    /// Its namespace, empty for objects of the cluster.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

/// One resource that is followed, in all clusters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// The root of the API.
    pub(super) api: Arc<str>,
    /// The plural name.
    pub(super) plural: Arc<str>,
}

/// What deletion of an object waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing: it is not being deleted, or waits for somebody else.
    No,
    /// For its dependents to go.
    Foreground,
    /// For its dependents to be set free.
    Orphan,
}

/// An object that has owners or is to be ended.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it is.
    pub(super) place: Place,
    /// Whose deletion takes it along.
    pub(super) owners: Vec<OwnerReference>,
    /// What its deletion waits for.
    pub(super) ending: Ending,
    /// Whether it is being deleted.
    pub(super) deleting: bool,
    origin: Arc<Origin>,
    /// The list in which it was seen last.
    round: u64,
}

/// A dependent, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependent {
    /// Who it is.
    pub(super) id: NodeId,
    /// Where it is.
    pub(super) place: Place,
    /// Whether deletion of its owner in the foreground waits for it.
    pub(super) blocks: bool,
    /// Whether it waits for dependents of its own.
    pub(super) ending: Ending,
    /// Whether it is being deleted.
    pub(super) deleting: bool,
}

/// The graph of all logical clusters.
#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<NodeId, Node>,
    /// The uids of dependents, by owner.
    dependents: HashMap<NodeId, BTreeSet<Arc<str>>>,
    rounds: HashMap<Arc<Origin>, u64>,
}

// === impl Graph ===

impl Graph {
    /// Takes in an object; gives whom to look at now.
    pub(super) fn observe(&mut self, origin: &Arc<Origin>, cluster: &str, object: &Object) -> Vec<NodeId> {
        let id = NodeId { cluster: cluster.into(), uid: object.uid().into() };
        let owners = object.owner_references();
        let ending = ending_of(object);
        if id.uid.is_empty() {
            return Vec::new();
        }
        if owners.is_empty() && ending == Ending::No {
            return self.forget(&id);
        }
        let node = Node {
            place: Place {
                api: origin.api.clone(),
                plural: origin.plural.clone(),
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
            },
            owners,
            ending,
            deleting: object.deletion_timestamp().is_some(),
            origin: origin.clone(),
            round: self.rounds.get(origin).copied().unwrap_or_default(),
        };
        let mut affected = Vec::new();
        let old = self.nodes.insert(id.clone(), node);
        let node = &self.nodes[&id];
        let known = old.as_ref().map(|old| old.owners.as_slice()).unwrap_or_default();
        if known != node.owners {
            let (gone, new) = (uids(known), uids(&node.owners));
            for uid in gone.difference(&new) {
                unlink(&mut self.dependents, &id, uid);
            }
            for uid in new {
                let owner = NodeId { cluster: id.cluster.clone(), uid: uid.into() };
                self.dependents.entry(owner).or_default().insert(id.uid.clone());
            }
            if !node.deleting {
                affected.push(id.clone());
            }
            affected.extend(self.waiting_owners(&id.cluster, known));
        }
        if node.ending != Ending::No && old.is_none_or(|old| old.ending != ending) {
            affected.push(id);
        }
        affected
    }

    /// Takes in that an object is gone; gives whom to look at now.
    pub(super) fn gone(&mut self, cluster: &str, uid: &str) -> Vec<NodeId> {
        let id = NodeId { cluster: cluster.into(), uid: uid.into() };
        let mut affected = self.forget(&id);
        affected.extend(self.dependents(&id).into_iter().map(|dependent| dependent.id));
        affected
    }

    /// A list of this collection begins.
    pub(super) fn listing(&mut self, origin: &Arc<Origin>) {
        *self.rounds.entry(origin.clone()).or_default() += 1;
    }

    /// A list of this collection is complete: what was not in it is gone. Deletions may have been missed, so all who
    /// have owners are to be looked at.
    pub(super) fn listed(&mut self, origin: &Arc<Origin>) -> Vec<NodeId> {
        let round = self.rounds.get(origin).copied().unwrap_or_default();
        let stale = |node: &Node| node.origin == *origin && node.round != round;
        let gone: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| stale(node)).map(|(id, _)| id.clone()).collect();
        for id in &gone {
            self.gone(&id.cluster, &id.uid);
        }
        if round > 1 { self.nodes.keys().cloned().collect() } else { Vec::new() }
    }

    /// A collection is no longer followed, because it is no longer served.
    pub(super) fn dropped(&mut self, origin: &Arc<Origin>) {
        let of_it = |node: &Node| node.origin == *origin;
        let ids: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| of_it(node)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.forget(&id);
        }
        self.rounds.remove(origin);
    }

    /// What is known of an object.
    pub(super) fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Those whose owner this is.
    pub(super) fn dependents(&self, owner: &NodeId) -> Vec<Dependent> {
        let uids = self.dependents.get(owner).into_iter().flatten();
        let known = uids.filter_map(|uid| {
            let id = NodeId { cluster: owner.cluster.clone(), uid: uid.clone() };
            let node = self.nodes.get(&id)?;
            let mut references = node.owners.iter().filter(|reference| *reference.uid == *owner.uid);
            let blocks = references.any(|reference| reference.block_owner_deletion == Some(true));
            let (place, ending, deleting) = (node.place.clone(), node.ending, node.deleting);
            Some(Dependent { id, place, blocks, ending, deleting })
        });
        known.collect()
    }

    /// Removes a node; gives the owners that may have waited for it.
    fn forget(&mut self, id: &NodeId) -> Vec<NodeId> {
        let Some(node) = self.nodes.remove(id) else { return Vec::new() };
        for uid in uids(&node.owners) {
            unlink(&mut self.dependents, id, uid);
        }
        self.waiting_owners(&id.cluster, &node.owners)
    }

    fn waiting_owners(&self, cluster: &Arc<str>, owners: &[OwnerReference]) -> Vec<NodeId> {
        let ids = owners.iter().map(|owner| NodeId { cluster: cluster.clone(), uid: owner.uid.as_str().into() });
        ids.filter(|id| self.nodes.get(id).is_some_and(|node| node.ending != Ending::No)).collect()
    }
}

/// What deletion of an object waits for.
pub(super) fn ending_of(object: &Object) -> Ending {
    if object.deletion_timestamp().is_none() {
        return Ending::No;
    }
    match object.finalizers() {
        finalizers if finalizers.contains(&ORPHAN) => Ending::Orphan,
        finalizers if finalizers.contains(&FOREGROUND) => Ending::Foreground,
        _ => Ending::No,
    }
}

fn uids(owners: &[OwnerReference]) -> HashSet<&str> {
    owners.iter().map(|owner| owner.uid.as_str()).filter(|uid| !uid.is_empty()).collect()
}

fn unlink(dependents: &mut HashMap<NodeId, BTreeSet<Arc<str>>>, id: &NodeId, owner: &str) {
    let owner = NodeId { cluster: id.cluster.clone(), uid: owner.into() };
    if let Some(set) = dependents.get_mut(&owner) {
        set.remove(&id.uid);
        if set.is_empty() {
            dependents.remove(&owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn origin(plural: &str) -> Arc<Origin> {
        Arc::new(Origin { api: "/api/v1".into(), plural: plural.into() })
    }

    fn object(uid: &str, owners: &[&str], finalizers: &[&str]) -> Object {
        let owners: Vec<_> = owners
            .iter()
            .map(|uid| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid, "blockOwnerDeletion": true}))
            .collect();
        let mut metadata = json!({"name": uid, "namespace": "ns", "uid": uid, "ownerReferences": owners});
        if !finalizers.is_empty() {
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            metadata["finalizers"] = finalizers.into();
        }
        Object::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn uids_of(ids: &[NodeId]) -> Vec<String> {
        ids.iter().map(|id| format!("{}/{}", id.cluster, id.uid)).collect()
    }

    #[test]
    fn objects_without_owners_are_not_kept() {
        let (mut graph, maps) = (Graph::default(), origin("configmaps"));
        assert!(graph.observe(&maps, "a", &object("1", &[], &[])).is_empty());
        assert!(graph.nodes.is_empty() && graph.dependents.is_empty());
    }

    #[test]
    fn dependents_are_looked_at_when_they_appear_and_when_their_owner_goes() {
        let (mut graph, maps) = (Graph::default(), origin("configmaps"));
        assert_eq!(uids_of(&graph.observe(&maps, "a", &object("2", &["1"], &[]))), ["a/2"]);
        assert!(graph.observe(&maps, "a", &object("2", &["1"], &[])).is_empty(), "nothing new");
        assert_eq!(uids_of(&graph.gone("a", "1")), ["a/2"]);
    }

    #[test]
    fn an_owner_of_another_cluster_means_nothing() {
        let (mut graph, maps) = (Graph::default(), origin("configmaps"));
        graph.observe(&maps, "a", &object("2", &["1"], &[]));
        assert!(graph.gone("b", "1").is_empty());
        assert!(graph.dependents(&NodeId { cluster: "b".into(), uid: "1".into() }).is_empty());
    }

    #[test]
    fn an_owner_that_waits_is_looked_at_when_a_dependent_goes_or_leaves_it() {
        let (mut graph, maps) = (Graph::default(), origin("configmaps"));
        graph.observe(&maps, "a", &object("2", &["1"], &[]));
        graph.observe(&maps, "a", &object("3", &["1"], &[]));
        assert_eq!(uids_of(&graph.observe(&maps, "a", &object("1", &[], &[FOREGROUND]))), ["a/1"]);
        assert_eq!(uids_of(&graph.gone("a", "2")), ["a/1"]);
        assert_eq!(uids_of(&graph.observe(&maps, "a", &object("3", &[], &[]))), ["a/1"]);
        assert!(graph.dependents(&NodeId { cluster: "a".into(), uid: "1".into() }).is_empty());
    }

    #[test]
    fn after_a_gap_what_is_not_listed_is_gone_and_the_rest_is_looked_at() {
        let (mut graph, maps, secrets) = (Graph::default(), origin("configmaps"), origin("secrets"));
        graph.listing(&maps);
        graph.listing(&secrets);
        graph.observe(&maps, "a", &object("2", &["1"], &[]));
        graph.observe(&secrets, "a", &object("3", &["2"], &[]));
        assert!(graph.listed(&maps).is_empty(), "whoever appears is looked at anyhow");
        graph.listing(&maps);
        assert_eq!(uids_of(&graph.listed(&maps)), ["a/3"]);
        assert!(graph.node(&NodeId { cluster: "a".into(), uid: "2".into() }).is_none());
    }

    #[test]
    fn endings_are_told_by_the_finalizers_of_deleted_objects() {
        assert_eq!(ending_of(&object("1", &[], &[FOREGROUND])), Ending::Foreground);
        assert_eq!(ending_of(&object("1", &[], &[ORPHAN, FOREGROUND])), Ending::Orphan);
        assert_eq!(ending_of(&object("1", &[], &["example.com/other"])), Ending::No);
        let mut alive = object("1", &[], &[]);
        alive.set_finalizers(vec![FOREGROUND.to_owned()]);
        assert_eq!(ending_of(&alive), Ending::No);
    }
}
