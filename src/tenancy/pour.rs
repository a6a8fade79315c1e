//! Brings a cluster that nobody sees to a given content, in steps, as long as its workspace is as it was seen.
//!
//! What is there already stays, so that work that was broken off goes on where it was; what is too much is taken away.

use std::collections::HashSet;

use atoll_api::LogicalClusterName;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::storage::{Action, CommitError, Expect, Guard, Key, Op, Store, Txn};

/// How many bytes and objects a step has: little enough that other writers hardly wait, and that etcd takes it.
const STEP_BYTES: usize = 256 << 10;
const STEP_OBJECTS: usize = 200;
/// How many steps are under way at a time, to share the store's flushes.
const AT_A_TIME: usize = 4;

/// What a cluster is to hold.
pub(super) struct Content {
    /// Keys of the cluster, and their values. What comes first is written first.
    pub(super) values: Vec<(Key, Bytes)>,
    /// Keys that stay as they are, if they are there.
    pub(super) kept: HashSet<Key>,
}

/// Brings a cluster to this content. The guard is the workspace, whose change is a conflict.
pub(super) async fn pour(
    store: &Store,
    cluster: &LogicalClusterName,
    guard: &Guard,
    content: Content,
) -> Result<(), CommitError> {
    let superfluous = superfluous(store, cluster, &content)?;
    let Content { values, kept } = content;
    let missing = values.into_iter().filter(|(key, value)| match store.get(key) {
        Some(entry) => entry.bytes() != *value && !kept.contains(key),
        None => true,
    });
    let puts = missing.map(|(key, value)| Op { key, expect: Expect::Any, action: Action::Put(value) });
    let deletions = superfluous.into_iter().map(|key| Op { key, expect: Expect::Any, action: Action::Delete });
    let mut commits = Vec::new();
    for mut ops in steps(deletions.chain(puts)) {
        ops.push(Op { key: guard.key.clone(), expect: Expect::Revision(guard.revision), action: Action::Check });
        commits.push(store.commit(Txn { ops }));
    }
    stream::iter(commits).buffer_unordered(AT_A_TIME).try_for_each(|_| std::future::ready(Ok(()))).await
}

/// What is in the cluster and not in its content.
fn superfluous(store: &Store, cluster: &LogicalClusterName, content: &Content) -> Result<Vec<Key>, CommitError> {
    if store.cluster_usage(cluster).objects == 0 {
        return Ok(Vec::new());
    }
    let wanted: HashSet<&Key> = content.values.iter().map(|(key, _)| key).chain(&content.kept).collect();
    let held = store.cut_of(cluster).map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
    let keys = held
        .entries()
        .map(|(resource, entry)| Key::new(resource.clone(), cluster.clone(), entry.namespace(), entry.name()));
    Ok(keys.filter(|key| !wanted.contains(key)).collect())
}

/// The operations in steps, in their order.
fn steps(ops: impl Iterator<Item = Op>) -> Vec<Vec<Op>> {
    let mut steps = Vec::new();
    let (mut step, mut bytes) = (Vec::new(), 0);
    for op in ops {
        let size = match &op.action {
            Action::Put(value) => value.len(),
            Action::Delete | Action::Check => 0,
        };
        if !step.is_empty() && (step.len() >= STEP_OBJECTS || bytes + size > STEP_BYTES) {
            steps.push(std::mem::take(&mut step));
            bytes = 0;
        }
        step.push(op);
        bytes += size;
    }
    if !step.is_empty() {
        steps.push(step);
    }
    steps
}
