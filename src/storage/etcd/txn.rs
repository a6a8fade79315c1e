//! Transactions as etcd's: conditions on revisions, then puts and deletions; or else the revisions that were otherwise.
//!
//! etcd takes 128 operations in a list of a transaction. Transactions may stand in transactions, so many more changes fit;
//! conditions may not exceed the list (`MAX_TXN_CHECKS`).

use bytes::Bytes;

use super::wire::{
    COMPARE_MOD, Compare, DeleteRangeRequest, PutRequest, RangeRequest, Request, RequestOp, TxnRequest, TxnResponse,
    Wanted,
};
use crate::storage::{Action, CommitError, Expect, Txn};

/// What etcd takes in one list, and in all lists on the way down to an operation.
const MAX_OPS: usize = 128;

/// A transaction for etcd, and which of its operations each condition belongs to.
pub(super) struct Encoded {
    pub(super) request: TxnRequest,
    checked: Vec<usize>,
}

/// Translates a transaction whose keys are encoded already.
pub(super) fn encode(txn: &Txn, keys: Vec<Bytes>) -> Encoded {
    let mut request = TxnRequest::default();
    let mut checked = Vec::new();
    let mut changes = Vec::with_capacity(keys.len());
    for (index, (op, key)) in txn.ops.iter().zip(keys).enumerate() {
        if let Some(wanted) = wanted(op.expect) {
            checked.push(index);
            request.compare.push(Compare { target: COMPARE_MOD, key: key.clone(), wanted: Some(wanted) });
            let range = RangeRequest { key: key.clone(), keys_only: true, ..RangeRequest::default() };
            request.failure.push(operation(Request::Range(range)));
        }
        match &op.action {
            Action::Put(value) => {
                changes.push(operation(Request::Put(PutRequest { key, value: value.clone() })));
            }
            Action::Delete => {
                changes.push(operation(Request::DeleteRange(DeleteRangeRequest { key, range_end: Bytes::new() })));
            }
            Action::Check => {}
        }
    }
    request.success = fold(changes, request.compare.len());
    Encoded { request, checked }
}

/// A deletion that happens if a key is at a revision, or always; else the key is read.
pub(super) fn guarded(deletion: DeleteRangeRequest, guard: Option<(Bytes, u64)>) -> TxnRequest {
    let mut request = TxnRequest { success: vec![operation(Request::DeleteRange(deletion))], ..TxnRequest::default() };
    if let Some((key, revision)) = guard {
        let wanted = wanted(Expect::Revision(revision));
        request.compare.push(Compare { target: COMPARE_MOD, key: key.clone(), wanted });
        let range = RangeRequest { key, keys_only: true, ..RangeRequest::default() };
        request.failure.push(operation(Request::Range(range)));
    }
    request
}

/// The modification revision that a condition demands; etcd says 0 of what is not there.
fn wanted(expect: Expect) -> Option<Wanted> {
    match expect {
        Expect::Any => None,
        Expect::Absent => Some(Wanted::ModRevision(0)),
        // Nothing was put by revision 0: a condition that never holds.
        Expect::Revision(0) => Some(Wanted::ModRevision(i64::MAX)),
        Expect::Revision(revision) => Some(Wanted::ModRevision(i64::try_from(revision).unwrap_or(i64::MAX))),
    }
}

/// Puts operations that do not fit into one list into transactions within the transaction.
fn fold(changes: Vec<RequestOp>, conditions: usize) -> Vec<RequestOp> {
    if changes.len() <= MAX_OPS {
        return changes;
    }
    // The longest list of the outer transaction counts against the inner ones.
    let outer = (conditions.max(1)..MAX_OPS).find(|outer| outer * (MAX_OPS - outer) >= changes.len());
    let size = MAX_OPS - outer.unwrap_or(MAX_OPS / 2);
    let mut groups = Vec::new();
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        let success = changes.by_ref().take(size).collect();
        groups.push(operation(Request::Txn(TxnRequest { success, ..TxnRequest::default() })));
    }
    groups
}

fn operation(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

impl Encoded {
    /// Which operation found its key otherwise than expected, from the answer to a transaction that did not happen.
    pub(super) fn conflict(&self, txn: &Txn, answer: &TxnResponse) -> CommitError {
        for (index, response) in self.checked.iter().zip(&answer.responses) {
            let found = response.range.as_ref().and_then(|range| range.kvs.first());
            let current = found.map(|kv| kv.mod_revision as u64);
            let op = &txn.ops[*index];
            if !op.expect.holds(current) {
                return CommitError::Conflict { index: *index, key: op.key.clone(), current };
            }
        }
        CommitError::Unavailable { reason: "etcd refused a transaction whose conditions hold".into() }
    }
}
